"""What fields message types have where ROS is installed: the definitions that nodes check their streams by."""

from lwd_ros.contract.definitions import Definitions, fields_of, live

__all__ = ["live", "of_class"]


def of_class(kind: type) -> Definitions:
    """Definitions of a message class, under its own type ("pkg/msg/Name"), and of all that are installed."""
    package = kind.__module__.split(".")[0]
    own = f"{package}/msg/{kind.__name__}"
    return lambda message_type: fields_of(kind) if message_type == own else live(message_type)

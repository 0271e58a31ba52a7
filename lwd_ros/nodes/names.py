"""Names of topics that people write, checked before anything is made of them."""

import re

from rclpy.exceptions import NameValidationException
from rclpy.expand_topic_name import expand_topic_name
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace

from lwd_ros.nodes.managed import ParameterError


def require_topic(where: str, name: str, node: str = "node", namespace: str = "/") -> None:
    """Refuse what no topic can be called; `where` says where it was found, `node` and `namespace` whose it is.

    Raises:
        ParameterError: one sentence with the name and what is wrong with it.
    """
    try:
        validate_full_topic_name(expand_topic_name(name, node, namespace))
    except (NameValidationException, RuntimeError, ValueError) as error:  # RuntimeError: rcl's
        raise ParameterError(f"{where}: found {name!r}, expected the name of a topic: {_reason(error)}") from error


def require_namespace(where: str, name: str) -> None:
    """As `require_topic`, of a namespace that begins with "/"."""
    try:
        validate_namespace(name)
    except NameValidationException as error:
        raise ParameterError(f"{where}: found {name!r}, expected a namespace: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """rcl's words without what it was doing and where in its source."""
    text = str(error).partition(", at ")[0].partition(":\n")[0]
    return re.split(r"is invalid: |Invalid [a-z ]+: ", text)[-1]

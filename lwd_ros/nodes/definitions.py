"""What fields message types have where ROS is installed: the definitions that nodes check their streams by."""

from lwd_ros.contract import ContractError, PermissionStream, Stream
from lwd_ros.contract.checking import header_problem
from lwd_ros.contract.definitions import check_fields, has_header, live


def require_fields(stream: Stream | PermissionStream, command: bool = False) -> bool:
    """Check a stream against the installed message type; returns whether that has a header.

    Raises:
        ContractError: a field, a header or a frame is not there, or cannot be written.
    """
    fields = (stream.field,) if isinstance(stream, PermissionStream) else stream.fields
    try:
        check_fields(stream.type, fields, live, command)
    except ContractError as error:
        raise ContractError(f"{stream.topic}: {error}") from error
    headed = has_header(stream.type, live)
    if isinstance(stream, PermissionStream):
        return headed
    problem = header_problem(stream, headed, command)
    if problem is not None:
        raise ContractError(f"{stream.topic}: key {problem.key}: {problem}")
    return headed

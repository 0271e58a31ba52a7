"""What fields message types have where ROS is installed: the definitions that nodes check their streams by."""

from lwd_ros.contract import ContractError, PermissionStream, Stream
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
    if command and headed and stream.frame_id is None:
        raise ContractError(
            f"{stream.topic}: key frame_id: found nothing, expected a frame: {stream.type} has a header"
        )
    if not headed and stream.frame_id is not None:
        raise ContractError(
            f"{stream.topic}: key frame_id: found {stream.frame_id!r}, expected none: {stream.type} has no header"
        )
    if not headed and not command and stream.stamp == "header":
        raise ContractError(f"{stream.topic}: key stamp: found header, expected arrival: {stream.type} has no header")
    return headed

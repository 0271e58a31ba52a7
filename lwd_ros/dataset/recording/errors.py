"""What can go wrong while recording."""

from lwd_ros.errors import LwdError


class RecordingError(LwdError):
    """A recording that cannot be begun, continued or written; says what was found, what was expected."""

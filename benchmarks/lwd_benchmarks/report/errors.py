"""What a reader of results may be told."""

from lwd_ros.errors import LwdError


class ReportError(LwdError):
    """The benchmark document cannot be made; names the file, what was found and what was expected."""

"""The benchmark pages: tables, plots and prose filled from committed result files, never by hand."""

from lwd_ros.errors import LwdError


class ReportError(LwdError):
    """Results that do not fit together, or a page that cannot be made of them; says file, found and expected."""

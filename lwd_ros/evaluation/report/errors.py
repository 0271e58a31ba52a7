"""What a reader of results may be told."""


class ReportError(ValueError):
    """The benchmark document cannot be made; names the file, what was found and what was expected."""

"""The base of every error that a user can mend: `lwd` and the nodes show its sentence instead of a traceback."""


class LwdError(ValueError):
    """Something that a user gave cannot be used: says what was found, what was expected, and where."""

"""What a command can be at rest, and what it can be relative to, beside an observed scalar."""

ZERO = "zero"
"""A rest: 0, as of velocities and efforts."""

KEEP = "keep"
"""A rest: what was commanded last, as of a gripper."""

LAST_COMMAND = "command"
"""What a command may be relative to: the last one."""


_FORCES = ("N", "N*m", "N.m", "N·m", "Nm", "A", "V", "W")


def is_motion(unit: str) -> bool:
    """Whether a command in `unit` moves a robot for as long as it stands: a velocity, an acceleration, a force."""
    return "/s" in unit or unit in _FORCES


def is_position(rest: str | None) -> bool:
    """Whether a rest is an observed scalar, the place that the command targets; None: the contract does not say."""
    return rest not in (None, ZERO, KEEP)

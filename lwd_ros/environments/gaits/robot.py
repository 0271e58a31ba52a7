"""Which legged robot it is: what is known of it without its physics."""

from dataclasses import dataclass
from pathlib import Path

from lwd_ros.environments.gaits.gait import LEGS

PERIOD_S = 0.02
"""Control period."""


@dataclass(frozen=True)
class Robot:
    """A trunk on four legs.

    Attributes:
        name: of its environment.
        model: MJCF file; its actuators are positions of the joints, its sensors say what each foot presses with.
        joints: of a leg, from the trunk on.
        is_planar: whether it moves in a plane: its trunk has x, z and pitch alone.
    """

    name: str
    model: Path
    joints: tuple[str, ...]
    is_planar: bool

    @property
    def joint_names(self) -> tuple[str, ...]:
        """As `FL_thigh`, leg by leg."""
        return tuple(f"{leg}_{joint}" for leg in LEGS for joint in self.joints)

    @property
    def command_names(self) -> tuple[str, ...]:
        """As `FL_thigh_target`, in the same order."""
        return tuple(f"{name}_target" for name in self.joint_names)

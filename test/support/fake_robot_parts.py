"""What a kind of robot is described with: see `fake_robot`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
SENSOR_DATA = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass
class State:
    """What is simulated: numbers by name, targets and velocities that were commanded, and chance."""

    values: dict[str, float]
    commands: dict[str, float] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    permitted: bool = True


@dataclass(frozen=True, eq=False)
class Output:
    """A publisher: `fill(state)` gives the message, its stamp left open, and what a contract should read from it."""

    topic: str
    type: type
    fill: Callable[[State], tuple[object, dict]]
    rate_hz: float = 50.0
    qos: QoSProfile = field(default_factory=lambda: RELIABLE)


@dataclass(frozen=True, eq=False)
class Input:
    """A subscription: `read(message)` gives the commanded numbers by name and whatever else is worth a check."""

    topic: str
    type: type
    read: Callable[[object], tuple[dict, dict]]
    qos: QoSProfile = field(default_factory=lambda: RELIABLE)


@dataclass(frozen=True)
class Kind:
    """A kind of robot: its start, what it publishes and takes, and one step of its simulation."""

    start: dict[str, float]
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...]
    step: Callable[[State, float], None]
    latched: tuple[Output, ...] = ()  # published at the start alone, and when the permission changes

"""A gait without a clock: the phase is read from the thighs, and every joint follows it a little ahead.

The command is a function of the present state, so that a policy that sees one frame can do the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import SimpleNamespace
from typing import Any, Literal, Self

import numpy as np

Coordination = Literal["trot", "bound", "pronk", "pace"]

LEGS = ("FL", "FR", "RL", "RR")
"""Fore left, fore right, rear left, rear right: the order everywhere."""

OFFSETS: Mapping[str, tuple[float, float, float, float]] = {
    "trot": (0.0, 0.5, 0.5, 0.0),
    "pace": (0.0, 0.5, 0.0, 0.5),
    "bound": (0.0, 0.0, 0.5, 0.5),
    "pronk": (0.0, 0.0, 0.0, 0.0),
}
"""By how many strides each leg is behind the first."""


@dataclass(frozen=True)
class Pair:
    """The motion of both fore or both rear legs.

    Attributes:
        thigh: the middle of its swing, rad.
        swing: half of the thigh's swing, rad.
        calf: where lift and push begin, rad.
        lift: by how much the calf bends in one half of the stride, rad.
        push: by how much it stretches in the other half, rad.
        calf_phase: of that half against the thigh, rad; turned by half a stride, the robot goes backward.
    """

    thigh: float
    swing: float
    calf: float
    lift: float
    push: float
    calf_phase: float


@dataclass(frozen=True)
class Balance:
    """What is added to hold the trunk level and on its course; each is a gain, rad per rad or rad per rad/s.

    `pitch` stretches the legs of the lower end, `roll` those of the lower side; `splay` and `splay_rate` move the feet
    sideways against a roll; `yaw` lengthens the strides of one side, in shares of a stride per rad.
    """

    pitch: float = 0.0
    pitch_rate: float = 0.0
    roll: float = 0.0
    roll_rate: float = 0.0
    splay: float = 0.0
    splay_rate: float = 0.0
    yaw: float = 0.0
    yaw_rate: float = 0.0


@dataclass(frozen=True)
class Gait:
    """How a robot goes.

    Attributes:
        coordination: which legs move together, of OFFSETS.
        fore, rear: the motion of a leg.
        balance: what holds the trunk.
        stride_hz: the frequency that the phase is read by; the robot's own differs a little.
        lead: by how much commands are ahead of the phase that is read, rad.
        stance: how far the feet stand outside the hips, rad; not used where a robot has no hips.
    """

    coordination: Coordination
    fore: Pair
    rear: Pair
    balance: Balance
    stride_hz: float
    lead: float
    stance: float = 0.0

    @classmethod
    def from_dict(cls, content: Mapping) -> Self:
        """The inverse of `to_dict`."""
        parts = {"fore": Pair(**content["fore"]), "rear": Pair(**content["rear"])}
        return cls(**{**content, **parts, "balance": Balance(**content["balance"])})

    def to_dict(self) -> dict:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Posture:
    """What a gait looks at: float64 [4, joints of a leg] positions and velocities, rad; trunk angles and rates.

    Of several robots at once, [robots, 4, joints of a leg] and [robots, 1].
    """

    positions: np.ndarray
    velocities: np.ndarray
    roll: Any
    pitch: Any
    yaw: Any
    roll_rate: Any
    pitch_rate: Any
    yaw_rate: Any


_FORE = np.array([1.0, 1.0, -1.0, -1.0])
_LEFT = np.array([1.0, -1.0, 1.0, -1.0])


class Walker:
    """Goes by a gait: joint targets from a posture. It has no memory.

    Of several gaits it goes by each at once: what is [4, ...] below is [gaits, 4, ...] then.
    """

    def __init__(self, gaits: Gait | Sequence[Gait], has_hips: bool):
        self._has_hips = has_hips
        if isinstance(gaits, Gait):
            self._take([gaits], lambda rows: rows[0])
        else:
            self._take(list(gaits), lambda rows: rows)

    def _take(self, gaits: list[Gait], shaped: Callable[[np.ndarray], np.ndarray]) -> None:
        """Keep the numbers of all gaits, those of legs as [4] and those of the trunk as [1]."""

        def legs(name: str) -> np.ndarray:
            return shaped(np.array([[getattr(gait.fore, name)] * 2 + [getattr(gait.rear, name)] * 2 for gait in gaits]))

        def trunk(name: str) -> np.ndarray:
            return shaped(np.array([[getattr(gait.balance, name)] for gait in gaits]))

        self._legs = SimpleNamespace(**{field.name: legs(field.name) for field in fields(Pair)})
        self._balance = SimpleNamespace(**{field.name: trunk(field.name) for field in fields(Balance)})
        self._stance = shaped(np.array([[gait.stance] for gait in gaits]))
        self._rate = shaped(np.array([[2.0 * math.pi * gait.stride_hz] for gait in gaits]))
        self._turn = np.exp(-2j * np.pi * shaped(np.array([OFFSETS[gait.coordination] for gait in gaits])))
        self._ahead = np.exp(1j * shaped(np.array([[gait.lead] for gait in gaits]))) * np.conj(self._turn)
        self._calf_ahead = self._ahead * np.exp(1j * self._legs.calf_phase)

    def targets(self, posture: Posture) -> np.ndarray:
        """float64 [4, joints of a leg], rad: thigh and calf, with the hip before them where there is one."""
        legs, balance = self._legs, self._balance
        thighs, speeds = posture.positions[..., -2] - legs.thigh, posture.velocities[..., -2]
        read = (self._turn * (thighs - 1j * speeds / self._rate) / legs.swing).sum(axis=-1, keepdims=True)
        phase = read / np.maximum(np.abs(read), 1e-9)
        course = balance.yaw * posture.yaw + balance.yaw_rate * posture.yaw_rate
        out = np.empty_like(posture.positions)
        out[..., -2] = legs.thigh + legs.swing * (1.0 + _LEFT * course) * (self._ahead * phase).real
        wave = (self._calf_ahead * phase).imag
        level = _FORE * (balance.pitch * posture.pitch + balance.pitch_rate * posture.pitch_rate)
        level = level - _LEFT * (balance.roll * posture.roll + balance.roll_rate * posture.roll_rate)
        out[..., -1] = legs.calf - legs.lift * np.maximum(wave, 0.0) + legs.push * np.maximum(-wave, 0.0) + level
        if self._has_hips:
            aside = balance.splay * posture.roll + balance.splay_rate * posture.roll_rate
            out[..., 0] = _LEFT * self._stance - aside
        return out

"""The parameters of the teachers' gaits, found by CMA-ES (`cma`); the package itself only reads them.

A gait is judged on training layouts, under noise: by its speed, by which feet touch the floor together, by how level
the trunk stays, and by whether the robot falls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lwd_ros.environments.gaits.body import Body
from lwd_ros.environments.gaits.gait import LEGS, OFFSETS, Coordination, Gait, Posture, Walker
from lwd_ros.environments.gaits.robot import PERIOD_S, Robot


@dataclass(frozen=True)
class Wanted:
    """What a gait shall be.

    Attributes:
        coordination: which legs go together.
        speed_mps: negative where it goes backward.
        duty: share of its time that a foot shall be down.
        start: the task whose gait is tuned into this one; '' for a guess.
    """

    coordination: Coordination
    speed_mps: float
    duty: float = 0.5
    start: str = ""


def _of(robot: str, **gaits: Wanted) -> dict[str, Wanted]:
    """By task, starts named likewise."""
    return {
        f"{robot}_{name}": replace(wanted, start=wanted.start and f"{robot}_{wanted.start}")
        for name, wanted in gaits.items()
    }


WANTED: Mapping[str, Mapping[str, Wanted]] = {
    "cheetah": _of(
        "cheetah",
        trot_forward=Wanted("trot", 1.0),
        trot_forward_fast=Wanted("trot", 2.0, 0.4, "trot_forward"),
        trot_backward=Wanted("trot", -0.8, 0.5, "trot_forward"),
        bound_forward=Wanted("bound", 1.0, 0.45, "trot_forward"),
        bound_forward_fast=Wanted("bound", 1.8, 0.35, "bound_forward"),
        bound_backward=Wanted("bound", -0.8, 0.45, "bound_forward"),
        pronk_forward=Wanted("pronk", 0.8, 0.45, "trot_forward"),
    ),
    "quadruped": _of(
        "quadruped",
        trot_forward=Wanted("trot", 0.8),
        trot_forward_fast=Wanted("trot", 1.6, 0.4, "trot_forward"),
        trot_backward=Wanted("trot", -0.6, 0.5, "trot_forward"),
        pace_forward=Wanted("pace", 0.6, 0.5, "trot_forward"),
        bound_forward=Wanted("bound", 0.9, 0.45, "trot_forward"),
        pronk_forward=Wanted("pronk", 0.6, 0.45, "trot_forward"),
    ),
}
"""By robot and task."""

NOISE = 0.1
"""Deviation of what is executed, in shares of half a joint's range; as demonstrations have it at most."""

SLEW_PER_STEP = 0.4
"""rad; as the contracts have it."""

_FORE = {"thigh": (0.8, 0.15), "swing": (0.3, 0.1), "calf": (-1.5, 0.2), "lift": (0.5, 0.2), "push": (0.1, 0.1)}
_LOW = {"swing": 0.12, "lift": 0.15, "push": 0.0, "lead": 0.3}
_BALANCE = {"pitch": 0.4, "pitch_rate": 0.05}
_SIDEWAYS = {"roll": 0.4, "roll_rate": 0.05, "splay": 0.3, "splay_rate": 0.05, "yaw": 0.4, "yaw_rate": 0.05}
_STRIDE_HZ = 3.0


class Space:
    """A gait as a vector of numbers of about unit scale, and back."""

    def __init__(self, wanted: Wanted, has_hips: bool):
        turned = np.pi if wanted.speed_mps < 0 else 0.0
        legs = {**_FORE, "calf_phase": (turned, 0.4)}
        entries = {f"{pair}.{key}": value for pair in ("fore", "rear") for key, value in legs.items()}
        entries |= {f"balance.{key}": (0.0, scale) for key, scale in _BALANCE.items()}
        entries |= {"lead": (0.9, 0.2)}
        if has_hips:
            entries |= {f"balance.{key}": (0.0, scale) for key, scale in _SIDEWAYS.items()}
            entries |= {"stance": (0.05, 0.05)}
        self.names = tuple(entries)
        self._wanted = wanted
        self._middle, self._scale = (np.array(column) for column in zip(*entries.values(), strict=True))

    def gait(self, vector: np.ndarray) -> Gait:
        """Of float64 [names]."""
        numbers = np.round(self._middle + self._scale * vector, 4)
        values = {name: float(number) for name, number in zip(self.names, numbers, strict=True)}
        content: dict = {"coordination": self._wanted.coordination, "stride_hz": _STRIDE_HZ, "balance": {}}
        for name, value in values.items():
            *part, key = name.split(".")
            place = content.setdefault(part[0], {}) if part else content
            place[key] = max(value, _LOW.get(key, -np.inf))
        return Gait.from_dict(content)

    def vector(self, gait: Gait) -> np.ndarray:
        """The inverse."""
        content = gait.to_dict()
        flat = {
            **{f"{key}.{name}": v for key in ("fore", "rear", "balance") for name, v in content[key].items()},
            **{key: value for key, value in content.items() if not isinstance(value, dict)},
        }
        return (np.array([flat[name] for name in self.names]) - self._middle) / self._scale


@dataclass(frozen=True)
class Walk:
    """What came of walking: `contacts` is bool [steps, 4], `angles` float64 [steps, 3] of the trunk."""

    contacts: np.ndarray
    angles: np.ndarray
    place: np.ndarray
    steps: int
    power_w: float

    @property
    def speed_mps(self) -> float:
        """Along x, mean."""
        return float(self.place[0]) / (self.steps * PERIOD_S)


def walk(bodies: Sequence[Body], gaits: Sequence[Gait], layouts: Sequence[int], steps: int, noise: float) -> list[Walk]:
    """Let each body go by its gait from its layout, for `steps` control steps or until it falls."""
    walker = Walker(gaits, not bodies[0].robot.is_planar)
    low, high = bodies[0].model.actuator_ctrlrange.T
    count, rngs = len(low), [np.random.default_rng([layout, 7]) for layout in layouts]
    for body, layout in zip(bodies, layouts, strict=True):
        body.reset(layout)
    shape = (len(bodies), len(LEGS), count // len(LEGS))
    last, power = np.array([body.joints for body in bodies]), np.zeros(len(bodies))
    contacts, angles, done = [], [], np.full(len(bodies), steps)
    deviation = noise * 0.5 * (high - low)
    noises = np.array([rng.standard_normal((steps, count)) for rng in rngs]) * deviation
    for step in range(steps):
        joints = np.array([body.joints for body in bodies]).reshape(shape)
        speeds = np.array([body.joint_speeds for body in bodies]).reshape(shape)
        trunk = np.array([(*body.angles, *body.turn_rates) for body in bodies])
        angles.append(trunk[:, :3])
        posture = Posture(joints, speeds, *(trunk[:, [place]] for place in range(6)))
        targets = np.clip(walker.targets(posture).reshape(len(bodies), count) + noises[:, step], low, high)
        last = np.clip(targets, last - SLEW_PER_STEP, last + SLEW_PER_STEP)
        for body, target, stop in zip(bodies, last, done, strict=True):
            if step < stop:
                body.step(target)
        contacts.append([body.contacts for body in bodies])
        fallen = np.array([body.has_fallen for body in bodies])
        power += np.array([np.abs(body.data.actuator_force * body.joint_speeds).sum() for body in bodies])
        done = np.where(fallen & (done == steps), step + 1, done)
        if (done <= step + 1).all():
            break
    touching, leaning = np.array(contacts), np.array(angles)
    return [
        Walk(touching[:stop, n], leaning[:stop, n], bodies[n].place, int(stop), power[n] / len(touching))
        for n, stop in enumerate(done)
    ]


def coordination(contacts: np.ndarray, offsets: tuple[float, ...]) -> float:
    """How well feet that shall go together do, and those that shall alternate do: 1 at best.

    The mean over all pairs of feet of the correlation of their contacts, negative where they shall alternate.

    Args:
        contacts: bool [steps, 4].
        offsets: of each leg, 0 or half a stride.
    """
    deviation = contacts.std(axis=0)
    if (deviation < 1e-9).any():
        return -1.0
    correlation = np.corrcoef(contacts.T.astype(float))
    first, second = np.triu_indices(len(LEGS), 1)
    same = np.array(offsets)[first] == np.array(offsets)[second]
    return float(np.where(same, correlation[first, second], -correlation[first, second]).mean())


def cost(done: Walk, wanted: Wanted, steps: int) -> float:
    """What CMA-ES makes small."""
    settled = slice(min(50, done.steps // 2), None)
    contacts, (roll, pitch, yaw) = done.contacts[settled], np.abs(done.angles[settled]).mean(axis=0)
    total = 6.0 * (1.0 - done.steps / steps)
    total += 2.0 * abs(done.speed_mps - wanted.speed_mps) / abs(wanted.speed_mps)
    total += 1.5 * (1.0 - coordination(contacts, OFFSETS[wanted.coordination]))
    total += 2.0 * float(np.abs(contacts.mean(axis=0) - wanted.duty).mean())
    total += 2.0 * (roll + yaw) + 1.0 * pitch
    total += 0.5 * abs(float(done.place[1])) / max(abs(float(done.place[0])), 0.5)
    return total + 0.001 * done.power_w


def turned(gait: Gait) -> Gait:
    """The same gait the other way along x: what lifted the feet in one half of a stride lifts them in the other."""
    fore, rear = (replace(pair, calf_phase=pair.calf_phase + np.pi) for pair in (gait.fore, gait.rear))
    balance = replace(gait.balance, yaw=-gait.balance.yaw, yaw_rate=-gait.balance.yaw_rate)
    return replace(gait, fore=fore, rear=rear, balance=balance)


def tuned(
    robot: Robot, wanted: Wanted, evaluations: int, seed: int = 1, start: Gait | None = None, steps: int = 300
) -> Gait:
    """A gait, after about so many evaluations from `start`, another gait, or a guess.

    Each evaluation is two walks of `steps` control steps.
    """
    import cma

    space = Space(wanted, not robot.is_planar)
    begin = np.zeros(len(space.names)) if start is None else space.vector(start)
    size, each = 12, 2
    bodies = [Body(robot) for _ in range(size * each)]
    options = {"seed": seed, "verbose": -9, "maxfevals": evaluations, "popsize": size}
    strategy, first = cma.CMAEvolutionStrategy(begin, 0.6 if start is None else 0.4, options), 0
    while not strategy.stop():
        vectors = strategy.ask()
        # New layouts each time: what is good on a few alone is left behind.
        layouts, first = [first + n for n in range(each)] * size, first + each
        gaits = [space.gait(vector) for vector in vectors for _ in range(each)]
        walks = walk(bodies, gaits, layouts, steps, NOISE)
        costs = np.array([cost(done, wanted, steps) for done in walks]).reshape(size, each).mean(axis=1)
        strategy.tell(vectors, costs.tolist())
    return space.gait(strategy.result.xfavorite)


def judged(robot: Robot, gait: Gait, wanted: Wanted, layouts: range, steps: int = 500) -> float:
    """The mean cost on these layouts, under noise."""
    walks = walk([Body(robot) for _ in layouts], [gait] * len(layouts), layouts, steps, NOISE)
    return float(np.mean([cost(done, wanted, steps) for done in walks]))

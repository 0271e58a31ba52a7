"""What the numbers of imported episodes look like: ranges, spikes, units that are probably wrong. Nothing is changed."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lwd_ros.contract import CommandScalar, Contract, ObservationScalar
from lwd_ros.dataset.demonstrations import DatasetError, Episode

_ROUNDING = 1e-6  # of a command's range: what a message of 32 bits rounds away
_SPIKE = 20.0  # times the usual step, there and back again, and ...
_SPIKE_RANGE = 0.05  # ... at least so much of the limits' range
_DEGREES_TURN = 2 * math.pi
_PERCENT = 100.0


@dataclass(frozen=True)
class Scalar:
    """One scalar over all imported episodes.

    `outside` is the share of values outside its limits, `clipped` that of commands that were clipped to them, `spikes`
    the number of single values far from both neighbours, `doubt` a sentence or "".
    """

    kind: str
    name: str
    unit: str
    limits: tuple[float, float]
    minimum: float
    maximum: float
    outside: float
    clipped: float
    spikes: int
    still: bool
    doubt: str

    def as_dict(self) -> dict:
        """As plain data."""
        return asdict(self) | {"limits": list(self.limits)}


def scalars(contract: Contract, episodes: Sequence[Episode], clipped: np.ndarray) -> list[Scalar]:
    """All scalars of a contract over episodes; `clipped` is the share of each command, float64 [commands]."""
    observed = [episode.observation for episode in episodes]
    commanded = [episode.action for episode in episodes]
    result = [
        _scalar("observation", each, [rows[:, place] for rows in observed], 0.0)
        for place, each in enumerate(contract.observation)
        if place != contract.age_place
    ]
    return result + [
        _scalar("command", each, [rows[:, place] for rows in commanded], float(clipped[place]))
        for place, each in enumerate(contract.command)
    ]


def _scalar(kind: str, each: ObservationScalar | CommandScalar, parts: list[np.ndarray], clipped: float) -> Scalar:
    values = np.concatenate(parts)
    low, high = float(values.min()), float(values.max())
    outside = float(((values < each.minimum) | (values > each.maximum)).mean())
    return Scalar(
        kind,
        each.name,
        each.unit,
        (each.minimum, each.maximum),
        low,
        high,
        outside,
        clipped,
        sum(_spikes(part, each.maximum - each.minimum) for part in parts),
        low == high,
        doubt_of(each.unit, each.minimum, each.maximum, low, high),
    )


def _spikes(values: np.ndarray, span: float) -> int:
    steps = np.diff(values)
    if len(steps) < 3:
        return 0
    large = max(_SPIKE * float(np.median(np.abs(steps))), _SPIKE_RANGE * span)
    back = (np.abs(steps[:-1]) > large) & (np.abs(steps[1:]) > large) & (steps[:-1] * steps[1:] < 0)
    return int(back.sum())


def doubt_of(unit: str, minimum: float, maximum: float, low: float, high: float) -> str:
    """Whether numbers from `low` to `high` are probably of another unit than their limits; a sentence or ""."""
    largest, limit = max(abs(low), abs(high)), max(abs(minimum), abs(maximum))
    found = f"found {low:.4g} to {high:.4g} under limits [{minimum:g}, {maximum:g}]"
    if unit in ("rad", "rad/s") and largest > 2 * limit and largest > _DEGREES_TURN:
        return f"{found} {unit}: degrees? `scale: 0.017453292519943295` in the binding mends them"
    if unit == "1" and limit <= 1.0 and 5.0 < largest <= 1.05 * _PERCENT and low > -1.0:
        return f"{found}: percent? `scale: 0.01` in the binding mends them"
    if unit == "m" and largest > 20 * limit:
        return f"{found} m: millimetres? `scale: 0.001` in the binding mends them"
    return ""


def limited(contract: Contract, episodes: dict[str, list[Episode]], clip: bool) -> tuple[dict, np.ndarray]:
    """Episodes whose actions are inside the contract's limits, and the share of each command that was clipped.

    What lies outside by a rounding of 32 bits is set to the limit in any case.

    Raises:
        DatasetError: actions are outside and `clip` is false: each command's minimum and maximum.
    """
    low, high = contract.command_limits
    actions = np.concatenate([episode.action for rows in episodes.values() for episode in rows])
    slack = _ROUNDING * (high - low)
    outside = (actions < low - slack) | (actions > high + slack)
    if outside.any() and not clip:
        sentences = []
        for place in np.flatnonzero(outside.any(axis=0)):
            scalar, values = contract.command[place], actions[:, place]
            doubt = doubt_of(scalar.unit, low[place], high[place], float(values.min()), float(values.max()))
            sentences.append(
                f"{scalar.name} {values.min():.4g} to {values.max():.4g} {scalar.unit}, expected {low[place]:g} to "
                f"{high[place]:g} ({100 * outside[:, place].mean():.2g} % of the rows"
                + (f"; {doubt.rpartition(': ')[0].rpartition(': ')[2] or doubt}" if doubt else "")
                + ")"
            )
        raise DatasetError(
            f"found actions outside the contract's limits: {'; '.join(sentences)}; nothing was written: widen the "
            "limits, mend the binding with scale and offset, or clip with --clip"
        )
    mended = {
        task: [
            Episode(
                each.observation, np.clip(each.action, low, high), each.layout, each.after, each.source
            )
            for each in rows
        ]
        for task, rows in episodes.items()
    }
    return mended, outside.mean(axis=0)

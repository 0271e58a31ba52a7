"""What the numbers of imported episodes look like: ranges, spikes, units that are probably wrong."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from lwd_ros.contract import CommandScalar, Contract, ObservationScalar
from lwd_ros.dataset.demonstrations import DatasetError, Episode

_ROUNDING = 1e-6  # of a command's range: what a message of 32 bits rounds away
_SPIKE = 20.0  # times the usual step, there and back again, and ...
_SPIKE_RANGE = 0.05  # ... at least so much of the limits' range
_DEGREES_TURN = 2 * math.pi
_PERCENT = 100.0
_WRAP = 0.75  # of a turn: what an angle jumps by at least where it is counted from -pi to pi, or from 0 to 2 pi


@dataclass(frozen=True)
class Scalar:
    """One scalar over all imported episodes.

    `outside` is the share of values outside its limits, `clipped` that of commands that were clipped to them, `spikes`
    the number of single values far from both neighbours, `jumps` the share of a command's steps that are larger than
    its slew allows in a period, `wraps` how often an angle jumps by about a turn, `doubt` a sentence or "".
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
    jumps: float
    wraps: int
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
        _scalar("observation", each, [rows[:, place] for rows in observed], 0.0, contract.period_s)
        for place, each in enumerate(contract.observation)
        if place != contract.age_place
    ]
    return result + [
        _scalar("command", each, [rows[:, place] for rows in commanded], float(clipped[place]), contract.period_s)
        for place, each in enumerate(contract.command)
    ]


def _scalar(
    kind: str, each: ObservationScalar | CommandScalar, parts: list[np.ndarray], clipped: float, period_s: float
) -> Scalar:
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
        _jumps(each, parts, period_s) if isinstance(each, CommandScalar) else 0.0,
        sum(_wraps(each.unit, part) for part in parts),
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


def _jumps(each: CommandScalar, parts: list[np.ndarray], period_s: float) -> float:
    steps = np.abs(np.concatenate([np.diff(part) for part in parts]))
    slack = _ROUNDING * (each.maximum - each.minimum)
    return float((steps > each.slew_per_s * period_s + slack).mean()) if steps.size else 0.0


def _wraps(unit: str, values: np.ndarray) -> int:
    """How often an angle jumps by about a turn between two rows."""
    steps = np.abs(np.diff(values))
    return (
        int(((steps > _WRAP * _DEGREES_TURN) & (steps < (2.0 - _WRAP) * _DEGREES_TURN)).sum()) if unit == "rad" else 0
    )


_TURNS = "observe its sine and cosine instead (`function: sin`, `function: cos`)"


def wrap_of(each: Scalar) -> str:
    """A sentence on an angle that jumps by a turn; ""."""
    if not each.wraps:
        return ""
    where = "" if each.kind == "observation" else ", and command what does not wrap, such as a velocity"
    return f"{each.name}: {each.wraps} steps of about a turn: an angle that wraps; {_TURNS}{where}"


def require_no_wrap(contract: Contract, episodes: dict[str, list[Episode]]) -> None:
    """Refuse measured angles as commands where they jump by a turn, for a robot would turn back; DatasetError."""
    for place, scalar in enumerate(contract.command):
        count = sum(_wraps(scalar.unit, each.action[:, place]) for members in episodes.values() for each in members)
        if count:
            raise DatasetError(
                f"{scalar.name}: found {count} steps of about a turn in what was measured, expected an angle that does "
                f"not wrap under --actions observed: {_TURNS} and command what does not wrap, such as a velocity; "
                "nothing was written"
            )


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
                f"{high[place]:g} ({100 * outside[:, place].mean():.3g} % of the rows"
                + (f"; {doubt.partition(': ')[2]}" if doubt else "")
                + ")"
            )
        raise DatasetError(
            f"found actions outside the contract's limits: {'; '.join(sentences)}; nothing was written: widen the "
            "limits, mend the binding with scale and offset, or clip with --clip"
        )
    mended = {
        task: [replace(each, action=np.clip(each.action, low, high)) for each in rows]
        for task, rows in episodes.items()
    }
    return mended, outside.mean(axis=0)

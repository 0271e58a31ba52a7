"""What a field can do with the numbers that it picks: reduce several to one, and shape one."""

import math
from collections.abc import Callable, Sequence

import numpy as np

ANGLES = ("yaw", "pitch", "roll")
REDUCING = (*ANGLES, "norm", "min", "max", "mean")
"""Functions of several numbers: of a rotation (x, y, z, w), of a vector (x, y and z), of an array."""
SHAPING = ("sin", "cos", "wrap")
"""Functions of one number, in rad."""

_TURN = 2.0 * math.pi


def yaw(x: float, y: float, z: float, w: float) -> float:
    """The turn about z, rad, of a rotation that turns about z, then the new y, then the new x (REP 103).

    Any norm above 0 does. Where the pitch is a right angle, yaw and roll are not determined.
    """
    return math.atan2(2.0 * (x * y + w * z), w * w + x * x - y * y - z * z)


def pitch(x: float, y: float, z: float, w: float) -> float:
    """The turn about y, rad in [-pi/2, pi/2]; see `yaw`. As exact at the ends as in the middle, unlike an arcsine."""
    level = math.hypot(2.0 * (x * y + w * z), w * w + x * x - y * y - z * z)
    return math.atan2(2.0 * (w * y - x * z), level)


def roll(x: float, y: float, z: float, w: float) -> float:
    """The turn about x, rad; see `yaw`."""
    return math.atan2(2.0 * (y * z + w * x), w * w - x * x - y * y + z * z)


ANGLE = {"yaw": yaw, "pitch": pitch, "roll": roll}


def norm(numbers: Sequence[float] | np.ndarray) -> float:
    """The Euclidean norm."""
    return math.hypot(*(numbers.tolist() if isinstance(numbers, np.ndarray) else numbers))


def _mean(numbers: np.ndarray) -> float:
    numbers = numbers[numbers == numbers]
    return float(numbers.mean()) if len(numbers) else math.nan


# Of float64 [n], n above 0; NaN counts only where there is nothing else, but for the norm.
ARRAY: dict[str, Callable[[np.ndarray], float]] = {
    "norm": norm,
    "min": np.fmin.reduce,
    "max": np.fmax.reduce,
    "mean": _mean,
}


def sin(angle: float) -> float:
    """The sine; NaN of an infinite angle."""
    return math.sin(angle) if math.isfinite(angle) else math.nan


def cos(angle: float) -> float:
    """The cosine; NaN of an infinite angle."""
    return math.cos(angle) if math.isfinite(angle) else math.nan


def wrap(angle: float) -> float:
    """The same angle in [-pi, pi), unchanged where it lies there; NaN of an infinite one."""
    if -math.pi <= angle < math.pi:
        return angle
    if not math.isfinite(angle):
        return math.nan
    turned = (angle + math.pi) % _TURN - math.pi
    return turned if turned < math.pi else -math.pi  # a hair below -pi rounds to pi


SHAPE = {"sin": sin, "cos": cos, "wrap": wrap}


def replacement(pairs: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """A function that gives the second number of the first pair whose first it is handed, else what it is handed."""
    of_nan = next((new for old, new in pairs if old != old), None)
    others = {old: new for old, new in reversed(pairs) if old == old}

    def replaced(number: float) -> float:
        if number != number:
            return number if of_nan is None else of_nan
        return others.get(number, number)

    return replaced


def replaced_in(numbers: np.ndarray, pairs: Sequence[tuple[float, float]]) -> np.ndarray:
    """`replacement` of every number of an array; a number is replaced once."""
    if not pairs:
        return numbers
    result = numbers.copy()
    for old, new in reversed(pairs):
        result[numbers != numbers if old != old else numbers == old] = new
    return result


def finish(field, reduced: bool) -> Callable[[float], float] | None:
    """What comes after picking (and reducing, where `reduced`) one number: replace, scale, shape, clip; or None."""
    steps: list[Callable[[float], float]] = []
    if field.replace and not reduced:
        steps.append(replacement(field.replace))
    if field.scale != 1.0 or field.offset != 0.0:
        scale, offset = field.scale, field.offset
        steps.append(lambda number: scale * number + offset)
    if field.shaping:
        steps.append(SHAPE[field.shaping])
    if field.clip:
        minimum, maximum = field.minimum, field.maximum
        steps.append(lambda number: minimum if number < minimum else maximum if number > maximum else number)
    if len(steps) < 2:
        return steps[0] if steps else None

    def all_steps(number: float) -> float:
        for step in steps:
            number = step(number)
        return number

    return all_steps


def finish_array(field) -> Callable[[np.ndarray], np.ndarray] | None:
    """`finish` for the numbers of a vector, float64 [size] to float64 [size]; None: nothing to do."""
    one = finish(field, reduced=False)
    if one is None:
        return None
    if field.shaping:
        return lambda numbers: np.array([one(number) for number in numbers.tolist()])

    def finished(numbers: np.ndarray) -> np.ndarray:
        numbers = replaced_in(numbers, field.replace)
        if field.scale != 1.0 or field.offset != 0.0:
            numbers = field.scale * numbers + field.offset
        return np.clip(numbers, field.minimum, field.maximum) if field.clip else numbers

    return finished

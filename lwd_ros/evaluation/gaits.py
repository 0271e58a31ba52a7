"""How like its teacher a robot goes: which feet are on the floor together, how far it comes, whether it stays up.

Pure functions of what episodes counted. Contacts are counts of patterns: of n feet there are 2**n, foot k adds 2**k to
the number of a pattern.
"""

from collections.abc import Sequence

import numpy as np

from lwd_ros.evaluation.ways import js_distance

_DRAWS = 1000
_QUANTILES = (0.025, 0.975)


def pattern_names(feet: Sequence[str]) -> tuple[str, ...]:
    """Each pattern by the feet that are on the floor in it, "FL+RR"; "none" for the first."""
    numbers = range(2 ** len(feet))
    return tuple(
        "+".join(foot for place, foot in enumerate(feet) if number >> place & 1) or "none" for number in numbers
    )


def contact_distance(policies: np.ndarray, teachers: np.ndarray, seed: int = 0) -> dict:
    """The Jensen-Shannon distance of two joint distributions of foot contacts, and the floor of finite samples.

    Every step of every episode counts the same.

    Args:
        policies: numbers [episodes, patterns], steps that an episode spent in each pattern.
        teachers: numbers [episodes, patterns], of the teacher; not all 0, as those of the policies.
        seed: of the bootstrap over episodes.

    Returns:
        `js_distance`, the root of the divergence to base 2; `interval`, 95 %, of what as many episodes give on average;
        `floor`, the mean distance of the teacher to itself in as many episodes.
    """
    policies, teachers = np.asarray(policies, dtype=np.float64), np.asarray(teachers, dtype=np.float64)
    distance = float(js_distance(policies.sum(axis=0), teachers.sum(axis=0)))
    rng = np.random.default_rng(seed)
    here, there, itself = (_again(rows, rng) for rows in (policies, teachers, teachers))
    spread, floor = js_distance(here, there), js_distance(_again(teachers, rng, len(policies)), itself)
    low, high = np.quantile(spread, _QUANTILES) + (distance - spread.mean())
    return {
        "js_distance": distance,
        "interval": (max(0.0, float(low)), min(1.0, float(high))),
        "floor": float(floor.mean()),
    }


def _again(rows: np.ndarray, rng: np.random.Generator, number: int | None = None) -> np.ndarray:
    """float64 [draws, patterns]: counts of so many episodes drawn again from `rows`; None: as many as there are."""
    number = len(rows) if number is None else number
    return rng.multinomial(number, np.full(len(rows), 1.0 / len(rows)), size=_DRAWS) @ rows


def return_ratio(policies: Sequence[float], teachers: Sequence[float], seed: int = 0) -> dict:
    """The mean return of policies over that of their teacher, in the same layouts.

    Args:
        policies, teachers: returns, one for each layout, in the same order; the teacher's mean is above 0.
        seed: of the bootstrap over layouts.

    Returns:
        `ratio` and its 95 % `interval`.
    """
    ours, theirs = np.asarray(policies, dtype=np.float64), np.asarray(teachers, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(ours), size=(_DRAWS, len(ours)))
    low, high = np.quantile(ours[drawn].mean(axis=1) / theirs[drawn].mean(axis=1), _QUANTILES)
    return {"ratio": float(ours.mean() / theirs.mean()), "interval": (float(low), float(high))}

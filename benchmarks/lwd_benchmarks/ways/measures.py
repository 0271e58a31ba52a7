"""How often methods succeed and which ways they go: training seeds pooled, intervals over layouts, paired differences.

Training seeds share layouts. So a layout, with all seeds that met it, is what chance draws: intervals are a bootstrap
over layouts, and a difference of two methods is of the same layouts each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lwd_benchmarks.statistics import Pooled
from lwd_ros.evaluation.ways import centred, coverage, drawn, js_distance, mode_entropy

_DRAWS = 2000


@dataclass(frozen=True)
class Gone:
    """The ways of one task's episodes.

    Attributes:
        names: of all ways of the task.
        frequencies: float64 [layouts, ways]: how often each should be gone in each layout; rows add up to 1, or are 0
            where a layout allows no way.
        ways: of each training seed, of each layout: the way that was gone, None where the episode failed, and '' where
            it succeeded by none of the names.
    """

    names: tuple[str, ...]
    frequencies: np.ndarray
    ways: Sequence[Sequence[str | None]]

    @property
    def layouts(self) -> int:
        """Their number."""
        return len(self.frequencies)

    @cached_property
    def successes(self) -> np.ndarray:
        """float64 [layouts]: how many of the seeds succeeded."""
        return np.array([[way is not None for way in row] for row in self.ways], dtype=np.float64).sum(axis=0)

    @cached_property
    def counts(self) -> np.ndarray:
        """float64 [layouts, ways]: how many of the seeds went each."""
        places, counts = {name: place for place, name in enumerate(self.names)}, np.zeros(self.frequencies.shape)
        for row in self.ways:
            for layout, way in enumerate(row):
                if way in places:
                    counts[layout, places[way]] += 1.0
        counts[~self.frequencies.any(axis=1)] = 0.0  # a layout that allows no way says nothing of ways
        return counts

    @cached_property
    def wanted(self) -> np.ndarray:
        """float64 [layouts, ways]: `counts` of one who goes each way just as often as it should."""
        return self.counts.sum(axis=1, keepdims=True) * self.frequencies

    def perfect(self, draws: int = _DRAWS) -> np.ndarray:
        """int64 [draws, ways]: `counts` over all layouts of perfect samplers, in the episodes that succeeded."""
        each = np.repeat(self.frequencies, self.counts.sum(axis=1).astype(int), axis=0)
        return drawn(each, np.random.default_rng(0), draws)

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """float64 [draws] each, where a layout counts as often as `weights` [draws, layouts] say.

        Distance and entropy are NaN where nothing succeeded.
        """
        counts, wanted = weights @ self.counts, weights @ self.wanted
        success = weights @ self.successes / (weights.sum(axis=1) * len(self.ways))
        went = counts.sum(axis=1) > 0
        found = {"success": success, **{key: np.full(len(weights), np.nan) for key in ("js_distance", "entropy")}}
        found["js_distance"][went] = js_distance(counts[went], wanted[went])
        found["entropy"][went] = mode_entropy(counts[went])
        return found


def resampled(layouts: int, draws: int = _DRAWS, seed: int = 0) -> np.ndarray:
    """int64 [draws, layouts]: how often each layout is in each resample; the same arguments give the same."""
    return np.random.default_rng(seed).multinomial(layouts, np.full(layouts, 1.0 / layouts), size=draws)


def _all(tasks: Mapping[str, Gone], draws: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Figures as they are and resampled, each the mean of the tasks', which count the same."""
    once = [each.figures(np.ones((1, each.layouts))) for each in tasks.values()]
    again = [each.figures(resampled(each.layouts, draws, place)) for place, each in enumerate(tasks.values())]
    keys = tuple(once[0])
    return (
        {key: float(np.mean([each[key][0] for each in once])) for key in keys},
        {key: np.mean([each[key] for each in again], axis=0) for key in keys},
    )


def pooled(tasks: Mapping[str, Gone], draws: int = _DRAWS) -> dict:
    """What a row says of all its seeds, each task counting the same.

    Returns:
        `success`, `js_distance`, `entropy`, each with an `..._interval`, 95 %, and the counts. `js_expected`,
        `entropy_expected`, `coverage_expected`: what perfect samplers have in as many episodes. `js_over_floor`: the
        distance over that. None where a task had no success at all.
    """
    estimate, again = _all(tasks, draws)
    went = [each.counts.sum(axis=0) for each in tasks.values()]
    successes = int(sum(each.successes.sum() for each in tasks.values()))
    episodes = sum(each.layouts * len(each.ways) for each in tasks.values())
    count = Pooled(successes, episodes, sum(each.layouts for each in tasks.values()))
    result: dict = {
        "successes": count.successes,
        "episodes": count.episodes,
        "layouts": count.layouts,
        "success": count.rate,
        "success_interval": count.interval,  # a bootstrap of successes alone has no width
        "unknown": int(sum((each.successes.sum() - each.counts.sum()) for each in tasks.values())),
        "ways": {task: _named(each.names, counts) for (task, each), counts in zip(tasks.items(), went, strict=True)},
    }
    keys = ("js_distance", "js_interval", "js_expected", "js_over_floor", "entropy", "entropy_interval")
    result |= dict.fromkeys((*keys, "entropy_expected", "coverage", "coverage_expected"))
    if all(counts.any() for counts in went):
        perfect = [each.perfect() for each in tasks.values()]
        reference = [each.wanted.sum(axis=0) for each in tasks.values()]
        pairs = list(zip(perfect, reference, strict=True))
        floor = _floor(tasks)
        result |= {
            "js_distance": estimate["js_distance"],
            "js_interval": _centred(estimate["js_distance"], again["js_distance"]),
            "js_expected": floor,
            "js_over_floor": estimate["js_distance"] / floor if floor > 0 else None,
            "entropy": estimate["entropy"],
            "entropy_interval": _centred(estimate["entropy"], again["entropy"]),
            "entropy_expected": float(np.mean([mode_entropy(counts).mean() for counts, _ in pairs])),
            "coverage": float(np.mean([coverage(c, w) for c, w in zip(went, reference, strict=True)])),
            "coverage_expected": float(np.mean([coverage(counts, wanted).mean() for counts, wanted in pairs])),
        }
    return result


def difference(first: Mapping[str, Gone], second: Mapping[str, Gone], draws: int = _DRAWS) -> dict:
    """`first` minus `second`, of the same tasks and layouts: success and distance, with 95 % intervals.

    From each distance that of a perfect sampler in as many episodes is taken first: one who succeeds less often, or was
    trained by fewer seeds, has fewer episodes with ways, and would look further away by that alone. The distance's are
    None where one of the two had no success in some task.
    """
    (one, ones), (other, others) = _all(first, draws), _all(second, draws)
    success = one["success"] - other["success"]
    result = {"success": success, "success_interval": _quantiles(ones["success"] - others["success"]),
              "js_excess": None, "js_interval": None}  # fmt: skip
    distance = one["js_distance"] - other["js_distance"]
    if np.isfinite(distance):
        result["js_excess"] = excess = float(distance - (_floor(first) - _floor(second)))
        result["js_interval"] = _centred(excess, ones["js_distance"] - others["js_distance"], (-1.0, 1.0))
    return result


def _floor(tasks: Mapping[str, Gone]) -> float:
    """The distance of perfect samplers in as many episodes."""
    return float(np.mean([js_distance(each.perfect(), each.wanted.sum(axis=0)).mean() for each in tasks.values()]))


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _centred(estimate: float, values: np.ndarray, limits: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float]:
    finite = values[np.isfinite(values)]  # a resample without any success has no distance
    return centred(estimate, finite, limits) if len(finite) else limits


def _named(names: Sequence[str], counts: np.ndarray) -> dict[str, int]:
    """Ways that were gone."""
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

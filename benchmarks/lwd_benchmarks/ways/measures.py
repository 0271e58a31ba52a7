"""How often methods succeed and which ways they go: training seeds pooled, intervals over layouts, paired differences.

Training seeds share layouts. So a layout, with all seeds that met it, is what chance draws: intervals are a bootstrap
over layouts, and a difference of two methods is of the same layouts each time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import binomtest

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
        """float64 [seeds, layouts, ways]: 1 where a seed went a way."""
        places = {name: place for place, name in enumerate(self.names)}
        counts = np.zeros((len(self.ways), *self.frequencies.shape))
        for seed, row in enumerate(self.ways):
            for layout, way in enumerate(row):
                if way in places:
                    counts[seed, layout, places[way]] = 1.0
        counts[:, ~self.frequencies.any(axis=1)] = 0.0  # a layout that allows no way says nothing of ways
        return counts

    @cached_property
    def wanted(self) -> np.ndarray:
        """float64 [seeds, layouts, ways]: `counts` of one who goes each way just as often as it should."""
        return self.counts.sum(axis=2, keepdims=True) * self.frequencies

    @cached_property
    def perfect(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each seed with a success int64 [draws, ways], the counts of perfect samplers, and float64 [ways], wanted.

        In the episodes that succeeded.
        """
        found = []
        for counts, wanted in zip(self.counts, self.wanted, strict=True):
            each = np.repeat(self.frequencies, counts.sum(axis=1).astype(int), axis=0)
            if len(each):
                found.append((drawn(each, np.random.default_rng(0), _DRAWS), wanted.sum(axis=0)))
        return found

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """float64 [draws] each, where a layout counts as often as `weights` [draws, layouts] say.

        Distance and entropy are means over the seeds, and NaN where none succeeded. The seeds' episodes are not thrown
        together: what a method draws by the policy's seed, which training seeds share, is drawn once and not three
        times.
        """
        counts, wanted = weights @ self.counts, weights @ self.wanted  # [seeds, draws, ways]
        success = weights @ self.successes / (weights.sum(axis=1) * len(self.ways))
        went = counts.sum(axis=2) > 0
        each = {key: np.full(went.shape, np.nan) for key in ("js_distance", "entropy")}
        each["js_distance"][went] = js_distance(counts[went], wanted[went])
        each["entropy"][went] = mode_entropy(counts[went])
        some, found = went.any(axis=0), {"success": success}
        for key, values in each.items():
            found[key] = np.full(len(weights), np.nan)
            found[key][some] = np.nanmean(values[:, some], axis=0)
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
        distance over that. Distances, entropies and coverages are means over training seeds, success is of all
        episodes. None where a task had no success at all.
    """
    estimate, again = _all(tasks, draws)
    went = [each.counts.sum(axis=(0, 1)) for each in tasks.values()]
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
        floor = _floor(tasks)
        result |= {
            "js_distance": estimate["js_distance"],
            "js_interval": _centred(estimate["js_distance"], again["js_distance"]),
            "js_expected": floor,
            "js_over_floor": estimate["js_distance"] / floor if floor > 0 else None,
            "entropy": estimate["entropy"],
            "entropy_interval": _centred(estimate["entropy"], again["entropy"]),
            "entropy_expected": _expected(tasks, lambda counts, _: mode_entropy(counts)),
            "coverage": float(np.mean([_coverage(each) for each in tasks.values()])),
            "coverage_expected": _expected(tasks, coverage),
        }
    return result


def difference(first: Mapping[str, Gone], second: Mapping[str, Gone], draws: int = _DRAWS) -> dict:
    """`first` minus `second`, of the same tasks and layouts: success and distance, with 95 % intervals.

    `success_p` is that of an exact sign test of the layouts in which one of them succeeds in a larger share of its
    seeds: where failures are rare, a bootstrap's interval excludes 0 too easily.

    From each distance that of a perfect sampler in as many episodes is taken first: one who succeeds less often, or was
    trained by fewer seeds, has fewer episodes with ways, and would look further away by that alone. The distance's are
    None where one of the two had no success in some task.
    """
    (one, ones), (other, others) = _all(first, draws), _all(second, draws)
    success = one["success"] - other["success"]
    result = {"success": success, "success_interval": _quantiles(ones["success"] - others["success"]),
              "success_p": _sign_test(first, second), "js_excess": None, "js_interval": None}  # fmt: skip
    distance = one["js_distance"] - other["js_distance"]
    if np.isfinite(distance):
        result["js_excess"] = excess = float(distance - (_floor(first) - _floor(second)))
        result["js_interval"] = _centred(excess, ones["js_distance"] - others["js_distance"], (-1.0, 1.0))
    return result


def _sign_test(first: Mapping[str, Gone], second: Mapping[str, Gone]) -> float:
    """Two-sided."""
    gains = np.concatenate(
        [
            first[task].successes / len(first[task].ways) - second[task].successes / len(second[task].ways)
            for task in first
        ]
    )
    apart = np.abs(gains) > 1e-9
    return float(binomtest(int((gains[apart] > 0).sum()), int(apart.sum())).pvalue) if apart.any() else 1.0


def _floor(tasks: Mapping[str, Gone]) -> float:
    """The distance of perfect samplers in as many episodes."""
    return _expected(tasks, js_distance)


def _expected(tasks: Mapping[str, Gone], measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """A measure of perfect samplers' counts [draws, ways] and what is wanted [ways]: the mean over seeds and tasks."""
    return float(np.mean([np.mean([measure(*both).mean() for both in each.perfect]) for each in tasks.values()]))


def _coverage(task: Gone) -> float:
    """Of the seeds with a success, the mean share of ways that were gone."""
    seeds = [both for both in zip(task.counts.sum(axis=1), task.wanted.sum(axis=1), strict=True) if both[0].any()]
    return float(np.mean([coverage(*both) for both in seeds]))


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _centred(estimate: float, values: np.ndarray, limits: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float]:
    finite = values[np.isfinite(values)]  # a resample without any success has no distance
    return centred(estimate, finite, limits) if len(finite) else limits


def _named(names: Sequence[str], counts: np.ndarray) -> dict[str, int]:
    """Ways that were gone."""
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

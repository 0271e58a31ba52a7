"""How episodes cover the ways of a task: mode entropy, distance to the demonstrations, coverage, commitment.

Pure functions of ways that were taken and of how often each was to be. Ways of episodes that failed do not count:
success is reported beside.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest, entropy

_DRAWS = 2000
_QUANTILES = (0.025, 0.975)


def mode_entropy(counts: np.ndarray | Sequence[float]) -> np.ndarray:
    """Entropy of how often each way was taken over that of all ways alike: 0 for one way, 1 for all alike.

    Args:
        counts: numbers [..., ways], of every way of the task, also those that nobody went; two at least, not all 0.

    Returns:
        float64 [...].
    """
    values = np.asarray(counts, dtype=np.float64)
    return entropy(values, axis=-1) / np.log(values.shape[-1])


def js_distance(counts: np.ndarray | Sequence[float], reference: np.ndarray | Sequence[float]) -> np.ndarray:
    """Jensen-Shannon distance, the root of the divergence to base 2: 0 for the same shares, 1 for no way in common.

    Both are numbers [..., ways]; returns float64 [...].
    """
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(jensenshannon(counts, reference, base=2, axis=-1))  # NaN: the root of -1e-17


def coverage(counts: np.ndarray | Sequence[float], reference: np.ndarray | Sequence[float]) -> np.ndarray:
    """Share of the ways in `reference` [ways] that were taken at least once, by `counts` [..., ways]; float64 [...]."""
    return (np.asarray(counts)[..., np.asarray(reference) > 0] > 0).mean(axis=-1)


def drawn(frequencies: np.ndarray, rng: np.random.Generator, draws: int = _DRAWS) -> np.ndarray:
    """int64 [draws, ways]: how often each way is taken by one who goes each exactly as often as it should.

    Args:
        frequencies: float64 [episodes, ways], of each episode's layout; every row adds up to 1.
        rng: draws one way an episode.
        draws: how many times all episodes are drawn.
    """
    counts = np.zeros((draws, frequencies.shape[1]), dtype=np.int64)
    rows, times = np.unique(frequencies, axis=0, return_counts=True)
    for row, number in zip(rows, times, strict=True):
        counts += rng.multinomial(number, row / row.sum(), size=draws)
    return counts


def measured(ways: Sequence[str], gone: Sequence[str], frequencies: np.ndarray, seed: int = 0) -> dict:
    """What a result says of the ways of one task's successful episodes.

    Args:
        ways: names of all ways.
        gone: of each successful episode, one of them; at least one episode.
        frequencies: float64 [episodes, ways]: how often each should be taken in each of these episodes' layouts.
        seed: of the draws.

    Returns:
        `counts` by way; `entropy`, `js_distance` and `coverage`, each with an `..._expected`: the mean for a perfect
        sampler in as many episodes, to which finite samples are the floor; `js_over_floor`, the distance over that;
        `js_floor_high`, which one of 40 perfect samplers exceeds; `entropy_interval` and `js_interval`, 95 %, by a
        bootstrap over episodes, of what such samples of as many episodes give on average: so they are to be compared
        with `..._expected`, and not with 1 and 0; `unknown`: episodes whose way is none of `ways`, which count nowhere
        else.
    """
    places = {way: place for place, way in enumerate(ways)}
    known = np.array([way in places for way in gone], dtype=bool)
    went = np.array([places[way] for way in gone if way in places], dtype=np.int64)
    frequencies = np.asarray(frequencies, dtype=np.float64)[known]
    if not len(went):
        return {"counts": {}, "unknown": int((~known).sum())}
    rng = np.random.default_rng(seed)
    reference, each = frequencies.mean(axis=0), np.eye(len(ways))[went]
    counts, perfect = each.sum(axis=0), drawn(frequencies, rng)
    floors, distance, spread = js_distance(perfect, reference), js_distance(counts, reference), mode_entropy(counts)
    times = rng.multinomial(len(went), np.full(len(went), 1 / len(went)), size=_DRAWS)  # each episode in each sample
    again = times @ each
    distances, spreads = js_distance(again, times @ frequencies), mode_entropy(again)
    return {
        "counts": {way: int(count) for way, count in zip(ways, counts, strict=True) if count},
        "unknown": int((~known).sum()),
        "entropy": float(spread),
        "entropy_interval": centred(float(spread), spreads),
        "entropy_expected": float(mode_entropy(perfect).mean()),
        "js_distance": float(distance),
        "js_interval": centred(float(distance), distances),
        "js_expected": float(floors.mean()),
        "js_floor_high": float(np.quantile(floors, _QUANTILES[1])),
        "js_over_floor": float(distance / floors.mean()) if floors.mean() > 0 else None,
        "coverage": float(coverage(counts, reference)),
        "coverage_expected": float(coverage(perfect, reference).mean()),
    }


def centred(estimate: float, bootstrapped: np.ndarray, limits: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float]:
    """The bootstrap's 95 % quantiles about the estimate, cut off at `limits`.

    Resampling adds to a distance once more what sampling had added: so their middle is moved to the estimate.
    """
    low, high = np.quantile(bootstrapped, _QUANTILES) + (estimate - bootstrapped.mean())
    return max(limits[0], float(low)), min(limits[1], float(high))


def commitment(runs: Sequence[Sequence[str]]) -> dict:
    """Whether each policy goes one way, wherever it starts and whatever pushes it.

    Args:
        runs: of each policy the ways of its runs, '' for one that failed.

    Returns:
        `committed`: share of the policies all of whose successful runs went one way; of those with two such runs at
        least, which are the `policies`. `interval`, Wilson's 95 %. `agreement`: mean share of a policy's successful
        runs that went its commonest way. `success`: share of all runs that did not fail. None where there is nothing.
    """
    kept = [[way for way in each if way] for each in runs]
    several = [each for each in kept if len(each) > 1]
    total = sum(map(len, runs))
    result: dict = {
        "policies": len(several),
        "success": sum(map(len, kept)) / total if total else None,
        "committed": None,
        "interval": None,
        "agreement": None,
    }
    if several:
        number = sum(len(set(each)) == 1 for each in several)
        interval = binomtest(number, len(several)).proportion_ci(0.95, method="wilson")
        result["committed"] = number / len(several)
        result["interval"] = (float(interval.low), float(interval.high))
        result["agreement"] = float(
            np.mean([max(each.count(way) for way in set(each)) / len(each) for each in several])
        )
    return result


def in_layouts(shares: dict[str, float], ways: Sequence[str], open_ways: Sequence[Sequence[str]]) -> np.ndarray:
    """float64 [layouts, ways]: how often each way should be gone where a layout allows some, as `WayDraw` has it.

    A row of a layout that allows none of them is 0 throughout.
    """
    rows = np.array([[shares.get(way, 0.0) * (way in allowed) for way in ways] for allowed in open_ways])
    sums = rows.sum(axis=1, keepdims=True)
    return np.divide(rows, sums, out=np.zeros_like(rows), where=sums > 0)

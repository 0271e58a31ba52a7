"""Counts of episodes and their intervals; parameters at equal success.

Training seeds share layouts, so an interval counts layouts and not episodes: three seeds on the same fifty layouts know
fifty. It is Wilson's for the pooled rate and so many layouts: wide enough whatever seeds have in common.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import norm

EXACT, AT_MOST, MORE_THAN = "exact", "at most", "more than"
_Z = float(norm.ppf(0.975))


def wilson(rate: float, number: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a rate, 0 to 1, among a number of independent trials."""
    scale = 1 + _Z**2 / number
    middle = (rate + _Z**2 / (2 * number)) / scale
    half = _Z / scale * sqrt(rate * (1 - rate) / number + _Z**2 / (4 * number**2))
    return (0.0 if rate == 0 else max(0.0, middle - half)), (1.0 if rate == 1 else min(1.0, middle + half))


@dataclass(frozen=True)
class Pooled:
    """Successes out of episodes, on so many layouts: pairs of a task and a layout, however many seeds met each."""

    successes: int
    episodes: int
    layouts: int

    def __add__(self, other: "Pooled") -> "Pooled":
        """With episodes on other layouts."""
        sums = ((getattr(self, key) + getattr(other, key)) for key in ("successes", "episodes", "layouts"))
        return Pooled(*sums)

    @property
    def failures(self) -> int:
        """Episodes without success."""
        return self.episodes - self.successes

    @property
    def rate(self) -> float:
        """Success rate, 0 to 1."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate. It knows chance in layouts, not how much training seeds differ."""
        return wilson(self.rate, self.layouts)


def total(counts: Iterable[Pooled]) -> Pooled:
    """The sum of counts on different layouts."""
    return sum(counts, Pooled(0, 0, 0))


@dataclass(frozen=True)
class Curve:
    """Success against policy parameters, never falling: the closest such curve, weighted by episodes.

    Attributes:
        parameters: sizes that were measured, ascending.
        success: isotonic fit at each of them, 0 to 1.
    """

    parameters: tuple[int, ...]
    success: tuple[float, ...]

    @classmethod
    def fit(cls, points: Iterable[tuple[int, float, float]]) -> "Curve":
        """Of (parameters, success, episodes); points of one size are pooled.

        More parameters do not make a policy worse in principle; a measured fall is noise or training.
        """
        sums: dict[int, np.ndarray] = {}
        for size, success, weight in points:
            sums[size] = sums.get(size, 0) + np.array([success * weight, weight])
        sizes = sorted(sums)
        successes, weights = np.array([sums[size] for size in sizes]).T
        fit = isotonic_regression(successes / weights, weights=weights).x
        # Averages of equal rates may differ in the last bit, which would make a plateau a slope.
        return cls(tuple(sizes), tuple(np.round(fit, 12).tolist()))

    @property
    def best(self) -> float:
        """The highest success."""
        return self.success[-1]

    def needed(self, success: float) -> "Reached":
        """The fewest parameters at which it reaches `success`, linear in log(parameters) between sizes."""
        place = next((i for i, value in enumerate(self.success) if value >= success), None)
        if place is None:
            return Reached(self.parameters[-1], MORE_THAN, self.parameters[-1:])
        if place == 0:
            return Reached(self.parameters[0], AT_MOST, self.parameters[:1])
        between = self.parameters[place - 1 : place + 1]
        below, above = self.success[place - 1 : place + 1]
        if success == above:
            return Reached(between[1], sizes=between[1:])  # exactly: a logarithm would miss it in the last bit
        share = (success - below) / (above - below)
        return Reached(float(np.exp(np.log(between[0]) + share * np.log(between[1] / between[0]))), sizes=between)


@dataclass(frozen=True)
class Reached:
    """The parameters that a method needs for some success.

    Attributes:
        parameters: their number, or the smallest or largest size that was measured.
        bound: EXACT; AT_MOST where the smallest size reaches it already; MORE_THAN where the largest does not.
        sizes: that were measured, from which it is read.
    """

    parameters: float
    bound: str = EXACT
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What two methods need for one success: the one that should need few parameters, and the other."""

    success: float
    small: Reached
    large: Reached

    @classmethod
    def of(cls, small: Curve, large: Curve, success: float | None = None) -> "Comparison":
        """At `success`; None: at the highest success that both reach."""
        success = min(small.best, large.best) if success is None else success
        return cls(success, small.needed(success), large.needed(success))

    @property
    def ratio(self) -> float:
        """Parameters of `large` over those of `small`; what it means is said by `relation`."""
        return self.large.parameters / self.small.parameters

    @property
    def relation(self) -> str:
        """`=`; `>=` or `<=` where the true ratio is bounded from one side; `?` where no bound follows."""
        at_least = self.small.bound == AT_MOST or self.large.bound == MORE_THAN
        at_most = self.small.bound == MORE_THAN or self.large.bound == AT_MOST
        return {(False, False): "=", (True, False): ">=", (False, True): "<=", (True, True): "?"}[at_least, at_most]

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest ratio that the bounds leave possible."""
        low = self.ratio if self.relation in ("=", ">=") else 0.0
        return low, self.ratio if self.relation in ("=", "<=") else np.inf


def bootstrap(strata: Sequence[np.ndarray], draws: int = 1000) -> Iterable[np.ndarray]:
    """Success of each row in so many resamplings of layouts, the same ones for all rows.

    Args:
        strata: a task each, float64 [rows, layouts]: the share of training seeds that succeeded. Tasks are not drawn.
        draws: resamplings; the same arguments give the same.
    """
    random = np.random.default_rng(0)
    layouts = sum(shares.shape[1] for shares in strata)
    for _ in range(draws):
        drawn = (shares[:, random.integers(shares.shape[1], size=shares.shape[1])].sum(axis=1) for shares in strata)
        yield sum(drawn) / layouts


def percentiles(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The 95 % interval of what is known as the least and the largest value of each resampling."""
    low, high = zip(*ranges, strict=True)
    return float(np.quantile(low, 0.025, method="lower")), float(np.quantile(high, 0.975, method="higher"))

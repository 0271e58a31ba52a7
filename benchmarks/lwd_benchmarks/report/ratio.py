"""How many times fewer policy parameters one method needs than another at equal success."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from lwd_benchmarks.report.pooling import Count

EXACT, AT_MOST, MORE_THAN = "exact", "at most", "more than"


@dataclass(frozen=True)
class Curve:
    """Success against policy parameters, never falling.

    Attributes:
        parameters: sizes that were measured, ascending.
        success: isotonic fit at each of them, 0 to 1.
    """

    parameters: tuple[int, ...]
    success: tuple[float, ...]

    @property
    def best(self) -> float:
        """The highest success."""
        return self.success[-1]


@dataclass(frozen=True)
class Reached:
    """The parameters that a method needs for some success.

    Attributes:
        parameters: their number, or the smallest or largest size that was measured.
        bound: EXACT; AT_MOST where the smallest size reaches it already; MORE_THAN where the largest does not.
    """

    parameters: float
    bound: str = EXACT


@dataclass(frozen=True)
class Comparison:
    """What two methods need for one success.

    Attributes:
        success: at which they are compared, 0 to 1.
        small, large: the method that should need few parameters, and the other one.
    """

    success: float
    small: Reached
    large: Reached

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


def isotonic_curve(points: Iterable[tuple[int, Count]]) -> Curve:
    """Fit (parameters, count) pairs by the closest success that never falls with size, weighted by episodes.

    More parameters do not make a policy worse in principle; where they do in a measurement, it is noise or training.
    Equal sizes are pooled first. Raises ValueError where there is no point.
    """
    pooled: dict[int, Count] = {}
    for parameters, count in points:
        pooled[parameters] = pooled.get(parameters, Count(0, 0)) + count
    if not pooled:
        raise ValueError("no point to fit")
    sizes = sorted(pooled)
    rates = [pooled[size].rate for size in sizes]
    fit = isotonic_regression(rates, weights=[pooled[size].episodes for size in sizes]).x
    # Averages of equal rates may differ in the last bit, which would make a plateau a slope.
    return Curve(tuple(sizes), tuple(np.round(fit, 12).tolist()))


def needed(curve: Curve, success: float) -> Reached:
    """The fewest parameters at which the curve reaches `success`, linear in log(parameters) between sizes."""
    place = next((i for i, value in enumerate(curve.success) if value >= success), None)
    if place is None:
        return Reached(curve.parameters[-1], MORE_THAN)
    if place == 0:
        return Reached(curve.parameters[0], AT_MOST)
    (low, high), (below, above) = curve.parameters[place - 1 : place + 1], curve.success[place - 1 : place + 1]
    if success == above:
        return Reached(high)  # exactly: a logarithm and back would miss it in the last bit
    share = (success - below) / (above - below)
    return Reached(float(np.exp(np.log(low) + share * np.log(high / low))))


def compare(small: Curve, large: Curve, success: float | None = None) -> Comparison:
    """What both need for `success`; None: for the highest success that both reach."""
    if success is None:
        success = min(small.best, large.best)
    return Comparison(success, needed(small, success), needed(large, success))


def compare_policy(parameters: int, success: float, large: Curve) -> Comparison:
    """One policy of known size and success against the curve of the other method."""
    return Comparison(success, Reached(parameters), needed(large, success))

"""Pins counts and intervals, and parameters at equal success."""

import numpy as np
import pytest
from lwd_benchmarks.report.page import ratio
from lwd_benchmarks.statistics import (
    AT_MOST,
    EXACT,
    MORE_THAN,
    Comparison,
    Curve,
    Pooled,
    Reached,
    bootstrap,
    percentiles,
    total,
    wilson,
)

from lwd_ros.evaluation.evaluate import wilson_interval


def test_wilson_interval_by_hand():
    # (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964, p = 0.9, n = 100
    count = total([Pooled(45, 50, 50), Pooled(45, 50, 50)])
    assert count == Pooled(90, 100, 100)
    assert count.interval == pytest.approx((0.825634, 0.944771), abs=1e-6)


@pytest.mark.parametrize("successes", [0, 1, 37, 49, 50])
def test_wilson_interval_is_that_of_evaluations(successes):
    assert wilson(successes / 50, 50) == pytest.approx(wilson_interval(successes, 50), abs=1e-12)


def test_intervals_count_layouts_and_not_episodes():
    # 500/(500 + z²): three seeds that never fail on 500 layouts know 500 layouts
    assert Pooled(1500, 1500, 500).interval == (pytest.approx(0.992376, abs=1e-6), 1.0)
    assert Pooled(1500, 1500, 1500).interval[0] > 0.997


def curve(*pairs):
    return Curve.fit((size, successes / 100, 100) for size, successes in pairs)


def test_isotonic_fit_pools_what_falls_weighted_by_episodes():
    found = Curve.fit([(100, 0.5, 100), (1000, 0.9, 100), (10000, 0.7, 300)])
    assert found == Curve((100, 1000, 10000), (0.5, 0.75, 0.75))


def test_equal_sizes_are_one_point():
    assert curve((100, 50), (100, 70), (200, 80)) == Curve((100, 200), (0.6, 0.8))


def test_needed_is_linear_in_the_logarithm():
    found = curve((100, 50), (10000, 90))
    assert found.needed(0.7).parameters == pytest.approx(1000) and found.needed(0.7).bound == EXACT
    assert found.needed(0.7).sizes == (100, 10000) and found.needed(0.9).sizes == (10000,)
    assert found.needed(0.5) == Reached(100, AT_MOST, (100,))
    assert found.needed(0.95) == Reached(10000, MORE_THAN, (10000,))


def test_ratio_where_both_reach():
    found = Comparison.of(curve((100, 60), (1000, 80)), curve((1000, 60), (100000, 100)))
    assert found.success == 0.8 and found.relation == "="
    assert (found.small.parameters, found.large.parameters) == pytest.approx((1000, 10000))
    assert ratio(found) == "10" and found.range == (found.ratio, found.ratio)


def test_ratio_where_the_large_one_never_reaches():
    lwd, mlp = curve((100, 60), (1000, 100)), curve((500, 40), (50000, 80))
    shared = Comparison.of(lwd, mlp)
    assert shared.success == 0.8 and shared.relation == "="
    assert shared.ratio == pytest.approx(50000 / 10**2.5)
    bound = Comparison.of(lwd, mlp, lwd.best)
    assert bound.large.bound == MORE_THAN and bound.small.parameters == pytest.approx(1000)
    assert bound.relation == ">=" and ratio(bound) == "≥ 50" and bound.range == (50.0, np.inf)


def test_ratio_where_the_large_one_stays_below_the_smallest():
    found = Comparison.of(curve((100, 90), (1000, 95)), curve((500, 40), (50000, 80)))
    assert found.success == 0.8 and found.small.bound == AT_MOST and found.large.parameters == 50000
    assert ratio(found) == "≥ 500"


def test_ratio_where_the_smallest_large_one_reaches_already():
    found = Comparison.of(curve((100, 60), (1000, 80)), curve((500, 85), (50000, 90)))
    assert found.large.bound == AT_MOST and found.relation == "<=" and ratio(found) == "≤ 0.50"
    assert found.range == (0.0, 0.5)


def test_single_points_bound_nothing():
    found = Comparison.of(curve((100, 80)), curve((1000, 80)))
    assert found.relation == "?" and ratio(found) == "–" and found.range == (0.0, np.inf)  # noqa: RUF001


def test_ratio_on_data_that_falls():
    lwd = curve((100, 60), (1000, 90), (2000, 80))
    assert lwd.success == (0.6, 0.85, 0.85)
    found = Comparison.of(lwd, curve((100, 40), (10000, 85)))
    assert found.success == 0.85 and found.ratio == pytest.approx(10) and found.relation == "="


def test_a_bootstrap_draws_the_same_layouts_for_all_and_keeps_the_tasks():
    first, second = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0] * 4, [0.0] * 4])
    drawn = np.array(list(bootstrap([first, second], draws=300)))
    assert drawn.shape == (300, 2) and np.allclose(drawn[:, 0] - drawn[:, 1], 4 / 6)
    assert set(np.round(drawn[:, 0] * 6)) == {4.0, 5.0, 6.0}
    assert np.array_equal(drawn, np.array(list(bootstrap([first, second], draws=300))))


def test_percentiles_take_bounds_for_what_they_are():
    assert percentiles([(1.0, 1.0)] * 90 + [(2.0, np.inf)] * 10) == (1.0, np.inf)
    assert percentiles([(float(n), float(n)) for n in range(1001)]) == (25.0, 975.0)

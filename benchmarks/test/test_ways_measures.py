"""Pins what is said of ways: seeds pooled, intervals over layouts, differences on the same layouts."""

import numpy as np
import pytest
from lwd_benchmarks.ways.measures import Gone, difference, pooled, resampled

WAYS = ("a", "b", "c", "d")
LAYOUTS = 400
EVEN = np.full((LAYOUTS, 4), 0.25)


def gone(*seeds, frequencies=EVEN) -> dict[str, Gone]:
    return {"task": Gone(WAYS, frequencies, seeds)}


def drawn(seed: int, shares=(0.25, 0.25, 0.25, 0.25), success=1.0) -> list[str | None]:
    rng = np.random.default_rng(seed)
    ways = rng.choice(WAYS, size=LAYOUTS, p=shares).tolist()
    return [way if kept else None for way, kept in zip(ways, rng.random(LAYOUTS) < success, strict=True)]


def test_a_perfect_sampler_is_at_the_floor_and_one_way_alone_is_far_from_it():
    perfect = pooled(gone(drawn(0), drawn(1), drawn(2)))
    assert perfect["successes"] == perfect["episodes"] == 3 * LAYOUTS and perfect["layouts"] == LAYOUTS
    assert perfect["js_over_floor"] < 2.0 and perfect["entropy"] > 0.99 and perfect["coverage"] == 1.0
    low, high = perfect["js_interval"]
    assert low < perfect["js_distance"] < high < 0.1
    one = pooled(gone(["a"] * LAYOUTS))
    assert one["entropy"] == 0.0 and one["coverage"] == 0.25 and one["ways"] == {"task": {"a": LAYOUTS}}
    assert one["js_distance"] == pytest.approx(np.sqrt(0.5 * (np.log2(1.6) + 0.25 * np.log2(0.25 / 0.625) + 0.75)))


def test_layouts_are_what_chance_draws_however_many_seeds_met_them():
    """Three seeds that do the same know no more than one; three that differ know more of the ways."""
    alone, same = pooled(gone(drawn(0, success=0.8))), pooled(gone(*[drawn(0, success=0.8)] * 3))
    assert same["episodes"] == 3 * alone["episodes"]
    assert same["success_interval"] == pytest.approx(alone["success_interval"])
    assert np.ptp(same["js_interval"]) == pytest.approx(np.ptp(alone["js_interval"]))
    several = pooled(gone(*[drawn(seed, success=0.8) for seed in range(3)]))
    assert np.ptp(several["js_interval"]) < 0.8 * np.ptp(alone["js_interval"])


def test_failures_and_unknown_ways_count_for_success_alone():
    ways = ["a", None, "", "b"] * (LAYOUTS // 4)
    found = pooled(gone(ways))
    assert (found["success"], found["unknown"]) == (0.75, LAYOUTS // 4)
    assert found["ways"] == {"task": {"a": LAYOUTS // 4, "b": LAYOUTS // 4}}
    rare = pooled(gone(["a"] + [None] * (LAYOUTS - 1)), draws=1)  # a resample may have none of it
    assert rare["js_interval"][0] <= rare["js_distance"] <= rare["js_interval"][1]
    nothing = pooled(gone([None] * LAYOUTS))
    assert nothing["success"] == 0.0 and nothing["js_distance"] is nothing["entropy"] is nothing["js_expected"] is None


def test_layouts_that_allow_other_ways_ask_for_other_frequencies():
    open_ways = EVEN.copy()
    open_ways[: LAYOUTS // 2] = [0.5, 0.5, 0.0, 0.0]
    rng = np.random.default_rng(0)
    went = [str(rng.choice(WAYS, p=row)) for row in open_ways]
    assert pooled(gone(went, frequencies=open_ways))["js_over_floor"] < 2.0
    assert pooled(gone(went))["js_over_floor"] > 2.0
    open_ways[0] = 0.0  # allows none
    found = pooled(gone(went, frequencies=open_ways))
    assert found["successes"] == LAYOUTS and found["unknown"] == 1


def test_a_difference_is_of_the_same_layouts():
    """Where two methods fail on the same layouts, the difference of their successes is known better than each rate."""
    hard = drawn(5, success=0.5)
    one, other = gone(hard), gone([None if place < 20 else way for place, way in enumerate(hard)])
    found = difference(one, other)
    assert 0 < found["success_interval"][0] < found["success"] < found["success_interval"][1] < 0.06
    strangers = difference(one, gone(drawn(6, success=0.475)))
    assert np.ptp(strangers["success_interval"]) > 2 * np.ptp(found["success_interval"])
    assert difference(one, one)["success_interval"] == (0.0, 0.0)
    assert difference(one, gone([None] * LAYOUTS))["js_interval"] is None


def test_a_difference_of_ways_excludes_0_where_one_goes_others():
    fair, skewed = gone(drawn(0), drawn(1)), gone(drawn(2, shares=(0.7, 0.1, 0.1, 0.1)))
    found = difference(fair, skewed)
    assert found["js_interval"][1] < 0 < found["success_interval"][1] + 1e-9
    both = difference(fair, gone(drawn(3), drawn(4)))
    assert both["js_interval"][0] < 0 < both["js_interval"][1]


def test_who_succeeds_less_often_by_the_same_ways_is_not_further_away():
    """Fewer episodes with ways are further from any frequencies by chance; that is not held against a method."""
    often, seldom = gone(*map(drawn, range(3))), gone(drawn(7, success=0.15))
    found = difference(often, seldom)
    assert pooled(seldom)["js_distance"] > 2 * pooled(often)["js_distance"]
    assert found["js_interval"][0] < 0 < found["js_interval"][1] and found["success_interval"][0] > 0.7


def test_tasks_count_the_same_and_resamples_are_the_same_for_all():
    few = {"one": Gone(WAYS, EVEN[:10], [["a"] * 10]), "other": Gone(WAYS, EVEN, [[None] * LAYOUTS])}
    other = {"one": Gone(WAYS, EVEN[:10], [["a"] * 10]), "other": Gone(WAYS, EVEN, [["a"] * LAYOUTS])}
    assert difference(few, other)["success"] == pytest.approx(-0.5)
    assert np.array_equal(resampled(7, 5, 1), resampled(7, 5, 1)) and (resampled(7, 5).sum(axis=1) == 7).all()

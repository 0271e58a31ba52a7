"""Pins the measures of ways against what is known of them: the even, the one-sided, the perfect, the finite sample."""

import numpy as np
import pytest

from lwd_ros.evaluation.ways import commitment, coverage, drawn, in_layouts, js_distance, measured, mode_entropy

WAYS = tuple("abcd")


def test_entropy_is_one_for_all_alike_and_zero_for_one():
    assert mode_entropy([5, 5, 5, 5]) == pytest.approx(1.0) and mode_entropy([0, 9, 0, 0]) == 0.0
    assert mode_entropy([1, 1, 0, 0]) == pytest.approx(0.5)
    assert mode_entropy([1] * 4 + [0] * 20) == pytest.approx(np.log(4) / np.log(24))


def test_distance_is_the_root_of_the_divergence_to_base_two():
    assert js_distance([1, 0], [0, 1]) == pytest.approx(1.0) and js_distance([3, 1], [0.75, 0.25]) == pytest.approx(0.0)
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    middle = 0.5 * (p + q)
    kl = [sum(a * np.log2(a / m) for a, m in zip(each, middle, strict=True) if a > 0) for each in (p, q)]
    assert js_distance([2, 2, 0], q) == pytest.approx(np.sqrt(0.5 * sum(kl)))


def test_coverage_counts_the_ways_that_are_wanted():
    assert coverage([3, 0, 1, 5], [0.5, 0.4, 0.1, 0.0]) == pytest.approx(2 / 3)


def test_a_perfect_sampler_meets_the_floor_and_another_does_not():
    frequencies = np.tile([0.4, 0.3, 0.2, 0.1], (300, 1))
    ratios = []
    for seed in range(12):
        gone = np.random.default_rng(seed).choice(WAYS, 300, p=frequencies[0])
        found = measured(WAYS, gone, frequencies)
        ratios.append(found["js_over_floor"])
        assert found["coverage"] == 1.0 and sum(found["counts"].values()) == 300
    assert (
        0.7 < np.mean(ratios) < 1.3 and np.mean(np.array(ratios) * found["js_expected"] > found["js_floor_high"]) < 0.2
    )
    even = measured(WAYS, list(WAYS) * 75, frequencies)
    assert even["entropy"] == pytest.approx(1.0) and even["entropy_expected"] < 0.95
    assert even["js_over_floor"] > 4 and even["js_interval"][0] > even["js_floor_high"]
    single = measured(WAYS, ["a"] * 300, frequencies)
    assert (single["entropy"], single["coverage"], single["counts"]) == (0.0, 0.25, {"a": 300})


def test_intervals_hold_what_they_say():
    """Of samplers whose shares are known, about 19 of 20 intervals hold what they give on average."""
    truth, reference = np.array([0.55, 0.25, 0.15, 0.05]), np.tile([0.25] * 4, (200, 1))
    samples, held = drawn(np.tile(truth, (200, 1)), np.random.default_rng(99)), []
    distance, spread = js_distance(samples, reference[0]).mean(), mode_entropy(samples).mean()
    for seed in range(30):
        gone = np.random.default_rng(seed).choice(WAYS, 200, p=truth)
        found = measured(WAYS, gone, reference, seed)
        (low, high), (lowest, highest) = found["js_interval"], found["entropy_interval"]
        held.append((low <= distance <= high, lowest <= spread <= highest))
        assert low <= found["js_distance"] <= high and lowest <= found["entropy"] <= highest
    assert (np.mean(held, axis=0) > 0.85).all()


def test_layouts_that_allow_less_are_counted_as_such():
    open_ways = [WAYS, ("b", "c"), ("c", "d"), ()]
    rows = in_layouts({"a": 0.5, "b": 0.3, "c": 0.2}, WAYS, open_ways)
    assert np.allclose(rows, [[0.5, 0.3, 0.2, 0.0], [0.0, 0.6, 0.4, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0] * 4])
    counts = drawn(rows[[0, 1, 1, 2]], np.random.default_rng(0), 4000)
    assert counts.shape == (4000, 4) and (counts.sum(axis=1) == 4).all() and (counts[:, 2] >= 1).all()
    assert np.allclose(counts.mean(axis=0), [0.5, 0.3 + 1.2, 0.2 + 0.8 + 1.0, 0.0], atol=0.05)
    found = measured(WAYS, ["a", "b", "c", "c"], rows[[0, 1, 1, 2]])
    assert found["coverage"] == 1.0


def test_a_way_that_nobody_knows_is_told_apart():
    found = measured(WAYS, ["a", "", "b", "z"], np.full((4, 4), 0.25))
    assert found["unknown"] == 2 and found["counts"] == {"a": 1, "b": 1}
    assert measured(WAYS, [""], np.full((1, 4), 0.25)) == {"counts": {}, "unknown": 1}


def test_commitment_asks_each_policy_apart():
    found = commitment([["a", "a", "a"], ["b", "b", ""], ["a", "b", "a"], ["", "", "c"]])
    assert (found["policies"], found["committed"]) == (3, pytest.approx(2 / 3))
    assert found["agreement"] == pytest.approx((1 + 1 + 2 / 3) / 3) and found["success"] == pytest.approx(9 / 12)
    assert found["interval"][0] < 2 / 3 < found["interval"][1]
    assert commitment([]) == {"policies": 0, "success": None, "committed": None, "interval": None, "agreement": None}

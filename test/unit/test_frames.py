"""Pins the vector that policies read: which frames stand in it, which ages, and what begins it anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import AGE, GAP_PERIODS, Contract, Frames, stacked

PERIOD_NS = 10_000_000
LONGEST_S = 0.05


def contract_of(history: int, scalars: int = 2, age: bool = False) -> Contract:
    content = {
        "name": "arm",
        "period_s": 1e-9 * PERIOD_NS,
        "history": history,
        "observation": {f"x{place}": {"unit": "m", "limits": [-1, 1]} for place in range(scalars)},
        "command": {"v": {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 1}},
    }
    contract = Contract.from_dict(content)
    return contract.with_age(LONGEST_S) if age else contract


def vectors(frames: Frames, rows, stamps, now=None) -> np.ndarray:
    result = []
    for row, stamp, answered in zip(rows, stamps, stamps if now is None else now, strict=True):
        frames.push(row, stamp)
        result.append(frames.vector(answered).copy())
    return np.array(result)


@given(history=st.integers(1, 8), scalars=st.integers(1, 4), steps=st.integers(1, 40), seed=st.integers(0, 9))
def test_an_episode_is_stacked_at_once_as_one_by_one(history, scalars, steps, seed):
    contract = contract_of(history, scalars)
    rows = np.random.default_rng(seed).normal(size=(steps, scalars))
    found = vectors(Frames(contract), rows, PERIOD_NS * np.arange(steps))
    assert found.shape == (steps, contract.vector_size)
    # Said a third time, as a sentence would: oldest first, and the first stands for what was before it.
    said = [np.concatenate([rows[max(0, step - back)] for back in range(history)][::-1]) for step in range(steps)]
    np.testing.assert_array_equal(found, said)
    np.testing.assert_array_equal(stacked(contract, rows), said)


@given(
    history=st.integers(1, 8),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 9)), min_size=1, max_size=40),
    seed=st.integers(0, 9),
)
def test_rows_with_their_ages_need_only_be_stacked(history, steps, seed):
    """Whatever is late and however often one frame is answered: each row keeps the age that it was answered with."""
    contract = contract_of(history, age=True)
    stamps = PERIOD_NS * np.cumsum([ahead for ahead, _ in steps])
    now = stamps + [PERIOD_NS * late for _, late in steps]
    rows = np.random.default_rng(seed).normal(size=(len(steps), contract.frame_size))
    found = vectors(Frames(contract), rows, stamps.tolist(), now.tolist())
    rows[:, contract.age_place] = np.clip([1e-9 * PERIOD_NS * late for _, late in steps], 0.0, LONGEST_S)
    np.testing.assert_allclose(found, stacked(contract, rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("age", [False, True])
@pytest.mark.parametrize("history", [2, 3, 8])
def test_a_gap_and_a_stamp_that_goes_back_begin_anew(history, age):
    contract = contract_of(history, scalars=1, age=age)
    frames, n = Frames(contract), contract.frame_size

    def seen(value: float, stamp: int) -> list[float]:
        frames.push(np.full(n, value), stamp)
        return frames.vector(stamp)[::n].tolist()

    gap = GAP_PERIODS * PERIOD_NS
    assert set(seen(1.0, 0)) == {1.0}
    assert seen(2.0, gap)[-2:] == [1.0, 2.0]
    assert seen(3.0, gap)[-2:] == [2.0, 3.0]  # the same stamp again is another frame
    assert set(seen(4.0, 2 * gap + 1)) == {4.0}
    assert seen(5.0, 2 * gap + 2)[-2:] == [4.0, 5.0]
    assert set(seen(6.0, 2 * gap + 1)) == {6.0}
    assert seen(7.0, 2 * gap + 3)[-2:] == [6.0, 7.0]
    frames.reset()
    assert set(seen(8.0, 2 * gap + 4)) == {8.0}


@pytest.mark.parametrize("history", [1, 3])
def test_the_age_is_cut_off_and_its_whole_is_told_beside(history):
    contract = contract_of(history, age=True)
    frames = Frames(contract)
    assert np.isnan(frames.age_s)
    given_frame = np.array([1.0, 2.0, 0.5])
    for late_ns, told in ((20_000_000, 0.02), (80_000_000, LONGEST_S), (-5_000_000, 0.0)):
        frames.push(given_frame, 10**9)
        assert frames.vector(10**9 + late_ns)[contract.age_places[-1]] == told
        assert frames.age_s == 1e-9 * late_ns
    assert given_frame[2] == 0.5, "who gave the frame still has it as it was"
    if history == 3:
        assert frames.vector(10**9)[list(contract.age_places)].tolist() == [0.02, LONGEST_S, 0.0]


def test_a_first_frame_has_one_age_wherever_it_stands():
    contract = contract_of(3, age=True)
    frames = Frames(contract)
    frames.push(np.zeros(3), 0)
    frames.vector(10_000_000)
    assert frames.vector(20_000_000)[list(contract.age_places)].tolist() == [0.02] * 3
    frames.push(np.zeros(3), PERIOD_NS)
    assert frames.vector(PERIOD_NS)[list(contract.age_places)].tolist() == [0.02, 0.02, 0.0]


def test_one_frame_without_age_is_handed_through():
    frames, frame = Frames(contract_of(1)), np.zeros(2)
    frames.push(frame, 0)
    assert frames.vector(10**9) is frame


def test_vectors_are_read_without_copies_at_any_time():
    """What the control path reads is a part of one array, however long it runs."""
    frames = Frames(contract_of(3))
    bases = set()
    for step in range(20):
        frames.push(np.full(2, step), PERIOD_NS * step)
        vector = frames.vector(0)
        bases.add(id(vector.base if vector.base.base is None else vector.base.base))
        assert vector.flags.c_contiguous
    assert len(bases) == 1


def test_a_contract_names_what_policies_read():
    contract = contract_of(3, age=True)
    assert (contract.frame_size, contract.vector_size) == (3, 9)
    assert contract.vector_names[:4] == ("x0@-2", "x1@-2", f"{AGE}@-2", "x0@-1")
    assert contract.vector_names[6:] == contract.observation_names == ("x0", "x1", AGE)
    assert contract.age_places == (2, 5, 8) and contract_of(3).age_places == ()
    one = contract.with_history(1)
    assert one.vector_names == one.observation_names and one.vector_size == one.frame_size == 3
    with pytest.raises(ValueError, match=r"history: found 9, expected 1 to 8"):
        contract.with_history(9)


def test_the_history_is_part_of_the_digest_and_survives_the_way_through_a_file():
    digests = {contract_of(history).digest for history in range(1, 9)}
    assert len(digests) == 8
    for history in (1, 3):
        contract = contract_of(history)
        again = Contract.from_dict(contract.meaning())
        assert again == contract and again.history == history
        assert contract.differences(contract.with_history(8)) == ["history"]
        assert contract.with_age(0.1).history == history

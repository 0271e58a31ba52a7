"""Pins how observations are put together from messages of several streams, and when they cannot be trusted."""

import numpy as np
import pytest
from control_support import PERIOD, STREAMS, Feeder, control_contract, vector_of
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.control import ObservationAssembler, StreamError

# Same stamp


@given(st.permutations(range(STREAMS)))
def test_same_stamp_completes_in_any_order_with_the_last_message(order):
    feeder = Feeder(ObservationAssembler(control_contract()))
    results = [feeder.message(stream, 3) for stream in order]
    assert results[:-1] == [None] * (STREAMS - 1)
    assert results[-1].stamp_ns == 3 * PERIOD
    assert results[-1].vector.tolist() == vector_of(3).tolist()


@given(st.permutations([(stream, stamp) for stamp in range(1, 6) for stream in range(STREAMS)]))
def test_interleaved_stamps_never_mix_and_never_go_back(messages):
    feeder, done = Feeder(ObservationAssembler(control_contract())), []
    for stream, stamp in messages:
        observation = feeder.message(stream, stamp)
        if observation is not None:
            done.append(observation.stamp_ns // PERIOD)
            assert observation.vector.tolist() == vector_of(done[-1]).tolist()
    assert done == sorted(set(done))
    # The stamp whose last message comes first is complete at once; the newest is never lost.
    last_seen = {stamp: max(i for i, (_, s) in enumerate(messages) if s == stamp) for stamp in range(1, 6)}
    assert done[0] == min(last_seen, key=last_seen.get)
    assert done[-1] == 5


def test_late_messages_are_dropped_and_the_newest_stamp_can_be_asked_for_again():
    feeder = Feeder(ObservationAssembler(control_contract()))
    feeder.message(0, 1)
    assert feeder.observation(2) is not None
    assert [feeder.message(stream, 1) for stream in range(STREAMS)] == [None] * STREAMS
    again = feeder.observation(2)
    assert (again.stamp_ns, again.vector.tolist()) == (2 * PERIOD, vector_of(2).tolist())
    assert feeder.observation(3).stamp_ns == 3 * PERIOD


def test_lost_messages_do_not_pile_up():
    feeder = Feeder(ObservationAssembler(control_contract()))
    for stamp in range(1, 1000):
        assert feeder.message(0, stamp) is None
    assert feeder.message(1, 1) is None
    assert [feeder.message(stream, 1) for stream in range(2, STREAMS)] == [None] * (STREAMS - 2)  # forgotten long ago
    feeder.now = 20.0
    found = [feeder.message(stream, 999) for stream in range(1, STREAMS)]
    assert found[-1].vector.tolist() == vector_of(999).tolist()


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_non_finite_values_and_wrong_frames_never_enter_an_observation(sync):
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    for bad in (np.nan, np.inf, -np.inf):
        vector = vector_of(1)
        vector[1] = bad
        with pytest.raises(StreamError, match="hand/pose: found a non-finite hand_y, expected a finite number"):
            feeder.message(0, 1, vector)
    with pytest.raises(StreamError, match="goal: found frame_id 'map', expected 'base'"):
        feeder.message(4, 1, frame_id="map")
    assert feeder.assembler.missing(0.0) == [f"{s.topic}: nothing received" for s in feeder.assembler.streams]
    assert feeder.observation(1).vector.tolist() == vector_of(1).tolist()


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_a_clock_that_jumps_back_starts_the_assembly_anew(sync):
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    assert feeder.observation(10_000) is not None
    found = [feeder.observation(stamp) for stamp in range(1, 8)]
    assert found[:3] == [None] * 3  # of one message in three another clock may be the sender
    first = next(observation for observation in found if observation)
    assert first.stamp_ns in (4 * PERIOD, 5 * PERIOD)
    assert first.vector.tolist() == vector_of(first.stamp_ns // PERIOD).tolist()  # nothing of stamp 10,000 is in it
    assert found[-1].stamp_ns == 7 * PERIOD


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
@pytest.mark.parametrize("apart", [24, 2400, 300_000, -24, -2400])
@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_of_two_clocks_that_come_in_turns_the_first_counts(sync, apart, every):
    """Two robots on one topic, 0.3 s to an hour apart, the other one at the same rate or a fraction of it."""
    feeder, found = Feeder(ObservationAssembler(control_contract(sync=sync))), []
    feeder.now = 1.0
    for stamp in range(5000, 5200):
        feeder.now += 0.00625
        found.append(feeder.observation(stamp))
        feeder.now += 0.00625
        if stamp % every == 0:
            found.append(feeder.observation(stamp + apart))
    stamps = [observation.stamp_ns // PERIOD for observation in found if observation]
    assert stamps == list(range(5000, 5200))
    left_out, received = feeder.assembler.take_left_out()["hand/pose"]
    assert (left_out, received) == (len(found) - 200, len(found))
    assert feeder.assembler.take_left_out()["hand/pose"] == (0, 0)


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
@pytest.mark.parametrize("apart", [2400, -2400])
def test_the_other_clock_counts_once_the_first_is_silent(sync, apart):
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    for stamp in range(5000, 5050):
        feeder.now += 0.0125
        assert feeder.observation(stamp) is not None
        assert feeder.observation(stamp + apart) is None
    found = []
    for stamp in range(5050, 5070):
        feeder.now += 0.0125
        found.append(feeder.observation(stamp + apart))
    assert [observation.stamp_ns // PERIOD for observation in found[5:]] == [s + apart for s in range(5055, 5070)]


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_a_stream_that_pauses_or_is_simulated_fast_is_no_other_clock(sync):
    """Ahead as far as time has passed, or as a fresh stream may be: answered at once."""
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync, stale=[0.5] * STREAMS)))
    stamp = 5000
    for step, passed in ((1, 0.0125), (400, 5.0), (1, 0.0125), (40, 0.001), (1, 0.0001), (30, 0.0)):
        stamp, feeder.now = stamp + step, feeder.now + passed
        assert feeder.observation(stamp) is not None


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_one_observation_of_another_clock_is_left_behind(sync):
    """One from the future: what is stamped as before goes on as if nothing had been."""
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    for stamp in range(1, 10):
        feeder.now += 0.0125
        assert feeder.observation(stamp) is not None
    assert feeder.observation(9 + 2400) is None
    found = []
    for stamp in range(10, 20):
        feeder.now += 0.0125
        found.append(feeder.observation(stamp))
        assert feeder.assembler.fault(feeder.now) == ""
    assert [observation.stamp_ns // PERIOD for observation in found] == list(range(10, 20))


def test_after_a_jump_latest_waits_until_every_stream_has_delivered_again():
    feeder = Feeder(ObservationAssembler(control_contract(sync="latest")))
    assert feeder.observation(10_000) is not None
    assert [feeder.message(0, stamp) for stamp in range(1, 10)] == [None] * 9  # the others' values are from before it


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_a_clock_that_is_set_back_a_little_and_stays_back_starts_the_assembly_anew(sync):
    """As a lock-step simulator that was restarted early, which repeats its first stamp until it is answered."""
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    assert feeder.observation(3) is not None
    found = []
    for _ in range(6):
        feeder.now += 0.04
        found.append(feeder.observation(1))
    assert found[:3] == [None] * 3
    assert found[-1].stamp_ns == PERIOD


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_late_messages_between_newer_ones_set_nothing_back(sync):
    feeder = Feeder(ObservationAssembler(control_contract(sync=sync)))
    for stamp in range(3, 60):
        feeder.now = stamp * PERIOD * 1e-9
        assert feeder.observation(stamp).stamp_ns == stamp * PERIOD
        assert feeder.message(1, stamp - 2) is None
        assert not feeder.assembler.incomplete
        if sync == "latest":
            assert feeder.message(0, stamp) is not None  # the others' values are still there


def test_a_clock_that_jumps_back_before_anything_was_complete_does_not_block_what_follows():
    # A stream that starts late leaves incomplete stamps behind; a simulation that is reset meanwhile counts from 0.
    feeder = Feeder(ObservationAssembler(control_contract()))
    for stamp in range(10_000, 10_020):
        for stream in range(STREAMS - 1):
            feeder.message(stream, stamp)
    found = [feeder.observation(stamp) for stamp in range(1, 8)]
    assert [observation.stamp_ns for observation in found[-2:]] == [6 * PERIOD, 7 * PERIOD]


# Latest


def test_latest_is_paced_by_the_first_stream():
    feeder = Feeder(ObservationAssembler(control_contract(sync="latest")))
    assert feeder.message(0, 1) is None  # the others have not delivered anything
    for stream in range(1, STREAMS):
        assert feeder.message(stream, 1) is None
    assert feeder.message(0, 2).stamp_ns == 2 * PERIOD
    assert feeder.message(1, 3, vector_of(7)) is None
    observation = feeder.message(0, 4)
    expected = vector_of(1)
    expected[:3], expected[3] = vector_of(4)[:3], vector_of(7)[3]
    assert (observation.stamp_ns, observation.vector.tolist()) == (4 * PERIOD, expected.tolist())


def test_latest_accepts_a_stream_that_is_always_behind_the_pace():
    # A camera's poses are stamped at exposure and come 100 ms later, when the arm has sent eight newer stamps.
    feeder = Feeder(ObservationAssembler(control_contract(sync="latest", stale=[0.1, 0.1, 0.1, 0.1, 0.1])))
    feeder.observation(100)
    for stamp in range(101, 140):
        feeder.now += 0.0125
        for stream in range(1, STREAMS):
            feeder.message(stream, stamp - 8)
        assert feeder.message(0, stamp) is not None
        assert feeder.assembler.fault(feeder.now) == ""
    assert feeder.message(0, 140).vector[4] == vector_of(131)[4]
    assert feeder.message(2, 125) is None  # late even for its own stream
    assert feeder.message(0, 141).vector[4] == vector_of(131)[4]


def test_latest_observations_do_not_change_when_the_next_one_arrives():
    feeder = Feeder(ObservationAssembler(control_contract(sync="latest")))
    observation = feeder.observation(1)
    feeder.observation(2)
    assert observation.vector.tolist() == vector_of(1).tolist()


# Faults of observations


def test_missing_names_each_stream_and_why():
    feeder = Feeder(ObservationAssembler(control_contract()))
    feeder.message(0, 1)
    feeder.now = 0.25
    assert feeder.assembler.missing(0.25)[:2] == ["hand/pose: silent for 0.25 s", "gripper/state: nothing received"]
    assert "gripper/state: nothing received" in feeder.assembler.fault(0.25)


def test_fault_is_empty_while_observations_are_fresh_and_names_differing_stamps():
    feeder = Feeder(ObservationAssembler(control_contract()))
    feeder.observation(1)
    assert feeder.assembler.fault(0.1) == ""
    assert feeder.assembler.fault(0.11).startswith("hand/pose: silent for 0.11 s; gripper/state: silent")
    feeder.now = 0.11
    for stream in range(STREAMS):
        feeder.message(stream, 2 + stream)
    assert feeder.assembler.missing(0.11) == []
    assert feeder.assembler.fault(0.11) == (
        "no complete observation for more than 0.1 s, though every stream delivers: stamps differ (hand/pose 0.0250 s, "
        "goal 0.0750 s, 50.000 ms apart); where they are not measured together, write `sync: latest` in the contract"
    )


def test_a_slow_pace_with_latest_is_no_fault():
    feeder = Feeder(ObservationAssembler(control_contract(sync="latest", stale=[0.5, 0.05, 0.05, 0.05, 0.05])))
    feeder.observation(1)
    feeder.now = 0.2
    for stream in range(1, STREAMS):
        feeder.message(stream, 17)
    assert feeder.assembler.fault(0.2) == ""
    feeder.now = 0.51
    for stream in range(1, STREAMS):
        feeder.message(stream, 40)
    assert feeder.assembler.fault(0.51) == "hand/pose: silent for 0.51 s"

"""Pins what stamps and times mean to the controller: repetitions, frozen clocks, holds, bunches, and slew."""

import functools

import numpy as np
import pytest
from control_support import PERIOD, STREAMS, Feeder, constant, control_contract, offer, started, tick, vector_of
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.control import ControllerCore, Observation, Outcome, TickStatistics


@pytest.fixture
def start(make_policy):
    """A function: (core, feeder) that have run a policy for three ticks; see control_support.started."""
    return functools.partial(started, make_policy)


@pytest.fixture
def held_in_simulation(start):
    """(core, feeder, answer): holds since the simulator paused after `answer`, and it goes on now."""
    core, feeder = start(simulated_time=True)
    answer = core.tick(Observation(vector_of(3), 3 * PERIOD), feeder.now)
    core.watch(feeder.now + 0.11)
    assert core.mode.outcome is Outcome.HOLD
    feeder.now += 0.12
    return core, feeder, answer


def test_a_repeated_stamp_is_answered_again_and_is_not_a_tick(start):
    core, feeder = start()
    core.take_statistics()
    last = core.tick(Observation(vector_of(3), 3 * PERIOD), feeder.now)
    again = core.tick(Observation(vector_of(99), 3 * PERIOD), feeder.now + 0.05)  # the answer stands, whatever is asked
    assert (again.vector.tolist(), again.stamp_ns) == (last.vector.tolist(), last.stamp_ns)
    assert not again.is_tick
    assert core.take_statistics() == TickStatistics()


def test_one_stamp_is_not_answered_for_ever(start):
    """A sensor whose clock stands still delivers, but nothing says that what it delivers is new."""
    core, feeder = start()
    feeder.now += 0.9
    assert tick(core, feeder, 3).stamp_ns == 3 * PERIOD
    feeder.now += 0.2
    assert tick(core, feeder, 3).stamp_ns == 0
    assert (core.mode.outcome, core.mode.reason) == (
        Outcome.HOLD,
        "hand/pose: one stamp for 1.1 s: does its clock stand still?",
    )


@pytest.mark.parametrize("simulated", [False, True])
def test_one_stamp_is_not_answered_for_ever_by_a_timer(start, simulated):
    core, feeder = start(simulated_time=simulated)
    for _ in range(100):
        core.observe(feeder.observation(4))
        command = core.tick_on_time(feeder.now, periods=1.0 if simulated else None)
        feeder.now += 0.0125
    assert (core.mode.outcome, command.stamp_ns) == (Outcome.HOLD, 0)
    assert "one stamp for" in core.mode.reason


def test_a_simulation_waits_as_long_as_it_takes_for_its_first_policy(make_policy):
    """In lock step its stamp moves on with a command alone: to wait for another stamp would be for ever."""
    core = ControllerCore(control_contract(), simulated_time=True)
    feeder = Feeder(core)
    for _ in range(100):
        assert tick(core, feeder, 1) is None
        feeder.now += 0.04
    offer(core, constant(make_policy, [0.1, 0.1, 0.1, 0.5]))
    assert tick(core, feeder, 1).stamp_ns == PERIOD
    feeder.now += 5.0  # the simulator stood still
    core.watch(feeder.now)
    assert core.mode.outcome is Outcome.HOLD
    assert tick(core, feeder, 1).stamp_ns == PERIOD
    assert core.mode.outcome is Outcome.CONTINUE


@pytest.mark.parametrize("simulated", [False, True])
def test_a_frozen_stream_beside_the_one_that_sets_the_pace_is_noticed(start, simulated):
    core, feeder = start(sync="latest", simulated_time=simulated)
    for stamp in range(4, 100):
        feeder.now = stamp * PERIOD * 1e-9
        for stream in range(1, STREAMS):
            feeder.message(stream, 3 if stream == 2 else stamp, vector_of(stamp))
        command = core.tick(feeder.message(0, stamp, vector_of(stamp)), feeder.now)
    assert (core.mode.outcome, command.stamp_ns) == (Outcome.HOLD, 0)
    assert core.mode.reason.startswith(f"{feeder.streams[2].topic}: one stamp for")


def test_a_stamp_answered_before_a_stop_is_not_answered_after_it(start, make_policy):
    core, feeder = start()
    core.stop("asked to", feeder.now)
    offer(core, constant(make_policy, [-0.1, 0.1, 0.1, 0.5]))
    command = tick(core, feeder, 3)  # the same stamp again: the new policy answers it
    assert command.vector == pytest.approx([-0.1, 0.1, 0.1, 0.0])


def test_what_waited_too_long_before_it_was_read_is_stale(start):
    core, feeder = start()
    waited = feeder.observation(4)
    assert core.tick(waited, feeder.now + 5.0).stamp_ns == 0
    assert core.mode.outcome is Outcome.HOLD


def test_a_timer_whose_clock_stands_still_holds(start):
    """Observations go on arriving, and nobody calls `tick_on_time`."""
    core, feeder = start()
    core.observe(feeder.observation(4))
    assert core.tick_on_time(feeder.now).stamp_ns == 4 * PERIOD
    feeder.now += 0.2
    core.observe(feeder.observation(5))
    assert core.watch(feeder.now).stamp_ns == 0
    assert "no tick for 0.20 s, though observations arrive" in core.mode.reason


def test_a_stamp_has_one_answer_even_after_a_hold(held_in_simulation, make_policy):
    """A lock-step simulator that asks again executes the answer, not the hold, so the slew goes on from the answer."""
    core, feeder, answer = held_in_simulation
    assert tick(core, feeder, 3, vector_of(3)).vector.tolist() == answer.vector.tolist()
    assert core.mode.outcome is Outcome.CONTINUE
    offer(core, constant(make_policy, [0.8, 0.8, 0.8, 1.0]))
    feeder.now += 0.01
    moved = tick(core, feeder, 4).vector - answer.vector
    assert moved == pytest.approx([0.3, 0.8, 0.55, 1.0], abs=1e-6)


def test_in_lock_step_the_slew_goes_on_from_the_answer_and_not_from_the_hold(held_in_simulation, make_policy):
    """The simulator paused, the controller held, and the answer that was on its way was executed after all."""
    core, feeder, answer = held_in_simulation
    offer(core, constant(make_policy, [0.8, 0.8, 0.8, 1.0]))
    moved = tick(core, feeder, 4).vector - answer.vector
    assert moved == pytest.approx([0.3, 0.8, 0.55, 1.0], abs=1e-6)


def test_a_robot_that_was_held_moves_on_with_the_next_stamp_slew_limited(start):
    core, feeder = start(slew=4.0)  # 0.05 m/s a period
    for stamp in range(4, 20):
        running = tick(core, feeder, stamp)
    assert running.vector[0] == pytest.approx(0.5)
    assert core.watch(feeder.now + 0.11).vector[0] == 0.0
    feeder.now += 0.12
    assert tick(core, feeder, 19) is None  # the stamp of before the hold
    assert core.mode.outcome is Outcome.HOLD
    assert tick(core, feeder, 30).vector[0] == pytest.approx(0.05)
    assert core.mode.outcome is Outcome.CONTINUE


@pytest.mark.parametrize("simulated_time", [False, True])
def test_a_bunch_of_observations_moves_no_faster_than_time_passes(start, simulated_time):
    """Ten whole periods of stamps in no time at all: one period may have been saved, and no more."""
    core, feeder = start(slew=4.0, simulated_time=simulated_time)
    before = tick(core, feeder, 4).vector[0]
    found = [core.tick(feeder.observation(stamp), feeder.now).vector[0] for stamp in range(5, 15)]
    limit = 0.05 * (10 if simulated_time else 1)
    assert found[-1] - before == pytest.approx(min(limit, 0.5 - before), abs=1e-9)


@given(st.lists(st.floats(0.5, 1.5), min_size=20, max_size=60))
def test_the_slew_over_any_stretch_is_for_the_time_that_passed(make_policy, steps):
    """Whatever the jitter of arrivals, whose stamps are a period apart."""
    contract = control_contract(slew=4.0)
    core = ControllerCore(contract)
    feeder = Feeder(core)
    offer(core, constant(make_policy, [0.8] * 4, contract))
    times, speeds = [], []
    for stamp, step in enumerate(steps, start=1):
        feeder.now += 0.0125 * step
        speeds.append(core.tick(feeder.observation(stamp), feeder.now).vector[0])
        times.append(feeder.now)
    for first in range(len(steps)):
        for last in range(first, len(steps)):
            passed = (times[last] - times[first]) / 0.0125
            assert speeds[last] - speeds[first] <= 0.05 * (passed + 1.0) + 1e-9


def test_observations_faster_than_the_contract_make_no_faster_arm(start, make_policy):
    """At ten times the rate: no more than one answer a period, and no more slew than the contract's."""
    core, feeder = start()
    offer(core, constant(make_policy, [-0.8, 0.8, -0.8, 1.0]))
    before = core.tick(Observation(vector_of(3), 3 * PERIOD), feeder.now)
    answers = []
    for tenth in range(1, 31):
        feeder.now += 1e-9 * PERIOD / 10
        found = [
            feeder.message_at(stream, 3 * PERIOD + tenth * PERIOD // 10, vector_of(1)) for stream in range(STREAMS)
        ]
        command = core.tick(found[-1], feeder.now)
        if command is not None:
            answers.append((command.stamp_ns, command.vector))
    assert 3 <= len(answers) <= 4
    contract = core.contract
    slew = np.array([scalar.slew_per_s for scalar in contract.command])
    stamp, vector = before.stamp_ns, before.vector
    for after, command in answers:
        assert (np.abs(command - vector) <= slew * (after - stamp) * 1e-9 + 1e-9).all()
        stamp, vector = after, command

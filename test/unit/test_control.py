"""Pins the controller without ROS: one named outcome for every fault, slew across swaps, nothing stale."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
from control_support import PERIOD, STREAMS, Feeder, constant, control_contract, offer, started, tick
from hypothesis import given
from hypothesis import strategies as st

import lwd_ros
from lwd_ros.contract import AGE
from lwd_ros.control import ControllerCore, Outcome, Pacer, TickStatistics, WaitingForPolicy
from lwd_ros.policy import PolicyError, PolicyLayout


@pytest.fixture
def start(make_policy):
    """A function: (core, feeder) that have run a policy for three ticks; see control_support.started."""
    return functools.partial(started, make_policy)


def test_outcomes_are_those_of_the_status_message():
    text = (Path(lwd_ros.__file__).parents[1] / "lwd_msgs/msg/ControllerStatus.msg").read_text(encoding="utf-8")
    assert {name: int(value) for name, value in re.findall(r"OUTCOME_(\w+)=(\d+)", text)} == dict(Outcome.__members__)


def test_waiting_commands_nothing():
    core = ControllerCore(control_contract())
    feeder = Feeder(core)
    assert (core.mode.outcome, core.mode.reason) == (Outcome.WAITING, "no policy yet")
    assert tick(core, feeder, 1) is None
    assert core.watch(100.0) is None
    assert core.stop("asked to", feeder.now) is None
    assert core.mode.outcome is Outcome.STOPPED


def test_an_offered_policy_waits_for_an_observation(make_policy):
    core = ControllerCore(control_contract())
    offer(core, make_policy())
    assert (core.mode.outcome, core.mode.reason) == (Outcome.WAITING, "no complete observation yet")
    assert core.watch(100.0) is None


def test_continue_answers_each_stamp_with_the_limited_command_of_the_policy(make_policy):
    policy = make_policy(3)
    core = ControllerCore(control_contract())
    feeder = Feeder(core)
    offer(core, policy)
    previous, limits, slew = np.zeros(4), core.contract.command_limits, core.contract.command_slew
    for stamp in range(1, 6):
        vector = np.random.default_rng(stamp).normal(size=21)
        command = tick(core, feeder, stamp, vector)
        wish = np.clip(policy.forward(vector, np.empty(4)), *limits)
        expected = np.clip(wish, previous - slew, previous + slew)
        assert command.stamp_ns == stamp * PERIOD
        np.testing.assert_allclose(command.vector, expected, atol=1e-12)
        assert (core.mode.outcome, core.mode.reason) == (Outcome.CONTINUE, "")
        previous = command.vector
    assert core.first_stamp_ns == PERIOD
    assert core.active is policy


def test_what_the_policy_said_is_kept_beside_the_command_where_it_is_wanted(make_policy):
    policy, core = make_policy(3), ControllerCore(control_contract())
    feeder = Feeder(core)
    offer(core, policy)
    vector = np.random.default_rng(0).normal(size=21)
    assert tick(core, feeder, 1, vector).output is None
    core.keeps_output = True
    command = tick(core, feeder, 2, vector)
    np.testing.assert_array_equal(command.output, policy.forward(vector, np.empty(4)))
    assert not np.array_equal(command.output, command.vector)
    np.testing.assert_array_equal(core.answered.vector, vector)
    assert core.watch(feeder.now + 1.0).output is None  # a safe command is nobody's answer


def test_hold_stops_the_hand_and_keeps_the_gripper(start):
    core, feeder = start(on_fault="hold")
    assert core.watch(feeder.now + 0.09) is None
    command = core.watch(feeder.now + 0.11)
    assert (core.mode.outcome, command.vector.tolist()) == (Outcome.HOLD, [0.0, 0.0, 0.0, -1.0])
    assert "hand/pose: silent for 0.11 s" in core.mode.reason
    assert core.watch(feeder.now + 5.0).vector.tolist() == [0.0, 0.0, 0.0, -1.0]  # for as long as it lasts
    assert command.stamp_ns == 0  # it answers no observation


def test_zero_stops_the_gripper_too(start):
    core, feeder = start(on_fault="zero")
    command = core.watch(feeder.now + 0.11)
    assert (core.mode.outcome, command.vector.tolist()) == (Outcome.ZERO, [0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("on_fault", ["hold", "zero"])
def test_the_policy_goes_on_when_observations_return(start, on_fault):
    core, feeder = start(on_fault=on_fault)
    policy = core.active
    core.watch(feeder.now + 0.11)
    feeder.now += 0.2
    assert tick(core, feeder, 4).vector.tolist() == [0.5, -0.5, 0.25, -1.0]
    assert (core.mode.outcome, core.active, core.take_statistics().swaps) == (Outcome.CONTINUE, policy, 1)


@pytest.mark.parametrize(("on_fault", "gripper"), [("hold", 0.0), ("zero", 1.0)])
def test_slew_starts_from_the_safe_command(start, make_policy, on_fault, gripper):
    # One period changes a velocity by 0.8 m/s and the gripper by 1: what is in reach tells where it started.
    core, feeder = start(on_fault=on_fault)
    core.watch(feeder.now + 0.11)
    offer(core, constant(make_policy, [-0.5, 0.5, -0.75, 1.0]))
    assert tick(core, feeder, 4).vector.tolist() == [-0.5, 0.5, -0.75, gripper]


def test_latest_does_not_move_on_dead_streams(make_policy):
    """The pacing stream alone completes observations; the others' silence is a fault all the same."""
    core = ControllerCore(control_contract(sync="latest"))
    feeder = Feeder(core)
    offer(core, constant(make_policy, [0.5, 0.5, 0.5, 1.0]))
    assert tick(core, feeder, 1) is not None
    for stamp in range(2, 40):
        feeder.now += 1e-9 * PERIOD
        observation = feeder.message(0, stamp)
        command = core.tick(observation, feeder.now)
        if feeder.now > 0.13:
            assert core.mode.outcome is Outcome.HOLD
            assert command.vector[:3].tolist() == [0.0, 0.0, 0.0]
            assert "goal: silent" in core.mode.reason


def test_latest_with_streams_that_died_before_moves_nothing(make_policy):
    core = ControllerCore(control_contract(sync="latest"))
    feeder = Feeder(core)
    feeder.observation(1)
    feeder.now += 5.0
    offer(core, constant(make_policy, [0.5, 0.5, 0.5, 1.0]))
    assert core.tick(feeder.message(0, 2), feeder.now) is None
    assert core.mode.outcome is Outcome.WAITING and "goal: silent" in core.mode.reason


def test_stop_repeats_the_safe_command_for_a_second_and_then_nothing_until_a_new_policy(start, make_policy):
    core, feeder = start()
    command = core.stop("~/stop was called", feeder.now)
    assert command.vector.tolist() == [0.0, 0.0, 0.0, -1.0]
    assert (core.mode.outcome, core.mode.reason, core.active) == (Outcome.STOPPED, "~/stop was called", None)
    assert tick(core, feeder, 4) is None
    assert core.watch(feeder.now + 0.9).vector.tolist() == [0.0, 0.0, 0.0, -1.0]
    assert core.watch(feeder.now + 100.0) is None
    assert core.mode.outcome is Outcome.STOPPED
    offer(core, make_policy(5))
    assert core.mode.outcome is Outcome.WAITING
    feeder.now += 100.0
    assert tick(core, feeder, 5) is not None
    assert (core.mode.outcome, core.first_stamp_ns) == (Outcome.CONTINUE, 5 * PERIOD)
    assert core.take_statistics().starved_ticks == 0  # without a policy no period is starved


def test_a_refused_policy_does_not_end_a_stop_and_keeps_the_running_one(start, make_policy):
    core, feeder = start()
    running, foreign = core.active, make_policy(5, contract_digest="c" * 64)
    with pytest.raises(PolicyError, match="contract_digest"):
        offer(core, foreign)
    assert (core.mode.outcome, core.accepted) == (Outcome.CONTINUE, running)
    assert tick(core, feeder, 4).vector.tolist() == [0.5, -0.5, 0.25, -1.0]
    core.stop("asked to", feeder.now)
    with pytest.raises(PolicyError):
        offer(core, foreign)
    assert core.mode.outcome is Outcome.STOPPED


def test_a_policy_times_out_unless_a_successor_is_offered(start, make_policy):
    core, feeder = start(timeout=1.0)  # first answered at 0.0125 s
    for stamp in range(4, 81):
        tick(core, feeder, stamp)
        assert core.watch(feeder.now) is None
    tick(core, feeder, 82)
    command = core.watch(feeder.now)
    assert (core.mode.outcome, command.vector.tolist()) == (Outcome.STOPPED, [0.0, 0.0, 0.0, -1.0])
    assert core.mode.reason == "the policy ran for policy_timeout_s = 1 s"
    assert tick(core, feeder, 83) is None
    offer(core, make_policy(5))
    assert tick(core, feeder, 84) is not None
    assert core.watch(feeder.now + 0.05) is None


def test_a_successor_that_waits_for_an_observation_is_not_thrown_away_by_the_timeout(start, make_policy):
    core, feeder = start(timeout=1.0)
    successor = make_policy(5)
    offer(core, successor)
    safe = core.watch(feeder.now + 2.0)  # observations are gone as well
    assert (core.mode.outcome, safe.vector[:3].tolist()) == (Outcome.HOLD, [0.0, 0.0, 0.0])
    feeder.now += 2.0
    tick(core, feeder, 4)
    assert (core.mode.outcome, core.active) == (Outcome.CONTINUE, successor)
    assert core.watch(feeder.now + 0.05) is None


def test_a_non_finite_command_stops_the_policy(make_policy):
    overflows = make_policy(
        layout=PolicyLayout((1, 1, 1, 4), "relu"),
        indices=[0],
        weights=[1e4, 0, 1e4, 0, *[1e4] * 4, *[0] * 4],
        observation_mean=[0],  # the middle of hand_x, which the check of an offer sees
        observation_std=[1e-30],
    )
    core = ControllerCore(control_contract())
    feeder = Feeder(core)
    offer(core, overflows)
    vector = np.full(21, 1e300)
    with np.errstate(over="ignore"):
        command = tick(core, feeder, 1, vector)
    assert command is None  # nothing was ever commanded, so there is nothing to stop
    assert (core.mode.outcome, core.mode.reason) == (Outcome.STOPPED, "the policy computed a non-finite command")
    assert tick(core, feeder, 2) is None


def test_reactivation_knows_nothing_of_the_activation_before(start, make_policy):
    core, feeder = start()
    core.activate()
    assert (core.mode, core.active, core.accepted) == (WaitingForPolicy(), None, None)
    assert core.take_statistics() == TickStatistics()
    assert core.watch(feeder.now + 100.0) is None
    assert core.stop("asked to", feeder.now) is None  # no stale command
    core.activate()
    offer(core, make_policy(5))
    for stream in range(STREAMS - 1):
        assert feeder.message(stream, 4) is None
    core.activate()
    offer(core, constant(make_policy, [-0.5, 0.5, -0.75, 1.0]))
    assert feeder.message(STREAMS - 1, 4) is None  # the rest of stamp 4 came before the activation
    feeder.now += 100.0
    command = tick(core, feeder, 3)  # the very stamp that was answered before: computed anew, from rest
    assert command.vector.tolist() == [-0.5, 0.5, -0.75, 0.0]  # the gripper was kept at -1, and 1 a period is its slew
    assert core.take_statistics().starved_ticks == 0


def test_slew_holds_across_swaps(make_policy):
    core = ControllerCore(control_contract())
    feeder = Feeder(core)
    previous, slew = np.zeros(4), core.contract.command_slew + 1e-12
    for stamp in range(1, 40):
        if stamp % 3 == 1:  # from one extreme to the other
            offer(core, constant(make_policy, [0.8, -0.8, 0.8, 1.0] if stamp % 2 else [-0.8, 0.8, -0.8, -1.0]))
        command = tick(core, feeder, stamp).vector
        assert (np.abs(command - previous) <= slew).all()
        previous = command
    assert core.take_statistics().swaps == 13
    assert abs(previous[0]) == 0.8


def test_a_swap_takes_effect_with_the_next_observation(start, make_policy):
    core, feeder = start()
    old, new = core.active, constant(make_policy, [0.1, 0.1, 0.1, 0.1])
    offer(core, new)
    assert core.active is old
    assert core.first_stamp_ns == PERIOD
    tick(core, feeder, 4)
    assert (core.active, core.first_stamp_ns, core.take_statistics().swaps) == (new, 4 * PERIOD, 2)


def test_starved_ticks_count_the_periods_without_an_observation(start):
    core, feeder = start()
    assert core.take_statistics().starved_ticks == 0
    feeder.now += 0.0125 * 1.4  # late, but none is missing
    core.tick(feeder.observation(4), feeder.now)
    assert core.take_statistics().starved_ticks == 0
    feeder.now += 0.0125 * 4
    core.tick(feeder.observation(8), feeder.now)
    assert core.take_statistics().starved_ticks == 3


@given(st.lists(st.floats(0.0, 0.05), max_size=12), st.integers(0, 12))
def test_statistics_of_two_stretches_add_up(works, cut):
    whole, first, second = TickStatistics(), TickStatistics(), TickStatistics()
    for place, work in enumerate(works):
        whole.tick(work, 0.0125)
        (first if place < cut else second).tick(work, 0.0125)
    total = first + second
    assert (total.ticks, total.overruns, total.work.maximum) == (whole.ticks, whole.overruns, whole.work.maximum)
    assert whole.overruns == sum(work > 0.0125 for work in works)
    assert total.work.mean == pytest.approx(whole.work.mean)
    assert total.work.deviation == pytest.approx(np.std(works) if works else 0.0, abs=1e-9)
    assert TickStatistics().work.mean == TickStatistics().work.deviation == 0.0


# Fixed rate


def test_on_time_the_newest_observation_is_answered_again_and_counts_as_starved(start, make_policy):
    core, feeder = start()
    core.observe(feeder.observation(4))
    first = core.tick_on_time(feeder.now)
    feeder.now += 0.0125
    again = core.tick_on_time(feeder.now)
    assert (first.stamp_ns, again.stamp_ns) == (4 * PERIOD, 4 * PERIOD)
    assert core.take_statistics().starved_ticks == 1
    feeder.now += 0.0125
    core.observe(feeder.observation(5))
    assert core.tick_on_time(feeder.now).stamp_ns == 5 * PERIOD
    assert core.take_statistics().starved_ticks == 0


def test_on_time_the_slew_is_for_the_time_since_the_last_tick(start, make_policy):
    core, feeder = start(constant(make_policy, [-0.8, 0.0, 0.0, 0.0]))
    core.observe(feeder.observation(4))
    feeder.now += 0.0125
    before = core.tick_on_time(feeder.now).vector.copy()
    offer(core, constant(make_policy, [0.8, 0.0, 0.0, 0.0]))
    feeder.now += 0.0125 / 2
    assert core.tick_on_time(feeder.now).vector[0] - before[0] == pytest.approx(0.4)  # half of 64 m/s2 * 12.5 ms


def test_on_time_nothing_stale_is_answered_and_a_stop_forgets_the_observation(start, make_policy):
    core, feeder = start()
    core.observe(feeder.observation(4))
    feeder.now += 0.2
    assert core.tick_on_time(feeder.now).stamp_ns == 0
    assert core.mode.outcome is Outcome.HOLD
    core.observe(feeder.observation(5))
    core.stop("asked to", feeder.now)
    assert core.tick_on_time(feeder.now) is None
    offer(core, make_policy(5))
    assert core.tick_on_time(feeder.now) is None  # not before a new observation


@pytest.mark.parametrize("stops", [True, False])
def test_far_outside_the_training_range_a_policy_is_stopped_if_that_is_wanted(make_policy, stops):
    core = ControllerCore(control_contract(), stop_outside_training_range=stops)
    feeder = Feeder(core)
    offer(core, make_policy())  # was trained on -1 to 1
    inside, outside = np.zeros(21), np.zeros(21)
    outside[2] = 7.0
    assert tick(core, feeder, 1, inside).stamp_ns == PERIOD
    command = tick(core, feeder, 2, outside)
    assert core.outside_training_range() == ([] if stops else ["hand_z"])  # a stopped policy observes nothing
    assert core.mode.outcome is (Outcome.STOPPED if stops else Outcome.CONTINUE)
    assert command.stamp_ns == (0 if stops else 2 * PERIOD)
    assert core.mode.reason == ("far outside what 'reach-v3' was trained on: hand_z" if stops else "")


@given(st.lists(st.floats(0.0, 0.05), max_size=30))
def test_deadlines_stay_on_the_grid_and_each_is_given_out_once(steps):
    period, now, given_out = 0.01, 0.0, []
    pacer = Pacer(period, now)
    for step in steps:
        now += step
        before = pacer.deadline
        late = pacer.due(now)
        assert (late is None) == (now < before)
        if late is not None:
            assert late == pytest.approx(now - before)  # since the first deadline that was not kept
            given_out.append(pacer.missed + len(given_out) + 1)
        assert pacer.deadline > now - 1e-9
        assert len(given_out) + pacer.missed == pytest.approx(round(pacer.deadline / period) - 1)
    assert given_out == sorted(set(given_out))


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
def test_a_policy_is_told_how_old_the_observation_is(make_policy, sync):
    contract = control_contract(sync=sync, age=0.1)
    clock = [0]
    core = ControllerCore(contract, stamp_clock_ns=lambda: clock[0])
    feeder = Feeder(core)
    weights = np.zeros((4, 22))
    weights[0, 21] = 1.0  # the first command is the age
    layout = PolicyLayout((22, 4))
    plain = {"observation_mean": np.zeros(22), "observation_std": np.ones(22), "action_scale": np.ones(4)}
    plain |= {"action_offset": np.zeros(4), "observation_maximum": np.full(22, 1e6)}
    weights = np.concatenate([weights.ravel(), np.zeros(4)])
    offer(core, make_policy(0, layout, np.arange(22), weights=weights, contract_digest=contract.digest, **plain))
    found = {}
    for stamp, age_s in enumerate((0.0, 0.03, 0.099, 0.2, -0.005, -0.5), start=1):
        clock[0] = stamp * PERIOD + round(age_s * 1e9)
        feeder.now = stamp * PERIOD * 1e-9
        found[age_s] = core.tick(feeder.observation(stamp), feeder.now).vector[0]
        assert core.outside_training_range() == []  # one tick that is late, or a burst
        assert core.told_age_s == pytest.approx(age_s, abs=1e-9)
    assert found == pytest.approx({0.0: 0.0, 0.03: 0.03, 0.099: 0.099, 0.2: 0.1, -0.005: 0.0, -0.5: 0.0}, abs=1e-9)
    # Answered again, it is older.
    core.observe(feeder.observation(9))
    for late in (1, 2):
        clock[0] = (9 + late) * PERIOD
        assert core.tick_on_time(clock[0] * 1e-9).vector[0] == pytest.approx(late * PERIOD * 1e-9)
    # Beyond the limit, or in the future by more than a period, and that for long: clocks are apart.
    for begin, age_s in ((20, 0.2), (60, -0.5)):
        names = []
        for stamp in range(begin, begin + 20):
            clock[0] = stamp * PERIOD + round(age_s * 1e9)
            feeder.now = stamp * PERIOD * 1e-9
            core.tick(feeder.observation(stamp), feeder.now)
            names.append(core.outside_training_range())
        assert names[0] == [] and names[-1] == [AGE]
        clock[0] = (begin + 20) * PERIOD
        core.tick(feeder.observation(begin + 20), clock[0] * 1e-9)
        assert core.outside_training_range() == []


def test_a_policy_that_does_not_read_the_age_is_not_judged_by_it(make_policy):
    contract = control_contract(age=0.1)
    core = ControllerCore(contract, stop_outside_training_range=True, stamp_clock_ns=lambda: 10**12)
    feeder = Feeder(core)
    wide = {"observation_minimum": np.full(21, -1e9), "observation_maximum": np.full(21, 1e9)}
    offer(core, constant(make_policy, [0.1, 0, 0, 0], contract, **wide))
    assert all(tick(core, feeder, stamp) is not None for stamp in range(1, 40))
    assert core.outside_training_range() == [] and core.told_age_s is None


def test_an_age_beyond_the_limit_stops_a_policy_if_that_is_wanted(make_policy):
    contract = control_contract(age=0.1)
    core = ControllerCore(contract, stop_outside_training_range=True, stamp_clock_ns=lambda: 10**12)
    feeder = Feeder(core)
    ones, zeros = np.ones(22), np.zeros(22)
    reads = {"observation_mean": zeros, "observation_std": ones, "observation_maximum": 1e9 * ones}
    reads |= {"action_scale": np.ones(4), "action_offset": np.zeros(4), "weights": np.zeros(92)}
    layout = PolicyLayout((22, 4))
    offer(core, make_policy(0, layout, np.arange(22), contract_digest=contract.digest, **reads))
    answers = [tick(core, feeder, stamp) for stamp in range(1, 30)]
    assert answers[0] is not None and answers[-1] is None
    assert (core.mode.outcome, core.mode.reason) == (
        Outcome.STOPPED, "far outside what 'reach-v3' was trained on: observation_age"
    )  # fmt: skip


def test_an_age_needs_a_clock():
    with pytest.raises(ValueError, match="stamp_clock_ns: found None, expected a clock"):
        ControllerCore(control_contract(age=0.1))

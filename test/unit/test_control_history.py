"""Pins which frames a policy reads that was trained on several: those that the controller answered, without a break."""

import numpy as np
import pytest
from control_support import PERIOD, Feeder, control_contract, offer

from lwd_ros.contract import AGE, GAP_PERIODS
from lwd_ros.control import ControllerCore, Outcome
from lwd_ros.policy import PolicyError, PolicyLayout

HISTORY, SCALARS = 3, 21


def vector_at(stamp: float) -> np.ndarray:
    return np.full(SCALARS, 0.001 * stamp)


class Rig:
    """A controller whose policies command what hand_x was in each frame; its ticks give the frames' stamps."""

    def __init__(self, make_policy, simulated_time=False, **changes):
        self.contract = control_contract(history=HISTORY, slew=1e6, **changes)
        self.clock = 0
        stamp_clock_ns = (lambda: self.clock) if "age" in changes else None
        self.core = ControllerCore(self.contract, simulated_time=simulated_time, stamp_clock_ns=stamp_clock_ns)
        self.feeder, self._make = Feeder(self.core), make_policy
        self.offer()

    def policy(self, name="hand_x", **changes):
        layout, names = PolicyLayout((HISTORY, 4)), self.contract.vector_names
        changes = {
            "weights": np.concatenate([np.eye(4, HISTORY).ravel(), np.zeros(4)]),
            "observation_mean": np.zeros(HISTORY),
            "observation_std": np.ones(HISTORY),
            "observation_maximum": np.full(HISTORY, 1e6),
            "action_offset": np.zeros(4),
            "action_scale": np.ones(4),
            "contract_digest": self.contract.digest,
        } | changes
        places = [names.index(f"{name}@-2"), names.index(f"{name}@-1"), names.index(name)]
        return self._make(0, layout, places, **changes)

    def offer(self, **changes):
        offer(self.core, self.policy(**changes))

    def observation(self, stamp: int, vector=None):
        self.feeder.now = max(self.feeder.now, stamp * PERIOD * 1e-9)
        return self.feeder.observation(stamp, vector_at(stamp) if vector is None else vector)

    def tick(self, stamp: int) -> list[float] | None:
        command = self.core.tick(self.observation(stamp), self.feeder.now)
        return command and self.stamps(command)

    @staticmethod
    def stamps(command) -> list[float]:
        return np.round(1000 * command.vector[:3], 6).tolist()


@pytest.fixture
def rig(make_policy):
    return Rig(make_policy)


def test_a_policy_reads_the_last_frames_oldest_first_and_the_first_stands_for_those_before(rig):
    assert [rig.tick(stamp) for stamp in (1, 2, 3, 4)] == [[1, 1, 1], [1, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_a_swap_keeps_the_frames_before_it(rig):
    for stamp in (1, 2, 3):
        rig.tick(stamp)
    rig.offer(seed=8)
    assert rig.tick(4) == [2, 3, 4]
    assert rig.core.active.seed == 8


def test_what_was_observed_while_nothing_was_commanded_is_no_frame(rig):
    rig.tick(1)
    rig.core.stop("asked to", rig.feeder.now)
    assert rig.tick(2) is None
    rig.offer()
    assert [rig.tick(stamp) for stamp in (3, 4)] == [[3, 3, 3], [3, 3, 4]]


@pytest.mark.parametrize("fault", ["hold", "activate"])
def test_a_hold_and_an_activation_begin_anew(rig, fault):
    for stamp in (1, 2, 3):
        rig.tick(stamp)
    if fault == "hold":
        rig.feeder.now += 0.5
        assert rig.core.watch(rig.feeder.now).stamp_ns == 0
        assert rig.core.mode.outcome is Outcome.HOLD
    else:
        rig.core.activate()
        rig.offer()
    assert [rig.tick(stamp) for stamp in (5, 6)] == [[5, 5, 5], [5, 5, 6]]


def test_the_permission_s_return_begins_anew(make_policy):
    rig = Rig(make_policy, after_loss="resume")
    rig.core.permit(0, 1.0, 0.0)
    for stamp in (1, 2, 3):
        rig.tick(stamp)
    rig.core.permit(0, 0.0, rig.feeder.now)
    assert rig.tick(4) is None
    rig.core.permit(0, 1.0, rig.feeder.now)
    assert rig.tick(5) == [5, 5, 5]


def test_in_lock_step_a_hold_that_nothing_executed_begins_nothing_anew(make_policy):
    """The simulator waited, so its next stamp follows the answered one: an episode is not another one for a pause."""
    rig = Rig(make_policy, simulated_time=True)
    for stamp in (1, 2, 3):
        rig.tick(stamp)
    rig.feeder.now += 0.5
    rig.core.watch(rig.feeder.now)
    assert rig.core.mode.outcome is Outcome.HOLD
    assert rig.tick(4) == [2, 3, 4]


def test_a_stamp_that_is_asked_for_again_is_no_second_frame(rig):
    for stamp in (1, 2, 2, 3):
        found = rig.tick(stamp)
    assert found == [1, 2, 3]


def test_observations_that_come_too_soon_are_no_frames(rig):
    """The stream is four times as fast as the period: what is not answered is not seen."""
    command = None
    for step in range(1, 13):
        rig.feeder.now = step * PERIOD * 1e-9 / 4
        found = [
            rig.feeder.message_at(stream, step * PERIOD // 4, vector_at(step))
            for stream in range(len(rig.feeder.streams))
        ][-1]
        command = rig.core.tick(found, rig.feeder.now) or command
    assert rig.stamps(command) == [4, 7, 10]  # three quarters of a period apart, the least that is answered


def test_a_slower_stream_gives_frames_that_are_further_apart(rig):
    for stamp in (0, 4, 8, 12):
        found = rig.tick(stamp)
    assert found == [4, 8, 12]


def test_on_time_a_frame_that_is_answered_again_stands_twice(rig):
    rig.tick(1)
    rig.core.observe(rig.observation(2))
    for stamp in (2, 3):
        command = rig.core.tick_on_time(stamp * PERIOD * 1e-9)
    assert rig.stamps(command) == [1, 2, 2]


def test_frames_before_a_gap_say_nothing(make_policy):
    rig = Rig(make_policy, stale=[1.0] * 5)
    for stamp in (1, 2, 3):
        rig.tick(stamp)
    assert rig.tick(3 + GAP_PERIODS) == [2, 3, 13]
    assert rig.tick(4 + 2 * GAP_PERIODS) == [24, 24, 24]


def test_each_frame_has_the_age_that_it_was_answered_with(make_policy):
    rig = Rig(make_policy, age=0.02)
    rig.offer(name=AGE)
    found = []
    for stamp, late_ms in enumerate((5, 10, 400, 15), start=1):
        rig.clock = stamp * PERIOD + late_ms * 1_000_000
        vector = np.append(vector_at(stamp), 0.0)
        found.append(rig.stamps(rig.core.tick(rig.observation(stamp, vector), rig.feeder.now)))
        assert rig.core.told_age_s == pytest.approx(0.001 * late_ms)
    assert found == [[5, 5, 5], [5, 5, 10], [5, 10, 20], [10, 20, 15]]
    # One that does not read the age leaves it right for one that does.
    rig.offer()
    rig.clock = 5 * PERIOD + 7_000_000
    rig.core.tick(rig.observation(5, np.append(vector_at(5), 0.0)), rig.feeder.now)
    assert rig.core.told_age_s is None
    rig.offer(name=AGE)
    rig.clock = 6 * PERIOD
    found = rig.core.tick(rig.observation(6, np.append(vector_at(6), 0.0)), rig.feeder.now)
    assert rig.stamps(found) == [15, 7, 0]


def test_what_is_far_outside_is_named_with_its_frame(make_policy):
    rig = Rig(make_policy)
    rig.offer(observation_minimum=np.zeros(3), observation_maximum=np.full(3, 0.001))
    found = []
    for stamp in range(1, 5):
        rig.core.tick(rig.observation(stamp, vector_at(0 if stamp == 1 else 50)), rig.feeder.now)
        found.append(rig.core.outside_training_range())
    names = ["hand_x@-2", "hand_x@-1", "hand_x"]
    assert found == [[], names[2:], names[1:], names]


def test_a_policy_reads_places_of_the_stacked_frames_and_none_beyond(rig):
    last = HISTORY * SCALARS
    good = rig.policy(observation_indices=[0, 30, last - 1])
    rig.core.check(good)
    with pytest.raises(PolicyError, match=rf"reads place {last} .* expected places below {last} and 4 commands"):
        rig.core.check(rig.policy(observation_indices=[0, 30, last]))
    one = rig.contract.with_history(1)
    with pytest.raises(PolicyError, match="contract_digest"):
        rig.core.check(rig.policy(contract_digest=one.digest))


def test_positions_rest_and_slew_by_the_newest_frame(make_policy):
    """What a command is relative to is where the robot is now, whatever was seen before."""
    from lwd_ros.contract import Contract

    content = {
        "name": "arm",
        "period_s": 0.0125,
        "history": HISTORY,
        "observation": {name: {"unit": "rad", "limits": [-9, 9]} for name in ("joint", "other")},
        "command": {
            "target": {"unit": "rad", "limits": [-9, 9], "slew_per_s": 800, "rest": "joint", "relative_to": "joint"}
        },
        "binding": {
            "observation": {
                "sync": "same_stamp",
                "streams": [
                    {
                        "topic": "joints",
                        "type": "sensor_msgs/msg/JointState",
                        "stale_after_s": 0.2,
                        "fields": {"joint": "position[a]", "other": "position[b]"},
                    }
                ],
            },
            "command": {
                "on_fault": "hold",
                "streams": [{"topic": "to", "type": "std_msgs/msg/Float64", "fields": {"target": "data"}}],
            },
        },
    }
    contract = Contract.from_dict(content)
    core = ControllerCore(contract)
    layout = PolicyLayout((HISTORY * 2, 1))
    weights = np.zeros(HISTORY * 2 + 1)
    weights[0] = 1.0  # the offset is where the joint was, two frames ago
    size = HISTORY * 2
    plain = {"observation_mean": np.zeros(size), "observation_std": np.ones(size), "action_scale": [1.0]}
    policy = make_policy(
        0, layout, np.arange(size), weights=weights, action_offset=[0.0], contract_digest=contract.digest, **plain
    )
    core.accept(core.check(policy))
    found = []
    for stamp, joint in enumerate((1.0, 2.0, 3.0, 4.0), start=1):
        now = stamp * 0.0125
        observation = core.receive(0, round(now * 1e9), "", np.array([joint, -9.0]), now)
        found.append(core.tick(observation, now).vector[0])
    assert found == [2.0, 3.0, 4.0, 6.0]  # the joint now, and what it was two frames ago: 1, 1, 1, 2
    safe = core.watch(now + 0.5)
    assert safe.vector[0] == 4.0  # where it was measured last

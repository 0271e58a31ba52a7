"""Pins which commands move the simulated arm, in the rules without ROS."""

import numpy as np
import pytest

from lwd_ros.environments.gate import CommandGate, RunningPolicy

PERIOD_NS = 12_500_000
LOADED_NS = 1_700_000_000_000_000_000
HAND, GRIPPER = 0, 1
OPEN, SHUT = -1.0, 1.0
START = np.array([0.0, 0.0, 0.0, OPEN])


class Bridge:
    """What the bridge does with a gate: steps, observations, a clock that moves on with each."""

    def __init__(self, contract, lockstep=False, asked_only=True):
        self.gate = CommandGate(contract, lockstep, 0.1, asked_only)
        self.stamp_ns, self.now, self.loaded_ns = 0, 100.0, LOADED_NS

    def load(self, task="drawer-open-v3", keep_state=False):
        self.stamp_ns += PERIOD_NS
        self.loaded_ns += 5_000_000_000
        self.gate.begin(task, self.stamp_ns, self.loaded_ns, None if keep_state else START)
        self.gate.sent_ns = self.stamp_ns

    def step(self) -> list[float]:
        self.now += 0.0125
        command = self.gate.next(self.now).tolist()
        self.stamp_ns += PERIOD_NS
        self.gate.sent_ns = self.stamp_ns
        return command

    def command(self, x=0.4, effort=SHUT, stamp_ns=None, streams=(HAND, GRIPPER)):
        """A command on both streams, by default the answer to the last observation; the refusals."""
        stamp_ns = self.gate.sent_ns if stamp_ns is None else stamp_ns
        values = {HAND: np.array([x, 0.0, 0.0]), GRIPPER: np.array([effort])}
        return [self.gate.take(place, stamp_ns, "base", values[place], self.now) for place in streams]

    def tell(self, task="drawer-open-v3", after_s=1.0, first_ns=None, policy_id="p") -> bool:
        """A status: a policy generated `after_s` after the load that first answered `first_ns`."""
        first_ns = self.gate.sent_ns if first_ns is None else first_ns
        running = RunningPolicy(policy_id, task, self.loaded_ns + round(after_s * 1e9), first_ns)
        return self.gate.tell(running, self.now)


@pytest.fixture
def bridge(contract):
    """A bridge in real time whose loads hold the arm, with a task loaded."""
    bridge = Bridge(contract)
    bridge.load()
    return bridge


@pytest.fixture
def free(contract):
    """A bridge in real time that takes every command, with a task loaded."""
    bridge = Bridge(contract, asked_only=False)
    bridge.load()
    return bridge


def test_no_command_moves_the_arm_before_its_policy_is_named(bridge):
    for _ in range(50):
        bridge.command()
        assert bridge.step() == [0.0, 0.0, 0.0, OPEN]
        assert bridge.gate.holding
    assert bridge.gate.missed == 0
    assert bridge.tell()
    bridge.command()
    assert bridge.step() == [0.4, 0.0, 0.0, SHUT]
    assert not bridge.gate.holding and bridge.gate.wait is None


def test_a_command_that_came_before_its_status_counts_when_the_status_comes(bridge):
    bridge.command(x=0.4)
    assert bridge.tell()
    assert bridge.step() == [0.4, 0.0, 0.0, SHUT]


def test_what_answers_observations_before_the_policys_first_does_not_count(bridge):
    """The old policy's last commands, that arrive with the new policy's status."""
    old = bridge.gate.sent_ns
    bridge.command(x=-0.4)
    bridge.step()
    assert bridge.tell(first_ns=bridge.gate.sent_ns)
    bridge.command(x=-0.4, stamp_ns=old)
    assert bridge.step()[0] == 0.0
    bridge.command(x=0.4)
    assert bridge.step()[0] == 0.4


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"task": "drawer-close-v3"}, "the policy that runs is for 'drawer-close-v3'"),
        ({"after_s": -0.25}, "generated 0.250 s before the load, by its generator's clock"),
        ({"first_ns": 0}, "has not answered an observation of this scene first"),
        ({"first_ns": 1}, "has not answered an observation of this scene first"),
    ],
    ids=["another task", "older", "not begun", "began before the load"],
)
def test_another_policy_does_not_end_the_hold(bridge, status, reason):
    bridge.command()
    assert not bridge.tell(**status)
    assert reason in bridge.gate.why_held(bridge.now)
    bridge.command()
    assert bridge.step() == [0.0, 0.0, 0.0, OPEN]
    assert bridge.tell(policy_id="another one")


def test_a_policy_that_began_in_another_simulation_never_counts_unasked(bridge):
    """A bridge that was started again, and a generator whose clock is ahead.

    The stamps of the new bridge come to those of the old one; what ran all the time is no new policy then.
    """
    ahead = bridge.gate.sent_ns + 10 * PERIOD_NS
    for _ in range(30):
        assert not bridge.tell(first_ns=ahead)
        bridge.command()
        assert bridge.step()[0] == 0.0
    assert bridge.tell(policy_id="asked for", first_ns=bridge.gate.sent_ns)


def test_a_policy_that_stopped_is_named_no_more(bridge):
    bridge.tell(task="reach-v3")
    assert "for 'reach-v3'" in bridge.gate.why_held(bridge.now)
    assert "no policy runs" in bridge.gate.why_held(bridge.now + 2.0)  # its controller was killed
    bridge.gate.tell(None, bridge.now)
    assert "no policy runs" in bridge.gate.why_held(bridge.now)


@pytest.mark.parametrize("keep_state", [False, True])
def test_every_load_holds_and_the_gripper_keeps_its_command_where_the_state_is_kept(bridge, keep_state):
    bridge.command()
    bridge.tell()
    assert bridge.step() == [0.4, 0.0, 0.0, SHUT]
    bridge.load("drawer-close-v3", keep_state)
    assert bridge.gate.holding
    bridge.command()
    assert bridge.step() == [0.0, 0.0, 0.0, SHUT if keep_state else OPEN]
    assert not bridge.tell(after_s=-3.0, first_ns=PERIOD_NS)
    assert bridge.tell("drawer-close-v3")


def test_what_was_asked_for_in_vain_is_named(bridge):
    """And nothing else is: a policy that runs since before a reset is older than the reset, and no clock is wrong."""
    bridge.tell(after_s=-1.0, first_ns=0)
    assert bridge.gate.refused() is None
    bridge.tell(after_s=-1.0)
    assert bridge.gate.refused().policy_id == "p"
    bridge.tell("drawer-close-v3")
    assert bridge.gate.refused().task == "drawer-close-v3"
    assert bridge.tell(policy_id="another one")
    assert bridge.gate.refused() is None


def test_commands_that_no_policy_explains_are_named_once(bridge):
    bridge.command(stamp_ns=0)
    assert bridge.gate.unexplained(bridge.now) == ""  # its status may be under way
    assert bridge.gate.unexplained(bridge.now + 0.6) == "hand/velocity_command"
    assert bridge.gate.unexplained(bridge.now + 0.7) == ""


def test_commands_of_a_running_policy_and_safe_ones_are_explained(bridge):
    bridge.command(x=0.0, stamp_ns=0)
    assert bridge.gate.unexplained(bridge.now + 0.6) == ""
    bridge.command()
    bridge.tell(task="reach-v3")
    assert bridge.gate.unexplained(bridge.now + 0.6) == ""
    bridge.command()
    assert bridge.gate.unexplained(bridge.now + 0.6) == ""
    bridge.now += 2.0  # no status any more
    bridge.command()
    assert bridge.gate.unexplained(bridge.now + 0.6) == "hand/velocity_command"


def test_in_lock_step_the_new_policys_first_command_is_executed_whichever_comes_first(contract):
    for status_first in (False, True):
        bridge = Bridge(contract, lockstep=True)
        bridge.load()
        for _ in range(3):  # the old policy answers; the bridge moves on so that the next one can begin
            bridge.command(x=-0.4)
            assert bridge.gate.answered_while_held and not bridge.gate.fresh
            assert bridge.step()[0] == 0.0
        if status_first:
            assert bridge.tell()
            bridge.command()
        else:
            bridge.command()
            assert bridge.tell()
        assert bridge.gate.fresh
        assert bridge.step() == [0.4, 0.0, 0.0, SHUT]


def test_in_lock_step_half_an_answer_does_not_move_the_simulation(contract):
    bridge = Bridge(contract, lockstep=True)
    bridge.load()
    bridge.command(streams=(HAND,))
    assert not bridge.gate.answered_while_held
    bridge.command(stamp_ns=0, streams=(GRIPPER,))
    assert not bridge.gate.answered_while_held
    bridge.command(streams=(GRIPPER,))
    assert bridge.gate.answered_while_held
    bridge.step()
    assert not bridge.gate.answered_while_held  # the next observation is not answered yet


def test_without_holding_a_running_policy_goes_on_over_a_load_that_keeps_the_state(free):
    free.command()
    assert free.step() == [0.4, 0.0, 0.0, SHUT]
    free.load("drawer-close-v3", keep_state=True)
    free.command()
    assert free.step() == [0.4, 0.0, 0.0, SHUT]
    assert free.gate.why_held(free.now) == ""


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("asked_only", [False, True])
def test_a_stamp_from_the_future_is_refused_and_shuts_nobody_out(contract, lockstep, asked_only):
    bridge = Bridge(contract, lockstep, asked_only)
    bridge.load()
    if asked_only:
        bridge.tell()
    for stamp_ns in (bridge.gate.sent_ns + 1, LOADED_NS):
        for refusal in bridge.command(stamp_ns=stamp_ns):
            assert refusal.to_log
            assert f"found stamp {1e-9 * stamp_ns:.4f} s, expected 0 or the stamp of an observation" in refusal.sentence
            assert "at most 0.0125 s" in refusal.sentence
    assert bridge.command() == [None, None]
    assert bridge.step() == [0.4, 0.0, 0.0, SHUT]


@pytest.mark.parametrize("asked_only", [False, True])
def test_a_negative_stamp_is_named(contract, asked_only):
    bridge = Bridge(contract, asked_only=asked_only)
    bridge.load()
    refusal, _ = bridge.command(stamp_ns=-1_000_000_000)
    assert refusal.to_log and refusal.sentence.startswith("hand/velocity_command: found stamp -1.0000 s, expected 0 or")


def test_why_no_command_counts_names_what_is_refused(free):
    assert free.gate.why_no_command(free.now) == "no commands arrive"
    free.command(stamp_ns=LOADED_NS)
    free.step()
    assert free.gate.holding
    assert free.gate.why_no_command(free.now).startswith("commands are refused: gripper/command: found stamp 17")
    assert free.gate.why_no_command(free.now + 1.1) == "no commands arrive"
    for _ in range(5):
        free.step()
    free.command(stamp_ns=3 * PERIOD_NS)
    (refusal,) = free.command(stamp_ns=PERIOD_NS, streams=(HAND,))
    assert not refusal.to_log
    assert "found stamp 0.0125 s, expected at least 0.0375 s, that of the last command" in refusal.sentence


@pytest.mark.parametrize("lockstep", [False, True])
def test_the_stream_that_is_silent_is_named(contract, lockstep):
    bridge = Bridge(contract, lockstep, asked_only=False)
    bridge.load()
    bridge.command(streams=(HAND,))
    bridge.command(streams=(HAND,))  # a repetition is no refusal
    assert bridge.gate.why_no_command(bridge.now) == "no commands arrive on gripper/command"


def test_a_layout_is_not_moved_by_answers_to_the_one_before(free):
    before = free.gate.sent_ns
    free.command()
    free.step()
    free.load()
    (refusal,) = free.command(stamp_ns=before, streams=(HAND,))
    assert "that of the task's first observation" in refusal.sentence
    (refusal,) = free.command(stamp_ns=0, streams=(HAND,))
    assert "expected an answer to an observation of the new layout first" in refusal.sentence
    assert free.step() == [0.0, 0.0, 0.0, OPEN]


def test_missed_ticks_count_from_the_first_answer(free):
    for _ in range(3):
        free.step()
    assert free.gate.missed == 0
    free.command()
    free.step()
    free.step()
    assert free.gate.missed == 1


def test_no_ticks_are_missed_after_the_end_of_a_policy(free):
    """A stop: the safe command for a second, then nothing. What comes back after it was a hold."""
    free.command()
    free.step()

    def safe(steps: int):
        for _ in range(steps):
            free.command(stamp_ns=0)
            free.step()

    safe(8)
    assert free.gate.missed == 0
    free.command()
    free.step()
    assert free.gate.missed == 8  # a hold: a policy went on commanding
    safe(80)
    for _ in range(200):
        free.step()
    assert free.gate.missed == 8
    free.command()
    free.step()
    free.step()
    assert free.gate.missed == 9


def test_streams_that_answer_observations_far_apart_are_named(free):
    for _ in range(20):
        free.command(streams=(HAND,))
        free.command(stamp_ns=PERIOD_NS, streams=(GRIPPER,))
        free.step()
    text = free.gate.disagreement(free.now)
    assert text.startswith("gripper/command answers an observation 0.2") and text.endswith("of hand/velocity_command")
    free.command()
    assert free.gate.disagreement(free.now) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"frame_id": "camera"}, "hand/velocity_command: found frame_id 'camera', expected 'base'; ignored"),
        ({"values": np.array([np.nan, 0, 0])}, "found a non-finite command, expected a finite one; ignored"),
    ],
)
def test_a_wrong_frame_and_numbers_that_are_none_are_refused(free, change, sentence):
    given = {"place": HAND, "stamp_ns": 0, "frame_id": "base", "values": np.zeros(3), "now": free.now} | change
    refusal = free.gate.take(**given)
    assert refusal.to_log and sentence in refusal.sentence

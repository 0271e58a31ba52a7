"""Pins the simulated robot without ROS: pace, lock step, delay, hold, missed ticks, ends, recordings, what it says."""

from pathlib import Path

import numpy as np
import pytest
from toy_support import CONTRACT, OPEN, PERIOD_S, SPEC, Cell, ToySimulator, commands

from lwd_ros.contract import ContractError
from lwd_ros.environments.environment import EnvironmentSpec, SimulationError
from lwd_ros.environments.gate import RunningPolicy
from lwd_ros.environments.recording import Recorder, read_recording
from lwd_ros.environments.robot import REPEATED_S, Settings, SimulatedRobot

# Loading


def test_a_load_sends_the_first_observation_and_tells_what_it_did():
    cell = Cell().begin()
    first = cell.last
    assert (first.task, first.layout, first.episode, first.step) == ("go", 7, 1, 0)
    assert first.stamp_ns == first.observation_stamp_ns == cell.robot.period_ns
    assert first.observation.tolist() == [0.0, 0.25]
    assert not (first.success or first.first_success_step or first.missed or first.holding)
    # The tasks that it can be followed by are built now: an arm that moves must not pause for it.
    assert cell.simulator.made == ["go", "back"]
    assert cell.said == ["built 'go' in 0.0 s", "built 'back' in 0.0 s", "task 'go', layout 7"]


def test_layout_0_draws_one_that_is_no_demonstrations():
    layouts = {Cell().begin(layout=0).last.layout for _ in range(5)}
    assert len(layouts) == 5 and min(layouts) >= 1_000_000


def test_a_state_that_is_kept_goes_on_and_one_that_cannot_be_is_refused():
    cell = Cell().begin()
    cell.command(speed=2.0)
    cell.steps(2)
    cell.robot.load("back", keep_state=True)
    assert (cell.last.task, cell.last.layout, cell.last.episode, cell.last.step) == ("back", 7, 2, 0)
    assert cell.last.observation.tolist() == [pytest.approx(0.4), 0.25]
    assert cell.said[-1] == "task 'back', layout 7, state kept"
    before = len(cell.moments)
    with pytest.raises(SimulationError, match="'alone' has another scene than 'back', so the state cannot be kept"):
        cell.robot.load("alone", keep_state=True)
    with pytest.raises(SimulationError, match="task 'fly' is unknown; environment 'toy' has alone, back, go"):
        cell.robot.load("fly", keep_state=True)
    with pytest.raises(SimulationError, match="task 'fly' is unknown"):
        cell.robot.load("fly", 3)
    assert cell.robot.environment.task == "back" and len(cell.moments) == before
    cell.steps(1)  # and goes on under the command that it had
    assert commands(cell)[-1] == [2.0, 1.0, 0.5]
    with pytest.raises(SimulationError, match="keep_state needs a loaded task; load one without it first"):
        Cell().robot.load("go", keep_state=True)


def test_a_reset_begins_with_what_the_environment_says_and_forgets_what_was_commanded():
    cell = Cell().begin()
    cell.command(speed=2.0)
    cell.steps(2)
    cell.robot.load("go", 8)
    cell.steps(1)
    assert commands(cell) == [[0.0, OPEN, 0.25]]


def test_a_contract_of_another_period_is_refused():
    simulator = ToySimulator()
    simulator.spec = EnvironmentSpec("toy", ("go",), Path("unused.yaml"), 0.2, 100)
    with pytest.raises(ContractError, match=r"'period_s': found 0.1, expected 0.2, that of environment 'toy'"):
        SimulatedRobot(simulator, CONTRACT, Settings(), None)


# Real time


def test_real_time_steps_once_a_period_whether_commanded_or_not():
    cell = Cell().begin()
    start = cell.now
    cell.steps(10)
    assert cell.now == pytest.approx(start + 9 * PERIOD_S)  # the first step is due at once
    assert np.diff([m.stamp_ns for m in cell.moments]).tolist() == [cell.robot.period_ns] * 10
    assert cell.last.holding and commands(cell)[-1] == [0.0, OPEN, 0.25]


def test_the_newest_command_counts_until_it_is_too_old_and_then_what_may_keep_stays():
    cell = Cell().begin()
    cell.command()
    cell.steps(3)
    assert commands(cell) == [[1.0, 1.0, 0.5]] * 3 and not cell.last.holding
    cell.steps(2)
    # A velocity is 0 at rest; a gripper and a position stay as commanded: 0 may be a place far away.
    assert commands(cell)[-1] == [0.0, 1.0, 0.5] and cell.last.holding
    assert cell.robot.complaint() == "no commands arrive: the arm is held"
    assert cell.last.missed > 0
    cell.command(speed=-1.0)
    cell.steps(1)
    assert commands(cell)[-1][0] == -1.0 and not cell.last.holding and cell.robot.complaint() == ""


def test_commands_that_wait_are_heard_before_the_step():
    cell = Cell().begin()
    cell.turns()
    cell.now += PERIOD_S
    cell.callbacks = [lambda: cell.command(speed=0.5)]
    cell.turns()
    assert commands(cell)[-1][0] == 0.5


def test_a_simulation_that_is_slower_than_the_clock_serves_more_and_does_not_catch_up():
    cell = Cell().begin()
    cell.turns()
    cell.now += 3.0  # something took long
    cell.callbacks = [lambda k=k: cell.command(speed=0.1 * k) for k in range(20)]
    cell.turns()
    assert len(cell.callbacks) == 12  # all that queue, a few at a time
    assert cell.warned == ["the simulation fell 2.80 s behind the wall clock and goes on from here"]
    before = len(cell.moments)
    cell.callbacks = []
    cell.now += 0.5 * PERIOD_S
    cell.turns(4)
    assert len(cell.moments) - before <= 2


def test_nothing_steps_before_the_start_or_in_a_pause():
    cell = Cell()
    cell.robot.load("go", 7)
    cell.turns(5)
    assert cell.moments == []
    cell.robot.start()
    assert len(cell.moments) == 1
    cell.steps(2)
    cell.robot.pause()
    cell.turns(5)
    assert len(cell.moments) == 3
    cell.robot.start()
    cell.steps(1)
    assert cell.last.step == 3


def test_a_callback_may_pause_it_before_the_step():
    cell = Cell().begin()
    cell.callbacks = [cell.robot.pause]
    cell.turns(2)
    assert cell.last.step == 0


def test_observations_that_are_late_leave_with_the_stamp_of_when_they_were_taken():
    cell = Cell(delay=2).begin()
    cell.steps(5)
    stamps = [m.observation_stamp_ns // cell.robot.period_ns for m in cell.moments if m.observation is not None]
    assert [m.observation is None for m in cell.moments] == [True, True] + [False] * 4
    assert stamps == [1, 2, 3, 4] and cell.last.stamp_ns == 6 * cell.robot.period_ns
    (refusal, _) = cell.command(stamp_ns=5 * cell.robot.period_ns)
    assert "found stamp 0.5000 s, expected 0 or the stamp of an observation, at most 0.4000 s" in refusal.sentence


def test_a_delay_in_lock_step_is_refused():
    with pytest.raises(SimulationError, match="found a delay of 2 periods in lock step, expected 0"):
        Settings(lockstep=True, delay=2)


# Lock step


def test_lock_step_steps_when_every_stream_has_answered_and_not_by_the_clock():
    cell = Cell(lockstep=True).begin()
    cell.command(streams=(0,))
    assert cell.last.step == 0
    cell.command(streams=(1,))
    assert cell.last.step == 1 and commands(cell) == [[1.0, 1.0, 0.5]]
    for _ in range(15):
        cell.command()
    assert cell.last.step == 16 and cell.now == 50.0
    assert cell.last.missed == 0


def test_lock_step_sends_an_observation_that_nobody_answers_again():
    cell = Cell(lockstep=True).begin()
    cell.turns(3)
    assert 2 <= len(cell.moments) <= 4
    assert {m.stamp_ns for m in cell.moments} == {cell.robot.period_ns}
    cell.now += 2.0
    assert cell.robot.complaint() == "no commands arrive: the simulation waits"
    assert cell.last.step == 0


def test_a_second_answer_to_one_observation_does_not_step_twice():
    cell = Cell(lockstep=True).begin()
    stamp = cell.last.stamp_ns
    cell.command(stamp_ns=stamp)
    assert all(refusal is not None for refusal in cell.command(stamp_ns=stamp))
    assert cell.last.step == 1


# Hold until asked


def asked(cell, task="go", after_s=1.0, policy_id="p"):
    """A controller's status: it runs a policy that was generated so long after the load, for the last observation."""
    generated = round(1e9 * (1050.0 + after_s))
    cell.robot.tell(RunningPolicy(policy_id, task, generated, cell.last.observation_stamp_ns))


def test_a_held_arm_waits_for_a_policy_of_its_task_and_says_how_to_ask():
    cell = Cell(asked_only=True).begin()
    assert cell.robot.waits_for == "go" and cell.last.holding
    assert cell.said[-1] == "'go' is loaded: the arm is held until a policy for it commands; ask for one: ASK go"
    cell.command()
    cell.steps(3)
    assert commands(cell) == [[0.0, OPEN, 0.25]] * 3
    assert cell.robot.complaint().endswith("no policy runs; ask for one: ASK go")
    asked(cell, task="back")
    assert cell.robot.waits_for == "go"
    assert cell.warned_once == [
        "'go' is loaded, and the arm is held until a policy for it commands: the policy that runs is for 'back'; "
        "ask for one: ASK go"
    ]
    asked(cell, task="back")
    assert len(cell.warned_once) == 1  # each policy is named once
    asked(cell)
    assert cell.robot.waits_for == "" and "policy p for 'go' commands: the arm is held no more" in cell.said
    cell.command(speed=3.0)
    cell.steps(1)
    assert commands(cell)[-1] == [3.0, 1.0, 0.5] and not cell.last.holding


def test_a_held_robot_in_lock_step_moves_on_at_the_policy_that_it_waits_for():
    cell = Cell(lockstep=True, asked_only=True).begin()
    cell.command(speed=2.0)
    assert cell.last.step == 0
    asked(cell)  # its answer came before its status
    assert cell.last.step == 1 and commands(cell) == [[2.0, 1.0, 0.5]]


def test_a_held_robot_in_lock_step_steps_at_rest_under_a_policy_that_must_not_command():
    cell = Cell(lockstep=True, asked_only=True).begin()
    cell.command(speed=2.0)
    cell.now += 2 * REPEATED_S
    cell.turns(2)
    assert commands(cell)[0] == [0.0, OPEN, 0.25]


def test_commands_of_a_held_arm_that_no_policy_explains_are_named():
    cell = Cell(asked_only=True).begin()
    cell.command()
    assert cell.robot.unexplained() == ""
    cell.now += 1.0
    assert cell.robot.unexplained() == "drive"
    assert cell.robot.unexplained() == ""
    cell.command(speed=0.0)  # at rest: a controller without a policy keeps its robot still
    cell.now += 1.0
    assert cell.robot.unexplained() == ""


# Success and the end


def test_the_first_success_since_the_load_is_counted_and_told_once():
    cell = Cell(lockstep=True).begin()
    for _ in range(12):
        cell.command(speed=1.0)
    assert (cell.last.success, cell.last.first_success_step, cell.last.step) == (True, 10, 12)
    assert [s for s in cell.said if "succeeded" in s] == ["'go' succeeded at step 10 since its load"]
    for _ in range(12):
        cell.command(speed=-1.0)
    assert (cell.last.success, cell.last.first_success_step) == (False, 10)
    assert cell.robot.values() == {
        **{"task": "go", "layout": 7, "episode": 1, "step": 24},
        **{"succeeded": True, "missed_ticks": 0},
    }
    cell.robot.load("go", 8)
    assert (cell.last.first_success_step, cell.last.step, cell.last.episode) == (0, 0, 2)


def test_after_an_end_nothing_moves_until_a_reset_and_in_real_time_the_clock_goes_on():
    cell = Cell(command_timeout_s=9.0).begin()
    cell.command(speed=9.0)
    cell.steps(6)
    assert cell.robot.environment.ended and cell.last.step == 3 and cell.last.holding
    assert cell.said[-1] == "'go' ended at step 3 since its load"
    assert cell.robot.complaint() == "'go' ended at step 3: reset or load a task"
    assert cell.last.stamp_ns == 7 * cell.robot.period_ns
    assert cell.last.observation.tolist() == [pytest.approx(2.7), 0.25]
    cell.robot.load("go", 7)
    cell.steps(1)
    assert not cell.robot.environment.ended and cell.last.step == 1


def test_after_an_end_lock_step_stands_still():
    cell = Cell(lockstep=True).begin()
    for _ in range(6):
        cell.command(speed=9.0)
    assert cell.last.step == 3 and cell.last.stamp_ns == 4 * cell.robot.period_ns


# Recordings


def test_a_recording_holds_every_state_by_layout(tmp_path):
    cell = Cell(Recorder(tmp_path / "states.npz"), lockstep=True).begin()
    for _ in range(3):
        cell.command(speed=1.0)
    cell.robot.load("back", keep_state=True)
    cell.robot.load("go", 9)
    cell.command(speed=2.0)
    toys = list(cell.robot._environments.values())
    cell.robot.close()
    assert all(toy.closed for toy in toys)
    first, second = read_recording(tmp_path / "states.npz")
    assert (first.task, first.layout, second.task, second.layout) == ("go", 7, "go", 9)
    assert first.state[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.3])
    assert first.time_s.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert second.state[:, 0].tolist() == pytest.approx([0.0, 0.2])


def test_states_that_an_environment_does_not_give_cannot_be_recorded(tmp_path, monkeypatch):
    class Bare:
        spec = SPEC

    cell = Cell(Recorder(tmp_path / "states.npz"))
    monkeypatch.setattr(cell.simulator, "make", lambda task, contract: Bare())
    with pytest.raises(SimulationError, match="environment 'toy': found capabilities none, expected 'render'"):
        cell.begin()
    assert cell.robot.environment is None

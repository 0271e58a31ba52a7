"""Pins what disturbances do: to what is executed, to what is seen, and that every method meets the same ones."""

import numpy as np
import pytest

from lwd_ros.environments.disturbance import Disturbance
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.episode import Thinking, run_episode
from lwd_ros.environments.metaworld.scene import Scene

TASK, LAYOUT = "push-v3", 100_003


class Recorder:
    """An actor that moves by a plan, once it has an answer, and writes down what it sees and is asked."""

    def __init__(self, contract, plan=lambda step: np.zeros(4), horizon=10**9):
        self.contract, self.plan, self.horizon, self.queries = contract, plan, horizon, 0
        self.seen, self.stamps, self.calls, self.answer = [], [], [], None

    def begin(self, task, seed):
        self.started, self.queries, self.asked = (task, seed), 0, -(10**9)

    def see(self, observation, time_s, stamp_s):
        self.seen.append(observation.copy())
        self.stamps.append((time_s, stamp_s))

    @property
    def _step(self):
        return len(self.seen) - 1

    @property
    def due(self):
        return self._step - self.asked >= self.horizon

    def query(self):
        self.asked = self._step
        self.queries += 1
        self.calls.append(("query", self._step))

    def adopt(self, stood_still=False):
        self.answer = self.asked
        self.calls.append(("begin" if stood_still else "adopt", self._step))

    def command(self):
        self.calls.append(("command", self._step))
        return None if self.answer is None else self.plan(self._step)


@pytest.fixture(scope="module")
def scene(contract):
    return Scene(TASK, contract)


def _move(step):
    return np.array([0.4 * np.sin(0.1 * step), 0.2, -0.1, 1.0])


def _seen(scene, disturbance=None, steps=60, plan=_move, **more):
    """What a recorder sees of a disturbed episode's first steps."""
    actor = Recorder(scene.contract, plan)
    run_episode(scene, actor, LAYOUT, disturbance=disturbance or Disturbance(), **more)
    assert actor.started == (TASK, LAYOUT + 1)
    return np.array(actor.seen)[:steps]


def test_without_disturbance_it_is_a_plain_episode(scene):
    actor = Recorder(scene.contract)
    outcome = run_episode(scene, actor, LAYOUT)
    assert (outcome.first_success_step, outcome.queries, outcome.steps) == (0, 1, 500)
    assert not outcome.success and not outcome.ended and outcome.record is None
    assert len(actor.seen) == 500
    scene.reset(LAYOUT)
    assert np.array_equal(actor.seen[0], scene.observe())


def test_observation_noise_is_on_positions_of_what_there_is_and_the_same_again(scene):
    clean, noisy = _seen(scene), _seen(scene, Disturbance(observation_noise_m=0.01))
    names = [f"{thing}_{axis}" for thing in ("hand", "object_1", "goal") for axis in "xyz"]  # push has no second object
    measured = np.isin(scene.contract.observation_names, names)
    assert np.array_equal(clean[:, ~measured], noisy[:, ~measured])
    assert (noisy - clean)[:, measured].std() == pytest.approx(0.01, rel=0.1)
    assert np.array_equal(noisy, _seen(scene, Disturbance(observation_noise_m=0.01)))


def test_a_delay_shows_what_was(scene):
    clean, late = _seen(scene), _seen(scene, Disturbance(delay=5))
    assert np.array_equal(late[5:], clean[:-5])
    assert (late[:5] == clean[0]).all()


def test_dropped_observations_leave_the_last_one(scene):
    clean, found = _seen(scene), _seen(scene, Disturbance(dropped=0.5))
    same = (found == clean).all(axis=1)
    assert same[0] and 0.3 < same.mean() < 0.7
    assert all(same[k] or np.array_equal(found[k], found[k - 1]) for k in range(1, len(found)))


def test_observations_carry_their_stamps(scene):
    actor = Recorder(scene.contract, _move)
    run_episode(scene, actor, LAYOUT, disturbance=Disturbance(delay=2, dropped=0.5))
    times, stamps = np.array(actor.stamps).T
    ages = np.round((times - stamps) / 0.0125).astype(int)
    assert list(ages[:3]) == [0, 1, 2]
    assert ages[2:].min() == 2 and ages.max() > 4
    clean = _seen(scene, steps=500)
    assert all(np.array_equal(seen, clean[k - age]) for k, (seen, age) in enumerate(zip(actor.seen, ages, strict=True)))


def test_action_noise_moves_the_hand_about(scene):
    clean, noisy = _seen(scene), _seen(scene, Disturbance(action_noise=0.3))
    assert np.array_equal(clean[0], noisy[0])
    assert 0.001 < np.abs(noisy - clean)[-1, :3].max() < 0.2


def test_action_noise_is_the_same_for_commands_beyond_the_limits(scene):
    """A network whose outputs may exceed the limits would hardly feel it otherwise."""
    noise = Disturbance(action_noise=0.3)
    within, beyond = (_seen(scene, noise, plan=lambda step, k=k: k * np.array([0.0, 0.8, 0.0, 1.0])) for k in (1, 9))
    assert np.array_equal(within, beyond)


def test_the_hand_is_pushed_once_between_a_quarter_and_half_a_second(scene):
    clean = _seen(scene)
    pushed = _seen(scene, Disturbance(hand_push_m=0.1))
    apart = np.linalg.norm((pushed - clean)[:, :2], axis=1)
    first = int((apart > 1e-6).argmax())
    assert 20 < first <= 41
    assert 0.05 < apart[first + 10] < 0.15


def test_a_free_object_is_pushed_by_that_much(contract):
    scene = Scene(TASK, contract)
    scene.reset(LAYOUT)
    for _ in range(20):
        scene.step(np.zeros(4))
    before = scene.observe()[4:6]
    scene.push_object(np.array([0.3, -0.4]))
    scene.step(np.zeros(4))
    moved = scene.observe()[4:6] - before
    assert moved[0] / 0.3 == pytest.approx(moved[1] / -0.4, rel=0.1)
    assert 0.3 * 0.0125 * 0.5 < moved[0] <= 0.3 * 0.0125 * 1.01
    with pytest.raises(SimulationError, match="'drawer-close-v3' has no object that could be pushed about"):
        Scene("drawer-close-v3", contract).push_object(np.array([1.0, 0.0]))


def test_tasks_are_disturbed_each_in_its_own_way(contract):
    pushed = []
    for task in (TASK, "pick-place-v3"):
        seen = []
        for push in (0.0, 0.1):
            actor = Recorder(contract)
            run_episode(Scene(task, contract), actor, LAYOUT, disturbance=Disturbance(hand_push_m=push))
            seen.append(np.array(actor.seen)[:60, :2])
        pushed.append((seen[1] - seen[0])[-1])
    assert np.linalg.norm(pushed[0] - pushed[1]) > 0.01


@pytest.mark.parametrize(("period_s", "steps"), [(0.025, 250), (0.0125, 500), (0.005, 1250)])
def test_a_velocity_means_the_same_at_any_rate(scene, period_s, steps):
    actor = Recorder(scene.contract, lambda step: np.array([0.2, 0.1, 0.0, 0.0]))
    outcome = run_episode(scene, actor, LAYOUT, disturbance=Disturbance(period_s=period_s))
    assert outcome.steps == steps
    place = round(0.5 / period_s)
    moved = actor.seen[place][:2] - actor.seen[0][:2]
    assert moved == pytest.approx([0.1, 0.05], abs=0.02)
    # The next episode begins where every other does.
    scene.reset(LAYOUT)
    assert np.array_equal(scene.observe(), actor.seen[0])


def _calls(scene, steps, thinking) -> list:
    actor = Recorder(scene.contract, _move, horizon=8)
    run_episode(scene, actor, LAYOUT, thinking=thinking)
    assert actor.seen[0][:3] == pytest.approx(actor.seen[2][:3], abs=5e-3)  # nothing to act by yet
    return [call for call in actor.calls if call[1] < steps]


def test_while_the_model_thinks_the_last_command_stands(scene):
    commands = [("command", step) for step in (*range(3, 8), *range(11, 13))]
    others = [("query", 0), ("begin", 3), ("query", 8), ("adopt", 11)]
    assert sorted(_calls(scene, 13, Thinking(3)), key=lambda call: call[1]) == sorted(
        [*others, *commands], key=lambda call: (call[1], call[0])
    )


def test_or_the_answer_before_is_acted_on(scene):
    calls = _calls(scene, 13, Thinking(3, "plays on"))
    assert [step for name, step in calls if name == "command"] == list(range(13))
    assert [call for call in calls if call[0] != "command"] == [
        ("query", 0), ("begin", 3), ("query", 8), ("adopt", 11)
    ]  # fmt: skip


def test_or_the_robot_pauses_and_keeps_its_grip(contract):
    executed = []

    class Watched(Scene):
        def step(self, command):
            executed.append(command.copy())
            return super().step(command)

    calls = _calls(Watched(TASK, contract), 13, Thinking(3, "pauses"))
    assert [call for call in calls if call[0] != "command"] == [
        ("query", 0), ("begin", 3), ("query", 8), ("begin", 11)
    ]  # fmt: skip
    assert [step for name, step in calls if name == "command"] == [3, 4, 5, 6, 7, 11, 12]
    moving = [step for step in range(13) if np.any(executed[step][:3])]
    assert moving == [3, 4, 5, 6, 7, 11, 12]
    assert executed[10][3] == executed[7][3] == 1.0


def test_an_answer_that_comes_after_its_horizon_still_gives_one_command(scene):
    calls = _calls(scene, 31, Thinking(14))
    assert [call for call in calls if call[0] != "query"] == [
        ("begin", 14), ("command", 14), ("adopt", 28), ("command", 28)
    ]  # fmt: skip
    # It is asked again with what is seen as it answers: it thinks without a pause.
    assert [step for name, step in calls if name == "query"] == [0, 14, 28]

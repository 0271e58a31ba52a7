"""Pins what disturbances do: to what is executed, to what is seen, and that every method meets the same ones."""

import numpy as np
import pytest

from lwd_ros.evaluation.disturbance import Disturbance, Outcome, disturbed_episode
from lwd_ros.sim.scene import Scene

TASK, LAYOUT = "push-v3", 100_003


class Recorder:
    """An actor that moves by a plan and writes down what it sees."""

    def __init__(self, contract, plan=lambda step: np.zeros(4), horizon=10**9):
        self.contract, self.plan, self.horizon, self.queries = contract, plan, horizon, 0
        self.seen, self.asked = [], []

    def begin(self, task, seed):
        self.started = task, seed
        self.queries = 0

    def see(self, observation, time_s):
        self.seen.append(observation.copy())
        self.time_s = time_s

    def command(self, may_query=True):
        step = len(self.seen) - 1
        if may_query and step % self.horizon == 0:
            self.queries += 1
        self.asked.append((step, may_query))
        return self.plan(step)


@pytest.fixture(scope="module")
def scene(contract):
    return Scene(TASK, contract)


def _move(step):
    return np.array([0.4 * np.sin(0.1 * step), 0.2, -0.1, 1.0])


def _seen(scene, disturbance=None, steps=60, plan=_move, **more):
    """What a recorder sees of a disturbed episode's first steps."""
    actor = Recorder(scene.contract, plan)
    disturbed_episode(scene, actor, TASK, LAYOUT, disturbance or Disturbance(), **more)
    assert actor.started == (TASK, LAYOUT + 1)
    return np.array(actor.seen)[:steps]


def test_without_disturbance_it_is_a_plain_episode(scene):
    actor = Recorder(scene.contract)
    outcome = disturbed_episode(scene, actor, TASK, LAYOUT)
    assert outcome == Outcome(0, 1, 500)
    assert len(actor.seen) == 500
    scene.reset(LAYOUT)
    assert np.array_equal(actor.seen[0], scene.observe())


def test_observation_noise_is_on_lengths_alone_and_the_same_again(scene):
    clean, noisy = _seen(scene), _seen(scene, Disturbance(observation_noise_m=0.01))
    lengths = np.array([scalar.unit == "m" for scalar in scene.contract.observation])
    assert np.array_equal(clean[:, ~lengths], noisy[:, ~lengths])
    assert (noisy - clean)[:, lengths].std() == pytest.approx(0.01, rel=0.1)
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


def test_action_noise_moves_the_hand_about(scene):
    clean, noisy = _seen(scene), _seen(scene, Disturbance(action_noise=0.3))
    assert np.array_equal(clean[0], noisy[0])
    assert 0.001 < np.abs(noisy - clean)[-1, :3].max() < 0.2


def test_the_hand_is_pushed_once_between_a_quarter_and_half_a_second(scene):
    clean = _seen(scene)
    pushed = _seen(scene, Disturbance(hand_push_m=0.1))
    apart = np.linalg.norm((pushed - clean)[:, :2], axis=1)
    first = int((apart > 1e-6).argmax())
    assert 20 < first <= 41
    assert 0.05 < apart[first + 10] < 0.15


@pytest.mark.parametrize(("task", "place"), [("push-v3", slice(4, 6)), ("drawer-close-v3", slice(4, 6))])
def test_the_object_is_pushed(contract, task, place):
    ends = []
    for push in (0.0, 1.0):
        scene, actor = Scene(task, contract), Recorder(contract)
        disturbed_episode(scene, actor, task, LAYOUT, Disturbance(object_push_mps=push))
        ends.append(actor.seen[60][place])
    assert np.linalg.norm(ends[1] - ends[0]) > 0.005


@pytest.mark.parametrize(("period_s", "steps"), [(0.025, 250), (0.0125, 500), (0.005, 1250)])
def test_a_velocity_means_the_same_at_any_rate(scene, period_s, steps):
    actor = Recorder(scene.contract, lambda step: np.array([0.2, 0.1, 0.0, 0.0]))
    outcome = disturbed_episode(scene, actor, TASK, LAYOUT, Disturbance(period_s=period_s))
    assert outcome.steps == steps
    place = round(0.5 / period_s)
    moved = actor.seen[place][:2] - actor.seen[0][:2]
    assert moved == pytest.approx([0.1, 0.05], abs=0.02)
    # The next episode begins where every other does.
    scene.reset(LAYOUT)
    assert np.array_equal(scene.observe(), actor.seen[0])


def test_while_the_model_thinks_the_last_command_stands(scene):
    steps = []
    actor = Recorder(scene.contract, lambda step: steps.append(step) or _move(step), horizon=8)
    disturbed_episode(scene, actor, TASK, LAYOUT, thinking_steps=3)
    # Asked at 0, silent for two steps, asked without a query when the answer is there, then every step.
    assert actor.asked[:7] == [(0, True), (3, False), (4, True), (5, True), (6, True), (7, True), (8, True)]
    assert actor.asked[7] == (11, False)
    still = np.array(actor.seen)[:3, :3]
    assert np.abs(still - still[0]).max() < 5e-3

"""Pins the actors: when they ask, what they play and see, and that LWD's is what `lwd evaluate` runs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from diffusion_policy_support import TINY
from lwd_benchmarks.methods.diffusion_policy import training
from lwd_benchmarks.methods.diffusion_policy.actor import DiffusionPolicyActor
from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator

from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.disturbance import NONE
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.generator import PolicyGenerator
from lwd_ros.resources import share_path

LWD = share_path("models", "metaworld_mt10_visible.onnx")


def _commands(actor, observations, seed=1, period_s=0.0125, thinking=0, age=0) -> list[list[float] | None]:
    """What an actor commands for observations a period apart, `age` steps old, whose queries take `thinking` steps."""
    actor.begin("reach-v3", seed)
    commands, answered = [], None
    for place, observation in enumerate(observations):
        actor.see(observation, place * period_s, (place - age) * period_s)
        if answered is None and actor.due:
            actor.query()
            answered = place + thinking
        if place == answered:
            actor.adopt()
            answered = None
        found = actor.command()
        commands.append(None if found is None else found.tolist())
    return commands


SEEN = [np.full(21, 0.01 * k) for k in range(9)]


@pytest.mark.parametrize("kind", ["lwd", "diffusion_policy"])
def test_actors_query_as_often_as_their_horizon_says(tiny_model, kind):
    actor = LwdActor(LWD, 4) if kind == "lwd" else DiffusionPolicyActor(tiny_model, 4)
    first = _commands(actor, SEEN)
    assert actor.queries == 3
    assert _commands(actor, SEEN) == first
    assert _commands(actor, SEEN, seed=2)[0] != first[0]
    # A horizon is a time: at 200 Hz it has more steps, at 40 Hz fewer.
    for period_s, queries in ((0.005, 1), (0.025, 5)):
        _commands(actor, SEEN, period_s=period_s)
        assert actor.queries == queries


def test_a_sequence_is_played_without_looking_and_a_policy_is_not(tiny_model):
    other = [SEEN[0], SEEN[5], SEEN[6], SEEN[7]]
    played = _commands(DiffusionPolicyActor(tiny_model, 4), SEEN[:4])
    assert played == _commands(DiffusionPolicyActor(tiny_model, 4), other)
    assert len({tuple(row) for row in played}) == 4
    assert _commands(LwdActor(LWD), SEEN[:4])[1:] != _commands(LwdActor(LWD), other)[1:]


def test_a_sequence_is_played_by_time(tiny_model):
    expected = _commands(DiffusionPolicyActor(tiny_model, 4), SEEN[:4])
    assert _commands(DiffusionPolicyActor(tiny_model, 4), SEEN[:2], period_s=0.025) == expected[::2]
    slow = _commands(DiffusionPolicyActor(tiny_model, 4), SEEN[:5], period_s=0.005)
    assert slow == [expected[k] for k in (0, 0, 0, 1, 1)]


def test_actions_whose_time_has_passed_are_left_out(tiny_model):
    at_once = _commands(DiffusionPolicyActor(tiny_model, 4), SEEN[:4])
    late = _commands(DiffusionPolicyActor(tiny_model, 4), SEEN, thinking=2)
    assert late[:4] == [None, None, at_once[2], at_once[3]]
    # Asked again when the horizon is over; the old sequence goes on until the answer is there.
    eight = DiffusionPolicyActor(tiny_model, 8)
    whole = _commands(eight, SEEN[:8])
    assert late[4:6] == whole[4:6] and late[6] != whole[6]


def test_a_sequence_begins_at_the_stamp_of_what_was_seen(tiny_model):
    expected = _commands(DiffusionPolicyActor(tiny_model, 4), [SEEN[0]] * 7)
    actor = DiffusionPolicyActor(tiny_model, 4)
    assert _commands(actor, [SEEN[0]] * 4, age=3) == _commands(DiffusionPolicyActor(tiny_model, 8), [SEEN[0]] * 7)[3:]
    assert expected[:4] != _commands(actor, [SEEN[0]] * 4, age=3)
    # An observation that came before is no news, and no history.
    actor.begin("reach-v3", 1)
    for step, stamp_s in enumerate((0.0, 0.0125, 0.0125)):
        actor.see(SEEN[min(step, 1)], step * 0.0125, stamp_s)
    assert actor._history()[:, 3].tolist() == [0.0, 0.01]


def test_after_the_end_of_a_sequence_the_hand_stands_unless_it_was_for_whole_episodes(tiny_model, two_tasks):
    late = _commands(DiffusionPolicyActor(tiny_model, 8), [SEEN[0]] * 11, thinking=9)
    last = _commands(DiffusionPolicyActor(tiny_model, 8), SEEN[:8])[7]
    assert late[9] == last  # all of it has passed: one action at least
    assert late[10] == [0.0, 0.0, 0.0, last[3]]
    description = ActionGenerator(tiny_model).description
    lengths = [len(e.action) for t in two_tasks.tasks for e in two_tasks.episodes[t]]
    assert description.usual_length == np.ceil(np.quantile(lengths, 0.98)) <= max(lengths)


def test_a_network_of_whole_episodes_keeps_its_last_action(two_tasks, tmp_path):
    config = replace(TINY, prediction_horizon=256, steps=1, batch=2)
    training.train_diffusion_policy(config, two_tasks, tmp_path / "run", tmp_path / "whole.onnx")
    actor = DiffusionPolicyActor(tmp_path / "whole.onnx", 500)
    commands = _commands(actor, [SEEN[0]] * 260)
    assert actor.queries == 1
    assert commands[255:] == [commands[255]] * 5 and commands[254] != commands[255]


@pytest.mark.parametrize(("period_s", "before"), [(0.0125, 0.04), (0.025, 0.045), (0.005, 0.025)])
def test_what_was_seen_is_a_period_apart_at_any_rate(tiny_model, period_s, before):
    actor, histories = DiffusionPolicyActor(tiny_model, 1), []
    sample = actor._generator.sample
    actor._generator.sample = lambda task, seed, seen: histories.append(seen[:, 3].tolist()) or sample(task, seed, seen)
    actor.begin("reach-v3", 1)
    for place in range(6):
        actor.see(SEEN[place], place * period_s, place * period_s)
        if place in (0, 5):
            actor.query()
    assert histories == [[0.0, 0.0], pytest.approx([before, 0.05])]


def test_an_lwd_policy_is_told_the_age_of_what_it_sees_and_its_generator_is_not(contract, monkeypatch):
    actor = LwdActor(LWD)
    actor.contract = contract.with_age(0.1)
    asked = []
    policy = SimpleNamespace(forward=lambda seen, out: seen[-1:].copy())
    actor._generator = SimpleNamespace(generate=lambda task, seed, seen: asked.append(seen[-1]) or policy)
    actor.begin("reach-v3", 1)
    ages = []
    for time_s, stamp_s in ((1.0, 0.97), (1.0125, 0.97), (1.3, 1.0)):
        actor.see(np.zeros(22), time_s, stamp_s)
        if actor.due:
            actor.query()
            actor.adopt()
        ages += actor.command().tolist()
    assert ages == pytest.approx([0.03, 0.0425, 0.1]) and asked == [0.0]


def test_nothing_is_left_out_of_a_sequence_that_the_robot_stood_still_for(tiny_model):
    """Commands are velocities: an action that is left out is a way not gone."""
    played = {}
    for stood_still in (False, True):
        actor = DiffusionPolicyActor(tiny_model, 4)
        actor._generator = SimpleNamespace(sample=lambda *a: np.arange(8.0)[:, None] * np.ones(4))
        actor.begin("reach-v3", 1)
        played[stood_still], queries = [], []
        for place in range(9):
            actor.see(SEEN[place], place * 0.0125, max(0, place - 1) * 0.0125)
            if actor.due:
                actor.query()
                queries.append(place)
            if place == 3:
                actor.adopt(stood_still)
            played[stood_still].append(None if actor.command() is None else actor.command()[0])
        assert queries == ([0, 7] if stood_still else [0, 4, 8])
    assert played[False][3:8] == [3, 4, 5, 6, 7]
    assert played[True][3:8] == [0, 1, 2, 3, 4]


def test_lwd_once_per_episode_is_what_lwd_evaluate_runs(contract):
    scene, actor = Scene("drawer-close-v3", contract), LwdActor(LWD)
    policy = PolicyGenerator(LWD).generate("drawer-close-v3", 200_001)
    scene.reset(200_000)
    expected = run_episode(scene, PolicyActor(policy, contract), None).first_success_step
    outcome = run_episode(scene, actor, 200_000, disturbance=NONE)
    assert (outcome.first_success_step, outcome.queries) == (expected, 1)
    assert expected > 0

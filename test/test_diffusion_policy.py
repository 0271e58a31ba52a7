"""Pins Diffusion Policy: the published network and schedule, windows, a model file that computes what was trained."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from diffusers import DDIMScheduler

from lwd_ros.cli import cli
from lwd_ros.dataset import Demonstrations
from lwd_ros.evaluation.actors import DiffusionPolicyActor, LwdActor
from lwd_ros.evaluation.diffusion_policy import training
from lwd_ros.evaluation.diffusion_policy.config import DiffusionPolicyConfig
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.evaluation.diffusion_policy.network import ConditionalUnet
from lwd_ros.evaluation.diffusion_policy.policy import DiffusionPolicy
from lwd_ros.evaluation.disturbance import disturbed_episode
from lwd_ros.evaluation.rollout import rollout
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.learning import trainer
from lwd_ros.learning.config import ConfigError, SensingConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.resources import share_path
from lwd_ros.sim.collect import CollectSettings, collect
from lwd_ros.sim.scene import EPISODE_STEPS, Scene

TASKS = ("reach-v3", "drawer-close-v3")
CONFIG = DiffusionPolicyConfig("tiny", prediction_horizon=8, channels=(8, 16), steps=40, batch=6, warmup_steps=5)
LWD = share_path("models", "metaworld_mt10_visible.onnx")


@pytest.fixture(scope="module")
def data(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, TASKS, contract, CollectSettings(episodes=2), workers=1)
    return Demonstrations(folder, contract)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diffusion_policy")
    training.train_diffusion_policy(CONFIG, data, folder / "run", folder / "dp.onnx")
    return folder / "dp.onnx"


def test_the_published_network_has_the_published_size():
    # ConditionalUnet1D of the published code with its state-based configs (kernel 5, FiLM with scale, 256-512-1024, 256
    # step features), for 2 actions and a condition of 2 x 20
    assert sum(p.numel() for p in ConditionalUnet(2, 40, (256, 512, 1024)).parameters()) == 65_783_298
    network = ConditionalUnet(4, 10, (8, 16, 24))
    assert network(torch.zeros(3, 16, 4), torch.zeros(3), torch.zeros(3, 10)).shape == (3, 16, 4)


def test_every_level_and_the_condition_matter():
    torch.manual_seed(0)
    network = ConditionalUnet(2, 3, (8, 16))
    actions, condition = torch.randn(1, 8, 2), torch.randn(1, 3, requires_grad=True)
    out = network(actions, torch.tensor([7.0]), condition)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert condition.grad.abs().min() > 0
    assert not torch.allclose(out, network(actions, torch.tensor([8.0]), condition))


def test_windows_repeat_the_first_observation_and_the_last_action(data):
    config = DiffusionPolicyConfig("x", prediction_horizon=200, batch=64)
    loaded = TrainingData(data, config.of_data())
    policy = DiffusionPolicy(loaded, DiffusionPolicyConfig("x", prediction_horizon=200, batch=64, first_share=1.0))
    task, observation, actions = policy.windows(loaded, torch.Generator().manual_seed(0))
    starts = loaded.observation[loaded.start]
    assert actions.shape == (64, 200, 4)
    for t, seen, ahead in zip(task, observation, actions, strict=True):
        assert torch.equal(seen[0], seen[1])
        place = int((starts == seen[0]).all(dim=1).nonzero()[0])
        first, length = loaded.start[place], loaded.length[place]
        assert loaded.task[place] == t
        assert torch.equal(ahead[:length], loaded.action[first : first + length])
        assert (ahead[length:] == ahead[length - 1]).all()
    policy.config = config
    _, observation, actions = policy.windows(loaded, torch.Generator().manual_seed(0))
    later = observation[(observation[:, 0] != observation[:, 1]).any(dim=1)]
    assert len(later) > 32
    frames = [int((loaded.observation == seen[1]).all(dim=1).nonzero()[0]) for seen in later]
    assert all(torch.equal(loaded.observation[f - 1], seen[0]) for f, seen in zip(frames, later, strict=True))


def test_windows_are_late_as_a_whole_and_noisy_where_the_config_says_so(data):
    sensing = SensingConfig(delayed_share=0.5, delay_steps=3)
    config = DiffusionPolicyConfig("x", prediction_horizon=8, batch=500, sensing=sensing)
    loaded = TrainingData(data, config.of_data())
    loaded.observation = loaded.action = torch.arange(len(loaded.observation), dtype=torch.float32)[:, None]
    _, seen, ahead = DiffusionPolicy(loaded, config).windows(loaded, torch.Generator().manual_seed(0))
    deep = ahead[:, 0, 0] - torch.repeat_interleave(loaded.start, loaded.length)[ahead[:, 0, 0].long()] >= 4
    late = ahead[deep, 0, 0] - seen[deep, 1, 0]
    assert (seen[deep, 1] - seen[deep, 0] == 1).all() and set(late.tolist()) == {0, 1, 2, 3}
    assert 0.4 < (late > 0).float().mean() < 0.6
    noisy = TrainingData(data, replace(config, sensing=SensingConfig(noise_m=0.01)).of_data())
    noisy.observation = torch.zeros_like(noisy.observation)
    _, seen, _ = DiffusionPolicy(noisy, config).windows(noisy, torch.Generator().manual_seed(0))
    assert (seen[:, 0, 0] != seen[:, 1, 0]).all()


def test_bfloat16_rounds_the_training_and_nothing_else(data):
    gradients = []
    for bfloat16 in (False, True):
        config = replace(CONFIG, bfloat16=bfloat16)
        loaded = TrainingData(data, config.of_data())
        torch.manual_seed(0)
        policy = DiffusionPolicy(loaded, config)
        policy.loss(loaded, torch.Generator().manual_seed(0))["loss"].backward()
        assert {p.dtype for p in policy.parameters()} == {p.grad.dtype for p in policy.parameters()} == {torch.float32}
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    exact, rounded = gradients
    assert 0 < (rounded - exact).norm() < 0.05 * exact.norm()


def test_unrolled_sampling_is_the_schedulers(data):
    loaded = TrainingData(data, CONFIG.of_data())
    torch.manual_seed(1)
    policy = DiffusionPolicy(loaded, CONFIG).eval()
    scheduler = DDIMScheduler(100, beta_schedule="squaredcos_cap_v2", clip_sample=True, prediction_type="epsilon")
    scheduler.set_timesteps(CONFIG.sampling_steps)
    task, seen = torch.tensor([0, 1]), torch.randn(2, 2, len(loaded.indices))
    noise = torch.randn(2, 8, 4)
    x = noise
    with torch.no_grad():
        for step in scheduler.timesteps:
            predicted = policy.network(x, step.float().expand(2), policy.condition(task, seen))
            x = scheduler.step(predicted, step, x).prev_sample
        assert torch.allclose(policy(noise, task, seen), x.clamp(-1, 1), atol=1e-5)


def test_the_model_file_computes_what_was_trained(data, model):
    loaded, generator = TrainingData(data, CONFIG.of_data()), ActionGenerator(model)
    policy = DiffusionPolicy(loaded, CONFIG)
    trainer.Trainer(policy, model.parent / "run", "diffusion_policy", 0, _identity(model)).run(
        lambda g: policy.loss(loaded, g), training._recipe(CONFIG)
    )
    observations = data.episodes[TASKS[1]][0].observation[3:5]
    found = generator.sample(TASKS[1], 5, observations)
    noise = torch.tensor(np.random.default_rng(5).standard_normal((1, 8, 4), dtype=np.float32))
    mean, std = loaded.normalisation.mean[1], loaded.normalisation.std[1]
    inputs = (torch.tensor(observations, dtype=torch.float32) - mean) / std
    with torch.no_grad():
        expected = policy(noise, torch.tensor([1]), inputs[None])[0] * loaded.action_scale + loaded.action_offset
    assert np.abs(found - expected.numpy()).max() < 1e-3
    assert found.shape == (8, 4)
    assert generator.description.parameters == sum(p.numel() for p in policy.parameters())
    low, high = data.contract.command_limits
    assert (found >= low - 1e-6).all() and (found <= high + 1e-6).all()


def _identity(model):
    content = json.loads((model.parent / "run" / "run.json").read_text())
    return {key: value for key, value in content.items() if key != "data"}


def test_the_optimisation_is_the_published_one():
    recipe = training._recipe(DiffusionPolicyConfig("x", steps=10_500))
    rates = [recipe.rate(step) for step in (0, 250, 500, 5_500, 10_500)]
    assert rates == pytest.approx([0.0, 0.5e-4, 1e-4, 0.5e-4, 0.0], abs=1e-9)
    assert recipe.decay(0) == 0.0
    assert recipe.decay(15) == pytest.approx(1 - 1 / 8)
    assert recipe.decay(10**9) == 0.9999
    assert (recipe.betas, recipe.weight_decay) == ((0.95, 0.999), 1e-6)


def test_it_learns(data):
    loaded, config = TrainingData(data, CONFIG.of_data()), DiffusionPolicyConfig("x", prediction_horizon=8, batch=32)
    torch.manual_seed(0)
    policy = DiffusionPolicy(loaded, config)
    optimiser, generator = torch.optim.AdamW(policy.parameters(), lr=1e-3), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(80):
        loss = policy.loss(loaded, generator)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:4])


def test_stopped_and_resumed_gives_the_same_file(data, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 10)
    training.train_diffusion_policy(CONFIG, data, tmp_path / "a", tmp_path / "a.onnx")
    original = DiffusionPolicy.loss
    calls = []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) > 25:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(DiffusionPolicy, "loss", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train_diffusion_policy(CONFIG, data, tmp_path / "b", tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()
    monkeypatch.setattr(DiffusionPolicy, "loss", original)
    training.train_diffusion_policy(CONFIG, data, tmp_path / "b", tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_bad_input_is_one_sentence(data, model, tmp_path):
    with pytest.raises(ConfigError, match="'prediction_horizon': found 9, expected a multiple of 2, for 2 levels"):
        training.train_diffusion_policy(
            DiffusionPolicyConfig("x", prediction_horizon=9, channels=(8, 16)),
            data,
            tmp_path / "r",
            tmp_path / "m.onnx",
        )
    with pytest.raises(ConfigError, match="key 'horizon': found 'horizon', expected one of name, seed"):
        DiffusionPolicyConfig.from_dict({"name": "x", "horizon": 3})
    with pytest.raises(ModelError, match="found no 'lwd_ros_diffusion_policy' metadata"):
        ActionGenerator(LWD)
    with pytest.raises(ModelError, match=r"task 'juggle' is unknown to dp.onnx"):
        ActionGenerator(model).sample("juggle", 1, np.zeros((2, 21)))
    with pytest.raises(ModelError, match="expected a file made by 'lwd export'"):
        PolicyGenerator(model)
    with pytest.raises(ModelError, match=r"nothing.onnx: cannot be read"):
        ActionGenerator(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match=r"dp.onnx: found horizon 9, expected at most 8, which it predicts"):
        DiffusionPolicyActor(model, 9)


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
def test_actors_query_as_often_as_their_horizon_says(model, kind):
    actor = LwdActor(LWD, 4) if kind == "lwd" else DiffusionPolicyActor(model, 4)
    first = _commands(actor, SEEN)
    assert actor.queries == 3
    assert _commands(actor, SEEN) == first
    assert _commands(actor, SEEN, seed=2)[0] != first[0]
    # A horizon is a time: at 200 Hz it has more steps, at 40 Hz fewer.
    for period_s, queries in ((0.005, 1), (0.025, 5)):
        _commands(actor, SEEN, period_s=period_s)
        assert actor.queries == queries


def test_a_sequence_is_played_without_looking_and_a_policy_is_not(model):
    other = [SEEN[0], SEEN[5], SEEN[6], SEEN[7]]
    played = _commands(DiffusionPolicyActor(model, 4), SEEN[:4])
    assert played == _commands(DiffusionPolicyActor(model, 4), other)
    assert len({tuple(row) for row in played}) == 4
    assert _commands(LwdActor(LWD), SEEN[:4])[1:] != _commands(LwdActor(LWD), other)[1:]


def test_a_sequence_is_played_by_time(model):
    expected = _commands(DiffusionPolicyActor(model, 4), SEEN[:4])
    assert _commands(DiffusionPolicyActor(model, 4), SEEN[:2], period_s=0.025) == expected[::2]
    slow = _commands(DiffusionPolicyActor(model, 4), SEEN[:5], period_s=0.005)
    assert slow == [expected[k] for k in (0, 0, 0, 1, 1)]


def test_actions_whose_time_has_passed_are_left_out(model):
    at_once = _commands(DiffusionPolicyActor(model, 4), SEEN[:4])
    late = _commands(DiffusionPolicyActor(model, 4), SEEN, thinking=2)
    assert late[:4] == [None, None, at_once[2], at_once[3]]
    # Asked again when the horizon is over; the old sequence goes on until the answer is there.
    eight = DiffusionPolicyActor(model, 8)
    whole = _commands(eight, SEEN[:8])
    assert late[4:6] == whole[4:6] and late[6] != whole[6]


def test_a_sequence_begins_at_the_stamp_of_what_was_seen(model):
    expected = _commands(DiffusionPolicyActor(model, 4), [SEEN[0]] * 7)
    actor = DiffusionPolicyActor(model, 4)
    assert _commands(actor, [SEEN[0]] * 4, age=3) == _commands(DiffusionPolicyActor(model, 8), [SEEN[0]] * 7)[3:]
    assert expected[:4] != _commands(actor, [SEEN[0]] * 4, age=3)
    # An observation that came before is no news, and no history.
    actor.begin("reach-v3", 1)
    for step, stamp_s in enumerate((0.0, 0.0125, 0.0125)):
        actor.see(SEEN[min(step, 1)], step * 0.0125, stamp_s)
    assert actor._history()[:, 3].tolist() == [0.0, 0.01]


def test_after_the_end_of_a_sequence_the_hand_stands_unless_it_was_for_whole_episodes(model, data):
    late = _commands(DiffusionPolicyActor(model, 8), [SEEN[0]] * 11, thinking=9)
    last = _commands(DiffusionPolicyActor(model, 8), SEEN[:8])[7]
    assert late[9] == last  # all of it has passed: one action at least
    assert late[10] == [0.0, 0.0, 0.0, last[3]]
    description = ActionGenerator(model).description
    lengths = [len(e.action) for t in TASKS for e in data.episodes[t]]
    assert description.usual_length == np.ceil(np.quantile(lengths, 0.98)) <= max(lengths)


def test_a_network_of_whole_episodes_keeps_its_last_action(data, tmp_path):
    config = DiffusionPolicyConfig("whole", prediction_horizon=256, channels=(8, 16), steps=1, batch=2)
    training.train_diffusion_policy(config, data, tmp_path / "run", tmp_path / "whole.onnx")
    actor = DiffusionPolicyActor(tmp_path / "whole.onnx", 500)
    commands = _commands(actor, [SEEN[0]] * 260)
    assert actor.queries == 1
    assert commands[255:] == [commands[255]] * 5 and commands[254] != commands[255]


@pytest.mark.parametrize(("period_s", "before"), [(0.0125, 0.04), (0.025, 0.045), (0.005, 0.025)])
def test_what_was_seen_is_a_period_apart_at_any_rate(model, period_s, before):
    actor, histories = DiffusionPolicyActor(model, 1), []
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


def test_nothing_is_left_out_of_a_sequence_that_the_robot_stood_still_for(model):
    """Commands are velocities: an action that is left out is a way not gone."""
    played = {}
    for stood_still in (False, True):
        actor = DiffusionPolicyActor(model, 4)
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


def test_diffusion_policy_is_not_told_ages(data, tmp_path):
    sensing = SensingConfig(delayed_share=0.5, delay_steps=3, observation_age=True)
    config = DiffusionPolicyConfig("x", prediction_horizon=8, sensing=sensing)
    with pytest.raises(
        ConfigError, match=r"'sensing\.observation_age': found true, expected false: Diffusion Policy takes"
    ):
        training.train_diffusion_policy(config, data, tmp_path / "run", tmp_path / "dp.onnx")
    assert not (tmp_path / "run").exists()


def test_lwd_once_per_episode_is_what_lwd_evaluate_runs(contract):
    scene, actor = Scene("drawer-close-v3", contract), LwdActor(LWD)
    policy = PolicyGenerator(LWD).generate("drawer-close-v3", 200_001)
    scene.reset(200_000)
    expected = rollout(scene, policy, stop_at_success=True).first_success_step
    outcome = disturbed_episode(scene, actor, "drawer-close-v3", 200_000)
    assert (outcome.first_success_step, outcome.queries) == (expected, 1)
    assert expected > 0


def test_the_command_line_trains_it(data, tmp_path):
    config = tmp_path / "dp.yaml"
    config.write_text("{name: dp, prediction_horizon: 8, channels: [8, 16], steps: 3, batch: 4}")
    given = ["baseline", "--method", "diffusion_policy", "--config", config, "--data", data.folder]
    result = CliRunner().invoke(cli, [*map(str, [*given, "--out", tmp_path / "run", "--model", tmp_path / "m.onnx"])])
    assert result.exit_code == 0, result.output
    assert "diffusion_policy, horizon 8" in result.output
    told = CliRunner().invoke(cli, ["describe", "--model", str(tmp_path / "m.onnx")])
    assert told.exit_code == 0, told.output
    content = json.loads(told.output)
    assert content["training"]["config"]["steps"] == 3
    assert content["sha256"] == ActionGenerator(tmp_path / "m.onnx").digest


CONFIGS = share_path("config", "diffusion_policy")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path):
    config = DiffusionPolicyConfig.load(path)
    assert config.prediction_horizon % 2 ** (len(config.channels) - 1) == 0


@pytest.mark.parametrize("study", ["horizon", "disturbance", "latency", "convergence"])
def test_each_network_of_a_study_has_a_config_that_predicts_so_far(study):
    methods = yaml.safe_load(share_path("config", "study", f"{study}.yaml").read_text())
    checked = 0
    for name, method in methods.items():
        for models in method["models"] if method["kind"] == "diffusion_policy" else ():
            config = DiffusionPolicyConfig.load(
                CONFIGS / f"{Path(models['model']).stem.removesuffix('_seed{seed}')}.yaml"
            )
            longest = max(models["horizons"])
            assert longest <= config.prediction_horizon or (longest == EPISODE_STEPS and config.first_share > 0)
            steps = name.partition("@")[2]
            assert not steps or int(steps) == config.steps
            checked += 1
    assert checked >= 2

"""Pins Diffusion Policy: the published network and schedule, windows, a model file that computes what was trained."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import DDIMScheduler
from diffusion_policy_support import TINY
from lwd_benchmarks.methods import METHODS
from lwd_benchmarks.methods.diffusion_policy import training
from lwd_benchmarks.methods.diffusion_policy.actor import DiffusionPolicyActor
from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig
from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator
from lwd_benchmarks.methods.diffusion_policy.network import ConditionalUnet
from lwd_benchmarks.methods.diffusion_policy.policy import DiffusionPolicy

from lwd_ros.cli import cli
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.learning import trainer
from lwd_ros.learning.config import ConfigError, SensingConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.run_folder import identity_of, read_run
from lwd_ros.resources import share_path

LWD = share_path("models", "metaworld_mt10_visible.onnx")


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


def test_windows_repeat_the_first_observation_and_the_last_action(two_tasks):
    config = DiffusionPolicyConfig("x", prediction_horizon=200, batch=64)
    loaded = TrainingData(two_tasks, config.of_data())
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


def test_windows_are_late_as_a_whole_and_noisy_where_the_config_says_so(two_tasks):
    sensing = SensingConfig(delayed_share=0.5, delay_steps=3)
    config = DiffusionPolicyConfig("x", prediction_horizon=8, batch=500, sensing=sensing)
    loaded = TrainingData(two_tasks, config.of_data())
    loaded.observation = loaded.action = torch.arange(len(loaded.observation), dtype=torch.float32)[:, None]
    _, seen, ahead = DiffusionPolicy(loaded, config).windows(loaded, torch.Generator().manual_seed(0))
    deep = ahead[:, 0, 0] - torch.repeat_interleave(loaded.start, loaded.length)[ahead[:, 0, 0].long()] >= 4
    late = ahead[deep, 0, 0] - seen[deep, 1, 0]
    assert (seen[deep, 1] - seen[deep, 0] == 1).all() and set(late.tolist()) == {0, 1, 2, 3}
    assert 0.4 < (late > 0).float().mean() < 0.6
    noisy = TrainingData(two_tasks, replace(config, sensing=SensingConfig(noise_m=0.01)).of_data())
    noisy.observation = torch.zeros_like(noisy.observation)
    _, seen, _ = DiffusionPolicy(noisy, config).windows(noisy, torch.Generator().manual_seed(0))
    assert (seen[:, 0, 0] != seen[:, 1, 0]).all()


def test_bfloat16_rounds_the_training_and_nothing_else(two_tasks):
    gradients = []
    for bfloat16 in (False, True):
        config = replace(TINY, bfloat16=bfloat16)
        loaded = TrainingData(two_tasks, config.of_data())
        torch.manual_seed(0)
        policy = DiffusionPolicy(loaded, config)
        policy.loss(loaded, torch.Generator().manual_seed(0))["loss"].backward()
        assert {p.dtype for p in policy.parameters()} == {p.grad.dtype for p in policy.parameters()} == {torch.float32}
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    exact, rounded = gradients
    assert 0 < (rounded - exact).norm() < 0.05 * exact.norm()


def test_unrolled_sampling_is_the_schedulers(two_tasks):
    loaded = TrainingData(two_tasks, TINY.of_data())
    torch.manual_seed(1)
    policy = DiffusionPolicy(loaded, TINY).eval()
    scheduler = DDIMScheduler(100, beta_schedule="squaredcos_cap_v2", clip_sample=True, prediction_type="epsilon")
    scheduler.set_timesteps(TINY.sampling_steps)
    task, seen = torch.tensor([0, 1]), torch.randn(2, 2, len(loaded.indices))
    noise = torch.randn(2, 8, 4)
    x = noise
    with torch.no_grad():
        for step in scheduler.timesteps:
            predicted = policy.network(x, step.float().expand(2), policy.condition(task, seen))
            x = scheduler.step(predicted, step, x).prev_sample
        assert torch.allclose(policy(noise, task, seen), x.clamp(-1, 1), atol=1e-5)


def test_the_model_file_computes_what_was_trained(two_tasks, tiny_model):
    loaded, generator = TrainingData(two_tasks, TINY.of_data()), ActionGenerator(tiny_model)
    policy = DiffusionPolicy(loaded, TINY)
    trainer.Trainer(policy, tiny_model.parent / "run", "diffusion_policy", 0, _identity(tiny_model)).run(
        lambda g: policy.loss(loaded, g), training._recipe(TINY)
    )
    observations = two_tasks.episodes["drawer-close-v3"][0].observation[3:5]
    found = generator.sample("drawer-close-v3", 5, observations)
    noise = torch.tensor(np.random.default_rng(5).standard_normal((1, 8, 4), dtype=np.float32))
    mean, std = loaded.normalisation.mean[1], loaded.normalisation.std[1]
    inputs = (torch.tensor(observations, dtype=torch.float32) - mean) / std
    with torch.no_grad():
        expected = policy(noise, torch.tensor([1]), inputs[None])[0] * loaded.action_scale + loaded.action_offset
    assert np.abs(found - expected.numpy()).max() < 1e-3
    assert found.shape == (8, 4)
    assert generator.description.parameters == sum(p.numel() for p in policy.parameters())
    low, high = two_tasks.contract.command_limits
    assert (found >= low - 1e-6).all() and (found <= high + 1e-6).all()


def _identity(model):
    return identity_of(read_run(model.parent / "run"))


def test_the_optimisation_is_the_published_one():
    recipe = training._recipe(DiffusionPolicyConfig("x", steps=10_500))
    rates = [recipe.rate(step) for step in (0, 250, 500, 5_500, 10_500)]
    assert rates == pytest.approx([0.0, 0.5e-4, 1e-4, 0.5e-4, 0.0], abs=1e-9)
    assert recipe.decay(0) == 0.0
    assert recipe.decay(15) == pytest.approx(1 - 1 / 8)
    assert recipe.decay(10**9) == 0.9999
    assert (recipe.betas, recipe.weight_decay) == ((0.95, 0.999), 1e-6)


def test_it_learns(two_tasks):
    loaded = TrainingData(two_tasks, TINY.of_data())
    config = DiffusionPolicyConfig("x", prediction_horizon=8, channels=(32, 64, 128), batch=32)
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


def test_stopped_and_resumed_gives_the_same_file(two_tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 10)
    training.train_diffusion_policy(TINY, two_tasks, tmp_path / "a", tmp_path / "a.onnx")
    original = DiffusionPolicy.loss
    calls = []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) > 25:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(DiffusionPolicy, "loss", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train_diffusion_policy(TINY, two_tasks, tmp_path / "b", tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()
    monkeypatch.setattr(DiffusionPolicy, "loss", original)
    training.train_diffusion_policy(TINY, two_tasks, tmp_path / "b", tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_bad_input_is_one_sentence(two_tasks, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="'prediction_horizon': found 9, expected a multiple of 2, for 2 levels"):
        training.train_diffusion_policy(
            DiffusionPolicyConfig("x", prediction_horizon=9, channels=(8, 16)),
            two_tasks,
            tmp_path / "r",
            tmp_path / "m.onnx",
        )
    with pytest.raises(ConfigError, match="key 'horizon': found 'horizon', expected one of name, seed"):
        DiffusionPolicyConfig.from_dict({"name": "x", "horizon": 3})
    with pytest.raises(ModelError, match="found no 'lwd_ros_diffusion_policy' metadata"):
        ActionGenerator(LWD)
    with pytest.raises(ModelError, match=r"task 'juggle' is unknown to dp.onnx"):
        ActionGenerator(tiny_model).sample("juggle", 1, np.zeros((2, 21)))
    with pytest.raises(ModelError, match="expected a file made by 'lwd export'"):
        PolicyGenerator(tiny_model)
    with pytest.raises(ModelError, match=r"nothing.onnx: cannot be read"):
        ActionGenerator(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match=r"dp.onnx: found horizon 9, expected at most 8, which it predicts"):
        DiffusionPolicyActor(tiny_model, 9)


def test_diffusion_policy_is_not_told_ages(two_tasks, tmp_path):
    sensing = SensingConfig(delayed_share=0.5, delay_steps=3, observation_age=True)
    config = DiffusionPolicyConfig("x", prediction_horizon=8, sensing=sensing)
    with pytest.raises(
        ConfigError, match=r"'sensing\.observation_age': found true, expected false: Diffusion Policy takes"
    ):
        training.train_diffusion_policy(config, two_tasks, tmp_path / "run", tmp_path / "dp.onnx")
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_it(two_tasks, tmp_path):
    config = tmp_path / "dp.yaml"
    config.write_text("{name: dp, prediction_horizon: 8, channels: [8, 16], steps: 3, batch: 4, sampling_steps: 3}")
    given = ["baseline", "--method", "diffusion_policy", "--config", config, "--data", two_tasks.folder]
    result = CliRunner().invoke(cli, [*map(str, [*given, "--out", tmp_path / "run", "--model", tmp_path / "m.onnx"])])
    assert result.exit_code == 0, result.output
    assert "diffusion_policy, horizon 8" in result.output
    told = CliRunner().invoke(cli, ["describe", "--model", str(tmp_path / "m.onnx")])
    assert told.exit_code == 0, told.output
    content = json.loads(told.output)
    assert content["training"]["config"]["steps"] == 3
    assert content["sha256"] == ActionGenerator(tmp_path / "m.onnx").digest


CONFIGS = Path(__file__).parents[1] / "config/diffusion_policy"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path):
    config = DiffusionPolicyConfig.load(path)
    assert config.prediction_horizon % 2 ** (len(config.channels) - 1) == 0


@pytest.mark.parametrize("study", ["horizon", "disturbance", "latency", "convergence"])
def test_each_network_of_a_study_has_a_config_that_predicts_so_far(study):
    checked = 0
    for name, method in METHODS.items():
        for models in method.models.get(study, ()) if method.kind == "diffusion_policy" else ():
            config = DiffusionPolicyConfig.load(CONFIGS / f"{Path(models.model).stem.removesuffix('_seed{seed}')}.yaml")
            longest = max(models.horizons)
            assert longest <= config.prediction_horizon or (longest == EPISODE_STEPS and config.first_share > 0)
            steps = name.partition("@")[2]
            assert not steps or int(steps) == config.steps
            checked += 1
    assert checked >= 2

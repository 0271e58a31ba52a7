"""Pins training: a tiny run from demonstrations to the weights that onnxruntime decodes, stopped and resumed alike."""

import json

import numpy as np
import pytest
import torch

from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning import devices, trainer
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.codec import decode, sample
from lwd_ros.learning.config import ConfigError, DiffusionConfig, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.diffusion import LatentDiffusion, noise_schedule
from lwd_ros.learning.export import export
from lwd_ros.learning.networks import cloning_error, policy_forward
from lwd_ros.learning.train import load, train
from lwd_ros.policy import PolicyError

TASKS = ("reach-v3", "button-press-topdown-v3")
CONFIG = {
    "name": "tiny",
    "hidden_layers": [6],
    "autoencoder": {"steps": 30, "demonstrations": 6, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
    "diffusion": {"steps": 30, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4},
}
HIDDEN = CONFIG | {"name": "hidden", "hide": ["goal_x", "goal_y", "goal_z"], "condition_on_observation": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, TASKS, contract, CollectSettings(episodes=3), workers=1)
    return Demonstrations(folder, contract)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(TrainConfig.from_dict(CONFIG), data, folder)


@pytest.fixture(scope="module")
def hidden(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hidden")
    return folder, train(TrainConfig.from_dict(HIDDEN), data, folder)


def _parameters(run) -> dict[str, np.ndarray]:
    modules = {"autoencoder": run.autoencoder, "diffusion": run.diffusion}
    return {f"{k}.{name}": v.numpy().copy() for k, module in modules.items() for name, v in module.state_dict().items()}


def _same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(first[k].tobytes() == second[k].tobytes() for k in first)


# Export


def _weights(run, noise: np.ndarray, task: int, observation=None) -> np.ndarray:
    """What torch decodes for one noise vector."""
    condition = None
    if observation is not None:
        condition = (
            torch.tensor(observation, dtype=torch.float32)[None] - run.data.condition_mean[task]
        ) / run.data.condition_std[task]
    with torch.no_grad():
        latent = run.diffusion(torch.tensor(noise), torch.tensor([task]), condition)
        return run.autoencoder.hypernetwork(latent)[0].numpy()


def _noise(seed: int, size: int) -> np.ndarray:
    """The noise that a generator draws for a seed."""
    return np.random.default_rng(seed).standard_normal((1, size), dtype=np.float32)


def test_an_exported_model_generates_the_weights_that_torch_decodes(run, tmp_path, contract):
    _, trained = run
    export(trained, tmp_path / "tiny.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    generator = PolicyGenerator(tmp_path / "tiny.onnx")
    assert generator.tasks == TASKS
    assert generator.description.contract.digest == contract.digest
    assert generator.description.training["data_digest"] == trained.data.demonstrations.digest
    assert generator.description.training["config"] == json.loads(json.dumps(trained.config.to_dict()))
    for place, task in enumerate(TASKS):
        frames = np.concatenate([episode.observation for episode in trained.data.demonstrations.episodes[task]])
        for seed in (1, 2, 3):
            policy = generator.generate(task, seed)
            np.testing.assert_allclose(policy.weights, _weights(trained, _noise(seed, 4), place), atol=1e-4)
            np.testing.assert_allclose(policy.observation_mean, frames.mean(0), atol=1e-5)
            np.testing.assert_allclose(policy.observation_std, np.maximum(frames.std(0), 0.005), atol=1e-5)
            np.testing.assert_allclose(policy.observation_minimum, frames.min(0), atol=1e-5)
            np.testing.assert_allclose(policy.observation_maximum, frames.max(0), atol=1e-5)
            # The command on the robot is what training compared with the demonstration's, in the contract's units.
            inputs = (torch.tensor(frames[:1], dtype=torch.float32) - trained.data.normalisation.mean[place]) / (
                trained.data.normalisation.std[place]
            )
            weights = torch.tensor(policy.weights)[None]
            network = policy_forward(policy.layout, weights, inputs[None])[0, 0].numpy()
            expected = network * [0.8, 0.8, 0.8, 1.0]
            np.testing.assert_allclose(policy.forward(frames[0], np.empty(4)), expected, atol=1e-4)


def test_a_batch_decodes_like_its_rows(run, tmp_path):
    import onnxruntime

    _, trained = run
    export(trained, tmp_path / "tiny.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "tiny.onnx"), providers=["CPUExecutionProvider"])
    noise, task = np.concatenate([_noise(seed, 4) for seed in (1, 2, 3)]), np.array([0, 1, 1])
    batch = session.run(["weights", "observation_mean"], {"noise": noise, "task": task})
    for row in range(3):
        single = session.run(["weights", "observation_mean"], {"noise": noise[[row]], "task": task[[row]]})
        for whole, part in zip(batch, single, strict=True):
            np.testing.assert_allclose(whole[row], part[0], atol=1e-5)


def test_a_goal_hidden_model_leaves_the_goal_to_its_generator(hidden, tmp_path, contract):
    _, trained = hidden
    export(trained, tmp_path / "hidden.onnx")
    generator = PolicyGenerator(tmp_path / "hidden.onnx")
    kept = [i for i, name in enumerate(contract.observation_names) if not name.startswith("goal_")]
    first = trained.data.demonstrations.episodes[TASKS[1]][0].observation[0]
    policy = generator.generate(TASKS[1], 5, first)
    assert policy.observation_indices.tolist() == kept
    policy.require_contract(contract)
    np.testing.assert_allclose(policy.weights, _weights(trained, _noise(5, 4), 1, first), atol=1e-4)
    # The policy is blind to the goal, its generator is not.
    moved = first.copy()
    moved[-3:] += 0.1
    assert policy.forward(first, np.empty(4)).tolist() == policy.forward(moved, np.empty(4)).tolist()
    other = generator.generate(TASKS[1], 5, moved)
    assert other.weights.tobytes() != policy.weights.tobytes()
    assert other.latent_digest != policy.latent_digest
    for wrong in (None, first[:20], first[None], np.full(21, np.nan)):
        with pytest.raises(ValueError, match=r"is conditioned on an observation: found .* expected 21"):
            generator.generate(TASKS[1], 5, wrong)


# Stopping, resuming, repeating


class Stopped(Exception):
    """Stands for a user's Ctrl-C or a machine that goes down."""


@pytest.mark.parametrize(("stage", "after"), [("autoencoder", 13), ("diffusion", 17)])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(run, data, tmp_path, monkeypatch, stage, after):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 5)
    kind = {"autoencoder": Autoencoder, "diffusion": LatentDiffusion}[stage]
    whole, calls = kind.loss, []

    def loss(self, *arguments):
        calls.append(None)
        if len(calls) > after:
            raise Stopped
        return whole(self, *arguments)

    config = TrainConfig.from_dict(CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(kind, "loss", loss)
        with pytest.raises(Stopped):
            train(config, data, tmp_path)
    torch.manual_seed(999)  # whatever else draws numbers meanwhile
    assert _same(_parameters(train(config, data, tmp_path)), _parameters(run[1]))


def test_resuming_really_continues_and_does_not_start_again(data, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 5)
    whole, calls = Autoencoder.loss, []

    def loss(self, *arguments):
        calls.append(None)
        if len(calls) == 14:
            raise Stopped
        return whole(self, *arguments)

    monkeypatch.setattr(Autoencoder, "loss", loss)
    with pytest.raises(Stopped):
        train(TrainConfig.from_dict(CONFIG), data, tmp_path)
    train(TrainConfig.from_dict(CONFIG), data, tmp_path)
    assert len(calls) == 14 + 30 - 10  # the last checkpoint holds ten steps


def test_a_finished_run_opens_as_it_was_and_trains_no_more(run, monkeypatch):
    folder, trained = run
    monkeypatch.setattr(Autoencoder, "loss", None)
    monkeypatch.setattr(LatentDiffusion, "loss", None)
    assert _same(_parameters(load(folder)), _parameters(trained))


def test_training_moves_the_weights_and_depends_on_the_seed(run, data, tmp_path):
    base = _parameters(run[1])
    untrained = {"autoencoder": {**CONFIG["autoencoder"], "steps": 0}, "diffusion": {**CONFIG["diffusion"], "steps": 0}}
    for name, change in (("seed", {"seed": 1}), ("untrained", untrained)):
        other = _parameters(train(TrainConfig.from_dict(CONFIG | change), data, tmp_path / name))
        assert (other["autoencoder.hypernetwork.base"] != base["autoencoder.hypernetwork.base"]).all()


def test_the_behaviour_cloning_error_falls(data, tmp_path):
    config = TrainConfig.from_dict(CONFIG | {"autoencoder": {**CONFIG["autoencoder"], "steps": 150}})
    training = TrainingData(data, config)
    trained = train(config, data, tmp_path)
    fresh = Autoencoder(training, trained.autoencoder.layout, config.autoencoder)
    with torch.no_grad():
        error = [
            float(module.loss(training, torch.Generator().manual_seed(0))["behaviour_cloning"])
            for module in (fresh, trained.autoencoder)
        ]
    assert error[1] < 0.5 * error[0]


def test_another_config_in_the_same_folder_is_refused(run, data):
    folder, _ = run
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for change in ({"seed": 1}, {"hidden_layers": [7]}, {"diffusion": {**CONFIG["diffusion"], "steps": 31}}):
        with pytest.raises(ConfigError, match="holds a run of another config, dataset or method; name another folder"):
            train(TrainConfig.from_dict(CONFIG | change), data, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_checkpoint_of_another_run_is_refused(run, data, tmp_path):
    (tmp_path / "autoencoder.safetensors").write_bytes((run[0] / "autoencoder.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=r"autoencoder.safetensors: was made by another config or dataset"):
        train(TrainConfig.from_dict(CONFIG | {"seed": 1}), data, tmp_path)


def test_a_config_that_cannot_be_trained_does_not_claim_the_folder(data, tmp_path):
    with pytest.raises(DatasetError, match="hide: found 'goal', expected one of hand_x"):
        train(TrainConfig.from_dict(CONFIG | {"hide": ["goal"]}), data, tmp_path / "run")
    with pytest.raises(PolicyError, match="hidden_activation: found 'gelu'"):
        train(TrainConfig.from_dict(CONFIG | {"hidden_activation": "gelu"}), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(ConfigError, match=r"run.json: cannot be read .*expected a folder that 'lwd train' made"):
        load(tmp_path)


# Configurations


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "key 'name': found nothing, expected a text"),
        ([], r"key '\(the whole file\)': found \[\], expected a mapping"),
        ({"name": ""}, "key 'name': found '', expected a text"),
        ({"name": "x", "sead": 1}, "key 'sead': found 'sead', expected one of name, seed"),
        ({"name": "x", "seed": 1.5}, "key 'seed': found 1.5, expected a whole number"),
        ({"name": "x", "seed": True}, "key 'seed': found True, expected a whole number"),
        ({"name": "x", "seed": -1}, "key 'seed': found -1, expected a whole number, 0 or more"),
        ({"name": "x", "seed": float("inf")}, "key 'seed': found inf, expected a whole number"),
        ({"name": "x", "seed": 2**64}, "key 'seed': found 18446744073709551616, expected a whole number"),
        ({"name": "x", "hidden_layers": 16}, "key 'hidden_layers': found 16, expected a list of whole numbers"),
        ({"name": "x", "hidden_layers": [0]}, r"key 'hidden_layers': found \[0\], expected a list"),
        ({"name": "x", "hidden_layers": [-16]}, r"key 'hidden_layers': found \[-16\], expected a list"),
        ({"name": "x", "hidden_layers": [True]}, r"key 'hidden_layers': found \[True\], expected a list"),
        ({"name": "x", "hide": "goal_x"}, "key 'hide': found 'goal_x', expected a list of names"),
        ({"name": "x", "hide": [1]}, r"key 'hide': found \[1\], expected a list of names"),
        (
            {"name": "x", "condition_on_observation": 1},
            "key 'condition_on_observation': found 1, expected true or false",
        ),
        ({"name": "x", "smallest_std": 0}, "key 'smallest_std': found 0, expected a number above 0"),
        ({"name": "x", "smallest_std": float("nan")}, "key 'smallest_std': found nan, expected a number"),
        ({"name": "x", "autoencoder": 3}, "key 'autoencoder': found 3, expected a mapping"),
        ({"name": "x", "autoencoder": {"step": 3}}, "key 'autoencoder.step': found 'step', expected one of steps"),
        (
            {"name": "x", "autoencoder": {"encoder_layers": []}},
            r"key 'autoencoder.encoder_layers': found \[\], expected a list",
        ),
        (
            {"name": "x", "autoencoder": {"pairs": 0}},
            "key 'autoencoder.pairs': found 0, expected a whole number above 0",
        ),
        (
            {"name": "x", "autoencoder": {"own_share": 1.1}},
            "key 'autoencoder.own_share': found 1.1, expected a number from 0",
        ),
        (
            {"name": "x", "diffusion": {"ema_decay": 2}},
            "key 'diffusion.ema_decay': found 2, expected a number from 0 to 1",
        ),
        ({"name": "x", "diffusion": {"batch": "8"}}, "key 'diffusion.batch': found '8', expected a whole number"),
        ({"name": "x", 1: 2}, "key '1': found 1, expected one of name, seed"),
        ({"name": "x", "autoencoder": None}, "key 'autoencoder': found None, expected a mapping"),
        ({"name": "x", "translation": {"fixed": {"a": "x"}}}, "key 'translation.fixed.a': found 'x', expected a list"),
        ({"name": "x", "translation": {"fixed": {1: ["x"]}}}, "key 'translation.fixed.1': found"),
        (
            {"name": "x", "diffusion": {"batch": 0}, "seed": -1},
            "key 'seed': found -1, .*; key 'diffusion.batch': found 0, expected a whole number above 0$",
        ),
    ],
)
def test_a_config_error_names_the_key_what_was_found_and_what_was_expected(content, expected):
    with pytest.raises(ConfigError, match="^my.yaml: " + expected):
        TrainConfig.from_dict(content, "my.yaml")


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00\x80", b"name: 2020-13-45", b"[" * 20_000])
def test_a_config_file_that_is_not_yaml(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config.yaml: is not YAML"):
        TrainConfig.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainConfig.load(tmp_path / "nothing.yaml")


def test_a_config_reads_back():
    for content in (CONFIG, HIDDEN):
        config = TrainConfig.from_dict(content)
        assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


# Data and sampling


def test_inputs_are_normalised_per_task(data):
    training = TrainingData(data, TrainConfig.from_dict(CONFIG))
    start = 0
    for place, task in enumerate(TASKS):
        frames = np.concatenate([episode.observation for episode in data.episodes[task]])
        part = training.observation[start : start + len(frames)].numpy()
        moving = frames.std(0) > 0.005
        np.testing.assert_allclose(part.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(part[:, moving].std(0), 1, atol=1e-3)
        actions = np.concatenate([episode.action for episode in data.episodes[task]]) / [0.8, 0.8, 0.8, 1.0]
        np.testing.assert_allclose(training.action[start : start + len(frames)], actions, atol=1e-6)
        assert training.task.tolist().count(place) == 3
        start += len(frames)
    assert start == len(training.observation)


def test_pairs_come_from_the_demonstration_and_from_its_task_alone(data):
    training = TrainingData(data, TrainConfig.from_dict(CONFIG))
    # Put each frame's and demonstration's number where it stands, so that a batch tells where it came from.
    training.observation = torch.arange(len(training.observation), dtype=torch.float32)[:, None]
    training.tokens = torch.arange(len(training.task), dtype=torch.float32)[:, None]
    batch = training.sample(30, 400, 0.25, torch.Generator().manual_seed(0))
    assert batch.observation.shape == (30, 400, 1) and batch.action.shape == (30, 400, 4)
    starts, ends = training.start.tolist(), (training.start + training.length).tolist()
    rows = batch.tokens[:, 0].long().tolist()
    assert set(rows) == set(range(6))
    for place, row in enumerate(rows):
        assert batch.task[place] == training.task[row]
        assert batch.first_observation[place].equal(training.first_observation[row])
        task = [i for i in range(6) if training.task[i] == training.task[row]]
        own, others = batch.observation[place, :100, 0], batch.observation[place, 100:, 0]
        assert starts[row] <= own.min() and own.max() < ends[row]
        assert starts[task[0]] <= others.min() and others.max() < ends[task[-1]]
        assert (others < starts[row]).any() or (others >= ends[row]).any()


def test_labels_at_the_limit_ask_for_no_less_and_no_more():
    predicted = torch.tensor([1.5, 0.5, -1.5, -0.5, 1.5, -1.5, 0.5, 1.5], requires_grad=True)
    action = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 0.3, 0.3])
    error = cloning_error(predicted, action)
    torch.testing.assert_close(error, torch.tensor([0.0, 0.25, 0.0, 0.25, 6.25, 6.25, 0.04, 1.44]))
    error.sum().backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([0.0, -1.0, 0.0, 1.0, 5.0, -5.0, 0.4, 2.4]))


def test_translation_moves_a_demonstration_as_a_whole_and_nothing_else(data):
    moved = TrainingData(data, TrainConfig.from_dict(CONFIG | {"translation": {"range_m": 0.05, "axes": ["x"]}}))
    still = TrainingData(data, TrainConfig.from_dict(CONFIG))
    names = [data.contract.observation_names[i] for i in moved.indices.tolist()]
    for training in (moved, still):  # what remains of a batch is what the translation added
        for name in ("observation", "tokens", "first_observation"):
            setattr(training, name, torch.zeros_like(getattr(training, name)))
    batch = moved.sample(50, 8, 1.0, torch.Generator().manual_seed(0))
    offset = batch.observation * moved.normalisation.std[batch.task][:, None]
    along = [place for place, name in enumerate(names) if name.endswith("_x") and name.startswith(("hand", "object_1"))]
    assert offset[..., along].abs().max() <= 0.05 and offset[..., along].std() > 0.02
    assert (offset[..., along] - offset[:, :1, along[:1]]).abs().max() < 1e-6  # hand and object, in every frame
    assert not batch.observation[..., [p for p, name in enumerate(names) if not name.endswith("_x")]].any()
    first = batch.first_observation * moved.condition_std[batch.task]
    place = data.contract.observation_names.index("hand_x")
    torch.testing.assert_close(first[:, place], offset[:, 0, names.index("hand_x")], atol=1e-6, rtol=0)
    assert batch.tokens.abs().sum(1).min() > 0 and batch.action.any()
    assert not still.sample(50, 8, 1.0, torch.Generator().manual_seed(0)).observation.any()
    wider = still.normalisation.minimum - moved.normalisation.minimum
    torch.testing.assert_close(wider[:, along], torch.full_like(wider[:, along], 0.05))


def test_translation_leaves_what_is_fixed_where_it_is(data):
    fixed = {"range_m": 0.05, "axes": ["x", "y"], "fixed": {data.tasks[1]: ["x"]}}
    training = TrainingData(data, TrainConfig.from_dict(CONFIG | {"translation": fixed}))
    training.observation = torch.zeros_like(training.observation)
    batch = training.sample(60, 8, 0.5, torch.Generator().manual_seed(0))
    names = [data.contract.observation_names[i] for i in training.indices.tolist()]
    x, y = names.index("hand_x"), names.index("hand_y")
    assert not batch.observation[batch.task == 1][..., x].any()
    assert batch.observation[batch.task == 1][..., y].all() and batch.observation[batch.task == 0][..., x].all()
    for wrong in ({data.tasks[1]: ["z"]}, {"nowhere": ["x"]}):
        with pytest.raises(DatasetError, match=r"translation\.fixed: found"):
            TrainingData(data, TrainConfig.from_dict(CONFIG | {"translation": fixed | {"fixed": wrong}}))


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("LWD_DEVICE", "abacus")
    with pytest.raises(ConfigError, match="LWD_DEVICE: found 'abacus', expected a device"):
        devices.choose_device()


def test_translation_refuses_an_axis_that_nothing_lies_along(data):
    with pytest.raises(DatasetError, match=r"translation\.axes: found 'up'"):
        TrainingData(data, TrainConfig.from_dict(CONFIG | {"translation": {"range_m": 0.05, "axes": ["up"]}}))


@pytest.mark.parametrize("key", ["data_digest", "contract_digest"])
def test_a_config_may_name_the_dataset_and_the_contract_it_is_for(data, key):
    found = {"data_digest": data.digest, "contract_digest": data.contract.digest}[key]
    TrainingData(data, TrainConfig.from_dict(CONFIG | {key: found[:12]}))
    with pytest.raises(DatasetError, match=f"{key}: found {found}, expected 0123"):
        TrainingData(data, TrainConfig.from_dict(CONFIG | {key: "0123456789"}))


def test_a_few_demonstrations_of_each_task_are_its_first_fresh_starts(data):
    training = TrainingData(data, TrainConfig.from_dict(CONFIG | {"demonstrations_per_task": 1}))
    assert training.task.tolist() == [0, 1]
    first = [next(e for e in data.episodes[task] if not e.after) for task in data.tasks]
    assert training.length.tolist() == [len(e.action) for e in first]
    with pytest.raises(DatasetError, match="fresh starts, expected 99"):
        TrainingData(data, TrainConfig.from_dict(CONFIG | {"demonstrations_per_task": 99}))


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_sampling_is_the_schedulers_euler_steps(steps):
    torch.manual_seed(0)
    latents = 3.0 * torch.randn(50, 4) + 1.0
    owner = torch.arange(50) % 2
    model = LatentDiffusion(4, 2, 0, DiffusionConfig(sampling_steps=steps, width=16, blocks=1)).eval()
    model.set_scale(latents, owner, None)
    noise, task = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])
    scheduler = noise_schedule()
    scheduler.set_timesteps(steps)
    x = noise
    with torch.no_grad():
        for place, time in enumerate(scheduler.timesteps):
            sigma = scheduler.sigmas[place]
            assert float(time) == pytest.approx(1000 * float(sigma))
            velocity = model.denoiser(x, torch.full((5,), float(sigma)), task)
            x = scheduler.step(velocity, time, x).prev_sample
        scale = [(latents[owner == t].std(0, correction=0), latents[owner == t].mean(0)) for t in task.tolist()]
        expected = torch.stack([row * std + mean for row, (std, mean) in zip(x, scale, strict=True)])
        assert float(scheduler.sigmas[0]) == 1.0 and float(scheduler.sigmas[-1]) == 0.0
        torch.testing.assert_close(model(noise, task, None), expected, atol=1e-5, rtol=1e-5)


def test_the_scale_of_latents_comes_from_their_conditions():
    """A network of the conditions tells every task's scale, however much smaller it is than the tasks' distance."""
    torch.manual_seed(0)
    owner = torch.arange(400) % 4
    spread = torch.tensor([1.0, 0.1, 0.02, 0.5])
    latents = 3.0 * torch.randn(4, 6)[owner] + spread[owner, None] * torch.randn(400, 6)
    seen = torch.randn(400, 3)
    model = LatentDiffusion(6, 4, 3, DiffusionConfig(width=32, blocks=1), table=False)
    parameters = {name for name, _ in model.named_parameters()}
    model.set_scale(latents, owner, seen)
    assert {name for name, _ in model.named_parameters()} == parameters  # no trainer moves the scale
    assert not any(name.startswith("scale.") for name in parameters)
    assert any(name.startswith("scale.") for name in model.state_dict()) and "mean" not in model.state_dict()
    mean, std = model.scale_of(owner, seen)
    for task in range(4):
        own = latents[owner == task]
        assert ((mean[owner == task] - own.mean(0)) / own.std(0)).abs().max() < 0.2
        assert (std[owner == task] / own.std(0)).log().abs().max() < 0.2


def test_a_generated_normalisation_nears_that_of_the_task_and_needs_no_number(data, tmp_path, contract):
    config = TrainConfig.from_dict(
        HIDDEN | {"normalisation": "generated", "autoencoder": {**CONFIG["autoencoder"], "steps": 600}}
    )
    trained = train(config, data, tmp_path / "run")
    with torch.no_grad():
        found = trained.autoencoder.normalisation(trained.autoencoder.encode(trained.data.tokens))
    expected, task = trained.data.normalisation, trained.data.task
    assert ((found.mean - expected.mean[task]) / expected.std[task]).abs().mean() < 0.3
    assert (found.std / expected.std[task]).log().abs().mean() < 0.3
    export(trained, tmp_path / "m.onnx")
    generator = PolicyGenerator(tmp_path / "m.onnx")
    first = trained.data.demonstrations.episodes[TASKS[1]][0].observation[0]
    policy = generator.generate({"task": TASKS[1], "observation": first}, 5)
    again = decode(trained, sample(trained, TASKS[1], [5], first[None]), TASKS[1])[0]
    np.testing.assert_allclose(policy.weights, again.weights, atol=1e-4)
    np.testing.assert_allclose(policy.observation_mean, again.observation_mean, atol=1e-4)
    np.testing.assert_allclose(policy.observation_std, again.observation_std, atol=1e-4)
    # The task's number reaches the graph's embeddings alone: no table of normalisations is in the file.
    import onnx

    shapes = {tuple(tensor.dims) for tensor in onnx.load(str(tmp_path / "m.onnx")).graph.initializer}
    assert (len(TASKS), len(trained.data.indices)) not in shapes and (len(TASKS), len(first)) not in shapes

"""Pins training: a tiny run from demonstrations to the weights that onnxruntime decodes, stopped and resumed alike."""

import json

import numpy as np
import pytest
import torch
from learning_support import CONFIG, HIDDEN, TASKS

from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning import trainer
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.codec import decode, sample
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.diffusion import LatentDiffusion
from lwd_ros.learning.export import export
from lwd_ros.learning.networks import cloning_error, policy_forward
from lwd_ros.learning.train import load, train
from lwd_ros.policy import PolicyError


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
    steps, names = {"sampling_steps": np.array([4])}, ["weights", "observation_mean"]
    batch = session.run(names, {"noise": noise, "task": task, **steps})
    for row in range(3):
        single = session.run(names, {"noise": noise[[row]], "task": task[[row]], **steps})
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


# Data


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
        assert batch.condition[place].equal(training.first_observation[row])
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
    first = batch.condition * moved.condition_std[batch.task]
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

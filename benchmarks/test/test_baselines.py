"""Pins the baselines: the right sizes, model files that compute what was trained, and nothing that LWD has not."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from click.testing import CliRunner
from lwd_benchmarks.methods import LATENT, TRAINED
from lwd_benchmarks.methods.latents import latent_baseline
from lwd_benchmarks.methods.mixture.network import MixtureMlp
from lwd_benchmarks.methods.networks import MultiTaskMlp, RegressionHyperNetwork, TaskMlps
from lwd_benchmarks.methods.training import train_baseline
from safetensors.torch import load_file
from torch import nn

from lwd_ros.cli import cli
from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning import trainer
from lwd_ros.learning.codec import decode
from lwd_ros.learning.config import AutoencoderConfig, ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.networks import policy_forward
from lwd_ros.learning.train import load, policy_layout, train
from lwd_ros.learning.trainer import Recipe, Trainer
from lwd_ros.policy import PolicyLayout

TASKS = ("reach-v3", "drawer-open-v3", "drawer-close-v3")  # 2, 4 and 4 demonstrations
CONFIG = TrainConfig.from_dict(
    {
        "name": "tiny",
        "hidden_layers": [6, 5],
        "autoencoder": {"steps": 30, "demonstrations": 6, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
        "diffusion": {"steps": 30, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4},
    }
)
KINDS = {
    "multitask_mlp": MultiTaskMlp,
    "task_mlp": TaskMlps,
    "regression_hypernetwork": RegressionHyperNetwork,
    "mixture_mlp": MixtureMlp,
}
OF_WAYS = ("nearest_start_latent", "way_latent")  # of runs that see the scene, and of tasks with ways: not these
POLICIES = tuple(name for name in (*TRAINED, *LATENT) if name not in ("mixture_mlp", *OF_WAYS))
"""Those that end as a file of policies."""


@pytest.fixture(scope="module")
def data(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, TASKS, contract, CollectSettings(episodes=2), workers=1)
    return Demonstrations(folder, contract)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(CONFIG, data, folder)


@pytest.fixture(scope="module")
def files(data, run, tmp_path_factory):
    """The folder with every baseline's model file; those that were trained have a run folder beside it."""
    folder = tmp_path_factory.mktemp("baselines")
    for method in (*TRAINED, *LATENT):
        if method in TRAINED:
            train_baseline(method, CONFIG, data, folder / method, folder / f"{method}.onnx")
        elif method not in OF_WAYS:
            latent_baseline(method, run[1], folder / f"{method}.onnx", data)
    return folder


def _network(method: str, folder, data) -> nn.Module:
    """The trained network that a baseline's checkpoint holds."""
    training = TrainingData(data, CONFIG)
    network = KINDS[method](training, policy_layout(CONFIG, training), CONFIG.autoencoder)
    tensors = load_file(folder / method / f"{method}.safetensors")
    averages = {key.removeprefix("average/"): value for key, value in tensors.items() if key.startswith("average/")}
    network.load_state_dict(averages | dict(network.named_buffers()))
    return network.eval()


def _first(data, task: int) -> np.ndarray:
    return data.episodes[TASKS[task]][0].observation[0]


# Model files


@pytest.mark.parametrize("method", POLICIES)
def test_a_model_file_says_how_it_was_made(files, data, method):
    description = PolicyGenerator(files / f"{method}.onnx").description
    assert (description.method, description.tasks) == (method, TASKS)
    assert description.condition_on_observation == (method == "regression_hypernetwork")
    assert description.layout == PolicyLayout((21, 6, 5, 4))
    own = 22 * 6 + 7 * 5 + 6 * 4
    assert description.policy_parameters == (own + 3 * 6 if method == "multitask_mlp" else own)
    assert description.training["data_digest"] == data.digest
    assert description.training["config"] == json.loads(json.dumps(CONFIG.to_dict()))
    assert "torch" in description.training["versions"]


@pytest.mark.parametrize("method", POLICIES)
def test_a_batch_of_several_tasks_decodes_like_its_rows(files, data, method):
    session = onnxruntime.InferenceSession(str(files / f"{method}.onnx"), providers=["CPUExecutionProvider"])
    numbers = PolicyGenerator(files / f"{method}.onnx").description.latent_size
    noise = np.random.default_rng(0).normal(size=(4, numbers)).astype(np.float32)
    feed = {"noise": noise, "task": np.array([2, 0, 1, 2])}
    if method == "regression_hypernetwork":
        feed["observation"] = np.stack([_first(data, task) for task in feed["task"]]).astype(np.float32)
    batch = session.run(["weights", "observation_mean"], feed)
    for row in range(4):
        single = session.run(["weights", "observation_mean"], {name: v[[row]] for name, v in feed.items()})
        for whole, part in zip(batch, single, strict=True):
            np.testing.assert_allclose(whole[row], part[0], atol=1e-5)
    assert np.abs(batch[0][0] - batch[0][1]).max() > 1e-3  # another task, other weights


@pytest.mark.parametrize(
    ("hidden", "tasks", "expected"),
    [((8, 8), 10, 364), ((16, 16), 10, 852), ((64, 64), 10, 6468), ((16, 16), 1, 708), ((), 10, 128)],
)
def test_the_parameters_of_a_multi_task_network(hidden, tasks, expected):
    data = SimpleNamespace(tasks=range(tasks), passes=())
    network = MultiTaskMlp(data, PolicyLayout((21, *hidden, 4)), AutoencoderConfig())
    assert network.policy_parameters == expected == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", [(7, 5), ()])
def test_a_one_hot_network_is_cut_into_one_policy_a_task(hidden, activation):
    network = MultiTaskMlp(
        SimpleNamespace(tasks=range(3), passes=()), PolicyLayout((4, *hidden, 2), activation), CONFIG.autoencoder
    )
    values = torch.randn(network.policy_parameters)  # biases too
    network.parameter.data = values
    sizes = network.network.layer_sizes
    assert sizes == (7, *hidden, 2)
    observation = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for task in range(3):
        x, rest = np.hstack([observation, np.tile(np.eye(3)[task], (20, 1))]), values.numpy()
        for place, (inputs, outputs) in enumerate(pairwise(sizes)):
            matrix, bias, rest = np.split(rest, [inputs * outputs, (inputs + 1) * outputs])
            x = x @ matrix.reshape(outputs, inputs).T + bias
            if place < len(sizes) - 2:
                x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
        with torch.no_grad():
            inputs = torch.tensor(observation)
            trained = network(inputs, torch.full((20,), task))
            cut = policy_forward(network.layout, network.weights(torch.tensor([task]), None), inputs[None])[0]
        np.testing.assert_allclose(trained, x, atol=1e-4)
        np.testing.assert_allclose(cut, x, atol=1e-4)


@pytest.mark.parametrize("method", ["multitask_mlp", "task_mlp"])
def test_a_file_holds_what_was_trained_whatever_the_seed(files, data, method):
    network, generator = _network(method, files, data), PolicyGenerator(files / f"{method}.onnx")
    for place, task in enumerate(TASKS):
        expected = network.weights(torch.tensor([place]), None)[0].detach()
        for seed in (1, 2):
            np.testing.assert_allclose(generator.generate(task, seed).weights, expected, atol=1e-5)


def test_the_regression_hypernetwork_answers_the_observation_and_not_the_noise(files, data):
    network = _network("regression_hypernetwork", files, data)
    training, generator = TrainingData(data, CONFIG), PolicyGenerator(files / "regression_hypernetwork.onnx")
    first = training.task.tolist().index(1)
    for demonstration in (first, first + 1):
        observation = data.episodes[TASKS[1]][demonstration - first].observation[0]
        policies = [generator.generate(TASKS[1], seed, observation) for seed in (1, 2)]
        assert policies[0].weights.tobytes() == policies[1].weights.tobytes()
        given = training.first_observation[[demonstration]]  # what it was trained on is what it is asked with
        expected = network.weights(torch.tensor([1]), given)[0].detach()
        np.testing.assert_allclose(policies[0].weights, expected, atol=1e-4)
    tasks = network.weights(torch.arange(3), given.expand(3, -1)).detach()  # the task counts, not its observation alone
    assert min((tasks[i] - tasks[i - 1]).abs().max() for i in range(3)) > 1e-3
    moved = observation + np.r_[np.zeros(18), np.full(3, 0.1)]
    assert np.abs(generator.generate(TASKS[1], 1, moved).weights - policies[0].weights).max() > 1e-4


def test_the_nearest_latent_is_that_of_a_demonstration_of_the_task(files, run):
    _, trained = run
    generator, diffusion = PolicyGenerator(files / "nearest_latent.onnx"), trained.diffusion
    latents = trained.autoencoder.encode(trained.data.tokens)
    for place, task in enumerate(TASKS):
        own, chosen = latents[trained.data.task == place], set()
        assert len(own) == (2, 4, 4)[place]
        for seed in range(1, 31):
            noise = np.random.default_rng(seed).standard_normal((1, 4), dtype=np.float32)
            with torch.no_grad():
                sampled = diffusion(torch.tensor(noise), torch.tensor([place]), None)
                distance = torch.cdist(sampled / diffusion.std[place], own / diffusion.std[place])
                nearest = int(distance.argmin())
                expected = trained.autoencoder.hypernetwork(own)[nearest]
            np.testing.assert_allclose(generator.generate(task, seed).weights, expected, atol=1e-5)
            chosen.add(nearest)
        assert len(chosen) > 1


def test_the_mean_latent_is_the_same_for_any_noise(files, run):
    _, trained = run
    generator, latents = PolicyGenerator(files / "mean_latent.onnx"), trained.autoencoder.encode(trained.data.tokens)
    for place, task in enumerate(TASKS):
        with torch.no_grad():
            mean = latents[trained.data.task == place].mean(dim=0, keepdim=True)
            expected = trained.autoencoder.hypernetwork(mean)[0]
        for seed in (1, 2):
            np.testing.assert_allclose(generator.generate(task, seed).weights, expected, atol=1e-5)


def test_latents_of_a_run_that_is_conditioned_on_observations(data, tmp_path):
    config = CONFIG.changed({"condition_on_observation": True, "hide": ["goal_x", "goal_y", "goal_z"]})
    trained = train(config, data, tmp_path / "run")
    for method, conditioned in (("nearest_latent", True), ("mean_latent", False)):
        latent_baseline(method, trained, tmp_path / "models" / "x.onnx")
        generator = PolicyGenerator(tmp_path / "models" / "x.onnx")
        assert generator.description.condition_on_observation == conditioned
        assert len(generator.generate(TASKS[0], 1, _first(data, 0)).observation_indices) == 18


# Learning


def _contradiction(data) -> TrainingData:
    """Frames of all tasks look alike; what one task asks for is the opposite of what the other asks for."""
    training = TrainingData(data, CONFIG)
    task = training.task.repeat_interleave(training.length)
    training.observation = torch.randn(training.observation.shape, generator=torch.Generator().manual_seed(0))
    training.action = torch.where(task == 1, -0.5, 0.5)[:, None] * training.observation[:, :4].sign()
    return training


@pytest.mark.parametrize("method", ["multitask_mlp", "task_mlp"])
def test_contradictory_tasks_are_learned(data, tmp_path, method):
    training = _contradiction(data)
    config = CONFIG.changed({"hidden_layers": [16], "autoencoder.pairs": 64})
    torch.manual_seed(0)
    network = KINDS[method](training, policy_layout(config, training), config.autoencoder)
    Trainer(network, tmp_path, method, 0, {}).run(lambda g: network.loss(training, g), Recipe.one_cycle(500, 2e-2, 0.9))
    weights = network.weights(torch.arange(3), None).detach()
    frames = training.sample_frames(torch.arange(3)[:, None], (3, 400), torch.Generator().manual_seed(0))
    error = (policy_forward(network.layout, weights, training.observation[frames]) - training.action[frames]) ** 2
    assert error.mean(dim=(1, 2)).max() < 0.12  # 0.25 for whoever cannot tell the tasks apart


@pytest.mark.parametrize("method", TRAINED)
def test_baselines_are_trained_on_demonstrations_that_are_moved_about_as_lwds_are(data, method):
    config = CONFIG.changed({"translation.range_m": 0.1, "autoencoder.pairs": 400})
    seen = []
    for chosen in (CONFIG.changed({"autoencoder.pairs": 400}), config):
        training = TrainingData(data, chosen)
        network = KINDS[method](training, policy_layout(chosen, training), chosen.autoencoder)
        observations = []
        for name in ("sample", "sample_of"):  # whichever the method draws from
            whole = getattr(training, name)

            def spy(*arguments, whole=whole, observations=observations):
                drawn = whole(*arguments)
                observations.append(drawn[0] if isinstance(drawn, tuple) else drawn.observation)
                return drawn

            setattr(training, name, spy)
        network.loss(training, torch.Generator().manual_seed(0))
        assert sum(drawn.shape[:-1].numel() for drawn in observations) == 6 * 400
        flat = observations[0].reshape(-1, 21)
        distance = torch.cdist(flat[:50], training.observation, compute_mode="donot_use_mm_for_euclid_dist")
        seen.append(float((distance.amin(dim=1) == 0).float().mean()))
    assert seen == [1.0, 0.0]


def test_a_frame_is_moved_as_a_whole(data, contract):
    task, drawn = torch.arange(3)[:, None].expand(-1, 50), []
    for config in (CONFIG, CONFIG.changed({"translation.range_m": 0.1})):
        training = TrainingData(data, config)
        observation, action = training.sample_of(task, torch.Generator().manual_seed(0))
        drawn.append((observation * training.normalisation.std[task], action))
    assert torch.equal(drawn[0][1], drawn[1][1])
    moved = (drawn[1][0] - drawn[0][0]).numpy()
    for axis in ("x", "y"):
        columns = [i for i, name in enumerate(contract.observation_names) if name.endswith(f"_{axis}")]
        hand = moved[..., contract.observation_names.index(f"hand_{axis}")]
        assert 0.09 < np.abs(hand).max() <= 0.1
        for column in columns:
            still = (moved[..., column] == 0).all(axis=1, keepdims=True)  # of a task that lacks this object
            np.testing.assert_allclose(moved[..., column], np.where(still, 0, hand), atol=1e-5)
        moved[..., columns] = 0
    assert (moved == 0).all()


def test_tasks_of_task_mlp_do_not_disturb_each_other(data):
    torch.manual_seed(0)
    training = TrainingData(data, CONFIG)
    network = TaskMlps(training, policy_layout(CONFIG, training), CONFIG.autoencoder)
    gradients = []
    for factor in (1.0, 1000.0):
        training.action[int(training.length[:-4].sum()) :] *= factor  # the last task's
        network.zero_grad()
        network.loss(training, torch.Generator().manual_seed(0))["loss"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        gradients.append(network.table.grad.clone())
    assert torch.equal(gradients[0][:2], gradients[1][:2])
    assert not torch.equal(gradients[0][2], gradients[1][2])
    assert gradients[1].norm(dim=1).max() <= 1


# Run folders


class Stopped(Exception):
    """Stands for a user's Ctrl-C or a machine that goes down."""


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_that_was_stopped_ends_like_one_that_was_not(files, data, tmp_path, monkeypatch, method):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 5)
    whole, calls = KINDS[method].loss, []

    def loss(self, *arguments):
        calls.append(None)
        if len(calls) == 14:
            raise Stopped
        return whole(self, *arguments)

    monkeypatch.setattr(KINDS[method], "loss", loss)
    with pytest.raises(Stopped):
        train_baseline(method, CONFIG, data, tmp_path / "run", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    torch.manual_seed(999)  # whatever else draws numbers meanwhile
    train_baseline(method, CONFIG, data, tmp_path / "run", tmp_path / "model.onnx")
    assert len(calls) == 14 + 30 - 10  # the last checkpoint holds ten steps
    assert (tmp_path / "model.onnx").read_bytes() == (files / f"{method}.onnx").read_bytes()


def test_a_folder_of_another_run_is_refused(files, data, run, tmp_path):
    refused = pytest.raises(
        ConfigError, match=r"holds a run of another config, dataset or method; name another folder$"
    )
    model = tmp_path / "model.onnx"
    with refused:
        train_baseline("multitask_mlp", CONFIG, data, files / "task_mlp", model)
    with refused:
        train_baseline("task_mlp", CONFIG.changed({"seed": 1}), data, files / "task_mlp", model)
    with refused:
        train_baseline("task_mlp", CONFIG, data, run[0], model)
    with refused:
        train(CONFIG, data, files / "task_mlp")
    with pytest.raises(ConfigError, match=r"found a run of the method 'task_mlp', expected one of 'lwd train'$"):
        load(files / "task_mlp")
    assert list(tmp_path.iterdir()) == []


def test_a_generated_normalisation_is_that_of_latents_alone(data, run, tmp_path):
    """Methods without latents refuse it; those made from a run decode it as the run does."""
    config = CONFIG.changed({"normalisation": "generated"})
    with pytest.raises(ConfigError, match="key 'normalisation': found 'generated', expected task"):
        train_baseline("task_mlp", config, data, tmp_path / "run", tmp_path / "x.onnx")
    assert not (tmp_path / "run").exists()
    made = train(config, data, tmp_path / "generated")
    for method in ("nearest_latent", "mean_latent"):
        latent_baseline(method, made, tmp_path / f"{method}.onnx")
        policy = PolicyGenerator(tmp_path / f"{method}.onnx").generate(TASKS[1], 3)
        own = made.autoencoder.encode(made.data.tokens[made.data.task == 1])
        latents = own if method == "nearest_latent" else own.mean(0, keepdim=True)
        decoded = decode(made, latents.numpy(), TASKS[1])
        assert any(np.allclose(policy.weights, each.weights, atol=1e-4) for each in decoded)
        assert any(np.allclose(policy.observation_mean, each.observation_mean, atol=1e-4) for each in decoded)


def test_what_cannot_be_trained_claims_no_folder(data, run, tmp_path):
    for method in ("nearest_latent", "gpt"):
        with pytest.raises(ConfigError, match=f"method: found '{method}', expected one .* task_mlp, multitask_mlp"):
            train_baseline(method, CONFIG, data, tmp_path / "run", tmp_path / "models" / "x.onnx")
    for method in ("task_mlp", "gpt"):
        with pytest.raises(ConfigError, match=f"method: found '{method}', expected one .* nearest_latent, mean_latent"):
            latent_baseline(method, run[1], tmp_path / "models" / "x.onnx")
    with pytest.raises(DatasetError, match="hide: found 'goal'"):
        config = CONFIG.changed({"hide": ["goal"]})
        train_baseline("task_mlp", config, data, tmp_path / "run", tmp_path / "models" / "x.onnx")
    assert list(tmp_path.iterdir()) == []


# The command


def test_the_command_makes_the_same_files(files, data, run, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(CONFIG.to_dict()))))
    train_it = ["--config", tmp_path / "config.yaml", "--data", data.folder, "--out", tmp_path / "run"]
    for method, options in (("task_mlp", [*train_it, "--seed", 0]), ("mean_latent", ["--run", run[0]])):
        model = tmp_path / f"{method}.onnx"
        result = CliRunner().invoke(cli, ["baseline", "--method", method, "--model", str(model), *map(str, options)])
        assert result.exit_code == 0, result.output
        assert f"{method}, 191 parameters, sha256" in result.output
        assert model.read_bytes() == (files / model.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gpt"], f"--method: found 'gpt', expected one of {', '.join((*TRAINED, 'diffusion_policy', *LATENT))}"),
        (["task_mlp", "--run", "r"], "--method task_mlp: found --run, expected --config, --data, --out, --seed"),
        (["task_mlp", "--config", "c"], "--method task_mlp: found --config, expected --config, --data, --out, --seed"),
        (["task_mlp"], "--method task_mlp: found none of them, expected --config, --data, --out, --seed"),
        (
            ["mean_latent", "--run", "r", "--seed", "1"],
            "--method mean_latent: found --seed, --run, expected --run, --data",
        ),
        (["nearest_latent"], "--method nearest_latent: found none of them, expected --run, --data"),
    ],
)
def test_options_that_do_not_fit_the_method(tmp_path, arguments, sentence):
    result = CliRunner().invoke(cli, ["baseline", "--model", str(tmp_path / "x.onnx"), "--method", *arguments])
    assert result.exit_code == 2
    assert result.output.strip().endswith("Error: " + sentence)

"""Pins what stands beside LWD where ways are many: latents chosen otherwise, and a mixture of actions."""

import numpy as np
import pytest
import torch
from lwd_benchmarks.methods import LATENT, METHODS, implementation
from lwd_benchmarks.methods.latent_mixture import LatentMixture, fit, whitening
from lwd_benchmarks.methods.latents import Encoded, draw, latent_baseline, uniform
from lwd_benchmarks.methods.mixture.actor import MixtureActor
from lwd_benchmarks.methods.mixture.network import MixtureMlp
from lwd_benchmarks.methods.training import train_baseline
from lwd_benchmarks.studies.trials import make_actor
from scipy.stats import multivariate_normal

from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.registry import simulator
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.learning.codec import decode
from lwd_ros.learning.config import AutoencoderConfig, ConfigError, TrainConfig
from lwd_ros.learning.train import train
from lwd_ros.policy import PolicyLayout
from lwd_ros.resources import share_path

CONTRACT = share_path("config", "avoiding.yaml")
WAYS = ("L-L-1", "R-R-4")
SIZE = 3
CONFIG = TrainConfig.from_dict(
    {
        "name": "two_ways",
        "hidden_layers": [5],
        "hide": [name for name in Contract.load(CONTRACT).observation_names if name.startswith("cylinder")],
        "condition_on_observation": True,
        "autoencoder": {"steps": 30, "demonstrations": 6, "pairs": 16, "own_share": 1.0, "latent_size": SIZE,
                        "encoder_layers": [16]},
        "diffusion": {"steps": 10, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 3},
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demonstrations")
    settings = CollectSettings(episodes=12, experts=WAYS, frequencies=(("L-L-1", 1.0), ("R-R-4", 2.0)))
    found = simulator("avoiding")
    collect(folder, ["varied"], found.spec.contract(), settings, 1, found)
    return Demonstrations(folder)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(CONFIG, data, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def encoded(run, data):
    return Encoded.of(run, data)


def _latents(method: str, run, encoded, count: int = 400, place: int = 0) -> np.ndarray:
    """Latents that a method gives in the scene of one demonstration: float [count, latent]."""
    graph = implementation(METHODS[method].graph)(run, encoded)
    noise = np.random.default_rng(0).normal(size=(count, SIZE + graph.extra_noise))
    with torch.no_grad():
        condition = encoded.first[[place]].expand(count, -1)
        return graph.latent(torch.tensor(noise, dtype=torch.float32), torch.zeros(count, dtype=torch.long),
                            condition).numpy()  # fmt: skip


def test_numbers_are_uniform_and_places_are_drawn_by_their_shares():
    numbers = uniform(torch.tensor(np.random.default_rng(0).normal(size=20_000)))
    assert np.histogram(numbers, bins=10, range=(0, 1))[0] == pytest.approx(2000, rel=0.1)
    shares = torch.tensor([[2.0, 0.0, 1.0, 1.0]]).double().expand(20_000, -1)
    counts = np.bincount(draw(shares, numbers), minlength=4)
    assert counts[1] == 0 and counts == pytest.approx([10_000, 0, 5_000, 5_000], rel=0.05)
    assert draw(shares[:2], torch.tensor([0.0, 1.0]).double()).tolist() == [0, 3]


def test_a_random_latent_is_any_demonstrations_and_the_nearest_starts_that_of_its_scene(run, encoded):
    found = _latents("random_latent", run, encoded)
    distance = np.abs(found[:, None] - encoded.latents.numpy()).max(axis=2)
    counts = np.bincount(distance.argmin(axis=1), minlength=12)
    assert distance.min(axis=1).max() < 1e-6 and counts.min() > 400 / 12 / 2
    for place in (0, 7):
        near = _latents("nearest_start_latent", run, encoded, 5, place)
        np.testing.assert_allclose(near, encoded.latents[[place] * 5], atol=1e-6)


def test_a_ways_latent_is_the_mean_of_its_demonstrations_as_often_as_it_was_demonstrated(run, encoded):
    found = _latents("way_latent", run, encoded)
    of_way = {way: encoded.latents[[each == way for each in encoded.ways]].mean(dim=0).numpy() for way in WAYS}
    share = np.mean(np.abs(found - of_way["R-R-4"]).max(axis=1) < 1e-5)
    assert share == pytest.approx(2 / 3, abs=0.08)
    assert np.mean(np.abs(found - of_way["L-L-1"]).max(axis=1) < 1e-5) == pytest.approx(1 - share)


def test_latents_of_the_prior_are_the_noise(run, encoded):
    found = _latents("prior_latent", run, encoded, 4000)
    assert found.mean(axis=0) == pytest.approx(np.zeros(SIZE), abs=0.06)
    assert found.std(axis=0) == pytest.approx(np.ones(SIZE), abs=0.06)


@pytest.mark.parametrize("method", LATENT)
def test_the_model_file_decodes_the_latent_that_was_chosen(run, encoded, data, tmp_path, method):
    latent_baseline(method, run, tmp_path / "m.onnx", data)
    generator, place = PolicyGenerator(tmp_path / "m.onnx"), 3
    assert generator.description.condition_on_observation == implementation(METHODS[method].graph).conditioned
    first = data.episodes["varied"][place].observation[0]
    graph, seed = implementation(METHODS[method].graph)(run, encoded).eval(), 9
    noise = np.random.default_rng(seed).standard_normal((1, generator.description.latent_size), dtype=np.float32)
    with torch.no_grad():
        latent = graph.latent(torch.tensor(noise), torch.zeros(1, dtype=torch.long), encoded.first[[place]]).numpy()
    (expected,) = decode(run, latent, "varied")
    np.testing.assert_allclose(generator.generate("varied", seed, first).weights, expected.weights, atol=1e-4)


def test_a_mixture_is_as_large_as_its_data():
    rng = np.random.default_rng(0)
    centres = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    points = centres[rng.integers(3, size=300)] + 0.2 * rng.normal(size=(300, 2))
    found = fit(points, (1, 2, 3, 4, 6))
    assert sorted(np.round(found.means).tolist()) == sorted(centres.tolist())
    assert found.weights == pytest.approx([1 / 3] * 3, abs=0.08)
    assert len(fit(rng.normal(size=(300, 2)), (1, 2, 3, 4, 6)).weights) == 1


def test_a_whitened_condition_has_as_many_numbers_as_the_scene_has_degrees_of_freedom():
    rng = np.random.default_rng(0)
    free = rng.normal(size=(500, 2)) * [1.0, 0.1]
    mean, matrix = whitening(np.hstack([free, free[:, :1], np.full((500, 1), 7.0)]))
    seen = (np.hstack([free, free[:, :1], np.full((500, 1), 7.0)]) - mean) @ matrix
    assert matrix.shape == (4, 2)
    np.testing.assert_allclose(np.cov(seen.T, bias=True), np.eye(2), atol=1e-9)


def test_a_mixture_is_conditioned_on_the_observation(run, encoded):
    """Weights, means and deviations are those of the joint mixture's textbook conditional."""
    graph, count, place = LatentMixture(run, encoded), 6000, 2
    latents, first = encoded.latents.double().numpy(), encoded.first.double().numpy()
    centre = latents.mean(axis=0)
    spread = np.maximum(latents.std(axis=0), 1e-3 * latents.std(axis=0) + 1e-6)
    mean, matrix = whitening(first)
    mixture = fit(np.hstack([(latents - centre) / spread, (first - mean) @ matrix]), seed=CONFIG.seed)
    seen, weights, means, seconds = (first[place] - mean) @ matrix, [], [], []
    for weight, both, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
        gain = covariance[:SIZE, SIZE:] @ np.linalg.inv(covariance[SIZE:, SIZE:])
        weights.append(weight * multivariate_normal(both[SIZE:], covariance[SIZE:, SIZE:]).pdf(seen))
        means.append(both[:SIZE] + gain @ (seen - both[SIZE:]))
        seconds.append(covariance[:SIZE, :SIZE] - gain @ covariance[SIZE:, :SIZE] + np.outer(means[-1], means[-1]))
    shares = np.array(weights) / np.sum(weights)
    expected = shares @ np.array(means)
    variance = np.diag(np.tensordot(shares, np.array(seconds), 1) - np.outer(expected, expected))
    found = (_latents("mixture_of_latents", run, encoded, count, place) - centre) / spread
    assert graph.components == [len(mixture.weights)]
    assert np.abs(found.mean(axis=0) - expected).max() < 4 * np.sqrt(variance.max() / count) + 1e-3
    assert found.std(axis=0) == pytest.approx(np.sqrt(variance), rel=0.1, abs=1e-3)


def test_what_cannot_be_made_is_one_sentence(run, data, tmp_path):
    with pytest.raises(DatasetError, match="random_latent: found no dataset, expected that of the run"):
        latent_baseline("random_latent", run, tmp_path / "m.onnx")
    other = tmp_path / "other"
    found = simulator("avoiding")
    collect(other, ["varied"], found.spec.contract(), CollectSettings(episodes=2), 1, found)
    with pytest.raises(DatasetError, match="expected that of the run's dataset"):
        latent_baseline("way_latent", run, tmp_path / "m.onnx", Demonstrations(other))
    alone = train(CONFIG.changed({"condition_on_observation": False, "autoencoder.steps": 1, "diffusion.steps": 1}),
                  Demonstrations(other), tmp_path / "run")  # fmt: skip
    with pytest.raises(ConfigError, match="found a run that sees no observation"):
        latent_baseline("nearest_start_latent", alone, tmp_path / "m.onnx", Demonstrations(other))
    assert not (tmp_path / "m.onnx").exists()


# A mixture of actions


class _TwoHands:
    """Observations of nothing, and actions of two hands that do the opposite, one twice as often as the other."""

    tasks, passes = ("it",), ()

    def sample_of(self, task: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        signs = 1.0 - 2.0 * (torch.rand(len(task), generator=generator) < 1 / 3)
        noise = 0.03 * torch.randn((len(task), 1), generator=generator)
        return torch.zeros(len(task), 1), 0.5 * signs[:, None] + noise


def test_a_mixture_of_actions_learns_both_hands_and_not_their_mean():
    torch.manual_seed(0)
    data, generator = _TwoHands(), torch.Generator().manual_seed(0)
    network = MixtureMlp(data, PolicyLayout((1, 16, 1)), AutoencoderConfig(demonstrations=8, pairs=32))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        network.loss(data, generator)["loss"].backward()
        optimiser.step()
    with torch.no_grad():
        logits, mean, spread = network(torch.zeros(1, 1), torch.zeros(1, dtype=torch.long))
    weights, places = torch.softmax(logits[0], dim=0).numpy(), mean[0, :, 0].numpy()
    assert weights[np.abs(places - 0.5) < 0.1].sum() == pytest.approx(2 / 3, abs=0.08)
    assert weights[np.abs(places + 0.5) < 0.1].sum() == pytest.approx(1 / 3, abs=0.08)
    assert (weights * spread[0, :, 0].numpy()).sum() < 0.1


@pytest.fixture(scope="module")
def mixture(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture")
    config = CONFIG.changed({"hidden_layers": [32, 32]})
    train_baseline("mixture_mlp", config, data, folder / "run", folder / "m.onnx")
    return folder / "m.onnx"


def test_a_component_is_drawn_every_so_often_and_by_the_seed(mixture):
    contract = Contract.load(CONTRACT)
    environment = simulator("avoiding").make("varied", contract)
    queries = {}
    for horizon in (1, 8, None):
        actor = make_actor("mixture", mixture, horizon)
        outcome = run_episode(environment, actor, 100_000, steps=20, record=True)
        queries[horizon] = outcome.queries
        again = run_episode(environment, actor, 100_000, steps=20, record=True)
        assert np.array_equal(outcome.record.outputs, again.record.outputs)
    assert queries == {1: 20, 8: 3, None: 1}


def test_a_command_is_the_mean_of_the_component_that_was_drawn(mixture, data):
    actor, drawn = MixtureActor(mixture, None), []
    for seed in range(1, 61):
        actor.begin("varied", seed)
        actor.see(data.episodes["varied"][0].observation[0], 0.0, 0.0)
        actor.query()
        assert actor.command() is None
        actor.adopt()
        weights, means = actor._mixture()
        assert np.array_equal(actor.command(), means[actor._component])
        drawn.append(actor._component)
    assert np.bincount(drawn, minlength=len(weights)) / 60 == pytest.approx(weights / weights.sum(), abs=0.2)


def test_a_mixtures_file_says_what_it_is(mixture, model_path):
    description = MixtureActor(mixture).description
    assert description.tasks == ("varied",) and description.policy_parameters == 4 * 32 + 33 * 32 + 33 * 40
    assert description.training["config"]["hidden_layers"] == [32, 32]
    with pytest.raises(ModelError, match="found no 'lwd_ros_mixture' metadata"):
        MixtureActor(model_path)
    with pytest.raises(ModelError, match="task 'fixed' is unknown"):
        MixtureActor(mixture).begin("fixed", 1)

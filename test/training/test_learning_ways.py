"""Pins what many ways ask of training: whose pairs, which frames, what the hypernetwork is told, the latents' scale."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.avoiding.simulator import SIMULATOR
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.learning import trainer
from lwd_ros.learning.codec import decode, encode, sample
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.diffusion import LatentDiffusion, noise_schedule
from lwd_ros.learning.export import export
from lwd_ros.learning.networks import SetEncoder
from lwd_ros.learning.train import load, train

CONTRACT = SIMULATOR.spec.contract()
STAGE_1 = {
    "steps": 40,
    "demonstrations": 8,
    "pairs": 16,
    "own_share": 0.5,
    "others": "neighbours",
    "neighbours": 3,
    "latent_size": 4,
    "encoder_layers": [16],
    "hypernetwork_layers": [16],
    "encoder": "set",
}
CONFIG = {
    "name": "ways",
    "hidden_layers": [6],
    "hide": [name for name in CONTRACT.observation_names if name.startswith("cylinder")],
    "condition_on_observation": True,
    "condition_hypernetwork": True,
    "asked": "any",
    "autoencoder": STAGE_1,
    "diffusion": {"steps": 20, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4, "latent_unit": "posterior"},
}


def config(**changes) -> TrainConfig:
    return TrainConfig.from_dict(CONFIG).changed(changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demonstrations")
    settings = CollectSettings(episodes=12, experts=("all",))
    collect(folder, SIMULATOR.spec.tasks, CONTRACT, settings, workers=1, environment=SIMULATOR)
    return Demonstrations(folder, CONTRACT)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(config(), data, folder)


def numbered(data, **changes) -> TrainingData:
    """Frames and demonstrations hold their own number, so that a batch tells where it came from."""
    training = TrainingData(data, config(**changes))
    training.observation = torch.arange(len(training.observation), dtype=torch.float32)[:, None]
    return training


def test_other_pairs_come_from_one_of_the_demonstrations_that_are_named(data):
    training = numbered(data, asked="first")
    near = torch.arange(len(training.task)).roll(1)[:, None].repeat(1, 2)
    near[:, 1] = torch.arange(len(training.task)).roll(2)
    batch = training.sample(60, 20, 0.5, torch.Generator().manual_seed(0), near)
    start, end = training.start, training.start + training.length
    partners = set()
    for place in range(60):
        own, other = batch.observation[place, :10, 0], batch.observation[place, 10:, 0]
        (row,) = torch.nonzero((start <= own[0]) & (own[0] < end))[0]
        (partner,) = torch.nonzero((start <= other[0]) & (other[0] < end))[0]
        assert ((start[row] <= own) & (own < end[row])).all() and partner in near[row]
        assert ((start[partner] <= other) & (other < end[partner])).all()
        assert batch.condition[place].equal(training.first_observation[row])
        assert batch.other_condition[place].equal(training.first_observation[partner])
        partners.add((int(row), int(partner)))
    assert len(partners) > 30


def test_a_hypernetwork_that_is_told_an_observation_gets_each_demonstrations_own(data):
    training = numbered(data, **{"autoencoder.others": "task"})
    batch = training.sample(200, 20, 0.5, torch.Generator().manual_seed(0))
    start, end = training.start, training.start + training.length
    for place in range(200):
        other = batch.observation[place, 10:, 0]
        (row,) = torch.nonzero((start <= other[0]) & (other[0] < end))[0]
        assert ((start[row] <= other) & (other < end[row])).all() and training.task[row] == batch.task[place]


def test_a_policy_is_asked_for_at_any_frame_and_does_what_is_left(data):
    training = numbered(data)
    episodes = [episode for task in data.tasks for episode in data.episodes[task]]
    batch = training.sample(400, 40, 1.0, torch.Generator().manual_seed(0))
    start, end = training.start, training.start + training.length
    first = 0
    for place in range(400):
        frames = batch.observation[place, :, 0].long()
        (row,) = torch.nonzero((start <= frames[0]) & (frames[0] < end))[0]
        each = training.standardised(torch.tensor(episodes[row].observation, dtype=torch.float32), training.task[row])
        (asked,) = torch.nonzero((each == batch.condition[place]).all(dim=1))[0]
        assert (frames >= start[row] + asked).all() and (frames < end[row]).all()
        first += int(asked == 0)
    assert 0.4 < first / 400 < 0.62


def test_neighbours_are_the_nearest_of_the_task(data, run):
    training, autoencoder = TrainingData(data, config()), run[1].autoencoder
    near = autoencoder.neighbours(training)
    mean, std = (value.double().numpy() for value in autoencoder.posterior(training.tokens))
    task = training.task.numpy()
    units = [np.sqrt(mean[task == each].var(0) + (std[task == each] ** 2).mean(0)) for each in range(2)]
    assert near.shape == (24, 3)
    for row in range(24):
        unit = units[task[row]]
        rows = [other for other in range(24) if training.task[other] == training.task[row] and other != row]
        distance = {other: np.linalg.norm((mean[row] - mean[other]) / unit) for other in rows}
        nearest = sorted(distance, key=distance.__getitem__)[:3]
        assert max(distance[int(other)] for other in near[row]) == pytest.approx(distance[nearest[-1]], rel=1e-3)


def test_a_demonstration_that_is_alone_is_its_own_neighbour(data, run):
    training, autoencoder = TrainingData(data, config()), run[1].autoencoder
    training.task = torch.tensor([0] + [1] * 23)
    near = autoencoder.neighbours(training)
    assert (near[0] == 0).all() and (near[1:] > 0).all()


def test_a_run_with_neighbours_goes_on_after_a_stop_as_if_there_had_been_none(data, run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 10)
    monkeypatch.setattr("lwd_ros.learning.train.CHECKPOINT_EVERY", 10)
    whole = train(config(), data, tmp_path / "whole")
    saved = trainer.Trainer._save

    def stop(self, optimiser):
        saved(self, optimiser)
        if self.stage == "autoencoder" and self.step == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config(), data, tmp_path / "stopped")
    monkeypatch.setattr(trainer.Trainer, "_save", saved)
    gone_on = train(config(), data, tmp_path / "stopped")
    for name, value in whole.autoencoder.state_dict().items():
        assert value.equal(gone_on.autoencoder.state_dict()[name]), name


def test_a_set_of_frames_has_no_order_and_no_number():
    torch.manual_seed(0)
    encoder = SetEncoder(5, (16, 8), 3)
    frames = torch.randn(2, 7, 5)
    mean, log_variance = encoder(frames.flatten(1))
    again, _ = encoder(frames[:, torch.randperm(7)].flatten(1))
    torch.testing.assert_close(mean, again)
    twice, _ = encoder(frames.repeat(1, 2, 1).flatten(1))
    torch.testing.assert_close(mean, twice)
    assert mean.shape == log_variance.shape == (2, 3) and encoder(frames[:, :1].flatten(1))[0].shape == (2, 3)


def test_torch_and_the_model_file_agree_on_a_policy_whatever_the_sampling_steps(data, run, tmp_path):
    export(run[1], tmp_path / "ways.onnx")
    observation = data.episodes["varied"][3].observation[0]
    for steps in (0, 1, 4, 30):
        generator = PolicyGenerator(tmp_path / "ways.onnx", steps)
        assert generator.sampling_steps == (steps or 4)
        found = generator.generate("varied", 5, observation)
        schedule = noise_schedule()
        schedule.set_timesteps(steps or 4)
        run[1].diffusion._sampling_sigmas = schedule.sigmas.tolist()
        latents = sample(run[1], "varied", [5], observation[None])
        expected = decode(run[1], latents, "varied", observation[None])[0]
        np.testing.assert_allclose(found.weights, expected.weights, rtol=0, atol=2e-6)
        moved = observation.copy()
        moved[2] += 0.05  # a cylinder: what the hypernetwork is told
        assert not np.allclose(decode(run[1], latents, "varied", moved[None])[0].weights, expected.weights, atol=1e-4)
    with pytest.raises(ModelError, match="found -1 sampling steps, expected a number above 0"):
        PolicyGenerator(tmp_path / "ways.onnx", -1)
    with pytest.raises(ModelError, match="'ways' is conditioned on an observation: found none"):
        decode(run[1], latents, "varied")


def test_a_part_of_a_demonstration_is_encoded_and_one_frame_is_not(data, run):
    episode = data.episodes["fixed"][0]
    parts = [replace(episode, observation=episode.observation[:n], action=episode.action[:n]) for n in (2, 40, 1)]
    whole, two, forty = encode(run[1], [episode, *parts[:2]])
    assert not np.allclose(whole, two) and not np.allclose(whole, forty)
    with pytest.raises(DatasetError, match="demonstration 1: found 1 frame, expected 2 at least to encode"):
        encode(run[1], [episode, parts[2]])


def test_places_of_the_latent_that_tell_nothing_stay_small():
    latents, left_open = torch.randn(500, 2) * torch.tensor([2.0, 0.01]), torch.tensor([0.02, 1.0]).expand(500, 2)
    plain, measured = (LatentDiffusion(2, 1, 0, config().diffusion) for _ in range(2))
    plain.set_scale(latents, torch.zeros(500, dtype=torch.long), None)
    measured.set_scale(latents, torch.zeros(500, dtype=torch.long), None, left_open)
    assert plain.std[0].tolist() == pytest.approx([2.0, 0.01], rel=0.1)
    assert measured.std[0].tolist() == pytest.approx([2.0, 1.0], rel=0.1)


def test_stage_2_is_trained_anew_on_a_finished_stage_1(data, run, tmp_path):
    longer = config(**{"diffusion.steps": 30, "name": "longer"})
    again = train(longer, data, tmp_path / "again", stage_1_of=run[0])
    for name, value in run[1].autoencoder.state_dict().items():
        assert value.equal(again.autoencoder.state_dict()[name])
    assert not run[1].diffusion.denoiser.input.weight.equal(again.diffusion.denoiser.input.weight)
    assert load(tmp_path / "again").config.diffusion.steps == 30
    episodes = data.episodes["fixed"][:2]
    assert np.array_equal(encode(run[1], episodes), encode(again, episodes))
    other = config(**{"autoencoder.kl_weight": 1e-3, "seed": 3})
    with pytest.raises(ConfigError, match="found another seed and autoencoder, expected those of this run but for"):
        train(other, data, tmp_path / "other", stage_1_of=run[0])
    unfinished = json.loads((run[0] / "run.json").read_text())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text(json.dumps(unfinished))
    with pytest.raises(ConfigError, match="found 0 of 40 steps of 'autoencoder', expected that stage to be finished"):
        train(longer, data, tmp_path / "third", stage_1_of=tmp_path / "empty")
    (tmp_path / "empty" / "run.json").write_text(json.dumps(unfinished | {"method": "task_mlp"}))
    with pytest.raises(ConfigError, match="found a run of the method 'task_mlp', expected one of 'lwd train'"):
        train(longer, data, tmp_path / "third", stage_1_of=tmp_path / "empty")
    assert not (tmp_path / "other").exists() and not (tmp_path / "third").exists()  # a mistake claims no folder


def test_neighbours_of_two_ways_are_found_though_tasks_lie_far_apart(data, run, monkeypatch):
    """A place of the latent that tells tasks apart has a spread beside which that of two ways would drown."""
    training, autoencoder = TrainingData(data, config()), run[1].autoencoder
    task, way = training.task.float(), torch.arange(len(training.task)) % 2
    latents = torch.stack([100.0 * task + 0.1 * way, 0.03 * torch.randn(len(task)), *torch.zeros(2, len(task))], dim=1)
    monkeypatch.setattr(autoencoder, "posterior", lambda tokens: (latents, torch.full_like(latents, 0.01)))
    near = autoencoder.neighbours(training)
    assert (way[near] == way[:, None]).float().mean() > 0.95


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"condition_on_observation": False}, "key 'condition_hypernetwork': found true, expected 'condition_on"),
        (
            {"condition_on_observation": False, "condition_hypernetwork": False},
            "key 'asked': found any, expected 'condition_on_observation: true' with it",
        ),
        ({"autoencoder": {"others": "all"}}, "key 'autoencoder.others': found 'all', expected task or neighbours"),
        ({"autoencoder": {"encoder": "lstm"}}, "key 'autoencoder.encoder': found 'lstm', expected flat or set"),
        (
            {"diffusion": {"latent_unit": "std"}},
            "key 'diffusion.latent_unit': found 'std', expected means or posterior",
        ),
        ({"asked": "last"}, "key 'asked': found 'last', expected first or any"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict(CONFIG | changes)
    assert sentence in str(caught.value)


def test_runs_that_were_made_before_keep_their_identity():
    plain = TrainConfig.from_dict({"name": "x"}).to_dict()
    assert not {"condition_hypernetwork", "asked"} & set(plain)
    assert not {"others", "neighbours", "encoder"} & set(plain["autoencoder"])
    assert "latent_unit" not in plain["diffusion"]
    assert TrainConfig.from_dict(json.loads(json.dumps(config().to_dict()))) == config()

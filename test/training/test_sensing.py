"""Pins training of observations as a robot has them: noisy and late, and policies that are told how late."""

import json

import pytest
import torch

from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData

CONFIG = {"name": "tiny", "hidden_layers": [6], "autoencoder": {"demonstrations": 6, "pairs": 16}}


@pytest.fixture(scope="module")
def data(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, ("reach-v3", "button-press-topdown-v3"), contract, CollectSettings(episodes=3), workers=1)
    return Demonstrations(folder, contract)


def _draw(training: TrainingData, kind: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Task [B], observation and action [B, 2000, ...] of both ways to draw pairs."""
    generator = torch.Generator().manual_seed(0)
    if kind == "sample":
        batch = training.sample(20, 2000, 0.5, generator)
        return batch.task, batch.observation, batch.action
    task = torch.arange(20) % len(training.tasks)
    return task, *training.sample_of(task[:, None].expand(-1, 2000), generator)


@pytest.mark.parametrize("kind", ["sample", "sample_of"])
def test_policies_learn_from_noisy_positions_and_nothing_else_is_noisy(data, kind):
    training = TrainingData(data, TrainConfig.from_dict(CONFIG | {"sensing": {"noise_m": 0.003}}))
    training.observation = torch.zeros_like(training.observation)  # what is left is the noise
    task, observation, _ = _draw(training, kind)
    noise = (observation * training.normalisation.std[task][:, None]).flatten(0, 1)
    metres = [data.contract.observation[i].unit == "m" for i in training.indices.tolist()]
    expected = torch.where(torch.tensor(metres), 0.003, 0.0)
    assert 0 < sum(metres) < len(metres)
    torch.testing.assert_close(noise.std(0), expected, rtol=0.03, atol=0)
    assert noise.mean(0).abs().max() < 1e-4
    if kind == "sample":
        plain = TrainingData(data, TrainConfig.from_dict(CONFIG))
        assert torch.equal(plain.tokens, training.tokens)  # the encoder sees demonstrations as they are


@pytest.mark.parametrize("kind", ["sample", "sample_of"])
def test_policies_learn_from_late_observations_of_the_same_demonstration(data, kind):
    sensing = {"delayed_share": 0.4, "delay_steps": 6}
    training = TrainingData(data, TrainConfig.from_dict(CONFIG | {"sensing": sensing}))
    number = torch.arange(len(training.observation), dtype=torch.float32)[:, None]
    training.observation, training.action = number, number
    seen, acted = (values[..., 0].long() for values in _draw(training, kind)[1:])
    late, within = acted - seen, acted - training._first_of_episode[acted]
    assert late.min() == 0 and late.max() == 6 and (late <= within).all()
    deep = late[within >= 6]
    shares = torch.bincount(deep, minlength=7) / len(deep)
    torch.testing.assert_close(shares, torch.tensor([0.6, *[0.4 / 6] * 6]), atol=0.01, rtol=0)


TOLD = {"delayed_share": 0.5, "delay_steps": 4, "observation_age": True}


@pytest.mark.parametrize("kind", ["sample", "sample_of"])
def test_policies_are_told_how_late_what_they_see_is(data, kind):
    training = TrainingData(data, TrainConfig.from_dict(CONFIG | {"sensing": TOLD}))
    assert training.contract.digest == data.contract.with_age(0.05).digest
    assert training.indices.tolist()[-1] == training.contract.age_place == len(data.contract.observation)
    number = torch.arange(len(training.observation), dtype=torch.float32)[:, None]
    training.observation[:, :1], training.action = number, number
    _, seen, acted = _draw(training, kind)
    late = acted[..., 0] - seen[..., 0]
    torch.testing.assert_close(seen[..., -1], late * 0.0125 / 0.025, atol=1e-5, rtol=0)  # 0 to 2: half the longest is 1
    assert late.unique().tolist() == [0, 1, 2, 3, 4]
    bounds = training.normalisation
    assert (bounds.minimum[:, -1] == 0).all() and (bounds.maximum[:, -1] == 0.05).all()
    # The generator and the encoder see demonstrations as they are.
    assert (training.first_observation[:, -1] == 0).all()


def test_an_age_that_was_recorded_is_one_that_lateness_adds_to(data):
    aged = data.with_age(0.08)
    for episodes in aged.episodes.values():
        for episode in episodes:
            episode.observation[:, -1] = 0.01
    told = TrainConfig.from_dict(CONFIG | {"sensing": TOLD})
    training = TrainingData(aged, told)
    assert training.contract.digest == aged.contract.digest
    _, seen, _ = _draw(training, "sample_of")
    found = sorted({round(value, 4) for value in (seen[..., -1] * 0.03).flatten().tolist()})
    assert found == [0.01, 0.0225, 0.035, 0.0475, 0.06]
    assert (training.normalisation.maximum[:, -1] == 0.06).all()  # what is learned, not what the contract allows
    assert (training.first_observation[:, -1] == 0).all()
    # Who is not told does not read it.
    ignorant = TrainingData(aged, TrainConfig.from_dict(CONFIG))
    assert aged.contract.age_place not in ignorant.indices.tolist() and ignorant.contract.digest == aged.contract.digest
    with pytest.raises(
        DatasetError, match=r"delay_steps: found ages of up to 0\.05 s .* at most observation_age's limit, 0"
    ):
        TrainingData(data.with_age(0.04), told)


@pytest.mark.parametrize(
    ("sensing", "text"),
    [
        ({"delay_steps": 0}, "sensing.delay_steps': found 0"),
        ({"delayed_share": 2}, "sensing.delayed_share': found 2"),
        ({"observation_age": True}, "sensing.observation_age': found true, expected a 'delayed_share' above 0"),
    ],
)
def test_sensing_that_cannot_be_is_refused(sensing, text):
    with pytest.raises(ConfigError, match=text):
        TrainConfig.from_dict(CONFIG | {"sensing": sensing})


def test_a_config_without_sensing_is_written_as_before_there_was_any():
    config = TrainConfig.from_dict(CONFIG)
    assert "sensing" not in config.to_dict()
    noisy = config.changed({"sensing.noise_m": 0.01})
    assert noisy.to_dict()["sensing"]["noise_m"] == 0.01
    assert TrainConfig.from_dict(json.loads(json.dumps(noisy.to_dict()))) == noisy

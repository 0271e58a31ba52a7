"""Pins training on several frames: stacked from single ones as a controller stacks them, hidden, late, noisy, moved."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lwd_ros.contract import AGE, Frames, stacked
from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.data import TrainingData

CONFIG = {"name": "tiny", "hidden_layers": [6], "autoencoder": {"demonstrations": 6, "pairs": 16}}
HISTORY, SCALARS = 3, 21


@pytest.fixture(scope="module")
def data(two_tasks) -> Demonstrations:
    """Single frames, under a contract that says that policies read three."""
    demonstrations = copy(two_tasks)
    demonstrations.contract = two_tasks.contract.with_history(HISTORY)
    return demonstrations


def training_of(data: Demonstrations, **more) -> TrainingData:
    return TrainingData(data, TrainConfig.from_dict(CONFIG | more))


def raw(training: TrainingData) -> np.ndarray:
    """What policies read, in the scalars' units: float64 [frames, inputs]."""
    task = torch.repeat_interleave(training.task, training.length)
    return (training.observation * training.normalisation.std[task] + training.normalisation.mean[task]).numpy()


def test_a_step_is_learned_from_what_a_controller_reads_at_it(data):
    training, rows = training_of(data), []
    for episode in (episode for task in data.tasks for episode in data.episodes[task]):
        frames = Frames(data.contract)
        for step, frame in enumerate(episode.observation):
            frames.push(frame, 12_500_000 * step)
            rows.append(frames.vector(0).copy())
    assert training.indices.tolist() == list(range(HISTORY * SCALARS))
    np.testing.assert_allclose(raw(training), rows, atol=1e-6)
    # The encoder sees the same; what a policy is generated for is the first frame alone.
    assert training.tokens.shape[1] % (HISTORY * SCALARS + 4 + 1) == 0
    assert training.first_observation.shape[1] == SCALARS
    one = TrainingData(replace_contract(data, 1), TrainConfig.from_dict(CONFIG))
    assert torch.equal(one.first_observation, training.first_observation)
    assert torch.equal(one.action, training.action)


def replace_contract(data: Demonstrations, history: int) -> Demonstrations:
    other = copy(data)
    other.contract = data.contract.with_history(history)
    return other


def test_a_scalar_is_hidden_in_all_its_frames_or_in_one(data):
    def read(*hide: str) -> list[str]:
        return [data.contract.vector_names[place] for place in training_of(data, hide=list(hide)).indices]

    everything = list(data.contract.vector_names)
    assert read() == everything
    assert read("goal_x", "goal_y") == [name for name in everything if name[:6] not in ("goal_x", "goal_y")]
    assert read("goal_x@-1") == [name for name in everything if name != "goal_x@-1"]
    for name in ("goal_x@-3", "goal_x@0", "goal"):
        with pytest.raises(DatasetError, match=f"hide: found '{name}', expected one of hand_x, .*, hand_x@-2, "):
            read(name)
    with pytest.raises(DatasetError, match="hide: found 'goal_x@-1'"):
        TrainingData(replace_contract(data, 1), TrainConfig.from_dict(CONFIG | {"hide": ["goal_x@-1"]}))


@pytest.mark.parametrize("late", [1, 3])
def test_what_is_late_is_stacked_as_a_controller_stacks_what_comes_late(data, late, monkeypatch):
    """Each frame with the age that it was answered with, also in the first steps, when there is no older frame yet."""
    sensing = {"delayed_share": 1.0, "delay_steps": 4, "observation_age": True}
    training = training_of(data, sensing=sensing)
    contract = training.contract
    assert contract.age_place == SCALARS and contract.history == HISTORY
    assert [training.indices.tolist().index(place) for place in contract.age_places] == training._ages
    monkeypatch.setattr(torch, "randint", lambda low, high, size, generator: torch.full(size, late))
    episodes = [episode.observation for task in data.tasks for episode in data.episodes[task]]
    for number, episode in enumerate(episodes):
        steps = torch.arange(training.start[number], training.start[number] + training.length[number])[None]
        task = training.task[number].expand(1, 1)
        found = training.sense(steps, task, torch.Generator())[0]
        found = found * training.normalisation.std[task[0]] + training.normalisation.mean[task[0]]
        frames, expected = Frames(contract), []
        for step in range(len(episode)):
            shown = max(0, step - late)
            frames.push(np.append(episode[shown], 0.0), 12_500_000 * shown)
            expected.append(frames.vector(12_500_000 * step).copy())
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
        assert set(np.round(found[:, training._ages[-1]].numpy() / 0.0125).tolist()) == {*range(late + 1)}


def test_an_age_that_was_recorded_is_that_of_its_frame(data):
    aged = data.with_age(0.08)
    for episodes in aged.episodes.values():
        for episode in episodes:
            episode.observation[:, -1] = 0.001 * (np.arange(len(episode.observation)) % 5)
    training = training_of(aged, sensing={"delayed_share": 1.0, "delay_steps": 2, "observation_age": True})
    first = aged.episodes[data.tasks[0]][0].observation
    recorded = stacked(training.contract, first)[:, list(training.contract.age_places)]
    np.testing.assert_allclose(raw(training)[: len(first)][:, training._ages], recorded, atol=1e-6)
    # Who is not told reads it in no frame.
    names = [aged.contract.vector_names[place] for place in training_of(aged).indices]
    assert len(names) == HISTORY * SCALARS and not any(name.startswith(AGE) for name in names)


def test_noise_and_translation_reach_every_frame(data):
    training = training_of(data, sensing={"noise_m": 0.003})
    training.observation = torch.zeros_like(training.observation)
    task = torch.arange(20) % len(training.tasks)
    observation, _ = training.sample_of(task[:, None].expand(-1, 2000), torch.Generator().manual_seed(0))
    noise = (observation * training.normalisation.std[task][:, None]).flatten(0, 1)
    metres = torch.tensor([scalar.unit == "m" for scalar in data.contract.observation] * HISTORY)
    torch.testing.assert_close(noise.std(0), torch.where(metres, 0.003, 0.0), rtol=0.03, atol=0)

    moved = training_of(data, translation={"range_m": 0.05, "axes": ["x", "y"]})
    moved.observation = torch.zeros_like(moved.observation)
    observation, _ = moved.sample_of(task[:, None].expand(-1, 50), torch.Generator().manual_seed(0))
    shift = (observation * moved.normalisation.std[task][:, None]).unflatten(-1, (HISTORY, SCALARS))
    assert shift.abs().max() > 0.04
    for back in range(HISTORY):
        torch.testing.assert_close(shift[..., back, :], shift[..., -1, :])
    one = training_of(replace_contract(data, 1), translation={"range_m": 0.05, "axes": ["x", "y"]})
    assert torch.equal(one._first_shift, moved._first_shift)


def test_training_with_one_frame_reads_what_it_always_read(two_tasks):
    plain = training_of(two_tasks)
    assert replace(two_tasks.contract, history=1) == two_tasks.contract
    whole = np.concatenate([e.observation for task in two_tasks.tasks for e in two_tasks.episodes[task]])
    np.testing.assert_allclose(raw(plain), whole, atol=1e-6)

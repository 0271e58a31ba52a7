"""Pins training without a config, what it holds out, and its validation: on an arm that anyone can compute."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations, Episode, write_dataset
from lwd_ros.errors import LwdError
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.data import TrainingData, held_out
from lwd_ros.learning.networks import initial_policy, policy_forward
from lwd_ros.learning.run_folder import read_run
from lwd_ros.learning.summary import DataSummary
from lwd_ros.learning.train import policy_layout, train
from lwd_ros.learning.unconfigured import chosen

STEPS = {"autoencoder.steps": 2, "diffusion.steps": 2}
ANGLE = {"unit": "rad", "limits": [-3.0, 3.0]}
CONTRACT = Contract.from_dict(
    {
        "name": "elbow",
        "period_s": 0.1,
        "history": 1,
        "observation": {"elbow": ANGLE, "goal": ANGLE, "bolt": {"unit": "m", "limits": [-1, 1]}},
        "command": {"elbow_target": {**ANGLE, "slew_per_s": 5.0, "rest": "elbow"}},
    }
)


def _episode(seed: int, steps: int = 30, sign: float = 1.0, moving: bool = True) -> Episode:
    """An elbow on its way to a goal, or to its mirror: a target a fifth of the way ahead, at most 0.1 rad."""
    random = np.random.default_rng(seed)
    elbow, goal, rows, targets = random.uniform(-0.5, 0.5), random.uniform(-1, 1), [], []
    for _ in range(steps):
        target = elbow + np.clip(0.3 * (sign * goal - elbow), -0.1, 0.1) if moving else 0.25
        rows.append([elbow, goal, 0.4])
        targets.append([target])
        elbow += 0.7 * (target - elbow)
    return Episode(np.array(rows), np.array(targets), layout=seed)


def _dataset(folder, counts=(12, 11), **kinds) -> Demonstrations:
    signs = (1.0, -1.0)
    tasks = {
        f"task {number}": [_episode(100 * number + n, sign=signs[number % 2], **kinds) for n in range(count)]
        for number, count in enumerate(counts)
    }
    write_dataset(folder, CONTRACT, tasks, {})
    return Demonstrations(folder)


def _lwd(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _dataset(tmp_path_factory.mktemp("data") / "elbow")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run folder, and what training printed."""
    folder = tmp_path_factory.mktemp("runs") / "elbow"
    result = _lwd("train", "--data", data.folder, "--out", folder, "--minutes", 0.1)
    assert result.exit_code == 0, result.output
    return folder, result


def test_the_choice_is_told_and_lies_in_the_run_folder(run, data):
    folder, result = run
    told = result.stderr
    assert "Found 2 tasks, 10 to 11 demonstrations each to learn from" in told
    assert "1000 steps of stage 1 and 500 of stage 2" in told and "never change here: bolt" in told
    assert "stage 2 of 2 (their distribution), step 500 of 500: 100 % of all" in told
    assert f"next: lwd export --run {folder} --out elbow.onnx" in result.stdout
    config = TrainConfig.load(folder / "config.yaml")
    assert config.to_dict() == TrainConfig.from_dict(read_run(folder)["config"]).to_dict()
    assert config.autoencoder.steps == 1000 and config.held_out == 0.1 and config.hide == ("bolt",)


def test_a_run_goes_on_without_a_new_choice_and_refuses_another(run, data):
    folder, _ = run
    again = _lwd("train", "--data", data.folder, "--out", folder)
    assert again.exit_code == 0 and "goes on with the config" in again.stderr
    assert _lwd("train", "--data", data.folder, "--out", folder, "--minutes", 9).exit_code == 2
    other = _lwd("train", "--data", data.folder, "--out", folder, "--seed", 5)
    assert isinstance(other.exception, LwdError) and "another config" in str(other.exception)


def test_one_demonstration_in_ten_is_held_out_and_said_in_the_run(run, data):
    kept = DataSummary.load(run[0])
    assert {task: len(places) for task, places in kept.held_out.items()} == {"task 0": 1, "task 1": 1}
    config = TrainConfig.load(run[0] / "config.yaml")
    training = TrainingData(data, config)
    assert training.held_out == kept.held_out and len(training.task) == 21
    for task, (place,) in kept.held_out.items():
        unseen = training.tokens_of([data.episodes[task][place]])
        assert not (training.tokens == unseen).all(dim=1).any()


SHARES = [(0.1, 9, 0), (0.1, 10, 1), (0.1, 19, 1), (0.1, 20, 2), (1.0, 3, 2), (0.5, 1, 0)]


@pytest.mark.parametrize(("share", "total", "count"), SHARES)
def test_how_many_are_held_out(tmp_path, share, total, count):
    data = _dataset(tmp_path / "data", (total,), steps=2)
    config = TrainConfig(name="a", held_out=share)
    assert len(held_out(data, config).get("task 0", ())) == count
    assert held_out(data, config) == held_out(data, config)


def test_held_out_demonstrations_are_validated_against_baselines(run, tmp_path):
    folder, _ = run
    picture, numbers = tmp_path / "a" / "v.png", tmp_path / "b" / "v.json"
    result = _lwd("validate", "--run", folder, "--plot", picture, "--json", numbers)
    assert result.exit_code == 0, result.output
    assert "one step at a time" in result.stdout and "stop_outside_training_range" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(numbers.read_text())
    for entry in found["tasks"].values():
        errors = entry["commands"]["elbow_target"]
        assert errors["unit"] == "rad" and len(entry["demonstrations"]) == 1
        assert errors["sampled"]["motion"]["mean"] < 0.5 * errors["rest"]["motion"]["mean"]
        assert errors["decoded"]["motion"]["mean"] < 0.5 * errors["mean"]["motion"]["mean"]
        assert errors["rest"]["motion"]["max"] == pytest.approx(0.1, rel=1e-6)


def test_another_dataset_is_validated_whole_and_its_unknown_tasks_are_named(run, tmp_path):
    _dataset(tmp_path / "other", (2, 1, 1))
    result = _lwd("validate", "--run", run[0], "--data", tmp_path / "other")
    assert "task 0: 2 demonstrations" in result.stdout and "does not know, so not looked at: task 2" in result.stdout


def test_observations_far_outside_are_flagged(run, tmp_path):
    far = [Episode(e.observation + np.array([2.0, 0.0, 0.0]), e.action, 0) for e in (_episode(7), _episode(8))]
    write_dataset(tmp_path / "far", CONTRACT, {"task 0": far}, {})
    result = _lwd("validate", "--run", run[0], "--data", tmp_path / "far")
    assert "would have stopped 2 of 2 demonstrations, for elbow (in 2)" in result.stdout


def test_what_cannot_be_validated_ends_in_one_sentence(data, run, tmp_path):
    config = TrainConfig.load(run[0] / "config.yaml").changed(
        {"held_out": 0.0, "autoencoder.steps": 2, "diffusion.steps": 2}
    )
    train(config, data, tmp_path / "whole")
    other = Contract.from_dict(CONTRACT.meaning() | {"name": "another"})
    write_dataset(tmp_path / "other", other, {"task 0": [_episode(1)]}, {})
    for arguments, sentence in (
        (["--run", tmp_path / "whole"], "expected some held out"),
        (["--run", run[0], "--data", tmp_path / "other"], "follows contract"),
        (["--run", run[0], "--data", tmp_path / "nowhere"], "missing; expected a dataset"),
        (["--run", tmp_path], "lwd train"),
    ):
        error = _lwd("validate", *arguments).exception
        assert isinstance(error, LwdError) and sentence in str(error) and "\n" not in str(error)


def test_a_policy_begins_at_the_measured_position(data):
    import torch

    config = chosen(data, minutes=0.1).config
    training = TrainingData(data, config)
    layout = policy_layout(config, training)
    (row,) = training.passes
    frames = training.observation[:200]
    out = policy_forward(layout, initial_policy(layout, training.passes)[None], frames[None])[0]
    command = out * training.action_scale + training.action_offset
    scale = training.normalisation
    elbow = frames[:, row.input] * scale.std[0, row.input] + scale.mean[0, row.input]
    torch.testing.assert_close(scale.std[0, row.input], scale.std[1, row.input])
    assert np.corrcoef(command[:, 0], elbow)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("counts", "kinds"),
    [
        ((1,), {}),
        ((1, 12), {}),
        ((3, 2), {"steps": 2}),
        ((4,), {"steps": 5}),
        ((2,), {"steps": 15}),
        ((2,), {"moving": False}),
        ((2,) * 100, {"steps": 6}),
    ],
)
def test_odd_datasets_are_trained_on(tmp_path, counts, kinds):
    data = _dataset(tmp_path / "data", counts, **kinds)
    choice = chosen(data)
    run = train(choice.config.changed(STEPS), data, tmp_path / "run")
    assert run.autoencoder.layout.parameters <= 1000
    assert all(bool(np.isfinite(value.numpy()).all()) for value in run.autoencoder.state_dict().values())
    assert len(run.data.task) == sum(counts) - sum(map(len, run.data.held_out.values()))

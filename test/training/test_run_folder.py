"""Pins run folders that stand alone: finished ones need no dataset; other versions and broken ones are refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.learning import trainer
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.codec import decode, encode, run_digest, sample
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.export import export
from lwd_ros.learning.run_folder import RUN_FORMAT, describe_run
from lwd_ros.learning.summary import DataSummary
from lwd_ros.learning.train import load, train

TASKS = ("reach-v3", "button-press-topdown-v3")
CONFIG = {
    "name": "tiny",
    "hidden_layers": [6],
    "hide": ["goal_x", "goal_y", "goal_z"],
    "condition_on_observation": True,
    "sensing": {"noise_m": 0.003, "delayed_share": 0.5, "delay_steps": 8, "observation_age": True},
    "translation": {"range_m": 0.05},
    "autoencoder": {"steps": 20, "demonstrations": 6, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
    "diffusion": {"steps": 20, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4},
}
NORMALISATIONS = ("task", "generated")


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, TASKS, contract, CollectSettings(episodes=3), workers=1)
    return folder


@pytest.fixture(scope="module")
def held_out(tmp_path_factory, contract):
    """Demonstrations of a task that no run here has seen."""
    folder = tmp_path_factory.mktemp("held_out")
    collect(folder, ("drawer-open-v3",), contract, CollectSettings(episodes=2), workers=1)
    return Demonstrations(folder, contract).episodes["drawer-open-v3"][:2]


@pytest.fixture(scope="module", params=NORMALISATIONS)
def moved(request, demonstrations, tmp_path_factory, contract):
    """A run whose dataset was deleted and whose folder was moved, and what it gave before."""
    place = tmp_path_factory.mktemp(request.param)
    shutil.copytree(demonstrations, place / "data")
    data = Demonstrations(place / "data", contract)
    run = train(TrainConfig.from_dict(CONFIG | {"normalisation": request.param}), data, place / "run")
    export(run, place / "before.onnx")
    episodes = [episode for task in TASKS for episode in data.with_age(0.1).episodes[task]]
    shutil.rmtree(place / "data")
    shutil.move(place / "run", place / "elsewhere")
    return place, run, episodes


def test_a_moved_run_gives_the_same_model_file_without_its_dataset(moved):
    place, _, _ = moved
    command = [sys.executable, "-m", "lwd_ros.cli", "export", "--run", place / "elsewhere", "--out", place / "m.onnx"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    assert (place / "m.onnx").read_bytes() == (place / "before.onnx").read_bytes()


def test_a_moved_run_encodes_samples_and_decodes_as_before(moved):
    place, before, episodes = moved
    before_files = sorted(path.name for path in (place / "elsewhere").rglob("*"))
    run = load(place / "elsewhere")
    assert sorted(path.name for path in (place / "elsewhere").rglob("*")) == before_files  # it trained nothing
    assert type(run.data) is DataSummary and type(before.data) is TrainingData
    assert run_digest(run) == run_digest(before)
    assert run.data.tokens.equal(before.data.tokens) and run.data.tokens_of(episodes).equal(run.data.tokens)
    assert encode(run, episodes).tobytes() == encode(before, episodes).tobytes()
    first = np.stack([episode.observation[0] for episode in episodes[:2]])
    for seen in (run, before):
        latents = sample(seen, TASKS[0], [1, 2], first)
        policies = [policy.policy_id for policy in decode(seen, latents, TASKS[0])]
        if seen is run:
            expected = latents, policies
    assert latents.tobytes() == expected[0].tobytes() and policies == expected[1]


def test_a_run_tells_what_it_is(moved):
    place, run, _ = moved
    result = CliRunner().invoke(cli, ["describe", "--run", str(place / "elsewhere")])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["format"] == RUN_FORMAT and told["finished"] and told["method"] == "latent weight diffusion"
    assert told["stages"] == {name: {"done": 20, "steps": 20} for name in ("autoencoder", "diffusion")}
    assert (told["tasks"], told["demonstrations"]) == (list(TASKS), 6)
    assert told["data_digest"] == run.data.digest and told["config"] == json.loads(json.dumps(run.config.to_dict()))
    assert told["contract_digest"] == run.data.contract.digest


def test_policies_of_a_task_without_a_number(moved, held_out, contract):
    """Where normalisation is generated, a demonstration is all that a policy needs."""
    _, run, _ = moved
    data = held_out[0].observation, held_out[1].observation
    aged = [replace_observation(episode) for episode in held_out]
    latents = encode(run, aged)
    if run.autoencoder.normalisation is None:
        for name in ("", "drawer-open-v3"):
            with pytest.raises(ValueError, match=f"task '{name}' is unknown to the run 'tiny'; it knows reach-v3"):
                decode(run, latents, name)
        return
    policies = decode(run, latents)
    assert [policy.task for policy in policies] == ["", ""]
    for policy, observation in zip(policies, data, strict=True):
        policy.require_contract(run.data.contract)
        assert (policy.observation_std >= run.config.smallest_std * 0.999).all()
        assert (policy.observation_minimum <= policy.observation_mean).all()
        assert (policy.observation_mean <= policy.observation_maximum).all()
        command = policy.forward(np.append(observation[0], 0.0), np.empty(4))
        assert np.isfinite(command).all()
    assert policies[0].policy_id != policies[1].policy_id
    assert [policy.task for policy in decode(run, latents, "drawer-open-v3")] == ["drawer-open-v3"] * 2


def replace_observation(episode):
    """An episode whose observations have an age of 0, as the runs' contract asks for."""
    from dataclasses import replace

    return replace(episode, observation=np.hstack([episode.observation, np.zeros((len(episode.observation), 1))]))


def test_a_run_of_several_frames_stands_alone_too(demonstrations, tmp_path, contract):
    data = Demonstrations(demonstrations, contract)
    data.contract = contract.with_history(3)
    config = TrainConfig.from_dict({key: value for key, value in CONFIG.items() if key not in ("sensing", "hide")})
    before, after = train(config, data, tmp_path / "run"), load(tmp_path / "run")
    assert after.data.contract.history == 3 and len(after.data.indices) == 3 * 21
    episodes = [episode for task in TASKS for episode in data.episodes[task]]
    assert encode(after, episodes).tobytes() == encode(before, episodes).tobytes()
    for run, name in ((before, "before"), (after, "after")):
        export(run, tmp_path / name)
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


# Runs that cannot stand alone


class Stopped(Exception):
    """Stands for a user's Ctrl-C."""


@pytest.fixture
def stopped(demonstrations, tmp_path, contract, monkeypatch):
    """An unfinished run: its folder, and its dataset's."""
    shutil.copytree(demonstrations, tmp_path / "data")
    whole, calls = Autoencoder.loss, []

    def loss(self, *arguments):
        calls.append(None)
        if len(calls) > 12:
            raise Stopped
        return whole(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "CHECKPOINT_EVERY", 5)
        patch.setattr(Autoencoder, "loss", loss)
        with pytest.raises(Stopped):
            train(TrainConfig.from_dict(CONFIG), Demonstrations(tmp_path / "data", contract), tmp_path / "run")
    return tmp_path / "run", tmp_path / "data"


def test_an_unfinished_run_tells_how_far_it_came_and_needs_its_dataset(stopped, tmp_path):
    folder, data = stopped
    told = describe_run(folder)
    assert not told["finished"] and told["tasks"] == list(TASKS)
    assert told["stages"] == {"autoencoder": {"done": 10, "steps": 20}, "diffusion": {"done": 0, "steps": 20}}
    shutil.move(data, tmp_path / "moved")
    with pytest.raises(DatasetError, match="expected a dataset"):
        load(folder)
    arguments = ["export", "--run", folder, "--out", tmp_path / "m.onnx", "--data", tmp_path / "moved"]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert describe_run(folder)["finished"]
    shutil.rmtree(tmp_path / "moved")
    export(load(folder), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def _edited(folder, key, value):
    content = json.loads((folder / "run.json").read_text())
    content[key] = value
    if value is None:
        del content[key]
    (folder / "run.json").write_text(json.dumps(content))


def test_a_run_of_a_stage_without_steps_is_opened(demonstrations, tmp_path, contract):
    """A stage of no steps leaves no checkpoint; its networks are those that training would have begun with."""
    config = TrainConfig.from_dict(CONFIG | {"autoencoder": CONFIG["autoencoder"] | {"steps": 0}})
    run = train(config, Demonstrations(demonstrations, contract), tmp_path / "run")
    assert run_digest(load(tmp_path / "run")) == run_digest(run)


@pytest.mark.parametrize("number", [None, 1, RUN_FORMAT + 1, "two"])
def test_a_run_of_another_version_is_one_sentence(moved, tmp_path, number):
    shutil.copytree(moved[0] / "elsewhere", tmp_path / "run")
    _edited(tmp_path / "run", "format", number)
    expected = (
        rf"run.json: found a run of format {1 if number is None else number!r}, expected {RUN_FORMAT}: it was made by"
    )
    for reading in (load, describe_run):
        with pytest.raises(ConfigError, match=expected):
            reading(tmp_path / "run")
    result = CliRunner().invoke(cli, ["describe", "--run", str(tmp_path / "run")])
    assert isinstance(result.exception, ConfigError)


def test_a_run_of_a_baseline_is_described_and_not_exported(moved, tmp_path):
    shutil.copytree(moved[0] / "elsewhere", tmp_path / "run")
    _edited(tmp_path / "run", "method", "task_mlp")
    assert describe_run(tmp_path / "run")["stages"] == {"task_mlp": {"done": 0, "steps": 20}}
    with pytest.raises(ConfigError, match="found a run of the method 'task_mlp', expected one of 'lwd train'"):
        load(tmp_path / "run")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _empty, lambda path: path.unlink()])
def test_a_broken_summary_is_one_sentence(moved, tmp_path, damage):
    shutil.copytree(moved[0] / "elsewhere", tmp_path / "run")
    damage(tmp_path / "run" / "data.safetensors")
    with pytest.raises(ConfigError, match=r"data.safetensors: (is not a whole summary|cannot be read)") as caught:
        load(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_summary_of_another_dataset_is_refused(moved, tmp_path):
    shutil.copytree(moved[0] / "elsewhere", tmp_path / "run")
    summary = DataSummary.load(tmp_path / "run")
    summary.digest = "0" * 64
    summary.save(tmp_path / "run")
    with pytest.raises(ConfigError, match="found a summary of the dataset 0000"):
        load(tmp_path / "run")


def test_describe_takes_a_model_or_a_run():
    for arguments in ([], ["--model", "m.onnx", "--run", "run"]):
        result = CliRunner().invoke(cli, ["describe", *arguments])
        assert result.exit_code == 2 and "expected either --model or --run" in result.output


@pytest.mark.parametrize("value", ["latent", "", 3])
def test_the_normalisation_is_looked_up_or_generated(value):
    with pytest.raises(ConfigError, match="key 'normalisation'"):
        TrainConfig.from_dict(CONFIG | {"normalisation": value})


def test_the_usual_normalisation_is_not_written(demonstrations):
    usual = TrainConfig.from_dict(CONFIG)
    assert usual.normalisation == "task" and "normalisation" not in usual.to_dict()
    other = usual.changed({"normalisation": "generated"})
    assert (
        other.to_dict()["normalisation"] == "generated"
        and TrainConfig.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    )

"""Pins the studies of a run: distances between paths, actions and weights by hand, complete and repeatable JSON."""

import json
import math
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lwd_benchmarks.studies import latents, paths, reconstruction
from lwd_benchmarks.studies.runs import representative

from lwd_ros.cli import cli
from lwd_ros.contract import ContractError
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.environments.collect import CollectSettings, collect, demonstrate
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.evaluate import write_json
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.learning.codec import decode, encode, sample
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.export import export
from lwd_ros.learning.train import train

TASKS = ("reach-v3", "door-open-v3")
FIRST = 150_000  # layouts for choosing hyper-parameters
CONFIG = {
    "name": "tiny",
    "hidden_layers": [6],
    "hide": ["goal_x", "goal_y", "goal_z"],
    "condition_on_observation": True,
    "autoencoder": {"steps": 30, "demonstrations": 6, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
    "diffusion": {"steps": 30, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4},
}


def _numbers(value):
    """All numbers in JSON, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, (int, float)):
        yield value


# Paths

_PATHS = st.lists(st.tuples(*[st.floats(-1, 1, width=32)] * 3), min_size=1, max_size=12).map(np.array)


def test_a_path_is_resampled_by_arc_length():
    path = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 3, 0]], dtype=float)  # stands still in between
    expected = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 2, 0], [1, 3, 0]]
    assert paths.resample(path, 5) == pytest.approx(np.array(expected))
    assert paths.length(path) == pytest.approx(4.0)
    assert paths.millimetres(path, 2) == [[0, 0, 0], [1000, 3000, 0]]


@given(_PATHS)
def test_resampling_keeps_the_ends_ignores_speed_and_never_lengthens(path):
    found = paths.resample(path)
    assert found[[0, -1]] == pytest.approx(path[[0, -1]])
    assert paths.length(found) <= paths.length(path) + 1e-9
    assert paths.resample(np.repeat(path, 3, axis=0)) == pytest.approx(found)


def test_distances_between_paths():
    straight = np.zeros((1, 2, 3))
    others = np.array([[[0, 0, 0], [0, 3, 4]], [[1, 0, 0], [0, 1, 0]]], dtype=float)
    assert paths.mean_distances(straight, others) == pytest.approx(np.array([[2.5, 1.0]]))
    assert paths.rms_distances(straight, others) == pytest.approx(np.array([[math.sqrt(12.5), 1.0]]))


def test_energy_distance_by_hand():
    # X = {0, 2}, Y = {5, 7}: 2 * (5 + 7 + 3 + 5) / 4 - 2 - 2
    within = np.array([[0, 2], [2, 0]])
    assert paths.energy_distance(np.array([[5, 7], [3, 5]]), within, within) == pytest.approx(6.0)


@given(st.lists(_PATHS, min_size=4, max_size=6), st.floats(0.5, 2.0))
def test_energy_distance_is_below_the_noise_for_equal_sets_and_above_for_shifted_ones(found, shift):
    experts = np.stack([paths.resample(path, 5) for path in found])
    same, floor = paths.split_energy_distances(experts, experts, 10, seed=0)
    assert same <= floor + 1e-9
    far, again = paths.split_energy_distances(experts, experts + 10 * shift, 10, seed=0)
    assert again == floor < far


def test_paths_on_the_same_layouts_are_compared_in_millimetres():
    expert = [np.array([[0, 0, 0], [0, 0, 0.1 * k]]) for k in range(1, 5)]
    result = reconstruction.compare_paths(expert, [path + np.array([0.01, 0, 0]) for path in expert])
    assert result["same_layout_mm"] == pytest.approx({"mean": 10.0, "median": 10.0, "largest": 10.0})
    # Ends are 100 mm apart for neighbours, points on the way half as much: pairs of 1, 1, 1, 2, 2, 3 neighbours.
    assert result["other_layout_mm"] == pytest.approx(50.0 * 10 / 6)
    assert result["length_mm"] == pytest.approx({"expert": 250.0, "decoded": 250.0, "ratio": 1.0})
    energy = result["energy_distance_mm"]
    assert energy["expert_to_decoded"] < energy["noise_floor"], "10 mm drown in 50 mm between layouts"


def test_a_contract_without_the_hand_has_no_paths(contract):
    class Blind:
        observation_names = ("hand_x", "hand_y")

    with pytest.raises(ContractError, match="hand_z"):
        paths.hand_path(Blind(), np.zeros((2, 2)))
    observations = np.random.default_rng(0).normal(size=(4, len(contract.observation)))
    places = [contract.observation_names.index(name) for name in ("hand_x", "hand_y", "hand_z")]
    assert (paths.hand_path(contract, observations) == observations[:, places]).all()


# Actions, weights, latents


@pytest.fixture
def constant(make_policy, contract):
    """A function that builds a policy whose command is always a share of half its range; `weight` fills its weights."""
    half = (contract.command_limits[1] - contract.command_limits[0]) / 2

    def make(share: float):
        layout_size = make_policy().layout.parameters
        return make_policy(weights=np.zeros(layout_size), action_offset=share * half, action_scale=np.ones(len(half)))

    return make


def test_action_errors_by_hand(contract, constant):
    half = (contract.command_limits[1] - contract.command_limits[0]) / 2
    observation = np.zeros((3, len(contract.observation)))
    demonstrations = [Episode(observation, np.tile(share * half, (3, 1)), layout=1) for share in (0.0, 0.5)]
    result = reconstruction._action_errors(contract, demonstrations, [constant(0.1), constant(0.5)])
    # Own: 0.1 and 0. With the other's policy: 0.5 and 0.4.
    assert result["decoded"]["mean_absolute"] == pytest.approx(0.05, rel=1e-5)
    assert result["decoded"]["rmse"] == pytest.approx(math.sqrt(0.01 / 2), rel=1e-5)
    assert result["other"]["mean_absolute"] == pytest.approx(0.45, rel=1e-5)
    assert result["other"]["rmse"] == pytest.approx(math.sqrt((0.25 + 0.16) / 2), rel=1e-5)
    assert result["other"]["rmse_per_command"] == pytest.approx(
        dict.fromkeys(contract.command_names, result["other"]["rmse"])
    )
    beyond = reconstruction._action_errors(contract, demonstrations, [constant(3.0), constant(0.5)])
    assert beyond["decoded"]["mean_absolute"] == pytest.approx(0.5, rel=1e-5), "commands are limited to 1"


def test_policies_differ_by_their_weights_and_their_actions(make_policy, contract, constant):
    size = make_policy().layout.parameters
    ones = [make_policy(weights=np.eye(size)[k]) for k in range(2)]
    assert latents.weight_distance(ones) == pytest.approx(math.sqrt(2))
    found = latents.action_disagreement(
        [constant(0.1), constant(0.3)], np.zeros((5, len(contract.observation))), contract
    )
    assert found == pytest.approx(np.full(len(contract.command), 0.1), rel=1e-5)


def test_principal_components_of_a_line():
    points = np.outer(np.arange(5.0), [-3.0, 4.0, 0.0])
    mean, directions, shares = latents.principal_components(points)
    assert mean == pytest.approx([-6, 8, 0])
    assert directions[0] == pytest.approx([-0.6, 0.8, 0.0])
    assert shares == pytest.approx([1.0, 0.0])
    flipped = latents.principal_components(points[::-1])
    assert flipped[1][0] == pytest.approx(directions[0])


def test_representative_tasks_come_first_and_are_filled_up():
    mt10 = ("reach-v3", "pick-place-v3", "push-v3", "drawer-open-v3", "peg-insert-side-v3", "window-close-v3")
    assert representative(mt10) == ("pick-place-v3", "drawer-open-v3", "window-close-v3", "peg-insert-side-v3")
    assert representative(("reach-v3", "push-v3", "drawer-open-v3"), 2) == ("drawer-open-v3", "reach-v3")


# Studies of a run


@pytest.fixture(scope="module")
def data(tmp_path_factory, contract):
    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, TASKS, contract, CollectSettings(episodes=3), workers=1)
    return Demonstrations(folder, contract)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return folder, train(TrainConfig.from_dict(CONFIG), data, folder)


def test_codec_encodes_as_training_did_and_samples_as_the_model_file_does(trained, data, tmp_path, contract):
    run = trained[1]
    episodes = [episode for task in data.tasks for episode in data.episodes[task]]
    assert encode(run, episodes) == pytest.approx(run.autoencoder.encode(run.data.tokens).numpy(), abs=1e-6)
    export(run, tmp_path / "model.onnx")
    generator = PolicyGenerator(tmp_path / "model.onnx")
    observations = np.stack([episode.observation[0] for episode in data.episodes["door-open-v3"][:3]])
    policies = decode(run, sample(run, "door-open-v3", [7, 8, 9], observations), "door-open-v3")
    for seed, observation, policy in zip((7, 8, 9), observations, policies, strict=True):
        expected = generator.generate("door-open-v3", seed, observation)
        assert policy.weights == pytest.approx(expected.weights, abs=1e-4)
        found, wanted = (p.forward(observation, np.empty(4)).copy() for p in (policy, expected))
        assert found == pytest.approx(wanted, abs=1e-4)


def test_a_demonstration_outside_the_dataset_is_made_like_those_in_it(contract):
    scene = Scene("reach-v3", contract)
    settings = CollectSettings(noise=(0.2, 0.2), steps_after_success=3)
    first, second, other = (demonstrate(scene, 300_000, seed, settings) for seed in (1, 1, 2))
    assert first.layout == 300_000 and not first.after
    assert first.observation.tobytes() == second.observation.tobytes() != other.observation.tobytes()


def test_reconstruction_is_complete_finite_and_the_same_twice(trained, tmp_path):
    study = partial(reconstruction.study_reconstruction, trained[0], ("reach-v3",), 4, FIRST, 1)
    result = study()
    assert study() == result
    write_json(result, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(result))
    assert result["study"] == "reconstruction" and result["protocol"]["noise"] == [0.0, 0.3]
    assert result["mean"]["expert_success"] == 1.0 == result["tasks"]["reach-v3"]["expert"]["success"]
    row, kept = result["tasks"]["reach-v3"], result["kept_paths"]["reach-v3"]
    assert row["demonstrations"] == 4 and set(result["tasks"]) == {"reach-v3"}
    assert set(row["action_error"]) == {"decoded", "other"}
    assert kept["layouts"] == list(range(FIRST, FIRST + 4))
    assert np.shape(kept["expert"]) == np.shape(kept["decoded"]) == (4, 20, 3)
    assert all(math.isfinite(number) for number in _numbers(result))
    assert result["mean"]["same_layout_mm"] > 10, "a policy of 30 steps of training does not follow the expert"


def test_reconstruction_of_the_expert_itself_is_perfect(contract, monkeypatch):
    """What the figures say where the decoded policy is the original one."""
    settings = CollectSettings(noise=(0.3, 0.3))
    originals, failed = reconstruction._originals(contract, "reach-v3", 4, FIRST, settings)
    assert failed == 0
    monkeypatch.setattr(reconstruction, "PolicyActor", lambda policy, contract: policy)
    monkeypatch.setattr(reconstruction, "run_episode", lambda scene, policy, layout, **_: policy)
    monkeypatch.setattr(reconstruction, "_action_errors", lambda *_: {})
    entry = reconstruction._compare(contract, "reach-v3", originals, [o.expert for o in originals])["entry"]
    assert entry["expert"] == entry["decoded"] and entry["same_outcome"] == 1.0
    assert entry["paths"]["same_layout_mm"]["largest"] == 0.0 and entry["paths"]["length_mm"]["ratio"] == 1.0
    energy = entry["paths"]["energy_distance_mm"]
    assert energy["expert_to_decoded"] < energy["noise_floor"]


def test_studies_refuse_what_they_cannot_study(trained):
    with pytest.raises(ModelError, match="belong to demonstrations"):
        reconstruction.study_reconstruction(trained[0], (), 4, 5, 1)
    with pytest.raises(ModelError, match="task 'push-v3' is unknown to"):
        latents.study_latents(trained[0], ("push-v3",), 4, FIRST, 1)
    with pytest.raises(DatasetError, match=r"run: its dataset's settings: found noise 0.3"):
        reconstruction.collect_settings({"noise": 0.3}, trained[0])


def test_latents_are_complete_finite_and_the_same_twice(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "POLICIES", 3)
    study = partial(latents.study_latents, trained[0], ("reach-v3",), 4, FIRST, 1)
    result = study()
    assert study() == result
    write_json(result, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(result))
    assert len(result["explained_variance"]) == 2
    row, sets = result["tasks"]["reach-v3"], result["diversity"]["reach-v3"]
    assert np.shape(row["encoded"]) == (3, 2) and np.shape(row["sampled"]) == (4, 2)
    assert row["nearest_encoded_is_of_the_task"] == 1.0, "there is no other task to be near to"
    assert sets["one_layout"]["layouts"] == [FIRST] * 3
    assert sets["many_layouts"]["layouts"] == [FIRST, FIRST + 1, FIRST + 2]
    for entry in sets.values():
        assert np.shape(entry["paths"]) == (3, 20, 3)
        assert entry["weight_distance"] > 0 and entry["action_disagreement"] > 0
    one, many = (sets[name]["weight_distance"] for name in ("one_layout", "many_layouts"))
    assert one != pytest.approx(many), "the run is conditioned on layouts"
    assert all(math.isfinite(number) for number in _numbers(result))


def test_study_commands_write_json_and_say_what_they_found(trained, tmp_path):
    common = ["--run", str(trained[0]), "--tasks", "reach-v3", "--episodes", "4", "--workers", "1"]
    path = tmp_path / "new" / "r.json"
    done = CliRunner().invoke(cli, ["study", "reconstruction", *common, "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert "decoded_success" in done.output
    assert json.loads(path.read_text())["protocol"]["first_layout"] == 300_000

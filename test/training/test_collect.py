"""Pins collecting, training and judging in an environment that is no simulator that anybody knows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rail_support import Rail, of_environment, towards

from lwd_ros.cli import cli
from lwd_ros.contract import ContractError
from lwd_ros.dataset import DatasetError, Demonstrations, TaskFile
from lwd_ros.environments import registry
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.layouts import REPORTING_LAYOUTS, TRAINING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.evaluation.chains import evaluate_chain
from lwd_ros.evaluation.evaluate import bootstrap_interval, evaluate
from lwd_ros.evaluation.expert import evaluate_expert

SETTINGS = CollectSettings(episodes=4, steps_after_success=2)
CONFIG = {
    "name": "tiny",
    "hidden_layers": [4],
    "autoencoder": {"steps": 20, "demonstrations": 4, "pairs": 16},
    "diffusion": {"steps": 20, "batch": 4},
}
FIRST = VALIDATION_LAYOUTS.start


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    return Rail(tmp_path_factory.mktemp("rail"))


@pytest.fixture(scope="module")
def contract(rail):
    return rail.spec.contract()


@pytest.fixture(scope="module")
def data(rail, contract, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rail") / "data"
    collect(folder, ("go",), contract, SETTINGS, 1, rail)
    return folder


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.export import export
    from lwd_ros.learning.train import train

    folder = tmp_path_factory.mktemp("rail_run")
    export(train(TrainConfig.from_dict(CONFIG), Demonstrations(data), folder / "run"), folder / "rail.onnx")
    return folder / "rail.onnx"


def test_ranges_of_layouts_share_nothing():
    assert (TRAINING_LAYOUTS.stop, VALIDATION_LAYOUTS.stop) == (VALIDATION_LAYOUTS.start, REPORTING_LAYOUTS.start)
    assert (TRAINING_LAYOUTS.start, VALIDATION_LAYOUTS.start, REPORTING_LAYOUTS.start) == (0, 100_000, 200_000)


def test_labels_are_the_experts_and_end_so_many_frames_after_success(data, rail):
    demonstrations = Demonstrations(data)
    assert demonstrations.meta["settings"]["environment"] == "rail"
    episodes = demonstrations.episodes["go"]
    assert len(episodes) == 4 and not any(episode.after for episode in episodes)
    for episode in episodes:
        np.testing.assert_array_equal(episode.action, [towards(seen) for seen in episode.observation])
        near = np.abs(episode.observation[:, 0] - episode.observation[:, 1]) < 0.05
        assert not near[:-3].any() or near[0]


def test_a_given_expert_makes_the_same_demonstrations_in_other_processes(tmp_path, rail, contract, data):
    own = Demonstrations(data).episodes["go"]
    bare = Rail(rail.folder, has_expert=False)
    for name, given in (("a", "rail_support:towards"), ("b", of_environment)):
        meta = collect(tmp_path / name, ("go",), contract, SETTINGS, 2, bare, given)
        found = Demonstrations(tmp_path / name).episodes["go"]
        assert all(np.array_equal(a.action, b.action) for a, b in zip(own, found, strict=True))
        stated = given if isinstance(given, str) else "rail_support:of_environment"
        assert TaskFile.of(tmp_path / name, "go").settings()["expert"] == meta["settings"]["expert"] == stated
    with pytest.raises(DatasetError, match="'expert' of go: found 'rail_support:towards', asked for None"):
        collect(tmp_path / "a", ("go",), contract, SETTINGS, 1, rail)
    with pytest.raises(SimulationError, match="environment 'rail': found capabilities none, expected 'expert'"):
        collect(tmp_path / "c", ("go",), contract, SETTINGS, 1, bare)


def test_an_expert_that_falls_makes_no_demonstration(tmp_path, rail, contract):
    with pytest.raises(DatasetError, match="task 'fall': the expert failed 15 times of 15"):
        collect(tmp_path, ("fall",), contract, SETTINGS, 1, rail)


def test_where_the_score_is_a_return_demonstrations_last_the_whole_episode(tmp_path, rail, contract):
    scored = Rail(rail.folder, score="return")
    collect(tmp_path / "data", ("go",), contract, SETTINGS, 1, scored)
    assert [len(e.action) for e in Demonstrations(tmp_path / "data").episodes["go"]] == [40] * 4
    with pytest.raises(DatasetError, match="the expert failed"):
        collect(tmp_path / "fall", ("fall",), contract, SETTINGS, 1, scored)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_and_an_expert_are_judged_by_success(model, rail, workers):
    result = evaluate(model, ("go",), 5, FIRST, workers, rail)
    assert result["environment"] == "rail" and result["protocol"]["success"] == "at any step of 40"
    assert result["tasks"]["go"]["episodes"] == 5 and 0 <= result["mean_success"] <= 1
    expert = evaluate_expert(("go",), 5, FIRST, workers, environment=rail)
    assert expert["mean_success"] == 1.0 and set(expert) == set(result)
    given = evaluate_expert(("go",), 5, FIRST, workers, environment=rail, expert=towards)
    assert given["tasks"] == expert["tasks"] and given["method"] == "expert rail_support:towards"


def test_or_by_their_return(model, rail):
    scored = Rail(rail.folder, score="return")
    found = {}
    for name, result in (
        ("model", evaluate(model, ("go",), 6, FIRST, 1, scored)),
        ("expert", evaluate_expert(("go",), 6, FIRST, 1, environment=scored)),
    ):
        row = found[name] = result["tasks"]["go"]
        assert "mean_success" not in result and result["mean_return"] == row["return"]
        assert result["protocol"]["return"] == "sum of the rewards of up to 40 steps"
        assert row["lowest"] <= row["interval"][0] <= row["return"] <= row["interval"][1] <= row["highest"] < 0
    assert found["expert"]["return"] > found["model"]["return"] and found["expert"]["ended"] == 0


def test_the_interval_of_a_mean_is_a_bootstrap():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1) and low < values.mean() < high
    assert bootstrap_interval([4.0]) == (4.0, 4.0)


class Freed(Rail):
    """Counts the carts that are not closed; each can follow any other."""

    open = 0

    def make(self, task: str, contract):
        cart = super().make(task, contract)
        Freed.open += 1
        cart.take_over = lambda other: cart.reset(other.layout)
        cart.sharing = lambda: self.spec.tasks
        cart.close = self._close
        return cart

    def _close(self) -> None:
        Freed.open -= 1


def test_a_chain_frees_its_environments(model, rail):
    result = evaluate_chain(model, ("go",), 3, FIRST, 1, environment=Freed(rail.folder))
    assert result["links"][0]["episodes"] == 3 and Freed.open == 0
    with pytest.raises(SimulationError, match="'go' cannot follow 'go' in one scene"):
        evaluate_chain(model, ("go", "go"), 3, FIRST, 1, environment=Freed(rail.folder))
    assert Freed.open == 0


def test_what_does_not_fit_is_said(model, rail, contract):
    with pytest.raises(SimulationError, match="task 'go' is unknown; environment 'metaworld' has"):
        evaluate(model, ("go",), 1, FIRST, 1, "metaworld")
    with pytest.raises(SimulationError, match="environment 'rail': found capabilities expert, expected 'take over'"):
        evaluate_chain(model, ("go", "go"), 1, FIRST, 1, environment=rail)
    with pytest.raises(SimulationError, match="found score 'return', expected 'success' for a chain"):
        evaluate_chain(model, ("go",), 1, FIRST, 1, environment=Rail(rail.folder, score="return"))
    with pytest.raises(ContractError, match=r"key 'period_s': found 0\.05, expected 0\.1, that of environment 'rail'"):
        evaluate_expert(("go",), 1, FIRST, 1, replace(contract, period_s=0.05), rail)


# The command line


@pytest.fixture
def registered(monkeypatch, rail):
    """The rail beside the environments that are registered."""
    sources = registry._sources()
    monkeypatch.setattr(registry, "_sources", lambda: {**sources, "rail": lambda: rail})


def lwd(*arguments, status=0):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if status:  # what `main` says in one sentence
        assert done.exit_code != 0
        return str(done.exception) if isinstance(done.exception, SimulationError) else done.output
    assert done.exit_code == 0, done.output
    return done.output


def test_environments_are_listed_with_their_sets_and_capabilities(registered):
    listed = lwd("environments")
    assert "rail: 10 Hz, 40 steps an episode\n  score         success\n  capabilities  expert\n" in listed
    assert "rail/all                          go, fall\n" in listed
    assert "metaworld/mt10                    reach-v3, push-v3, pick-place-v3, and 7 more" in listed


@pytest.mark.parametrize(
    ("tasks", "environment"), [("rail/go", []), ("go", []), ("go", ["--environment", "rail"])], ids=str
)
def test_collecting_by_any_spelling(registered, tmp_path, data, tasks, environment):
    lwd("collect", "--tasks", tasks, *environment, "--episodes", 4, "--out", tmp_path, "--workers", 1)
    assert Demonstrations(tmp_path).tasks == ("go",)


def test_judging_by_default_on_validation_layouts(registered, tmp_path, model):
    for options, first in (([], 100_000), (["--reporting"], 200_000), (["--first-layout", 150_000], 150_000)):
        path = tmp_path / f"{first}.json"
        lwd("evaluate", "--model", model, "--episodes", 2, "--workers", 1, *options, "--json", path)
        assert json.loads(path.read_text())["protocol"]["first_layout"] == first
    said = lwd("evaluate", "--expert", "--tasks", "rail/go", "--episodes", 2, "--workers", 1)
    assert "2/2" in said and "mean 1.0000; scripted expert" in said
    said = lwd("evaluate", "--expert", "rail_support:towards", "--tasks", "rail/go", "--episodes", 2, "--workers", 1)
    assert "mean 1.0000; expert rail_support:towards" in said


def test_returns_are_printed(monkeypatch, rail, model):
    scored = Rail(rail.folder, score="return")
    monkeypatch.setattr(registry, "_sources", lambda: {"rail": lambda: scored})
    said = lwd("evaluate", "--model", model, "--episodes", 2, "--workers", 1)
    assert "   2 returns -" in said and "mean -" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["collect", "--out", "x"], "--tasks: found nothing, expected ENV/SET or ENV/all of what 'lwd environments'"),
        (
            ["collect", "--out", "x", "--tasks", "moon/all"],
            "environment 'moon': found no such, expected avoiding, cheetah, metaworld, quadruped",
        ),
        (
            ["collect", "--out", "x", "--environment", "moon"],
            "environment 'moon': found no such, expected avoiding, cheetah, metaworld, quadruped",
        ),
        (["collect", "--out", "x", "--tasks", "rail/jump"], "task 'jump' is unknown; environment 'rail' has fall, go"),
        (["collect", "--out", "x", "--tasks", "rail/go", "--expert", "x"], "expert 'x': found no MODULE:FUNCTION"),
        (
            ["collect", "--out", "x", "--tasks", "rail/go", "--expert", "a:b", "--anywhere", "1"],
            "--anywhere: found with --expert",
        ),
        (
            ["evaluate", "--expert", "--tasks", "go", "--reporting", "--first-layout", "100000"],
            "--reporting: found --first-layout beside it",
        ),
        (
            ["environments", "--environment", "moon"],
            "environment 'moon': found no such, expected avoiding, cheetah, metaworld, quadruped",
        ),
    ],
)
def test_bad_input_is_said_in_one_sentence(registered, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in lwd(*arguments, status=2)
    assert not list(tmp_path.iterdir())

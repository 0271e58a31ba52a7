"""Pins the studies that compare methods: what they count, what they keep, and that each runs from the command line."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.dataset import Demonstrations
from lwd_ros.evaluation import comparison, trials
from lwd_ros.evaluation.comparison import Case, Protocol, compare
from lwd_ros.evaluation.diffusion_policy.config import DiffusionPolicyConfig
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.evaluation.diffusion_policy.training import train_diffusion_policy
from lwd_ros.evaluation.disturbance import Disturbance
from lwd_ros.evaluation.evaluate import evaluate
from lwd_ros.evaluation.horizon import flops, study_horizon
from lwd_ros.evaluation.methods import Method, MethodsError, load_methods
from lwd_ros.evaluation.robustness import CASES, study_latency
from lwd_ros.generator import ModelError
from lwd_ros.resources import share_path
from lwd_ros.sim.collect import CollectSettings, collect

LWD = share_path("models", "metaworld_mt10_visible.onnx")
TASKS = ("reach-v3", "drawer-close-v3")
FIRST = 100_000


@pytest.fixture(scope="module")
def diffusion_policy(tmp_path_factory, contract) -> Path:
    """A model file of two tasks, hardly trained."""
    folder = tmp_path_factory.mktemp("diffusion_policy")
    collect(folder / "data", TASKS, contract, CollectSettings(episodes=2), workers=1)
    config = DiffusionPolicyConfig("tiny", prediction_horizon=16, channels=(8, 16), steps=3, batch=4)
    train_diffusion_policy(config, Demonstrations(folder / "data"), folder / "run", folder / "dp_seed0.onnx")
    return folder / "dp_seed0.onnx"


@pytest.fixture
def methods(diffusion_policy, tmp_path) -> Path:
    """A file of methods."""
    models = diffusion_policy.parent / "dp_seed{seed}.onnx"
    content = {
        "lwd": {"kind": "lwd", "models": [{"model": str(LWD), "seeds": [0], "horizons": [500, 8]}]},
        "diffusion_policy": {
            "kind": "diffusion_policy",
            "models": [{"model": str(models), "seeds": [0], "horizons": [8]}],
        },
    }
    path = tmp_path / "methods.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _protocol(tmp_path, tasks=TASKS[1:], episodes=2) -> Protocol:
    return Protocol(tasks, episodes, FIRST, tmp_path / "kept", 1)


def test_rows_say_what_lwd_evaluate_says(tmp_path):
    method = Method("lwd", "lwd", {500: (LWD,)})
    row = compare([method], [Case()], _protocol(tmp_path))["lwd"][0]
    expected = evaluate(LWD, TASKS[1:], 2, FIRST, 1)["tasks"]["drawer-close-v3"]
    assert row["successes"] == expected["successes"] == 2
    assert row["steps_per_episode"] == pytest.approx(expected["steps_to_success"]["median"])
    assert (row["horizon"], row["training_seeds"], row["queries_per_episode"]) == (500, 1, 1.0)
    assert row["tasks"] == {"drawer-close-v3": {"successes": 2, "episodes": 2}}


def test_seeds_and_tasks_are_pooled_and_cases_told_apart(tmp_path, monkeypatch):
    asked = []

    def counted(found, kept, workers):
        asked.extend(found)
        return [trials.Counts(1, 2, 3, 4, {trial.task: (1, 2)}) for trial in found]

    monkeypatch.setattr(comparison, "run_trials", counted)
    other = tmp_path / "other.onnx"
    methods = [Method("a", "lwd", {8: (LWD, other), 500: (LWD,)}), Method("b", "diffusion_policy", {16: (other,)})]
    cases = [
        Case({"level": 1}),
        Case({"level": 2}, Disturbance(delay=2), lambda m, h: h // 8 if m.name == "a" else 0),
    ]
    rows = compare(methods, cases, _protocol(tmp_path, TASKS))
    assert [(r["level"], r["horizon"], r["successes"], r["episodes"]) for r in rows["a"]] == [
        (1, 8, 4, 8), (1, 500, 2, 4), (2, 8, 4, 8), (2, 500, 2, 4)
    ]  # fmt: skip
    assert rows["a"][0]["tasks"] == {task: {"successes": 2, "episodes": 4} for task in TASKS}
    assert rows["a"][0]["queries_per_episode"] == 1.5
    assert [row["thinking_steps"] for row in rows["a"]] == [0, 0, 1, 62]
    assert {(trial.kind, trial.model) for trial in asked} == {
        ("lwd", LWD), ("lwd", other), ("diffusion_policy", other)
    }  # fmt: skip
    assert [trial.disturbance.delay for trial in asked] == [0] * 6 + [2] * 6 + [0] * 2 + [2] * 2


def test_trials_are_kept_and_known_by_all_that_they_depend_on(tmp_path, monkeypatch):
    protocol, method = _protocol(tmp_path, episodes=1), Method("lwd", "lwd", {500: (LWD,)})
    first = compare([method], [Case()], protocol)
    monkeypatch.setattr(trials, "disturbed_episode", lambda *a, **k: pytest.fail("it was run again"))
    assert compare([method], [Case()], protocol) == first
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(LWD.read_bytes())
    assert compare([Method("lwd", "lwd", {500: (moved,)})], [Case()], protocol) == first
    known = trials.Trial("lwd", LWD, 500, "reach-v3", FIRST, 1)
    changed = [
        trials.Trial("lwd", LWD, 8, "reach-v3", FIRST, 1),
        trials.Trial("lwd", LWD, 500, "push-v3", FIRST, 1),
        trials.Trial("lwd", LWD, 500, "reach-v3", FIRST + 1, 1),
        trials.Trial("lwd", LWD, 500, "reach-v3", FIRST, 2),
        trials.Trial("lwd", LWD, 500, "reach-v3", FIRST, 1, Disturbance(delay=1)),
        trials.Trial("lwd", LWD, 500, "reach-v3", FIRST, 1, thinking_steps=1),
    ]
    assert len({trial.digest for trial in (known, *changed)}) == 7


def test_horizons_state_their_cost(tmp_path, diffusion_policy):
    methods = [
        Method("lwd", "lwd", {500: (LWD,)}),
        Method("diffusion_policy", "diffusion_policy", {8: (diffusion_policy,)}),
    ]
    found = study_horizon(methods, _protocol(tmp_path, episodes=1))["methods"]
    lwd, dp = found["lwd"][0], found["diffusion_policy"][0]
    assert lwd["diffusion_ms_per_episode"] == lwd["query_ms"] > 0
    assert dp["diffusion_ms_per_episode"] == pytest.approx(dp["query_ms"] * dp["queries_per_episode"])
    assert dp["queries_per_episode"] == -(-dp["steps_per_episode"] // 8)
    # 21-16-16-4; a query: twenty steps of the denoiser, then the hypernetwork
    assert lwd["flops"]["policy_step"] == 2 * (21 * 16 + 16 * 16 + 16 * 4)
    denoiser = 64 * 256 + 16 * 256 + 256 * 256 + 2 * 2 * 256 * 256 + 256 * 64
    assert lwd["flops"]["query"] == 2 * (20 * denoiser + 64 * 256 + 256 * 256 + 256 * 692)
    assert lwd["flops"]["amortised_step"] == pytest.approx(lwd["flops"]["query"] / 500 + 1312)
    assert dp["flops"]["amortised_step"] == dp["flops"]["query"] / 8


def test_operations_of_a_query_are_those_of_every_network_pass(diffusion_policy):
    description = ActionGenerator(diffusion_policy).description
    # The first convolution alone: 10 passes, 16 actions, 8 filters of 4 x 5.
    assert description.flops > 10 * 2 * 16 * 8 * 4 * 5
    assert flops("diffusion_policy", diffusion_policy, 16)["query"] == description.flops
    assert torch.get_num_threads() == 1


def test_latency_is_what_was_measured_in_whole_control_steps(tmp_path, monkeypatch):
    from lwd_ros.evaluation import robustness

    monkeypatch.setattr(robustness, "query_seconds", lambda kind, model, horizon: 0.006)
    method = Method("lwd", "lwd", {500: (LWD,)})
    rows = study_latency([method], _protocol(tmp_path, episodes=1), slower=(1, 2, 5))["methods"]["lwd"]
    assert [(r["times_slower"], r["thinking_steps"], r["query_ms"]) for r in rows] == [
        (1, 0, 6.0), (2, 0, 12.0), (5, 2, 30.0)
    ]  # fmt: skip


def test_cases_cover_what_is_promised():
    kinds = {case.labels["disturbance"] for case in CASES}
    assert kinds == {
        "none", "action noise", "observation noise", "observation delay", "dropped observations",
        "push of the hand", "push of the object", "control period",
    }  # fmt: skip
    assert all((case.disturbance == Disturbance()) == (case.labels["disturbance"] == "none") for case in CASES)
    rates = {round(1 / c.disturbance.period_s) for c in CASES}
    assert rates == {40, 80, 200}


@pytest.mark.parametrize("study", ["horizon", "disturbance", "latency"])
def test_the_quick_form_of_each_study_runs(methods, tmp_path, study):
    out = tmp_path / f"{study}.json"
    given = ["study", study, "--quick", "--methods", methods, "--kept", tmp_path / "kept", "--json", out]
    result = CliRunner().invoke(cli, [*map(str, given), "--workers", "1"])
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["study"] == study
    assert set(content["methods"]) == {"lwd", "diffusion_policy"}
    for rows in content["methods"].values():
        assert all(row["episodes"] == 2 and 0 <= row["success"] <= 1 for row in rows)
    if study == "disturbance":
        assert all("drop" in row for rows in content["methods"].values() for row in rows)
    assert "lwd                  horizon 500" in result.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", r"found \[\], expected a mapping of methods by name"),
        (
            "{a: {kind: x, models: []}}",
            "method 'a': found .* expected a list 'models' and a kind of lwd, diffusion_pol",
        ),
        ("{a: {kind: lwd, models: [{model: m.onnx}]}}", "expected model, seeds and horizons"),
        ("{a: {kind: lwd, models: [{model: 'm{seed}.onnx', seeds: [3], horizons: [8]}]}}", r"found no .*m3\.onnx"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_wrong_file_of_methods_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "methods.yaml"
    path.write_text(content)
    with pytest.raises(MethodsError, match=sentence):
        load_methods(path)


def test_training_layouts_are_refused(tmp_path):
    with pytest.raises(ModelError, match="belong to demonstrations"):
        compare([Method("lwd", "lwd", {500: (LWD,)})], [Case()], Protocol(TASKS, 1, 5, tmp_path, 1))

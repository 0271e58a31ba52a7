"""Policies that are asked for late: chains with a pause, the study of it, and its page."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report import handover as page
from lwd_benchmarks.results import HandoverResult, checked
from lwd_benchmarks.studies.handover import Rules, merged, study_handover

from lwd_ros.cli import cli
from lwd_ros.contract import CommandLimiter
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.chains import MEANWHILE, Pause, evaluate_chain, wait
from lwd_ros.generator import ModelError, PolicyGenerator

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results/handover"
FIRST = 150_000  # layouts for choosing hyper-parameters
CHAIN = ("drawer-open-v3", "drawer-close-v3")


@pytest.fixture(scope="module")
def studied(model_path):
    """The shipped model on two layouts, with and without a pause."""
    return study_handover(model_path, Rules(2, FIRST, (0.0, 0.5)), 1, ("drawer-close-v3",))


@pytest.mark.parametrize("hold", [False, True])
def test_the_study_gives_what_a_chain_with_the_same_pause_gives(studied, model_path, hold):
    (row,) = [r for r in studied["rows"] if r["pause_s"] == 0.5 and r["meanwhile"] == MEANWHILE[hold]]
    chain = evaluate_chain(model_path, CHAIN, 2, FIRST, 1, Pause(0.5, hold))
    link = chain["links"][-1]
    assert chain["protocol"]["pause_s"] == 0.5 and chain["protocol"]["meanwhile"] == MEANWHILE[hold]
    assert [row[key] for key in ("task", "successes", "episodes", "done")] == [
        link[key] for key in ("task", "successes", "episodes", "done")
    ]
    assert row["longest_steps"] == max(link["steps_to_success"], default=None)


def test_a_pause_of_nothing_changes_nothing_but_the_protocol(studied, model_path):
    plain = evaluate_chain(model_path, CHAIN, 2, FIRST, 1)
    paused = evaluate_chain(model_path, CHAIN, 2, FIRST, 1, Pause(0.0))
    assert "pause_s" not in plain["protocol"] and "done" not in plain["links"][0]
    assert [link["steps_to_success"] for link in plain["links"]] == [
        link["steps_to_success"] for link in paused["links"]
    ]
    rows = [row for row in studied["rows"] if row["pause_s"] == 0.0]
    assert {row["longest_steps"] for row in rows} == {max(plain["links"][1]["steps_to_success"])}


def test_meanwhile_the_policy_before_acts_on_what_the_new_task_shows_or_the_arm_stands(contract, model_path):
    generator, steps = PolicyGenerator(model_path), 40
    scene, limiter = Scene("drawer-close-v3", contract), CommandLimiter(contract)
    places = {}
    for hold in (False, True):
        start = scene.reset(FIRST)
        limiter.reset(np.array([0.0, 0.0, 0.0, 1.0]))
        actor = PolicyActor(generator.generate("drawer-open-v3", 1, start), contract)
        wait(scene, actor, limiter, steps, hold)
        places[hold] = np.abs(scene.observe()[:3] - start[:3]).max()
        assert scene.gripper_effort(limiter.previous) == (1.0 if hold else pytest.approx(-1.0, abs=0.2))
    assert places[False] > 0.05 > 0.01 > places[True]


def test_results_of_other_models_stay_and_other_protocols_are_refused(tmp_path, studied):
    path, rules = tmp_path / "r.json", Rules(2, FIRST, (0.0, 0.5))
    path.write_text(json.dumps(merged(path, {"a": studied}, rules)))
    both = merged(path, {"b": studied}, rules)
    assert list(both["models"]) == ["a", "b"]
    assert merged(path, {}, Rules(2, FIRST + 10_000, (0.0, 0.5)))["models"]["a"]["first_layout"] == FIRST
    with pytest.raises(ModelError, match=r"found protocol .* name another file"):
        merged(path, {}, Rules(3, FIRST, (0.0, 0.5)))
    path.write_text("{}")
    with pytest.raises(ModelError, match="is no result of 'lwd study handover'"):
        merged(path, {}, rules)


def test_results_that_state_one_first_layout_for_all_models_are_read_as_such(tmp_path, studied):
    path, rules = tmp_path / "handover.json", Rules(2, FIRST, (0.0, 0.5))
    unstated = {key: value for key, value in studied.items() if key != "first_layout"}
    earlier = {"protocol": rules.describe() | {"first_layout": 200_000}, "models": {"a": unstated}}
    path.write_text(json.dumps(earlier))
    both = merged(path, {"b": studied}, rules)
    assert [model["first_layout"] for model in both["models"].values()] == [200_000, FIRST]
    assert "first_layout" not in both["protocol"]
    assert checked(HandoverResult, earlier, path).models["a"].first_layout == 200_000
    assert checked(HandoverResult, both, path).models["b"].first_layout == FIRST


def test_tasks_without_a_reverse_and_layouts_of_demonstrations_are_refused(model_path):
    with pytest.raises(ModelError, match="found no two tasks that undo each other"):
        study_handover(model_path, Rules(1, FIRST), 1, ("reach-v3",))
    with pytest.raises(ModelError, match="belong to demonstrations"):
        study_handover(model_path, Rules(1, 5), 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "--model", "m.onnx", "--drift-s", "3"], "--drift-s: is a pause between tasks, expected --chain"),
        (["evaluate", "--model", "m.onnx", "--chain", "--hold"], "--hold: found no pause"),
        (["study", "handover", "--model", "m.onnx", "--pauses-s", "0,soon"], "--pauses-s: found '0,soon'"),
        (["study", "handover", "--model", "m.onnx", "--pauses-s", "-1"], "--pauses-s: found '-1'"),
    ],
)
def test_the_commands_say_what_is_wrong(arguments, sentence):
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2 and sentence in done.output


def test_the_command_of_a_chain_takes_a_pause(tmp_path, model_path):
    arguments = ["--model", str(model_path), "--chain", "--tasks", ",".join(CHAIN), "--episodes", "1", "--workers", "1"]
    path = tmp_path / "c.json"
    pause = ["--drift-s", "0.25", "--hold", "--first-layout", str(FIRST), "--json", str(path)]
    done = CliRunner().invoke(cli, ["evaluate", *arguments, *pause])
    assert done.exit_code == 0, done.output
    assert json.loads(path.read_text())["protocol"]["meanwhile"] == MEANWHILE[True]


def test_a_folder_without_the_study_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"handover\.json: found no study"):
        page.load(tmp_path)


@pytest.mark.parametrize("name", sorted(page.load(RESULTS).study.models))
def test_shipped_models_are_those_that_the_results_judge(name):
    model = ROOT / "models" / f"{name}.onnx"
    digest = PolicyGenerator(model).digest
    found = page.load(RESULTS)
    assert found.study.models[name].model_digest == digest
    assert found.study.models[name].first_layout >= 200_000
    if name.endswith("anywhere"):
        assert found.evaluations[name].model_digest == digest
        assert model.stat().st_size < 10e6

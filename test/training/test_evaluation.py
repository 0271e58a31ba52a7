"""Pins evaluation: the same result on every backend, results as JSON, the expert as a baseline."""

import json
import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from joblib import delayed

from lwd_ros.cli import cli
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.evaluate import evaluate, write_json
from lwd_ros.evaluation.expert import evaluate_expert
from lwd_ros.evaluation.parallel import BACKENDS, BackendError, backend, in_order
from lwd_ros.generator import ModelError

TASKS = ("reach-v3", "door-open-v3")
FIRST = 150_000  # layouts for choosing hyper-parameters


# Backends


def _timeless(result: dict) -> dict:
    return {key: value for key, value in result.items() if key != "generation_ms"}


@pytest.fixture(scope="module")
def reference(model_path):
    """The shipped model, judged in this process."""
    return _timeless(evaluate(model_path, TASKS, 2, FIRST, 1))


@pytest.mark.parametrize("name", ["loky", "threading", "dask"])
def test_every_backend_gives_the_result_of_one_process(name, reference, model_path):
    with backend(name, 2):
        pids = set(in_order([delayed(os.getpid)()] * 2, 2, "pids", "process"))
        found = _timeless(evaluate(model_path, TASKS, 2, FIRST, 2))
    assert found == reference
    assert (os.getpid() in pids) == (name == "threading")


def test_a_dask_cluster_that_runs_already_is_used(monkeypatch):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        monkeypatch.setattr("distributed.LocalCluster", None)  # a second cluster would fail
        with backend("dask", 1, cluster.scheduler_address):
            assert os.getpid() not in set(in_order([delayed(os.getpid)()] * 2, -1, "pids", "process"))


def test_results_come_in_order_from_a_backend_that_gives_them_all_at_once():
    with backend("multiprocessing", 2):
        assert list(in_order([delayed(math.sqrt)(k * k) for k in range(9)], 2, "roots", "root")) == list(range(9))


@pytest.mark.parametrize(
    ("name", "address", "sentence"),
    [
        ("loky", "tcp://a:1", "--scheduler: found backend 'loky', expected one of dask, ray"),
        ("dask", "nowhere", "--scheduler: no Dask scheduler answers at 'nowhere'"),
    ],
)
def test_a_scheduler_that_is_not_there_is_named(name, address, sentence):
    with pytest.raises(BackendError, match=sentence), backend(name, 1, address):
        pass


@pytest.mark.parametrize(
    ("name", "package", "hint"), [("dask", "distributed", "'lwd_ros[cluster]'"), ("ray", "ray", "ray")]
)
def test_a_missing_cluster_package_is_named(monkeypatch, model_path, name, package, hint):
    monkeypatch.setitem(sys.modules, package, None)
    done = CliRunner().invoke(cli, ["evaluate", "--model", str(model_path), "--backend", name], prog_name="lwd")
    assert done.exit_code == 2
    assert f"'lwd evaluate' needs the package '{package}': pip install {hint}" in done.output


def test_the_command_offers_every_backend():
    (option,) = [option for option in cli.commands["evaluate"].params if option.name == "backend"]
    assert tuple(option.type.choices) == BACKENDS


# Results as JSON


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=12,
        ),
        max_size=4,
    )
)
def test_json_reads_back_as_written(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "result.json"
    write_json(content, path)
    assert json.loads(path.read_text(encoding="utf-8")) == content


def test_json_has_one_line_for_each_task_and_each_link(tmp_path):
    rows = {"a": {"success": 1.0, "interval": [0, 1]}, "b": {"steps": {"median": 3}}}
    write_json({"mean": 1.0, "tasks": rows, "links": list(rows.values()), "none": {}}, tmp_path / "r.json")
    lines = (tmp_path / "r.json").read_text().splitlines()
    assert '  "b": {"steps": {"median": 3}}' in lines and '  {"steps": {"median": 3}}' in lines
    assert len(lines) == 12


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"mean": math.nan}, tmp_path / "r.json")
    assert not list(tmp_path.iterdir())


# The expert as a baseline


def test_the_expert_is_judged_like_a_model(reference):
    result = evaluate_expert(TASKS, 2, FIRST, 1)
    assert set(result) == set(reference) | {"generation_ms"}
    assert {name: set(row) for name, row in result["tasks"].items()} == {
        name: set(row) for name, row in reference["tasks"].items()
    }
    assert [result["tasks"][task]["successes"] for task in TASKS] == [2, 2]
    assert result["mean_success"] == 1.0 and result["method"] == "scripted expert"
    assert not any(result[key] for key in ("model", "policy_parameters", "flops_per_step", "generation_ms"))


def test_the_expert_obeys_slew_limits_like_any_policy(contract):
    slow = replace(contract, command=tuple(replace(c, slew_per_s=1.0) for c in contract.command))
    runs = []
    for limits in (contract, slow):
        scene = Scene("reach-v3", limits)
        outcome = run_episode(scene, ExpertActor(scene.expert()), FIRST, steps=20, record=True)
        runs.append(np.abs(np.diff(outcome.record.commands, axis=0, prepend=0.0)))
    assert runs[0].max() > 10 * slow.command_slew.max()
    assert runs[1].max() == pytest.approx(slow.command_slew.max())


def test_the_expert_refuses_what_a_model_would():
    with pytest.raises(ModelError, match="belong to demonstrations"):
        evaluate_expert(TASKS, 1, 5, 1)
    with pytest.raises(SimulationError, match="'juggle-v3': found in no environment"):
        evaluate_expert(("juggle-v3",), 1, FIRST, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--expert"], "--expert: expected --tasks or --environment"),
        (["--expert", "--tasks", "mt10", "--model", "m.onnx"], "neither --model nor --chain"),
        (["--tasks", "mt10"], "found neither --model nor --expert"),
    ],
)
def test_the_command_wants_a_model_or_the_expert(arguments, sentence):
    done = CliRunner().invoke(cli, ["evaluate", *arguments])
    assert done.exit_code == 2 and sentence in done.output

"""Pins the whole pipeline through the command line, with a tiny budget, and a model conditioned on observations."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodes_support import Cell

import lwd_ros
from lwd_msgs.srv import GeneratePolicy, ListTasks
from lwd_ros.cli import main
from lwd_ros.demo.supervisor import isolated_environment
from lwd_ros.generator import PolicyGenerator

ROOT = Path(lwd_ros.__file__).parents[1]
TASKS = "drawer-open-v3,drawer-close-v3"
REACH = ["--tasks", "reach-v3"]
CHAIN = ["evaluate", "--chain", "--model", "{}/model.onnx", "--tasks"]
SHIPPED_CHAIN = ["evaluate", "--chain", "--model", str(ROOT / "models" / "metaworld_mt10_visible.onnx"), "--tasks"]
CONFIG = """
name: tiny_hidden
hidden_layers: [8]
hide: [goal_x, goal_y, goal_z]
condition_on_observation: true
autoencoder: {steps: 30, demonstrations: 4, pairs: 16}
diffusion: {steps: 30, batch: 8}
"""


def lwd(*arguments) -> str:
    """Run the command a user types; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "lwd_ros.cli", *map(str, arguments)],
        env=isolated_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Demonstrations, a run and a model file that the commands made."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "config.yaml").write_text(CONFIG)
    assert "demonstrations" in lwd("collect", "--tasks", TASKS, "--episodes", 2, "--out", folder / "data")
    lwd("train", "--config", folder / "config.yaml", "--data", folder / "data", "--out", folder / "run")
    assert "sha256" in lwd("export", "--run", folder / "run", "--out", folder / "model.onnx")
    shutil.copytree(folder / "run", folder / "cut")
    with open(folder / "cut" / "diffusion.safetensors", "r+b") as file:
        file.truncate(1000)
    for name, content in (("list", "[]"), ("other", '{"config": {"name": "x"}}')):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(content)
    return folder


def test_evaluate_reports_what_the_protocol_asks_for(folder):
    path = folder / "result.json"
    arguments = ["--model", folder / "model.onnx", "--tasks", "drawer-open-v3", "--episodes", 2]
    lwd("evaluate", *arguments, "--first-layout", 150_000, "--json", path)
    result = json.loads(path.read_text())
    row = result["tasks"]["drawer-open-v3"]
    assert row["episodes"] == 2 and row["success"] == row["successes"] / 2
    assert 0 <= row["interval"][0] <= row["success"] <= row["interval"][1] <= 1
    assert "steps_to_success" in row
    assert result["policy_parameters"] == 18 * 8 + 8 + 8 * 4 + 4
    assert result["flops_per_step"] == 2 * (18 * 8 + 8 * 4)
    assert result["generation_ms"] > 0 and result["mean_success"] == row["success"]


def test_evaluate_of_a_chain_reports_the_same_protocol(folder):
    path = folder / "chain.json"
    arguments = ["--chain", "--tasks", "drawer-open-v3,drawer-close-v3,drawer-open-v3", "--episodes", 2]
    lwd("evaluate", "--model", folder / "model.onnx", *arguments, "--first-layout", 150_000, "--json", path)
    result = json.loads(path.read_text())
    single = json.loads((folder / "result.json").read_text())
    same = ("model", "model_digest", "lwd_ros", "policy_parameters")
    assert [result[key] for key in same] == [single[key] for key in same]
    assert result["protocol"].keys() - single["protocol"].keys() == {"policies_per_link"}
    assert result["protocol"]["first_layout"] == 150_000
    assert [link["task"] for link in result["links"]] == arguments[2].split(",")
    assert all(link["episodes"] == 2 for link in result["links"])


@pytest.mark.parametrize("name", ["mt10_visible", "mt10_tiny", "mt10_hidden", "mt50_visible", "mt50_hidden"])
def test_shipped_models_are_those_that_the_committed_results_judge(name):
    model = ROOT / "models" / f"metaworld_{name}.onnx"
    result = json.loads((ROOT / "benchmarks" / "results" / "metaworld" / f"{name}_seed0.json").read_text())
    assert result["model_digest"] == PolicyGenerator(model).digest
    assert result["protocol"]["first_layout"] >= 200_000
    assert model.stat().st_size < 10e6


@pytest.mark.parametrize(
    ("size", "arguments", "written"),
    [
        (5_000, "collect --tasks reach-v3 --episodes 1 --out {}/new --workers 1", "new/reach-v3.parquet"),
        (5_000, "train --config {}/config.yaml --data {}/data --out {}/small", "small/data.safetensors"),
        (50_000, "train --config {}/config.yaml --data {}/data --out {}/new", "new/autoencoder.safetensors"),
        (50_000, "export --run {}/run --out {}/new.onnx", "new.onnx"),
        (50, "evaluate --expert --tasks reach-v3 --episodes 1 --json {}/new.json", "new.json"),
    ],
    ids=["collect", "summary", "train", "export", "evaluate"],
)
def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing_that_looks_whole(folder, size, arguments, written):
    """No file may grow beyond `size` bytes, which fails like a full disk, in the middle of a file."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    code = f"{limit}; from lwd_ros.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments.replace("{}", str(folder)).split()]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, timeout=300, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert last.startswith(f"lwd: {folder / written}: cannot be written (") and "File too large" in last
    assert not (folder / written).exists() and not list(folder.rglob("*.partial"))


def test_evaluate_does_not_depend_on_the_number_of_processes(folder):
    results = []
    for workers in (1, 2):
        path = folder / f"workers_{workers}.json"
        arguments = ["--model", folder / "model.onnx", "--episodes", 2, "--first-layout", 150_010]
        lwd("evaluate", *arguments, "--workers", workers, "--json", path)
        results.append(json.loads(path.read_text())["tasks"])
    assert results[0] == results[1]


def test_collect_gives_the_same_bytes_again_and_resumes(folder):
    lwd("collect", "--tasks", TASKS, "--episodes", 2, "--out", folder / "again", "--workers", 1)
    meta = (folder / "again" / "meta.json").read_bytes()
    assert meta == (folder / "data" / "meta.json").read_bytes()
    (folder / "again" / "drawer-close-v3.parquet").unlink()
    before = (folder / "again" / "drawer-open-v3.parquet").stat().st_mtime_ns
    lwd("collect", "--tasks", TASKS, "--episodes", 2, "--out", folder / "again")
    assert (folder / "again" / "meta.json").read_bytes() == meta
    assert (folder / "again" / "drawer-open-v3.parquet").stat().st_mtime_ns == before


def test_model_file_tells_what_made_it(folder):
    content = json.loads(lwd("describe", "--model", folder / "model.onnx"))
    meta = json.loads((folder / "data" / "meta.json").read_text())
    assert content["training"]["data_digest"] == meta["digest"]
    assert content["training"]["config"]["name"] == "tiny_hidden"
    assert content["contract_digest"] == meta["contract_digest"]
    task, observation = content["conditions"]
    assert task == {"name": "task", "kind": "task", "names": TASKS.split(",")}
    assert (observation["kind"], len(observation["names"])) == ("observation", 21)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "--model", "nothing.onnx"], "nothing.onnx: cannot be read"),
        (["evaluate", "--model", "{}/model.onnx", "--tasks", "juggle-v3"], "'juggle-v3': found in no environment"),
        (["evaluate", "--model", "{}/model.onnx", "--first-layout", "5"], "belong to demonstrations"),
        (["evaluate", "--model", "{}/config.yaml"], "is not a whole ONNX file"),
        (["train", "--config", "{}/none.yaml", "--data", "{}/data", "--out", "{}/x"], "none.yaml: cannot be read"),
        (["train", "--config", "{}/config.yaml", "--data", "{}/run", "--out", "{}/x"], "expected a dataset"),
        (
            ["train", "--config", "{}/config.yaml", "--data", "{}/data", "--out", "{}/run", "--seed", "9"],
            "another config",
        ),
        (
            ["train", "--config", "{}/config.yaml", "--data", "{}/data", "--out", "{}/x", "--devices", "100000"],
            "--devices: found 100000, expected at most",
        ),
        (
            ["train", "--config", "{}/config.yaml", "--data", "{}/data", "--out", "{}/x", "--seed", "9" * 30],
            "key 'seed': found 999999999999999999999999999999, expected a whole number, 0 or more, below 2**63",
        ),
        (
            ["collect", *REACH, "--noise", "0.3", "0.1", "--out", "{}/y"],
            "noise: found (0.3, 0.1), expected two numbers",
        ),
        (["export", "--run", "{}/data", "--out", "{}/x.onnx"], "'lwd train' made"),
        (["export", "--run", "{}/list", "--out", "{}/x.onnx"], "list/run.json: found no 'config'; expected a folder"),
        (["export", "--run", "{}/other", "--out", "{}/x.onnx"], "other/run.json: found no 'data'; expected a folder"),
        (["export", "--run", "{}/cut", "--out", "{}/x.onnx"], "cut/diffusion.safetensors: is not a whole checkpoint"),
        (["evaluate", "--model", "{}/model.onnx", "--episodes", "0"], "'--episodes': 0 is not in the range x>=1"),
        (["evaluate", "--model", "{}/model.onnx", "--workers", "-1"], "'--workers': -1 is not in the range x>=0"),
        (["evaluate", "--model", "{}/model.onnx", "--tasks", "reach-v3,reach-v3"], "found 'reach-v3' twice"),
        (["evaluate", "--model", "{}/model.onnx", "--tasks", " ,"], "--tasks: found no task"),
        ([*CHAIN, TASKS, "--first-layout", "5"], "belong to demonstrations"),
        ([*CHAIN, "juggle-v3"], "'juggle-v3': found in no environment"),
        ([*CHAIN, "drawer-open-v3,drawer-open-v3"], "'drawer-open-v3' cannot follow 'drawer-open-v3' in one scene"),
        ([*SHIPPED_CHAIN, "drawer-open-v3,reach-v3"], "'reach-v3' cannot follow 'drawer-open-v3' in one scene"),
        (["collect", "--episodes", "0", "--out", "{}/y"], "'--episodes': 0 is not in the range x>=1"),
        (["collect", "--seed", "-1", "--out", "{}/y"], "'--seed': -1 is not in the range x>=0"),
        (["collect", "--tasks", "reach-v3,reach-v3", "--out", "{}/y"], "found 'reach-v3' twice"),
        (["demo", "--layout", "-1"], "'--layout': -1 is not in the range x>=0"),
        (["collect", "--tasks", "juggle-v3", "--out", "{}/y"], "'juggle-v3': found in no environment"),
        (["collect", *REACH, "--first-layout", "200000", "--out", "{}/y"], "kept for validation and reporting"),
    ],
)
def test_bad_input_ends_in_one_sentence(folder, arguments, sentence, monkeypatch, capfd):
    """Through the entry point, in this process: it has imported what each command would first spend seconds on."""
    monkeypatch.setattr(sys, "argv", ["lwd", *(argument.replace("{}", str(folder)) for argument in arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    error = capfd.readouterr().err
    assert end.value.code in (1, 2) and sentence in error, error
    assert len([line for line in error.splitlines() if line and "%|" not in line]) == 1  # beside progress bars


def test_conditioned_generator_waits_for_a_fresh_observation(folder, tmp_path):
    """Without the robot's streams the request fails in one sentence; with them the goal goes into the weights."""
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator", {"model_file": folder / "model.onnx", "observation_timeout_s": 5.0})
        response = cell.generate("drawer-open-v3", 3)
        assert not response.success
        assert "conditioned on an observation and none came within 5 s" in response.message
        assert "hand/pose: nothing received" in response.message
        cell.start_node("metaworld_bridge", {"mode": "lockstep"})
        cell.start_node("policy_controller", {"use_sim_time": True})
        policies = {}
        for layout in (700_030, 700_031):
            loaded = cell.load("drawer-open-v3", layout)
            request = GeneratePolicy.Request(task="drawer-open-v3", seed=3, not_before=loaded.stamp)
            response = cell.call(GeneratePolicy, "policy_generator/generate_policy", request)
            assert response.success, response.message
            policies[layout] = response.policy_id
        assert len(set(policies.values())) == 2, "another layout must give other weights"
        tasks = cell.call(ListTasks, "policy_generator/list_tasks")
        assert list(tasks.conditions) == ["task", "observation"] and tasks.condition_on_observation
        cell.wait_for_policy(policies[700_031])
    from lwd_ros.environments.metaworld.scene import Scene

    generator = PolicyGenerator(folder / "model.onnx")
    scene = Scene("drawer-open-v3", generator.description.contract)
    expected = generator.generate("drawer-open-v3", 3, scene.reset(700_030))
    assert expected.policy_id == policies[700_030], "the generator saw another observation than the scene's first"


def test_an_observation_given_by_hand_needs_no_robot(folder, tmp_path):
    """A condition in the request stands for the streams."""
    from lwd_ros.environments.metaworld.scene import Scene

    generator = PolicyGenerator(folder / "model.onnx")
    observation = Scene("drawer-open-v3", generator.description.contract).reset(700_030)
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator", {"model_file": folder / "model.onnx", "observation_timeout_s": 0.5})
        answers = []
        for text in (json.dumps(observation.tolist()), "[0.5]", "near"):
            request = GeneratePolicy.Request(
                task="drawer-open-v3", seed=3, condition_names=["observation"], condition_values=[text]
            )
            answers.append(cell.call(GeneratePolicy, "policy_generator/generate_policy", request))
    right, short, wrong = answers
    assert right.success and right.observation_stamp.sec == right.observation_stamp.nanosec == 0
    assert right.policy_id == generator.generate("drawer-open-v3", 3, observation).policy_id
    assert not short.success and "found 1 finite scalars in shape (1,), expected 21" in short.message
    assert not wrong.success and "condition 'observation': found 'near', expected 21 numbers" in wrong.message

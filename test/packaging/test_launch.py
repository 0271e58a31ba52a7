"""Launch files and parameter files agree with the nodes, with what setup.py installs, and with docs/reference/nodes.md.

Launch files are run against a small stand-in for `launch` and `launch_ros`, which are not on PyPI. Where a ROS 2 is
sourced, `test_launch_real.py` runs them with the real ones as well.
"""

import ast
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from runpy import run_path

import pytest
import yaml
from launch_support import ROOT, Built

from lwd_ros.nodes import start

checks = types.SimpleNamespace(**run_path(str(ROOT / "launch" / "checks.py")))
NODES = ("policy_generator", "policy_controller", "recorder", "simulator_bridge", "metaworld_bridge")
OF_ROBOT = {"policy_generator", "policy_controller"}
STARTS = {
    "metaworld": {*OF_ROBOT, "metaworld_bridge"},
    "simulator": {*OF_ROBOT, "simulator_bridge"},
    "robot": OF_ROBOT,
}
FILES = {"contract_file": "robot.yaml", "model_file": "model.onnx"}
REQUIRED = {"metaworld": {}, "simulator": {"environment": "own.yaml", **FILES}, "robot": FILES}
SECONDS, LAYOUTS = "from 0 to 1000000000", f"from 0 to {2**62}"
OF_RCLPY = {"use_sim_time", "start_type_description_service"}

DUMP = """
import importlib, json, os, sys
import rclpy
from lwd_ros.nodes.rclpy_private import parameter_overrides
name, file = sys.argv[1:]
module = importlib.import_module(f"lwd_ros.nodes.{name}")
kinds = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
result = {}
for key, args in (("plain", []), ("with_file", ["--ros-args", "--params-file", file])):
    rclpy.init(args=args)
    node = kinds[0]()
    names = node.list_parameters([], 0).names
    result[key] = {n: node.get_parameter(n).value for n in names}
    described = {n: node.describe_parameter(n) for n in names}
    ranges = {n: [*d.integer_range, *d.floating_point_range] for n, d in described.items()}
    result["ranges"] = {n: (r[0].from_value, r[0].to_value) for n, r in ranges.items() if r}
    result["described"] = [n for n in names if node.describe_parameter(n).description]
    result["unknown"] = [n for n in parameter_overrides(node) if not node.has_parameter(n)]
    node.destroy_node()
    rclpy.shutdown()
print(json.dumps(result))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def build(monkeypatch):
    return lambda name, **given: Built(name, {**REQUIRED[name], **given}, monkeypatch)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Environment of a node that talks to nobody."""
    pytest.importorskip("rclpy", reason="rclpy is not installed: `make setup`, or source a ROS 2")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF",
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("log")),
    }


@pytest.fixture(scope="module")
def declared(environment):
    """Parameters of each real node: {node: {plain, with_file, described, unknown}}."""
    pytest.importorskip("metaworld", reason="metaworld is not installed: the bridge's parameters cannot be read")
    result = {}
    for node in NODES:
        command = [sys.executable, "-c", DUMP, node, str(ROOT / "config" / f"{node}.yaml")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        result[node] = json.loads(done.stdout.splitlines()[-1])
    return result


def parameter_file(node: str) -> dict:
    return yaml.safe_load((ROOT / "config" / f"{node}.yaml").read_text())


@pytest.mark.parametrize("name", STARTS)
def test_nodes_and_files_that_a_launch_file_names_exist(name, build):
    built = build(name)
    assert set(built.nodes) == STARTS[name]
    assert all(path.is_file() for path in built.included)
    for node, action in built.nodes.items():
        assert [ROOT / "config" / f"{node}.yaml"] == [Path(p) for p in action.parameters if isinstance(p, str)]
        assert (ROOT / "config" / f"{node}.yaml").is_file()


def test_setup_installs_every_executable():
    tree = ast.parse((ROOT / "setup.py").read_text())
    lists = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "NODES"]
    assert set(ast.literal_eval(lists[0])) == set(NODES)
    for node in NODES:
        module = ast.parse((ROOT / "lwd_ros" / "nodes" / f"{node}.py").read_text())
        assert "main" in [f.name for f in module.body if isinstance(f, ast.FunctionDef)]
        assert callable(getattr(start, node))
        assert os.access(ROOT / "scripts" / node, os.X_OK)  # lib/lwd_ros/NODE after a pip install


@pytest.mark.parametrize("name", STARTS)
def test_arguments_have_descriptions_and_defaults(name, build):
    arguments = build(name).arguments
    assert all(description for _, description in arguments.values())
    assert {n for n, (default, _) in arguments.items() if default is None} == set(REQUIRED[name])


@pytest.mark.parametrize("node", NODES)
def test_parameter_files_hold_every_parameter_at_its_default(node, declared):
    content = parameter_file(node)
    assert list(content) == ["/**"], "a section named after the node would beat launch arguments and params_file"
    found, real = content["/**"]["ros__parameters"], declared[node]
    assert real["unknown"] == []
    assert found == {n: v for n, v in real["plain"].items() if n not in OF_RCLPY}
    assert real["with_file"] == real["plain"]
    assert set(found) <= set(real["described"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "policy_timeout_s: soon",
            f"cannot start: parameter 'policy_timeout_s': found 'soon', expected a number {SECONDS}",
        ),
        ("policy_timeout_s: -1.0", f"parameter 'policy_timeout_s': found -1.0, expected a number {SECONDS}"),
        ("policy_timeout_s: .nan", f"parameter 'policy_timeout_s': found nan, expected a number {SECONDS}"),
        ("policy_timeout_s: true", f"parameter 'policy_timeout_s': found true, expected a number {SECONDS}"),
        ("policy_timeout_s: [1.0, 2.0]", f"found [1.0, 2.0], expected a number {SECONDS}"),
        (
            "realtime_priority: 99999999999999999999",
            "'realtime_priority': found 1e+20, expected a whole number from 0 to 99",
        ),
        ("realtime_priority: 2.0", "'realtime_priority': found 2.0, expected a whole number from 0 to 99"),
        ("autostart: 1", "parameter 'autostart': found 1, expected true or false"),
        ("contract_file: 1.5", "parameter 'contract_file': found 1.5, expected a text"),
        ("use_sim_time: 1", "parameter 'use_sim_time' to '1' of type 'INTEGER', expecting type 'BOOL'"),
        ("policy_timeout_s: [1.0", "cannot start: RCLError: "),
        ("policy_timout_s: 5.0, contract_file: nowhere.yaml", "has no such parameter: policy_timout_s"),
    ],
)
def test_a_bad_parameter_file_gives_one_sentence(content, sentence, environment, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"/**: {{ros__parameters: {{{content}}}}}")
    command = [sys.executable, "-m", "lwd_ros.nodes.policy_controller", "--ros-args", "--params-file", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_an_integer_in_a_parameter_file_does_for_a_float(environment, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {policy_timeout_s: 5}}")
    command = [sys.executable, "-c", DUMP, "policy_controller", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout.splitlines()[-1])["with_file"]["policy_timeout_s"] == 5.0, done.stderr


@pytest.mark.parametrize("name", STARTS)
def test_launch_arguments_become_parameters_of_the_right_type(name, build, declared):
    texts = {"policy_timeout_s": "5", "observation_timeout_s": "2"}
    if name != "robot":
        texts |= {"task": "1", "layout": "7", "mode": "lockstep", "record_file": "a.npz"}
        texts["observation_delay_s"] = "1"
    built = build(name, **texts)
    for node, action in built.nodes.items():
        for parameter, value in action.parameters[-1].items():
            default = declared[node]["plain"][parameter]  # KeyError: the node has no such parameter
            assert type(value) is type(default), (node, parameter, value)
    passed = {k: v for action in built.nodes.values() for k, v in action.parameters[-1].items()}
    if name == "simulator":
        assert passed["environment"] == "own.yaml"
    floats = {"policy_timeout_s": "5.0", "observation_timeout_s": "2.0", "observation_delay_s": "1.0"}
    assert {k: str(passed[k]) for k in texts} == texts | {k: v for k, v in floats.items() if k in texts}


@pytest.mark.parametrize("name", STARTS)
def test_a_recorder_starts_where_it_is_asked_for(name, build, declared):
    """It has the contract, the joints' prefix and the clock of the other nodes, in their namespace."""
    nodes = build(name, record="true", record_to="bag", joint_prefix="left_", namespace="cell").nodes
    assert set(nodes) == {*STARTS[name], "recorder"}
    recorder, controller = nodes["recorder"], nodes["policy_controller"]
    assert str(recorder.namespace) == "cell"
    passed, theirs = recorder.parameters[-1], controller.parameters[-1]
    assert passed.pop("folder") == "bag"
    assert set(passed) == {"contract_file", "joint_prefix", "autostart", "use_sim_time"}
    assert passed == {name: theirs[name] for name in passed}
    assert {"folder", *passed} - set(declared["recorder"]["plain"]) == set()


@pytest.mark.parametrize("name", STARTS)
def test_a_joint_prefix_reaches_generator_and_controller(name, build, declared):
    nodes = build(name, joint_prefix="left_").nodes
    for node in ("policy_generator", "policy_controller"):
        assert nodes[node].parameters[-1]["joint_prefix"] == "left_"
        assert declared[node]["plain"]["joint_prefix"] == ""


@pytest.mark.parametrize("name", STARTS)
def test_a_robot_that_sends_faster_than_its_contract_is_answered_by_a_timer(name, build):
    assert build(name, trigger="timer").nodes["policy_controller"].parameters[-1]["trigger"] == "timer"


@pytest.mark.parametrize(("name", "latched"), [("metaworld", True), ("simulator", True), ("robot", False)])
def test_arguments_that_are_not_given_leave_the_parameter_files_alone(name, latched, build):
    nodes = build(name).nodes
    assert nodes["policy_controller"].parameters[-1]["run_latched"] is latched
    passed = {k for action in nodes.values() for k in action.parameters[-1]} - set(REQUIRED[name]) - set(FILES)
    held = {"hold_until_asked"} if name != "robot" else set()
    assert passed == {"run_latched", "autostart", "use_sim_time"} | held
    if held:  # a person at a keyboard asks after the load; in the node's own default a running policy goes on
        assert nodes[f"{name}_bridge"].parameters[-1]["hold_until_asked"] is True
    for action in nodes.values():
        assert action.parameters[-1]["autostart"] is True
        assert str(action.namespace) == ""


def test_a_simulation_names_the_contract_and_the_model_of_all_its_nodes(build):
    """No node has a robot's default, so the launch file of one robot gives them."""
    contract, model = ROOT / "config" / "metaworld.yaml", ROOT / "models" / "metaworld_mt10_anywhere.onnx"
    assert contract.is_file() and model.is_file()
    for node, action in build("metaworld").nodes.items():
        assert action.parameters[-1]["contract_file"] == str(contract)
        assert action.parameters[-1].get("model_file") == (str(model) if node == "policy_generator" else None)


def test_params_file_comes_between_ours_and_the_arguments(build, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {}}")
    for action in build("metaworld", params_file=str(file), namespace="cell").nodes.values():
        assert [str(p) for p in action.parameters[1:2]] == [str(file)]
        assert len(action.parameters) == 3 and isinstance(action.parameters[2], dict)
        assert str(action.namespace) == "cell"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("robot", {"policy_timeout_s": "abc"}, f"argument policy_timeout_s: found 'abc', expected a number {SECONDS}"),
        ("robot", {"policy_timeout_s": "-3"}, f"argument policy_timeout_s: found '-3', expected a number {SECONDS}"),
        ("robot", {"policy_timeout_s": "nan"}, f"argument policy_timeout_s: found 'nan', expected a number {SECONDS}"),
        ("robot", {"params_file": "nowhere.yaml"}, "argument params_file: found no file 'nowhere.yaml'"),
        ("metaworld", {"policy_timeout_s": "abc"}, "argument policy_timeout_s: found 'abc', expected a number"),
        ("metaworld", {"observation_delay_s": "late"}, "argument observation_delay_s: found 'late', expected a number"),
        ("metaworld", {"observation_delay_s": "1.5"}, "found '1.5', expected a number from 0 to 1"),
        ("metaworld", {"layout": "-1"}, f"argument layout: found '-1', expected a whole number {LAYOUTS}"),
        ("metaworld", {"layout": "9" * 20}, f"argument layout: found '{'9' * 20}', expected a whole number {LAYOUTS}"),
        ("metaworld", {"layout": "1.5"}, f"argument layout: found '1.5', expected a whole number {LAYOUTS}"),
        (
            "robot",
            {"polcy_timeout_s": "5"},
            "argument 'polcy_timeout_s' (did you mean policy_timeout_s?): found no such",
        ),
        ("metaworld", {"polcy_timeout_s": "5", "xyz": "1"}, "(did you mean policy_timeout_s?), 'xyz': found no such"),
        (
            "robot",
            {"task": "drawer-open-v3"},
            "argument 'task': found no such argument, expected those that --show-args",
        ),
        ("metaworld", {"params_file": "nowhere.yaml"}, "argument params_file: found no file 'nowhere.yaml'"),
        ("robot", {"record": "true"}, "argument record_to: found nothing, expected the folder of the recording"),
        ("metaworld", {"record_to": "bag"}, "argument record_to: found 'bag' without record:=true, expected both"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(name, given, sentence, build, monkeypatch):
    started = []
    monkeypatch.setattr(Built, "_node", lambda self, executable, **others: started.append(executable))
    with pytest.raises(RuntimeError) as error:
        build(name, **given)
    assert sentence in str(error.value)
    assert started == []  # `ros2 launch` would end and leave them running


@pytest.mark.parametrize("name", STARTS)
def test_arguments_of_launch_and_of_an_including_launch_file_are_nobodys_mistake(name, build, monkeypatch):
    started = build(name, **{"launch-prefix": "nice", "emulate_tty": "true"}).nodes
    assert set(started) == STARTS[name]
    context = types.SimpleNamespace(argv=["fleet:=3"], locals=types.SimpleNamespace())  # of somebody's own script
    checks.require_known(context, ROOT / "launch" / f"{name}.launch.py", ["task"])
    other = types.SimpleNamespace(launch_description_source=types.SimpleNamespace(location=__file__))
    context.locals.event = types.SimpleNamespace(launch_description=types.SimpleNamespace(entities=[other]))
    checks.require_known(context, ROOT / "launch" / f"{name}.launch.py", ["task"])
    other.launch_description_source.location = str(ROOT / "launch" / f"{name}.launch.py")
    with pytest.raises(RuntimeError, match="argument 'fleet'"):
        checks.require_known(context, ROOT / "launch" / f"{name}.launch.py", ["task"])


@pytest.mark.parametrize("name", STARTS)
def test_a_node_that_cannot_be_used_ends_the_launch_and_one_that_crashed_does_not(name, build):
    """launch ends with another status than 0 for exceptions, and then starts nothing again."""
    running, ending = types.SimpleNamespace(is_shutdown=False), types.SimpleNamespace(is_shutdown=True)
    for node, action in build(name).nodes.items():
        for status in (1, 2):
            event = types.SimpleNamespace(returncode=status, process_name=f"{node}-1")
            with pytest.raises(RuntimeError, match=f"{node}-1 ended with status {status} and cannot be used"):
                action.on_exit(event, running)
            assert action.on_exit(event, ending) is None
        for status in (0, 70, -9, -11):
            event = types.SimpleNamespace(returncode=status, process_name=f"{node}-1")
            assert action.on_exit(event, running) is None


def test_ranges_of_launch_arguments_are_those_of_the_nodes(build, declared):
    """What launch lets through, a node takes, and the other way round."""
    for name, node, parameter in (
        ("metaworld", "metaworld_bridge", "layout"),
        ("metaworld", "metaworld_bridge", "observation_delay_s"),
        ("simulator", "simulator_bridge", "layout"),
        ("robot", "policy_controller", "policy_timeout_s"),
        ("robot", "policy_generator", "observation_timeout_s"),
    ):
        least, largest = declared[node]["ranges"][parameter]
        for value in (least, largest):
            build(name, **{parameter: str(value)})
        for value in (least - 1, 1.01 * largest if isinstance(largest, float) else largest + 1):
            with pytest.raises(RuntimeError, match=f"argument {parameter}: "):
                build(name, **{parameter: str(value)})


def test_docs_name_every_parameter_and_argument(build, declared):
    text = (ROOT / "docs/reference/nodes.md").read_text()
    names = {n for node in NODES for n in declared[node]["plain"]} - OF_RCLPY
    names |= {argument for name in STARTS for argument in build(name).arguments}
    assert [n for n in sorted(names) if f"`{n}`" not in text] == []


def test_docs_of_safety_name_tests_that_exist():
    text = (ROOT / "docs/explanation/safety.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) > 30
    for file, function in named:
        (path,) = (ROOT / "test").rglob(file)
        assert f"def {function}(" in path.read_text(encoding="utf-8"), f"{file}::{function}"

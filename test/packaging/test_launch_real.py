"""The launch files run by the real `launch`; executables that write down their arguments stand in for the nodes.

`launch` and `launch_ros` are not on PyPI: everything here is skipped, in CI too, unless a ROS 2 is sourced.
`scripts/check_launch` runs the real `ros2 launch` with the real nodes.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NODES = ("policy_generator", "policy_controller", "recorder", "simulator_bridge", "metaworld_bridge")
OF_ROBOT = {"policy_generator", "policy_controller"}
STARTS = {
    "metaworld": {*OF_ROBOT, "metaworld_bridge"},
    "simulator": {*OF_ROBOT, "simulator_bridge"},
    "robot": OF_ROBOT,
}
FILES = {"contract_file": "robot.yaml", "model_file": "model.onnx"}
REQUIRED = {"metaworld": {}, "simulator": {"environment": "own.yaml", **FILES}, "robot": FILES}

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None,
    reason="launch_ros is not installed (it is not on PyPI): source a ROS 2 to run this",
)

# What `ros2 launch` does (ros2launch.api.launch_a_launch_file).
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [argument.split(":=") for argument in sys.argv[2:]]
service = LaunchService(argv=sys.argv[2:])
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""

OTHER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def generate_launch_description():
    robot = PythonLaunchDescriptionSource({path!r})
    given = {{"contract_file": "robot.yaml", "model_file": "model.onnx"}}
    include = IncludeLaunchDescription(robot, launch_arguments=given.items())
    return LaunchDescription([DeclareLaunchArgument("fleet"), include])
"""


class Installation:
    """A prefix with our launch files, in which shell scripts are the nodes."""

    def __init__(self, prefix: Path):
        self.prefix = prefix
        (prefix / "share/ament_index/resource_index/packages").mkdir(parents=True)
        (prefix / "share/ament_index/resource_index/packages/lwd_ros").touch()
        (prefix / "share/lwd_ros").mkdir()
        (prefix / "lib/lwd_ros").mkdir(parents=True)
        for folder in ("launch", "config"):
            (prefix / "share/lwd_ros" / folder).symlink_to(ROOT / folder)
        for node in NODES:
            self.node(node, "")

    def node(self, name: str, then: str) -> None:
        """Let a node write down its arguments and its starts, and do what the shell lines `then` say."""
        script = self.prefix / "lib/lwd_ros" / name
        note = f'echo "$@" > {self.prefix}/{name}.txt\necho >> {self.prefix}/{name}.starts'
        script.write_text(f"#!/bin/sh\n{note}\n{then}\n")
        script.chmod(0o755)

    def starts(self, name: str) -> int:
        """How often a node was started."""
        path = self.prefix / f"{name}.starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def launch(self, file: Path, **given) -> subprocess.CompletedProcess:
        """Launch a file to its end."""
        environment = {**os.environ, "ROS_LOG_DIR": str(self.prefix / "log")}
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join([str(self.prefix), os.environ.get("AMENT_PREFIX_PATH", "")])
        command = [sys.executable, "-c", RUN, str(file), *(f"{key}:={value}" for key, value in given.items())]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def launch_ours(self, name: str, **given) -> subprocess.CompletedProcess:
        """Launch one of ours, with the arguments that it requires."""
        return self.launch(ROOT / "launch" / f"{name}.launch.py", **{**REQUIRED[name], **given})


@pytest.fixture
def installation(tmp_path):
    """An installation whose nodes end at once with status 0."""
    return Installation(tmp_path)


@pytest.mark.parametrize("name", STARTS)
def test_nodes_are_started_with_what_was_given(name, installation, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("policy_controller: {ros__parameters: {policy_timeout_s: 1.0}}")
    done = installation.launch_ours(name, namespace="cell", policy_timeout_s="5", params_file=str(mine))
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path.stem: path.read_text().split() for path in tmp_path.glob("*.txt")}
    assert set(written) == STARTS[name]
    for node, words in written.items():
        assert f"__node:={node}" in words and "__ns:=/cell" in words and "--log-level" in words
        files = [words[i + 1] for i, word in enumerate(words) if word == "--params-file"]
        assert files[:2] == [str(tmp_path / "share/lwd_ros/config" / f"{node}.yaml"), str(mine)]
        # Named after the node, or mine.yaml's section of that name would win over the arguments.
        assert list(yaml.safe_load(Path(files[2]).read_text())) == [f"/cell/{node}"]
    controller = written["policy_controller"]
    arguments = yaml.safe_load(Path(controller[-1]).read_text())["/cell/policy_controller"]["ros__parameters"]
    assert arguments["policy_timeout_s"] == 5.0 and isinstance(arguments["policy_timeout_s"], float)
    assert arguments["run_latched"] is (name != "robot")


@pytest.mark.parametrize("respawn", ["false", "true"])
@pytest.mark.parametrize(("name", "node"), [("robot", "policy_controller"), ("metaworld", "metaworld_bridge")])
def test_a_node_that_cannot_be_used_ends_all_with_status_1(name, node, respawn, installation):
    for other in STARTS[name] - {node}:
        installation.node(other, "exec sleep 50")
    installation.node(node, "exit 1")
    done = installation.launch_ours(name, use_respawn=respawn)
    assert done.returncode == 1
    said = done.stderr + done.stdout
    assert f"{node}-" in said and "ended with status 1 and cannot be used" in said
    assert {installation.starts(each) for each in STARTS[name]} == {1}


def test_a_crash_is_started_again_until_it_cannot_be_used(installation):
    starts = installation.prefix / "policy_controller.starts"
    installation.node("policy_generator", "exec sleep 50")
    installation.node("policy_controller", f"[ $(wc -l < {starts}) -ge 2 ] && exit 1\nkill -9 $$")
    done = installation.launch_ours("robot", use_respawn="true")
    assert done.returncode == 1
    assert installation.starts("policy_controller") == 2


@pytest.mark.parametrize("name", STARTS)
def test_an_unknown_argument_starts_nothing(name, installation):
    done = installation.launch_ours(name, polcy_timeout_s="5")
    assert done.returncode == 1
    assert "argument 'polcy_timeout_s' (did you mean policy_timeout_s?)" in done.stderr + done.stdout
    assert sum(map(installation.starts, NODES)) == 0


def test_arguments_of_a_launch_file_that_includes_ours_are_its_own(installation, tmp_path):
    other = tmp_path / "robot.launch.py"  # of the same name as ours
    other.write_text(OTHER.format(path=str(ROOT / "launch" / "robot.launch.py")))
    done = installation.launch(other, fleet="3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installation.starts("policy_controller") == 1

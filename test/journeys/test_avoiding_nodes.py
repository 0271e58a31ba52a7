"""Proves that the rod goes its way through real nodes: collected, trained, exported, sent by the bridge, commanded."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulators are not installed")

import yaml
from click.testing import CliRunner
from geometry_msgs.msg import TwistStamped
from nodes_support import Cell
from visualization_msgs.msg import Marker

from lwd_msgs.msg import ControllerStatus
from lwd_ros.cli import cli
from lwd_ros.contract import Contract
from lwd_ros.environments import registry
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.recording import read_recording
from lwd_ros.generator import PolicyGenerator
from lwd_ros.resources import share_path

CONTRACT = share_path("config", "avoiding.yaml")
WAYS = {"L-L-1", "R-R-4"}  # open in every layout
STEPS, LAYOUT = 60, 100_003


def lwd(*words) -> str:
    """Run a command of `lwd` in this process; what it printed."""
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model file that knows two ways through varied scenes, made by the commands that a user types."""
    folder = tmp_path_factory.mktemp("avoiding")
    hidden = [name for name in Contract.load(CONTRACT).observation_names if name.startswith("cylinder")]
    config = {
        "name": "two_ways",
        "hidden_layers": [16, 16],
        "hide": hidden,
        "condition_on_observation": True,
        "autoencoder": {"steps": 600, "demonstrations": 12, "own_share": 1.0, "kl_weight": 1e-6, "latent_size": 4},
        "diffusion": {"steps": 400, "batch": 16},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    said = lwd("collect", "--tasks", "avoiding/varied", "--experts", ",".join(sorted(WAYS)), "--frequencies", "1,2",
               "--episodes", 30, "--workers", 1, "--out", folder / "data")  # fmt: skip
    assert "ways of varied: L-L-1 10, R-R-4 20" in said
    lwd("train", "--config", folder / "train.yaml", "--data", folder / "data", "--out", folder / "run")
    lwd("export", "--run", folder / "run", "--out", folder / "ways.onnx")
    return folder / "ways.onnx"


def test_the_rod_goes_through_the_nodes_as_in_one_process(model, tmp_path):
    """Bridge, generator and controller in lock step; the generator sees the scene in the first observation."""
    contract = Contract.load(CONTRACT)
    environment = registry.simulator("avoiding").make("varied", contract)
    scene = environment.reset(LAYOUT)
    for seed in range(1, 41):  # the comparison is weaker for a policy that does not do the task
        policy = PolicyGenerator(model).generate("varied", seed, scene)
        if run_episode(environment, PolicyActor(policy, contract), LAYOUT).success and environment.way() in WAYS:
            break
    else:
        pytest.fail("none of 40 policies does the task")
    commands, markers = {}, {}
    with Cell(tmp_path, bridge="simulator_bridge") as cell:
        settings = {"environment": "avoiding", "mode": "lockstep", "record_file": tmp_path / "film.npz"}
        cell.start_node("simulator_bridge", settings)
        cell.start_node("policy_generator", {"model_file": model, "contract_file": CONTRACT, "use_sim_time": True})
        cell.start_node("policy_controller", {"contract_file": CONTRACT, "use_sim_time": True})

        def on_command(message: TwistStamped) -> None:
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            commands.setdefault(stamp, (message.twist.linear.x, message.twist.linear.y))

        cell.subscribe(TwistStamped, "rod/velocity_command", on_command, 1000)
        cell.subscribe(Marker, "cylinder_6", lambda message: markers.update(last=message))
        cell.wait("the controller", lambda: cell.controller is not None)
        cell.load("varied", LAYOUT)
        cell.wait("the scene", lambda: "last" in markers)
        cell.spin(1.0)
        response = cell.generate("varied", seed)
        assert response.success, response.message
        cell.wait(f"{STEPS} steps", lambda: cell.task.step >= STEPS and len(commands) > STEPS)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE
        marker = markers["last"]
    stamps = sorted(set(commands) - {0})[:STEPS]  # 0: safe commands, which answer nothing
    assert np.all(np.diff(stamps) == 50_000_000), "a step was left out"

    assert (marker.type, marker.scale.x / 2) == (Marker.CYLINDER, environment.scene.radii[5])
    assert [marker.pose.position.x, marker.pose.position.y] == environment.scene.centres[5].tolist()
    (film,) = read_recording(tmp_path / "film.npz")
    assert (film.task, film.layout) == ("varied", LAYOUT) and len(film.state) > STEPS
    assert np.array_equal(film.state[:, 2:], np.tile(environment.state()[2:], (len(film.state), 1)))
    assert film.state[0, :2].tolist() == environment.scene.start.tolist() and film.state[STEPS, 1] > film.state[0, 1]
    expected = run_episode(
        environment, PolicyActor(policy, contract), LAYOUT, steps=STEPS, stop_at_success=False, record=True
    )
    np.testing.assert_allclose(
        np.array([commands[stamp] for stamp in stamps]), expected.record.commands, rtol=0, atol=1e-6
    )


def test_ways_are_measured_by_the_command_line(model, tmp_path):
    """Against the demonstrations, which went one of two ways twice as often as the other."""
    path = tmp_path / "ways.json"
    said = lwd("evaluate", "--model", model, "--ways", "--demonstrations", model.parent / "data", "--episodes", 24,
               "--workers", 1, "--json", path)  # fmt: skip
    assert "JS distance" in said and "commitment" in said
    result = json.loads(path.read_text())
    ways = result["tasks"]["varied"]["ways"]
    assert sum(ways["counts"].values()) + ways["failed"] == 24 and ways["unknown"] == 0
    assert ways["coverage_expected"] == pytest.approx(1.0, abs=0.05) and ways["commitment"]["policies"] <= 24
    assert ways["entropy"] <= np.log(len(ways["counts"]) or 1) / np.log(24) + 1e-9
    assert result["protocol"]["ways"]["commitment"]["runs"] == 10

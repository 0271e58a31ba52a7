"""Pins that the nodes do what the in-process rollout does, and that the demo tells its story."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from nodes_support import running_cell
from sensor_msgs.msg import JointState

from lwd_ros.contract import Contract, stacked
from lwd_ros.dataset import Demonstrations
from lwd_ros.demo.story import DEFAULT_MODEL
from lwd_ros.demo.supervisor import isolated_environment
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.generator import PolicyGenerator
from lwd_ros.nodes.conversions import to_nanoseconds
from lwd_ros.resources import share_path

STEPS = 150
CONTRACT = share_path("config", "metaworld.yaml")
AGE_CONTRACT = share_path("config", "metaworld_age.yaml")
ROBUST_MODEL = share_path("models", "metaworld_mt10_robust.onnx")


def commands_of_nodes(
    folder: Path, task: str, layout: int, seed: int, contract: Path = CONTRACT, model: Path | None = None
) -> tuple[np.ndarray, int]:
    """What the nodes command in lock step, float64 [STEPS, commands], and the step of the first success."""
    hand, gripper = {}, {}
    given = {"contract_file": str(contract)}
    with running_cell(
        folder,
        bridge={**given, "mode": "lockstep"},
        generator={**given, "model_file": str(model)} if model else given,
        controller={**given, "use_sim_time": True},
    ) as cell:

        def stamp(message) -> int:
            return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec

        def on_hand(message: TwistStamped) -> None:
            linear = message.twist.linear
            values = (linear.x, linear.y, linear.z)
            assert hand.setdefault(stamp(message), values) == values or stamp(message) == 0, "two answers to one stamp"

        cell.subscribe(TwistStamped, "hand/velocity_command", on_hand, 1000)
        cell.subscribe(JointState, "gripper/command", lambda m: gripper.setdefault(stamp(m), m.effort[0]), 1000)
        cell.load(task, layout)
        cell.spin(2.0)  # who types the next command takes longer than a real sensor's clock may stand still
        assert cell.generate(task, seed).success
        cell.wait(f"{STEPS} steps", lambda: cell.task.step >= STEPS and len(gripper) > STEPS and len(hand) > STEPS)
        first_success = cell.task.first_success_step
    assert " waits: " not in (folder / "policy_controller.log").read_text()
    stamps = sorted(set(hand) - {0})[:STEPS]  # 0: safe commands, which answer nothing
    assert np.all(np.diff(stamps) == 12_500_000), "a step was left out"
    return np.array([(*hand[key], gripper[key]) for key in stamps]), first_success


@pytest.mark.parametrize(("task", "layout", "seed"), [("drawer-open-v3", 700_001, 5), ("pick-place-v3", 700_002, 6)])
def test_lockstep_rollout_equals_in_process_rollout(tmp_path, task, layout, seed):
    """Same commands, bit for bit but for 1e-6, and the same step of success: one contract, one code path."""
    commands, first_success = commands_of_nodes(tmp_path, task, layout, seed)
    scene = Scene(task, Contract.load(CONTRACT))
    scene.reset(layout)
    policy = PolicyGenerator(share_path("models", DEFAULT_MODEL)).generate(task, seed)
    actor = PolicyActor(policy, scene.contract)
    expected = run_episode(scene, actor, None, steps=STEPS, stop_at_success=False, record=True)
    assert expected.success, "the comparison is weaker for a policy that does not do the task"
    np.testing.assert_allclose(commands, expected.record.commands, rtol=0, atol=1e-6)
    assert first_success == expected.first_success_step


def test_a_policy_of_several_frames_is_the_same_in_process_and_through_the_nodes(tmp_path):
    """The shipped contract with a history of 3, from demonstrations to the nodes' commands."""
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.export import export
    from lwd_ros.learning.train import train

    task, layout, seed, path = "drawer-open-v3", 700_001, 5, tmp_path / "three_frames.yaml"
    path.write_text(CONTRACT.read_text(encoding="utf-8").replace("history: 1 ", "history: 3 "), encoding="utf-8")
    contract = Contract.load(path)
    assert contract.history == 3
    collect(tmp_path / "data", (task,), contract, CollectSettings(episodes=4), workers=1)
    run = train(
        TrainConfig.from_dict(
            {
                "name": "three_frames",
                "hidden_layers": [8],
                "autoencoder": {"steps": 400, "demonstrations": 4, "pairs": 64, "latent_size": 4},
                "diffusion": {"steps": 100, "batch": 16, "width": 32, "blocks": 1, "sampling_steps": 4},
            }
        ),
        Demonstrations(tmp_path / "data", contract),
        tmp_path / "run",
    )
    model = tmp_path / "three_frames.onnx"
    export(run, model)
    scene = Scene(task, contract)
    scene.reset(layout)
    actor = PolicyActor(policy := PolicyGenerator(model).generate(task, seed, scene.observe()), contract)
    expected = run_episode(scene, actor, None, steps=STEPS, stop_at_success=False, record=True)
    observed = expected.record.observations
    # The comparison is weak for a hand that does not move, and for a policy that earlier frames do not matter to.
    assert np.ptp(observed[:, :3], axis=0).max() > 0.05
    without = [policy.forward(np.tile(frame, 3), np.empty(4)).copy() for frame in observed]
    with_them = [policy.forward(seen, np.empty(4)).copy() for seen in stacked(contract, observed)]
    assert np.abs(np.subtract(without, with_them)).max() > 1e-2

    commands, first_success = commands_of_nodes(tmp_path, task, layout, seed, path, model)
    np.testing.assert_allclose(commands, expected.record.commands, rtol=0, atol=1e-6)
    assert first_success == expected.first_success_step


def test_a_policy_that_is_told_the_age_does_its_task_with_sensors_100_ms_late(tmp_path):
    """Real time, real lateness: what the controller commands answers observations of eight steps before."""
    given = {"contract_file": str(AGE_CONTRACT)}
    ages, told, stamps = [], [], []
    with running_cell(
        tmp_path,
        bridge={**given, "observation_delay_s": 0.1},
        generator={**given, "model_file": str(ROBUST_MODEL)},
        controller={**given, "use_sim_time": True},
    ) as cell:

        def on_hand(message: TwistStamped) -> None:
            answered = to_nanoseconds(message.header.stamp)
            if answered:
                ages.append((to_nanoseconds(cell.task.header.stamp) - answered) * 1e-9)

        def on_diagnostics(message: DiagnosticArray) -> None:
            values = {value.key: value.value for status in message.status for value in status.values}
            if values.get("outcome") == "continue":
                told.append(float(values["told_observation_age_s"]))

        cell.subscribe(TwistStamped, "hand/velocity_command", on_hand)
        cell.subscribe(DiagnosticArray, "/diagnostics", on_diagnostics)
        cell.subscribe(PoseStamped, "hand/pose", lambda message: stamps.append(to_nanoseconds(message.header.stamp)))
        for task, layout in (("drawer-open-v3", 700_001), ("button-press-topdown-v3", 700_003)):
            cell.load(task, layout)
            assert cell.generate(task, 5).success
            cell.wait(f"success of {task}", lambda task=task: cell.task.task == task and cell.task.succeeded)
            assert cell.task.first_success_step < 500
        assert not cell.controller.outside_training_range
    assert 0.08 < np.median(ages) < 0.13
    assert min(told) > 0.099
    # A sensor that is late goes on over a reset: nothing is silent for as long as it is late.
    assert len(stamps) > 100 and np.diff(stamps).max() < 0.1e9


@pytest.mark.parametrize(
    ("arguments", "parameters"), [((), 692), (("--model", ROBUST_MODEL, "--contract", AGE_CONTRACT), 708)]
)
def test_demo_tells_its_story(tmp_path, arguments, parameters):
    """The command line a user types: status 0, three successes, every promised figure in the summary."""
    command = [sys.executable, "-m", "lwd_ros.cli", "demo", "--out", tmp_path / "demo", "--no-video", *arguments]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["success"]
    tasks = [request["task"] for request in summary["requests"]]
    assert tasks == ["drawer-open-v3", "drawer-close-v3", "drawer-open-v3"]
    assert len({request["policy_id"] for request in summary["requests"]}) == 3
    for request in summary["requests"]:
        assert request["success"] and 0 < request["steps_to_success"] < 500
        assert request["request_to_response_ms"] > 0
        assert request["parameters"] == parameters
        assert request["seed"] > 0
        assert {"response_to_first_command_ms", "ticks_missed"} <= request.keys()
    assert (tmp_path / "demo" / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_demo_fails_where_the_model_cannot_do_it(tmp_path):
    """The exit status means something: a model file that is not there ends in status 1 and the generator's sentence."""
    command = [sys.executable, "-m", "lwd_ros.cli", "demo", "--out", str(tmp_path / "demo"), "--no-video"]
    done = subprocess.run(
        [*command, "--model", str(tmp_path / "nothing.onnx")],
        env=isolated_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 1
    assert "nothing.onnx: cannot be read" in done.stdout
    assert not json.loads((tmp_path / "demo" / "summary.json").read_text())["success"]

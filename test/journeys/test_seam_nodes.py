"""Proves the seam: a Gymnasium robot goes from demonstrations to nodes by files alone, without a line of lwd_ros."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from nodes_support import Cell
from sensor_msgs.msg import JointState

from lwd_msgs.msg import ControllerStatus
from lwd_ros.cli import cli
from lwd_ros.contract import Contract
from lwd_ros.environments import registry
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.episode import run_episode
from lwd_ros.evaluation.evaluate import evaluate
from lwd_ros.generator import PolicyGenerator

PENDULUM = Path(__file__).resolve().parents[2] / "examples" / "inverted_pendulum"
ENVIRONMENT, CONTRACT = PENDULUM / "environment.yaml", PENDULUM / "contract.yaml"
STEPS = 150


def lwd(*words) -> str:
    """Run a command of `lwd` in this process; what it printed."""
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The pendulum's model file, made by the commands that a user types."""
    folder = tmp_path_factory.mktemp("pendulum")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PENDULUM)  # where `expert.py` is
        noise = ("--noise", 0.05, 0.25)
        of = ("--environment", "environment.yaml", "--expert", "expert:balance")
        lwd("collect", *of, *noise, "--episodes", 30, "--workers", 1, "--out", folder / "data")
        lwd("train", "--config", "train.yaml", "--data", folder / "data", "--out", folder / "run")
    return _exported(folder, "run")


def _exported(folder: Path, run: str) -> Path:
    lwd("export", "--run", folder / run, "--out", folder / f"{run}.onnx")
    return folder / f"{run}.onnx"


@pytest.fixture(scope="module")
def untrained(model):
    """What the same commands make without training."""
    config = model.parent / "untrained.yaml"
    text = (PENDULUM / "train.yaml").read_text()
    config.write_text(text.replace("steps: 600", "steps: 1").replace("steps: 400", "steps: 1"))
    assert config.read_text().count("steps: 1,") == 2
    lwd("train", "--config", config, "--data", model.parent / "data", "--out", model.parent / "untrained")
    return _exported(model.parent, "untrained")


def test_a_model_balances_the_pole_and_an_untrained_one_does_not(model, untrained):
    found, chance = (
        evaluate(file, ("balance",), 10, 100_000, 1, environment=ENVIRONMENT)["tasks"]["balance"]["successes"]
        for file in (model, untrained)
    )
    assert found >= 8
    assert chance <= 2


def test_the_command_line_evaluates_it_by_the_path_of_its_file(model):
    printed = lwd("evaluate", "--model", model, "--environment", ENVIRONMENT, "--episodes", 5, "--workers", 1)
    assert "balance" in printed and "/5 " in printed


def test_a_rollout_through_the_nodes_equals_one_in_process(model, tmp_path):
    """Bridge, generator and controller in lock step; the generator needs no contract but the model's."""
    efforts = {}
    with Cell(tmp_path, bridge="simulator_bridge") as cell:
        cell.start_node("simulator_bridge", {"environment": ENVIRONMENT, "mode": "lockstep"})
        cell.start_node("policy_generator", {"model_file": model, "contract_file": "''"})
        cell.start_node("policy_controller", {"contract_file": CONTRACT, "use_sim_time": True})

        def on_command(message: JointState) -> None:
            efforts.setdefault(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, message.effort[0])

        cell.subscribe(JointState, "cart/command", on_command, 1000)
        cell.wait("the controller", lambda: cell.controller is not None)
        cell.load("balance", 100_007)
        cell.spin(1.0)
        assert cell.generate("balance", 3).success
        cell.wait(f"{STEPS} steps", lambda: cell.task.step >= STEPS and len(efforts) > STEPS)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE
        first_success = cell.task.first_success_step
    stamps = sorted(set(efforts) - {0})[:STEPS]  # 0: safe commands, which answer nothing
    assert np.all(np.diff(stamps) == 40_000_000), "a step was left out"
    commands = np.array([[efforts[stamp]] for stamp in stamps])

    contract = Contract.load(CONTRACT)
    environment = registry.simulator(ENVIRONMENT).make("balance", contract)
    actor = PolicyActor(PolicyGenerator(model).generate("balance", 3), contract)
    expected = run_episode(environment, actor, 100_007, steps=STEPS, stop_at_success=False, record=True)
    assert expected.success, "the comparison is weaker for a policy that does not do the task"
    np.testing.assert_allclose(commands, expected.record.commands, rtol=0, atol=1e-6 * 300.0)
    assert first_success == expected.first_success_step == 100

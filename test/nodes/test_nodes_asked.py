"""Pins that nothing moves a simulated arm in a scene that its policy was not asked for (`hold_until_asked`)."""

import importlib
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from nodes_support import Cell, running_cell
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GetPolicy
from lwd_ros.generator import PolicyGenerator
from lwd_ros.nodes.conversions import policy_to_message, to_stamp
from lwd_ros.nodes.streams import LATCHED

OPEN, CLOSE = "drawer-open-v3", "drawer-close-v3"
HELD = {"hold_until_asked": True}


class Arm:
    """Where the hand was, in m, and whether it moves."""

    def __init__(self, cell: Cell):
        self.cell, self.positions = cell, []
        cell.subscribe(PoseStamped, "hand/pose", self._on_pose)

    def _on_pose(self, message: PoseStamped) -> None:
        position = message.pose.position
        self.positions.append((position.x, position.y, position.z))

    def moved(self, seconds: float) -> float:
        """How far it moves from now on, m."""
        self.positions.clear()
        self.cell.spin(seconds)
        self.cell.wait("observations", lambda: len(self.positions) > 5)
        return float(np.ptp(self.positions, axis=0).max())

    def assert_held(self) -> None:
        """The bridge says that the arm is held, and it stands still once it has swung into its place."""
        step = self.cell.task.step
        self.cell.wait("the hand to be in its place", lambda: self.cell.task.step > step + 240)
        assert self.moved(1.0) < 1e-3
        assert self.cell.task.holding and self.cell.task.missed_ticks == 0


def diagnostics(cell: Cell) -> list[str]:
    """What the bridge's diagnostics say, as they come."""
    sentences = []

    def on_diagnostics(message: DiagnosticArray) -> None:
        sentences.extend(status.message for status in message.status if status.name.endswith("metaworld_bridge"))

    cell.subscribe(DiagnosticArray, "/diagnostics", on_diagnostics)
    return sentences


def line(cell: Cell, words: str, node: str = "metaworld_bridge") -> int:
    """How often a sentence is in a node's log."""
    return cell.tail(node, 10_000).count(words)


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
def test_a_loaded_task_waits_for_its_own_policy(tmp_path, mode):
    """Into another task in mid-motion, with the state kept: the old policy goes on, and nothing of it moves the arm."""
    controller = {"use_sim_time": mode == "lockstep"}
    with running_cell(tmp_path, {**HELD, "mode": mode}, None, controller) as cell:
        sentences = diagnostics(cell)
        arm = Arm(cell)
        cell.load(OPEN, 700_040)
        cell.spin(1.0)
        assert cell.generate(OPEN).success
        cell.wait("success", lambda: cell.task.succeeded)
        assert not cell.task.holding
        cell.load(CLOSE, 0, keep_state=True)
        arm.assert_held()
        assert cell.controller.task == OPEN and cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE
        asked = f"ask for one: ros2 service call {cell.namespace}/policy_generator/generate_policy lwd_msgs/srv/"
        assert line(cell, f"'{CLOSE}' is loaded: the arm is held until a policy for it commands; {asked}") == 1
        reason = f"'{CLOSE}' is loaded, and the arm is held until a policy for it commands: the policy that runs is for"
        cell.wait("diagnostics", lambda: any(reason in sentence for sentence in sentences))
        before = cell.task.step
        policy = cell.generate(CLOSE).policy_id
        cell.wait("success", lambda: cell.task.succeeded)
        assert line(cell, f"policy {policy} for '{CLOSE}' commands: the arm is held no more") == 1
        assert cell.task.first_success_step > before


def test_lock_step_starts_with_the_policys_first_command(tmp_path):
    """No policy ran before: however long its request takes, no step is taken without it, and the hold costs none."""
    with running_cell(tmp_path, {**HELD, "mode": "lockstep"}, None, {"use_sim_time": True}) as cell:
        first = cell.load(OPEN, 700_041).stamp
        cell.spin(1.0)
        assert cell.task.step == 0 and cell.task.holding
        assert cell.generate(OPEN, 5).success
        cell.wait("success", lambda: cell.task.succeeded)
        assert cell.controller.policy_first_stamp == first
        assert cell.task.first_success_step < 200


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
def test_a_bridge_that_starts_again_moves_nothing_before_it_is_asked(tmp_path, mode):
    """kill -9 and a respawn: a new layout of the same task, in which the policy that still runs was not asked for."""
    bridge = {**HELD, "mode": mode, "task": OPEN}
    with running_cell(tmp_path, bridge, None, {"use_sim_time": mode == "lockstep"}) as cell:
        assert cell.generate(OPEN).success
        cell.wait("success", lambda: cell.task.succeeded)
        cell.processes["metaworld_bridge"].send_signal(signal.SIGKILL)
        cell.processes["metaworld_bridge"].wait()
        cell.task = None
        cell.start_node("metaworld_bridge", bridge)
        cell.wait("the bridge", lambda: cell.task is not None)
        arm = Arm(cell)
        running = ControllerStatus.OUTCOME_CONTINUE
        cell.wait("the policy to answer again", lambda: cell.controller.outcome == running)
        arm.assert_held()
        assert not cell.task.succeeded
        assert cell.generate(OPEN).success
        cell.wait("success", lambda: cell.task.succeeded)


def test_a_reset_waits_for_a_new_policy_though_one_for_the_task_runs(tmp_path):
    with running_cell(tmp_path, HELD | {"task": OPEN}) as cell:
        arm = Arm(cell)
        assert cell.generate(OPEN, 5).success
        cell.wait("success", lambda: cell.task.succeeded)
        assert cell.call(Trigger, "metaworld_bridge/reset").success
        cell.wait("the new episode", lambda: cell.task.episode == 2)
        arm.assert_held()
        assert "by its generator's clock" not in cell.tail("metaworld_bridge", 100)  # older, as it should be
        assert cell.generate(OPEN, 5).success  # the same weights, asked for anew
        cell.wait("success", lambda: cell.task.succeeded)


def test_a_policy_that_seems_older_than_the_load_is_named_with_the_difference(tmp_path, model_path):
    """A generator whose clock is an hour behind."""
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", HELD | {"task": OPEN})
        cell.start_node("policy_controller")
        arm, sentences = Arm(cell), diagnostics(cell)
        publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        cell.wait("the controller", lambda: publisher.get_subscription_count() == 2 and cell.task is not None)
        policy = PolicyGenerator(model_path).generate(OPEN, 5)
        publisher.publish(policy_to_message(policy, to_stamp(time.time_ns() - 3_600_000_000_000)))
        cell.wait_for_policy(policy.policy_id)
        arm.assert_held()
        words = f"a policy for '{OPEN}' runs that was generated 35"
        assert line(cell, words) == 1
        assert line(cell, "the clocks of generator and bridge are apart: synchronise them (NTP, PTP)") == 1
        cell.wait("diagnostics", lambda: any(words in sentence for sentence in sentences))
        publisher.publish(policy_to_message(policy, to_stamp(time.time_ns())))
        cell.wait("success", lambda: cell.task.succeeded)


def test_the_first_session_of_the_docs_works_as_it_is_typed(tmp_path):
    """Its service calls, in order, with the launch file's parameters and those that it is started with."""
    text = (Path(__file__).resolve().parents[2] / "docs/tutorial/first_contact.md").read_text(encoding="utf-8")
    session = text.partition("## A first session")[2].partition("\n## ")[0]
    timeout_s = float(re.search(r"metaworld.launch.py policy_timeout_s:=(\d+)", session)[1])
    calls = re.findall(r'^ros2 service call /(\S+) (\w+)/srv/(\w+)(?: "(.*)")?$', session, re.MULTILINE)
    controller = {"use_sim_time": True, "policy_timeout_s": timeout_s}
    with running_cell(tmp_path, HELD, {"use_sim_time": True}, controller) as cell:
        arm, tasks = Arm(cell), []
        for service, package, kind, given in calls:
            request = getattr(importlib.import_module(f"{package}.srv"), kind)
            fields = yaml.safe_load(given or "{}")
            response = cell.call(request, service, request.Request(**fields))
            assert response.success, response.message
            if kind == "LoadTask":
                cell.wait("the task", lambda fields=fields: cell.task is not None and cell.task.task == fields["task"])
                assert cell.task.holding
            elif kind == "GeneratePolicy":
                cell.wait(f"success of {fields['task']}", lambda: cell.task.succeeded)
                tasks.append(fields["task"])
                if len(tasks) == 1:  # a person reads on while its time runs out
                    cell.wait("the end of its time", lambda: "policy_timeout_s" in cell.controller.reason)
        assert tasks == [OPEN, CLOSE]
        cell.wait("the stop", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED)
        cell.spin(2.0)
        assert arm.moved(1.0) < 1e-3
        assert set(cell.stop().values()) == {0}  # Ctrl-C


def velocity(stamp_ns: int) -> TwistStamped:
    """A command by hand: 0.4 m/s in x."""
    message = TwistStamped()
    message.header.frame_id, message.header.stamp = "base", to_stamp(stamp_ns)
    message.twist.linear.x = 0.4
    return message


def test_commands_of_nobody_who_was_asked_are_refused_in_a_sentence(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", HELD | {"task": OPEN})
        hand = cell.node.create_publisher(TwistStamped, "hand/velocity_command", 10)
        arm = Arm(cell)
        cell.wait("the bridge", lambda: hand.get_subscription_count() > 0 and arm.positions)
        hand.publish(velocity(0))
        status = f"{cell.namespace}/policy_controller/status"
        sentence = (
            f"hand/velocity_command: found a command, but nobody publishes {status}, expected one that does: ignored"
        )
        cell.wait("the sentence", lambda: line(cell, sentence) == 1)
        assert "(parameter hold_until_asked)" in cell.tail("metaworld_bridge")
        cell.spin(1.0)
        assert line(cell, sentence) == 1
        arm.assert_held()
        cell.start_node("policy_controller")
        cell.wait("the controller", lambda: cell.controller is not None)

        def said() -> bool:  # until the bridge has discovered the controller
            hand.publish(velocity(0))
            return line(cell, f"found a command, but {status} shows no policy that runs") >= 1

        cell.wait("the sentence", said)


def test_lock_step_that_waits_says_for_which_stream(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", {"mode": "lockstep", "task": OPEN})
        sentences = diagnostics(cell)
        hand = cell.node.create_publisher(TwistStamped, "hand/velocity_command", 10)
        cell.wait("the bridge", lambda: hand.get_subscription_count() > 0 and cell.task is not None)
        cell.wait("diagnostics", lambda: "no commands arrive: the simulation waits" in sentences)
        stamp = cell.task.header.stamp
        hand.publish(velocity(stamp.nanosec))
        cell.wait("diagnostics", lambda: "no commands arrive on gripper/command: the simulation waits" in sentences)
        assert cell.task.step == 0


def test_a_command_from_the_future_shuts_no_controller_out(tmp_path):
    """As somebody makes who takes the stamp `now` of the clock on the wall, where stamps are of a simulation."""
    with running_cell(tmp_path, {"task": OPEN}) as cell:
        sentences = diagnostics(cell)
        hand = cell.node.create_publisher(TwistStamped, "hand/velocity_command", 10)
        cell.wait("the bridge", lambda: hand.get_subscription_count() > 0)

        nodes = f"(published by {cell.namespace}/policy_controller, {cell.namespace}/test_client)"
        refused = "commands are refused: hand/velocity_command: found stamp 1"

        def said() -> bool:
            hand.publish(velocity(time.time_ns()))
            return nodes in cell.tail("metaworld_bridge", 100) and any(refused in sentence for sentence in sentences)

        cell.wait("log and diagnostics", said)
        assert line(cell, "expected 0 or the stamp of an observation, at most ") >= 1
        assert cell.generate(OPEN).success
        cell.wait("success", lambda: cell.task.succeeded)


def test_a_bridge_without_a_task_says_once_how_to_load_one(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge")
        sentence = f"no task is loaded; load one: ros2 service call {cell.namespace}/metaworld_bridge/load_task "
        sentence += 'lwd_msgs/srv/LoadTask "{task: drawer-open-v3}"'
        cell.wait("the sentence", lambda: line(cell, sentence) == 1)
        cell.spin(2.5)
        assert line(cell, sentence) == 1
        assert "[WARN]" not in cell.tail("metaworld_bridge", 100)


def test_a_generator_that_starts_again_says_that_it_has_no_policy(tmp_path):
    """What an earlier one published is nobody's any more: a controller that starts later waits until somebody asks."""
    with Cell(tmp_path) as cell:
        process = cell.start_node("policy_generator")
        assert cell.generate(OPEN).success
        process.kill()
        process.wait()
        cell.start_node("policy_generator")
        response = cell.call(GetPolicy, "policy_generator/get_policy")
        assert not response.success
        call = f"ros2 service call {cell.namespace}/policy_generator/generate_policy lwd_msgs/srv/GeneratePolicy"
        assert response.message.startswith(
            f"this generator has generated no policy since it started; ask for one: {call}"
        )
        cell.start_node("metaworld_bridge", {"task": OPEN})
        cell.start_node("policy_controller")
        cell.wait("observations", lambda: cell.controller is not None and cell.controller.observation_age_s >= 0)
        cell.spin(2.5)
        assert (cell.controller.ticks, cell.controller.policy_id) == (0, "")
        cell.wait_for_policy(cell.generate(OPEN).policy_id)


def test_diagnostics_have_the_clock_on_the_wall_whatever_the_nodes_have(tmp_path):
    stamps = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        stamps[message.status[0].name.rpartition("/")[2]] = message.header.stamp.sec

    simulated = {"use_sim_time": True}
    with running_cell(tmp_path, {"task": OPEN} | simulated, simulated, simulated) as cell:
        cell.subscribe(DiagnosticArray, "/diagnostics", on_diagnostics)
        cell.wait("all diagnostics", lambda: len(stamps) == 3)
        assert all(abs(stamp - time.time()) < 60 for stamp in stamps.values())

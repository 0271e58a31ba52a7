"""Pins the controller's outcome for faults of observations and policies, in its own process, over DDS."""

import os
import signal
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nodes_support import SHIPPED, Cell
from robot_support import HOUR_NS, Robot
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.policy import PolicyLayout
from lwd_ros.resources import share_path

STOPPED, HOLD = ControllerStatus.OUTCOME_STOPPED, ControllerStatus.OUTCOME_HOLD


@pytest.fixture
def robot_with(tmp_path, contract, make_policy):
    """A function that starts the controller with parameters, and its robot."""
    with Cell(tmp_path) as cell:
        yield lambda **parameters: Robot(cell, contract, make_policy, parameters)


def test_one_stamp_for_ever_holds_and_the_next_one_goes_on(robot_with):
    robot = robot_with()

    def stuck():
        for single in robot.single:
            single.send(robot.vector(), robot.stamp_ns)

    robot.run(130, stuck)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    assert "one stamp for" in robot.cell.controller.reason
    robot.wait_safe()
    robot.assert_runs()


def test_observations_of_a_controller_that_stood_still_are_stale(robot_with):
    """What waited in its queues while it could not read is as old as it is."""
    robot = robot_with()
    robot.assert_runs()
    process = robot.cell.processes["policy_controller"]
    process.send_signal(signal.SIGSTOP)
    try:
        newest = robot.stamp_ns
        robot.run(10)
        time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGCONT)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    robot.wait_safe()
    assert not [command for command in robot.commands if command[0] > newest]
    robot.assert_runs()


def test_numbers_that_are_none_never_reach_a_policy(robot_with):
    """Observations with an infinite position are dropped; after `stale_after_s` without a good one the arm is held."""
    robot = robot_with()
    robot.wrong = {0: np.inf}
    robot.run(30)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    assert "found a non-finite hand_x" in robot.cell.tail("policy_controller")
    robot.wrong = {}
    robot.assert_runs()


def test_a_joint_that_is_not_there_is_named(robot_with):
    """Another node's joints on the topic are nobody's business; where only they arrive, the missing one is named."""
    robot = robot_with()
    streams = robot.contract.require_binding().observation_streams
    joint = next(place for place, stream in enumerate(streams) if stream.type == "sensor_msgs/msg/JointState")
    publisher = robot.cell.node.create_publisher(JointState, streams[joint].topic, 10)

    def send_elbow() -> None:
        message = JointState(name=["elbow"], position=[0.0], effort=[0.0])
        message.header.frame_id = streams[0].frame_id
        message.header.stamp = to_stamp(HOUR_NS)
        publisher.publish(message)

    def named() -> bool:
        robot.observe([place for place in range(len(streams)) if place != joint])
        send_elbow()
        return any("'gripper'" in reason and "elbow" in reason for reason in robot.cell.controller.missing_reasons)

    for _ in range(20):
        send_elbow()
        robot.run(1)
    robot.assert_runs()
    assert "elbow" not in robot.cell.tail("policy_controller")
    robot.cell.wait("the reason", named)
    robot.assert_runs()


@pytest.mark.parametrize("stops", [False, True])
def test_far_outside_the_training_range_warns_and_stops_where_that_is_wanted(robot_with, stops):
    robot = robot_with(stop_outside_training_range=stops)
    robot.wrong = {2: 7.0}
    robot.run(60)
    robot.cell.wait("the warning", lambda: "was trained on: hand_z" in robot.cell.tail("policy_controller"), 5.0)
    if stops:
        robot.cell.wait("stopped", lambda: robot.cell.controller.outcome == STOPPED, 5.0)
        robot.wait_safe()
    else:
        robot.assert_runs()


def test_a_policy_that_computes_no_number_is_stopped_and_the_next_one_runs(robot_with, make_policy):
    robot = robot_with()
    overflows = make_policy(
        layout=PolicyLayout((1, 1, 1, 4), "relu"),
        indices=[0],
        weights=[1e4, 0, 1e4, 0, *[1e4] * 4, *[0] * 4],
        observation_mean=[0],
        observation_std=[1e-30],
    )
    robot.offer(overflows)
    robot.run(20)
    robot.wrong = {0: 1e300}
    robot.run(40)
    robot.cell.wait("stopped", lambda: robot.cell.controller.outcome == STOPPED, 5.0)
    assert robot.cell.controller.reason == "the policy computed a non-finite command"
    robot.wrong = {}
    robot.offer()
    robot.run(40)
    robot.cell.wait("continue", lambda: robot.cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE, 5.0)
    robot.wait_commanded()


def test_a_policy_without_a_successor_is_stopped_in_time(robot_with):
    robot = robot_with(policy_timeout_s=1.0)
    robot.run(120)
    robot.cell.wait("stopped", lambda: robot.cell.controller.outcome == STOPPED, 5.0)
    assert robot.cell.controller.reason == "the policy ran for policy_timeout_s = 1 s"
    robot.wait_safe()
    robot.offer()
    robot.run(20)
    robot.wait_commanded()


def test_with_zero_as_the_outcome_the_gripper_lets_go_too(tmp_path, contract, make_policy):
    text = share_path("config", "metaworld.yaml").read_text()
    path = tmp_path / "zero.yaml"
    path.write_text(text.replace("on_fault: hold", "on_fault: zero"))
    with Cell(tmp_path) as cell:
        grips = []
        cell.subscribe(JointState, "gripper/command", lambda message: grips.append(message.effort[0]), 1000)
        robot = Robot(cell, contract, make_policy, {"contract_file": path})
        robot.assert_runs()
        cell.wait("zero", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_ZERO, 5.0)
        cell.wait("the gripper to let go", lambda: grips[-1] == 0.0, 5.0)
        robot.wait_safe()


def test_observations_without_a_stamp_in_common_hold(robot_with):
    """Every stream delivers, but no two under one stamp."""
    robot = robot_with()
    robot.assert_runs()

    def apart():
        for shift, single in enumerate(robot.single):
            single.send(robot.vector(), robot.stamp_ns + shift)
        robot.stamp_ns += 12_500_000

    robot.run(40, apart)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    robot.assert_runs()


@pytest.mark.parametrize("stop_first", [False, True])
def test_a_stop_is_not_undone_by_policies_from_before_it(robot_with, make_policy, stop_first):
    """They wait unread when the stop comes, or arrive right after it, because the controller stood still."""
    robot = robot_with()
    cell, process = robot.cell, robot.cell.processes["policy_controller"]
    client = cell.node.create_client(Trigger, "policy_controller/stop")
    cell.wait("the service", client.service_is_ready)
    answers = []

    def offer():
        for draw in (1, 2, 3):
            robot.offer(make_policy(draw))
        cell.spin(0.2)

    def stop():
        answers.append(client.call_async(Trigger.Request()))
        cell.spin(0.2)

    process.send_signal(signal.SIGSTOP)
    try:
        for act in (stop, offer) if stop_first else (offer, stop):
            act()
    finally:
        process.send_signal(signal.SIGCONT)
    cell.wait("the stop's answer", answers[0].done)
    cell.wait("stopped", lambda: cell.controller.outcome == STOPPED, 5.0)
    robot.run(40)
    assert cell.controller.outcome == STOPPED
    robot.offer()  # what is published from now on runs
    robot.run(20)
    cell.wait("continue", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE, 5.0)


CLOCK_AHEAD_AT_STOP = """
import sys, time
from types import SimpleNamespace
from lwd_ros.nodes import policy_controller, policy_delivery

class Controller(policy_controller.PolicyController):
    def _on_stop(self, request, response):
        policy_delivery.time = SimpleNamespace(time_ns=lambda: time.time_ns() + 3_000_000_000)
        try:
            return super()._on_stop(request, response)
        finally:
            policy_delivery.time = time

sys.exit(policy_controller.run(Controller))
"""


def test_a_policy_from_before_a_stop_is_refused_however_late_it_comes(tmp_path, contract, make_policy):
    """As one that was lost on its way and sent again: it says when it was published, here against a clock ahead."""
    (tmp_path / "clock_ahead.py").write_text(CLOCK_AHEAD_AT_STOP)
    with Cell(tmp_path) as cell:
        cell.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        arguments = cell.ros_arguments(SHIPPED["policy_controller"])
        cell.start_node = lambda name, parameters=None: cell.start(name, "clock_ahead", arguments)
        robot = Robot(cell, contract, make_policy)
        robot.assert_runs()
        assert cell.call(Trigger, "policy_controller/stop").success
        robot.offer(make_policy(1))
        cell.wait("a refusal", lambda: "before ~/stop was called" in cell.controller.rejected_reason)
        assert cell.controller.outcome == STOPPED
        cell.spin(3.0)
        robot.offer()
        robot.assert_runs()


def test_a_policy_that_ran_before_is_not_counted_among_those_that_a_stop_drops(robot_with, make_policy):
    """Each comes on two subscriptions; the second copy must not wait for the stop."""
    robot = robot_with()
    for draw in (1, 2, 3):
        robot.offer(make_policy(draw))
        robot.run(40)
    for _ in range(2):
        assert robot.cell.call(Trigger, "policy_controller/stop").success
        robot.offer()
        robot.run(40)
    assert "from before the stop are dropped" not in robot.cell.tail("policy_controller", 1000)


def test_each_stop_is_reported_even_right_after_another(robot_with, make_policy):
    """A policy that is stopped at its first tick: a log line and a status of its own."""
    robot = robot_with(stop_outside_training_range=True)
    reasons = []
    robot.cell.subscribe(ControllerStatus, "policy_controller/status", lambda m: reasons.append(m.reason))
    assert robot.cell.call(Trigger, "policy_controller/stop").success
    robot.wrong = {2: 7.0}
    robot.offer(make_policy(4))
    robot.run(60)
    robot.cell.wait("the second stop", lambda: "far outside" in robot.cell.controller.reason, 5.0)
    log = robot.cell.tail("policy_controller", 20)
    assert "stopped: ~/stop was called" in log and "stopped: far outside what" in log


def test_deactivation_ends_with_the_safe_command_and_nothing_old_comes_after_it(robot_with):
    robot = robot_with(run_latched=False)
    robot.assert_runs()
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert robot.cell.call(ChangeState, "policy_controller/change_state", request).success
        robot.wait_safe()
        commands = len(robot.commands)
        robot.run(60)
        assert robot.commands[commands:] == []
    robot.offer()
    robot.run(20)
    robot.wait_commanded()


def test_a_stream_that_is_always_wrong_does_not_silence_the_others(robot_with):
    """Each kind of warning has its own two seconds of silence."""
    robot = robot_with()
    pose = robot.cell.node.create_publisher(PoseStamped, "hand/pose", 10)
    wrong = PoseStamped()
    wrong.header.frame_id = "camera"

    def both():
        pose.publish(wrong)
        robot.observe()

    robot.run(60, both)
    robot.wrong = {4: np.nan}
    robot.run(60, both)
    log = robot.cell.tail("policy_controller", 40)
    assert "found frame_id 'camera'" in log and "found a non-finite object_1_x" in log

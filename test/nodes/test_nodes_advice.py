"""Pins what the controller tells people: what to do next, once; what cannot work as it is connected; nothing untrue."""

import signal
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nodes_support import Cell, driver
from robot_support import PERIOD_NS, Robot, at_rest

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_ros.nodes.conversions import policy_to_message
from lwd_ros.nodes.streams import LATCHED, StreamPublisher
from lwd_ros.policy import PolicyLayout

HOLD, CONTINUE = ControllerStatus.OUTCOME_HOLD, ControllerStatus.OUTCOME_CONTINUE


@pytest.fixture
def robot(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        yield Robot(cell, contract, make_policy)


def log(cell: Cell) -> str:
    return cell.tail("policy_controller", 10_000)


def test_an_idle_start_says_once_what_to_do_and_warns_of_nothing(tmp_path, contract):
    with Cell(tmp_path) as cell:
        controller = cell.start_node("policy_controller")
        silent = (
            f"no complete observations yet: hand/pose: nothing received (no publisher of {cell.namespace}/hand/pose); "
            "gripper/state"
        )
        cell.wait("the streams", lambda: silent in log(cell))
        cell.spin(4.0)
        assert "ask for one" not in log(cell)  # to ask now would be too early
        assert len(cell.controller.missing_streams) == 5  # the status says it all the time
        observations = StreamPublisher(cell.node, contract.require_binding().observation_streams, lambda sentence: None)
        cell.node.create_timer(0.0125, lambda: observations.send(at_rest(contract), time.time_ns()))
        service = f"{cell.namespace}/policy_generator/generate_policy"
        hint = f"no policy yet; ask for one: ros2 service call {service} lwd_msgs/srv/GeneratePolicy"
        cell.wait("the hint", lambda: hint in log(cell))
        cell.spin(4.0)
        assert log(cell).count(hint) == log(cell).count(silent) == 1
        assert "[WARN]" not in log(cell) and "[ERROR]" not in log(cell)
        # Nothing was commanded, so nothing is stopped.
        controller.send_signal(signal.SIGINT)
        assert controller.wait(20) == 0
        assert "stopped" not in log(cell) and "[WARN]" not in log(cell)


def test_a_publisher_that_sends_nothing_is_named(tmp_path):
    with Cell(tmp_path) as cell:
        cell.node.create_publisher(PoseStamped, "hand/pose", 10)
        cell.start_node("policy_controller")
        sentence = f"hand/pose: nothing received ({cell.namespace}/test_client publishes it and has sent nothing yet)"
        cell.wait("the sentence", lambda: cell.controller and sentence in cell.controller.missing_reasons)


def test_a_policy_that_waits_for_observations_is_reason_to_warn(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        cell.start_node("policy_controller")
        cell.wait("the controller", lambda: cell.controller is not None)
        publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        publisher.publish(policy_to_message(make_policy(), Time(sec=1)))
        cell.wait("the warning", lambda: "'reach-v3' waits: hand/pose: nothing received (no publisher" in log(cell))


def test_the_end_of_a_hold_is_logged(robot):
    robot.assert_runs()
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    robot.cell.spin(0.5)
    assert "hold ended" not in log(robot.cell)
    robot.run(40)
    robot.cell.wait("continue", lambda: robot.cell.controller.outcome == CONTINUE, 5.0)
    (line,) = [line for line in log(robot.cell).splitlines() if "hold ended after" in line][-1:]
    assert "'reach-v3' goes on" in line and float(line.split("after ")[1].split(" s")[0]) >= 0.5


def test_what_was_far_outside_before_a_hold_is_not_repeated_in_it(robot):
    robot.wrong = {2: 7.0}
    robot.run(60)
    robot.cell.wait("the warning", lambda: "was trained on: hand_z" in log(robot.cell), 5.0)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    count = log(robot.cell).count("was trained on")
    robot.cell.spin(5.0)
    assert log(robot.cell).count("was trained on") == count
    assert robot.cell.controller.outside_training_range == []


def test_a_receiver_of_another_type_is_named(robot):
    """The robot wants Twist and the contract sends TwistStamped: nothing arrives there, and DDS says nothing."""
    cell = robot.cell
    with driver(cell) as node:
        node.create_subscription(Twist, "hand/velocity_command", lambda message: None, 10)
        cell.wait("the problem", lambda: "/driver" in "".join(cell.controller.command_problems), 10.0)
        (sentence,) = cell.controller.command_problems
        assert sentence == (
            "hand/velocity_command: published as geometry_msgs/msg/TwistStamped, expected as geometry_msgs/msg/Twist "
            f"by {cell.namespace}/driver, which receives nothing"
        )
        cell.wait("the log line", lambda: sentence in log(cell))
    cell.wait("the end of it", lambda: not cell.controller.command_problems, 20.0)


def test_incompatible_quality_of_service_is_named_in_ros_words(robot):
    cell = robot.cell
    sentence = "hand/velocity_command: a subscriber's QoS is incompatible (durability)"
    with driver(cell) as node:
        node.create_subscription(TwistStamped, "hand/velocity_command", lambda message: None, LATCHED)
        cell.wait("the log line", lambda: sentence in log(cell), 10.0)
        whole = [f"{sentence}: {cell.namespace}/driver receives nothing"]
        cell.wait("the status", lambda: cell.controller.command_problems == whole, 10.0)
    cell.wait("the end of it", lambda: not cell.controller.command_problems, 20.0)


def test_a_quaternion_and_its_negative_give_one_command_and_none_is_a_fault(robot, make_policy):
    layout, matrix = PolicyLayout((21, 4)), np.zeros((4, 21))
    matrix[0, 9] = matrix[1, 10] = 1.0  # object_1_qz, object_1_qw
    plain = {"observation_mean": np.zeros(21), "observation_std": np.ones(21), "action_offset": np.zeros(4)}
    weights = np.concatenate([matrix.ravel(), np.zeros(4)])
    reads = make_policy(0, layout, weights=weights, action_scale=np.ones(4), **plain)
    robot.offer(reads)
    for sign in (1.0, -1.0):
        robot.wrong = {9: -0.6 * sign, 10: 0.8 * sign}
        robot.run(60)
        robot.wait_commanded()
        assert robot.commands[-1][1:] == pytest.approx((-0.6, 0.8), abs=1e-6)
    robot.wrong = {9: 0.0, 10: 0.0}
    robot.run(60)
    robot.cell.wait("hold", lambda: robot.cell.controller.outcome == HOLD, 5.0)
    assert "object_1/pose: pose.orientation: found a quaternion of norm 0, expected 1" in log(robot.cell)


@pytest.mark.parametrize("every", [1, 4])
def test_two_robots_on_one_topic_are_answered_as_one_and_named(robot, every):
    """Another robot 30 s ahead, at the same rate or a quarter of it, elsewhere: only the first one is answered."""
    robot.assert_runs()
    place, sent = 1, 200  # hand_y, which the policy commands in y

    def both():
        robot.observe()
        if robot.stamp_ns // PERIOD_NS % every == 0:
            robot.wrong = {place: 0.25}
            for single in robot.single:
                single.send(robot.vector(), robot.stamp_ns + 30_000_000_000 + 5_000_000)
            robot.wrong = {}

    begin = len(robot.commands)
    robot.run(sent, both)
    answered = [(stamp, y) for stamp, _, y in robot.commands[begin:] if stamp]
    assert len({stamp for stamp, _ in answered}) > 0.5 * sent
    assert {round(y, 3) for _, y in answered} == {0.5}
    assert max(stamp for stamp, _ in answered) <= robot.stamp_ns
    robot.cell.spin(0.6)
    text = log(robot.cell)
    assert "messages are left out, for their stamps are of another clock or late" in text
    assert f"it is published by {robot.cell.namespace}/test_client (2 times), expected one clock" in text


def test_two_publishers_of_one_topic_are_named_once(robot):
    cell = robot.cell
    with driver(cell) as node:
        node.create_publisher(PoseStamped, "hand/pose", 10)
        sentence = (
            "hand/pose has 3 publishers, "  # the test's robot has two
            f"{cell.namespace}/driver, {cell.namespace}/test_client (2 times): is one of them meant?"
        )
        cell.wait("the sentence", lambda: sentence in log(cell), 20.0)
        cell.spin(4.0)
        assert log(cell).count(sentence) == 1


def test_the_first_policy_of_all_is_stopped_with_a_log_line(tmp_path, contract, make_policy):
    """Though nothing was commanded before, and nothing is then."""
    with Cell(tmp_path) as cell:
        cell.start_node("policy_controller", {"stop_outside_training_range": True})
        cell.wait("the controller", lambda: cell.controller is not None)
        observations = StreamPublisher(cell.node, contract.require_binding().observation_streams, lambda sentence: None)
        vector, stamps, commands = at_rest(contract), iter(range(PERIOD_NS, 10**12, PERIOD_NS)), []
        vector[2] = 7.0
        cell.subscribe(TwistStamped, "hand/velocity_command", commands.append)
        cell.node.create_timer(0.0125, lambda: observations.send(vector, next(stamps)))
        publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        publisher.publish(policy_to_message(make_policy(), Time(sec=1)))
        cell.wait("the log line", lambda: "stopped: far outside what 'reach-v3' was trained on: hand_z" in log(cell))
        assert commands == []


def test_one_observation_from_the_future_is_forgotten(robot):
    """As of a sensor whose clock jumped for a moment; what is stamped as before goes on."""
    robot.assert_runs()
    now_ns = robot.stamp_ns
    robot.stamp_ns += 30_000_000_000
    robot.observe()
    robot.cell.spin(0.0125)
    robot.stamp_ns = now_ns
    robot.assert_runs()
    assert abs(robot.commands[-1][0] - robot.stamp_ns) < 20 * PERIOD_NS

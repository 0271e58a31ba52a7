"""Pins `lwd contract new --live`, as a process of its own beside a robot that moves."""

import math
import subprocess
import sys

import pytest
from geometry_msgs.msg import Twist, TwistStamped
from nodes_support import Cell
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lwd_ros.contract import Contract


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as running:
        yield running


def lwd(cell, tmp_path, *arguments) -> str:
    """What a command said that ended well, while the cell's node ran on."""
    with open(tmp_path / "said.txt", "w+", encoding="utf-8") as said:
        command_line = [sys.executable, "-m", "lwd_ros.cli", *map(str, arguments)]
        process = subprocess.Popen(command_line, env=cell.environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            cell.wait("the command's end", lambda: process.poll() is not None, 60.0)
        finally:
            process.kill()
        said.seek(0)
        words = said.read()
    assert process.returncode == 0, words
    return words


def test_a_first_contract_from_a_robot_that_moves(cell, tmp_path):
    node, out, steps = cell.node, tmp_path / "robot.yaml", iter(range(10**6))
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    joints = node.create_publisher(JointState, "/joint_states", best_effort)
    command = node.create_publisher(TwistStamped, "/cmd_vel", 10)

    def publish() -> None:
        phase, stamp = 0.1 * next(steps), node.get_clock().now().to_msg()
        state = JointState(name=["elbow"], position=[math.sin(phase)])
        state.header.stamp = stamp
        joints.publish(state)
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id, twist.twist.angular.z = stamp, "base", math.cos(phase)
        command.publish(twist)

    node.create_timer(0.05, publish)
    lwd(cell, tmp_path, "contract", "new", "--live", "3", "--out", out)
    text = out.read_text(encoding="utf-8")
    assert "guessed from 3 s of a robot's topics" in text
    out.write_text(text.replace("!guess ", ""), encoding="utf-8")
    contract = Contract.load(out)
    assert contract.observation_names == ("elbow",) and contract.command_names == ("angular_z",)
    assert 0.04 <= contract.period_s <= 0.06
    (stream,), (sent,) = contract.binding.observation_streams, contract.binding.command_streams
    assert (stream.topic, stream.stamp, stream.qos.reliability) == ("/joint_states", "header", "best_effort")
    assert (sent.topic, sent.frame_id, sent.stamp) == ("/cmd_vel", "base", "now")


def test_a_first_contract_from_a_robot_that_nobody_commands(cell, tmp_path):
    """Its joints are led by hand; its base and its arm only listen."""
    node, out, steps = cell.node, tmp_path / "robot.yaml", iter(range(10**6))
    asked = QoSProfile(
        depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )  # which a publisher has to offer
    received = []
    node.create_subscription(
        Twist, "/cmd_vel", received.append, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    node.create_subscription(JointTrajectory, "/arm_controller/joint_trajectory", received.append, asked)
    node.create_subscription(JointState, "/joint_readings", received.append, 1)  # is no command by its name
    joints = node.create_publisher(JointState, "/joint_states", 10)

    def publish() -> None:
        phase = 0.1 * next(steps)
        state = JointState(name=["elbow", "wrist"], position=[math.sin(phase), math.cos(phase)])
        state.header.stamp = node.get_clock().now().to_msg()
        joints.publish(state)

    node.create_timer(0.05, publish)
    said = lwd(cell, tmp_path, "contract", "new", "--live", "3", "--out", out)
    text = out.read_text(encoding="utf-8")
    name = node.get_fully_qualified_name()
    assert f"/cmd_vel: nobody commanded (subscribed by {name})" in said and "/joint_readings" not in text
    assert f"/arm_controller/joint_trajectory: nobody commanded (subscribed by {name})" in said
    assert "nobody commanded: slow on purpose" in text and "topic: !guess /cmd_vel" in text
    out.write_text(text.replace("!guess ", ""), encoding="utf-8")
    base, arm = Contract.load(out).binding.command_streams
    assert (base.topic, base.qos.reliability, base.qos.durability) == ("/cmd_vel", "best_effort", "volatile")
    assert arm.topic == "/arm_controller/joint_trajectory" and arm.stamp == "zero"
    assert (arm.qos.reliability, arm.qos.durability) == ("reliable", "transient_local")
    table = lwd(cell, tmp_path, "contract", "check", out, "--live", "1")
    assert "problem:" not in table and "/cmd_vel" in table
    assert not received  # nothing was published

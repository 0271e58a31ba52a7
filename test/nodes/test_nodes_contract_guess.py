"""Pins `lwd contract new --live`, as a process of its own beside a robot that moves."""

import math
import subprocess
import sys

import pytest
from geometry_msgs.msg import TwistStamped
from nodes_support import Cell
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from lwd_ros.contract import Contract


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as running:
        yield running


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
    arguments = ["contract", "new", "--live", "3", "--out", str(out)]
    with open(tmp_path / "said.txt", "w+", encoding="utf-8") as said:
        command_line = [sys.executable, "-m", "lwd_ros.cli", *arguments]
        process = subprocess.Popen(command_line, env=cell.environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            cell.wait("the command's end", lambda: process.poll() is not None, 60.0)
        finally:
            process.kill()
        said.seek(0)
        assert process.returncode == 0, said.read()
    text = out.read_text(encoding="utf-8")
    assert "guessed from 3 s of a robot's topics" in text
    out.write_text(text.replace("!guess ", ""), encoding="utf-8")
    contract = Contract.load(out)
    assert contract.observation_names == ("elbow",) and contract.command_names == ("angular_z",)
    assert 0.04 <= contract.period_s <= 0.06
    (stream,), (sent,) = contract.binding.observation_streams, contract.binding.command_streams
    assert (stream.topic, stream.stamp, stream.qos.reliability) == ("/joint_states", "header", "best_effort")
    assert (sent.topic, sent.frame_id, sent.stamp) == ("/cmd_vel", "base", "now")

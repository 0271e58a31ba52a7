"""Pins in real processes when observations count as measured, and what stamps commands carry; poses of transforms."""

import importlib.util
import math
import time

import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped, TwistStamped
from nodes_support import Cell
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig_support import JOINTS, Rig, array_in, array_out, contract_of, joints, numbers
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus
from lwd_ros.nodes.conversions import to_nanoseconds, to_stamp

CONTINUE, HOLD = ControllerStatus.OUTCOME_CONTINUE, ControllerStatus.OUTCOME_HOLD
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
needs_tf = pytest.mark.skipif(importlib.util.find_spec("tf2_msgs") is None, reason="tf2_msgs is not installed")


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as cell:
        yield cell


def test_arrival_times_and_stamps_of_commands(cell):
    """A message without a header, and a driver that stamps 0, are measured when they arrive, for longer than a second.

    The same driver without `stamp: arrival` shares the topic and is a fault: the two are never mixed in silence.
    """
    twist = {"type": "geometry_msgs/msg/TwistStamped", "frame_id": "base"}
    observed = [
        array_in("plain", "a"),
        {"topic": "unstamped", "type": JOINTS, "stamp": "arrival", "fields": {"b": "position[elbow]"}},
    ]
    commanded = [
        {"topic": stamp, "stamp": stamp, "fields": {f"{stamp}_{axis}": f"twist.linear.{axis}" for axis in "xy"}} | twist
        for stamp in ("observation", "now", "zero")
    ]
    rig = Rig(cell, contract_of(observed, commanded))
    plain, unstamped = rig.publish(Float64MultiArray, "plain"), rig.publish(JointState, "unstamped")
    commands = {stream["topic"]: rig.listen(TwistStamped, stream["topic"]) for stream in commanded}
    rig.robot = lambda: (plain(numbers(0.5)), unstamped(joints(["elbow"], [0.25], stamp_ns=0)))
    rig.run([[1, 0], [0, 1]] * 3)
    cell.spin(1.5)
    assert cell.controller.outcome == CONTINUE and not cell.controller.timing_problems
    for topic, expected in (("observation", True), ("now", True), ("zero", False)):
        message = commands[topic][-1]
        assert (message.twist.linear.x, message.twist.linear.y, message.header.frame_id) == (0.5, 0.25, "base")
        stamp_ns = to_nanoseconds(message.header.stamp)
        assert abs(stamp_ns - time.time_ns()) < 1e9 if expected else stamp_ns == 0
    assert cell.call(Trigger, "policy_controller/stop").success
    cell.wait("safe commands", lambda: all(each[-1].twist.linear.x == 0.0 for each in commands.values()), 5.0)
    stamps = {topic: to_nanoseconds(messages[-1].header.stamp) for topic, messages in commands.items()}
    assert stamps["observation"] == stamps["zero"] == 0
    assert abs(stamps["now"] - time.time_ns()) < 2e9


def test_header_and_arrival_on_one_topic_are_each_stream_s_own(cell):
    observed = [
        {"topic": "joints", "type": JOINTS, "stamp": stamp, "fields": {name: f"position[{name}]"}}
        for stamp, name in (("arrival", "elbow"), ("header", "wrist"))
    ]
    rig = Rig(cell, contract_of(observed, [array_out("command", "u")]))
    publish = rig.publish(JointState, "joints")
    rig.robot = lambda: publish(joints(["elbow", "wrist"], [0.5, 0.25], stamp_ns=0))
    rig.offer([[1.0, 0.0]])
    sentence = "joints (wrist): stamp 0 for"
    cell.wait("the reason", lambda: sentence in cell.controller.reason, 10.0)
    assert "joints (elbow)" not in cell.controller.reason


def transform(parent: str, child: str, x: float, turn: float = 0.0, stamp: Time | None = None) -> TransformStamped:
    """`child` in `parent`: `x` m ahead, turned by `turn` rad about z."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp = parent, stamp or to_stamp(time.time_ns())
    message.transform.translation.x = x
    message.transform.rotation.z, message.transform.rotation.w = math.sin(turn / 2), math.cos(turn / 2)
    return message


@needs_tf
def test_poses_come_from_tf_and_tf_static(cell):
    """The tool is 0.5 m ahead of a link that turns; the camera stands still on the base and never ages."""
    from tf2_msgs.msg import TFMessage

    fields = {"x": "translation.x", "y": "translation.y", "yaw": {"field": "rotation", "function": "yaw"}}
    observed = [
        {"type": "tf", "frame": "tool", "in": "base", "fields": fields, "stale_after_s": 0.3},
        {"type": "tf", "frame": "camera", "in": "base", "fields": {"camera_x": "translation.x"}, "stale_after_s": 0.3},
    ]
    rig = Rig(cell, contract_of(observed, [array_out("command", *"abcd")]))
    moving, static = rig.publish(TFMessage, "/tf"), rig.publish(TFMessage, "/tf_static", LATCHED)
    turn = 0.5
    rig.robot = lambda: moving(TFMessage(transforms=[transform("base", "link", 1.0, turn)]))
    cell.wait("the sentence", lambda: "tool" in "".join(cell.controller.missing_reasons), 10.0)
    cell.spin(1.0)
    (tool,) = [reason for reason in cell.controller.missing_reasons if reason.startswith("tf tool in base")]
    assert "'tool'" in tool and "/tf_static" in tool
    commands = rig.listen(Float64MultiArray, "command")
    static(TFMessage(transforms=[transform("link", "tool", 0.5), transform("base", "camera", 0.75)]))
    identity = [[float(row == column) for column in range(4)] for row in range(4)]
    rig.run(identity)
    cell.spin(1.0)
    expected = [1.0 + 0.5 * math.cos(turn), 0.5 * math.sin(turn), turn, 0.75]
    assert cell.controller.outcome == CONTINUE
    assert list(commands[-1].data) == pytest.approx(expected, abs=1e-6)
    rig.robot = lambda: None  # the moving edge falls silent
    status = rig.wait_outcome(HOLD)
    assert status.reason.startswith("tf tool in base: silent for") and "camera" not in status.reason


@needs_tf
def test_a_pose_of_static_transforms_alone_never_ages(cell):
    from tf2_msgs.msg import TFMessage

    observed = [{"type": "tf", "frame": "camera", "in": "base", "fields": {"x": "translation.x"}, "stale_after_s": 0.1}]
    rig = Rig(cell, contract_of(observed, [array_out("command", "u")]))
    static = rig.publish(TFMessage, "/tf_static", LATCHED)
    static(TFMessage(transforms=[transform("base", "camera", 0.75)]))
    commands = rig.listen(Float64MultiArray, "command")
    rig.run([[1.0]])
    cell.spin(2.0)
    assert cell.controller.outcome == CONTINUE
    assert commands[-1].data[0] == pytest.approx(0.75)
    assert "hold" not in rig.log() and "Traceback" not in rig.log()

"""Pins what robots do to joints, topics, types and quality of service: it works, or a sentence says why not."""

import math

import pytest
from geometry_msgs.msg import Twist, TwistStamped
from nodes_support import Cell, driver
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig_support import JOINTS, Rig, array_in, array_out, contract_of, joints, numbers
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from lwd_msgs.msg import ControllerStatus

CONTINUE, HOLD = ControllerStatus.OUTCOME_CONTINUE, ControllerStatus.OUTCOME_HOLD
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as cell:
        yield cell


ARM = {"elbow": 0.125, "wrist": -0.75}


class TwoDrivers:
    """An arm and a gripper that publish their joints apart, on one topic."""

    def __init__(self, cell: Cell):
        arm = {"topic": "/joint_states", "type": JOINTS, "fields": {name: f"position[{name}]" for name in ARM}}
        gripper = {
            "topic": "/joint_states",
            "type": JOINTS,
            "fields": {"finger": "position[finger]", "finger_speed": "velocity[finger]"},
        }
        self.rig = Rig(cell, contract_of([arm, gripper], [array_out("command", *"abcd")]))
        self.arm, self.gripper, self.third = (self.rig.publish(JointState, "/joint_states") for _ in range(3))
        self.commands = self.rig.listen(Float64MultiArray, "command")
        self.turned = False
        self.rig.robot = self.send
        self.rig.run([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    def send_arm(self, velocity=(), effort=()) -> None:
        self.turned = not self.turned
        names = list(ARM)[:: -1 if self.turned else 1]
        self.arm(joints(names, [ARM[name] for name in names], velocity, effort))

    def send_gripper(self, velocity=(0.5,)) -> None:
        self.gripper(joints(["finger"], [0.25], velocity))

    def send(self) -> None:
        self.send_arm()
        self.send_gripper()

    def assert_answers(self) -> None:
        """Commands go on, and are all the same to the bit."""
        self.rig.wait_outcome(CONTINUE)
        del self.commands[:]
        self.rig.cell.wait("commands", lambda: len(self.commands) > 25, 10.0)
        assert {tuple(message.data) for message in self.commands} == {(0.125, -0.75, 0.25, 0.5)}


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    with Cell(tmp_path_factory.mktemp("drivers")) as cell:
        yield TwoDrivers(cell)


def test_an_order_of_joints_that_changes_with_each_message_gives_the_same_command_to_the_bit(drivers):
    drivers.rig.robot = drivers.send
    drivers.assert_answers()


def test_joints_of_a_third_node_on_the_topic_are_ignored_without_a_warning(drivers):
    def send():
        drivers.send()
        drivers.third(joints(["pan", "tilt"], [1.0, 2.0]))

    drivers.rig.robot = send
    drivers.assert_answers()
    assert "[WARN]" not in drivers.rig.log()


def test_nan_in_an_array_that_is_not_bound_is_no_reason_for_anything(drivers):
    drivers.rig.robot = lambda: (drivers.send_arm([math.nan] * 2, [math.nan] * 2), drivers.send_gripper())
    drivers.assert_answers()
    assert "[WARN]" not in drivers.rig.log()


def test_an_array_shorter_than_the_names_matters_where_it_is_bound(drivers):
    drivers.rig.robot = lambda: (drivers.send_arm([0.5]), drivers.send_gripper())
    drivers.assert_answers()
    assert "[WARN]" not in drivers.rig.log()
    drivers.rig.robot = lambda: (drivers.send_arm(), drivers.send_gripper(velocity=()))
    drivers.rig.wait_outcome(HOLD)
    sentence = "/joint_states (finger): 'velocity[finger]': "
    drivers.rig.wait_reason(sentence)
    assert sentence in drivers.rig.log()
    drivers.rig.robot = drivers.send
    drivers.assert_answers()


@pytest.mark.parametrize("by_parameter", [False, True])
def test_joints_with_a_prefix(cell, by_parameter):
    """Without the prefix the robot's joints are named, and the one that was probably meant."""
    streams = (
        [{"topic": "joint_states", "type": JOINTS, "fields": {"elbow": "position[elbow]"}}],
        [{"topic": "command", "type": JOINTS, "frame_id": "", "fields": {"elbow_speed": "velocity[elbow]"}}],
    )
    content = contract_of(*streams, joint_prefix="other_" if by_parameter else "left_")
    rig = Rig(cell, content, {"joint_prefix": "left_"} if by_parameter else None)
    publish, commands = rig.publish(JointState, "joint_states"), rig.listen(JointState, "command")
    rig.robot = lambda: publish(joints(["shoulder", "elbow"], [0.0, 0.5]))
    rig.wait_reason("'left_elbow' is not among ['shoulder', 'elbow'] of 'name' (did you mean 'elbow'?)")
    rig.robot = lambda: publish(joints(["left_shoulder", "left_elbow"], [0.0, 0.5]))
    rig.run([[2.0]])
    cell.wait("a command", lambda: commands)
    assert (commands[-1].name, list(commands[-1].velocity)) == (["left_elbow"], [1.0])


def test_absolute_topics_namespaces_and_remappings_are_named_as_resolved(cell):
    observed = [array_in("/robot/state", "a"), array_in("near", "b"), array_in("sensor/state", "c")]
    commanded = [array_out("/robot/command", "u"), array_out("command", "v"), array_out("moved/command", "w")]
    remappings = ("sensor/state:=/far/state", "moved/command:=/far/command")
    rig = Rig(cell, contract_of(observed, commanded), remappings=remappings)
    reasons = [
        "/robot/state: nothing received (no publisher)",
        f"near: nothing received (no publisher of {cell.namespace}/near)",
        "sensor/state: nothing received (no publisher of /far/state)",
    ]
    cell.wait("the topics", lambda: list(cell.controller.missing_reasons) == reasons, 10.0)
    names = ("/robot/state", f"{cell.namespace}/near", "/far/state")
    publish = [rig.publish(Float64MultiArray, name) for name in names]
    rig.robot = lambda: [each(numbers(0.25 * place)) for place, each in enumerate(publish)]
    names = ("/robot/command", f"{cell.namespace}/command", "/far/command")
    commands = [rig.listen(Float64MultiArray, name) for name in names]
    rig.run([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [1.0, 1.0, 1.0])
    cell.wait("commands", lambda: all(commands), 5.0)
    assert [each[-1].data[0] for each in commands] == [1.0, 1.25, 1.5]


def test_quality_of_service_that_cannot_match_is_named_within_two_seconds_and_what_the_contract_asks_for_matches(cell):
    observed = [
        array_in("best_effort", "a"),
        array_in("reliable", "b", qos={"reliability": "reliable"}),
        array_in("latched", "c", qos={"reliability": "reliable", "durability": "transient_local"}, stale_after_s=3600),
    ]
    commanded = [array_out("plain", "u"), array_out("kept", "v", qos={"durability": "transient_local"})]
    rig = Rig(cell, contract_of(observed, commanded))
    with driver(cell) as node:
        node.create_publisher(Float64MultiArray, "reliable", BEST_EFFORT)
        cell.wait("each other", lambda: node.count_subscribers("reliable"))
        rig.wait_reason("reliable: nothing received (a publisher's QoS is incompatible: reliability)", 2.0)
    rig.publish(Float64MultiArray, "latched", LATCHED)(numbers(0.75))
    publish = rig.publish(Float64MultiArray, "best_effort", BEST_EFFORT), rig.publish(Float64MultiArray, "reliable")
    rig.robot = lambda: [each(numbers(0.5)) for each in publish]
    rig.run([[1, 0, 0], [0, 0, 1]])
    cell.spin(0.5)
    kept = rig.listen(Float64MultiArray, "kept", LATCHED)
    cell.wait("a command for who asks for transient local", lambda: kept, 2.0)
    assert kept[-1].data[0] == 0.75
    with driver(cell) as node:
        node.create_subscription(Float64MultiArray, "plain", print, LATCHED)
        cell.wait("each other", lambda: node.count_publishers("plain"))
        sentence = "plain: a subscriber's QoS is incompatible (durability): "
        rig.wait_problem(sentence, 2.0)
        rig.wait_problem(f"{sentence}{cell.namespace}/driver receives nothing")  # the node's name may come later


def test_twist_and_twist_stamped_are_told_apart_for_observations_and_commands(cell):
    """As two publishers, and a subscriber, of a driver that was written for the other one."""
    plain, stamped = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
    observed = [
        {"topic": "plain", "type": plain, "stamp": "arrival", "fields": {"a": "linear.x"}},
        {"topic": "stamped", "type": stamped, "fields": {"b": "twist.linear.x"}},
    ]
    rig = Rig(cell, contract_of(observed, [{"topic": "command", "type": plain, "fields": {"u": "linear.x"}}]))
    with driver(cell) as node:
        node.create_publisher(TwistStamped, "plain", 10)
        node.create_publisher(Twist, "stamped", 10)
        node.create_subscription(TwistStamped, "command", print, 10)
        for topic, found, expected in (("plain", stamped, plain), ("stamped", plain, stamped)):
            rig.wait_reason(f"{topic}: nothing received (published as {found}, expected {expected})")
        sentence = f"command: published as {plain}, expected as {stamped} by "
        rig.wait_problem(f"{sentence}{cell.namespace}/driver, which receives nothing")


def test_a_second_publisher_of_a_command_is_named(cell):
    """A GUI that publishes zeros beside the controller makes a robot stutter, and nobody sees why."""
    rig = Rig(cell, contract_of([array_in("state", "a")], [array_out("command", "u")]))
    cell.spin(1.5)
    assert not cell.controller.command_problems
    with driver(cell, "slider_gui") as node:
        node.create_publisher(Float64MultiArray, "command", 10)
        sentence = f"command: {cell.namespace}/slider_gui publishes on it too, expected this node alone"
        rig.wait_problem(sentence)
        cell.wait("the log line", lambda: sentence in rig.log(), 3.0)
    cell.wait("the end of it", lambda: not cell.controller.command_problems, 20.0)


def test_a_publisher_whose_messages_are_all_refused_is_not_said_to_send_nothing(cell):
    observed = [{"topic": "state", "type": JOINTS, "frame_id": "base", "fields": {"a": "position[elbow]"}}]
    rig = Rig(cell, contract_of(observed, [array_out("command", "u")]))
    publish = rig.publish(JointState, "state")
    rig.robot = lambda: publish(joints(["elbow"], [0.0]))
    rig.wait_reason("state: found frame_id '', expected 'base'")

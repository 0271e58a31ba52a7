"""First contracts of robots that nobody commands, or that are sent the same throughout."""

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
from bags_support import joints, twist, vector, write_mcap
from guess_support import T, array_of, confirmed, invoke, odometry, positions, scan, stamped, steps, wave

from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.guess import guess
from lwd_ros.contract.sightings import Sighting
from lwd_ros.contract.streams import Qos
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.bags.looking import sightings

TWIST, TRAJECTORY, ARRAY = (
    "geometry_msgs/msg/Twist", "trajectory_msgs/msg/JointTrajectory", "std_msgs/msg/Float64MultiArray"
)  # fmt: skip
BASE = {"/odom": odometry, "/scan": scan}


def listened(topic, kind, qos=("reliable", "volatile"), listeners="/robot/driver"):
    return Sighting(topic, kind, Qos(*qos), listeners=listeners)


def from_seen(tmp_path, make, *others, **options):
    """A guess from what a recording has and from topics on which nothing came."""
    tmp_path.mkdir(exist_ok=True)
    path = write_mcap(tmp_path / "seen.mcap", steps(make))
    with open_bags(path) as bag:
        return guess([*sightings(bag), *others], "robot", "the robot", **options)


def checked_and_confirmed(tmp_path, written) -> Contract:
    contract = confirmed(tmp_path / "c.yaml", written)
    result = invoke("contract", "check", tmp_path / "c.yaml")
    assert result.exit_code == 0, result.output
    return contract


def comment_on(text, key):
    return next(line for line in text.splitlines() if line.strip().startswith(f"{key}:")).partition("#")[2]


@pytest.mark.parametrize(
    ("kind", "paths", "frame"),
    [
        (TWIST, ["linear.x", "angular.z"], None),
        ("geometry_msgs/msg/TwistStamped", ["twist.linear.x", "twist.angular.z"], "base"),
    ],
)
def test_a_base_that_only_listens_is_commanded_slowly(kind, paths, frame, tmp_path):
    written = from_seen(tmp_path, BASE, listened("/cmd_vel", kind, ("best_effort", "volatile")))
    contract = checked_and_confirmed(tmp_path, written)
    (stream,) = contract.binding.command_streams
    assert (stream.topic, stream.type, stream.frame_id) == ("/cmd_vel", kind, frame)  # the child frame of /odom
    assert [field.path for field in stream.fields] == paths and contract.rests == ("zero", "zero")
    assert frame is None or stream.stamp == "now"
    assert (stream.qos.reliability, stream.qos.durability) == ("best_effort", "volatile")
    forward, turn = contract.command
    assert (forward.maximum, forward.slew_per_s, turn.maximum, turn.slew_per_s) == (0.1, 0.1, 0.3, 0.3)
    assert "nobody commanded: slow on purpose" in comment_on(written.text, "cmd_vel_linear_x")
    assert f"type: !guess {kind}    # nobody published; subscribed by /robot/driver" in written.text
    assert "holonomic" in written.text and "limits: !guess [-0.1, 0.1], slew_per_s: !guess 0.1" in written.text
    (doubt,) = [each for each in written.doubts if each.startswith("/cmd_vel")]
    assert "nobody commanded (subscribed by /robot/driver)" in doubt and "slow on purpose" in doubt


def test_without_odometry_the_frame_is_base_link(tmp_path):
    written = from_seen(tmp_path, {"/scan": scan}, listened("/cmd_vel", "geometry_msgs/msg/TwistStamped"))
    assert checked_and_confirmed(tmp_path, written).binding.command_streams[0].frame_id == "base_link"


@pytest.mark.parametrize(
    ("topic", "kind", "paths", "constants", "said"),
    [
        ("/arm_controller/commands", ARRAY, ["data[0]", "data[1]"], {}, "ros2 param get /arm_controller joints"),
        (
            "/arm/joint_trajectory", TRAJECTORY, ["points[0].positions[elbow]", "points[0].positions[wrist]"],
            {"points[0].time_from_start": 0.04}, "which joints it takes is a guess",
        ),
        ("/joint_command", "sensor_msgs/msg/JointState", ["position[elbow]", "position[wrist]"], {}, "a guess"),
    ],
)  # fmt: skip
def test_joints_are_commanded_where_the_robot_listens(topic, kind, paths, constants, said, tmp_path):
    listener = listened(topic, kind, listeners="/arm_controller")
    written = from_seen(tmp_path, {"/joint_states": positions}, listener)
    contract = checked_and_confirmed(tmp_path, written)
    (stream,) = contract.binding.command_streams
    assert (stream.topic, stream.type, dict(stream.constants)) == (topic, kind, constants)
    assert [field.path for field in stream.fields] == paths and contract.rests == ("elbow", "wrist")
    assert kind != TRAJECTORY or stream.stamp == "zero"  # start now
    assert any(said in doubt and doubt.startswith(topic) for doubt in written.doubts)


def test_velocities_are_no_positions_and_efforts_are_nobodys_guess(tmp_path):
    make = {"/joint_states": positions}
    written = from_seen(tmp_path, make, listened("/velocity_controller/commands", ARRAY))
    contract = checked_and_confirmed(tmp_path, written)
    assert contract.rests == ("zero", "zero") and {each.maximum for each in contract.command} == {0.1}
    assert contract.command[0].unit == "rad/s"
    effort = listened("/effort_controller/commands", ARRAY)
    assert "left out: /effort_controller/commands" in from_seen(tmp_path / "b", make, effort).text
    with pytest.raises(ContractError, match=r"/effort_controller/commands .*found no command that moved.*no effort"):
        from_seen(tmp_path / "c", make, effort, command=[effort.topic])


def test_of_several_that_listen_the_plainest_is_taken_for_base_and_joints(tmp_path):
    others = [listened(f"/cmd_vel{end}", TWIST) for end in ("_nav", "", "_joy")]
    others += [listened("/arm/commands", ARRAY), listened("/arm/joint_trajectory", TRAJECTORY)]
    written = from_seen(tmp_path, {**BASE, "/joint_states": positions}, *others)
    contract = checked_and_confirmed(tmp_path, written)
    assert [each.topic for each in contract.binding.command_streams] == ["/cmd_vel", "/arm/joint_trajectory"]
    assert "--command /cmd_vel_nav takes it instead of /cmd_vel" in written.text
    chosen = from_seen(tmp_path / "b", BASE, *others, command=["/cmd_vel_nav"])
    assert "nobody commanded" in chosen.text and "topic: !guess /cmd_vel_nav" in chosen.text


def test_a_command_that_moves_comes_before_those_that_are_only_listened_to(tmp_path):
    written = from_seen(tmp_path, {**BASE, "/cmd_vel": stamped}, listened("/arm/commands", ARRAY))
    contract = checked_and_confirmed(tmp_path, written)
    assert [each.topic for each in contract.binding.command_streams] == ["/cmd_vel"]
    assert "left out: /arm/commands" in written.text and "nobody commanded on it" in written.text


def test_zeros_that_somebody_sends_are_commanded_slowly(tmp_path):
    written = from_seen(tmp_path, {**BASE, "/cmd_vel": lambda step, ns: twist(0.0, 0.0)})
    contract = checked_and_confirmed(tmp_path, written)
    assert contract.command_names == ("cmd_vel_linear_x", "angular_z") and contract.rests == ("zero", "zero")
    assert {each.maximum for each in contract.command} == {0.1, 0.3} and "nobody commanded" in written.doubts[-1]


def force(step, ns):
    return T["geometry_msgs/msg/Wrench"](force=vector(wave(step), 0.0, 5.0), torque=vector(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("topic", "function", "name", "limits"),
    [
        ("/cmd_vel", lambda step, ns: twist(0.1, wave(step)), "linear_x", (0.0, 0.11)),
        ("/cmd_vel", lambda step, ns: twist(wave(step), -0.2), "angular_z", (-0.22, 0.0)),
        ("/wrench_command", force, "force_z", (0.0, 5.5)),
        ("/velocity_command", lambda step, ns: vector(wave(step), 0.0, 0.5), "z", (0.0, 0.55)),  # has no unit
    ],
)
def test_a_constant_motion_is_commanded_and_no_constant(topic, function, name, limits, tmp_path):
    written = from_seen(tmp_path, {"/scan": scan, topic: function})
    contract = checked_and_confirmed(tmp_path, written)
    (stream,) = contract.binding.command_streams
    assert len(contract.command) == 2 and not stream.constants and contract.rests == ("zero", "zero")
    steady = next(each for each in contract.command if each.name == name)
    assert (steady.minimum, steady.maximum) == limits and steady.slew_per_s <= 0.3
    assert written.doubts[0].startswith(f"{name}: ") and "throughout" in written.doubts[0]


def test_an_array_that_is_longer_than_there_are_joints_is_doubtful(tmp_path):
    written = from_seen(
        tmp_path, {"/joint_states": positions, "/arm/commands": lambda step, ns: array_of(0.0, 0.0, 0.0)}
    )
    assert "/arm/commands: its messages had 3 numbers, and 2 joints moved" in written.doubts
    assert checked_and_confirmed(tmp_path, written).rests == ("elbow", "wrist")


def test_joints_that_are_held_rest_where_they_are(tmp_path):
    make = {
        "/joint_states": lambda step, ns: joints(ns, [wave(step), 0.7]),
        "/arm/commands": lambda step, ns: array_of(wave(step), 0.7),
    }
    contract = checked_and_confirmed(tmp_path, from_seen(tmp_path, make))
    (stream,) = contract.binding.command_streams
    assert contract.rests == ("elbow", "wrist") and not stream.constants
    assert contract.command[1].minimum < 0.7 < contract.command[1].maximum and contract.command[1].minimum > 0.5


def test_arrays_are_commanded_whole(tmp_path):
    make = {"/scan": scan, "/wheel_velocity/commands": lambda step, ns: array_of(wave(step), 0.0, 0.5)}
    contract = checked_and_confirmed(tmp_path, from_seen(tmp_path, make))
    (stream,) = contract.binding.command_streams
    assert [field.path for field in stream.fields] == ["data[0]", "data[1]", "data[2]"]
    assert contract.rests == ("zero",) * 3 and not stream.constants


def test_joints_that_stand_still_are_to_be_moved(tmp_path):
    still = {"/joint_states": lambda step, ns: joints(ns, [0.1, 0.2])}
    with pytest.raises(ContractError, match=r"/arm/commands .*no joint moved: move the joints meanwhile"):
        from_seen(tmp_path, {**still, "/scan": scan}, listened("/arm/commands", ARRAY))
    one = {"/joint_states": lambda step, ns: joints(ns, [wave(step), 0.2])}
    doubts = from_seen(tmp_path / "b", one, listened("/arm/commands", ARRAY)).doubts
    assert any(
        "/joint_states: these did not move" in each and "wrist" in each and "move the" in each for each in doubts
    )
    beside = from_seen(tmp_path / "c", {**still, **BASE}, listened("/cmd_vel", TWIST)).doubts
    assert any(each.startswith("/joint_states: nothing in it changed") and "move the robot" in each for each in beside)

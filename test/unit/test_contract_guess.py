"""Pins first contracts guessed from recordings: what is chosen, what is marked, and that the rest of lwd takes them."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
from bags_support import PERIOD_NS, START_NS, STORE, arm, entry, header, joints, twist, vector, write_mcap
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.guess import guess, looks_like_command
from lwd_ros.contract.sightings import Sighting
from lwd_ros.contract.streams import Qos
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.bags.looking import sightings

T = STORE.types


def guessed(path, **options):
    with open_bags(path) as bag:
        return guess(sightings(bag), "robot", "the recording", **options)


def confirmed(path, written) -> Contract:
    """The contract after a person has removed every mark."""
    path.write_text(written.text.replace("!guess ", ""), encoding="utf-8")
    return Contract.load(path)


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def test_a_first_contract_has_what_was_there(tmp_path):
    contract = confirmed(tmp_path / "c.yaml", guessed(write_mcap(tmp_path / "a.mcap", arm())))
    assert contract.period_s == 0.04 and contract.observation_names == ("elbow", "wrist")
    assert contract.command_names == ("linear_x", "angular_z") and contract.rests == ("zero", "zero")
    joints_stream, command = contract.binding.observation_streams[0], contract.binding.command_streams[0]
    assert (joints_stream.topic, joints_stream.stamp, joints_stream.stale_after_s) == ("/joint_states", "header", 0.1)
    assert (command.topic, command.type) == ("/cmd_vel", "geometry_msgs/msg/Twist")
    elbow, forward = contract.observation[0], contract.command[0]
    assert -1.3 <= elbow.minimum <= -1.1 and 1.1 <= elbow.maximum <= 1.3 and elbow.unit == "rad"
    assert 0.5 < forward.slew_per_s < 3.0  # 0.3 m/s at 5 rad/s is 1.5 m/s², and half of it more


def test_every_guess_is_marked_and_says_what_it_rests_on(tmp_path):
    text = guessed(write_mcap(tmp_path / "a.mcap", arm())).text
    lines: dict[str, str] = {}
    for line in text.splitlines():  # the first of each key
        lines.setdefault(line.split(":")[0].strip("- "), line)
    assert "!guess [-1.2, 1.2]" in lines["elbow"] and "100 values, -0.9999 to 0.9996" in lines["elbow"]
    assert "!guess 0.04" in lines["period_s"] and "every 40 ms" in lines["period_s"]
    assert "slew_per_s: !guess" in lines["linear_x"] and "rest: !guess zero" in lines["linear_x"]
    assert "100 messages, 50 Hz" in lines["stale_after_s"]
    assert "!guess" not in lines["topic"]


def test_marks_are_refused_wherever_a_contract_is_read(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(guessed(write_mcap(tmp_path / "a.mcap", arm())).text, encoding="utf-8")
    with pytest.raises(ContractError) as error:
        Contract.load(path)
    sentence = str(error.value)
    assert "found 12 guesses that nobody has confirmed, 'period_s' in line" in sentence and "9 more" in sentence
    result = invoke("contract", "check", path)
    assert result.exit_code == 1 and "guesses that nobody has confirmed" in result.output


def test_the_command_writes_a_file_that_check_takes_once_it_is_confirmed(tmp_path):
    bag, out = write_mcap(tmp_path / "arm.mcap", arm()), tmp_path / "new/arm.yaml"
    assert "12 guesses to look at" in invoke("contract", "new", "--from", bag, "--out", out).output
    out.write_text(out.read_text().replace("!guess ", ""))
    assert Contract.load(out).name == "arm"
    assert invoke("contract", "check", out).exit_code == 0
    result = invoke("contract", "check", out, "--bag", bag)
    assert result.exit_code == 0 and "50.0 Hz" in result.output and "25.0 Hz" in result.output
    process = subprocess.run(
        [sys.executable, "-m", "lwd_ros.cli", "contract", "new", "--from", str(bag), "--out", str(out)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 1 and "expected a new one" in process.stderr and "Traceback" not in process.stderr
    assert invoke("contract", "new").exit_code == 2


def steps(make, count=60, period_ns=PERIOD_NS):
    """Messages of functions of the step and its time: topic to function."""
    result = []
    for step in range(count):
        ns = START_NS + step * period_ns
        result += [entry(topic, function(step, ns), ns) for topic, function in make.items()]
    return result


def wave(step: int) -> float:
    return float(np.sin(0.1 * step))


def positions(step, ns):
    return joints(ns, [wave(step), 0.5 * wave(step)])


def array_of(*values):
    layout = T["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return T["std_msgs/msg/Float64MultiArray"](layout=layout, data=np.array(values, dtype=np.float64))


def trajectory(step, ns):
    empty, point = np.array([]), T["trajectory_msgs/msg/JointTrajectoryPoint"]
    duration = T["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
    goal = point(
        positions=np.array([wave(step), 0.5 * wave(step)]), velocities=empty, accelerations=empty, effort=empty,
        time_from_start=duration,
    )  # fmt: skip
    return T["trajectory_msgs/msg/JointTrajectory"](header=header(0), joint_names=["elbow", "wrist"], points=[goal])


@pytest.mark.parametrize(
    ("topic", "function", "paths"),
    [
        ("/arm/commands", lambda step, ns: array_of(wave(step), 0.5 * wave(step)), ["data[0]", "data[1]"]),
        ("/arm/joint_trajectory", trajectory, ["points[0].positions[elbow]", "points[0].positions[wrist]"]),
        ("/joint_command", positions, ["position[elbow]", "position[wrist]"]),
    ],
)
def test_positions_rest_where_their_joint_is_measured(topic, function, paths, tmp_path):
    path = write_mcap(tmp_path / "a.mcap", steps({"/joint_states": positions, topic: function}))
    contract = confirmed(tmp_path / "c.yaml", guessed(path))
    (stream,) = contract.binding.command_streams
    assert (stream.topic, contract.rests) == (topic, ("elbow", "wrist"))
    assert [field.path for field in stream.fields] == paths and contract.command[0].unit == "rad"
    assert invoke("contract", "check", tmp_path / "c.yaml", "--bag", path).exit_code == 0


def scan(step, ns):
    ranges = np.array([2.0 + 0.1 * wave(step)] * 359 + [np.inf], dtype=np.float32)
    numbers = dict.fromkeys(("angle_min", "angle_max", "angle_increment", "time_increment", "scan_time"), 0.0)
    return T["sensor_msgs/msg/LaserScan"](
        header=header(ns), **numbers, range_min=0.1, range_max=8.0, ranges=ranges, intensities=np.array([], np.float32)
    )


def odometry(step, ns):
    pose, half = T["geometry_msgs/msg/Pose"], 0.5 * wave(step)
    turned = T["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=float(np.sin(half)), w=float(np.cos(half)))
    place = pose(position=T["geometry_msgs/msg/Point"](x=wave(step), y=0.0, z=0.0), orientation=turned)
    covariance = np.zeros(36)
    return T["nav_msgs/msg/Odometry"](
        header=header(0), child_frame_id="base",
        pose=T["geometry_msgs/msg/PoseWithCovariance"](pose=place, covariance=covariance),
        twist=T["geometry_msgs/msg/TwistWithCovariance"](twist=twist(wave(step), 0.0), covariance=covariance),
    )  # fmt: skip


def stamped(step, ns):
    return T["geometry_msgs/msg/TwistStamped"](header=header(ns, "base_link"), twist=twist(wave(step), 0.0))


def test_a_base_with_a_lidar(tmp_path):
    make = {"/odom": odometry, "/scan": scan, "/cmd_vel": stamped}
    path = write_mcap(tmp_path / "a.mcap", steps(make))
    contract = confirmed(tmp_path / "c.yaml", guessed(path))
    assert contract.observation_names[:3] == ("position_x", "yaw", "linear_x")
    assert len(contract.places("scan")) == 24 and contract.observation[-1].maximum == 8.0
    odom, lidar = contract.binding.observation_streams
    assert (odom.stamp, lidar.stamp) == ("arrival", "header")  # the stamps of /odom are 0
    command = contract.binding.command_streams[0]
    assert (command.frame_id, command.stamp, command.fields[0].path) == ("base_link", "now", "twist.linear.x")
    assert invoke("contract", "check", tmp_path / "c.yaml", "--bag", path).exit_code == 0


def test_options_choose(tmp_path):
    make = {"/odom": odometry, "/scan": scan, "/cmd_vel": stamped, "/cmd_vel_nav": stamped}
    path = write_mcap(tmp_path / "a.mcap", steps(make))
    assert "left out: /cmd_vel_nav" in guessed(path).text
    chosen = confirmed(tmp_path / "c.yaml", guessed(path, observe=["/scan"], command=["/cmd_vel_nav"]))
    assert [each.topic for each in chosen.binding.observation_streams] == ["/scan"]
    assert [each.topic for each in chosen.binding.command_streams] == ["/cmd_vel_nav"]
    without = confirmed(tmp_path / "d.yaml", guessed(path, leave_out=["/scan", "/cmd_vel"]))
    assert [each.topic for each in without.binding.observation_streams] == ["/odom"]
    with pytest.raises(ContractError, match=r"found no topic '/scam'.*/scan"):
        guessed(path, observe=["/scam"])


def test_an_arm_led_by_hand_commands_its_joints(tmp_path):
    path = write_mcap(tmp_path / "a.mcap", steps({"/joint_states": positions}))
    written = guessed(path)
    contract = confirmed(tmp_path / "c.yaml", written)
    assert contract.rests == ("elbow", "wrist") and "no command was seen" in written.doubts[0]
    assert "topic: !guess /forward_position_controller/commands" in written.text


def test_degrees_are_said(tmp_path):
    path = write_mcap(
        tmp_path / "a.mcap", steps({"/joint_states": lambda step, ns: joints(ns, [90 * wave(step), 0.0])})
    )
    written = guessed(path)
    assert (
        "elbow: seen" in written.doubts[0] and "degrees?" in written.doubts[0] and "# DOUBTFUL: elbow" in written.text
    )


def test_nothing_to_observe_or_to_command_is_one_sentence(tmp_path):
    still = {"/joint_states": lambda step, ns: joints(ns, [0.1, 0.2])}
    with pytest.raises(ContractError, match="found no topic to observe among /joint_states"):
        guessed(write_mcap(tmp_path / "a.mcap", steps(still)))
    with pytest.raises(ContractError, match=r"nothing changed on /joint_states, expected .*: move the robot meanwhile"):
        guessed(tmp_path / "a.mcap")
    with pytest.raises(ContractError, match=r"/joint_states: found nothing in it that changed.*: move the robot"):
        guessed(tmp_path / "a.mcap", observe=["/joint_states"])
    with pytest.raises(ContractError, match="found no topic that looks like a command among /scan"):
        guessed(write_mcap(tmp_path / "b.mcap", steps({"/scan": scan})))


@pytest.mark.parametrize(
    ("topic", "kind", "commands"),
    [
        ("/cmd_vel", "geometry_msgs/msg/Twist", True),
        ("/odom_twist", "geometry_msgs/msg/TwistStamped", False),
        ("/joint_states", "sensor_msgs/msg/JointState", False),
        ("/left/joint_command", "sensor_msgs/msg/JointState", True),
        ("/goal_pose", "geometry_msgs/msg/PoseStamped", True),
        ("/arm_control", "geometry_msgs/msg/Pose", True),
        ("/control/odom", "nav_msgs/msg/Odometry", False),
        ("/commander/pose", "geometry_msgs/msg/PoseStamped", False),
    ],
)
def test_what_looks_like_a_command(topic, kind, commands):
    assert looks_like_command(topic, kind) == commands


# lwd contract check --bag


@pytest.fixture
def checked(tmp_path):
    """Checks a recording against the contract that was guessed from `arm`."""
    contract = tmp_path / "arm.yaml"
    confirmed(contract, guessed(write_mcap(tmp_path / "arm.mcap", arm())))

    def check(entries):
        return invoke("contract", "check", contract, "--bag", write_mcap(tmp_path / "other.mcap", entries))

    return check


def test_what_a_recording_lacks_is_said(checked):
    without = checked([each for each in arm() if each[0] != "/cmd_vel"])
    assert without.exit_code == 1 and "/cmd_vel: found no topic /cmd_vel" in without.output
    result = checked([entry("/cmd_vel", stamped(step, START_NS), START_NS + step) for step in range(5)])
    assert "/cmd_vel: recorded as geometry_msgs/msg/TwistStamped, expected geometry_msgs/msg/Twist" in result.output


def test_another_robot_is_said_with_what_it_has(checked):
    result = checked(steps({"/scan": scan, "/joint_state": positions}))
    assert result.exit_code == 1 and "a recording of another robot?" in result.output
    assert "'/joint_state'" in result.output
    renamed = steps({"/joint_states": lambda step, ns: joints(ns, [0.1, 0.2], ["left_elbow", "left_wrist"])})
    assert "left_elbow" in checked(renamed).output


def test_limits_gaps_and_rates_are_said(checked):
    beyond = checked([*arm(), entry("/joint_states", joints(START_NS, [9.0, 0.0]), START_NS + 100 * PERIOD_NS)])
    assert beyond.exit_code == 1 and "elbow: recorded -0.9999 to 9 rad, limits [-1.2, 1.2]" in beyond.output
    hole = checked([each for each in arm() if not START_NS + 10**9 <= each[2] < START_NS + 1.4 * 10**9])
    assert hole.exit_code == 0
    assert "/joint_states: 1 gap longer than stale_after_s 0.1, the longest 420 ms from 0.98 s" in hole.output
    assert "/joint_states: recorded at 50.0 Hz, the contract runs at 25.0 Hz" in hole.output


def test_points_are_a_vector(tmp_path):
    make = {"/joint_states": positions, "/target": lambda step, ns: vector(wave(step), 0.0, 2.0)}
    contract = confirmed(tmp_path / "c.yaml", guessed(write_mcap(tmp_path / "a.mcap", steps(make))))
    (stream,) = contract.binding.command_streams
    assert dict(stream.constants) == {"z": 2.0} and [field.path for field in stream.fields] == ["x"]


def transforms(parent, child):
    def make(step, ns):
        turned = T["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
        pose = T["geometry_msgs/msg/Transform"](translation=vector(wave(step), 0.0, 0.1), rotation=turned)
        each = T["geometry_msgs/msg/TransformStamped"](header=header(ns, parent), child_frame_id=child, transform=pose)
        return T["tf2_msgs/msg/TFMessage"](transforms=[each])

    return make


def test_poses_of_frames_are_observed_where_nothing_else_is(tmp_path):
    pytest.importorskip("pytransform3d")
    make = {"/tf": transforms("base", "tool"), "/cmd_vel": stamped}
    path = write_mcap(tmp_path / "a.mcap", steps(make))
    contract = confirmed(tmp_path / "c.yaml", guessed(path))
    (stream,) = contract.binding.observation_streams
    assert (stream.type, stream.frame, stream.within) == ("tf", "tool", "base")
    assert contract.observation_names == ("tool_x",)
    result = invoke("contract", "check", tmp_path / "c.yaml", "--bag", path)
    assert result.exit_code == 0 and "50.0 Hz" in result.output, result.output
    other = write_mcap(tmp_path / "b.mcap", steps({**make, "/tf": transforms("flange", "tool")}))
    result = invoke("contract", "check", tmp_path / "c.yaml", "--bag", other)  # who joins base and flange is missing
    assert result.exit_code == 1 and "tool" in result.output.split("problem: ")[1]
    assert "tool_x" in guessed(path, observe=["/tf"]).text


def test_a_quaternion_that_is_none_is_left_out(tmp_path):
    def error(step, ns):
        turned = T["geometry_msgs/msg/Quaternion"](x=wave(step), y=0.0, z=0.0, w=1.0)
        return T["geometry_msgs/msg/Pose"](
            position=T["geometry_msgs/msg/Point"](x=wave(step), y=0.0, z=0.0), orientation=turned
        )

    path = write_mcap(tmp_path / "a.mcap", steps({"/error": error, "/cmd_vel": stamped}))
    written = guessed(path)
    contract = confirmed(tmp_path / "c.yaml", written)
    assert contract.observation_names == ("position_x",) and "is no rotation in some messages" in written.doubts[0]
    assert invoke("contract", "check", tmp_path / "c.yaml", "--bag", path).exit_code == 0


def test_slow_observations_set_the_period(tmp_path):
    entries = [
        each
        for each in steps({"/scan": scan, "/cmd_vel": stamped})
        if each[0] != "/scan" or each[2] // PERIOD_NS % 5 == 0
    ]
    contract = confirmed(tmp_path / "c.yaml", guessed(write_mcap(tmp_path / "a.mcap", entries)))
    assert contract.period_s == 0.1


# Where nobody commands, or sends the same throughout

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

"""Pins first contracts guessed from recordings: what is chosen, what is marked, and that the rest of lwd takes them."""

import subprocess
import sys

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
from bags_support import PERIOD_NS, arm, header, joints, vector, write_mcap
from guess_support import (
    T,
    array_of,
    confirmed,
    guessed,
    invoke,
    odometry,
    positions,
    scan,
    stamped,
    steps,
    trajectory,
    wave,
)

from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.guess import looks_like_command


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

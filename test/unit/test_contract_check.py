"""Pins `lwd contract check` without ROS: the table, and a sentence with file and key for each kind of mistake."""

import copy
import sys

import pytest
import yaml
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.contract import Contract, Field
from lwd_ros.contract.stand_ins import stand_ins
from lwd_ros.contract.table import field_text, rows, summary, table
from lwd_ros.resources import share_path

pytest.importorskip("rosbags")

ARM = {
    "name": "arm",
    "period_s": 0.02,
    "history": 1,
    "observation": {
        "elbow": {"unit": "rad", "limits": [-3.14, 3.14]},
        "heading": {"unit": "rad", "limits": [-3.2, 3.2]},
        "scan": {"unit": "m", "limits": [0.0, 3.5], "size": 4},
        "tool_x": {"unit": "m", "limits": [-1.0, 1.0]},
    },
    "command": {
        "elbow_target": {"unit": "rad", "limits": [-3.0, 3.0], "slew_per_s": 1.0, "rest": "elbow"},
        "grip": {"unit": "1", "limits": [0.0, 1.0], "slew_per_s": 1.0, "rest": "keep", "relative_to": "command"},
    },
    "binding": {
        "observation": {
            "sync": "latest",
            "streams": [
                {
                    "topic": "/joint_states",
                    "type": "sensor_msgs/msg/JointState",
                    "stale_after_s": 0.1,
                    "fields": {"elbow": "position[elbow]"},
                },
                {
                    "topic": "odom",
                    "type": "nav_msgs/msg/Odometry",
                    "stale_after_s": 0.1,
                    "fields": {"heading": {"field": "pose.pose.orientation", "function": "yaw"}},
                },
                {
                    "topic": "scan",
                    "type": "sensor_msgs/msg/LaserScan",
                    "stale_after_s": 0.1,
                    "fields": {"scan": {"field": "ranges[0:360:90]", "clip": True}},
                },
                {
                    "type": "tf",
                    "frame": "tool0",
                    "in": "base",
                    "stale_after_s": 0.1,
                    "fields": {"tool_x": "translation.x"},
                },
            ],
        },
        "command": {
            "on_fault": "hold",
            "streams": [
                {
                    "topic": "arm/trajectory",
                    "type": "trajectory_msgs/msg/JointTrajectory",
                    "frame_id": "",
                    "constants": {"joint_names": ["elbow"], "points[0].time_from_start": 0.1},
                    "fields": {"elbow_target": "points[0].positions[elbow]"},
                },
                {
                    "topic": "gripper/commands",
                    "type": "std_msgs/msg/Float64MultiArray",
                    "fields": {"grip": {"field": "data[0]", "scale": 2.0, "offset": 0.5}},
                },
            ],
        },
        "permission": {
            "streams": [
                {
                    "topic": "deadman",
                    "type": "sensor_msgs/msg/Joy",
                    "field": "buttons[4]",
                    "above": 0.5,
                    "stale_after_s": 0.2,
                }
            ]
        },
    },
}


def observed(place: int) -> tuple:
    return ("binding", "observation", "streams", place)


def commanded(place: int) -> tuple:
    return ("binding", "command", "streams", place)


def changed(path: tuple, value) -> dict:
    """ARM with another value at `path`; None: without it."""
    content = copy.deepcopy(ARM)
    section = content
    for key in path[:-1]:
        section = section[key]
    if value is None:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    return content


@pytest.fixture
def check(tmp_path):
    """A function: run the command on a contract; returns its exit status and what it says."""

    def run(content, *options):
        file = tmp_path / "arm.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        done = CliRunner().invoke(cli, ["contract", "check", str(file), *options], prog_name="lwd")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


def test_the_shipped_contract_is_fine():
    done = CliRunner().invoke(cli, ["contract", "check", str(share_path("config", "metaworld.yaml"))])
    assert done.exit_code == 0
    *lines, warning = done.output.splitlines()
    assert warning == "warning: no binding.permission: a policy moves the robot as soon as it arrives"
    assert lines[0] == "contract 'metaworld_sawyer'"
    assert lines[2].split() == ["observation", "unit", "limits", "topic", "type", "field"]
    hand = ["hand_x", "m", "[-0.6,", "0.6]", "hand/pose", "geometry_msgs/msg/PoseStamped", "pose.position.x"]
    assert lines[3].split() == hand
    assert len(lines) == 3 + 21 + 1 + 1 + 4 + 2
    assert lines[-3].split()[:5] == ["gripper_effort", "1", "[-1,", "1]", "keep"]
    facts = "period 0.0125 s (80 Hz), sync same_stamp, on_fault hold, no permission needed, digest 580b105cd0b3"
    assert lines[-1] == facts


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("binding", "permission"), None, "no binding.permission: a policy moves the robot as soon as it arrives"),
        (("observation", "elbow", "limits"), [-100, 229], "elbow: limits [-100, 229] in rad are more than two turns"),
        (("command", "elbow_target", "slew_per_s"), 500.0, "elbow_target: slew_per_s 500 crosses the whole range"),
        (("period_s",), 30, "period_s 30 is longer than a second; it is a time, not a rate"),
        (("binding", "observation", "streams", 0, "stale_after_s"), 0.01, "stale_after_s 0.01 is less than the period"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(check, path, value, sentence):
    assert sentence not in check(ARM)[1]
    content = section = copy.deepcopy(ARM)
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    if value is None:
        del section[path[-1]]
    status, text = check(content)
    assert status == 0
    assert any(line.startswith("warning: ") and sentence in line for line in text.splitlines())


def test_every_kind_of_stream_has_its_row(check):
    status, text = check(ARM)
    assert status == 0 and "problem" not in text and "not checked" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "elbow rad [-3.14, 3.14] /joint_states sensor_msgs/msg/JointState position[elbow]",
        "heading rad [-3.2, 3.2] odom nav_msgs/msg/Odometry yaw(pose.pose.orientation)",
        "scan (4) m [0, 3.5] scan sensor_msgs/msg/LaserScan ranges[0:360:90], clipped",
        "tool_x m [-1, 1] tool0 in base tf translation.x",
        "elbow_target rad [-3, 3] elbow - arm/trajectory trajectory_msgs/msg/JointTrajectory "
        "points[0].positions[elbow]",
        "grip 1 [0, 1] keep command gripper/commands std_msgs/msg/Float64MultiArray data[0] = (x - 0.5) / 2",
        "(constant) - - - - arm/trajectory trajectory_msgs/msg/JointTrajectory joint_names = ['elbow']",
        "deadman sensor_msgs/msg/Joy buttons[4] above 0.5 0.2 s",
    ):
        assert line in lines
    assert "sync latest, on_fault hold, permission of 1 stream, after a loss request, digest" in lines[-1]


def test_a_joint_prefix_is_in_the_table(check):
    status, text = check(ARM, "--joint-prefix", "left_")
    assert status == 0
    for part in ("position[left_elbow]", "points[0].positions[left_elbow]", "joint_names = ['left_elbow']"):
        assert part in text
    assert "joint_prefix left_, digest" in text


@pytest.mark.parametrize(
    ("path", "value", "key", "sentence"),
    [
        (
            (*observed(0), "type"),
            "sensor_msgs/msg/JointStat",
            "observation.streams[0].type",
            "found the message type 'sensor_msgs/msg/JointStat', expected one that is known here "
            "(did you mean 'sensor_msgs/msg/JointState'?)",
        ),
        (
            (*observed(0), "fields", "elbow"),
            "positon[elbow]",
            "observation.streams[0].fields.elbow",
            "'positon[elbow]': found 'positon' in sensor_msgs/JointState, expected one of header, name, position, "
            "velocity, effort (did you mean 'position'?)",
        ),
        (
            (*observed(0), "fields", "elbow"),
            "name[0]",
            "observation.streams[0].fields.elbow",
            "found string, a text, at 'name[0]', expected a number",
        ),
        (
            (*observed(1), "fields", "heading"),
            {"field": "pose.covariance[30:40]", "function": "mean"},
            "observation.streams[1].fields.heading",
            "found 36 entries in 'pose.covariance', expected at least 40",
        ),
        (
            (*observed(2), "fields", "scan"),
            "ranges[0:360:60]",
            "observation.streams[2].fields.scan",
            "found 6 numbers, expected 4, the scalar's size",
        ),
        ((*observed(3), "in"), None, "observation.streams[3].in", "found 'nothing', expected a text"),
        (
            (*observed(3), "fields", "tool_x"),
            "translation.q",
            "observation.streams[3].fields.tool_x",
            "'translation.q': found 'q' in geometry_msgs/Vector3, expected one of x, y, z",
        ),
        (
            (*observed(0), "type"),
            "std_msgs/msg/Float64MultiArray",
            "observation.streams[0].stamp",
            "found header, expected arrival: std_msgs/msg/Float64MultiArray has no header",
        ),
        (
            (*commanded(0), "frame_id"),
            None,
            "command.streams[0].frame_id",
            "found nothing, expected a frame: trajectory_msgs/msg/JointTrajectory has a header",
        ),
        (
            (*commanded(0), "constants"),
            {"points[0].time_from_start": 0.1, "joint_names": []},
            "command.streams[0]",
            "'points[0].positions[elbow]': found 'elbow', expected one of the names that the constant",
        ),
        (
            (*commanded(0), "constants"),
            {"joint_names": ["elbow"]},
            "command.streams[0]",
            "'points[0].time_from_start': found 0 s, expected a constant above 0",
        ),
        (
            (*commanded(1), "fields", "grip"),
            "data",
            "command.streams[1].fields.grip",
            "found float64[], an array, at 'data', expected an index or a name",
        ),
        (
            ("binding", "permission", "streams", 0, "field"),
            "button[4]",
            "permission.streams[0].field",
            "expected one of header, axes, buttons (did you mean 'buttons'?)",
        ),
        (("binding",), None, "", "found nothing, expected topics and fields"),
    ],
)
def test_each_mistake_is_a_sentence_with_file_and_key(check, tmp_path, path, value, key, sentence):
    status, text = check(changed(path, value))
    assert status == 1
    (line,) = [line for line in text.splitlines() if line.startswith("problem: ") and f"binding.{key}'" in line] or [
        line for line in text.splitlines() if not key and line.startswith("problem: ")
    ]
    assert line.startswith(f"problem: {tmp_path / 'arm.yaml'}: key 'binding")
    assert sentence in line


def test_a_command_by_place_needs_the_joints_names(check):
    content = changed((*commanded(0), "fields", "elbow_target"), "points[0].positions[0]")
    del content["binding"]["command"]["streams"][0]["constants"]["joint_names"]
    status, text = check(content)
    assert status == 1
    assert "key 'binding.command.streams[0]': 'points[0].positions': found 1 entries and 0 names" in text


def test_all_mistakes_are_said_at_once(check):
    content = changed((*observed(0), "fields", "elbow"), "positon[elbow]")
    content["binding"]["observation"]["streams"][1]["fields"]["heading"] = "pose.pose"
    content["binding"]["permission"]["streams"][0]["field"] = "header"
    status, text = check(content)
    assert status == 1 and text.count("problem: ") == 3
    assert text.startswith("contract 'arm'\n\nobservation")  # the table comes all the same


def test_a_type_that_nobody_here_knows_is_said_and_is_no_problem(check):
    content = changed((*observed(0), "type"), "arm_driver_msgs/msg/State")
    status, text = check(content)
    assert status == 0
    assert "not checked: the definition of arm_driver_msgs/msg/State is not at hand; with ROS: --live\n" in text


def test_a_file_that_is_no_contract_is_one_sentence(tmp_path):
    for content, sentence in (("name: [", "is not YAML"), ("name: arm\n", "key 'history': found 'nothing'")):
        (tmp_path / "arm.yaml").write_text(content)
        done = CliRunner().invoke(cli, ["contract", "check", str(tmp_path / "arm.yaml")])
        assert done.exit_code == 1
        assert done.output.startswith(f"problem: {tmp_path / 'arm.yaml'}: ") and sentence in done.output
        assert done.output.count("\n") == 1
    done = CliRunner().invoke(cli, ["contract", "check", str(tmp_path / "none.yaml")])
    assert done.exit_code == 1 and "cannot be read (No such file or directory)" in done.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--namespace", "left"], "--namespace and --remap: found without --live or --bag, expected with one of them"),
        (["--live", "0"], "found 0, expected seconds above 0, up to 3600"),
        (["--live", "arm.yaml"], "found 'arm.yaml', expected seconds; to leave them out, write the file before --live"),
    ],
)
def test_wrong_options_are_refused(check, options, sentence):
    status, text = check(ARM, *options)
    assert status == 2 and sentence in text


def test_a_package_of_ros_that_is_missing_is_one_sentence(check, monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "lwd_ros.nodes.contract_check", raising=False)
    status, text = check(ARM, "--live")
    assert status == 2 and "'lwd contract check' needs the package 'rclpy': source a ROS 2 workspace" in text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (Field("position[elbow]"), "position[elbow]"),
        (Field("position[elbow]", scale=2.0, offset=-0.1), "2 * position[elbow] - 0.1"),
        (Field("position[elbow]", functions=("sin",), scale=2.0), "sin(2 * position[elbow])"),
        (Field("pose.orientation", functions=("yaw", "cos")), "cos(yaw(pose.orientation))"),
        (
            Field("ranges", functions=("min",), replace=((float("nan"), 3.5), (0.0, 3.5)), clip=True),
            "min(ranges, 3.5 for nan, 3.5 for 0), clipped",
        ),
        (Field("range", replace=((0.0, 3.5),), offset=1.0), "(range, 3.5 for 0) + 1"),
    ],
)
def test_a_field_is_written_in_short(field, text):
    assert field_text(field) == text


def test_rows_are_of_the_contract_with_topics_as_the_robot_calls_them():
    contract = Contract.from_dict(ARM)
    entries = rows(contract, lambda topic: f"/left/{topic.lstrip('/')}")
    assert [row.name for row in entries if row.part == "observation"] == ["elbow", "heading", "scan (4)", "tool_x"]
    scan = next(row for row in entries if row.name == "scan (4)")
    assert scan.topic == "/left/scan" and scan.places == (2, 3, 4, 5) and scan.limits == (0.0, 3.5)
    assert {row.stream for row in entries if row.part == "command"} == {0, 1}


def test_a_contract_without_binding_and_one_with_an_age_have_a_table():
    bare = Contract.from_dict({key: value for key, value in ARM.items() if key != "binding"})
    assert "topic" not in table(rows(bare)) and "on_fault" not in summary(bare)
    aged = Contract.load(share_path("config", "metaworld_age.yaml"))
    assert "the time since the observation's stamp" in table(rows(aged))
    assert "history" not in summary(bare) and ", history 3 frames, " in summary(bare.with_history(3))
    assert table(rows(bare.with_history(3))) == table(rows(bare))  # a scalar is one, however many frames of it are read


def test_stand_ins_are_as_the_messages_that_they_stand_for():
    for package in ("trajectory_msgs", "sensor_msgs", "nav_msgs"):
        pytest.importorskip(f"{package}.msg")
    from lwd_ros.contract.definitions import class_of, fields_of
    from lwd_ros.dataset.definitions import offline

    classes = stand_ins(offline())
    for kind in ("trajectory_msgs/msg/JointTrajectory", "sensor_msgs/msg/Imu", "nav_msgs/msg/Odometry"):
        assert fields_of(classes(kind)) == fields_of(class_of(kind))
        assert classes(kind).__name__ == class_of(kind).__name__
    assert len(classes("nav_msgs/msg/Odometry")().pose.covariance) == 36

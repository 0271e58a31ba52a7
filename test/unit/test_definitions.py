"""Pins what is refused before any message comes, from live definitions and from recorded ones."""

import builtins
import sys

import pytest

from lwd_ros.contract import ContractError, Field
from lwd_ros.contract.definitions import FieldType, check_fields, class_of, has_header, live, parse_type
from lwd_ros.dataset.definitions import offline

JOINTS, SCAN, POSE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/LaserScan", "geometry_msgs/msg/PoseStamped"
IMU, TRAJECTORY, TF = "sensor_msgs/msg/Imu", "trajectory_msgs/msg/JointTrajectory", "tf2_msgs/msg/TFMessage"
TYPES = [JOINTS, SCAN, POSE, IMU, TRAJECTORY, "nav_msgs/msg/Odometry", "std_msgs/msg/Float64MultiArray"]


@pytest.fixture(scope="module", params=["live", "offline"])
def definitions(request):
    if request.param == "live":
        pytest.importorskip("sensor_msgs.msg")
        return live
    pytest.importorskip("rosbags")
    return offline()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("double", FieldType("float64")),
        ("float", FieldType("float32")),
        ("boolean", FieldType("bool")),
        ("octet", FieldType("byte")),
        ("char", FieldType("uint8")),
        ("uint16", FieldType("uint16")),
        ("string", FieldType("string")),
        ("string<=10", FieldType("string")),
        ("string<10>", FieldType("string")),
        ("wstring", FieldType("wstring")),
        ("sequence<double>", FieldType("float64", "sequence")),
        ("sequence<double, 3>", FieldType("float64", "sequence")),
        ("sequence<string<10>>", FieldType("string", "sequence")),
        ("sequence<string<10>, 4>", FieldType("string", "sequence")),
        ("double[36]", FieldType("float64", 36)),
        ("float64[]", FieldType("float64", "sequence")),
        ("float64[<=5]", FieldType("float64", "sequence")),
        ("sequence<geometry_msgs/TransformStamped>", FieldType("geometry_msgs/msg/TransformStamped", "sequence")),
        ("std_msgs/Header", FieldType("std_msgs/msg/Header")),
        ("std_msgs/msg/Header", FieldType("std_msgs/msg/Header")),
    ],
)
def test_a_type_is_read_as_ros_gives_it(text, kind):
    assert parse_type(text) == kind


@pytest.mark.parametrize("text", ["", "number", "sequence<>", "double[x]", "sequence<number>", "a/b/c/D"])
def test_what_is_no_type_is_refused(text):
    with pytest.raises(ContractError, match=r"found the type .*, expected"):
        parse_type(text)


def test_live_and_offline_definitions_are_the_same():
    pytest.importorskip("sensor_msgs.msg")
    pytest.importorskip("rosbags")
    recorded, seen = offline(), set()

    def compare(message_type: str) -> None:
        if message_type in seen:
            return
        seen.add(message_type)
        assert list(live(message_type).items()) == list(recorded(message_type).items())
        for kind in live(message_type).values():
            if kind.is_message:
                compare(kind.base)

    for message_type in TYPES:
        compare(message_type)
    assert "builtin_interfaces/msg/Time" in seen


GOOD = [
    (JOINTS, Field("position[elbow]")),
    (JOINTS, Field("position[2]")),
    (JOINTS, Field("position", size=7)),
    (JOINTS, Field("header.stamp.sec")),
    (SCAN, Field("ranges[0:360:10]", size=36)),
    (SCAN, Field("ranges", functions=("min",))),
    (POSE, Field("pose.orientation", functions=("yaw", "sin"))),
    (POSE, Field("pose.position", functions=("norm",))),
    (IMU, Field("orientation_covariance[8]")),
    (IMU, Field("orientation_covariance", size=9)),
    (IMU, Field("orientation_covariance[0::4]", size=3)),
    (TRAJECTORY, Field("points[0].positions[elbow]")),
    ("sensor_msgs/msg/BatteryState", Field("present")),
    ("geometry_msgs/msg/PoseArray", Field("poses[0].orientation.w")),
]


@pytest.mark.parametrize(("message_type", "field"), GOOD)
def test_what_a_type_has_is_accepted(definitions, message_type, field):
    check_fields(message_type, [field], definitions)


BAD = [
    (POSE, Field("pose.positon.x"), r"'positon' in geometry_msgs/Pose, expected one of .*did you mean 'position'"),
    (POSE, Field("pose.position"), r"geometry_msgs/Point, a message, at 'pose.position', .*such as pose.position.x"),
    (POSE, Field("header.frame_id"), "found string, a text, at 'header.frame_id', expected a number"),
    (POSE, Field("header.frame_id.x"), "found string at 'header.frame_id', expected a message"),
    (POSE, Field("pose[0].position.x"), r"found geometry_msgs/Pose at 'pose', expected an array"),
    (POSE, Field("pose.position.x[elbow]"), "found float64 at 'pose.position.x', expected an array"),
    (POSE, Field("pose.position", functions=("yaw",)), "expected a rotation, with x, y, z and w"),
    (POSE, Field("pose.position.x", functions=("pitch",)), "found float64, expected a rotation"),
    (POSE, Field("pose.orientation", functions=("norm",)), "found geometry_msgs/Quaternion, expected a vector"),
    (POSE, Field("pose", functions=("norm",)), "found geometry_msgs/Pose, expected a vector"),
    (POSE, Field("pose.position.x", functions=("max",)), "one number, expected an array to take the max of"),
    (POSE, Field("pose.position.x", size=3), "one number, expected an array for a vector of 3"),
    (SCAN, Field("ranges"), r"float32\[\], an array, at 'ranges', expected an index, a name, a function or"),
    (SCAN, Field("ranges[elbow]"), r"found no names for '\[elbow\]', expected a list of texts called name"),
    (SCAN, Field("ranges[0:36]", size=35), "found 36 numbers, expected 35, the scalar's size"),
    (SCAN, Field("ranges.x"), r"found float32\[\] at 'ranges', expected a message"),
    (JOINTS, Field("name[0]"), r"found string, a text, at 'name\[0\]', expected a number"),
    (JOINTS, Field("name"), r"found string\[\], an array of such, at 'name', expected a number"),
    (IMU, Field("orientation_covariance[9]"), "found 9 entries in 'orientation_covariance', expected more than 9"),
    (IMU, Field("orientation_covariance[0:10]", size=10), "found 9 entries .*, expected at least 10"),
    (IMU, Field("orientation_covariance", size=8), "found 9 numbers, expected 8"),
    (TRAJECTORY, Field("points.positions[elbow]"), "expected a message where it says '.positions'"),
    ("geometry_msgs/msg/PoseArray", Field("poses[x.y=3].orientation.w"), "the key 'x.y' for geometry_msgs/Pose"),
    ("geometry_msgs/msg/PoseArray", Field("poses[position=3].orientation.w"), "expected a text or a number"),
    ("geometry_msgs/msg/PoseArray", Field("poses[elbow].orientation.w"), "found no names"),
]


@pytest.mark.parametrize(("message_type", "field", "sentence"), BAD)
def test_what_no_message_of_a_type_can_have_is_refused(definitions, message_type, field, sentence):
    with pytest.raises(ContractError, match=sentence) as caught:
        check_fields(message_type, [Field("header.stamp.sec"), field], definitions)
    assert str(caught.value).startswith(f"'{field.path}': found ")
    assert "\n" not in str(caught.value)


def test_a_command_is_one_number_of_a_place_that_is_known(definitions):
    check_fields(JOINTS, [Field("effort[elbow]")], definitions, command=True)
    with pytest.raises(ContractError, match=r"found the slice '.0:3.', expected one number for one command"):
        check_fields(JOINTS, [Field("effort[0:3]", size=3)], definitions, command=True)
    with pytest.raises(ContractError, match=r"which looks for a message, expected an index or a name"):
        check_fields("geometry_msgs/msg/PoseArray", [Field("poses[a=b].position.x")], definitions, command=True)


def test_transforms_are_chosen_by_a_key():
    pytest.importorskip("rosbags")
    check_fields(TF, [Field("transforms[child_frame_id=tool0].transform.rotation.w")], offline())
    with pytest.raises(
        ContractError, match=r"the key 'child' for geometry_msgs/TransformStamped.*one of header, child_frame_id"
    ):
        check_fields(TF, [Field("transforms[child=tool0].transform.rotation.w")], offline())


def test_who_has_a_header(definitions):
    assert has_header(POSE, definitions)
    assert not has_header("std_msgs/msg/Float64MultiArray", definitions)


@pytest.mark.parametrize("message_type", ["no_such_msgs/msg/Thing", "sensor_msgs/msg/JointStat", "JointState"])
def test_a_type_that_is_not_there_is_refused(definitions, message_type):
    with pytest.raises(ContractError, match=r"found .*, expected"):
        check_fields(message_type, [Field("x")], definitions)


def test_a_class_is_found_by_its_type():
    message = pytest.importorskip("sensor_msgs.msg").JointState
    assert class_of(JOINTS) is message
    with pytest.raises(ContractError, match=r"did you mean 'JointState'"):
        class_of("sensor_msgs/msg/JointStates")


def test_without_rosbags_the_missing_library_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **others):
        if name.startswith("rosbags"):
            raise ImportError(name)
        return real(name, *args, **others)

    for name in [name for name in sys.modules if name.startswith("rosbags")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ContractError, match=r"found no library 'rosbags', expected it .*pip install 'lwd_ros.bags.'"):
        offline()

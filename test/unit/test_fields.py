"""Pins reading: one meaning for live and recorded messages, whatever the order of their joints."""

import array
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lwd_ros.contract import ContractError, sign_of
from lwd_ros.contract.fields import Field, Unaddressed, reader
from lwd_ros.contract.picking import pick

geometry = pytest.importorskip("geometry_msgs.msg")
sensor = pytest.importorskip("sensor_msgs.msg")
JointState = sensor.JointState

_ORIENTATION = [f"pose.orientation.{a}" for a in "xyzw"]


def fields(*paths: str, **others) -> list[Field]:
    return [Field(path, **others) for path in paths]


def _turned(quaternion):
    message = geometry.PoseStamped()
    for axis, value in zip("xyzw", quaternion, strict=True):
        setattr(message.pose.orientation, axis, float(value))
    return message


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.integers(1, 15))
def test_a_quaternion_and_its_negative_are_read_alike(parts, kept):
    """One sign, whichever was sent, and whichever of its parts are bound: w above 0."""
    norm = np.linalg.norm(parts)
    assume(norm > 0.1)
    quaternion = np.array(parts) / norm
    paths = ["pose.position.x", *(path for place, path in enumerate(_ORIENTATION) if kept >> place & 1)]
    read = reader(fields(*paths, minimum=-1.0, maximum=1.0))
    for _ in range(2):  # the first message, and those after it
        found, flipped = read(_turned(quaternion)), read(_turned(-quaternion))
        assert found.tolist() == flipped.tolist()
        expected = quaternion if quaternion[3] > 0 else -quaternion
        if quaternion[3] != 0:
            assert found[1:].tolist() == [v for place, v in enumerate(expected) if kept >> place & 1]


@pytest.mark.parametrize(
    ("quaternion", "norm"),
    [((0, 0, 0, 0), "0"), ((0, 0, 0, 0.9), "0.9"), ((1, 1, 0, 0), "1.41"), ((0, 0, 0, math.nan), "nan")],
)
def test_what_is_no_rotation_is_refused(quaternion, norm):
    read = reader(fields("pose.orientation.z"))
    for _ in range(2):
        with pytest.raises(ContractError, match=f"pose.orientation: found a quaternion of norm {norm}, expected 1"):
            read(_turned(quaternion))
        read(_turned((0, 0, 0, 1)))
    # A pose whose orientation is not bound may have any.
    assert reader(fields("pose.position.x"))(_turned(quaternion)).tolist() == [0.0]


def test_the_sign_is_decided_even_where_w_is_zero():
    assert [sign_of(*q) for q in ((1, 0, 0, 0), (-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, -0.0))] == [1, -1, -1, -1]


def test_a_joint_state_without_the_joint_or_its_value_is_refused():
    read = reader(fields("effort[gripper]"))
    with pytest.raises(Unaddressed, match=r"'effort\[gripper\]': 'gripper' is not among \['arm'\] of 'name'"):
        read(JointState(name=["arm"], effort=[0.0]))
    with pytest.raises(ContractError, match="found 1 entries in 'effort' for 2 names, expected one for 'gripper'"):
        read(JointState(name=["arm", "gripper"], effort=[0.0]))


def twice(read, message) -> np.ndarray:
    """What is read from the first message and, by other code, from one after it: the same to the bit."""
    first, second = read(message), read(message)
    assert first.dtype == second.dtype == np.float64
    assert first.tobytes() == second.tobytes()
    return first


# Live and recorded messages


def _quaternion(kind):
    return kind(x=0.1, y=-0.3, z=0.5, w=-0.806225774829855)


def _messages(source: str) -> dict[str, object]:
    """The same values in live classes and in rosbags' dataclasses, whose arrays are NumPy's."""
    if source == "live":
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        g, s, f64, f32 = geometry, sensor, list, lambda v: array.array("f", v)
        sub = {"Time": Time, "Header": Header}
        get = lambda name: sub.get(name) or getattr(g, name, None) or getattr(s, name)  # noqa: E731
    else:
        typesys = pytest.importorskip("rosbags.typesys")
        types = typesys.get_typestore(typesys.Stores.ROS2_JAZZY).types
        short = {name.rpartition("/")[2]: kind for name, kind in types.items() if "/msg/" in name}
        get, f64, f32 = short.__getitem__, np.array, lambda v: np.array(v, dtype=np.float32)
    stamp = get("Time")(sec=7, nanosec=5)
    header = get("Header")(stamp=stamp, frame_id="base")
    point = get("Point")(x=1.0, y=2.0, z=-2.0)
    pose = get("Pose")(position=point, orientation=_quaternion(get("Quaternion")))
    names = [f"joint_{i}" for i in range(5)]
    numbers = [0.1, -0.2, 0.3, math.nan, 0.5]
    joints = get("JointState")(
        header=header, name=names, position=f64(numbers), velocity=f64(numbers[::-1]), effort=f64([])
    )
    ranges = [0.1 * i for i in range(8)] + [math.inf, math.nan]
    scan = get("LaserScan")(
        header=header, angle_min=0.0, angle_max=1.0, angle_increment=0.1, time_increment=0.0, scan_time=0.1,
        range_min=0.0, range_max=9.0, ranges=f32(ranges), intensities=f32([]),
    )  # fmt: skip
    covariance = np.arange(9.0)
    vector = get("Vector3")(x=3.0, y=4.0, z=12.0)
    imu = get("Imu")(
        header=header, orientation=pose.orientation, orientation_covariance=covariance, angular_velocity=vector,
        angular_velocity_covariance=covariance, linear_acceleration=vector, linear_acceleration_covariance=covariance,
    )  # fmt: skip
    joy = get("Joy")(header=header, axes=f32([0.5, -1.0]), buttons=array.array("i", [0, 1, 1]))
    if source != "live":
        joy.buttons = np.array([0, 1, 1], dtype=np.int32)
    stamped = get("TransformStamped")
    transforms = [
        stamped(
            header=header,
            child_frame_id=frame,
            transform=get("Transform")(translation=get("Vector3")(x=float(i), y=0.0, z=1.0), rotation=pose.orientation),
        )
        for i, frame in enumerate(("base", "elbow", "tool0"))
    ]
    return {
        "pose": get("PoseStamped")(header=header, pose=pose),
        "joints": joints,
        "scan": scan,
        "imu": imu,
        "joy": joy,
        "poses": get("PoseArray")(header=header, poses=[pose, pose]),
        "transforms": SimpleNamespace(transforms=transforms),
    }


_W = 0.806225774829855
_TOOL = "transforms[child_frame_id=tool0].transform"
_READ = {
    "attributes": ("pose", ["pose.position.x", "pose.position.z", "header.stamp.sec"], [1, -2, 7]),
    "a rotation": ("pose", ["pose.orientation.w", "pose.position.y", "pose.orientation.x"], [_W, 2, -0.1]),
    "joints": ("joints", ["position[joint_2]", "velocity[joint_0]", "position[joint_0]"], [0.3, 0.5, 0.1]),
    "indices": ("joints", ["position[1]", "velocity[4]"], [-0.2, 0.1]),
    "a fixed array": ("imu", ["orientation_covariance[8]", "orientation_covariance[0]"], [8, 0]),
    "whole numbers": ("joy", ["buttons[1]", "buttons[0]"], [1, 0]),
    "numbers of two kinds": ("joy", ["buttons[1]", "axes[0]"], [1, 0.5]),
    "an entry of a list": ("poses", ["poses[1].position.x", "poses[0].orientation.w"], [1, _W]),
    "by a key": ("transforms", [f"{_TOOL}.translation.x", f"{_TOOL}.rotation.z"], [2, -0.5]),
}


@pytest.mark.parametrize("source", ["live", "recorded"])
@pytest.mark.parametrize("case", _READ)
def test_live_and_recorded_messages_are_read_alike(source, case):
    message, paths, expected = _READ[case]
    values = twice(reader(fields(*paths)), _messages(source)[message])
    assert values.tolist() == pytest.approx(expected, abs=1e-15)
    assert values.tolist() == reader(fields(*paths))(_messages("live")[message]).tolist()
    backwards = twice(reader(fields(*paths[::-1])), _messages(source)[message])
    assert backwards.tolist() == values.tolist()[::-1]


@pytest.mark.parametrize("source", ["live", "recorded"])
def test_vectors_and_scalars_stand_in_the_order_of_their_fields(source):
    mixed = [
        Field("range_max"),
        Field("ranges[1:8:3]", size=3),
        Field("ranges", ("min",)),
        Field("ranges[0:9]", ("max",)),
        Field("ranges[8:]", size=2, replace=((math.nan, -1.0), (math.inf, 3.5))),
        Field("range_min", offset=2.0),
    ]
    found = twice(reader(mixed), _messages(source)["scan"])
    expected = [9, *np.float32([0.1, 0.4, 0.7]).astype(float), 0, math.inf, 3.5, -1, 2]
    assert found.tolist() == pytest.approx(expected, abs=1e-15)
    whole = twice(reader([Field("ranges", size=10)]), _messages(source)["scan"])
    assert whole[:8].tolist() == np.float32([0.1 * i for i in range(8)]).astype(float).tolist()
    assert np.isnan(whole[9])


# Joints


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["a", "b", "c", "d", "e"]), st.data())
def test_the_order_may_change_from_message_to_message(first, second, data):
    values = {name: data.draw(st.floats(allow_nan=False)) for name in "abcde"}
    chosen = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
    read = reader(fields(*[f"position[{name}]" for name in chosen], *[f"effort[{name}]" for name in chosen[:1]]))
    expected = np.array([values[name] for name in [*chosen, chosen[0]]]).tobytes()
    message = JointState()
    for order in (first, second, first, second[::-1]):  # one message, filled anew, as a driver may
        message.name[:] = order
        message.position = message.effort = [values[name] for name in order]
        assert read(message).tobytes() == expected


def test_what_nobody_binds_may_be_missing_or_no_number():
    read = reader(fields("position[b]"))
    message = JointState(name=["a", "b", "c"], position=[math.nan, 2.0], velocity=[], effort=[math.nan] * 7)
    assert twice(read, message).tolist() == [2.0]


def test_a_part_of_the_joints_is_refused_and_another_publishers_is_unaddressed():
    read = reader(fields("position[elbow]", "position[wrist]"))
    for _ in range(2):
        with pytest.raises(Unaddressed, match=r"'elbow' is not among \['wheel'\] of 'name'"):
            read(JointState(name=["wheel"], position=[1.0]))
        with pytest.raises(Unaddressed, match=r"'elbow' is not among \[\] of 'name'"):
            read(JointState())
        with pytest.raises(
            ContractError, match=r"'wrist' is not among .*'elbows'.*bind each part as a stream"
        ) as caught:
            read(JointState(name=["elbows", "elbow"], position=[1.0, 2.0]))
        assert not isinstance(caught.value, Unaddressed)
        assert read(JointState(name=["wrist", "elbow"], position=[1.0, 2.0])).tolist() == [2.0, 1.0]


def test_names_stand_in_the_nearest_message_that_has_some():
    element = lambda names, values: SimpleNamespace(interface_names=names, values=values)  # noqa: E731
    message = SimpleNamespace(
        joint_names=["wrist", "elbow"],
        interface_values=[element(["position", "effort"], [1.0, 2.0]), element(["effort", "position"], [3.0, 4.0])],
        points=[SimpleNamespace(positions=[5.0, 6.0])],
    )
    paths = ["interface_values[elbow].values[position]", "interface_values[wrist].values[effort]"]
    read = reader(fields(*paths, "points[0].positions[elbow]"))
    assert twice(read, message).tolist() == [4.0, 2.0, 6.0]
    message.joint_names.reverse()
    assert read(message).tolist() == [1.0, 3.0, 5.0]


# Rotations


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4))
def test_the_sign_is_that_of_the_limits_middle(parts):
    size = np.linalg.norm(parts)
    assume(size > 0.1)
    quaternion = np.array(parts) / size
    bound = [
        Field("pose.orientation.x", minimum=0.0, maximum=1.0),
        Field("pose.orientation.w", minimum=-1, maximum=0.5),
    ]
    read = reader(bound)
    found, flipped = read(_turned(quaternion)), twice(read, _turned(-quaternion))
    assert found.tolist() == flipped.tolist()
    assert sorted(map(abs, found)) == sorted(map(abs, quaternion[[0, 3]]))
    along = 0.5 * found[0] - 0.25 * found[1]
    assert along > -1e-15


def test_a_tool_that_points_down_never_flips():
    read = reader([Field("pose.orientation.x", minimum=0.0, maximum=1.0)])
    for sway in (-1e-3, 0.0, 1e-3):
        for sign in (1.0, -1.0):
            half = math.sqrt(1.0 - sway * sway)
            assert read(_turned((sign * half, 0.0, 0.0, sign * sway))).tolist() == [half]
    scaled = reader([Field("pose.orientation.x", scale=-1.0, minimum=0.0, maximum=1.0)])
    assert twice(scaled, _turned((1.0, 0.0, 0.0, 0.0))).tolist() == [1.0]  # the limits are those of what is scaled


def test_a_message_may_be_the_rotation_itself():
    read = reader(fields("z", "w"))
    assert twice(read, _quaternion(geometry.Quaternion)).tolist() == [-0.5, _W]
    assert twice(reader(fields("x", "z")), geometry.Point(x=-1.0, z=2.0)).tolist() == [-1.0, 2.0]


# What is wrong with a message

_BAD = {
    "no attribute": ("pose.positon.x", "found Pose at 'pose' without 'positon', expected .*did you mean 'position'"),
    "no attribute at all": ("poze.position.x", "a message PoseStamped without 'poze', .*did you mean 'pose'"),
    "a text": ("header.frame_id", "found the text 'base', expected a number"),
    "a message": ("pose.position", "found a message Point, expected a number"),
    "no array": ("pose.position.x[3]", "found the number 1.0 at 'pose.position.x', expected an array"),
}


@pytest.mark.parametrize("case", _BAD)
def test_what_a_message_does_not_have_is_said_in_one_sentence(case):
    path, sentence = _BAD[case]
    with pytest.raises(ContractError, match=sentence) as caught:
        reader(fields("pose.position.y", path))(_messages("live")["pose"])
    assert str(caught.value).startswith(f"'{path}': found ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        (Field("ranges"), "found an array of 10, expected a number; choose it by an index or a name"),
        (Field("ranges[10]"), "found 10 entries in 'ranges', expected more than 10"),
        (Field("ranges[4:11]", size=7), r"found 10 entries in 'ranges', expected at least 11 for \[4:11\]"),
        (Field("ranges[10:]", ("min",)), "found 10 entries in 'ranges', expected at least 11"),
        (Field("ranges[0:9]", size=8), "found 9 numbers, expected 8, the scalar's size"),
        (Field("ranges", size=9), "found 10 numbers, expected 9, the scalar's size"),
        (Field("ranges[elbow]"), r"found no names for '\[elbow\]', expected a list of texts called name"),
        (Field("intensities", ("mean",)), "found an array of 0, expected numbers to take the mean of"),
        (Field("range_max", ("max",)), "found the number 9.0, expected an array to take the max of"),
        (Field("ranges", ("yaw",)), "found an array of 10 without 'x', expected one with x, y, z, w"),
        (Field("header", ("norm",)), "found a message Header without 'x', expected one with x, y"),
        (Field("range_max", size=1), "found the number 9.0, expected an array of numbers"),
    ],
)
@pytest.mark.parametrize("source", ["live", "recorded"])
def test_arrays_that_are_not_as_bound_are_refused(source, field, sentence):
    with pytest.raises(ContractError, match=sentence):
        reader([Field("range_max"), field])(_messages(source)["scan"])


def test_what_goes_wrong_after_the_first_message_is_said_as_well():
    read = reader([Field("ranges[0:3]", size=3), Field("ranges[1]"), Field("ranges", ("min",))])
    scan = sensor.LaserScan(ranges=[1.0, 2.0, 3.0])
    twice(read, scan)
    scan.ranges = [1.0, 2.0]
    with pytest.raises(ContractError, match="found 2 entries in 'ranges', expected at least 3"):
        read(scan)
    for others in ([], fields("range_max")):  # alone and beside another field, which are read by other code
        read = reader([Field("ranges", size=3), *others])
        twice(read, sensor.LaserScan(ranges=[1.0, 2.0, 3.0]))
        for ranges in ([], [1.0], [1.0] * 4):
            with pytest.raises(ContractError, match=f"found {len(ranges)} numbers, expected 3, the scalar's size"):
                read(sensor.LaserScan(ranges=ranges))
        read = reader([Field("ranges[1:3]", ("max",)), *others])
        twice(read, sensor.LaserScan(ranges=[1.0, 2.0, 3.0]))
        with pytest.raises(ContractError, match="found 2 entries in 'ranges', expected at least 3"):
            read(sensor.LaserScan(ranges=[1.0, 2.0]))
    read, message = reader(fields("data", "more")), SimpleNamespace(data=1.0, more=True)
    assert twice(read, message).tolist() == [1.0, 1.0]
    for data, sentence in (("3.5", "the text '3.5'"), (b"3", "the bytes b'3'"), (None, "a message NoneType")):
        message.data = data
        with pytest.raises(ContractError, match=f"'data': found {sentence}, expected a number"):
            read(message)


def test_a_key_that_no_message_has_is_unaddressed_and_a_wrong_key_is_not():
    message = _messages("live")["transforms"]
    with pytest.raises(Unaddressed, match=r"no 'child_frame_id' equal to 'tool', but \[.*did you mean 'tool0'"):
        reader(fields("transforms[child_frame_id=tool].transform.rotation.w"))(message)
    with pytest.raises(ContractError, match="TransformStamped in 'transforms' without 'child', expected a key"):
        reader(fields("transforms[child=tool0].transform.rotation.w"))(message)
    tags = SimpleNamespace(tags=[SimpleNamespace(id=3, at=1.0), SimpleNamespace(id=7, at=2.0)])
    assert twice(reader(fields("tags[id=7].at")), tags).tolist() == [2.0]


def test_fast_reading_is_picking():
    every = [field for name, paths, _ in _READ.values() if name == "joints" for field in fields(*paths)]
    message = _messages("live")["joints"]
    assert reader(every)(message).tobytes() == pick(message, every)[0].tobytes()

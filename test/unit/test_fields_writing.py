"""Pins writing: what is bound arrives where it was bound to, and what a receiver needs is not left out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import ContractError
from lwd_ros.contract.fields import Field, reader, writer

geometry = pytest.importorskip("geometry_msgs.msg")
sensor = pytest.importorskip("sensor_msgs.msg")
standard = pytest.importorskip("std_msgs.msg")
JointState = sensor.JointState
JointTrajectory = pytest.importorskip("trajectory_msgs.msg").JointTrajectory

_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_JOINTS = ["gripper", "arm 1", "x/y", "elbow"]
_SOON = {"points[0].time_from_start": 0.05}


def fields(*paths: str, **others) -> list[Field]:
    return [Field(path, **others) for path in paths]


@given(st.data(), st.permutations(_JOINTS))
def test_what_is_written_by_name_is_read_back_in_any_order(data, joints):
    paths = [f"{array}[{joint}]" for array in ("position", "velocity", "effort") for joint in joints]
    chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    values = data.draw(st.lists(_FINITE, min_size=len(chosen), max_size=len(chosen)))
    message, write = writer(JointState, fields(*chosen))
    for sign in (1.0, -1.0):
        write([sign * value for value in values])
        shuffled = data.draw(st.permutations(list(zip(chosen, values, strict=True))))
        result = reader(fields(*[path for path, _ in shuffled]))(message)
        assert result.dtype == np.float64
        assert result.tolist() == [sign * value for _, value in shuffled]


@given(st.data())
def test_what_is_written_by_attribute_is_read_back(data):
    paths = [f"twist.{part}.{axis}" for part in ("linear", "angular") for axis in "xyz"]
    chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    values = data.draw(st.lists(_FINITE, min_size=len(chosen), max_size=len(chosen)))
    message, write = writer(geometry.TwistStamped, fields(*chosen))
    write(np.array(values))
    assert reader(fields(*chosen))(message).tolist() == values
    left = [path for path in paths if path not in chosen]
    assert not left or reader(fields(*left))(message).tolist() == [0.0] * len(left)


def test_joints_stand_in_the_order_in_which_they_are_bound_and_the_rest_is_nan_or_empty():
    message, write = writer(JointState, fields("effort[b]", "position[a]", "effort[c]"))
    write([1.0, 2.0, 3.0])
    assert list(message.name) == ["b", "a", "c"]
    assert np.array_equal(message.effort, [1.0, math.nan, 3.0], equal_nan=True)
    assert np.array_equal(message.position, [math.nan, 2.0, math.nan], equal_nan=True)
    assert len(message.velocity) == 0


def test_names_that_are_constants_say_the_order():
    constants = {**_SOON, "joint_names": ["a", "b", "c"], "points[0].velocities": [0.0, 0.1, 0.2]}
    paths = [f"points[0].positions[{name}]" for name in "cab"]
    message, write = writer(JointTrajectory, fields(*paths, "points[0].velocities[c]"), constants)
    write([3.0, 1.0, 2.0, 9.0])
    (point,) = message.points
    assert list(message.joint_names) == ["a", "b", "c"]
    assert (list(point.positions), list(point.velocities)) == ([1.0, 2.0, 3.0], [0.0, 0.1, 9.0])
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 50_000_000)
    by_index = fields("points[0].positions[0]", "points[0].positions[1]", "points[0].positions[2]")
    message, write = writer(JointTrajectory, by_index, {**_SOON, "joint_names": ["a", "b", "c"]})
    write([1.0, 2.0, 3.0])
    assert list(message.points[0].positions) == [1.0, 2.0, 3.0]


def test_the_order_of_the_constants_does_not_matter():
    message, write = writer(
        JointState, fields("effort[a]"), {"effort[c]": 3, "effort[b]": 2.5, "name": ["a", "b", "c"]}
    )
    write([1.0])
    assert (list(message.name), list(message.effort)) == (["a", "b", "c"], [1.0, 2.5, 3.0])


def test_lists_of_messages_are_as_long_as_needed_and_the_message_is_one():
    points = fields("points[0].positions[a]", "points[1].positions[a]")
    times = {"points[0].time_from_start": 0.5, "points[1].time_from_start": 1.25, "header.frame_id": "base"}
    message, write = writer(JointTrajectory, points, times)
    first = message.points
    for sign in (1.0, -1.0):
        write([sign, 2.0 * sign])
        assert [list(point.positions) for point in message.points] == [[sign], [2.0 * sign]]
    assert message.points is first and message.header.frame_id == "base"
    assert (first[1].time_from_start.sec, first[1].time_from_start.nanosec) == (1, 250_000_000)


def test_a_time_may_be_bound():
    paths = fields("points[0].positions[a]", "points[0].time_from_start.sec")
    message, write = writer(JointTrajectory, paths)
    write([1.0, 2.0])
    assert message.points[0].time_from_start.sec == 2


def test_arrays_without_names():
    message, write = writer(standard.Float64MultiArray, fields("data[1]", "data[0]"))
    write([1.0, 2.0])
    assert list(message.data) == [2.0, 1.0]
    message, write = writer(standard.Float64MultiArray, fields("data[2]"), {"data": [7, 8, 9]})
    write([1.0])
    assert list(message.data) == [7.0, 8.0, 1.0]
    message, write = writer(geometry.PoseWithCovariance, fields("covariance[35]"), {"covariance[0]": 2})
    write([1.0])
    assert message.covariance.tolist() == [2.0] + [0.0] * 34 + [1.0]
    message, write = writer(sensor.Joy, [Field("axes[0]"), Field("buttons[0]", minimum=0, maximum=3)])
    write([0.5, 1.6])
    assert (list(message.axes), list(message.buttons)) == ([0.5], [2])


def test_numbers_become_what_the_message_has():
    message, write = writer(standard.Bool, fields("data"))
    for value, truth in ((0.49, False), (0.5, True), (1.0, True), (-1.0, False), (np.float64(1.0), True)):
        write([value])
        assert message.data is truth
    message, write = writer(standard.Int8, fields("data", minimum=-128.0, maximum=127.0))
    for value, whole in ((np.float64(-2.6), -3), (126.9, 127)):
        write([value])
        assert message.data == whole and type(message.data) is int
    message, write = writer(standard.Float32, fields("data"))
    write([np.float32(0.25)])
    assert message.data == 0.25


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
def test_scale_and_offset_are_undone_by_reading(value, scale, offset):
    scaled = fields("data", scale=scale, offset=offset)
    message, write = writer(standard.Float64, scaled)
    write([value])
    assert message.data == (value - offset) / scale
    assert reader(scaled)(message)[0] == pytest.approx(value, abs=1e-9)


def test_constants_are_of_every_kind():
    message, _ = writer(sensor.Range, fields("max_range"), {"header.frame_id": "base", "header.stamp": 1.5, "range": 3})
    assert (message.header.frame_id, message.header.stamp.sec, message.header.stamp.nanosec) == ("base", 1, 500_000_000)
    assert message.range == 3.0 and type(message.range) is float
    message, _ = writer(sensor.BatteryState, fields("voltage"), {"present": True, "power_supply_status": 2})
    assert message.present is True and message.power_supply_status == 2


_BAD = {
    "no field": (JointState, ["efort[a]"], {}, r"'efort' in a JointState, expected one of .*did you mean 'effort'"),
    "a message": (geometry.TwistStamped, ["twist.linear"], {}, "geometry_msgs/Vector3, a message, expected a number"),
    "a text": (geometry.TwistStamped, ["header.frame_id"], {}, "found string, a text, expected a number"),
    "an array": (JointState, ["effort"], {}, r"found float64\[\], an array, expected an index or a name"),
    "no array": (standard.Float64, ["data[0]"], {}, "found float64 at 'data', expected an array"),
    "an array's attribute": (JointState, ["effort.x"], {}, r"found float64\[\] at 'effort', expected a message"),
    "no names": (standard.Float64MultiArray, ["data[a]"], {}, r"found no names for '\[a\]', expected a list of texts"),
    "a search": (geometry.PoseArray, ["poses[a=b].position.x"], {}, "found '.a=b.', expected an index or a name"),
    "beyond": (geometry.PoseWithCovariance, ["covariance[36]"], {}, "found 36 entries in 'covariance', expected more"),
    "a hole": (standard.Float64MultiArray, ["data[0]", "data[2]"], {}, r"nothing for 'data\[1\]', expected a field or"),
    "a hole among messages": (geometry.PoseArray, ["poses[1].position.x"], {}, r"nothing for 'poses\[0\]'"),
    "joints without names": (JointState, ["effort[0]"], {}, "found 1 entries and 0 names in 'name', expected one each"),
    "fewer than names": (JointState, ["effort[0]"], {"name": ["a", "b"]}, "1 entries and 2 names in 'name'"),
    "a constant for no names": (JointState, ["effort[a]"], {"velocity": [0, 0]}, "'velocity': found 2 entries and 1"),
    "points without names": (JointTrajectory, ["points[0].positions[0]"], _SOON, "and 0 names in 'joint_names'"),
    "no time": (JointTrajectory, ["points[0].positions[a]"], {}, r"'points\[0\].time_from_start': found 0 s"),
    "no time in one": (
        JointTrajectory,
        ["points[0].positions[a]", "points[1].positions[a]"],
        _SOON,
        r"'points\[1\].time_from_start': found 0 s, expected a constant above 0",
    ),
    "not among the names": (JointState, ["effort[elbo]"], {"name": ["elbow"]}, "expected one of .*mean 'elbow'"),
    "one place twice": (standard.Float64, ["data", "data"], {}, "found 'data' for the same place"),
    "bound and constant": (standard.Float64, ["data"], {"data": 1.0}, "found 'data' for the same place"),
    "by index and name": (JointState, ["effort[0]", "effort[a]"], {"name": ["a"]}, r"found 'effort\[0\]' for the same"),
    "a constant of no field": (standard.Float64, ["data"], {"dta": 1}, "did you mean 'data'"),
    "a text for a number": (sensor.Range, ["range"], {"max_range": "3"}, "found '3', expected a number"),
    "a number for a text": (sensor.Range, ["range"], {"header.frame_id": 3}, "found 3, expected a text"),
    "a number for a truth": (sensor.BatteryState, ["voltage"], {"present": 1}, "found 1, expected true or false"),
    "no whole number": (
        sensor.Range,
        ["range"],
        {"radiation_type": 1.5},
        "found 1.5, expected a whole number from 0 to",
    ),
    "too large": (sensor.Range, ["range"], {"radiation_type": 256}, "found 256, expected a whole number from 0 to 255"),
    "NaN": (sensor.Range, ["range"], {"radiation_type": math.nan}, "found nan, expected"),
    "a text for a list": (JointState, ["effort[a]"], {"name": "a"}, r"found 'a', expected a list"),
    "a list of numbers": (JointState, ["effort[a]"], {"name": [1]}, "found 1, expected a text"),
    "another length": (geometry.PoseWithCovariance, ["covariance[0]"], {"covariance": [0]}, "a list of 1, expected 36"),
    "a message as constant": (geometry.PoseStamped, ["pose.position.x"], {"pose.orientation": 1}, "each of its fields"),
    "a text for seconds": (sensor.Range, ["range"], {"header.stamp": "now"}, "expected a number of seconds"),
}


@pytest.mark.parametrize("case", _BAD)
def test_a_command_that_would_not_be_whole_is_refused_in_one_sentence(case):
    kind, paths, constants, sentence = _BAD[case]
    with pytest.raises(ContractError, match=sentence) as caught:
        writer(kind, fields(*paths), constants)
    assert "\n" not in str(caught.value) and ": found " in str(caught.value)


def test_limits_that_the_message_cannot_carry_are_refused():
    with pytest.raises(ContractError, match=r"'data': found 200 at the limit 2, expected numbers from -128 to 127"):
        writer(standard.Int8, [Field("data", scale=0.01, minimum=-1.0, maximum=2.0)])


def test_a_command_is_only_scaled():
    for field in (Field("data", ("sin",)), Field("data", clip=True), Field("data", replace=((0.0, 1.0),))):
        with pytest.raises(ContractError, match="more than scale and offset"):
            writer(standard.Float64, [field])


def test_one_value_for_each_field():
    _, write = writer(standard.Float64, fields("data"))
    with pytest.raises(ValueError, match="argument 2 is longer"):
        write([1.0, 2.0])

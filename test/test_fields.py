"""Pins reading and writing: one meaning for live and recorded messages, whatever the order of their joints."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lwd_ros.contract import ContractError, sign_of
from lwd_ros.contract.fields import Field, Unaddressed, reader, writer

geometry = pytest.importorskip("geometry_msgs.msg")
JointState = pytest.importorskip("sensor_msgs.msg").JointState

_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_JOINTS = ["gripper", "arm 1", "x/y", "elbow"]
_ORIENTATION = [f"pose.orientation.{a}" for a in "xyzw"]


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

"""Pins what a field does with its numbers, against NumPy and rotation matrices, and how a contract writes it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from lwd_ros.contract import ContractError
from lwd_ros.contract.fields import Field, reader

_ANGLES = st.floats(-math.pi, math.pi)


def _read(value, *functions: str, **others) -> float:
    read, message = reader([Field("data", functions, **others)]), SimpleNamespace(data=value)
    first, second = read(message), read(message)
    assert first.tobytes() == second.tobytes()
    return float(first[0])


def _about(axis: int, angle: float) -> np.ndarray:
    """Rotation matrix about x, y or z."""
    c, s = math.cos(angle), math.sin(angle)
    matrix, (i, j) = np.eye(3), [(1, 2), (2, 0), (0, 1)][axis]
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def _times(a, b) -> list[float]:
    """The product of two quaternions x, y, z, w."""
    v, w, u, s = np.array(a[:3]), a[3], np.array(b[:3]), b[3]
    return [*(w * u + s * v + np.cross(v, u)), w * s - v @ u]


def _quaternion(yaw: float, pitch: float, roll: float) -> list[float]:
    half = [[0, 0, math.sin(yaw / 2), math.cos(yaw / 2)], [0, math.sin(pitch / 2), 0, math.cos(pitch / 2)]]
    return _times(_times(*half), [math.sin(roll / 2), 0, 0, math.cos(roll / 2)])


def _matrix(x, y, z, w) -> np.ndarray:
    """Its columns are the axes after the rotation."""
    return np.array([_times(_times([x, y, z, w], [*axis, 0]), [-x, -y, -z, w])[:3] for axis in np.eye(3)]).T


@given(_ANGLES, st.floats(-math.pi / 2, math.pi / 2), _ANGLES, st.sampled_from([1.0, -1.0]), st.floats(0.991, 1.009))
def test_angles_make_up_the_rotation_again(yaw, pitch, roll, sign, norm):
    quaternion = np.array(_quaternion(yaw, pitch, roll))
    value = SimpleNamespace(**dict(zip("xyzw", sign * norm * quaternion, strict=True)))
    found = [_read(value, function) for function in ("yaw", "pitch", "roll")]
    assert found[1] == pytest.approx(pitch, abs=1e-9)
    if math.pi / 2 - abs(pitch) > 1e-6:  # nearer to it, yaw and roll are not determined
        again = _about(2, found[0]) @ _about(1, found[1]) @ _about(0, found[2])
        assert np.allclose(again, _matrix(*quaternion), atol=1e-8)


@pytest.mark.parametrize("short", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_pitch_is_exact_at_a_right_angle(short, side):
    pitch = side * (math.pi / 2 - short)
    value = SimpleNamespace(**dict(zip("xyzw", _quaternion(0.7, pitch, 0.0), strict=True)))
    assert _read(value, "pitch") == pytest.approx(pitch, abs=1e-14)


def test_an_angle_of_no_rotation_is_refused():
    read = reader([Field("data", ("yaw",))])
    good, bad = (SimpleNamespace(data=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w)) for w in (1.0, 0.98))
    for _ in range(2):
        with pytest.raises(ContractError, match=r"data: found a quaternion of norm 0\.98, expected 1"):
            read(bad)
        assert read(good).tolist() == [0.0]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=20))
def test_arrays_are_reduced_as_numpy_does(numbers):
    numbers = np.array(numbers)
    for name, function in (("min", np.nanmin), ("max", np.nanmax), ("mean", np.nanmean)):
        found = _read(numbers, name)
        if np.isnan(numbers).all():
            assert math.isnan(found)
        else:
            assert found == pytest.approx(function(numbers), rel=1e-9, abs=1e-9)
    if np.isnan(numbers).any():
        assert math.isnan(_read(numbers, "norm"))
    else:
        assert _read(numbers, "norm") == pytest.approx(np.linalg.norm(numbers), rel=1e-12)


def test_the_norm_of_a_vector():
    assert _read(SimpleNamespace(x=3.0, y=4.0), "norm") == 5.0
    assert _read(SimpleNamespace(x=3.0, y=4.0, z=-12.0), "norm") == 13.0
    assert _read(SimpleNamespace(x=3.0, y=math.nan), "norm", replace=((math.nan, 4.0),)) == 5.0
    with pytest.raises(ContractError, match="a rotation, whose norm is 1, expected a vector"):
        _read(SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0), "norm")


@given(st.floats(-1e4, 1e4))
def test_shapes_of_an_angle(angle):
    assert _read(angle, "sin") == pytest.approx(float(np.sin(angle)), abs=1e-12)
    assert _read(angle, "cos") == pytest.approx(float(np.cos(angle)), abs=1e-12)
    wrapped = _read(angle, "wrap")
    assert -math.pi <= wrapped < math.pi
    assert math.remainder(wrapped - angle, 2 * math.pi) == pytest.approx(0.0, abs=1e-9)
    assert wrapped == angle or not -math.pi <= angle < math.pi


def test_the_ends_of_a_turn():
    assert _read(math.pi, "wrap") == -math.pi == _read(-math.pi, "wrap")
    assert -math.pi <= _read(np.nextafter(-math.pi, -4.0), "wrap") < math.pi
    for function in ("sin", "cos", "wrap"):
        assert all(math.isnan(_read(angle, function)) for angle in (math.inf, -math.inf, math.nan))


@given(st.floats(-1e100, 1e100), st.floats(-9, 9), st.floats(-9, 9))
def test_scale_comes_before_offset(value, scale, offset):
    assume(scale != 0.0)
    assert _read(value, scale=scale, offset=offset) == scale * value + offset


def test_the_order_of_what_is_done():
    field = {"scale": 2.0, "offset": 1.0, "replace": ((math.nan, 3.0), (0.0, math.inf), (math.inf, 0.0))}
    values = (math.nan, 0.0, -0.0, math.inf, 4.0)
    assert [_read(value, **field) for value in values] == [7.0, math.inf, math.inf, 1.0, 9.0]
    clipped = {"clip": True, "minimum": -1.0, "maximum": 2.0}
    assert [_read(value, **clipped) for value in (-9.0, 0.5, math.inf, -math.inf)] == [-1.0, 0.5, 2.0, -1.0]
    assert math.isnan(_read(math.nan, **clipped))
    assert _read(np.array([1.0, math.nan]), "max", "sin", replace=((math.nan, 5.0),), scale=0.1) == math.sin(0.5)
    assert _read(math.pi, "sin", scale=0.5, clip=True, minimum=0.0, maximum=0.25) == 0.25


@given(st.lists(st.floats(-1e3, 1e3) | st.sampled_from([math.nan, math.inf, 0.0]), min_size=1, max_size=9))
def test_a_vector_is_treated_as_its_numbers_are(numbers):
    others = {
        "replace": ((math.nan, 3.5), (0.0, 7.0), (-0.0, 8.0), (math.nan, 9.0)),
        "scale": 0.3,
        "offset": -0.1,
        "minimum": -1.0,
        "maximum": 2.0,
    }
    for functions in ((), ("wrap",), ("sin",)):
        for clip in (False, True):
            field = Field("data", functions, clip=clip, size=len(numbers), **others)
            found = reader([field])(SimpleNamespace(data=np.array(numbers)))
            alone = [_read(number, *functions, clip=clip, **others) for number in numbers]
            assert np.array_equal(found, alone, equal_nan=True)


# As a contract writes it


def _parsed(text: str, **others) -> Field:
    return Field.parse(yaml.safe_load(text), "my.yaml", "fields.x", **others)


def test_a_field_is_parsed():
    assert _parsed("pose.position.x") == Field("pose.position.x")
    assert _parsed("ranges", size=36, minimum=-1.0, maximum=2.0) == Field("ranges", size=36, minimum=-1.0, maximum=2.0)
    full = "{field: 'r[0:3]', function: [min, wrap], scale: 2, offset: 1, replace: {.nan: 3.5, 0.0: 1}, clip: true}"
    field = _parsed(full)
    assert (field.path, field.functions, field.scale, field.offset) == ("r[0:3]", ("min", "wrap"), 2.0, 1.0)
    assert (field.reducing, field.shaping, field.clip, field.places) == ("min", "wrap", True, 1)
    assert math.isnan(field.replace[0][0]) and field.replace[0][1] == 3.5 and field.replace[1] == (0.0, 1.0)
    assert _parsed("{field: rotation, function: yaw}").functions == ("yaw",)
    assert _parsed("{field: 'position[elbow]', scale: -1}", command=True).scale == -1.0
    assert _parsed("position[elbow]").with_prefix("left_").path == "position[left_elbow]"


@pytest.mark.parametrize(
    ("text", "key", "sentence"),
    [
        ("3", "", "found 3, expected a text, the path of a message field, or a mapping with the key 'field'"),
        ("''", "", "found '', expected a message field"),
        ("'x['", "", r"found 'x\[', expected a dot or"),
        ("{scale: 2}", ".field", "found 'nothing', expected a text"),
        ("{field: x, scal: 2}", ".scal", "found 'scal', expected one of field, scale, offset, function"),
        ("{field: x, scale: 0}", ".scale", "found 0, expected any other number"),
        ("{field: x, scale: .inf}", ".scale", "found inf, expected a finite number"),
        ("{field: x, offset: a}", ".offset", "found 'a', expected a finite number"),
        ("{field: x, function: sine}", ".function", "found sine, expected one of yaw"),
        ("{field: x, function: 3}", ".function", "found 3, expected one of yaw"),
        ("{field: x, function: [sin, cos]}", ".function", "found sin, cos, expected one of yaw"),
        ("{field: x, function: [min, max]}", ".function", "found min, max, expected"),
        ("{field: x, function: [sin, yaw]}", ".function", "found sin, yaw, expected"),
        ("{field: x, function: [yaw, sin, sin]}", ".function", "expected"),
        ("{field: x, replace: {}}", ".replace", "found {}, expected a mapping from numbers"),
        ("{field: x, replace: {a: 1}}", ".replace", "expected a mapping from numbers"),
        ("{field: x, replace: {0: .nan}}", ".replace", "no NaN"),
        ("{field: x, replace: {true: 1}}", ".replace", "expected a mapping from numbers"),
        ("{field: x, function: yaw, replace: {0: 1}}", ".replace", "expected none with yaw"),
        ("{field: x, clip: 1}", ".clip", "found 1, expected true or false"),
        ("'x[0:3]'", "", r"found 'x\[0:3\]', a slice, expected a scalar with a size, or a function"),
    ],
)
def test_an_error_names_the_key(text, key, sentence):
    with pytest.raises(ContractError, match=sentence) as caught:
        _parsed(text)
    assert str(caught.value).startswith(f"my.yaml: key 'fields.x{key}': found ")


def test_a_vector_is_not_reduced_and_a_command_is_only_scaled():
    with pytest.raises(ContractError, match=r"key 'fields.x.function': found 'min', which gives one number, for a vec"):
        _parsed("{field: x, function: min}", size=3)
    for key in ("function: sin", "clip: true", "replace: {0: 1}"):
        with pytest.raises(ContractError, match="expected one of field, scale, offset"):
            _parsed(f"{{field: x, {key}}}", command=True)

"""The fields of config/robots against messages that plain code filled in or reads: the same numbers both ways."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
from fake_robot_kinds import KINDS
from fake_robot_parts import State
from robots_support import Description


def fields(description: Description, stream: dict, kind: str) -> dict:
    """The fields of a stream by name."""
    from lwd_ros.contract.fields import Field

    scalars = getattr(description, kind)
    result = {}
    for name, value in stream["fields"].items():
        minimum, maximum = scalars[name]["limits"]
        size = scalars[name].get("size")
        entry = Field.parse(value, "here", name, command=kind == "command", size=size, minimum=minimum, maximum=maximum)
        result[name] = entry.with_prefix(description.prefix)
    return result


@pytest.mark.parametrize("name", KINDS)
def test_what_is_read_is_what_the_driver_meant(name):
    """A hundred messages of each stream, in all their orders, with all that is not a number in them."""
    from lwd_ros.contract.definitions import check_fields, live
    from lwd_ros.contract.reading import reader

    description, kind = Description(name), KINDS[name]
    state = State(dict(kind.start))
    for stream in description.observed:
        if stream["type"] == "tf":
            continue
        bound = fields(description, stream, "observation")
        check_fields(stream["type"], list(bound.values()), live)
        read = reader(list(bound.values()))
        outputs = [output for output in kind.outputs if output.topic == stream["topic"]]
        messages = [output.fill(state) for output in outputs for _ in range(100)]
        meant = [(message, seen) for message, seen in messages if seen]
        assert len(meant) == 100
        for message, seen in meant:
            assert set(seen) == set(bound)
            expected = np.concatenate([np.atleast_1d(seen[scalar]) for scalar in bound])
            np.testing.assert_allclose(read(message), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_is_what_the_driver_understands(name):
    """Each command stream's message, constants among it, read by the driver's plain code."""
    from lwd_ros.contract.definitions import check_fields, class_of, live
    from lwd_ros.contract.writing import writer

    description, kind = Description(name), KINDS[name]
    rng = np.random.default_rng(1)
    for stream in description.commanded:
        bound = fields(description, stream, "command")
        check_fields(stream["type"], list(bound.values()), live, command=True)
        (entry,) = (entry for entry in kind.inputs if entry.topic == stream["topic"])
        constants = dict(stream.get("constants", {}))
        for key in ("name", "joint_names"):
            if key in constants:
                constants[key] = [description.prefix + joint for joint in constants[key]]
        message, write = writer(class_of(stream["type"]), list(bound.values()), constants)
        for _ in range(20):
            values = rng.uniform(-1.0, 1.0, len(bound))
            write(values)
            understood, details = entry.read(message)
            tolerance = 1e-7 if stream["type"] == "std_msgs/msg/Float32" else 0.0
            np.testing.assert_allclose([understood[scalar] for scalar in bound], values, rtol=0, atol=tolerance)
            assert details.get("others", 0) == 0
            if "duration" in details:
                assert details["duration"] == pytest.approx(0.04, abs=1e-9)


def test_a_tool_that_points_down_is_read_from_its_transforms():
    """Of either sign the quaternion is read as the contract's limits say, through a chain that is partly latched."""
    if "ur5e_servo" not in KINDS:
        pytest.skip("tf2_msgs is not installed")
    pytest.importorskip("pytransform3d")
    from lwd_ros.contract.reading import reader
    from lwd_ros.transforms import TransformBuffer

    description, kind = Description("ur5e_servo"), KINDS["ur5e_servo"]
    (stream,), state = description.observed, State(dict(kind.start))
    read = reader(list(fields(description, stream, "observation").values()))
    buffer = TransformBuffer([(stream["frame"], stream["in"])])
    assert not buffer.add(kind.latched[0].fill(state)[0], static=True)
    for number in range(1, 101):
        state.values["tool_yaw"] = -2.5 + 0.05 * number
        message, seen = kind.outputs[0].fill(state)
        for transform in message.transforms:
            transform.header.stamp.sec = number
        (entry,) = buffer.add(message)
        expected = [seen[scalar] for scalar in stream["fields"]]
        np.testing.assert_allclose(read(entry.pose), expected, rtol=0, atol=1e-12)

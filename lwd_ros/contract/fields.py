"""Reading and writing the message fields that a binding names, on any object shaped like the message."""

import math
import re
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np

from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.quaternions import sign_of

_VECTOR3 = ("x", "y", "z")
_SCALAR_FIELDS = {
    "geometry_msgs/msg/PoseStamped": [f"pose.position.{a}" for a in _VECTOR3]
    + [f"pose.orientation.{a}" for a in (*_VECTOR3, "w")],
    "geometry_msgs/msg/PointStamped": [f"point.{a}" for a in _VECTOR3],
    "geometry_msgs/msg/TwistStamped": [f"twist.{part}.{a}" for part in ("linear", "angular") for a in _VECTOR3],
    "sensor_msgs/msg/JointState": [],
}
SUPPORTED_TYPES = tuple(_SCALAR_FIELDS)
"""Message types that a stream can have, by their ROS names."""

_QUATERNION = ".orientation."
_JOINT_FIELD = re.compile(r"(position|velocity|effort)\[([^\[\]]+)\]")


def check_field(message_type: str, field: str) -> None:
    """Raise a ContractError whose text says what was expected, unless `field` exists in `message_type`."""
    if message_type == "sensor_msgs/msg/JointState":
        if not _JOINT_FIELD.fullmatch(field):
            raise ContractError("position[JOINT], velocity[JOINT] or effort[JOINT]")
    elif field not in _SCALAR_FIELDS[message_type]:
        raise ContractError("one of " + ", ".join(_SCALAR_FIELDS[message_type]))


def reader(message_type: str, fields: Sequence[str]) -> Callable[[object], np.ndarray]:
    """A function that reads `fields` from a message into float64 [len(fields)], or raises ContractError.

    A joint is found by its name, so the order of a JointState does not matter. An orientation is a unit quaternion of
    one sign, whichever of the two was sent (see `sign_of`).
    """
    if message_type != "sensor_msgs/msg/JointState":
        getters = [attrgetter(field) for field in fields]
        turned = np.array([_QUATERNION in field for field in fields])
        if turned.any():
            return _reader_of_orientation(getters, turned)
        return lambda message: np.array([get(message) for get in getters], dtype=np.float64)
    parts = [_JOINT_FIELD.match(field).groups() for field in fields]

    def read(message) -> np.ndarray:
        values = np.empty(len(parts))
        for i, (array, joint) in enumerate(parts):
            if joint not in message.name:
                raise ContractError(f"joint '{joint}' is not among {list(message.name)[:20]}")
            place = message.name.index(joint)
            entries = getattr(message, array)
            if place >= len(entries):
                raise ContractError(f"'{array}' has {len(entries)} entries for {len(message.name)} joints")
            values[i] = entries[place]
        return values

    return read


def _reader_of_orientation(getters, turned: np.ndarray):
    orientation = attrgetter("pose.orientation")

    def read(message) -> np.ndarray:
        values = np.array([get(message) for get in getters], dtype=np.float64)
        found = orientation(message)
        try:
            sign = sign_of(found.x, found.y, found.z, found.w)
        except ContractError as error:
            raise ContractError(f"pose.orientation: {error}") from error
        if sign < 0.0:
            values[turned] = -values[turned]
        return values

    return read


def writer(message_type: str, fields: Sequence[str]) -> Callable[[object, Sequence[float]], None]:
    """A function that writes one finite value per field into a message (joints by name, others NaN)."""
    if message_type != "sensor_msgs/msg/JointState":
        targets = [(attrgetter(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in fields]

        def write(message, values) -> None:
            for (owner, attribute), value in zip(targets, values, strict=True):
                setattr(owner(message), attribute, float(value))

        return write
    parts = [_JOINT_FIELD.match(field).groups() for field in fields]
    joints = list(dict.fromkeys(joint for _, joint in parts))
    arrays = list(dict.fromkeys(array for array, _ in parts))

    def write_joints(message, values) -> None:
        filled = {array: [math.nan] * len(joints) for array in arrays}
        for (array, joint), value in zip(parts, values, strict=True):
            filled[array][joints.index(joint)] = float(value)
        message.name = joints
        for array, entries in filled.items():
            setattr(message, array, entries)

    return write_joints

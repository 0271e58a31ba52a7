"""What fields are compared with: the same values read by code that somebody wrote for one message type.

`former_reader` is the reader of commit 3986d15, which knew four message types by name.
"""

import math
import re
from operator import attrgetter

import numpy as np

from lwd_ros.contract import ContractError, sign_of

_JOINT_FIELD = re.compile(r"(position|velocity|effort)\[([^\[\]]+)\]")


def attributes(message) -> np.ndarray:
    """The three coordinates of a PoseStamped."""
    position = message.pose.position
    return np.array([position.x, position.y, position.z])


def joints(message, names: tuple[str, ...]) -> np.ndarray:
    """Position and velocity of joints by name."""
    values, order, position, velocity = [], message.name, message.position, message.velocity
    for name in names:
        place = order.index(name)
        values.append(position[place])
        values.append(velocity[place])
    return np.array(values)


def _signed(rotation) -> tuple[float, float, float, float]:
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    if not abs(math.sqrt(x * x + y * y + z * z + w * w) - 1.0) <= 0.01:
        raise ContractError("no rotation")
    if w < 0.0:
        return -x, -y, -z, -w
    return x, y, z, w


def quaternion(message) -> np.ndarray:
    """The four components of a PoseStamped's orientation, w above 0."""
    return np.array(_signed(message.pose.orientation))


def ranges(message) -> np.ndarray:
    """Every tenth of a LaserScan's 360 ranges."""
    return np.array(message.ranges[0:360:10], dtype=np.float64)


def yaw(message) -> np.ndarray:
    """The heading of an Odometry."""
    rotation = message.pose.pose.orientation
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    if not abs(math.sqrt(x * x + y * y + z * z + w * w) - 1.0) <= 0.01:
        raise ContractError("no rotation")
    return np.array([math.atan2(2.0 * (x * y + w * z), w * w + x * x - y * y - z * z)])


def transform(message) -> np.ndarray:
    """Place and rotation of one of the transforms of a TFMessage."""
    for each in message.transforms:
        if each.child_frame_id == "tool0":
            break
    else:
        raise ContractError("not there")
    place, rotation = each.transform.translation, each.transform.rotation
    return np.array([place.x, place.y, place.z, *_signed(rotation)])


def former_reader(message_type: str, fields):
    """The reader of commit 3986d15: `fields` are texts."""
    if message_type != "sensor_msgs/msg/JointState":
        getters = [attrgetter(field) for field in fields]
        turned = np.array([".orientation." in field for field in fields])
        if turned.any():
            return _former_reader_of_orientation(getters, turned)
        return lambda message: np.array([get(message) for get in getters], dtype=np.float64)
    parts = [_JOINT_FIELD.findall(field)[0] for field in fields]

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


def _former_reader_of_orientation(getters, turned: np.ndarray):
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

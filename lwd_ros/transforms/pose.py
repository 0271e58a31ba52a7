"""What a transform message says, read and checked, and the pose that comes out of a chain of them."""

import math
from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import ContractError

_NORM_TOLERANCE = 0.01  # of what is rounded on its way, as by a driver that sends float32


@dataclass(frozen=True, slots=True)
class Vector3:
    """A translation in m, as geometry_msgs/msg/Vector3."""

    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class Quaternion:
    """A rotation of norm 1, as geometry_msgs/msg/Quaternion."""

    x: float
    y: float
    z: float
    w: float


@dataclass(frozen=True, slots=True)
class Pose:
    """A frame's pose in another one, with the fields of geometry_msgs/msg/Transform: `translation.x`, `rotation.w`."""

    translation: Vector3
    rotation: Quaternion


def read_transform(transform) -> np.ndarray:
    """A geometry_msgs/msg/Transform as float64 [7]: x, y, z in m, then the unit quaternion w, x, y, z.

    The quaternion is divided by its norm where that is within 1 % of 1.

    Raises:
        ContractError: a number is not finite or the rotation's norm is not 1; the text says which and what was found.
    """
    p, q = transform.translation, transform.rotation
    values = (p.x, p.y, p.z, q.w, q.x, q.y, q.z)
    if not all(map(math.isfinite, values)):
        found = {"translation": values[:3], "rotation": (*values[4:], values[3])}
        part = "translation" if not all(map(math.isfinite, values[:3])) else "rotation"
        raise ContractError(f"found the {part} {found[part]}, expected finite numbers")
    norm = math.hypot(*values[3:])
    if abs(norm - 1.0) > _NORM_TOLERANCE:
        raise ContractError(f"found a rotation of norm {norm:.3g}, expected 1")
    result = np.array(values, dtype=np.float64)
    result[3:] /= norm
    return result

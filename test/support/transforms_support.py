"""What the tests of transforms share: messages made by hand, and poses by scipy to hold against them."""

from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation

from lwd_ros.transforms import Pose

S = 1_000_000_000


def transform(parent, child, stamp_ns, position=(0.0, 0.0, 0.0), rotation=(0.0, 0.0, 0.0, 1.0)):
    """A stand-in for geometry_msgs/msg/TransformStamped; the rotation is x, y, z, w."""
    sec, nanosec = divmod(int(stamp_ns), S)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(**dict(zip("xyz", map(float, position), strict=True))),
            rotation=SimpleNamespace(**dict(zip("xyzw", map(float, rotation), strict=True))),
        ),
    )


def message(*transforms):
    """A stand-in for tf2_msgs/msg/TFMessage."""
    return SimpleNamespace(transforms=list(transforms))


def x_of(parent, child, stamp_ns, x):
    """A message of one transform that is shifted along x alone."""
    return message(transform(parent, child, stamp_ns, (x, 0.0, 0.0)))


def matrix(position, rotation: Rotation) -> np.ndarray:
    """The homogeneous matrix of a position and a rotation."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation.as_matrix(), position
    return result


def matrix_of_pose(pose: Pose) -> np.ndarray:
    """The homogeneous matrix of what a buffer gave."""
    p, q = pose.translation, pose.rotation
    return matrix((p.x, p.y, p.z), Rotation.from_quat([q.x, q.y, q.z, q.w]))

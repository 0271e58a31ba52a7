"""Interpolation and chaining by pytransform3d: the one module that imports it.

Between two samples a translation is interpolated linearly and a rotation by slerp, as tf2 does. pytransform3d's own
time series interpolate along a screw (ScLERP), which bends the path of a translation: by v w dt^2 / 8 in its middle,
0.1 mm for 1 m/s and 2 rad/s between samples of 50 Hz, 2.5 mm for samples of 10 Hz. Its TemporalTransformManager takes
1 ms for each edge of such series and searches all paths anew for each edge added. So the chain is walked by `tree`,
and pytransform3d's functions do the mathematics.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from pytransform3d.rotations import matrix_from_quaternion, quaternion_from_matrix, quaternion_slerp
from pytransform3d.transformations import concat, invert_transform, transform_from

from lwd_ros.transforms.pose import Pose, Quaternion, Vector3


def interpolate(before: np.ndarray, after: np.ndarray, fraction: float) -> np.ndarray:
    """The pose, float64 [7] as `read_transform` gives it, at `fraction` in [0, 1] of the way, by the shorter turn."""
    if fraction == 0.0:
        return before
    rotation = quaternion_slerp(before[3:], after[3:], fraction, shortest_path=True)
    return np.concatenate([before[:3] + fraction * (after[:3] - before[:3]), rotation])


def matrix_of(value: np.ndarray) -> np.ndarray:
    """The homogeneous matrix float64 [4, 4] of a pose float64 [7]."""
    return transform_from(matrix_from_quaternion(value[3:]), value[:3], strict_check=False)


def pose_of_chain(up: Sequence[np.ndarray], down: Sequence[np.ndarray]) -> Pose:
    """The pose of a frame in another one, by matrices float64 [4, 4], each of a frame in its parent.

    Args:
        up: from the frame to the ancestor that the two have in common.
        down: from the other frame to that ancestor.
    """

    def to_ancestor(matrices):
        return reduce(lambda lower, upper: concat(lower, upper, check=False), matrices, np.eye(4))

    result = concat(to_ancestor(up), invert_transform(to_ancestor(down), check=False), check=False)
    w, x, y, z = quaternion_from_matrix(result[:3, :3], strict_check=False).tolist()
    return Pose(Vector3(*result[:3, 3].tolist()), Quaternion(x, y, z, w))

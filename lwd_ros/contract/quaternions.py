"""One sign for every rotation: a quaternion and its negative are the same, and a policy must see one of them."""

import math
from collections.abc import Sequence

from lwd_ros.contract.errors import ContractError

NORM_TOLERANCE = 0.01
"""How far a rotation's norm may be from 1: it is rounded on its way, as by a driver that sends float32."""


def check_norm(x: float, y: float, z: float, w: float) -> None:
    """Raise a ContractError, whose text says the norm, unless x, y, z, w are a rotation."""
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not abs(norm - 1.0) <= NORM_TOLERANCE:  # NaN as well
        raise ContractError(f"found a quaternion of norm {norm:.3g}, expected 1")


def sign_of(x: float, y: float, z: float, w: float) -> float:
    """1.0 or -1.0: what a quaternion is multiplied by for w to be above 0 (where w is 0: x, else y, else z).

    Raises:
        ContractError: it is no rotation, for its norm is not 1; the text says the norm.
    """
    check_norm(x, y, z, w)
    leading = next(value for value in (w, x, y, z) if value != 0.0)
    return math.copysign(1.0, leading)


def sign_towards(x: float, y: float, z: float, w: float, middle: Sequence[float]) -> float:
    """1.0 or -1.0: what a quaternion is multiplied by to lie on the side of `middle` (x, y, z, w; any length).

    `sign_of` where the two are at right angles, as they are where `middle` is all zeros.

    Raises:
        ContractError: it is no rotation, for its norm is not 1; the text says the norm.
    """
    check_norm(x, y, z, w)
    along = x * middle[0] + y * middle[1] + z * middle[2] + w * middle[3]
    return math.copysign(1.0, along) if along != 0.0 else sign_of(x, y, z, w)

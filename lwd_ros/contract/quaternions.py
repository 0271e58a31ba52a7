"""One sign for every rotation: a quaternion and its negative are the same, and a policy must see one of them."""

import math

from lwd_ros.contract.errors import ContractError

_NORM_TOLERANCE = 0.01  # of what is rounded on its way, as by a driver that sends float32


def sign_of(x: float, y: float, z: float, w: float) -> float:
    """1.0 or -1.0: what a quaternion is multiplied by for w to be above 0 (where w is 0: x, else y, else z).

    Raises:
        ContractError: it is no rotation, for its norm is not 1; the text says the norm.
    """
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not abs(norm - 1.0) <= _NORM_TOLERANCE:  # NaN as well
        raise ContractError(f"found a quaternion of norm {norm:.3g}, expected 1")
    leading = next(value for value in (w, x, y, z) if value != 0.0)
    return math.copysign(1.0, leading)

"""The ways through the rows, read off a path."""

from itertools import product

import numpy as np

from lwd_ros.environments.avoiding.geometry import CLEARANCE, Scene, gaps

GAPS = (("L", "R"), ("L", "M", "R"), ("1", "2", "3", "4"))
"""Names of each row's gaps, by rising x."""

WAYS = tuple("-".join(names) for names in product(*GAPS))
"""All 24 ways: "L-M-3" is left of the first row's cylinder, between the second row's, in the third gap of the third."""


def way(positions: np.ndarray, centres: np.ndarray) -> str:
    """The way of a path, '' where it did not pass all three rows.

    A row's gap is that of the last passage towards the goal: a path that goes back and comes again counts as it ended.

    Args:
        positions: float64 [steps, 2], x and y of the rod in m, straight between steps.
        centres: float64 [6, 2], of the cylinders as in `Scene`.
    """
    names, first = [], 0
    for gap_names in GAPS:
        row = centres[first : first + len(gap_names) - 1]
        first += len(row)
        height = row[:, 1].mean()
        below = positions[:, 1] < height
        passages = np.flatnonzero(below[:-1] & ~below[1:])
        if not len(passages) or below[-1]:
            return ""
        (x, y), (next_x, next_y) = positions[passages[-1] : passages[-1] + 2]
        passed_x = x + (next_x - x) * (height - y) / (next_y - y)
        names.append(gap_names[int(np.searchsorted(row[:, 0], passed_x))])
    return "-".join(names)


def open_ways(scene: Scene, clearance: float = CLEARANCE) -> tuple[str, ...]:
    """The ways on which every gap leaves the rod `clearance`, in m, to both sides; in the order of WAYS."""
    room = [
        [name for name, (low, high) in zip(names, row, strict=True) if high - low >= 2.0 * clearance]
        for names, row in zip(GAPS, gaps(scene), strict=True)
    ]
    return tuple("-".join(names) for names in product(*room))

"""What differs between episodes: where the robot starts, where dock and pillar stand, how far odometry is off."""

import zlib
from typing import NamedTuple

import numpy as np

TASKS = ("dock", "follow_wall", "door_left", "door_right")

SIZE = (6.5, 4.0)
"""Of both rooms, m."""
DIVIDER_X = 4.0
"""Where the wall between the rooms stands; it is 10 cm thick."""
DOORS = {"door_left": 2.9, "door_right": 1.1}
"""Middle of each door, y in m; a door is 90 cm wide."""
DOOR_HALF_WIDTH = 0.45
RADIUS = 0.14
"""Of the robot, m."""
PILLAR_RADIUS = 0.15
DOCK_CHEEKS = ((-0.28, -0.22), (0.22, 0.28))
"""Of the dock's bay, x from its middle in m; they reach from the south wall to y = 0.36 m."""
DOCK_DEPTH = 0.36
DOCKED_Y = 0.24
"""Middle of a docked robot, which faces the south wall, m: 10 cm before it."""


class Layout(NamedTuple):
    """Of one episode; m and rad.

    `start` is x, y and heading. `drift` is by how much odometry is off already when the episode begins: the robot has
    driven since it was switched on.
    """

    start: tuple[float, float, float]
    dock_x: float
    pillar: tuple[float, float]
    drift: tuple[float, float, float]


def layout_of(task: str, seed: int) -> Layout:
    """The layout of a task's episode; the same seed gives the same one."""
    rng = np.random.default_rng([seed, zlib.crc32(task.encode())])
    dock_x = 1.6 + rng.uniform(-0.05, 0.05)
    pillar = (rng.uniform(2.4, 2.9), rng.uniform(1.7, 2.3))
    drift = tuple(rng.normal(0.0, [0.02, 0.02, np.radians(1.0)]).tolist())
    if task == "dock":
        start = (rng.uniform(0.9, 2.2), rng.uniform(1.3, 2.0), -np.pi / 2 + rng.uniform(-0.6, 0.6))
    elif task == "follow_wall":
        start = (rng.uniform(2.6, 3.3), SIZE[1] - rng.uniform(0.35, 0.65), np.pi + rng.uniform(-0.35, 0.35))
    else:
        start = (rng.uniform(0.8, 1.6), rng.uniform(1.4, 2.6), rng.uniform(-0.5, 0.5))
    return Layout(start, dock_x, pillar, drift)

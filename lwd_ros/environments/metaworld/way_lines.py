"""The lines that hands follow, a function of layout and way each; all in m."""

import numpy as np

from lwd_ros.environments.lines import rounded
from lwd_ros.environments.metaworld.ways import BUTTON_WALL, TABLE_WALL, Layout

SPACING = 0.005
"""Of a line's points."""

HELD = 0.04
"""A puck between the fingers is so much below the hand's place."""

_SMOOTHING = 0.015  # of the corners
_FINGERS = 0.045  # their tips are so much below the hand's place
_ROOM = 0.045  # over a wall, under fingers or puck
_BESIDE = 0.09  # beside a wall's end: half a hand and some room


def _line(*corners) -> np.ndarray:
    return rounded(np.array(corners, dtype=np.float64), SPACING, _SMOOTHING)


def reach(layout: Layout, way: str) -> np.ndarray:
    """float64 [points, 3]: from the hand's start, which is before the wall and higher, to the goal."""
    start, end, wall = layout.hand, layout.goal, TABLE_WALL
    if way == "over":
        x, high = _above(0.5 * (start[0] + end[0])), wall.top + _FINGERS + _ROOM
        return _line(start, (x, wall.y - 0.06, high), (x, wall.y + 0.06, high), end)
    return _line(start, *_beside(way, float(np.clip(end[2], 0.1, 0.15))), end)


def place(layout: Layout, way: str) -> np.ndarray:
    """float64 [points, 3]: of a hand that has grasped the puck, to the goal behind the wall."""
    up = np.array([0.0, 0.0, HELD])
    start, end, wall = layout.thing + up, layout.goal + up, TABLE_WALL
    if way == "over":
        x, high = _above(0.5 * (start[0] + end[0])), wall.top + HELD + 0.02 + _ROOM
        return _line(start, (start[0], start[1], high), (x, wall.y, high), (end[0], wall.y + 0.08, high), end)
    return _line(start, *_beside(way, float(np.clip(end[2], start[2] + 0.03, 0.15))), end)


def _above(x: float) -> float:
    """Where a hand that wants to be at `x` crosses the table's wall: not beyond its ends."""
    return float(np.clip(x, TABLE_WALL.left + 0.04, TABLE_WALL.right - 0.04))


def _beside(way: str, z: float) -> list[tuple[float, float, float]]:
    """Corners beside the table's wall."""
    x = TABLE_WALL.left - _BESIDE if way == "left" else TABLE_WALL.right + _BESIDE
    return [(x, TABLE_WALL.y - 0.07, z), (x, TABLE_WALL.y + 0.08, z)]


def press(layout: Layout, way: str) -> np.ndarray:
    """float64 [points, 3]: to the button behind the wall, and on through it."""
    x, y, z = layout.thing
    wall, z = BUTTON_WALL, z + 0.04
    if way == "over":
        high, down = wall.top + _FINGERS + _ROOM + 0.02, 0.5 * (wall.y + y) - 0.003
        above = max(x, wall.left + 0.03)
        across = [(above, wall.y - 0.05, high), (above, wall.y + 0.01, high)]
        return _line(layout.hand, *across, (x, down, high), (x, down, z), (x, y + 0.15, z))
    left, x = wall.left - 0.065, min(x, wall.left - 0.02)
    return _line(layout.hand, (left, wall.y - 0.06, z), (left, wall.y + 0.01, z), (x, y - 0.005, z), (x, y + 0.15, z))


def slide(layout: Layout, way: str) -> np.ndarray:
    """float64 [points, 3]: to the left of the window's handle, and with it to the right."""
    x, y, z = layout.thing + np.array([-0.045, -0.01, -0.01])
    end = (x + 0.27, y, z)
    if way == "over":
        high = z + 0.16
        return _line(layout.hand, (layout.hand[0], layout.hand[1] + 0.03, high), (x, y, high), (x, y, z), end)
    return _line(layout.hand, (x, y - 0.14, z), (x, y, z), end)


def turn(layout: Layout, way: str, side: float) -> np.ndarray:
    """float64 [points, 3]: to one side of the faucet's handle, -1 left and 1 right, and with it round the faucet."""
    axis = layout.thing + np.array([-side * 0.015, 0.175, 0.03])
    radius, beside = 0.13, 0.055
    angles = beside / radius - np.linspace(0.0, 1.45, 12)
    arc = axis + radius * np.stack([side * np.sin(angles), -np.cos(angles), np.zeros(len(angles))], axis=1)
    x, y, z = arc[0]
    if way == "over":
        high = z + 0.12
        return _line(layout.hand, (layout.hand[0], layout.hand[1] + 0.03, high), (x, y, high), *arc)
    return _line(layout.hand, (x + side * 0.01, y - 0.13, z), *arc)


def bring(layout: Layout, way: str) -> np.ndarray:
    """float64 [points, 3]: of a hand that has grasped a thing, to the goal: `drag` along the table, `carry` above."""
    start, end = (place + np.array([0.0, 0.0, HELD]) for place in (layout.thing, layout.goal))
    if way == "drag":
        return _line(start, end)
    high = np.array([0.0, 0.0, 0.14])
    return _line(start, start + high, end + high, end)

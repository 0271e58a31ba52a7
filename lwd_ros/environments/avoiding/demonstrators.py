"""One scripted demonstrator for each way: it follows a smooth line through the way's gaps, wherever the rod is."""

import numpy as np

from lwd_ros.environments.avoiding.geometry import GOAL_Y, Scene, gaps
from lwd_ros.environments.avoiding.ways import GAPS
from lwd_ros.environments.lines import heading, rounded

SPEED = 0.2
"""m/s, throughout."""

BESIDE = 0.035
"""Beside the end of a row the line keeps the rod so far from the cylinder, m. In a gap it is in the middle."""

ALONG = 0.05
"""From so much before a row to so much behind it the line goes straight towards the goal, m."""

BEYOND = 0.2
"""The line ends so much behind the goal line, m: the rod does not slow down before it."""

AHEAD = 0.04
"""The rod heads for the point of the line that is so much ahead of the nearest one, m."""

_SPACING, _SMOOTHING = 0.004, 0.02  # of the line's points; deviation of the bell that rounds its corners, m


def line(scene: Scene, way: str) -> np.ndarray:
    """float64 [points, 2], m: from the start through the gaps of `way` to behind the goal line, evenly spaced."""
    corners = [scene.start]
    for name, names, row, (centres, _) in zip(way.split("-"), GAPS, gaps(scene), scene.rows(), strict=True):
        place, y = names.index(name), centres[:, 1].mean()
        low, high = row[place]
        middle = 0.5 * (low + high)
        x = max(middle, high - BESIDE) if place == 0 else min(middle, low + BESIDE) if place == len(row) - 1 else middle
        corners += [np.array([x, y - ALONG]), np.array([x, y + ALONG])]
    corners.append(np.array([corners[-1][0], GOAL_Y + BEYOND]))
    return rounded(np.array(corners), _SPACING, _SMOOTHING)


class Demonstrator:
    """Goes one way through one scene. It has no memory: the velocity follows from the rod's place alone."""

    def __init__(self, scene: Scene, way: str):
        self._line = line(scene, way)
        self._ahead = round(AHEAD / _SPACING)

    def velocity(self, place: np.ndarray) -> np.ndarray:
        """float64 [2], x and y in m/s, for the rod at `place`, float64 [2] in m."""
        towards = heading(self._line, place, self._ahead)
        if towards is None:
            towards = np.array([0.0, 1.0])
        return SPEED * towards / np.linalg.norm(towards)

"""Who demonstrates each way: hands that follow a line, grasp and carry along one, or push a thing before them.

All read Metaworld's observation [39] and give an action [4], not clipped. They have no memory: the line is that of the
layout, and the action follows from it and from what is observed now.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from lwd_ros.environments.lines import heading
from lwd_ros.environments.metaworld import way_lines
from lwd_ros.environments.metaworld.grasping import GAIN, GraspExpert
from lwd_ros.environments.metaworld.ways import Layout

REVISION = 1
"""See `lwd_ros.environments.metaworld.experts.revision`; of all experts here."""

SPEED = 0.6
"""Of a hand along its line, as an action: 0.48 m/s."""

AHEAD = 0.04
"""A hand heads for the point of its line that is so much ahead of the nearest one, m."""

_CLOSED = 1.0  # the gripper's effort
_PUSHING, _BEFORE = 0.05, 0.07  # height of a hand that pushes, and where it comes down before the puck, m
_EDGE, _RADIUS = 0.016, 0.02  # from the middle of the closed fingers to their edge; of a puck, m
_SLOW = 0.05  # within so much of its end a hand slows down, m


class _Line:
    """Follows a line [points, 3]; slows down at its end."""

    def __init__(self, points: np.ndarray):
        self._points, self._ahead = points, round(AHEAD / way_lines.SPACING)

    def along(self, hand: np.ndarray) -> np.ndarray:
        """float64 [3], an action, for a hand at a place [3] in m."""
        towards = heading(self._points, hand, self._ahead)
        if towards is None:
            return SPEED * (self._points[-1] - hand) / _SLOW
        return SPEED * towards / np.linalg.norm(towards)


class LineExpert:
    """Moves the hand along a line, its fingers closed."""

    def __init__(self, points: np.ndarray):
        self._line = _Line(points)

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4]."""
        return np.append(self._line.along(observation[:3]), _CLOSED)


class CarryExpert(GraspExpert):
    """Grasps the puck and moves it along a line of the hand."""

    low, held, hover = 0.044, 0.75, 0.12

    def __init__(self, points: np.ndarray):
        self._line = _Line(points)

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        return self._line.along(observation[:3])


class PushExpert:
    """Pushes a puck to its goal with the front of the closed fingers, which is flat, 3 cm wide and faces y.

    The front pushes straight ahead, as the puck rolls along it. Its edges push aside: a hand that is left of the puck
    pushes it to the right. A hand that is low and close before the puck pushes; another rises, goes across, and
    comes down there. Goals may be aside by `ways.ASIDE`.
    """

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4]."""
        hand, puck, goal = observation[:3], observation[4:7], observation[36:39]
        way = goal - puck
        slope = float(np.clip(way[0] / max(way[1], 0.06), -0.7, 0.7))
        edge = _EDGE * np.clip(slope / 0.15, -1.0, 1.0) + _RADIUS * slope / np.hypot(1.0, slope)
        off, along = puck[0] - edge - hand[0], puck[1] - hand[1]
        up = hand[2] - _PUSHING
        if up < 0.03 and 0.0 < along < 0.1 and abs(off) < 0.03:
            ahead = 0.3 * np.clip((0.03 - up) / 0.02, 0.0, 1.0) * np.clip((0.025 - abs(off)) / 0.01, 0.0, 1.0)
            return np.array([ahead * slope + GAIN * off, ahead, -20.0 * up, _CLOSED])
        delta = np.array([GAIN * off, GAIN * (along - _BEFORE), -20.0 * up])
        if np.linalg.norm(delta[:2]) > 0.012 * GAIN:
            delta[:2] *= np.clip((up - 0.04) / 0.03, 0.0, 1.0)
            delta[2] = 10.0 * (0.1 - up)
        return np.append(delta, _CLOSED)


_LINES: dict[str, Callable[[Layout, str], np.ndarray]] = {
    "reach-wall-ways": way_lines.reach,
    "button-press-wall-ways": way_lines.press,
    "window-open-ways": way_lines.slide,
    "faucet-open-ways": partial(way_lines.turn, side=-1.0),
    "faucet-close-ways": partial(way_lines.turn, side=1.0),
}


def expert(task: str, way: str, layout: Layout) -> LineExpert | CarryExpert | PushExpert:
    """The one that goes a task's `way` in a layout, which has to be open there."""
    if task in _LINES:
        return LineExpert(_LINES[task](layout, way))
    if way == "push":
        return PushExpert()
    return CarryExpert((way_lines.place if "wall" in task else way_lines.bring)(layout, way))

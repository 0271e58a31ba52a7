"""When a task is done, and when it can no longer be."""

import numpy as np

from mobile_base.layouts import DIVIDER_X, DOCKED_Y, DOOR_HALF_WIDTH, DOORS, RADIUS, SIZE, Layout

DOCK_M, DOCK_RAD = 0.04, np.radians(5.0)
"""How exactly a robot is docked: to each side, forward and back; heading."""
DOCK_SPEED, DOCK_TURN, DOCK_STEPS = 0.02, 0.1, 5
"""At rest, m/s and rad/s, for half a second."""
BAND = (0.25, 0.60)
"""Distance of the robot's middle from the nearest wall while it follows it, m ..."""
BAND_AFTER = 1.0
"""... from this long a way on: before, it may come from anywhere."""
WALL_END_Y = 1.3
"""The wall was followed to the end where the robot has come so far south along the west wall."""


class Judge:
    """Watches one episode. A touched wall, a wrong door or a wall left behind cannot be made good."""

    def __init__(self, task: str, layout: Layout):
        self._task, self._layout = task, layout
        self._place = np.array(layout.start[:2])
        self._still, self._way = 0, 0.0
        self.failed = ""
        """Why the task can no longer be done, '' while it can."""

    def done(self, pose: np.ndarray, speed: float, turn: float, touched: bool) -> bool:
        """Whether the task is done in the new state.

        Args:
            pose: float64 [3], x, y and heading of the robot's middle, m and rad.
            speed, turn: m/s and rad/s.
            touched: whether the hull touched anything in the last control step.
        """
        before, self._place = self._place, pose[:2].copy()
        self._way += float(np.hypot(*(self._place - before)))
        if touched and not self.failed:
            self.failed = "touched"
        if self._task == "dock":
            done = self._docked(pose, speed, turn)
        elif self._task == "follow_wall":
            done = self._followed(pose)
        else:
            done = self._through(before, pose)
        return done and not self.failed

    def _docked(self, pose: np.ndarray, speed: float, turn: float) -> bool:
        off = (pose[2] + np.pi / 2 + np.pi) % (2.0 * np.pi) - np.pi
        exact = abs(pose[0] - self._layout.dock_x) < DOCK_M and abs(pose[1] - DOCKED_Y) < DOCK_M and abs(off) < DOCK_RAD
        self._still = self._still + 1 if exact and abs(speed) < DOCK_SPEED and abs(turn) < DOCK_TURN else 0
        return self._still >= DOCK_STEPS

    def _followed(self, pose: np.ndarray) -> bool:
        distance = min(SIZE[1] - pose[1], pose[0])
        if self._way > BAND_AFTER and not BAND[0] < distance < BAND[1] and not self.failed:
            self.failed = f"{distance:.2f} m from the wall"
        return bool(pose[1] < WALL_END_Y and pose[0] < BAND[1])

    def _through(self, before: np.ndarray, pose: np.ndarray) -> bool:
        if before[0] < DIVIDER_X <= pose[0] and abs(pose[1] - DOORS[self._task]) > DOOR_HALF_WIDTH and not self.failed:
            self.failed = "went through the other door"
        return bool(pose[0] > DIVIDER_X + 0.05 + RADIUS + 0.1)

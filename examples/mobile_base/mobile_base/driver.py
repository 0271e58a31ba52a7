"""Somebody who drives the base by what it sends: finds the robot on a plan of the rooms, and steers towards a point.

The driver is no planner and no exact machine: speed and hand differ from drive to drive, and the hand trembles.
"""

import numpy as np

from mobile_base.layouts import (
    DIVIDER_X,
    DOCK_CHEEKS,
    DOCK_DEPTH,
    DOCKED_Y,
    DOOR_HALF_WIDTH,
    DOORS,
    PILLAR_RADIUS,
    RADIUS,
    SIZE,
    Layout,
    layout_of,
)

FASTEST, FASTEST_TURN = 0.3, 1.5
"""m/s, rad/s: what the contract allows."""
_SLEW, _TURN_SLEW = 0.1, 0.6  # in a period, likewise
_WALL_M = 0.4  # from the middle of the robot, while it follows a wall
_AHEAD_M = 0.35  # the point that is steered for lies so far ahead on a path
_DOCK_AHEAD_M = 0.22
_BEAMS = slice(0, 360, 4)  # that the driver looks at
_TREMBLE, _TREMBLE_TURN, _TREMBLE_S = 0.02, 0.15, 0.5  # m/s, rad/s, and how long it lasts, s
_MISJUDGED, _MISJUDGED_S = 0.03, 2.0  # m: by how much it is steered beside the middle of the dock, and for how long, s


class Driver:
    """Drives one episode. `layout` is what somebody who looks at the rooms sees; `seed` makes the hand."""

    def __init__(self, task: str, seed: int, tremble: float = 1.0):
        self._task, self._layout, self._tremble = task, layout_of(task, seed), tremble
        self._rng = np.random.default_rng([seed, 2])
        self._haste = self._rng.uniform(0.85, 1.0)
        self._map = _Map(self._layout)
        self._off, self._command, self._shake = np.zeros(3), np.zeros(2), np.zeros(2)
        self._beside = 0.0

    def command(self, odometry: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        """The next command.

        Args:
            odometry: float64 [3], x, y in m and heading in rad.
            ranges: [360], m, of a scan: beam 0 looks back, beam 180 ahead.

        Returns:
            float64 [2]: m/s forward, rad/s to the left.
        """
        pose = self._map.found(odometry + self._off, ranges)
        self._off = pose - odometry
        forward, turn = getattr(self, f"_{self._task.partition('_')[0]}")(pose)
        keep = 0.1 / _TREMBLE_S
        self._shake += -keep * self._shake + np.sqrt(2.0 * keep) * self._rng.normal(0.0, [_TREMBLE, _TREMBLE_TURN])
        moving = min(1.0, abs(forward) / 0.15)  # nobody trembles who stands still
        wanted = np.array([forward, turn]) + self._tremble * moving * self._shake
        wanted = np.clip(wanted, [-FASTEST, -FASTEST_TURN], [FASTEST, FASTEST_TURN])
        slew = np.array([_SLEW, _TURN_SLEW])
        self._command = np.clip(wanted, self._command - slew, self._command + slew)
        return self._command.copy()

    def _towards(self, pose: np.ndarray, x: float, y: float, speed: float) -> tuple[float, float]:
        """Steer for a point; turn before going where it lies to the side."""
        off = _wrapped(np.arctan2(y - pose[1], x - pose[0]) - pose[2])
        return self._haste * speed * max(0.0, np.cos(off)) ** 2, 2.2 * off

    def _door(self, pose: np.ndarray) -> tuple[float, float]:
        x = pose[0]
        door, pillar = DOORS[self._task], np.array(self._layout.pillar)
        before = np.array([DIVIDER_X - 0.55, door])
        if x > before[0] - 0.25:
            return self._towards(pose, x + 0.5, door, FASTEST)
        clearance = PILLAR_RADIUS + RADIUS + 0.2
        way = before - pose[:2]
        along = np.clip((pillar - pose[:2]) @ way / (way @ way), 0.0, 1.0)
        nearest = pillar - (pose[:2] + along * way)
        side = np.sign(door - 0.5 * SIZE[1])
        if x < pillar[0] + 0.1 and (np.hypot(*nearest) < clearance or side * nearest[1] > 0.0):
            return self._towards(pose, pillar[0], pillar[1] + side * (clearance + 0.05), FASTEST)
        return self._towards(pose, *before, FASTEST)

    def _follow(self, pose: np.ndarray) -> tuple[float, float]:
        path = _wall_path()
        nearest = int(np.argmin(np.hypot(*(path - pose[:2]).T)))
        ahead = path[min(nearest + round(_AHEAD_M / _SPACING_M), len(path) - 1)]
        return self._towards(pose, *ahead, 0.9 * FASTEST)

    def _dock(self, pose: np.ndarray) -> tuple[float, float]:
        left = pose[1] - DOCKED_Y
        speed = float(np.clip(0.6 * left, -0.05, 0.8 * FASTEST))
        keep = 0.1 / _MISJUDGED_S
        self._beside += -keep * self._beside + np.sqrt(2.0 * keep) * self._rng.normal(0.0, _MISJUDGED)
        aim = self._layout.dock_x + self._tremble * min(1.0, left / 0.3) * self._beside
        ahead = _DOCK_AHEAD_M + 0.8 * max(0.0, 1.0 - left / 0.15)  # at last it is too late for anything but the heading
        return self._towards(pose, aim, pose[1] - ahead, speed)


_SPACING_M = 0.02


def _wall_path() -> np.ndarray:
    """[points, 2], m: along the north wall to the west, round the corner, along the west wall to the south."""
    bend, north = 0.35, SIZE[1] - _WALL_M
    first = np.stack(np.broadcast_arrays(np.arange(3.6, _WALL_M + bend, -_SPACING_M), north), axis=1)
    angle = np.arange(0.5 * np.pi, np.pi, _SPACING_M / bend)
    corner = [_WALL_M + bend, north - bend] + bend * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    last = np.stack(np.broadcast_arrays(_WALL_M, np.arange(north - bend, 0.6, -_SPACING_M)), axis=1)
    return np.concatenate([first, corner, last])


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


class _Map:
    """Where walls stand, and where on it a scan was taken."""

    def __init__(self, layout: Layout):
        width, depth = SIZE
        west, east, half = DIVIDER_X - 0.05, DIVIDER_X + 0.05, DOOR_HALF_WIDTH
        segments = [(0, 0, width, 0), (width, 0, width, depth), (width, depth, 0, depth), (0, depth, 0, 0)]
        low, high = DOORS["door_right"], DOORS["door_left"]
        for bottom, top in ((0.0, low - half), (low + half, high - half), (high + half, depth)):
            segments += [(west, bottom, west, top), (east, bottom, east, top)]
            segments += [(west, end, east, end) for end in (bottom, top)]
        for left, right in DOCK_CHEEKS:
            for x in (left, right):
                segments.append((layout.dock_x + x, 0, layout.dock_x + x, DOCK_DEPTH))
            segments.append((layout.dock_x + left, DOCK_DEPTH, layout.dock_x + right, DOCK_DEPTH))
        ends = np.array(segments, dtype=np.float64)
        self._from, self._along = ends[:, :2], ends[:, 2:] - ends[:, :2]
        self._pillar = np.array(layout.pillar)
        self._angles = (-np.pi + np.arange(360) * (2.0 * np.pi / 360))[_BEAMS]

    def ranges(self, pose: np.ndarray) -> np.ndarray:
        """What the driver's beams would measure at a pose, m."""
        angle = self._angles + pose[2]
        ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None]
        offset = (self._from - pose[:2])[None]
        with np.errstate(divide="ignore", invalid="ignore"):
            cross = ray[..., 0] * self._along[:, 1] - ray[..., 1] * self._along[:, 0]
            distance = (offset[..., 0] * self._along[:, 1] - offset[..., 1] * self._along[:, 0]) / cross
            share = (offset[..., 0] * ray[..., 1] - offset[..., 1] * ray[..., 0]) / cross
        hit = (distance > 0.0) & (share >= 0.0) & (share <= 1.0)
        nearest = np.where(hit, distance, np.inf).min(axis=1)
        centre = self._pillar - pose[:2]
        along = ray[:, 0] @ centre
        depth = PILLAR_RADIUS**2 - (centre @ centre - along**2)
        pillar = np.where((depth > 0.0) & (along > 0.0), along - np.sqrt(np.maximum(depth, 0.0)), np.inf)
        return np.minimum(nearest, pillar)

    def found(self, guess: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        """The pose near `guess`, float64 [3], at which the map explains a scan best."""
        pose, measured = guess.copy(), np.asarray(ranges, dtype=np.float64)[_BEAMS]
        for _ in range(2):
            expected = self.ranges(pose)
            with np.errstate(invalid="ignore"):  # infinite, where a door leaves nothing to see
                slopes = np.stack([(self.ranges(pose + step) - expected) / 1e-3 for step in 1e-3 * np.eye(3)], axis=1)
                error = measured - expected
            good = np.isfinite(error) & (np.abs(error) < 0.15) & (np.abs(slopes).max(axis=1) < 20.0)
            if good.sum() < 10:
                break
            change = np.linalg.lstsq(slopes[good], error[good], rcond=None)[0]
            pose += np.clip(change, -0.1, 0.1)
        return pose

"""Where the cylinders stand and the rod starts: the published scene, and others like it by seed. All in m."""

from dataclasses import dataclass

import numpy as np

ROWS = (1, 2, 3)
"""Cylinders in each row, the first row first."""

ROD_RADIUS = 0.01
"""Of the rod, as in D3IL's model."""

GOAL_Y = 0.35
"""Beyond this line the task is done."""

TABLE = ((0.1, -0.4), (0.9, 0.6))
"""Lowest and highest x and y; a rod beyond has left the table."""

CLEARANCE = 0.02
"""Between rod and cylinders there is at least so much on each side of every open gap of every scene."""

SHIFT_X, SHIFT_Y = 0.04, 0.015
"""A row of a varied scene is moved by up to so much along x and y."""

SPACING = (0.13, 0.18)
"""Between the axes of two neighbours in a row of a varied scene with an open gap; 0.15 in the published one."""

CLOSED = 0.25
"""Chance that the gap between two neighbours of a varied scene is closed."""

ROOM_IF_CLOSED = (-0.01, 0.02)
"""What a closed gap has more than the rod's diameter: no way leads through it, and none nearly."""

RADIUS = (0.02, 0.035)
"""Of a cylinder of a varied scene; 0.025 and, in the first row, 0.03 in the published one."""

START_X, START_Y = 0.06, 0.02
"""The start of a varied scene is moved by up to so much along x and y."""


@dataclass(frozen=True)
class Scene:
    """One layout.

    Attributes:
        start: float64 [2], x and y of the rod.
        centres: float64 [6, 2], x and y of the cylinders, row by row, each by rising x.
        radii: float64 [6].
    """

    start: np.ndarray
    centres: np.ndarray
    radii: np.ndarray

    def rows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Centres float64 [n, 2] and radii float64 [n] of each row, the first row first."""
        ends = np.cumsum(ROWS)[:-1]
        return list(zip(np.split(self.centres, ends), np.split(self.radii, ends), strict=True))


def published() -> Scene:
    """The scene of D3IL's Avoiding (Jia et al. 2024, arXiv 2402.14606)."""
    centres = [(0.5, -0.1), (0.425, 0.08), (0.575, 0.08), (0.35, 0.26), (0.5, 0.26), (0.65, 0.26)]
    return Scene(np.array([0.525, -0.28]), np.array(centres), np.array([0.03, *[0.025] * 5]))


def varied(seed: int) -> Scene:
    """A scene like the published one: rows shifted, gaps wider, narrower or closed, other radii, the start moved."""
    rng, plain = np.random.default_rng([int(seed), 6]), published()
    centres: list[np.ndarray] = []
    radii = rng.uniform(*RADIUS, sum(ROWS))
    for count, (row, _) in zip(ROWS, plain.rows(), strict=True):
        middle = row.mean(axis=0) + rng.uniform((-SHIFT_X, -SHIFT_Y), (SHIFT_X, SHIFT_Y))
        beside = radii[len(centres) : len(centres) + count]
        touching = beside[:-1] + beside[1:] + 2.0 * ROD_RADIUS  # so far apart, the rod would touch both
        narrow, wide = touching + rng.uniform(*ROOM_IF_CLOSED, count - 1), rng.uniform(*SPACING, count - 1)
        spacing = np.where(rng.uniform(size=count - 1) < CLOSED, narrow, wide)
        places = np.concatenate([[0.0], np.cumsum(spacing)])
        centres += [middle + np.array([place, 0.0]) for place in places - places.mean()]
    start = plain.start + rng.uniform((-START_X, -START_Y), (START_X, START_Y))
    return Scene(start, np.array(centres), radii)


def gaps(scene: Scene) -> list[list[tuple[float, float]]]:
    """Of each row the gaps that the rod's axis can pass, by rising x: lowest and highest x, the table's edges included.

    A gap whose highest x is below its lowest is too narrow for the rod.
    """
    found = []
    for centres, radii in scene.rows():
        reach = radii + ROD_RADIUS
        lows = [TABLE[0][0], *(centres[:, 0] + reach)]
        highs = [*(centres[:, 0] - reach), TABLE[1][0]]
        found.append([(float(low), float(high)) for low, high in zip(lows, highs, strict=True)])
    return found

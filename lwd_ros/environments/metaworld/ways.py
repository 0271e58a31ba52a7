"""Metaworld's tasks that are done in several ways: which ways a layout leaves open, and which one a path went.

All here is a function of positions in m: of the hand, of the thing that is moved, of the goal. Nothing is simulated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Wall:
    """A wall across the table: its left and right end along x, its middle along y, its top along z, in m."""

    left: float
    right: float
    y: float
    top: float


TABLE_WALL = Wall(-0.02, 0.22, 0.75, 0.12)
"""Of reach-wall, push-wall and pick-place-wall."""

BUTTON_WALL = Wall(0.0, 0.2, 0.6, 0.15)
"""Of button-press-wall."""

WINDOW_TOP = 0.09
"""The hand is so much above the middle of a window's handle where the fingers pass over it, m."""

FAUCET_TOP = 0.085
"""As WINDOW_TOP, of a faucet's handle."""

BEFORE = 0.06
"""A hand has come to a handle where it is so much before the point that is observed of it, m."""

HIGH_GOAL = 0.2
"""To a goal that is higher nobody goes beside the table's wall, m."""

NEAR = 0.01
"""To a goal so much left of the middle one still goes round the right end of the table's wall, and so mirrored, m."""

CROSSES = 0.05
"""A hand goes over a handle where it has to come sideways by more than so much, m."""

ASIDE = 0.25
"""A thing is pushed to a goal that is aside by at most such a share of its distance ahead."""

LIFTED = 0.05
"""A thing was carried that was so much higher than at first, m."""

MOVING = 0.001
"""A thing moves that moves so much in a control step, m."""

GRASPED = 0.03
"""Between the fingers a thing is so close to the hand's axis, m."""


@dataclass(frozen=True)
class Layout:
    """Where things are before anybody moves: float64 [3] each, in m.

    Attributes:
        hand: its start.
        thing: what is moved: a puck, a handle, a button. Where nothing is, it does not count.
        goal: where hand or thing is to be.
    """

    hand: np.ndarray
    thing: np.ndarray
    goal: np.ndarray


@dataclass(frozen=True)
class Ways:
    """The ways of one task.

    Attributes:
        metaworld: Metaworld's name of the task.
        names: of all ways.
        open: those that a layout leaves open, in the order of `names`.
        read: the way of a path: of the positions of hand and thing, float64 [steps, 3] each, the first before anything
            moved. '' where it went none.
    """

    metaworld: str
    names: tuple[str, ...]
    open: Callable[[Layout], tuple[str, ...]]
    read: Callable[[np.ndarray, np.ndarray], str]


def past_wall(positions: np.ndarray, wall: Wall) -> str:
    """How a path gets behind a wall: `over`, `left` or `right`; '' where it did not.

    The last passage counts: a path that goes back and comes again counts as it ended. A path that passes beside the
    wall goes left or right also where it is higher than the wall.

    Args:
        positions: float64 [steps, 3], straight between steps.
        wall: from y below it to y above it.
    """
    passed = _passage(positions, wall.y)
    if passed is None:
        return ""
    x, z = passed
    return "left" if x < wall.left else "right" if x > wall.right else "over" if z > wall.top else ""


def to_handle(hand: np.ndarray, handle: np.ndarray, top: float) -> str:
    """How a hand comes beside a handle that points to the front: `over` it, or `around` its end; '' where it did not.

    Args:
        hand: float64 [steps, 3].
        handle: float64 [steps, 3]; the first counts, which nobody has moved.
        top: m above the handle; a hand that passes higher has passed over it.
    """
    passed = _passage(hand, float(handle[0, 1]) - BEFORE)
    if passed is None:
        return ""
    return "over" if passed[1] > handle[0, 2] + top else "around"


def with_thing(hand: np.ndarray, thing: np.ndarray) -> str:
    """How a hand brings a thing along: `carry` through the air, `drag` between the fingers, or `push` from behind.

    '' where it did not move. It was dragged where it was between the fingers for most of the distance.

    Args:
        hand: float64 [steps, 3].
        thing: float64 [steps, 3].
    """
    if thing[:, 2].max() - thing[0, 2] > LIFTED:
        return "carry"
    moved = np.linalg.norm(np.diff(thing[:, :2], axis=0), axis=1)
    moves = moved > MOVING
    if not moves.any():
        return ""
    beside = np.linalg.norm(hand[1:, :2] - thing[1:, :2], axis=1)[moves]
    return "drag" if moved[moves] @ (beside < GRASPED) > 0.5 * moved[moves].sum() else "push"


def _passage(positions: np.ndarray, y: float) -> tuple[float, float] | None:
    """x and z where a path [steps, 3] gets beyond `y` for the last time; None where it ends before."""
    before = positions[:, 1] < y
    passages = np.flatnonzero(before[:-1] & ~before[1:])
    if not len(passages) or before[-1]:
        return None
    first, second = positions[passages[-1] : passages[-1] + 2]
    x, _, z = first + (second - first) * (y - first[1]) / (second[1] - first[1])
    return float(x), float(z)


def _about_wall(layout: Layout) -> tuple[str, ...]:
    """Over the table's wall always; beside it to goals that are not above it, and round the end that is nearer."""
    x, low = layout.goal[0], layout.goal[2] <= HIGH_GOAL
    return ("over", *(["left"] if low and x <= NEAR else []), *(["right"] if low and x >= -NEAR else []))


def _about_button_wall(layout: Layout) -> tuple[str, ...]:
    """Over the wall where the button is not left of it, left where the button is not far behind it."""
    x = layout.thing[0]
    return (*(["over"] if x >= -0.02 else []), *(["left"] if x <= 0.01 else []))


def _beside_handle(offset: float) -> Callable[[Layout], tuple[str, ...]]:
    """Over a handle where the hand has to come far past it, to the place that it pushes from, `offset` beside it."""

    def allowed(layout: Layout) -> tuple[str, ...]:
        past = (layout.thing[0] + offset - layout.hand[0]) * np.sign(offset)
        return ("over", "around") if past > CROSSES else ("around",)

    return allowed


def _along(layout: Layout) -> tuple[str, ...]:
    """Pushed where the goal is about straight ahead of the thing."""
    aside, ahead = np.abs(layout.goal - layout.thing)[:2]
    return ("carry", "drag", "push") if aside <= ASIDE * ahead else ("carry", "drag")


def _past(wall: Wall, thing: bool) -> Callable[[np.ndarray, np.ndarray], str]:
    return lambda hand, moved: past_wall(moved if thing else hand, wall)


def _over(top: float) -> Callable[[np.ndarray, np.ndarray], str]:
    return lambda hand, handle: to_handle(hand, handle, top)


_SIDES, _HANDLE, _ALONG = ("over", "left", "right"), ("over", "around"), ("carry", "drag", "push")

SEVERAL = {
    "reach-wall-ways": Ways("reach-wall-v3", _SIDES, _about_wall, _past(TABLE_WALL, False)),
    "push-wall-ways": Ways("push-wall-v3", _SIDES, _about_wall, _past(TABLE_WALL, True)),
    "pick-place-wall-ways": Ways("pick-place-wall-v3", _SIDES, _about_wall, _past(TABLE_WALL, True)),
    "button-press-wall-ways": Ways(
        "button-press-wall-v3", ("over", "left"), _about_button_wall, _past(BUTTON_WALL, False)
    ),
    "push-ways": Ways("push-v3", _ALONG, _along, with_thing),
    "window-open-ways": Ways("window-open-v3", _HANDLE, _beside_handle(-0.045), _over(WINDOW_TOP)),
    "faucet-open-ways": Ways("faucet-open-v3", _HANDLE, _beside_handle(-0.04), _over(FAUCET_TOP)),
    "faucet-close-ways": Ways("faucet-close-v3", _HANDLE, _beside_handle(0.04), _over(FAUCET_TOP)),
}
"""The tasks that are done in several ways, by name."""


def metaworld_name(task: str) -> str:
    """Metaworld's own name of a task."""
    return SEVERAL[task].metaworld if task in SEVERAL else task

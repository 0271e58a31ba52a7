"""Pins Metaworld's ways without physics: how paths are read, what layouts leave open, that each line goes its way."""

import numpy as np
import pytest

from lwd_ros.environments.metaworld import way_experts, way_lines
from lwd_ros.environments.metaworld.simulator import SIMULATOR
from lwd_ros.environments.metaworld.tasks import MT50
from lwd_ros.environments.metaworld.ways import (
    BUTTON_WALL,
    SEVERAL,
    TABLE_WALL,
    Layout,
    metaworld_name,
    past_wall,
    to_handle,
    with_thing,
)


def path(*corners, steps=20):
    """float64 [points, 3]: straight from corner to corner."""
    corners = np.array(corners, dtype=np.float64)
    at = np.linspace(0.0, len(corners) - 1.0, steps * (len(corners) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(corners)), corners[:, axis]) for axis in range(3)], axis=1)


BEFORE, BEHIND = (0.0, 0.6, 0.2), (0.0, 0.9, 0.1)


@pytest.mark.parametrize(
    ("between", "way"),
    [
        ([(0.0, 0.75, 0.25)], "over"),
        ([(-0.1, 0.75, 0.1)], "left"),
        ([(0.3, 0.75, 0.1)], "right"),
        ([(-0.1, 0.75, 0.4)], "left"),  # beside it, however high
        ([(0.0, 0.75, 0.05)], ""),  # through the wall
        ([(-0.1, 0.75, 0.1), (-0.1, 0.85, 0.1), (0.1, 0.72, 0.3), (0.1, 0.8, 0.3)], "over"),  # the last passage counts
    ],
)
def test_a_path_past_a_wall_is_read_where_it_passes_last(between, way):
    assert past_wall(path(BEFORE, *between, BEHIND), TABLE_WALL) == way


def test_a_path_that_does_not_end_behind_the_wall_goes_no_way():
    assert past_wall(path(BEFORE, (-0.1, 0.7, 0.1)), TABLE_WALL) == ""
    assert past_wall(path(BEFORE, (-0.1, 0.8, 0.1), (-0.1, 0.7, 0.1)), TABLE_WALL) == ""
    assert past_wall(path(BEHIND, BEHIND), TABLE_WALL) == ""


def test_a_hand_comes_over_a_handle_or_around_its_end():
    handle = np.tile([0.0, 0.7, 0.16], (41, 1))
    assert to_handle(path((0.0, 0.4, 0.2), (-0.1, 0.7, 0.32), (-0.1, 0.7, 0.15)), handle, 0.09) == "over"
    assert to_handle(path((0.0, 0.4, 0.2), (-0.1, 0.6, 0.15), (-0.1, 0.72, 0.15)), handle, 0.09) == "around"
    assert to_handle(path((0.0, 0.4, 0.2), (-0.1, 0.6, 0.15), (-0.1, 0.6, 0.32)), handle, 0.09) == ""
    pulled = handle - np.linspace(0.0, 0.5, 41)[:, None] * [0.0, 1.0, 0.0]  # where it is later does not count
    assert to_handle(path((0.0, 0.4, 0.2), (-0.1, 0.7, 0.32), (-0.1, 0.7, 0.15)), pulled, 0.09) == "over"


def test_a_thing_is_carried_dragged_or_pushed():
    thing = path((0.0, 0.6, 0.02), (0.0, 0.85, 0.02))
    assert with_thing(thing - [0.0, -0.005, -0.04], thing) == "drag"
    assert with_thing(thing - [0.0, 0.05, -0.03], thing) == "push"
    lifted = path((0.0, 0.6, 0.02), (0.0, 0.6, 0.2), (0.0, 0.85, 0.02))
    assert with_thing(lifted, lifted) == "carry"
    still = np.tile(thing[:1], (41, 1))
    assert with_thing(thing, still) == ""
    nudged = np.concatenate([still, thing])  # before it moves it does not matter where the hand is
    assert with_thing(nudged - [0.0, 0.05, -0.03], nudged) == "push"


def layout(task, rng):
    """A layout with things where Metaworld has them."""
    hand = (
        np.array([0.0, 0.6, 0.2]) if "push" in task or "pick" in task or "reach" in task else np.array([0.0, 0.4, 0.2])
    )
    if task == "button-press-wall-ways":
        return Layout(np.array([0.0, 0.4, 0.2]), np.append(rng.uniform([-0.05, 0.655], [0.05, 0.705]), 0.115), hand)
    if task == "window-open-ways":
        return Layout(hand, np.append(rng.uniform([-0.14, 0.605], [0.06, 0.805]), 0.16), hand)
    if task.startswith("faucet"):
        return Layout(hand, np.append(rng.uniform([-0.08, 0.625], [0.11, 0.675]), 0.114), hand)
    spread, high = (0.1, 0.02) if task == "push-ways" else (0.05, 0.3)
    goal = rng.uniform([-spread, 0.85, 0.02], [spread, 0.9, 0.02 if task == "push-wall-ways" else high])
    return Layout(hand, np.append(rng.uniform([-spread, 0.6], [spread, 0.65]), 0.02), goal)


@pytest.mark.parametrize("task", SEVERAL)
def test_every_line_goes_its_way_in_every_layout_that_leaves_it_open(task):
    rng, seen = np.random.default_rng(0), set()
    ways = SEVERAL[task]
    for _ in range(200):
        each = layout(task, rng)
        allowed = ways.open(each)
        assert allowed and list(allowed) == [way for way in ways.names if way in allowed]
        seen.add(allowed)
        for way in allowed:
            expert = way_experts.expert(task, way, each)
            if way == "push":
                continue
            points = expert._line._points
            held = isinstance(expert, way_experts.CarryExpert)
            thing = points - [0.0, 0.0, way_lines.HELD] if held else np.tile(each.thing, (len(points), 1))
            assert ways.read(points, thing) == way
    assert len(seen) > 1 and set().union(*seen) == set(ways.names)  # p(way | layout) depends on the layout


def test_lines_keep_clear_of_walls():
    rng = np.random.default_rng(1)
    for task, wall in (("reach-wall-ways", TABLE_WALL), ("button-press-wall-ways", BUTTON_WALL)):
        for _ in range(100):
            each = layout(task, rng)
            for way in SEVERAL[task].open(each):
                points = way_experts.expert(task, way, each)._line._points
                near = points[np.abs(points[:, 1] - wall.y) < 0.012]
                beside = (near[:, 0] < wall.left - 0.03) | (near[:, 0] > wall.right + 0.03)
                assert (beside | (near[:, 2] > wall.top + 0.06)).all()


def test_the_tasks_are_a_set_beside_metaworlds_own():
    spec = SIMULATOR.spec
    assert spec.task_sets["ways"] == tuple(SEVERAL) and spec.tasks == (*MT50, *SEVERAL)
    assert all(metaworld_name(task) in MT50 for task in spec.tasks) and metaworld_name("push-v3") == "push-v3"

"""Pins what is said, and that no pose is given, where transforms are missing, wrong, in conflict or of another time."""

import math

import numpy as np
import pytest
from transforms_support import S, message, transform, x_of

from lwd_ros.transforms import TransformBuffer
from lwd_ros.transforms.pose import read_transform

MS = S // 1000


def _buffer(*messages, static=()):
    buffer = TransformBuffer([("tool0", "base_link")])
    poses = [pose for each in static for pose in buffer.add(each, static=True)]
    poses += [pose for each in messages for pose in buffer.add(each)]
    assert poses == []
    return buffer


def test_nothing_has_arrived():
    assert _buffer().problem(0) == "no transform has arrived, so 'tool0' in 'base_link' is unknown"


def test_a_frame_that_nobody_names_comes_with_the_closest_that_is_there():
    buffer = _buffer(x_of("base_link", "tool", S, 1.0))
    assert buffer.problem(0) == "no transform names the frame 'tool0'; did you mean 'tool'?"
    buffer = _buffer(x_of("base_link", "wheel_left", S, 1.0))
    assert buffer.problem(0) == "no transform names the frame 'tool0'; is /tf_static missing?"


def test_two_trees_are_named_by_their_roots():
    buffer = _buffer(x_of("flange", "tool0", S, 1.0), x_of("base_link", "arm", S, 1.0))
    sentence = (
        "'tool0' and 'base_link' are in two trees, of 'flange' and 'base_link': "
        "'tool0' is below 'flange', which has no parent; 'base_link' has no parent"
    )
    assert buffer.problem(0) == sentence + "; is /tf_static missing?"
    buffer.add(x_of("x", "y", 0, 0.0), static=True)
    assert buffer.problem(0) == sentence
    assert len(buffer.add(x_of("arm", "flange", 0, 0.0), static=True)) == 1
    assert buffer.problem(0) is None


def test_frames_in_a_loop():
    buffer = _buffer(x_of("a", "tool0", S, 1.0), x_of("tool0", "a", S, 1.0), x_of("world", "base_link", S, 1.0))
    assert buffer.problem(0) == "frames are a loop, each the next one's child: tool0 -> a -> tool0"


@pytest.mark.parametrize(
    ("position", "rotation", "text"),
    [
        ((0, math.nan, 0), (0, 0, 0, 1), "found the translation (0.0, nan, 0.0), expected finite numbers"),
        ((0, 0, 0), (0, 0, math.inf, 1), "found the rotation (0.0, 0.0, inf, 1.0), expected finite numbers"),
        ((0, 0, 0), (0, 0, 0, 0), "found a rotation of norm 0, expected 1"),
        ((0, 0, 0), (0, 0, 0.5, 1), "found a rotation of norm 1.12, expected 1"),
    ],
)
def test_a_transform_that_is_none_is_dropped_and_said_once(position, rotation, text):
    bad = message(transform("base_link", "tool0", S, position, rotation))
    buffer = _buffer(bad, bad)
    assert buffer.problem(0) == f"the transform of frame 'tool0' in 'base_link' is dropped: {text}"
    assert buffer.notices() == [f"a transform of frame 'tool0' in 'base_link' is dropped: {text}"]
    ((_, stamp, _),) = buffer.add(x_of("base_link", "tool0", 2 * S, 1.0))
    assert stamp == 2 * S and buffer.problem(0) is None and buffer.notices() == []
    assert buffer.add(message(transform("base_link", "tool0", 3 * S, position, rotation))) == []
    assert text in buffer.problem(0)


def test_one_bad_edge_of_a_chain_gives_no_pose():
    bad = message(transform("arm", "tool0", S, (math.nan, 0, 0)))
    buffer = _buffer(x_of("base_link", "arm", S, 1.0), bad, x_of("base_link", "arm", 2 * S, 1.0), bad)
    assert "frame 'tool0' in 'arm' is dropped" in buffer.problem(0)
    assert buffer.slowest(0) == "frame 'arm' in 'base_link'"


def test_a_bad_static_transform_gives_no_pose():
    buffer = _buffer(static=[message(transform("base_link", "tool0", S, (0, 0, 0), (0, 0, 0, 0)))])
    assert "norm 0" in buffer.problem(0)


def test_a_rotation_rounded_to_float32_is_made_of_norm_1():
    sent = transform("base_link", "tool0", S, (0, 0, 0), (0, 0, 0.003, 1.004))
    assert np.linalg.norm(read_transform(sent.transform)[3:]) == pytest.approx(1.0, abs=1e-15)
    ((_, _, pose),) = TransformBuffer([("tool0", "base_link")]).add(message(sent))
    assert math.hypot(pose.rotation.z, pose.rotation.w) == pytest.approx(1.0, abs=1e-15)


def test_transforms_without_names_or_in_themselves_are_dropped():
    buffer = _buffer(x_of("", "tool0", S, 1.0), x_of("tool0", "tool0", S, 1.0), x_of("base_link", "", S, 1.0))
    assert len(buffer.notices()) == 2  # once for each child
    assert buffer.problem(0).startswith("no transform has arrived")


def test_the_newest_of_two_parents_counts_and_it_is_said_once():
    buffer = TransformBuffer([("tool0", "base_link")])
    buffer.add(x_of("base_link", "tool0", S, 1.0))
    buffer.add(x_of("base_link", "stand", S, 10.0))
    ((_, stamp, pose),) = buffer.add(
        message(transform("stand", "tool0", 2 * S, (1, 0, 0)), transform("base_link", "stand", 2 * S, (10, 0, 0)))
    )
    assert stamp == 2 * S and pose.translation.x == 11.0
    assert buffer.notices() == ["frame 'tool0' has two parents, 'base_link' and 'stand': the newest counts"]
    ((_, _, pose),) = buffer.add(x_of("base_link", "tool0", 3 * S, 1.0))
    assert pose.translation.x == 1.0 and buffer.notices() == []


def test_the_newest_of_two_parents_in_one_message_counts():
    buffer = TransformBuffer([("tool0", "base_link")])
    two = message(transform("elsewhere", "tool0", S, (7, 0, 0)), transform("base_link", "tool0", S, (1, 0, 0)))
    ((_, _, pose),) = buffer.add(two)
    assert pose.translation.x == 1.0


def test_a_frame_that_turns_from_static_to_moving_is_said():
    buffer = TransformBuffer([("tool0", "base_link")])
    buffer.add(x_of("base_link", "tool0", 0, 1.0), static=True)
    ((_, stamp, _),) = buffer.add(x_of("base_link", "tool0", 4, 1.0))
    assert stamp == 4
    assert buffer.notices() == [
        "frame 'tool0' in 'base_link' came on /tf_static and now comes on /tf: the newest counts"
    ]


def test_a_clock_that_jumps_back_starts_anew_with_no_pose_of_two_times():
    """A simulator's reset while the arm is elsewhere: the tool at x = t, its base at 100 before and at 0 after."""
    buffer = TransformBuffer([("tool0", "base_link")])
    for k in range(500):
        buffer.add(x_of("arm", "tool0", k * 10 * MS, 0.0))
        buffer.add(x_of("base_link", "arm", k * 10 * MS, 100.0))
    poses = []
    for k in range(20):  # the two edges' messages come in turn, one of them first
        poses += buffer.add(x_of("arm", "tool0", k * 10 * MS, 0.5))
        poses += buffer.add(x_of("base_link", "arm", k * 10 * MS, 1.0))
    assert {pose.translation.x for _, _, pose in poses} == {1.5}
    stamps = [stamp // MS for _, stamp, _ in poses]
    assert stamps == sorted(set(stamps)) and stamps[0] <= 20 and stamps[-1] == 190
    (notice,) = buffer.notices()
    assert notice == "the clock of frame 'tool0' in 'arm' went back by 4.970 s: it is gathered anew"


def test_a_jump_back_reaches_every_pair_that_shares_an_edge():
    buffer = TransformBuffer([("arm", "base_link"), ("tool0", "base_link")])
    for start in (50, 0):
        poses = []
        for k in range(10):
            stamp = start * S + k * 10 * MS
            poses += buffer.add(x_of("arm", "tool0", stamp, 0.0))
            poses += buffer.add(x_of("base_link", "arm", stamp, float(start)))
        assert {pose.translation.x for _, _, pose in poses} == {float(start)}
        assert {pair for pair, _, _ in poses} == {0, 1}


def test_a_jump_back_reaches_chains_that_are_connected_through_another_one():
    """The old samples of the map's edge cover the new stamps as well: only forgetting them keeps the times apart."""
    buffer = TransformBuffer([("arm", "map"), ("tool0", "base_link")])
    for k in range(300):
        buffer.add(x_of("map", "base_link", k * 10 * MS, 100.0))
        buffer.add(x_of("base_link", "arm", k * 10 * MS, 0.0))
        buffer.add(x_of("arm", "tool0", k * 10 * MS, 0.0))
    poses = []
    for k in range(20):
        poses += buffer.add(x_of("arm", "tool0", k * 10 * MS, 0.0))
        if k > 10:
            poses += buffer.add(x_of("base_link", "arm", k * 10 * MS, 0.0))
        if k > 15:
            poses += buffer.add(x_of("map", "base_link", k * 10 * MS, 1.0))
    assert {pose.translation.x for pair, _, pose in poses if pair == 0} == {1.0}


def test_one_stamp_from_the_future_is_got_over():
    buffer = TransformBuffer([("tool0", "base_link")])
    stamps = []
    for k in range(10):
        stamp = 10_000 * S if k == 4 else k * S
        stamps += [p.stamp_ns // S for p in buffer.add(x_of("base_link", "tool0", stamp, 1.0))]
    assert stamps == [0, 1, 2, 3, 10_000, 7, 8, 9]


def test_edges_without_a_stamp_in_common_are_named():
    buffer = _buffer(x_of("arm", "tool0", S, 1.0), x_of("base_link", "arm", 5 * S, 1.0))
    assert buffer.problem(0) == (
        "transforms of 'tool0' in 'base_link' have no stamp in common: "
        "those of frame 'tool0' in 'arm' end at 1.000 s, those of frame 'arm' in 'base_link' begin at 5.000 s"
    )
    assert buffer.slowest(0) == "frame 'tool0' in 'arm'"
    ((_, stamp, _),) = buffer.add(x_of("arm", "tool0", 6 * S, 1.0))
    assert stamp == 5 * S and buffer.problem(0) is None
    assert buffer.slowest(0) == "frame 'arm' in 'base_link'"


def test_slowest_of_a_missing_or_static_chain_is_none():
    buffer = _buffer()
    assert buffer.slowest(0) is None
    buffer.add(x_of("base_link", "tool0", 0, 0.0), static=True)
    assert buffer.slowest(0) is None


def test_notices_are_bounded():
    buffer = TransformBuffer([("tool0", "base_link")])
    for k in range(3000):
        buffer.add(x_of("", f"object_{k}", 0, 0.0))
    assert len(buffer.notices()) == 1000

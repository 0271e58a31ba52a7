"""Pins the poses that come out of transforms: against closed forms, scipy, and tf2's rule for stamps."""

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation, Slerp
from transforms_support import S, matrix, matrix_of_pose, message, transform, x_of

from lwd_ros.contract import ContractError
from lwd_ros.transforms import TransformBuffer
from lwd_ros.transforms.history import FEW_SAMPLES, MOST_SAMPLES, History

MS = S // 1000


def test_a_pose_of_one_moving_edge_is_what_was_sent():
    buffer = TransformBuffer([("tool0", "base_link")])
    half = math.sqrt(0.5)
    ((pair, stamp, pose),) = buffer.add(
        message(transform("base_link", "tool0", 5 * S + 7, (1, 2, 3), (0, 0, half, half)))
    )
    assert (pair, stamp) == (0, 5 * S + 7)
    assert (pose.translation.x, pose.translation.y, pose.translation.z) == (1.0, 2.0, 3.0)
    assert (pose.rotation.x, pose.rotation.y) == (0.0, 0.0)
    assert pose.rotation.z == pytest.approx(half, abs=1e-15) and pose.rotation.w == pytest.approx(half, abs=1e-15)


def test_a_pair_asked_the_other_way_round_is_the_inverse():
    """base 1 m in front of a tool that is turned by 90 degrees about z and 1 m ahead along x: at (0, 1) of the tool."""
    buffer = TransformBuffer([("base", "tool")])
    half = math.sqrt(0.5)
    ((_, _, pose),) = buffer.add(message(transform("base", "tool", S, (1, 0, 0), (0, 0, half, half))))
    assert pose.translation.x == pytest.approx(0.0, abs=1e-15) and pose.translation.y == pytest.approx(1.0)
    assert pose.rotation.z * pose.rotation.w == pytest.approx(-0.5)


def test_leading_slashes_are_no_part_of_a_name():
    buffer = TransformBuffer([("/tool", "base")])
    assert len(buffer.add(x_of("/base", "tool", S, 1.0))) == 1


unit = st.floats(-1.0, 1.0)
positions = st.tuples(*[st.floats(-3.0, 3.0)] * 3)
rotations = st.tuples(unit, unit, unit, unit).filter(lambda q: math.hypot(*q) > 0.1).map(Rotation.from_quat)
samples = st.tuples(positions, rotations)
# Half a turn has two shortest ways.
pairs_of_samples = st.tuples(samples, samples).filter(lambda v: (v[0][1].inv() * v[1][1]).magnitude() < math.pi - 1e-3)


@st.composite
def trees(draw):
    """Edges (child, parent, static, [samples at 0 s and 1 s]) of a tree, two of its frames, a fraction of a second."""
    count = draw(st.integers(2, 9))
    edges = []
    for child in range(1, count):
        parent = draw(st.integers(0, child - 1))
        edges.append((f"f{child}", f"f{parent}", draw(st.booleans()), draw(pairs_of_samples)))
    frame, within = draw(st.permutations(range(count)))[:2]
    return draw(st.permutations(edges)), f"f{frame}", f"f{within}", draw(st.integers(0, S - 1))


def _between(values, fraction):
    """Position and rotation at a fraction between two samples, by NumPy and scipy."""
    (p0, r0), (p1, r1) = values
    position = np.array(p0) + fraction * (np.array(p1) - np.array(p0))
    return position, Slerp([0.0, 1.0], Rotation.concatenate([r0, r1]))(fraction)


def _expected(edges, frame, within, fraction):
    """The matrix of `within` to the root, inverted, times that of `frame` to the root: longer than along the chain."""
    parents = {child: (parent, static, values) for child, parent, static, values in edges}

    def to_root(name):
        result = np.eye(4)
        while name in parents:
            name, static, values = parents[name]
            result = matrix(*_between(values, 0.0 if static else fraction)) @ result
        return result

    return np.linalg.inv(to_root(within)) @ to_root(frame)


def _above(edges, name):
    parents = {child: parent for child, parent, _, _ in edges}
    names = set()
    while name in parents:
        names.add(name)
        name = parents[name]
    return names


@settings(max_examples=150, deadline=None)
@given(trees())
def test_random_trees_agree_with_scipy(tree):
    """The moving edges have samples at 0 s and 1 s, but for one: its second one is somewhere between."""
    edges, frame, within, at = tree
    buffer = TransformBuffer([(frame, within)])
    poses = []
    for child, parent, static, (sample, _) in edges:
        poses += buffer.add(message(transform(parent, child, 0, sample[0], sample[1].as_quat())), static=static)
    moving = [edge for edge in edges if not edge[2]]
    for place, (child, parent, _, values) in reversed(list(enumerate(moving))):
        position, rotation = _between(values, 1.0 if place else at / S)
        stamp = S if place else at
        poses += buffer.add(message(transform(parent, child, stamp, position, rotation.as_quat())))
    chain = _above(edges, frame) ^ _above(edges, within)
    on_chain = [child for child, *_ in moving if child in chain]
    last = None if not on_chain else at if on_chain[0] == moving[0][0] else S
    assert poses and poses[-1].stamp_ns == last
    for _, stamp, pose in poses:
        norm = math.hypot(pose.rotation.x, pose.rotation.y, pose.rotation.z, pose.rotation.w)
        assert norm == pytest.approx(1.0, abs=1e-12)
        expected = _expected(edges, frame, within, (stamp or 0) / S)
        assert np.abs(matrix_of_pose(pose) - expected).max() < 1e-8
    assert buffer.problem(0) is None


def test_an_interpolated_pose_is_linear_and_slerp_not_a_screw():
    """A quarter turn about z while moving 1 m along x: the middle lies on the line, half of the turn done."""
    buffer = TransformBuffer([("tool", "base")])
    half = math.sqrt(0.5)
    buffer.add(message(transform("arm", "tool", 0)))
    buffer.add(message(transform("base", "arm", 0)))
    buffer.add(message(transform("base", "arm", 100 * MS, (1, 0, 0), (0, 0, -half, -half))))  # the other sign
    ((_, stamp, pose),) = buffer.add(message(transform("arm", "tool", 50 * MS)))
    assert stamp == 50 * MS
    assert (pose.translation.x, pose.translation.y) == (pytest.approx(0.5, abs=1e-12), pytest.approx(0.0, abs=1e-12))
    assert math.atan2(pose.rotation.z, pose.rotation.w) == pytest.approx(math.pi / 8, abs=1e-12)


def test_stamps_of_a_chain_of_10_and_100_hz_are_those_of_the_slow_edge():
    """Once the slow edge lags; nothing is extrapolated, no stamp comes twice, x is the sum at that very stamp."""
    buffer = TransformBuffer([("tool", "map")])
    poses = []
    for k in range(101):
        poses += buffer.add(x_of("odom", "tool", k * 10 * MS, k * 0.01))
        if k % 10 == 7:  # sent 35 ms late, between two samples of the fast edge
            t = (k - 7) * 10 + 35
            poses += buffer.add(x_of("map", "odom", t * MS, float(t)))
    assert [stamp for _, stamp, _ in poses] == [(100 * i + 35) * MS for i in range(10)]
    for _, stamp, pose in poses:
        assert pose.translation.x == pytest.approx(stamp / MS + stamp / S, abs=1e-9)


def test_a_slow_edge_stamped_in_the_future_leaves_the_stamps_to_the_fast_one():
    """As localisation does, so that its map to odom can be used until the next one comes."""
    buffer = TransformBuffer([("tool", "map")])
    for stamp in (0, 100 * MS):
        buffer.add(x_of("map", "odom", stamp, 0.0))
    poses = [p for k in range(5) for p in buffer.add(x_of("odom", "tool", k * 20 * MS, 1.0))]
    assert [stamp for _, stamp, _ in poses] == [k * 20 * MS for k in range(5)]


def test_every_edge_in_one_message_gives_one_pose_per_pair_and_other_frames_give_none():
    buffer = TransformBuffer([("tool", "base"), ("arm", "base")])
    both = message(transform("arm", "tool", S, (1, 0, 0)), transform("base", "arm", S, (1, 0, 0)))
    assert [(pair, pose.translation.x) for pair, _, pose in buffer.add(both)] == [(0, 2.0), (1, 1.0)]
    assert buffer.add(x_of("base", "wheel", 2 * S, 1.0)) == []


def test_static_edges_hold_at_every_stamp_whatever_their_own():
    buffer = TransformBuffer([("tool", "base")])
    assert buffer.add(x_of("flange", "tool", 900 * S, 0.5), static=True) == []
    for stamp in (1, 5 * S, 5000 * S):
        ((_, given, pose),) = buffer.add(x_of("base", "flange", stamp, 1.0))
        assert given == stamp and pose.translation.x == 1.5


def test_a_static_edge_that_comes_last_completes_the_chain():
    buffer = TransformBuffer([("tool", "base")])
    assert buffer.add(x_of("base", "flange", 3 * S, 1.0)) == []
    ((_, stamp, pose),) = buffer.add(x_of("flange", "tool", 0, 0.5), static=True)
    assert stamp == 3 * S and pose.translation.x == 1.5


def test_a_chain_of_static_edges_has_no_stamp_and_is_given_when_it_changes():
    buffer = TransformBuffer([("camera", "base")])
    buffer.add(x_of("base", "mast", 0, 1.0), static=True)
    ((_, stamp, pose),) = buffer.add(x_of("mast", "camera", 0, 2.0), static=True)
    assert stamp is None and pose.translation.x == 3.0
    assert buffer.add(x_of("mast", "camera", 5 * S, 2.0), static=True) == []  # latched once more, by another node
    ((_, stamp, pose),) = buffer.add(x_of("mast", "camera", 0, 2.5), static=True)
    assert stamp is None and pose.translation.x == 3.5


def test_repeated_stamps_give_nothing_and_late_samples_are_sorted_in():
    buffer = TransformBuffer([("tool", "base")])
    stamps = []
    for stamp, x in ((0, 0.0), (30, 3.0), (30, 99.0), (20, 5.0), (40, 4.0)):
        stamps += [p.stamp_ns // MS for p in buffer.add(x_of("arm", "tool", stamp * MS, x))]
        stamps += [p.stamp_ns // MS for p in buffer.add(x_of("base", "arm", stamp * MS, 0.0))]
    assert stamps == [0, 30, 40]
    buffer = TransformBuffer([("tool", "base")])
    for stamp, x in ((0, 0.0), (30, 3.0), (30, 99.0), (20, 5.0), (20, 99.0)):
        buffer.add(x_of("arm", "tool", stamp * MS, x))
    ((_, stamp, pose),) = buffer.add(x_of("base", "arm", 25 * MS, 0.0))
    assert stamp == 25 * MS and pose.translation.x == pytest.approx(4.0)  # between 5 at 20 ms and 3 at 30 ms


def test_a_history_holds_each_stamp_once_within_its_time():
    history = History(keep_ns=100)
    for stamp in (1000, 1050, 1020, 1020, 1060, 900):
        history.add(stamp, np.full(7, stamp))
    assert history._stamps == [1000, 1020, 1050, 1060]
    assert [value[0] for value in history._values] == history._stamps
    before, after, fraction = history.around(1030)
    assert (before[0], after[0], fraction) == (1020, 1050, pytest.approx(1 / 3))
    assert history.around(999) is None and history.around(1061) is None


def test_memory_is_bounded_in_time_and_number():
    buffer = TransformBuffer([("tool", "base")], keep_s=2.0)
    for k in range(1000):
        buffer.add(message(transform("arm", "tool", k * 10 * MS), transform("base", "wheel", k * 10 * MS)))
    edges = buffer._tree.edges
    history = edges["tool"].history
    assert len(history) == 201 and history.newest - history.oldest == 2 * S
    assert len(edges["wheel"].history) == FEW_SAMPLES  # above no watched frame
    buffer.add(x_of("base", "arm", 0, 0.0), static=True)
    buffer.add(x_of("base", "wheel", 10 * S, 0.0))
    assert edges["wheel"].history.newest == 9990 * MS  # with every chain whole: its name alone
    for k in range(MOST_SAMPLES + 500):
        buffer.add(x_of("arm", "tool", 20 * S + k, 0.0))
    assert len(history) == MOST_SAMPLES
    for late in range(1, MOST_SAMPLES):  # late ones, a newer one between
        buffer.add(x_of("arm", "tool", 30 * S - 2 * late, 0.0))
        buffer.add(x_of("arm", "tool", 30 * S + late, 0.0))
    assert len(history) == MOST_SAMPLES and history._stamps == sorted(set(history._stamps))


def test_frames_named_anew_for_each_object_push_out_each_other_and_nothing_that_is_needed(monkeypatch):
    monkeypatch.setattr("lwd_ros.transforms.tree.MOST_FRAMES", 20)
    buffer = TransformBuffer([("tool", "base")])
    buffer.add(x_of("base", "lamp", 0, 1.0), static=True)  # static ones come once
    buffer.add(x_of("flange", "tool", 0, 1.0), static=True)
    for k in range(1, 500):
        assert len(buffer.add(message(transform("base", "flange", k), transform("base", f"person_{k}", k)))) == 1
    assert len(buffer._tree.edges) == 20 and "lamp" in buffer._tree.edges and buffer.notices() == []


def _filled(types, shape):
    """A TFMessage of two transforms by the given classes."""
    stamps = [types("builtin_interfaces/msg/Time")(sec=12, nanosec=345_678_901) for _ in range(2)]
    result = []
    for stamp, (parent, child, position, rotation) in zip(stamps, shape, strict=True):
        header = types("std_msgs/msg/Header")(stamp=stamp, frame_id=parent)
        body = types("geometry_msgs/msg/Transform")(
            translation=types("geometry_msgs/msg/Vector3")(**dict(zip("xyz", position, strict=True))),
            rotation=types("geometry_msgs/msg/Quaternion")(**dict(zip("xyzw", rotation, strict=True))),
        )
        result.append(types("geometry_msgs/msg/TransformStamped")(header=header, child_frame_id=child, transform=body))
    return result


def test_live_and_recorded_classes_give_the_same():
    """rclpy's classes, rosbags' of ROS 1 and 2 (through their bytes), and stand-ins; tf2_msgs itself has no wheel."""
    from importlib import import_module

    pytest.importorskip("geometry_msgs.msg")
    shape = [
        ("base", "arm", (1.0, 2.0, 3.0), (0.5, 0.5, -0.5, 0.5)),
        ("arm", "tool", (0.1, 0.0, 0.7), (0.6, 0.0, 0.8, 0.0)),
    ]

    def live(name):
        package, _, kind = name.split("/")
        return getattr(import_module(f"{package}.msg"), kind)

    try:
        container = live("tf2_msgs/msg/TFMessage")
    except ImportError:
        container = SimpleNamespace
    messages = [
        container(transforms=_filled(live, shape)),
        message(*(transform(p, c, 12_345_678_901, x, q) for p, c, x, q in shape)),
    ]
    for store in (get_typestore(Stores.ROS2_JAZZY), get_typestore(Stores.ROS2_HUMBLE)):
        name = "tf2_msgs/msg/TFMessage"
        recorded = store.types[name](transforms=_filled(store.types.__getitem__, shape))
        messages.append(store.deserialize_cdr(store.serialize_cdr(recorded, name), name))
    found = [TransformBuffer([("tool", "base")]).add(each) for each in messages]
    assert len(found[0]) == 1 and found[0][0].stamp_ns == 12_345_678_901
    assert all(each == found[0] for each in found)


def test_a_pose_is_read_by_the_paths_of_geometry_msgs():
    from operator import attrgetter

    buffer = TransformBuffer([("tool", "base")])
    ((_, _, pose),) = buffer.add(x_of("base", "tool", S, 1.5))
    paths = ("translation.x", "translation.y", "translation.z", "rotation.x", "rotation.y", "rotation.z", "rotation.w")
    assert [attrgetter(path)(pose) for path in paths] == [1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert all(type(attrgetter(path)(pose)) is float for path in paths)


def test_without_pytransform3d_one_sentence_says_how_to_get_it():
    code = """
import sys
sys.modules["pytransform3d"] = None
from lwd_ros.contract import ContractError
from lwd_ros.transforms import TransformBuffer
try:
    TransformBuffer([("tool", "base")])
except ContractError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("a stream of type tf needs the package pytransform3d: pip install 'lwd_ros[tf]'")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("pair", "keep_s", "text"),
    [
        (("a", "/a"), 1.0, "frame 'a' in 'a'"),
        (("", "a"), 1.0, "frame '' in 'a'"),
        (("a", "b"), 0.0, "keep_s: found 0.0"),
        (("a", "b"), math.nan, "keep_s: found nan"),
    ],
)
def test_pairs_and_bounds_that_make_no_sense_are_refused(pair, keep_s, text):
    with pytest.raises(ContractError, match=text):
        TransformBuffer([pair], keep_s)

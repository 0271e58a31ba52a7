"""The buffer of transforms: messages in, poses of the watched pairs out, faults in words."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lwd_ros.contract import ContractError
from lwd_ros.transforms.history import FEW_SAMPLES, MOST_SAMPLES
from lwd_ros.transforms.pose import Pose, read_transform
from lwd_ros.transforms.tree import Chain, Edge, Tree

_MOST_NOTICES = 1000  # sentences in the life of a buffer, for names can be without end
_MISSING = (
    "a stream of type tf needs the package pytransform3d: pip install 'lwd_ros[tf]'; with a ROS 2 from apt: "
    "sudo apt install python3-scipy python3-matplotlib python3-lxml, then "
    "pip install --break-system-packages pytransform3d"
)


class PoseOfPair(NamedTuple):
    """A pose of pair number `pair`, at `stamp_ns` of the transforms' clock; None where every edge is static."""

    pair: int
    stamp_ns: int | None
    pose: Pose


def _name(frame_id: str) -> str:
    """A frame's name without the slashes that drivers of tf's first version put in front of it."""
    return frame_id.lstrip("/")


class TransformBuffer:
    """Gives the pose of `frame` expressed in `within` for pairs of frames, each time that a newer one is known.

    This is tf2's lookup_transform(target=within, source=frame), at the newest stamp that the whole chain has: the
    oldest of its moving edges' newest stamps. There the other moving edges are interpolated, translations linearly and
    rotations by slerp; nothing is ever extrapolated. Static edges have no stamp and hold at every one. A chain of
    static edges alone gives its pose with the stamp None: once when it is whole, and again when one of them changes.

    After a clock that jumps back, stamps start anew below the last one given: the caller compares them no further.

    Histories are kept for the edges above the watched frames, `keep_s` long and `history.MOST_SAMPLES` at most; of all
    other moving frames `history.FEW_SAMPLES` until every chain is known, then the parent's name alone;
    `tree.MOST_FRAMES` frames at most. Not for several threads at once.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], keep_s: float = 10.0):
        """Watch `pairs` of (frame, within).

        Raises:
            ContractError: a pair is of one frame or of an empty name, `keep_s` is no positive number, or pytransform3d
                is not installed; each says so in one sentence.
        """
        self._chain_module = _chain_module()
        if not (math.isfinite(keep_s) and keep_s > 0.0):
            raise ContractError(f"keep_s: found {keep_s!r}, expected a number of seconds above 0")
        self._pairs = [(_name(frame), _name(within)) for frame, within in pairs]
        for frame, within in self._pairs:
            if not frame or not within or frame == within:
                raise ContractError(f"found frame '{frame}' in '{within}', expected the names of two frames")
        self._keep_ns = round(keep_s * 1e9)
        self._tree = Tree()
        self._chains: list[Chain | None] = [None] * len(self._pairs)
        self._given: list[int | None] = [None] * len(self._pairs)  # newest stamp for which a pose was given
        self._gathered: set[str] = {name for pair in self._pairs for name in pair}
        self._static_seen = False
        self._said: set[tuple[str, str]] = set()
        self._notices: list[str] = []

    def add(self, message, static: bool = False) -> list[PoseOfPair]:
        """Take one tf2_msgs/msg/TFMessage; the poses that it made known, none where no stamp advanced.

        Args:
            message: `transforms`, a list of geometry_msgs/msg/TransformStamped or what has its fields.
            static: whether it came on /tf_static.
        """
        transforms = [(_name(t.child_frame_id), _name(t.header.frame_id), t) for t in message.transforms]
        self._static_seen |= static
        restructured = False
        for child, parent, _ in transforms:
            restructured |= self._place(child, parent, static)
        if restructured:
            self._find_chains()
        changed = set()
        for child, parent, transform in transforms:
            edge = self._tree.edges.get(child)
            if edge is None or edge.parent != parent:
                continue
            if not static and child not in self._gathered:
                if None not in self._chains:
                    continue  # nobody needs it
                edge.history.most = FEW_SAMPLES
            elif not static:
                edge.history.most = MOST_SAMPLES
            if self._take(edge, transform):
                changed.add(edge)
        found = (self._look_up(pair, changed) for pair in range(len(self._pairs)))
        return [pose for pose in found if pose is not None]

    def problem(self, pair: int) -> str | None:
        """Why pair number `pair` has no newer pose, in one sentence; None where nothing is wrong with its transforms.

        A chain whose transforms have stopped has no problem here: its poses grow old (see `slowest`).
        """
        frame, within = self._pairs[pair]
        chain = self._chains[pair]
        if chain is None:
            return self._tree.why_no_chain(frame, within, self._static_seen)
        for edge in chain.edges:
            if edge.fault is not None:
                return f"the transform of {edge} is dropped: {edge.fault}"
            if edge.empty:
                return f"no transform of {edge} has arrived"
        moving = [edge for edge in chain.edges if not edge.static]
        if moving:
            first = min(moving, key=lambda edge: edge.newest)
            last = max(moving, key=lambda edge: edge.oldest)
            if first.newest < last.oldest:
                return (
                    f"transforms of '{frame}' in '{within}' have no stamp in common: those of {first} end at "
                    f"{first.newest / 1e9:.3f} s, those of {last} begin at {last.oldest / 1e9:.3f} s"
                )
        return None

    def slowest(self, pair: int) -> str | None:
        """The moving edge whose newest transform is the oldest on the chain, e.g. "frame 'elbow' in 'arm'", or None."""
        chain = self._chains[pair]
        moving = [edge for edge in chain.edges if not edge.static and not edge.empty] if chain else []
        return str(min(moving, key=lambda edge: edge.newest)) if moving else None

    def notices(self) -> list[str]:
        """Sentences for the log since the last call: what was dropped or has changed, each kind once for each frame."""
        notices, self._notices = self._notices, []
        return notices

    def _say(self, kind: str, child: str, sentence: str) -> None:
        if (kind, child) not in self._said and len(self._said) < _MOST_NOTICES:
            self._said.add((kind, child))
            self._notices.append(sentence)

    def _place(self, child: str, parent: str, static: bool) -> bool:
        """Note a frame's parent; whether the tree has changed."""
        if not child or not parent or child == parent:
            self._say("name", child, f"a transform of frame '{child}' in '{parent}' is dropped: expected two frames")
            return False
        edge = self._tree.edges.get(child)
        if edge is not None and edge.parent == parent and edge.static == static:
            return False
        if edge is None and not self._tree.make_room(self._gathered):
            self._say("room", "", f"too many frames: '{child}' and others are not taken")
            return False
        if edge is not None and edge.parent != parent:
            self._say(
                "parent", child, f"frame '{child}' has two parents, '{edge.parent}' and '{parent}': the newest counts"
            )
        elif edge is not None:
            kinds = ("/tf", "/tf_static") if static else ("/tf_static", "/tf")
            self._say("kind", child, f"{edge} came on {kinds[0]} and now comes on {kinds[1]}: the newest counts")
        self._tree.edges[child] = Edge(child, parent, static, self._keep_ns)
        return True

    def _find_chains(self) -> None:
        """Follow a change of the tree."""
        self._gathered = {name for pair in self._pairs for name in pair}
        for i, (frame, within) in enumerate(self._pairs):
            self._gathered |= {edge.child for name in (frame, within) for edge in self._tree.ancestry(name)}
            self._chains[i] = self._tree.chain(frame, within)

    def _take(self, edge: Edge, transform) -> bool:
        """Take one transform of an edge; whether it is a usable one."""
        try:
            value = read_transform(transform.transform)
        except ContractError as error:
            edge.fault = str(error)
            self._say("dropped", edge.child, f"a transform of {edge} is dropped: {error}")
            return False
        edge.fault = None
        if edge.static:
            same = edge.value is not None and np.array_equal(edge.value, value)
            edge.value, edge.matrix = value, self._chain_module.matrix_of(value)
            return not same
        stamp = transform.header.stamp
        back = edge.history.add(stamp.sec * 1_000_000_000 + stamp.nanosec, value)
        if back:
            self._say("clock", edge.child, f"the clock of {edge} went back by {back / 1e9:.3f} s: it is gathered anew")
            self._restart(edge)
        return True

    def _restart(self, edge: Edge) -> None:
        """Forget what chains connect to an edge whose clock was set back: poses would mix two times."""
        connected, count = {edge}, 0
        while len(connected) > count:
            count = len(connected)
            for i, chain in enumerate(self._chains):
                if chain is not None and not connected.isdisjoint(chain.edges):
                    self._given[i] = None
                    connected.update(other for other in chain.edges if not other.static)
        for each in connected:
            each.matrix_at = None
            if each is not edge:
                each.history.restart()

    def _look_up(self, pair: int, changed: set[Edge]) -> PoseOfPair | None:
        """The pose of a pair, where its stamp has advanced or, without a stamp, an edge has changed."""
        chain = self._chains[pair]
        if chain is None or changed.isdisjoint(chain.edges):
            return None
        if any(edge.empty for edge in chain.edges):
            return None
        stamp = min((edge.newest for edge in chain.edges if not edge.static), default=None)
        given = self._given[pair]
        if stamp is not None and given is not None and stamp <= given:
            return None
        up, down = ([self._matrix(edge, stamp) for edge in part] for part in chain)
        if any(matrix is None for matrix in (*up, *down)):
            return None
        self._given[pair] = stamp
        return PoseOfPair(pair, stamp, self._chain_module.pose_of_chain(up, down))

    def _matrix(self, edge: Edge, stamp: int | None) -> np.ndarray | None:
        """An edge's matrix float64 [4, 4] at `stamp`, None where its history does not reach so far."""
        if edge.static or edge.matrix_at == stamp:
            return edge.matrix
        samples = None if stamp is None else edge.history.around(stamp)
        if samples is None:
            return None
        edge.matrix, edge.matrix_at = self._chain_module.matrix_of(self._chain_module.interpolate(*samples)), stamp
        return edge.matrix


def _chain_module():
    """`lwd_ros.transforms.chain`, imported when a buffer is made: contracts without tf need no pytransform3d."""
    try:
        from lwd_ros.transforms import chain
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "lwd_ros":
            raise
        raise ContractError(f"{_MISSING} ({error})") from error
    return chain

"""Which frame is whose child: the tree of frames, the chain between two of them, and why there is none."""

from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

from lwd_ros.transforms.history import History

MOST_FRAMES = 5000
"""Frames that are remembered at most: some nodes name a new frame for each object that they see."""


class Edge:
    """The transform of a frame in its parent: a static one (one value) or a moving one (its history)."""

    def __init__(self, child: str, parent: str, static: bool, keep_ns: int):
        self.child, self.parent, self.static = child, parent, static
        self.history = History(keep_ns)  # stays empty where the edge is static
        self.value: np.ndarray | None = None  # static: float64 [7]
        self.matrix: np.ndarray | None = (
            None  # static: float64 [4, 4]; moving: the last one asked for, at the stamp `matrix_at`
        )
        self.matrix_at: int | None = None
        self.fault: str | None = None  # why the newest transform was dropped

    def __str__(self) -> str:
        return f"frame '{self.child}' in '{self.parent}'"

    @property
    def empty(self) -> bool:
        """Whether no usable transform has arrived."""
        return self.value is None if self.static else not len(self.history)

    @property
    def newest(self) -> int:
        """The newest stamp, ns, of a moving edge that is not empty."""
        stamp = self.history.newest
        assert stamp is not None
        return stamp

    @property
    def oldest(self) -> int:
        """The oldest stamp, ns, of a moving edge that is not empty."""
        stamp = self.history.oldest
        assert stamp is not None
        return stamp


class Chain(NamedTuple):
    """The edges from a frame (`up`) and from the frame that it is expressed in (`down`) to their common ancestor."""

    up: tuple[Edge, ...]
    down: tuple[Edge, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        return self.up + self.down


class Tree:
    """Frames and their parents, as messages name them: the newest parent counts."""

    def __init__(self):
        self.edges: dict[str, Edge] = {}  # by the child's name

    def ancestry(self, frame: str) -> list[Edge]:
        """The edges from `frame` up to its root; where frames are a loop, each edge of it once."""
        result, seen = [], set()
        while frame in self.edges and frame not in seen:
            seen.add(frame)
            result.append(self.edges[frame])
            frame = result[-1].parent
        return result

    def chain(self, frame: str, within: str) -> Chain | None:
        """The chain between two different frames, None where there is none."""
        up, down = self.ancestry(frame), self.ancestry(within)
        below = {edge.parent: i + 1 for i, edge in reversed(list(enumerate(up)))} | {frame: 0}
        for i, ancestor in enumerate([within, *(edge.parent for edge in down)]):
            if ancestor in below:
                return Chain(tuple(up[: below[ancestor]]), tuple(down[:i]))
        return None

    def make_room(self, needed: set[str]) -> bool:
        """Forget a moving frame outside `needed` where there are too many; False where there is none to forget."""
        if len(self.edges) < MOST_FRAMES:
            return True
        others = (child for child, edge in self.edges.items() if not edge.static and child not in needed)
        oldest = next(others, None)
        if oldest is not None:
            del self.edges[oldest]
        return oldest is not None

    def why_no_chain(self, frame: str, within: str, static_seen: bool) -> str:
        """Why there is no chain between two frames, in one sentence."""
        hint = "" if static_seen else "; is /tf_static missing?"
        if not self.edges:
            return f"no transform has arrived, so '{frame}' in '{within}' is unknown"
        known = set(self.edges) | {edge.parent for edge in self.edges.values()}
        unknown = next((name for name in (frame, within) if name not in known), None)
        if unknown is not None:
            closest = get_close_matches(unknown, sorted(known), n=1)
            guess = f"; did you mean '{closest[0]}'?" if closest else ""
            return f"no transform names the frame '{unknown}'{guess or hint}"
        for name in (frame, within):
            edges = self.ancestry(name)
            if edges and edges[-1].parent in {name, *(edge.child for edge in edges)}:
                names = " -> ".join([name, *(edge.parent for edge in edges)])
                return f"frames are a loop, each the next one's child: {names}"
        roots = [[name, *(edge.parent for edge in self.ancestry(name))][-1] for name in (frame, within)]
        which = " and ".join(f"'{root}'" for root in roots)
        places = [
            f"'{name}' " + ("has no parent" if root == name else f"is below '{root}', which has no parent")
            for name, root in zip((frame, within), roots, strict=True)
        ]
        return f"'{frame}' and '{within}' are in two trees, of {which}: {places[0]}; {places[1]}{hint}"

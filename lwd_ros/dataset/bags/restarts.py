"""Where the times of one file begin anew: a simulator restarted while it was recorded, or a clock was set back."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

REORDERED_NS = 500_000_000
"""What waits in queues and in the threads that write is stored later than newer messages of its topic by less."""

_LEAST = 3  # messages that tell a restart from late ones
_NEAR = 1000  # messages on either side of a restart among which stragglers are looked for
_MOST_RUNS = 1000  # a topic that goes back more often is in no order


class Order(NamedTuple):
    """The messages of a file in the order in which they are stored.

    `log_ns` is int64 [N]; `channels` int64 [N], places in the file's `channels`; `places` int64 [N, 2] says where each
    stands, in growing order: a chunk and an offset in it, or a row's number.
    """

    log_ns: np.ndarray
    channels: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Stretch:
    """Messages of a file between two restarts: from place `first` up to `end`; None: from the first, to the last.

    `without` are stragglers of another stretch in it, `also` its own outside. `counts` are messages by channel,
    `back_ns` by how much times went back before it, `after_ns` from when.
    """

    first: tuple[int, int] | None
    end: tuple[int, int] | None
    without: frozenset[tuple[int, int]]
    also: frozenset[tuple[int, int]]
    counts: dict[int, int]
    start_ns: int
    end_ns: int
    back_ns: int = 0
    after_ns: int = 0

    def __contains__(self, place: object) -> bool:
        if place in self.also:
            return True
        inside = (self.first is None or place >= self.first) and (self.end is None or place < self.end)  # type: ignore[operator]
        return inside and place not in self.without


def goes_back(log_ns: np.ndarray) -> bool:
    """Whether any message is older than one before it by more than queues explain."""
    return bool(len(log_ns)) and bool((np.maximum.accumulate(log_ns) - log_ns).max() > REORDERED_NS)


def stretches(order: Order, latched: Set[int]) -> list[Stretch]:
    """A file in parts, each with its own axis of time; empty where it has one.

    Times begin anew where most topics do: a file may have one topic after another, and what some thread wrote late
    fills a hole that its topic had. Channels in `latched` say nothing, for they repeat what was said before.
    """
    if not goes_back(order.log_ns):
        return []
    cuts = _cuts(order, latched)
    if not cuts:
        return []
    owner = np.zeros(len(order.log_ns), dtype=np.int64)  # of each message: its stretch
    owner[cuts] = 1
    owner = np.cumsum(owner)
    plain, backs = owner.copy(), []
    for number, cut in enumerate(cuts):
        before, after = slice(max(cut - _NEAR, 0), cut), slice(cut, cut + _NEAR)
        top = int(order.log_ns[before][plain[before] == number].max())
        early = (order.log_ns[before] < top - REORDERED_NS) & (plain[before] == number)
        ends = np.flatnonzero((order.log_ns[before] >= top - REORDERED_NS) & (plain[before] == number))
        early[: int(ends[0])] = False  # the old axis on its way there
        lowest = int(order.log_ns[cut])
        owner[before][early & (np.abs(order.log_ns[before] - lowest) <= REORDERED_NS)] = number + 1
        late = (order.log_ns[after] >= top - REORDERED_NS) & (plain[after] == number + 1)
        come = np.flatnonzero((order.log_ns[after] >= top - 2 * REORDERED_NS) & ~late)  # the new axis is there itself
        late[int(come[0]) if len(come) else len(late) :] = False
        owner[after][late] = number
        backs.append((top - int(order.log_ns[owner == number + 1].min()), top))
    bounds = [None, *(_place(order, cut) for cut in cuts), None]
    result = []
    for number in range(len(cuts) + 1):
        inside, ours = plain == number, owner == number
        channels, counts = np.unique(order.channels[ours], return_counts=True)
        times = order.log_ns[ours]
        result.append(
            Stretch(
                bounds[number],
                bounds[number + 1],
                frozenset(_place(order, place) for place in np.flatnonzero(inside & ~ours).tolist()),
                frozenset(_place(order, place) for place in np.flatnonzero(ours & ~inside).tolist()),
                dict(zip(channels.tolist(), counts.tolist(), strict=True)),
                int(times.min()),
                int(times.max()),
                *(backs[number - 1] if number else ()),
            )
        )
    return result


def _place(order: Order, number: int) -> tuple[int, int]:
    first, second = order.places[number].tolist()
    return first, second


def _cuts(order: Order, latched: Set[int]) -> list[int]:
    """The first message after each restart: where the first of the topics goes back that agree on it."""
    members = {number: np.flatnonzero(order.channels == number) for number in np.unique(order.channels).tolist()}
    votes = [
        (int(places[index]), number)
        for number, places in members.items()
        if number not in latched
        for index in _restarts(order.log_ns[places])
    ]
    groups: list[dict[int, int]] = []  # of each restart: where each channel goes back
    for place, number in sorted(votes):
        if not groups or number in groups[-1]:
            groups.append({})
        groups[-1][number] = place
    result: list[int] = []
    for group in groups:
        cut, last = min(group.values()), max(group.values())
        begin = result[-1] if result else 0
        others = [
            number
            for number, places in members.items()
            if number not in latched | group.keys()
            and np.count_nonzero((places >= begin) & (places < cut)) >= _LEAST
            and np.count_nonzero(places > last) >= _LEAST
        ]
        if len(others) <= len(group):
            result.append(cut)
    return result


def _restarts(log_ns: np.ndarray) -> Iterator[int]:
    """Where the times of one channel begin anew."""
    begin = 0
    while (place := _first_restart(log_ns[begin:])) is not None:
        begin += place
        yield begin


def _first_restart(log_ns: np.ndarray) -> int | None:
    """Where times go back and repeat what was recorded already, or go back for good and leave a gap."""
    tops = np.maximum.accumulate(log_ns)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], log_ns < tops, [False])).astype(np.int8))).reshape(-1, 2)
    edges = edges[edges[:, 1] - edges[:, 0] >= _LEAST]
    if len(edges) > _MOST_RUNS:
        return None
    for first, end in edges:
        run = log_ns[first:end]
        far = np.flatnonzero((tops[first] - run > REORDERED_NS) & (run > 0))  # 0: no simulation time was heard yet
        if len(far) < _LEAST:
            continue
        before, after = log_ns[: first + far[0]], run[far]
        low, high, begin = after.min(), after.max(), before[before > 0].min()
        repeated = np.count_nonzero((before >= low) & (before <= high))
        repeating = np.count_nonzero(after >= begin)
        apart = end == len(log_ns) and begin - high > REORDERED_NS
        if (repeated >= _LEAST and repeating >= _LEAST) or apart:
            return int(first + far[0])
    return None

"""Which files of a recording have a time of their own: an episode each of a recorder, whose simulator may restart."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from lwd_ros.dataset.bags.records import BagError, Channel, Storage
from lwd_ros.dataset.bags.restarts import REORDERED_NS

MARKER = "lwd_msgs/msg/EpisodeMarker"
START = 0

_EVENT_AT = 12  # of a marker in CDR: after its head of 4 bytes and its stamp of 8
_SLACK_NS = 500_000_000  # between a file's first or last message and its mark: what waited in queues
_OVERLAP_NS = 1_000_000_000  # files of one split recording overlap by less: queues are emptied into the next file
_S = 1e-9


@dataclass(frozen=True)
class Mark:
    """One marker of a file: when it was recorded and what it says (EpisodeMarker.event)."""

    log_ns: int
    event: int

    @classmethod
    def of(cls, log_ns: int, raw: bytes) -> "Mark | None":
        """From a serialised marker; None where it is cut off."""
        return cls(log_ns, raw[_EVENT_AT]) if len(raw) > _EVENT_AT else None


def own_axis(storage: Storage, marks: Sequence[Mark]) -> bool:
    """Whether a file is one episode of a recorder: it begins with START and ends with that episode, or is torn."""
    if not marks or marks[0].event != START or storage.start_ns is None or storage.end_ns is None:
        return False
    if sum(mark.event == START for mark in marks) > 1 or marks[0].log_ns - storage.start_ns > _SLACK_NS:
        return False
    return len(marks) == 1 or storage.end_ns - marks[-1].log_ns <= _SLACK_NS


def overlap(storages: Sequence[Storage]) -> bool:
    """Whether any of these files, in the order of their beginnings, share a time."""
    return any(
        a.end_ns is not None and b.start_ns is not None and b.start_ns <= a.end_ns for a, b in pairwise(storages)
    )


def axes_of(pieces: Sequence[Sequence[Storage]]) -> list[list[Storage]]:
    """Files by axes of time, without empty ones.

    Args:
        pieces: of each file, in the order in which they were written, its parts between restarts. What follows a file
            goes on from its last part. Where no file has two parts they are one, in the order of their beginnings.
    """
    timed = [[each for each in members if each.start_ns is not None] for members in pieces]
    if all(len(members) < 2 for members in timed):
        whole = sorted((each for members in timed for each in members), key=lambda each: each.start_ns or 0)
        return [whole] if whole else []
    result: list[list[Storage]] = []
    for members in timed:
        for number, each in enumerate(members):
            assert each.start_ns is not None
            newest = max((known.end_ns or 0 for known in result[-1]), default=0) if result else None
            if number or newest is None or each.start_ns < newest - REORDERED_NS:
                result.append([])
            result[-1].append(each)
    return result


def require_apart(storages: Sequence[Storage], wanted: Set[str], is_latched: Callable[[Channel], bool]) -> None:
    """Refuse files that share topics and a time: two recordings, or one twice, would be mixed; BagError.

    Args:
        storages: in the order of their beginnings.
        wanted: the topics that are read.
        is_latched: says which channels each file may repeat.
    """
    timed = [each for each in storages if each.start_ns is not None and each.end_ns is not None]
    topics = [{channel.topic for channel in each.channels if channel.count != 0 and not is_latched(channel)} & wanted
              for each in timed]  # fmt: skip
    for place, first in enumerate(timed):
        for second, theirs in zip(timed[place + 1 :], topics[place + 1 :], strict=True):
            assert first.end_ns is not None and second.start_ns is not None and second.end_ns is not None
            shared = sorted(topics[place] & theirs)
            seconds = (min(first.end_ns, second.end_ns) - second.start_ns) * _S
            if seconds < _OVERLAP_NS * _S:
                if second.start_ns > first.end_ns:
                    break
                continue
            if shared:
                listed = ", ".join(shared[:5]) + (" and others" if len(shared) > 5 else "")
                raise BagError(
                    f"{first.name} and {second.name}: found {listed} in both, at the same {seconds:.3g} s of the "
                    "recorder's clock, expected parts that follow one another; read each as a recording of its own"
                )

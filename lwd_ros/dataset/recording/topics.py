"""A recorded topic: its type and the quality of service that its publishers offer, in rosbag2's words."""

import functools
from dataclasses import dataclass

from lwd_ros.dataset.recording.schemas import Schema

_INFINITE_NS = 2**63 - 1


def _time(nanoseconds: int) -> str:
    """A duration as rosbag2 writes it; 0 is one that nobody set."""
    nanoseconds = nanoseconds if 0 < nanoseconds < _INFINITE_NS else _INFINITE_NS
    return f"\n    sec: {nanoseconds // 10**9}\n    nsec: {nanoseconds % 10**9}"


@dataclass(frozen=True)
class OfferedQos:
    """What one publisher offers; durations in ns, 0: infinite. `history` is unknown of publishers elsewhere."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "unknown"
    depth: int = 0
    deadline_ns: int = 0
    lifespan_ns: int = 0
    liveliness: str = "automatic"
    lease_ns: int = 0

    @property
    def text(self) -> str:
        """As rosbag2 9 writes one profile, an entry of a YAML list."""
        return (
            f"- history: {self.history}\n  depth: {self.depth}\n  reliability: {self.reliability}\n"
            f"  durability: {self.durability}\n  deadline:{_time(self.deadline_ns)}\n"
            f"  lifespan:{_time(self.lifespan_ns)}\n  liveliness: {self.liveliness}\n"
            f"  liveliness_lease_duration:{_time(self.lease_ns)}\n  avoid_ros_namespace_conventions: false"
        )


@dataclass(frozen=True)
class RecordedTopic:
    """A topic of a recording: its name in the ROS graph, its type, `qos` as a YAML list ("[]": nobody offers any)."""

    name: str
    type: str
    type_hash: str
    qos: str

    @classmethod
    def of(cls, name: str, schema: Schema, offered: list[OfferedQos]) -> "RecordedTopic":
        """A topic with what its publishers offer now."""
        return cls(name, schema.name, schema.type_hash, "\n".join(each.text for each in offered) or "[]")

    @functools.cached_property
    def channel_metadata(self) -> dict[str, str]:
        """What rosbag2 says of a channel."""
        return {"offered_qos_profiles": self.qos, "topic_type_hash": self.type_hash}

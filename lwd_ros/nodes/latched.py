"""What latched topics said last, as one who subscribes later would hear it."""

import functools
from collections.abc import Callable

from rclpy.serialization import deserialize_message

from lwd_ros.nodes.conversions import message_class

_TRANSFORMS = "tf2_msgs/msg/TFMessage"
_KEPT = 100  # of a topic that several publish; each latches its own


class LatchedMessages:
    """Of each topic the last message of every publisher; of transforms the last of every pair of frames.

    The middleware does not tell rclpy who published a message. So of a topic that one publishes the newest message is
    kept, and of one that several publish the newest hundred.
    """

    def __init__(self, count_publishers: Callable[[str], int]):
        """`count_publishers` says how many publish on a topic now, by its name in the ROS graph."""
        self._count_publishers = count_publishers
        self._kept: dict[str, tuple[str, list[tuple[bytes, int]]]] = {}

    def take(self, topic: str, message_type: str, content: bytes, publish_ns: int) -> None:
        """Keep one message, in CDR; it comes again where a subscription is made anew."""
        kept = self._kept.setdefault(topic, (message_type, []))[1]
        if (content, publish_ns) in kept:
            return
        kept.append((content, publish_ns))
        if message_type == _TRANSFORMS:
            _leave_newest_pairs(kept)
        else:
            del kept[: -(_KEPT if self._count_publishers(topic) > 1 else 1)]

    def of(self, topics: set[str]) -> list[tuple[str, str, list[tuple[bytes, int]]]]:
        """(topic, type, [(CDR, when it was published, ns)] in the order of arrival) of those topics."""
        return [(topic, kind, list(kept)) for topic, (kind, kept) in self._kept.items() if topic in topics]


def _leave_newest_pairs(kept: list[tuple[bytes, int]]) -> None:
    said: set[tuple[str, str]] = set()
    result = []
    for content, publish_ns in reversed(kept):
        pairs = _pairs_of(content)
        if pairs - said:
            result.append((content, publish_ns))
        said |= pairs
    kept[:] = reversed(result)


@functools.lru_cache(maxsize=1000)
def _pairs_of(content: bytes) -> frozenset[tuple[str, str]]:
    """The frames that a message of transforms connects; none of one that cannot be read."""
    try:
        message = deserialize_message(content, message_class(_TRANSFORMS, "/tf_static"))
    except RuntimeError:  # RMWError is one
        return frozenset()
    return frozenset((each.header.frame_id, each.child_frame_id) for each in message.transforms)

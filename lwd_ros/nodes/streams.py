"""A contract's streams as subscriptions and publishers."""

from collections.abc import Callable

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from lwd_ros.contract import ContractError, Stream
from lwd_ros.contract.fields import reader, writer
from lwd_ros.nodes.conversions import message_class, to_nanoseconds, to_stamp

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OF_ALL_LATCHED = QoSProfile(  # what several publishers hold latched; a subscription of depth 1 would keep one of them
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def take_one(subscription) -> tuple | None:
    """What waits first in a subscription, (message, info), without its callback; None when nothing waits."""
    with subscription.handle:
        return subscription.handle.take_message(subscription.msg_type, subscription.raw)


class StreamSubscriber:
    """Subscriptions to several streams; each message arrives as (place, stamp in ns, frame_id, values, received in ns).

    "Received" is when the middleware had the message, by the system clock, 0 where it does not tell. `problems` maps a
    topic to why its messages cannot arrive or be read; `refuse` is called with the same sentence.
    """

    def __init__(
        self,
        node: Node,
        streams: tuple[Stream, ...],
        take: Callable[[int, int, str, np.ndarray, int], None],
        refuse: Callable[[str], None],
        qos: QoSProfile,
        group: CallbackGroup | None = None,
    ):
        self._node, self._streams, self._take, self._refuse, self._group = node, streams, take, refuse, group
        self.problems: dict[str, str] = {}
        self._subscriptions = [self._subscribe(i, stream, qos) for i, stream in enumerate(streams)]

    def _subscribe(self, place: int, stream: Stream, qos: QoSProfile):
        read, take = reader(stream.type, stream.fields), self._take

        def arrived(message, info) -> None:
            header = message.header
            try:
                values = read(message)
            except ContractError as error:
                self._refuse(f"{stream.topic}: {error}")
                return
            take(place, to_nanoseconds(header.stamp), header.frame_id, values, info["received_timestamp"])

        def incompatible(event) -> None:
            sentence = f"{stream.topic}: a publisher's QoS is incompatible ({event.last_policy_kind})"
            self.problems[stream.topic] = sentence
            self._refuse(sentence)

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        return self._node.create_subscription(
            message_class(stream), stream.topic, arrived, qos, callback_group=self._group, event_callbacks=events
        )

    def take_waiting(self) -> None:
        """Read one message of each stream that has one waiting, without a turn of the executor for each.

        The messages of one observation are sent together; turns between them would cost more than the tick.
        """
        for subscription in self._subscriptions:
            taken = take_one(subscription)
            if taken is not None:
                subscription.callback(*taken)

    def explain(self, missing: list[str]) -> list[str]:
        """The assembler's list of missing streams ("topic: reason"), with what the ROS graph knows about each."""
        result = []
        for entry in missing:
            topic = entry.partition(":")[0]
            stream = next(s for s in self._streams if s.topic == topic)
            found = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
            types = {info.topic_type for info in found} - {stream.type}
            if topic in self.problems:
                entry = self.problems[topic]
            elif types:
                entry += f" (published as {', '.join(sorted(types))}, expected {stream.type})"
            elif not found:
                entry += " (no publisher)"
            result.append(entry)
        return result

    def destroy(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class StreamPublisher:
    """Publishers for several streams; one call sends a whole vector under one stamp."""

    def __init__(self, node: Node, streams: tuple[Stream, ...], refuse: Callable[[str], None]):
        self._node, self._parts = node, []
        for stream in streams:

            def incompatible(event, topic=stream.topic) -> None:
                refuse(f"{topic}: a subscriber's QoS is incompatible ({event.last_policy_kind})")

            kind, events = message_class(stream), PublisherEventCallbacks(incompatible_qos=incompatible)
            publisher = node.create_publisher(kind, stream.topic, RELIABLE, event_callbacks=events)
            message = kind()  # sent again and again: publishing copies it
            message.header.frame_id = stream.frame_id
            write, places = writer(stream.type, stream.fields), list(stream.indices)
            self._parts.append((publisher, message, write, places))

    def send(self, vector: np.ndarray, stamp_ns: int) -> None:
        """Publish each stream's part of `vector`, float64 in the contract's order and units."""
        stamp, values = to_stamp(stamp_ns), vector.tolist()
        for publisher, message, write, places in self._parts:
            message.header.stamp = stamp
            write(message, [values[place] for place in places])
            publisher.publish(message)

    def wait_for_all_acknowledged(self, timeout: Duration) -> None:
        """Wait until every reliable receiver has what was sent, or the time is over."""
        for publisher, *_ in self._parts:
            publisher.wait_for_all_acked(timeout)

    def destroy(self) -> None:
        """End all publishers."""
        for publisher, *_ in self._parts:
            self._node.destroy_publisher(publisher)

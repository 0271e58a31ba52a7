"""A contract's streams as subscriptions and publishers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration, Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from lwd_ros.contract import ContractError, Stream
from lwd_ros.contract.fields import reader, writer
from lwd_ros.nodes.conversions import message_class, to_nanoseconds, to_stamp
from lwd_ros.nodes.rclpy_private import take_message

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OF_ALL_LATCHED = QoSProfile(  # what several publishers hold latched; a subscription of depth 1 would keep one of them
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def node_names(endpoints) -> str:
    """The nodes of publishers or subscribers, as the ROS graph describes them: "/cell/driver, /gui"."""
    names = [f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in endpoints]
    counts = {name: names.count(name) for name in sorted(names)}
    return ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counts.items())


def _qos_of(event) -> str:
    """What two ends of a topic disagree on, in ROS's words: durability, reliability, ..."""
    return qos_policy_name_from_kind(event.last_policy_kind).lower()


def _differ(offered: QoSProfile, requested: QoSProfile) -> list[str]:
    """What keeps a publisher and a subscription apart, in ROS's words.

    rclpy's own check takes a deadline that nobody set, 0 in a profile and infinite in the graph, for a difference.
    """
    words = []
    if requested.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.durability == DurabilityPolicy.VOLATILE:
        words.append("durability")
    if requested.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
        words.append("reliability")
    if requested.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC and offered.liveliness != requested.liveliness:
        words.append("liveliness")
    for word in ("deadline", "liveliness_lease_duration"):
        spans = [getattr(each, word).nanoseconds or Infinite.nanoseconds for each in (offered, requested)]
        if spans[0] > spans[1]:
            words.append(word)
    return words


class MissingStream(NamedTuple):
    """An observation stream that gives nothing now: its topic, as the contract has it, and why.

    `is_fault`: somebody publishes what cannot be received, so to wait does not help.
    """

    topic: str
    reason: str
    is_fault: bool


class StreamSubscriber:
    """Subscriptions to several streams; each message arrives as (place, stamp in ns, frame_id, values, received in ns).

    "Received" is when the middleware had the message, by the system clock, 0 where it does not tell. `refuse` is called
    with one sentence on a message that cannot be read, and on a publisher whose messages cannot arrive.
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
        self._qos = qos
        self._subscriptions = [self._subscribe(i, stream, qos) for i, stream in enumerate(streams)]

    def _subscribe(self, place: int, stream: Stream, qos: QoSProfile):
        read, take = reader(stream.fields), self._take

        def arrived(message, info) -> None:
            header = message.header
            try:
                values = read(message)
            except ContractError as error:
                self._refuse(f"{stream.topic}: {error}")
                return
            take(place, to_nanoseconds(header.stamp), header.frame_id, values, info["received_timestamp"])

        def incompatible(event) -> None:
            self._refuse(f"{stream.topic}: a publisher's QoS is incompatible ({_qos_of(event)})")

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        return self._node.create_subscription(
            message_class(stream), stream.topic, arrived, qos, callback_group=self._group, event_callbacks=events
        )

    def take_waiting(self) -> None:
        """Read one message of each stream that has one waiting, without a turn of the executor for each.

        The messages of one observation are sent together; turns between them would cost more than the tick.
        """
        for subscription in self._subscriptions:
            taken = take_message(subscription)
            if taken is not None:
                subscription.callback(*taken)

    def explain(self, missing: list[str]) -> list[MissingStream]:
        """The assembler's list of missing streams ("topic: reason"), with what the ROS graph knows about each."""
        result = []
        for entry in missing:
            topic = entry.partition(":")[0]
            stream = next(s for s in self._streams if s.topic == topic)
            found = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
            types = {info.topic_type for info in found} - {stream.type}
            deaf = {
                word
                for info in found
                if info.topic_type == stream.type
                for word in _differ(info.qos_profile, self._qos)
            }
            if deaf:
                entry += f" (a publisher's QoS is incompatible: {', '.join(sorted(deaf))})"
            elif types:
                entry += f" (published as {', '.join(sorted(types))}, expected {stream.type})"
            elif not found:
                entry += " (no publisher)"
            elif entry.endswith("nothing received"):
                entry += f" ({node_names(found)} publishes it and has sent nothing yet)"
            result.append(MissingStream(topic, entry, bool(types or deaf)))
        return result

    @property
    def topics(self) -> tuple[str, ...]:
        """The streams' topics, as the contract has them."""
        return tuple(stream.topic for stream in self._streams)

    def publishers(self, topic: str) -> tuple[int, str]:
        """How many publish on one of the streams' topics, and the names of their nodes."""
        found = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
        return len(found), node_names(found)

    def destroy(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class StreamPublisher:
    """Publishers for several streams; one call sends a whole vector under one stamp.

    `refuse` is called with one sentence on a subscriber that cannot receive.
    """

    def __init__(self, node: Node, streams: tuple[Stream, ...], refuse: Callable[[str], None]):
        self._node, self._streams, self._parts = node, streams, []
        for stream in streams:

            def incompatible(event, topic=stream.topic) -> None:
                refuse(f"{topic}: a subscriber's QoS is incompatible ({_qos_of(event)})")

            kind, events = message_class(stream), PublisherEventCallbacks(incompatible_qos=incompatible)
            publisher = node.create_publisher(kind, stream.topic, RELIABLE, event_callbacks=events)
            message, write = writer(kind, stream.fields)  # sent again and again: publishing copies it
            message.header.frame_id = stream.frame_id
            places = list(stream.indices)
            self._parts.append((publisher, message, write, places))

    @property
    def topics(self) -> tuple[str, ...]:
        """The streams' topics, as the contract has them."""
        return tuple(stream.topic for stream in self._streams)

    def problems(self, topic: str) -> list[str]:
        """One sentence for each kind of subscriber of a topic that cannot receive, by the ROS graph of now."""
        stream = self._streams[self.topics.index(topic)]
        found = self._node.get_subscriptions_info_by_topic(self._node.resolve_topic_name(topic))
        result, others = [], [info for info in found if info.topic_type != stream.type]
        if others:
            types = ", ".join(sorted({info.topic_type for info in others}))
            result.append(
                f"{topic}: published as {stream.type}, expected as {types} by {node_names(others)}, "
                "which receives nothing"
            )
        for info in found:
            words = [] if info in others else _differ(RELIABLE, info.qos_profile)
            if words:
                what = f"a subscriber's QoS is incompatible ({', '.join(words)})"
                result.append(f"{topic}: {what}: {node_names([info])} receives nothing")
        return result

    def send(self, vector: np.ndarray, stamp_ns: int) -> None:
        """Publish each stream's part of `vector`, float64 in the contract's order and units."""
        stamp, values = to_stamp(stamp_ns), vector.tolist()
        for publisher, message, write, places in self._parts:
            message.header.stamp = stamp
            write([values[place] for place in places])
            publisher.publish(message)

    def wait_for_all_acknowledged(self, timeout: Duration) -> None:
        """Wait until every reliable receiver has what was sent, or the time is over."""
        for publisher, *_ in self._parts:
            publisher.wait_for_all_acked(timeout)

    def destroy(self) -> None:
        """End all publishers."""
        for publisher, *_ in self._parts:
            self._node.destroy_publisher(publisher)

"""A contract's streams as subscriptions and publishers."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.serialization import deserialize_message

from lwd_ros.contract import TF, ContractError, Qos, Stream
from lwd_ros.contract.fields import Unaddressed, reader, writer
from lwd_ros.control import StreamError
from lwd_ros.nodes.conversions import message_class, to_nanoseconds, to_stamp
from lwd_ros.nodes.definitions import require_fields
from lwd_ros.nodes.graph import deaf_receivers, node_names, publishers, unreceived
from lwd_ros.nodes.rclpy_private import take_message
from lwd_ros.nodes.transforms import TransformSubscriber

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OF_ALL_LATCHED = QoSProfile(  # what several publishers hold latched; a subscription of depth 1 would keep one of them
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

Tap = Callable[[str, str, bytes, Mapping], None]
"""Takes a message as it came: topic as the contract has it, type, CDR, the middleware's info."""

_RELIABILITY = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}
_DURABILITY = {"volatile": DurabilityPolicy.VOLATILE, "transient_local": DurabilityPolicy.TRANSIENT_LOCAL}


def profile(qos: Qos, usual: QoSProfile) -> QoSProfile:
    """What a contract asks of a stream, else what is usual."""
    return QoSProfile(
        depth=qos.depth or usual.depth,
        reliability=_RELIABILITY[qos.reliability] if qos.reliability else usual.reliability,
        durability=_DURABILITY[qos.durability] if qos.durability else usual.durability,
    )


def qos_of(event) -> str:
    """What two ends of a topic disagree on, in ROS's words: durability, reliability, ..."""
    return qos_policy_name_from_kind(event.last_policy_kind).lower()


def tapped(tap: Tap, topic: str, message_type: str, kind: type, arrived: Callable) -> Callable:
    """The callback of a raw subscription: `tap` has the message as it came, `arrived` has it decoded."""

    def taken(content: bytes, info) -> None:
        tap(topic, message_type, content, info)
        try:
            message = deserialize_message(content, kind)
        except RuntimeError:  # RMWError is one; the bytes are recorded all the same
            return
        arrived(message, info)

    return taken


class MissingStream(NamedTuple):
    """An observation or permission stream that gives nothing now: what the contract calls it, and why.

    `is_fault`: somebody publishes what cannot be received, so to wait does not help.
    """

    topic: str
    reason: str
    is_fault: bool


class StreamSubscriber:
    """Subscriptions to several streams; each message arrives as (place, stamp in ns, frame_id, values, received in ns).

    The stamp is that of the header or, where the contract says so, the time of arrival by the node's clock. `frame_id`
    is None where the message has no header. "Received" is when the middleware had the message, by the system clock, 0
    where it does not tell. `refuse` is called with one sentence on a message that cannot be read, and on a publisher
    whose messages cannot arrive. `take` raises StreamError of what must not enter an observation.

    Streams may share a topic: each reads the messages that have what it names, as of an arm and a gripper that publish
    their joints apart.

    `tap`, of a recorder, is called with (topic, type, the message in CDR as it came, the middleware's info) first.
    """

    def __init__(
        self,
        node: Node,
        streams: tuple[Stream, ...],
        take: Callable[[int, int, str | None, np.ndarray, int], None],
        refuse: Callable[[str], None],
        qos: QoSProfile,
        group: CallbackGroup | None = None,
        tap: Tap | None = None,
    ):
        """Subscribe.

        Raises:
            ContractError: a message type is not installed or lacks a field.
        """
        self._node, self._streams, self._take, self._refuse, self._group = node, streams, take, refuse, group
        self._tap = tap
        self._usual = qos
        self._strangers: dict[int, str] = {}  # why nothing of a stream was in the messages so far, by place
        self._refused: dict[int, str] = {}  # why the last message of a stream was refused, by place
        self._subscriptions: list = []
        self._transforms: TransformSubscriber | None = None
        try:
            for topic in dict.fromkeys(stream.topic for stream in streams if stream.type != TF):
                self._subscribe([place for place, stream in enumerate(streams) if stream.topic == topic])
            moving = {place: stream for place, stream in enumerate(streams) if stream.type == TF}
            if moving:
                self._transforms = TransformSubscriber(node, moving, self._offer, self._refuse_of, refuse, group)
        except Exception:
            self.destroy()
            raise

    def _subscribe(self, places: list[int]) -> None:
        """One subscription for the streams at `places`, which share a topic."""
        first = self._streams[places[0]]
        kind = message_class(first.type, first.topic)
        parts = []
        for place in places:
            headed = require_fields(self._streams[place])
            by_header = headed and self._streams[place].stamp != "arrival"
            parts.append((place, reader(self._streams[place].fields), by_header))
        offer, strangers = self._offer, self._strangers
        clock = self._node.get_clock()

        def arrived(message, info) -> None:
            for place, read, by_header in parts:
                try:
                    values = read(message)
                except Unaddressed as error:
                    strangers[place] = str(error)
                    continue
                except ContractError as error:
                    self._refuse_of(place, f"{self._streams[place].label}: {error}")
                    continue
                strangers.pop(place, None)
                stamp_ns = to_nanoseconds(message.header.stamp) if by_header else clock.now().nanoseconds
                frame_id = message.header.frame_id if headed else None
                offer(place, stamp_ns, frame_id, values, info["received_timestamp"])

        def incompatible(event) -> None:
            self._refuse(f"{first.topic}: a publisher's QoS is incompatible ({qos_of(event)})")

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        self._subscriptions.append(
            self._node.create_subscription(
                kind,
                first.topic,
                arrived if self._tap is None else tapped(self._tap, first.topic, first.type, kind, arrived),
                profile(first.qos, self._usual),
                callback_group=self._group,
                event_callbacks=events,
                raw=self._tap is not None,
            )
        )

    def _offer(self, place: int, stamp_ns: int, frame_id: str | None, values: np.ndarray, received_ns: int) -> None:
        try:
            self._take(place, stamp_ns, frame_id, values, received_ns)
        except StreamError as error:
            self._refuse_of(place, str(error))
        else:
            self._refused.pop(place, None)

    def _refuse_of(self, place: int, sentence: str) -> None:
        self._refused[place] = sentence
        self._refuse(sentence)

    def take_waiting(self) -> None:
        """Read one message of each stream that has one waiting, without a turn of the executor for each.

        The messages of one observation are sent together; turns between them would cost more than the tick.
        """
        for subscription in self._subscriptions:
            taken = take_message(subscription)
            if taken is not None:
                subscription.callback(*taken)

    def explain(self, missing: list[str]) -> list[MissingStream]:
        """The assembler's list of missing streams ("label: reason"), with what the ROS graph knows about each."""
        result = []
        for entry in missing:
            label, _, reason = entry.partition(": ")
            place = next(place for place, stream in enumerate(self._streams) if stream.label == label)
            stream = self._streams[place]
            if stream.type == TF:
                assert self._transforms is not None
                entry = self._refused.get(place) or entry + self._transforms.explain(place)
                result.append(MissingStream(label, entry, place in self._refused))
                continue
            why, is_fault = unreceived(self._node, stream.topic, stream.type, profile(stream.qos, self._usual))
            if why:
                entry += why
            elif place in self._refused:
                entry, is_fault = self._refused[place], True
            elif place in self._strangers:
                prefix = f"; the joint_prefix is '{stream.joint_prefix}'" if stream.joint_prefix else ""
                entry, is_fault = f"{entry} ({self._strangers[place]}{prefix})", reason == "nothing received"
            elif reason == "nothing received":
                entry += f" ({node_names(publishers(self._node, stream.topic))} publishes it and has sent nothing yet)"
            result.append(MissingStream(label, entry, is_fault))
        return result

    @property
    def topics(self) -> tuple[str, ...]:
        """The streams' topics, as the contract has them, each once."""
        return tuple(dict.fromkeys(stream.topic for stream in self._streams if stream.type != TF))

    def publishers(self, topic: str) -> tuple[int, str]:
        """How many publish on one of the streams' topics, and the names of their nodes."""
        found = publishers(self._node, topic)
        return len(found), node_names(found)

    def destroy(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._transforms is not None:
            self._transforms.destroy()


class StreamPublisher:
    """Publishers for several streams; one call sends a whole vector.

    `refuse` is called with one sentence on a subscriber that cannot receive.
    """

    def __init__(self, node: Node, streams: tuple[Stream, ...], refuse: Callable[[str], None]):
        """Make the publishers.

        Raises:
            ContractError: a message type is not installed, lacks a field, or needs what the contract leaves out.
        """
        self._node, self._streams = node, streams
        self._parts: list[tuple] = []
        try:
            for stream in streams:
                self._advertise(stream, refuse)
        except Exception:
            self.destroy()
            raise

    def _advertise(self, stream: Stream, refuse: Callable[[str], None]) -> None:
        def incompatible(event) -> None:
            refuse(f"{stream.topic}: a subscriber's QoS is incompatible ({qos_of(event)})")

        kind = message_class(stream.type, stream.topic)
        events = PublisherEventCallbacks(incompatible_qos=incompatible)
        headed = require_fields(stream, command=True)
        try:
            message, write = writer(kind, stream.fields, stream.constants)  # sent again and again: publishing copies it
        except ContractError as error:
            raise ContractError(f"{stream.label}: {error}") from error
        if headed:
            message.header.frame_id = stream.frame_id or ""
        qos = profile(stream.qos, RELIABLE)
        publisher = self._node.create_publisher(kind, stream.topic, qos, event_callbacks=events)
        stamp_of = self._stamp_of(stream) if headed else None
        self._parts.append((publisher, message, write, list(stream.indices), stamp_of))

    def _stamp_of(self, stream: Stream) -> Callable[[Time], Time]:
        """What a stream's header is stamped with, given the stamp of the observation."""
        if stream.stamp == "now":
            return lambda stamp: self._node.get_clock().now().to_msg()
        return (lambda stamp: Time()) if stream.stamp == "zero" else (lambda stamp: stamp)

    @property
    def topics(self) -> tuple[str, ...]:
        """The streams' topics, as the contract has them."""
        return tuple(stream.topic for stream in self._streams)

    def problems(self, topic: str) -> list[str]:
        """One sentence for each kind of subscriber of a topic that cannot receive, by the ROS graph of now."""
        stream = next(stream for stream in self._streams if stream.topic == topic)
        return deaf_receivers(self._node, topic, stream.type, profile(stream.qos, RELIABLE))

    def others(self, topic: str) -> str:
        """The nodes that publish on one of the streams' topics beside this one, by the ROS graph of now; '' for none.

        Another node of this one's name is one of them.
        """
        found = publishers(self._node, topic)
        me = self._node.get_name(), self._node.get_namespace()
        mine = [info for info in found if (info.node_name, info.node_namespace) == me]
        return node_names([info for info in found if info not in mine] + mine[1:])

    def send(self, vector: np.ndarray, stamp_ns: int) -> None:
        """Publish each stream's part of `vector`, float64 in the contract's order and units.

        `stamp_ns` is that of the observation that it answers; streams that say so carry another one.
        """
        stamp, values = to_stamp(stamp_ns), vector.tolist()
        for publisher, message, write, places, stamp_of in self._parts:
            if stamp_of is not None:
                message.header.stamp = stamp_of(stamp)
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

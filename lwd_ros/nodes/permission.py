"""A contract's permission streams as subscriptions."""

import math
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from lwd_ros.contract import ContractError, PermissionStream
from lwd_ros.contract.fields import reader
from lwd_ros.nodes.conversions import message_class
from lwd_ros.nodes.definitions import require_fields
from lwd_ros.nodes.graph import node_names, publishers, unreceived
from lwd_ros.nodes.streams import BEST_EFFORT, MissingStream, Tap, profile, qos_of, tapped


class PermissionSubscriber:
    """Subscriptions to permission streams: `take(place, value, received in ns)` for each message, `gone(place)` where a
    publisher goes. "Received" is when the middleware had it, by the system clock; the value of a message that cannot be
    read is NaN.

    `refuse` is called with one sentence on a message that cannot be read, and on a publisher whose messages cannot
    arrive. `tap` is as of a StreamSubscriber.
    """

    def __init__(
        self,
        node: Node,
        streams: tuple[PermissionStream, ...],
        take: Callable[[int, float, int], None],
        gone: Callable[[int], None],
        refuse: Callable[[str], None],
        group: CallbackGroup | None,
        tap: Tap | None = None,
    ):
        """Subscribe; raises ContractError where a message type is not installed or lacks the field."""
        self._node, self._streams, self._tap = node, streams, tap
        self._subscriptions: list = []
        self._refused: dict[int, str] = {}  # why the last message was refused, by place
        try:
            for place, stream in enumerate(streams):
                self._subscribe(place, stream, take, gone, refuse, group)
        except Exception:
            self.destroy()
            raise

    def _subscribe(self, place: int, stream: PermissionStream, take, gone, refuse, group) -> None:
        kind = message_class(stream.type, stream.topic)
        require_fields(stream)
        read = reader((stream.field,))

        def arrived(message, info) -> None:
            try:
                value = float(read(message)[0])
                self._refused.pop(place, None)
            except ContractError as error:
                value = math.nan  # which permits nothing: the yes before it is no longer what the robot says
                self._refused[place] = f"{stream.topic}: {error}"
                refuse(self._refused[place])
            take(place, value, info["received_timestamp"])

        def incompatible(event) -> None:
            refuse(f"{stream.topic}: a publisher's QoS is incompatible ({qos_of(event)})")

        def matched(info) -> None:
            if info.current_count_change < 0:  # whose yes it was, of several, nobody knows
                gone(place)

        self._subscriptions.append(
            self._node.create_subscription(
                kind,
                stream.topic,
                arrived if self._tap is None else tapped(self._tap, stream.topic, stream.type, kind, arrived),
                profile(stream.qos, BEST_EFFORT),
                callback_group=group,
                event_callbacks=SubscriptionEventCallbacks(matched=matched, incompatible_qos=incompatible),
                raw=self._tap is not None,
            )
        )

    def explain(self, silent: list[int]) -> list[MissingStream]:
        """What the ROS graph knows about the streams at these places, which say nothing."""
        result = []
        for place in silent:
            stream = self._streams[place]
            why, is_fault = unreceived(self._node, stream.topic, stream.type, profile(stream.qos, BEST_EFFORT))
            reason = f"{stream.topic}: no permission received{why}"
            if place in self._refused:
                reason, is_fault = self._refused[place], True
            result.append(MissingStream(stream.topic, reason, is_fault))
        return result

    @property
    def topics(self) -> tuple[str, ...]:
        """The streams' topics, as the contract has them, each once."""
        return tuple(dict.fromkeys(stream.topic for stream in self._streams))

    def crowd(self, topic: str) -> str:
        """One sentence where one of the topics has several publishers, by the ROS graph of now; '' where it has not."""
        found = publishers(self._node, topic)
        if len(found) < 2:
            return ""
        return f"{topic}: published by {node_names(found)}, expected one: the last message counts, whose ever it is"

    def destroy(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

"""A contract's permission streams as subscriptions."""

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from lwd_ros.contract import ContractError, PermissionStream
from lwd_ros.contract.fields import reader
from lwd_ros.nodes.conversions import message_class
from lwd_ros.nodes.definitions import require_fields
from lwd_ros.nodes.streams import BEST_EFFORT, profile


class PermissionSubscriber:
    """Subscriptions to permission streams: `take(place, value)` for each message, `gone(place)` without a publisher.

    `refuse` is called with one sentence on a message that cannot be read.
    """

    def __init__(
        self,
        node: Node,
        streams: tuple[PermissionStream, ...],
        take: Callable[[int, float], None],
        gone: Callable[[int], None],
        refuse: Callable[[str], None],
        group: CallbackGroup,
    ):
        """Subscribe; raises ContractError where a message type is not installed or lacks the field."""
        self._node, self._subscriptions = node, []
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

        def arrived(message) -> None:
            try:
                value = float(read(message)[0])
            except ContractError as error:
                refuse(f"{stream.topic}: {error}")
                return
            take(place, value)

        def matched(info) -> None:
            if info.current_count == 0:
                gone(place)

        self._subscriptions.append(
            self._node.create_subscription(
                kind,
                stream.topic,
                arrived,
                profile(stream.qos, BEST_EFFORT),
                callback_group=group,
                event_callbacks=SubscriptionEventCallbacks(matched=matched),
            )
        )

    def destroy(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

"""Topics that are recorded where they are there: as they are published, with the quality of service that is offered."""

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from lwd_ros.contract import ContractError
from lwd_ros.dataset.recording import OfferedQos
from lwd_ros.nodes.conversions import interface_class
from lwd_ros.nodes.graph import differ, publishers
from lwd_ros.nodes.streams import Tap, losses

_TRANSFORMS = "tf2_msgs/msg/TFMessage"


def offered_qos(node: Node, topic: str) -> list[OfferedQos]:
    """What the publishers of a topic offer now, in rosbag2's words."""
    result = []
    for info in publishers(node, topic):
        qos = info.qos_profile
        result.append(
            OfferedQos(
                reliability=qos.reliability.short_key,
                durability=qos.durability.short_key,
                history=qos.history.short_key,
                depth=qos.depth,
                deadline_ns=qos.deadline.nanoseconds,
                lifespan_ns=qos.lifespan.nanoseconds,
                liveliness=qos.liveliness.short_key,
                lease_ns=qos.liveliness_lease_duration.nanoseconds,
            )
        )
    return result


class FollowedTopic:
    """A raw subscription that adapts to the publishers of one topic; `tap` hears its messages.

    `type` is "" where it is that of the first publisher.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: str,
        usual: QoSProfile,
        tap: Tap,
        group: CallbackGroup,
    ):
        """Subscribe at once where the type is known and installed, else as soon as `follow` finds a publisher."""
        self.topic, self.type, self._usual = topic, message_type, usual
        self._node, self._tap, self._group = node, tap, group
        self._profile = usual
        self._subscription = None
        self.problem = ""
        """One sentence on why it cannot be recorded, "" where it can."""
        self.notice = ""
        """One on what of it is not recorded."""
        if message_type:
            self._subscribe(usual)

    def follow(self) -> bool:
        """Look at the publishers and subscribe as they need it; returns whether the subscription is another one now."""
        found = publishers(self._node, self.topic)
        if not found:
            return False
        if not self.type:
            self.type = found[0].topic_type
            return self._subscribe(self._fitting(found))
        others = sorted({info.topic_type for info in found} - {self.type})
        if others:
            self.problem = f"{self.topic}: published as {', '.join(others)}, expected {self.type}"
        fitting = self._fitting(found)
        latched = fitting.durability == DurabilityPolicy.TRANSIENT_LOCAL
        if latched and any(info.qos_profile.durability == DurabilityPolicy.VOLATILE for info in found):
            found = [info for info in found if info.qos_profile.durability != DurabilityPolicy.VOLATILE]
            expected = "expected all to, for those who listen to it hear no other; it is recorded as they hear it"
            self.notice = f"{self.topic}: found publishers that latch and such that do not, {expected}"
        if any(differ(info.qos_profile, self._profile) for info in found) or (latched and not self.is_latched):
            return self._subscribe(fitting)
        return False

    def _fitting(self, found) -> QoSProfile:
        """What publishers can serve, and as much as that.

        What is latched is had too where all latch. Of static transforms those count that latch: tf2 and the controller
        hear no other, and a subscription to all would lose what was said before.
        """
        latching = [info for info in found if info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL]
        is_static = self.type == _TRANSFORMS and self._usual.durability == DurabilityPolicy.TRANSIENT_LOCAL
        if latching and is_static:
            found = latching
        latched = len(latching) == len(found)
        reliable = all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in found)
        return QoSProfile(
            depth=self._usual.depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )

    def _subscribe(self, qos: QoSProfile) -> bool:
        self.destroy()
        try:
            kind = interface_class(self.type, self.topic)
        except ContractError as error:
            self.problem = f"{error}; {self.topic} is not recorded"
            return False

        def arrived(content: bytes, info) -> None:
            self._tap(self.topic, self.type, content, info)

        self._profile = qos
        self._subscription = self._node.create_subscription(
            kind,
            self.topic,
            arrived,
            qos,
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(message_lost=losses(self._tap, self.topic)),
            raw=True,
        )
        return True

    @property
    def is_latched(self) -> bool:
        """Whether what was published before may arrive."""
        return self._profile.durability == DurabilityPolicy.TRANSIENT_LOCAL

    def destroy(self) -> None:
        """End the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

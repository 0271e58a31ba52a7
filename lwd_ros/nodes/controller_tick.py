"""The controller's `~/tick`: what it saw, what the policy said, what was sent. Nothing is made while nobody listens."""

from array import array

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy

from lwd_msgs.msg import ControllerTick
from lwd_ros.control import Command, ControllerCore
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.managed import ManagedNode

_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class TickPublisher:
    """Publishes `~/tick` while somebody subscribes. The middleware says when that is; no tick asks for it."""

    def __init__(self, node: ManagedNode, core: ControllerCore):
        """Advertise the topic; `core` keeps each output from the first subscription on."""
        self._node, self._core, self._message = node, core, ControllerTick()
        self.count = 0
        """Ticks since activation; its owner counts."""
        core.keeps_output = False
        events = PublisherEventCallbacks(matched=self._on_matched)
        self._publisher = node.create_publisher(ControllerTick, "~/tick", _QOS, event_callbacks=events)

    def _on_matched(self, info) -> None:
        self._core.keeps_output = info.current_count > 0

    def tell(self, command: Command) -> None:
        """Publish the tick that gave `command`, the core's last answer, with the output that the core kept."""
        observation, policy, message = self._core.answered, self._core.active, self._message
        if observation is None or policy is None or command.output is None:
            return
        message.stamp, message.answered = to_stamp(command.stamp_ns), self._node.get_clock().now().to_msg()
        message.tick, message.policy_id, message.task = self.count, policy.policy_id, policy.task
        message.observation = array("d", observation.vector.tobytes())
        message.output = array("d", command.output.tobytes())
        message.command = array("d", command.vector.tobytes())
        self._publisher.publish(message)

    def destroy(self) -> None:
        """End the topic."""
        self._core.keeps_output = False
        self._node.destroy_publisher(self._publisher)

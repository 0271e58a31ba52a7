"""The bare minimum that latency is compared with: rclpy takes a contract's streams and answers; nothing is computed.

With the argument `stripped` it is less than a node is by default: no parameter services, no log topic, no QoS events,
all of which rclpy's executor looks at before every callback.
"""

import sys
from typing import Any

import rclpy
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter

from lwd_ros.contract import Contract
from lwd_ros.nodes.conversions import message_class
from lwd_ros.nodes.streams import BEST_EFFORT, RELIABLE


class Echo(Node):
    """Sends one prepared message on each command stream when a stamp has arrived on every observation stream."""

    def __init__(self, stripped: bool):
        less: dict[str, Any] = {}
        deaf, mute = None, None
        if stripped:
            without = Parameter("start_type_description_service", value=False)
            less = {"start_parameter_services": False, "enable_rosout": False, "parameter_overrides": [without]}
            deaf = SubscriptionEventCallbacks(use_default_callbacks=False)
            mute = PublisherEventCallbacks(use_default_callbacks=False)
        super().__init__("echo", **less)
        binding = Contract.load(self.declare_parameter("contract_file", "").value).require_binding()
        self.expected = len(binding.observation_streams)
        self.arrived: dict[tuple[int, int], int] = {}
        for stream in binding.observation_streams:
            kind = message_class(stream.type, stream.topic)
            self.create_subscription(kind, stream.topic, self.take, BEST_EFFORT, event_callbacks=deaf)
        self.commands = []
        for stream in binding.command_streams:
            message = message_class(stream.type, stream.topic)()
            message.header.frame_id = stream.frame_id
            if hasattr(message, "effort"):
                message.name, message.effort = ["gripper"], [0.5]
            publisher = self.create_publisher(type(message), stream.topic, RELIABLE, event_callbacks=mute)
            self.commands.append((publisher, message))

    def take(self, message) -> None:
        stamp = message.header.stamp
        key = (stamp.sec, stamp.nanosec)
        count = self.arrived.pop(key, 0) + 1
        if count < self.expected:
            self.arrived[key] = count
            return
        while len(self.arrived) > 8:
            del self.arrived[next(iter(self.arrived))]  # a stamp that lost a message
        for publisher, command in self.commands:
            command.header.stamp = stamp
            publisher.publish(command)


if __name__ == "__main__":
    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Echo(stripped="stripped" in sys.argv))
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.try_shutdown()

"""The bare minimum that latency is compared with: rclpy takes a contract's streams and answers; nothing is computed."""

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from lwd_ros.contract import Contract
from lwd_ros.nodes.conversions import message_class
from lwd_ros.nodes.streams import BEST_EFFORT, RELIABLE


class Echo(Node):
    """Sends one prepared message on each command stream when a stamp has arrived on every observation stream."""

    def __init__(self):
        super().__init__("echo")
        binding = Contract.load(self.declare_parameter("contract_file", "").value).require_binding()
        self.expected, self.arrived = len(binding.observation_streams), {}
        for stream in binding.observation_streams:
            self.create_subscription(message_class(stream), stream.topic, self.take, BEST_EFFORT)
        self.commands = []
        for stream in binding.command_streams:
            message = message_class(stream)()
            message.header.frame_id = stream.frame_id
            if hasattr(message, "effort"):
                message.name, message.effort = ["gripper"], [0.5]
            self.commands.append((self.create_publisher(type(message), stream.topic, RELIABLE), message))

    def take(self, message) -> None:
        stamp = message.header.stamp
        key = (stamp.sec, stamp.nanosec)
        count = self.arrived.pop(key, 0) + 1
        if count < self.expected:
            self.arrived[key] = count
            return
        if len(self.arrived) > 8:
            self.arrived.clear()  # stamps that lost a message
        for publisher, command in self.commands:
            command.header.stamp = stamp
            publisher.publish(command)


if __name__ == "__main__":
    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Echo())
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.try_shutdown()

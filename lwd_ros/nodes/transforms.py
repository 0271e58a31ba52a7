"""Poses from /tf and /tf_static as streams of a contract."""

from collections.abc import Callable, Mapping

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from lwd_ros.contract import Stream
from lwd_ros.contract.fields import reader
from lwd_ros.transforms import TransformBuffer

# As tf2's own listener has them; /tf_static holds what each of several publishers latched.
_TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_TF_STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TransformSubscriber:
    """Subscriptions to /tf and /tf_static; each new pose arrives as a message of its stream does."""

    def __init__(
        self,
        node: Node,
        streams: Mapping[int, Stream],
        take: Callable[[int, int, str | None, np.ndarray, int], None],
        refuse: Callable[[str], None],
        group: CallbackGroup | None,
    ):
        self._node, self._take, self._refuse = node, take, refuse
        self._places = list(streams)
        self._labels = [stream.label for stream in streams.values()]
        self._readers = [reader(stream.fields) for stream in streams.values()]
        self._buffer = TransformBuffer([(stream.frame, stream.within) for stream in streams.values()])
        self._subscriptions = []
        for topic, qos, static in (("/tf_static", _TF_STATIC, True), ("/tf", _TF, False)):

            def arrived(message, info, static=static) -> None:
                self._add(message, static, info["received_timestamp"])

            self._subscriptions.append(node.create_subscription(TFMessage, topic, arrived, qos, callback_group=group))

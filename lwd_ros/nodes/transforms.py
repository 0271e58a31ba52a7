"""Poses from /tf and /tf_static as streams of a contract."""

from collections.abc import Callable, Mapping

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from lwd_ros.contract import ContractError, Stream
from lwd_ros.contract.fields import reader
from lwd_ros.nodes.conversions import message_class
from lwd_ros.transforms import TransformBuffer

# As tf2's own listener has them; /tf_static holds what each of several publishers latched.
_TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_TF_STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TransformSubscriber:
    """Subscriptions to /tf and /tf_static; each new pose arrives as (place, stamp in ns, None, values, received in ns).

    A pose of static transforms alone has no stamp and comes once; it is given again and again, stamped by the node's
    clock.
    """

    def __init__(
        self,
        node: Node,
        streams: Mapping[int, Stream],
        take: Callable[[int, int, str | None, np.ndarray, int], None],
        refuse: Callable[[int, str], None],
        warn: Callable[[str], None],
        group: CallbackGroup | None,
    ):
        """Subscribe; `streams` are by their places. `refuse` is told what is wrong with one, `warn` with any transform.

        Raises:
            ContractError: pytransform3d or tf2_msgs is not installed.
        """
        self._node, self._take, self._refuse, self._warn = node, take, refuse, warn
        self._places, self._labels = list(streams), [stream.label for stream in streams.values()]
        self._readers = [reader(stream.fields) for stream in streams.values()]
        self._static: dict[int, np.ndarray] = {}  # values of poses of static transforms alone, by place
        self._buffer = TransformBuffer([(stream.frame, stream.within) for stream in streams.values()])
        kind = message_class("tf2_msgs/msg/TFMessage", "/tf")
        self._subscriptions = [
            node.create_subscription(kind, "/tf_static", self._on_static, _TF_STATIC, callback_group=group),
            node.create_subscription(kind, "/tf", self._on_moving, _TF, callback_group=group),
        ]
        repeat_s = min(stream.stale_after_s for stream in streams.values()) / 2
        self._timer = node.create_timer(
            repeat_s, self._repeat_static, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _on_static(self, message, info) -> None:
        self._add(message, True, info["received_timestamp"])

    def _on_moving(self, message, info) -> None:
        self._add(message, False, info["received_timestamp"])

    def _add(self, message, static: bool, received_ns: int) -> None:
        poses = self._buffer.add(message, static)
        for notice in self._buffer.notices():
            self._warn(notice)
        for pair, stamp_ns, pose in poses:
            try:
                values = self._readers[pair](pose)
            except ContractError as error:
                self._refuse(self._places[pair], f"{self._labels[pair]}: {error}")
                continue
            if stamp_ns is None:
                self._static[self._places[pair]] = values
                self._repeat_static()
            else:
                self._static.pop(self._places[pair], None)
                self._take(self._places[pair], stamp_ns, None, values, received_ns)

    def _repeat_static(self) -> None:
        """What stands still does not age: it is measured anew all the time."""
        now_ns = self._node.get_clock().now().nanoseconds
        for place, values in self._static.items():
            self._take(place, now_ns, None, values, 0)

    def explain(self, place: int) -> str:
        """Why the pose of the stream at `place` does not come, " (in brackets)"; "" where nothing is known."""
        pair = self._places.index(place)
        problem, slowest = self._buffer.problem(pair), self._buffer.slowest(pair)
        reason = problem or (f"the oldest transform is that of {slowest}" if slowest else "")
        return f" ({reason})" if reason else ""

    def destroy(self) -> None:
        """End both subscriptions."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

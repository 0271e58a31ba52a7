"""Whole messages of a simulated robot's sensors, for environments that speak messages."""

import array
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node

from lwd_ros.contract import Qos, Stream
from lwd_ros.contract.definitions import fields_of
from lwd_ros.environments.environment import Content, SimulationError
from lwd_ros.nodes.conversions import message_class, to_stamp
from lwd_ros.nodes.streams import RELIABLE, profile, qos_of

_CODES = {  # of array.array, as rclpy wants them
    **{"float32": "f", "float64": "d", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H"},
    **{"int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"},
}


class MessagePublisher:
    """Publishers for all topics of a simulator; one call sends the messages of one moment.

    Topics that a contract binds have its QoS. The first of its streams goes last: with `sync: latest` it completes the
    observation, which then holds one moment. `refuse` is called with one sentence on a subscriber that cannot receive.
    """

    def __init__(
        self, node: Node, streams: tuple[Stream, ...], topics: Mapping[str, str], refuse: Callable[[str], None]
    ):
        """Make the publishers; raises ContractError where a message type is not installed."""
        self._node = node
        bound = {stream.topic: stream.qos for stream in streams}
        order = sorted(topics, key=lambda topic: topic == streams[0].topic)
        kinds = {topic: message_class(topics[topic], topic) for topic in order}
        self._parts: dict[str, tuple] = {}
        for topic, kind in kinds.items():

            def incompatible(event, topic=topic) -> None:
                refuse(f"{topic}: a subscriber's QoS is incompatible ({qos_of(event)})")

            events = PublisherEventCallbacks(incompatible_qos=incompatible)
            qos = profile(bound.get(topic, Qos()), RELIABLE)
            self._parts[topic] = (node.create_publisher(kind, topic, qos, event_callbacks=events), kind())

    def send(self, messages: Mapping[str, Content], stamp_ns: int) -> None:
        """Publish a moment's messages; those with a header carry `stamp_ns`.

        Raises:
            SimulationError: a topic is missing, or a message has no such field, or one of another type.
        """
        stamp = to_stamp(stamp_ns)
        for topic, (publisher, message) in self._parts.items():
            if topic not in messages:
                raise SimulationError(f"found no message for topic '{topic}', expected one: the simulator names it")
            for path, value in messages[topic].items():
                try:
                    _put(message, path, value)
                except (AttributeError, AssertionError, TypeError, ValueError, KeyError) as error:
                    text = f"{topic}: '{path}': found {type(value).__name__}, expected a field and its type"
                    raise SimulationError(f"{text} ({error})") from error
            if hasattr(message, "header"):
                message.header.stamp = stamp
            publisher.publish(message)

    def destroy(self) -> None:
        """End all publishers."""
        for publisher, _ in self._parts.values():
            self._node.destroy_publisher(publisher)


def _put(message: Any, path: str, value: Any) -> None:
    """Set one field; arrays only in the field's dtype, for a rounded one would not be what training read."""
    *parents, attribute = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    if not isinstance(value, np.ndarray):
        setattr(message, attribute, value)
        return
    kind = fields_of(type(message))[attribute].base
    if value.dtype != np.dtype(kind) or value.ndim != 1:
        raise TypeError(f"{value.dtype}{list(value.shape)} for {kind}[]")
    fixed = isinstance(getattr(message, attribute), np.ndarray)
    setattr(message, attribute, value if fixed else array.array(_CODES[kind], value.tobytes()))

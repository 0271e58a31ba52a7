"""A look at all topics of a robot whose types a contract can be guessed from."""

import time
from collections.abc import Collection

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from lwd_ros.contract import ContractError
from lwd_ros.contract.guess import is_usable, looks_like_command
from lwd_ros.contract.sightings import Sighting
from lwd_ros.contract.streams import Qos
from lwd_ros.nodes.conversions import message_class
from lwd_ros.nodes.graph import node_names, publishers, subscribers

_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)  # which every publisher can serve
_LOOK_S = 0.2  # between looks at the graph: topics appear while nodes discover each other
_DISCOVERY_S = 5.0
_RELIABILITY = {ReliabilityPolicy.RELIABLE: "reliable", ReliabilityPolicy.BEST_EFFORT: "best_effort"}
_DURABILITY = {DurabilityPolicy.TRANSIENT_LOCAL: "transient_local", DurabilityPolicy.VOLATILE: "volatile"}


def survey(seconds: float, topics: Collection[str] = ()) -> list[Sighting]:
    """Listen for some seconds, from the first message on; one sighting of each topic that somebody publishes.

    Messages are received of those that a contract can be guessed from, and of `topics`. A topic that nobody
    publishes has a sighting without messages where nodes subscribe to it and it looks like a command, or is one of
    `topics`. Nothing is published.

    Raises:
        ContractError: no topic of a usable type appeared.
    """
    context = Context()
    rclpy.init(
        context=context, args=["--ros-args", "--disable-rosout-logs"], signal_handler_options=SignalHandlerOptions.NO
    )
    node = Node("contract_guess", context=context, start_parameter_services=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    seen: dict[str, Sighting] = {}
    try:
        looked, end = 0.0, time.monotonic() + _DISCOVERY_S + seconds
        began = False
        while (now := time.monotonic()) < end:
            if now - looked > _LOOK_S:
                looked = now
                _subscribe(node, seen, topics)
            executor.spin_once(timeout_sec=min(_LOOK_S, end - now))
            if not began and any(each.count for each in seen.values()):
                began, end = True, time.monotonic() + seconds
    finally:
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)
    if not began:
        published = sorted(topic for topic, each in seen.items() if is_usable(topic, each.type) and not each.listeners)
        none = "no topic of a type that it can be guessed from that anybody publishes"
        found = f"no message on {', '.join(published[:8])}" if published else none
        raise ContractError(f"--live: found {found}, expected a robot that publishes its state")
    return list(seen.values())


def _subscribe(node: Node, seen: dict[str, Sighting], topics: Collection[str]) -> None:
    """Subscribe to what is new in the graph."""
    for topic, kinds in node.get_topic_names_and_types():
        known = seen.get(topic)
        if known is not None and not known.listeners:
            continue
        ends = publishers(node, topic)
        if not ends:
            listened = _listened_to(node, topic, kinds[0], topic in topics)
            if listened is not None:  # made anew at each look: names of nodes come late
                seen[topic] = listened
            continue
        offered = [end.qos_profile for end in ends]
        profiles = [Qos(_RELIABILITY.get(each.reliability), _DURABILITY.get(each.durability)) for each in offered]
        latched = any(each.durability == "transient_local" for each in profiles)
        sighting = seen[topic] = Sighting(topic, kinds[0], Qos.heard(profiles), latched)
        if not (is_usable(topic, kinds[0]) or topic in topics):
            continue
        try:
            kind = message_class(kinds[0], topic)
        except ContractError as error:
            sighting.problem = str(error)
            continue
        node.create_subscription(kind, topic, _taker(sighting), _QOS)


def _listened_to(node: Node, topic: str, kind: str, wanted: bool) -> Sighting | None:
    """A topic that nobody publishes and that takes commands, with the QoS which serves all of its subscribers."""
    ends = [end for end in subscribers(node, topic) if end.topic_type == kind]
    if not ends or not (wanted or looks_like_command(topic, kind)):
        return None
    asked = [end.qos_profile for end in ends]
    reliable = any(each.reliability == ReliabilityPolicy.RELIABLE for each in asked)
    latched = any(each.durability == DurabilityPolicy.TRANSIENT_LOCAL for each in asked)
    qos = Qos("reliable" if reliable else "best_effort", "transient_local" if latched else "volatile")
    return Sighting(topic, kind, qos, listeners=node_names(ends))


def _taker(sighting: Sighting):
    def take(message, info) -> None:
        sighting.add(message, info["received_timestamp"] or time.time_ns())

    return take

"""What the ROS graph says of a topic: who is at its other end, and why nothing arrives."""

from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy


def node_names(endpoints) -> str:
    """The nodes of publishers or subscribers, as the ROS graph describes them: "/cell/driver, /gui"."""
    names = [
        "a node whose name is not known yet"  # rmw's placeholder, while the two nodes discover each other
        if info.node_name == "_NODE_NAME_UNKNOWN_"
        else f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        for info in endpoints
    ]
    counts = {name: names.count(name) for name in sorted(names)}
    return ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counts.items())


def differ(offered: QoSProfile, requested: QoSProfile) -> list[str]:
    """What keeps a publisher and a subscription apart, in ROS's words.

    rclpy's own check takes a deadline that nobody set, 0 in a profile and infinite in the graph, for a difference.
    """
    words = []
    if requested.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.durability == DurabilityPolicy.VOLATILE:
        words.append("durability")
    if requested.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
        words.append("reliability")
    if requested.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC and offered.liveliness != requested.liveliness:
        words.append("liveliness")
    for word in ("deadline", "liveliness_lease_duration"):
        spans = [getattr(each, word).nanoseconds or Infinite.nanoseconds for each in (offered, requested)]
        if spans[0] > spans[1]:
            words.append(word)
    return words


def publishers(node: Node, topic: str) -> list:
    """The publishers of a topic, which is as the contract has it."""
    return node.get_publishers_info_by_topic(node.resolve_topic_name(topic))


def subscribers(node: Node, topic: str) -> list:
    """The subscriptions to a topic, which is as the contract has it."""
    return node.get_subscriptions_info_by_topic(node.resolve_topic_name(topic))


def elsewhere(node: Node, topic: str) -> str:
    """What a contract's topic is called in the ROS graph; '' where it is what the contract says."""
    name = node.resolve_topic_name(topic)
    return "" if name == f"/{topic.lstrip('/')}" else name


def unreceived(node: Node, topic: str, message_type: str, asked: QoSProfile) -> tuple[str, bool]:
    """Why nothing can arrive of a topic, " (in brackets)", and whether to wait does not help; "" where it can.

    `asked` is the QoS of the subscription.
    """
    found = publishers(node, topic)
    same = [info for info in found if info.topic_type == message_type]
    words = sorted({word for info in same for word in differ(info.qos_profile, asked)})
    if words:
        return f" (a publisher's QoS is incompatible: {', '.join(words)})", True
    if found and not same:
        types = sorted({info.topic_type for info in found})
        return f" (published as {', '.join(types)}, expected {message_type})", True
    name = elsewhere(node, topic)
    return ("", False) if found else (f" (no publisher{name and f' of {name}'})", False)


def deaf_receivers(node: Node, topic: str, message_type: str, offered: QoSProfile) -> list[str]:
    """One sentence for each kind of subscriber of a topic that cannot receive what is published with QoS `offered`."""
    found = subscribers(node, topic)
    result, others = [], [info for info in found if info.topic_type != message_type]
    if others:
        types = ", ".join(sorted({info.topic_type for info in others}))
        result.append(
            f"{topic}: published as {message_type}, expected as {types} by {node_names(others)}, which receives nothing"
        )
    for info in found:
        words = [] if info in others else differ(offered, info.qos_profile)
        if words:
            what = f"a subscriber's QoS is incompatible ({', '.join(words)})"
            result.append(f"{topic}: {what}: {node_names([info])} receives nothing")
    return result


def described(endpoints) -> str:
    """Publishers or subscribers by their QoS: "1 reliable", "2 best effort, 1 reliable latched"."""
    kinds = []
    for info in endpoints:
        words = ["best effort" if info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT else "reliable"]
        words += ["latched"] if info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else []
        kinds.append(" ".join(words))
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))) or "none"

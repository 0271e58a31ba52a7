"""All topics that a recorder listens to, and which of a contract's streams give nothing now."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rclpy.callback_groups import CallbackGroup
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from lwd_ros.contract import Contract, PermissionStream, Stream
from lwd_ros.control import ObservationAssembler
from lwd_ros.nodes.followed import FollowedTopic
from lwd_ros.nodes.graph import publishers
from lwd_ros.nodes.managed import ManagedNode
from lwd_ros.nodes.permission import PermissionSubscriber
from lwd_ros.nodes.streams import StreamSubscriber

_DEPTH = 1000  # what may wait while an episode is closed
_BEST_EFFORT = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
_RELIABLE = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_FRESH_S = 1.0  # a command that came so lately needs no look at the graph

TF, TF_STATIC = "/tf", "/tf_static"


class RecordedTopics:
    """Subscriptions to a contract's streams, to transforms, to what a controller tells, and to further topics.

    Each message arrives once as `take(resolved topic, type, CDR, info, whether it is latched)`. Streams are also read
    by the code that the controller reads them with, so that what is missing here is what a controller would miss.
    """

    def __init__(
        self,
        node: ManagedNode,
        contract: Contract,
        take: Callable[[str, str, bytes, Mapping, bool], None],
        group: CallbackGroup,
        controller: str,
        further: Sequence[str],
        optional: Sequence[str],
        commands_optional: bool,
    ):
        """Subscribe.

        Args:
            node: whose subscriptions they are; `warn` tells what is wrong with messages.
            contract: with its binding.
            take: called with each message.
            group: of all subscriptions.
            controller: name of the policy controller, whose `status` and `tick` are recorded; "": none.
            further: topics of any type that are recorded too.
            optional: topics of the contract that may be missing.
            commands_optional: whether all command topics may be.

        Raises:
            ContractError: a message type is not installed or lacks a field.
        """
        self._binding = binding = contract.require_binding()
        self._node, self._take, self._group = node, take, group
        self._optional = {node.resolve_topic_name(topic) for topic in optional}
        self._commands_optional = commands_optional
        self._owners: dict[str, object] = {}  # whose messages of a topic are recorded, where several subscribe to it
        self._lost: dict[str, int] = {}
        self.version = 0
        """Another number whenever a subscription is another one."""
        simulated = node.get_parameter("use_sim_time").value
        self._assembler = ObservationAssembler(contract, simulated)
        self._command_streams, self._permission_streams = binding.command_streams, binding.permission_streams
        self._commanded: dict[int, float] = {}  # when a command stream gave something last, s
        self._permitted: dict[int, float] = {}
        self._streams = (binding.observation_streams, binding.command_streams, binding.permission_streams)
        self._of_streams: list = []
        self._followed: list[FollowedTopic] = []
        try:
            self._subscribe_to_streams()
            self._follow(controller, further)
            self._latched = self.latched()
        except Exception:
            self.destroy()
            raise

    def _subscribe_to_streams(self) -> None:
        node, group, warn = self._node, self._group, self._node.warn
        observed, commanded, permitting = self._streams
        self._observations = StreamSubscriber(
            node, observed, self._on_observation, warn, _BEST_EFFORT, group, self._tap("observation")
        )
        self._of_streams = [self._observations]
        self._commands = StreamSubscriber(
            node, commanded, self._on_command, warn, _RELIABLE, group, self._tap("command")
        )
        self._of_streams.append(self._commands)
        self._permissions = PermissionSubscriber(
            node, permitting, self._on_permission, lambda place: None, warn, group, self._tap("permission")
        )
        self._of_streams.append(self._permissions)

    def _fitting(self, streams):
        """Streams whose reliability the contract leaves open, as their publishers offer it: nothing is lost then."""
        result = []
        for stream in streams:
            if stream.topic and stream.qos.reliability is None:
                offered = {info.qos_profile.reliability for info in publishers(self._node, stream.topic)}
                if offered:
                    kind = "reliable" if offered == {ReliabilityPolicy.RELIABLE} else "best_effort"
                    stream = replace(stream, qos=replace(stream.qos, reliability=kind))
            result.append(stream)
        return tuple(result)

    def _fit_streams(self) -> None:
        """Subscribe anew where publishers offer something else than is asked for."""
        binding = self._binding
        bound = (binding.observation_streams, binding.command_streams, binding.permission_streams)
        fitting = tuple(self._fitting(streams) for streams in bound)
        if fitting == self._streams:
            return
        for each in self._of_streams:
            each.destroy()
        self._streams = fitting
        self._subscribe_to_streams()
        self.version += 1

    def _follow(self, controller: str, further: Sequence[str]) -> None:
        known = [
            (TF, "tf2_msgs/msg/TFMessage", _RELIABLE),
            (TF_STATIC, "tf2_msgs/msg/TFMessage", _LATCHED),
            ("policy", "lwd_msgs/msg/PolicyWeights", _LATCHED),
        ]
        if controller:
            known += [
                (f"{controller}/status", "lwd_msgs/msg/ControllerStatus", _RELIABLE),
                (f"{controller}/tick", "lwd_msgs/msg/ControllerTick", _RELIABLE),
            ]
        of_streams = [each.topic for each in self._command_streams]
        of_streams += [each.topic for each in self._permission_streams]
        taken = {self._node.resolve_topic_name(topic) for topic in {*of_streams, *self._observations.topics}}
        own = {self._node.resolve_topic_name(f"~/{name}") for name in ("episode", "status")}
        for topic, message_type, usual in [*known, *((topic, "", _RELIABLE) for topic in further)]:
            name = self._node.resolve_topic_name(topic)
            if name in taken | own:
                continue
            taken.add(name)
            tap = self._tap(f"followed {name}")
            self._followed.append(FollowedTopic(self._node, topic, message_type, usual, tap, self._group))
        self._further = {self._node.resolve_topic_name(topic) for topic in further}

    def _tap(self, owner: str) -> "_Tap":
        return _Tap(self, owner)

    def resolved(self, topic: str) -> str:
        """What a topic is called in the ROS graph."""
        return self._node.resolve_topic_name(topic)

    def hear(self, owner: str, name: str, message_type: str, content: bytes, info: Mapping) -> None:
        """A message of the subscriber `owner`; a topic that two subscribe to is recorded once."""
        if self._owners.setdefault(name, owner) == owner:
            self._take(name, message_type, content, info, name in self._latched)

    def take_lost(self) -> dict[str, int]:
        """By topic since the last call: messages that the middleware could not deliver."""
        lost, self._lost = self._lost, {}
        return lost

    def lose(self, owner: str, topic: str, count: int) -> None:
        """The middleware lost messages of the subscriber `owner`."""
        if self._owners.get(self._node.resolve_topic_name(topic), owner) == owner:
            self._lost[topic] = self._lost.get(topic, 0) + count

    def _on_observation(self, place: int, stamp_ns: int, frame_id: str | None, values, _received_ns: int) -> None:
        self._assembler.add(place, stamp_ns, frame_id, values, self._node.now_s())

    def _on_command(self, place: int, _stamp_ns: int, _frame_id: str | None, _values, _received_ns: int) -> None:
        self._commanded[place] = self._node.now_s()

    def _on_permission(self, place: int, _value: float, _received_ns: int) -> None:
        self._permitted[place] = self._node.now_s()

    def follow(self, idle: bool) -> None:
        """Look at the publishers, now and then. Subscriptions to streams change while no episode is open, `idle`."""
        if idle:
            self._fit_streams()
        for each in self._followed:
            self.version += each.follow()
            for sentence in (each.problem, each.notice):
                if sentence:
                    self._node.warn(sentence)
        self._latched = self.latched()

    def latched(self) -> set[str]:
        """Resolved names of the topics whose messages hold until the next one."""
        streams = [*self._command_streams, *(each for each in self._assembler.streams if each.topic)]
        qos = [(each.topic, each.qos) for each in streams]
        qos += [(each.topic, each.qos) for each in self._permission_streams]
        topics = {topic for topic, each in qos if each.durability == "transient_local"}
        topics |= {each.topic for each in self._followed if each.is_latched}
        return {self._node.resolve_topic_name(topic) for topic in topics}

    def missing(self) -> list[str]:
        """One sentence for each stream that gives nothing now.

        An observation must come; of a command or a permission it is enough that somebody publishes it: a person who
        demonstrates may rest before the first command.
        """
        now = self._node.now_s()
        resolved = self._node.resolve_topic_name
        labels = {
            each.label for each in self._assembler.streams if each.topic and resolved(each.topic) in self._optional
        }
        entries = [entry for entry in self._assembler.missing(now) if entry.partition(": ")[0] not in labels]
        result = [each.reason for each in self._observations.explain(entries)]
        if not result and not labels and (fault := self._assembler.fault(now)):
            result.append(fault)
        if not self._commands_optional:
            for place, stream in enumerate(self._command_streams):
                result += self._missing_command(place, stream, now)
        for place, permission in enumerate(self._permission_streams):
            result += self._missing_permission(place, permission, now)
        result += [
            f"{each.topic}: nothing received (no publisher)"
            for each in self._followed
            if resolved(each.topic) in self._further and not self._node.count_publishers(resolved(each.topic))
        ]
        return result + [each.problem for each in self._followed if each.problem]

    def _missing_permission(self, place: int, stream: PermissionStream, now: float) -> list[str]:
        name = self._node.resolve_topic_name(stream.topic)
        if name in self._optional or now - self._permitted.get(place, -math.inf) < _FRESH_S:
            return []
        (found,) = self._permissions.explain([place])
        return [found.reason] if found.is_fault or not self._node.count_publishers(name) else []

    def _missing_command(self, place: int, stream: Stream, now: float) -> list[str]:
        if self._node.resolve_topic_name(stream.topic) in self._optional:
            return []
        last = self._commanded.get(place)
        if last is not None and now - last < _FRESH_S:
            return []
        reason = "nothing received" if last is None else f"silent for {now - last:.2f} s"
        (found,) = self._commands.explain([f"{stream.label}: {reason}"])
        gone = not self._commands.publishers(stream.topic)[0]
        return [found.reason] if found.is_fault or gone else []

    def destroy(self) -> None:
        """End all subscriptions."""
        for each in (*self._of_streams, *self._followed):
            each.destroy()


class _Tap:
    """What one subscriber, `owner`, gives its messages to."""

    def __init__(self, topics: RecordedTopics, owner: str):
        self._topics, self._owner = topics, owner
        self._names: dict[str, str] = {}

    def __call__(self, topic: str, message_type: str, content: bytes, info: Mapping) -> None:
        name = self._names.get(topic)
        if name is None:
            name = self._names[topic] = self._topics.resolved(topic)
        self._topics.hear(self._owner, name, message_type, content, info)

    def lost(self, topic: str, count: int) -> None:
        self._topics.lose(self._owner, topic, count)

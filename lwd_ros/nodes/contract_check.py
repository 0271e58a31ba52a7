"""A look at a robot's topics, with a contract in hand: what comes, how often, and whether a controller could use it."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from lwd_ros.contract import TF, Contract, ContractError
from lwd_ros.contract.table import Row, Seen, rows
from lwd_ros.control import ObservationAssembler
from lwd_ros.control.permission import Permission
from lwd_ros.nodes.graph import deaf_receivers, described, node_names, publishers, subscribers, unreceived
from lwd_ros.nodes.permission import PermissionSubscriber
from lwd_ros.nodes.streams import BEST_EFFORT, RELIABLE, StreamSubscriber, profile

# As the controller listens, but deep: what waits while another stream is read counts for the rate.
_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
_CONTROLLER = "policy_controller"
_DISCOVERY_S = 5.0  # nodes find each other in a second, or in a few where a computer is busy
_LEAST = 3  # messages that a rate is measured from
_ROUNDING = 1e-6  # of the width of the limits: a float32 at the limit is not outside
_NUMBER = re.compile(r"\d[\d.e+-]*")


@dataclass(frozen=True)
class Look:
    """The contract's table with what was seen, and sentences: problems, and what is no more than worth a word."""

    rows: list[Row]
    problems: list[str]
    warnings: list[str]


class _Messages:
    """What came of one stream: how often, from where to where, how old."""

    def __init__(self, numbers: int):
        self._count, self._first, self._last = 0, 0.0, 0.0
        self._ages, self._aged = 0.0, 0
        self.lowest, self.highest = np.full(numbers, np.nan), np.full(numbers, np.nan)

    def add(self, values: np.ndarray, now: float, age_s: float | None = None) -> None:
        """Take one message that arrived at `now`, s of the steady clock."""
        self._first = self._first if self._count else now
        self._last, self._count = now, self._count + 1
        self.lowest, self.highest = np.fmin(self.lowest, values), np.fmax(self.highest, values)
        if age_s is not None:
            self._ages, self._aged = self._ages + age_s, self._aged + 1

    @property
    def is_empty(self) -> bool:
        return not self._count

    @property
    def rate_hz(self) -> float | None:
        """None where too few came."""
        took_s = self._last - self._first
        return (self._count - 1) / took_s if self._count >= _LEAST and took_s > 0.0 else None

    @property
    def age_s(self) -> float | None:
        """The mean age on arrival, by the stamps."""
        return self._ages / self._aged if self._aged else None

    def observed(self, places: Sequence[int]) -> tuple[float, float] | None:
        """The range of some of the numbers; None where there was none."""
        low, high = self.lowest[list(places)], self.highest[list(places)]
        return None if np.isnan(low).all() else (float(np.nanmin(low)), float(np.nanmax(high)))


def look(
    contract: Contract,
    seconds: float,
    namespace: str = "",
    remaps: Sequence[str] = (),
    simulated_time: bool = False,
) -> Look:
    """Listen to a contract's topics for some seconds; publish nothing on any.

    Args:
        contract: has a binding.
        seconds: how long, from when something came on every topic, or did not for some seconds.
        namespace: of the controller; relative topics are in it.
        remaps: rules such as `joint_states:=/left/joint_states`.
        simulated_time: whether the time is that of /clock.

    Raises:
        ContractError: a message type is not installed or lacks a field; a namespace or a rule is none.
    """
    arguments = ["--ros-args", "--disable-rosout-logs"]
    for rule in [*([f"__ns:=/{namespace.strip('/')}"] if namespace.strip("/") else []), *remaps]:
        arguments += ["-r", rule]
    arguments += ["-p", "use_sim_time:=true"] if simulated_time else []
    context = Context()
    try:
        rclpy.init(context=context, args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = Node("contract_check", context=context, start_parameter_services=False)
    except Exception as error:  # rclpy has a class of its own for each kind of wrong argument
        rclpy.try_shutdown(context=context)
        raise ContractError(f"--namespace, --remap: {' '.join(str(error).split())}") from error
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        listener = _Listener(node, contract, simulated_time)
        latest = time.monotonic() + _DISCOVERY_S
        while not listener.is_connected and time.monotonic() < latest:
            executor.spin_once(timeout_sec=0.1)
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0.0:
            executor.spin_once(timeout_sec=left_s)
        return listener.report()
    finally:
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)


class _Listener:
    """Subscribes as the controller does, and keeps what the report needs."""

    def __init__(self, node: Node, contract: Contract, simulated_time: bool):
        binding = contract.require_binding()
        self._node, self._contract, self._binding, self._simulated = node, contract, binding, simulated_time
        self._assembler = ObservationAssembler(contract, simulated_time, self._clock_ns)
        self._messages = [_Messages(len(stream.names)) for stream in binding.observation_streams]
        self._said = [_Messages(1) for _ in binding.permission_streams]
        self._permissions = [Permission((stream,)) for stream in binding.permission_streams]
        self._refused: dict[str, str] = {}  # each kind of sentence once, whatever its numbers
        self._observations = StreamSubscriber(node, binding.observation_streams, self._take, self._refuse, _QOS)
        PermissionSubscriber(node, binding.permission_streams, self._permit, self._gone, self._refuse, None)

    @property
    def is_connected(self) -> bool:
        """Whether something came on every topic, and somebody listens to every command."""
        came = not any(each.is_empty for each in (*self._messages, *self._said))
        return came and all(subscribers(self._node, stream.topic) for stream in self._binding.command_streams)

    def _clock_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _take(self, place: int, stamp_ns: int, frame_id: str | None, values: np.ndarray, received_ns: int) -> None:
        late_s = max(0.0, (time.time_ns() - received_ns) * 1e-9) if received_ns else 0.0
        now, clock_ns = time.monotonic() - late_s, self._clock_ns()
        aged = self._binding.observation_streams[place].stamp == "header" and clock_ns > 0
        age_s = (clock_ns - stamp_ns) * 1e-9 - (0.0 if self._simulated else late_s)
        self._messages[place].add(values, now, age_s if aged else None)
        self._assembler.add(place, stamp_ns, frame_id, values, now)

    def _permit(self, place: int, value: float, _received_ns: int) -> None:
        now = time.monotonic()
        self._said[place].add(np.array([value]), now)
        self._permissions[place].receive(0, value, now)

    def _gone(self, place: int) -> None:
        self._permissions[place].gone(0)

    def _refuse(self, sentence: str) -> None:
        self._refused.setdefault(_NUMBER.sub("#", sentence), sentence)

    # What it was

    def report(self) -> Look:
        """Judge what came until now."""
        now = time.monotonic()
        entries = [self._seen(row, now) for row in rows(self._contract, self._node.resolve_topic_name)]
        problems = [*self._missing(now), *self._outside(entries)]
        warnings = [*self._timing(), *self._publishers()]
        for asked, said, permission in zip(
            self._binding.permission_streams, self._said, self._permissions, strict=True
        ):
            if said.is_empty:
                why, _ = unreceived(self._node, asked.topic, asked.type, profile(asked.qos, BEST_EFFORT))
                why = why or f" ({node_names(publishers(self._node, asked.topic))} has sent nothing yet)"
                problems.append(f"no permission: {asked.topic}: nothing received{why}")
            elif denied := permission.denied(now):
                warnings.append(denied)
        for stream in self._binding.command_streams:
            problems += deaf_receivers(self._node, stream.topic, stream.type, profile(stream.qos, RELIABLE))
            if not subscribers(self._node, stream.topic):
                resolved = self._node.resolve_topic_name(stream.topic)
                problems.append(f"{stream.topic}: nobody subscribes to {resolved}: commands would move nothing")
        return Look(entries, problems, warnings)

    def _seen(self, row: Row, now: float) -> Row:
        if row.stream is None:
            return row
        if row.part == "command":
            topic = self._binding.command_streams[row.stream].topic
            return replace(row, seen=Seen(others=described(subscribers(self._node, topic))))
        if row.part == "permission":
            said, topic = self._said[row.stream], self._binding.permission_streams[row.stream].topic
            verdict = "no" if self._permissions[row.stream].denied(now) else "yes"
            others = described(publishers(self._node, topic))
            return replace(row, seen=Seen(said.rate_hz, said.observed([0]), None, others, verdict))
        stream, messages = self._binding.observation_streams[row.stream], self._messages[row.stream]
        places = [stream.indices.index(place) for place in row.places]
        topic = "/tf" if stream.type == TF else stream.topic
        others = described(publishers(self._node, topic))
        return replace(row, seen=Seen(messages.rate_hz, messages.observed(places), messages.age_s, others))

    def _missing(self, now: float) -> list[str]:
        """Streams that give nothing, messages that cannot be used, observations that never become complete."""
        missing = self._observations.explain(self._assembler.missing(now))
        told = {each.topic.partition(" ")[0] for each in missing if each.is_fault}
        refused = [
            sentence
            for sentence in self._refused.values()
            if not ("QoS is incompatible" in sentence and sentence.partition(":")[0] in told)
        ]
        sentences = [*(each.reason for each in missing), *refused]
        if not sentences and (fault := self._assembler.fault(now)):
            sentences.append(fault)
        return sentences

    @staticmethod
    def _outside(entries: list[Row]) -> Iterator[str]:
        for row in entries:
            if row.part != "observation" or row.seen.observed is None or row.limits is None:
                continue
            (low, high), (minimum, maximum) = row.seen.observed, row.limits
            rounding = _ROUNDING * (maximum - minimum)
            if low < minimum - rounding or high > maximum + rounding:
                unit = "" if row.unit == "1" else f" {row.unit}"
                yield f"{row.name}: observed {low:.4g} to {high:.4g}{unit}, limits [{minimum:g}, {maximum:g}]"

    def _timing(self) -> Iterator[str]:
        timing, streams = self._assembler.timing, self._binding.observation_streams
        pacing = streams[:1] if self._binding.sync == "latest" else streams
        for stream, messages in zip(pacing, self._messages, strict=False):
            if not self._simulated and timing.off(messages.rate_hz):
                yield timing.sentence(stream.label, messages.rate_hz)
        for stream, messages in zip(streams, self._messages, strict=True):
            if messages.rate_hz and stream.stale_after_s < 2 / messages.rate_hz:
                yield (
                    f"{stream.label}: stale_after_s {stream.stale_after_s:g} is less than two of its periods "
                    f"({1 / messages.rate_hz:.3g} s): the robot would hold again and again"
                )
        yield from (problem.sentence for problem in timing.clock_problems())

    def _publishers(self) -> Iterator[str]:
        """Topics that several publish on, and commands that are somebody's already."""
        for topic in self._observations.topics:
            count, names = self._observations.publishers(topic)
            if count > 1:
                yield f"{topic} has {count} publishers, {names}: is one of them meant?"
        for stream in self._binding.command_streams:
            found = publishers(self._node, stream.topic)
            if len(found) > 1:
                yield f"{stream.topic} has {len(found)} publishers, {node_names(found)}: expected the controller alone"
            elif found and found[0].node_name != _CONTROLLER:
                yield f"{stream.topic} is published by {node_names(found)} already: expected the controller alone"

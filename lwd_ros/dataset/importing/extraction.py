"""From a recording to series: fields, units, functions and transforms, read by the code that runs live."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lwd_ros.contract import TF, Contract, ContractError, Stream
from lwd_ros.contract.fields import Unaddressed, reader
from lwd_ros.dataset.demonstrations import DatasetError
from lwd_ros.dataset.importing.layout import QuickMessages
from lwd_ros.dataset.importing.names import Names, require_topic
from lwd_ros.dataset.importing.series import STAMP_ARRIVAL, Series, between_stamps
from lwd_ros.errors import LwdError


class NothingFoundError(DatasetError):
    """A recording, or an episode of it, has nothing of a stream."""


COMMAND_HELD_S = 0.5
"""How long a command holds after its message, s: what drive controllers of ROS 2 wait before they stop."""

_TF, _TF_STATIC = "/tf", "/tf_static"
_TRANSFORMS = "tf2_msgs/msg/TFMessage"

Handler = Callable[[Any], None]


@dataclass
class Wanted:
    """What is read from a recording beside the contract's observation streams.

    `commands` are streams to read as commands, with `topics` that replace those that the contract has; `handlers` take
    the messages of other topics (marks of episodes, ticks), by whole name.
    """

    names: Names
    observations: bool = True
    commands: Sequence[Stream] = ()
    topics: Mapping[str, str] = field(default_factory=dict)
    held_s: float = COMMAND_HELD_S
    handlers: Mapping[str, Handler] = field(default_factory=dict)


@dataclass
class Extracted:
    """The series of one recording, in the order in which they were recorded, of commands too.

    `first_ns` and `last_ns` say when its first and last message was recorded; `cut` why it ends before that of the
    recording, where a clock steps.
    """

    observation: list[Series]
    command: list[Series]
    first_ns: int
    last_ns: int
    notes: list[str]
    cut: str = ""


def _whole(message) -> Any:
    return message.message


class _Collector:
    """Gathers the messages of one stream."""

    def __init__(self, bag, stream: Stream, topic: str, is_command: bool, stale_after_s: float):
        self.stream, self.topic, self._is_command, self._stale_after_s = stream, topic, is_command, stale_after_s
        self._read = reader(stream.fields)
        is_cdr = bag.topics[topic].encoding == "cdr"
        self._content = QuickMessages(stream.type, stream.fields, bag.definitions).of if is_cdr else _whole
        self._by_header: bool | None = None
        self._stamps: list[int] = []
        self._logs: list[int] = []
        self._values: list[np.ndarray] = []
        self._left_out, self._why, self._stranger, self._seen = 0, "", "", 0

    def take(self, message) -> None:
        """One recorded message."""
        self._seen += 1
        try:
            content = self._content(message)
            if self._by_header is None:
                self._by_header = self._decide(hasattr(content, "header"))
            values = self._read(content)
        except Unaddressed as error:  # of the other publisher on this topic
            self._stranger = str(error)
            return
        except LwdError as error:
            self._refuse(str(error))
            return
        header = getattr(content, "header", None)
        frame = self.stream.frame_id
        if frame is not None and not self._is_command and (header is None or header.frame_id != frame):
            found = "no header" if header is None else f"frame_id '{header.frame_id}'"
            self._refuse(f"found {found}, expected frame_id '{frame}'; frames are not transformed")
            return
        if self._by_header:
            stamp = content.header.stamp
            self._stamps.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
        self._logs.append(message.log_ns)
        self._values.append(values)

    def _decide(self, headed: bool) -> bool:
        if self._is_command:
            return headed and self.stream.stamp != "zero"
        if self.stream.stamp == "header" and not headed:
            found = f"{self.stream.type}, which has no header, under stamp: header"
            raise ContractError(f"found {found}, expected `stamp: arrival`: {STAMP_ARRIVAL}")
        return self.stream.stamp == "header"

    def _refuse(self, why: str) -> None:
        self._left_out += 1
        self._why = self._why or why

    def series(self, where: str, notes: list[str]) -> Series:
        """All that was gathered; raises DatasetError where that is nothing."""
        label = self.stream.label if self.stream.topic == self.topic else f"{self.stream.label} ({self.topic})"
        if not self._values:
            if not self._seen:
                raise NothingFoundError(f"{where}: {label}: found no message on {self.topic}, expected some")
            prefix = f" (joint_prefix is '{self.stream.joint_prefix}')" if self.stream.joint_prefix else ""
            why = self._why or self._stranger + prefix
            raise NothingFoundError(f"{where}: {label}: found no usable message among {self._seen}: {why}")
        values, logs = np.array(self._values), np.array(self._logs, dtype=np.int64)
        stamps = np.array(self._stamps, dtype=np.int64) if self._by_header else logs
        usable = np.isfinite(values).all(axis=1)
        if not usable.all():
            bad = self.stream.names[int(np.flatnonzero(~np.isfinite(values[~usable][0]))[0])]
            self._left_out += int((~usable).sum())
            self._why = self._why or f"found a non-finite {bad}, expected a finite number"
        by_header = bool(self._by_header)
        zeros = usable & (stamps == 0) if by_header else np.zeros(len(stamps), bool)
        unstamped = None
        if zeros.any() and self._is_command:
            # A controller stamps what it sends at a stop 0, for it answers no observation; others stamp nothing at all.
            found = f"{label}: {int(zeros.sum())} of {len(stamps)} commands have stamp 0"
            if zeros.sum() == usable.sum():
                stamps, by_header = logs, False
                notes.append(f"{found}: all count by when they were recorded")
            else:
                unstamped, stamps = zeros, between_stamps(stamps, logs, zeros | ~usable)
                notes.append(
                    f"{found}, as those that a controller sends at a stop: they count by when they were recorded"
                )
        elif zeros.any():
            if zeros.sum() == usable.sum():
                raise DatasetError(
                    f"{where}: {label}: found stamp 0 in every header, expected the time of measurement (stamp: "
                    f"header); a driver that does not stamp? {STAMP_ARRIVAL}"
                )
            self._left_out += int(zeros.sum())
            self._why = self._why or f"found stamp 0, expected the time of measurement; else {STAMP_ARRIVAL}"
            usable &= ~zeros
        if not usable.any():
            raise NothingFoundError(f"{where}: {label}: found no usable message among {self._seen}: {self._why}")
        return Series(
            label,
            self.stream.indices,
            stamps[usable],
            logs[usable],
            values[usable],
            by_header,
            stale_after_s=self._stale_after_s,
            left_out=self._left_out,
            why=self._why,
            unstamped=None if unstamped is None else unstamped[usable],
        )


class _Transforms:
    """Gathers the poses of all streams of transforms of a contract."""

    def __init__(self, streams: Sequence[Stream]):
        from lwd_ros.transforms import TransformBuffer

        self.streams = list(streams)
        self._buffer = TransformBuffer([(stream.frame, stream.within) for stream in streams])
        self._readers = [reader(stream.fields) for stream in streams]
        self._rows: list[list[tuple[int | None, int, np.ndarray]]] = [[] for _ in streams]

    def take(self, message, static: bool) -> None:
        """One recorded message of /tf or /tf_static."""
        for pair, stamp_ns, pose in self._buffer.add(message.message, static):
            self._rows[pair].append((stamp_ns, message.log_ns, self._readers[pair](pose)))

    def series(self, where: str, notes: list[str]) -> list[Series]:
        """One for each stream; raises DatasetError with the frame that has no parent, where there is no pose."""
        notes += self._buffer.notices()
        result = []
        for pair, (stream, rows) in enumerate(zip(self.streams, self._rows, strict=True)):
            if not rows:
                why = self._buffer.problem(pair) or "no transform of it was recorded"
                raise NothingFoundError(f"{where}: {stream.label}: found no pose: {why}")
            moving = [row for row in rows if row[0] is not None]
            kept = moving or rows
            logs = np.array([row[1] for row in kept], dtype=np.int64)
            stamps = np.array([row[0] for row in kept], dtype=np.int64) if moving else logs
            values = np.array([row[2] for row in kept])
            by_header, stale = bool(moving), stream.stale_after_s
            result.append(Series(stream.label, stream.indices, stamps, logs, values, by_header, not moving, stale))
        return result


def extract(bag, contract: Contract, wanted: Wanted, progress: Callable[[int], None] = lambda count: None) -> Extracted:
    """Read the contract's streams from a recording, in one pass but for static transforms.

    `progress` is told how many more messages were read.

    Raises:
        LwdError: a topic is missing or has another type; nothing of a stream can be used; a frame has no parent.
    """
    binding, names = contract.require_binding(), wanted.names
    where = f"contract '{contract.name}'"
    observed = binding.observation_streams if wanted.observations else ()
    collectors: dict[str, list[_Collector]] = {}
    order: list[_Collector | tuple[_Transforms, int]] = []
    moving = [stream for stream in observed if stream.type == TF]
    transforms = _Transforms(moving) if moving else None
    for stream in observed:
        if stream.type == TF:
            assert transforms is not None
            order.append((transforms, transforms.streams.index(stream)))
            continue
        topic = names.recorded(bag, stream.topic)
        require_topic(bag, topic, stream.type, where)
        collector = _Collector(bag, stream, topic, False, stream.stale_after_s)
        order.append(collector)
        collectors.setdefault(topic, []).append(collector)
    commands = []
    for stream in wanted.commands:
        topic = wanted.topics.get(stream.topic) or names.recorded(bag, stream.topic)
        require_topic(bag, topic, stream.type, where)
        commands.append(_Collector(bag, stream, topic, True, wanted.held_s))
        collectors.setdefault(topic, []).append(commands[-1])
    handlers: dict[str, list[Handler]] = {
        topic: [each.take for each in members] for topic, members in collectors.items()
    }
    for topic, handler in wanted.handlers.items():
        handlers.setdefault(topic, []).append(handler)
    if transforms is not None:
        _with_transforms(bag, transforms, names, handlers)
    first, last = _read(bag, handlers, progress)
    notes: list[str] = []
    poses = transforms.series(bag.name, notes) if transforms is not None else []
    return Extracted(
        [poses[each[1]] if isinstance(each, tuple) else each.series(bag.name, notes) for each in order],
        [each.series(bag.name, notes) for each in commands],
        first,
        last,
        notes,
    )


def _with_transforms(bag, transforms: _Transforms, names: Names, handlers: dict[str, list[Handler]]) -> None:
    """Take static transforms now, for their recording time may be anything, and moving ones as they were recorded."""
    static, moving = names.recorded(bag, _TF_STATIC), names.recorded(bag, _TF)
    found = [topic for topic in (static, moving) if topic in bag.topics]
    if not found:
        pairs = ", ".join(f"{each.frame} in {each.within}" for each in transforms.streams)
        raise DatasetError(f"{bag.name}: found neither {moving} nor {static}, expected transforms of {pairs}")
    for topic in found:
        require_topic(bag, topic, _TRANSFORMS, "its transforms")
    if static in found:
        for part in (*bag.earlier, bag):
            for message in part.messages([static]):
                transforms.take(message, True)
    if moving in found:
        handlers.setdefault(moving, []).append(lambda message: transforms.take(message, False))


_STEP = 2000  # messages between two looks at the progress


def _read(bag, handlers: Mapping[str, Sequence[Handler]], progress: Callable[[int], None]) -> tuple[int, int]:
    """Give each message to its handlers; when the first and the last of them were recorded."""
    first = last = None
    count = 0
    for message in bag.messages(list(handlers)):
        for handler in handlers[message.topic]:
            handler(message)
        first = message.log_ns if first is None else first
        last = message.log_ns
        count += 1
        if count % _STEP == 0:
            progress(_STEP)
    progress(count % _STEP)
    if first is None or last is None:
        raise NothingFoundError(f"{bag.name}: found no message on {', '.join(handlers)}, expected a recording of them")
    return first, last


def with_fields(stream: Stream, topic: str, **changes) -> Stream:
    """A stream of another topic, for commands that another device than the robot was told."""
    return replace(stream, topic=topic, label=topic, **changes)

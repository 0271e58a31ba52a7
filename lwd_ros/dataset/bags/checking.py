"""A contract against a recording: what its streams were there, and whether a controller could have used them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from lwd_ros.contract import TF, Contract, ContractError
from lwd_ros.contract.fields import Unaddressed, reader
from lwd_ros.contract.picking import closest
from lwd_ros.contract.streams import Stream
from lwd_ros.contract.table import Row, Seen, rows
from lwd_ros.dataset.bags.bag import Bag
from lwd_ros.dataset.bags.records import BagError, Message, Topic
from lwd_ros.dataset.importing.importer import refusal
from lwd_ros.dataset.importing.names import Names
from lwd_ros.transforms import TransformBuffer

_ROUNDING = 1e-6  # of the width of the limits: a float32 at the limit is not outside
_RATE_SHARE = 0.1  # a rate that differs from the contract's by more is worth a sentence
_OTHER_CLOCK_S = 0.5
_LEAST = 3  # messages that a rate is measured from
_S = 1e-9


@dataclass(frozen=True)
class Look:
    """The contract's table with what was recorded, and sentences: problems, and what is worth a word."""

    rows: list[Row]
    problems: list[str]
    warnings: list[str]


class _Stream:
    """One stream of the contract in the recording."""

    def __init__(self, label: str, topic: str, kind: str, fields: Sequence, stale_after_s: float | None):
        self.label, self.topic, self.type, self.stale_after_s = label, topic, kind, stale_after_s
        self._read = reader(fields)
        numbers = sum(field.places for field in fields)
        self.lowest, self.highest = np.full(numbers, np.nan), np.full(numbers, np.nan)
        self.arrivals: list[float] = []
        self.ages: list[float] = []
        self.zero_stamps = 0
        self.refused, self.refusal = 0, ""
        self.unaddressed = ""

    def add(self, content, log_ns: int) -> None:
        """Take one message, or a pose of transforms."""
        try:
            values = self._read(content)
        except Unaddressed as error:
            self.unaddressed = str(error)
            return
        except ContractError as error:
            self.refused, self.refusal = self.refused + 1, self.refusal or str(error)
            return
        self.arrivals.append(log_ns * _S)
        self.lowest, self.highest = np.fmin(self.lowest, values), np.fmax(self.highest, values)
        header = getattr(content, "header", None)
        if header is not None:
            stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
            self.zero_stamps += stamp_ns == 0
            self.ages.append((log_ns - stamp_ns) * _S)

    def pause(self) -> None:
        """Another axis of time begins: the time to it is no gap."""
        if self.arrivals:
            self.arrivals.append(float("nan"))

    @property
    def messages(self) -> int:
        """How many could be used."""
        return int(np.isfinite(self.arrivals).sum())

    @property
    def rate_hz(self) -> float | None:
        """From the median time between messages: holes do not count."""
        spans = np.diff(self.arrivals)
        spans = spans[np.isfinite(spans)]
        if len(spans) < _LEAST - 1:
            return None
        median = float(np.median(spans))
        return 1.0 / median if median > 0.0 else None

    @property
    def age_s(self) -> float | None:
        return float(np.median(self.ages)) if self.ages else None

    @property
    def gaps(self) -> tuple[int, float, float]:
        """How many are longer than the staleness, the longest, s, and when it begins, s after the first message."""
        if self.stale_after_s is None or len(self.arrivals) < 2:
            return 0, 0.0, 0.0
        spans = np.nan_to_num(np.diff(self.arrivals))
        place = int(spans.argmax())
        return int((spans > self.stale_after_s).sum()), float(spans[place]), self.arrivals[place] - self.arrivals[0]

    def observed(self, places: Sequence[int]) -> tuple[float, float] | None:
        low, high = self.lowest[list(places)], self.highest[list(places)]
        return None if np.isnan(low).all() else (float(np.nanmin(low)), float(np.nanmax(high)))

    def seen(self, places: Sequence[int]) -> Seen:
        """For the table."""
        return Seen(self.rate_hz, self.observed(places), self.age_s, messages=self.messages)


def look(contract: Contract, bag: Bag, names: Names | None = None) -> Look:
    """Read a contract's streams from a recording, all of it.

    Topics are found as `lwd import-bag` finds them. What that would refuse is a problem: without other problems the
    recording is read a second time, as an import reads it.

    Args:
        contract: with a binding.
        bag: the recording.
        names: namespace and remappings; None: none.

    Raises:
        ContractError: the contract has no binding, or a library for its transforms is missing.
        BagError: a file cannot be read on.
    """
    return _Checker(contract, bag, names or Names()).look()


class _Checker:
    def __init__(self, contract: Contract, bag: Bag, names: Names):
        binding, self._names = contract.require_binding(), names
        self._contract, self._binding, self._bag = contract, binding, bag
        self._observed = [self._made(stream) for stream in binding.observation_streams]
        self._commanded = [self._made(stream) for stream in binding.command_streams]
        self._asked = [
            _Stream(each.topic, each.topic, each.type, (each.field,), each.stale_after_s)
            for each in binding.permission_streams
        ]
        self._undecoded: dict[str, str] = {}
        self._notices: dict[str, None] = {}
        self._buffer: TransformBuffer | None = None

    def _recorded(self, topic: str) -> Topic | None:
        """The recorded topic of one of the contract; None where there is none."""
        return self._bag.topics.get(self._names.recorded(self._bag, topic))

    @staticmethod
    def _made(stream: Stream) -> _Stream:
        return _Stream(stream.label, stream.topic, stream.type, stream.fields, stream.stale_after_s or None)

    def look(self) -> Look:
        every = [*self._observed, *self._commanded, *self._asked]
        problems = [sentence for each in every if (sentence := self._absent(each))]
        self._read([each for each in every if each.type != TF and not self._absent(each)])
        self._read_transforms([each for each in self._observed if each.type == TF])
        entries = [self._entry(row) for row in rows(self._contract)]
        if problems and len(problems) == len(every):
            recorded = ", ".join(f"{each.name} ({each.type})" for each in list(self._bag.topics.values())[:12])
            problems.append(f"{self._bag.name}: a recording of another robot? It has {recorded or 'no topic'}")
        problems += [*self._undecoded.values(), *self._unread(every), *self._outside(entries), *self._stamps()]
        if not problems and (sentence := refusal(self._bag, self._contract, self._names)):
            problems.append(f"lwd import-bag refuses it: {sentence}")
        return Look(entries, problems, [*self._timing(), *self._notices, *self._bag.problems])

    def _absent(self, each: _Stream) -> str:
        """Why a stream cannot be in the recording; "" where it can."""
        topic = self._names.resolve("/tf" if each.type == TF else each.topic)
        kind = "tf2_msgs/msg/TFMessage" if each.type == TF else each.type
        recorded = self._recorded("/tf" if each.type == TF else each.topic)
        if recorded is None and each.type == TF:
            recorded = self._recorded("/tf_static")
        if recorded is None:
            same = [name for name, other in self._bag.topics.items() if other.type == kind]
            ends = [name for name in self._bag.topics if name.endswith(topic)]
            hint = closest(topic, list(self._bag.topics))
            if len(ends) == 1:
                hint = f"; '{ends[0]}'? --remap {topic}:={ends[0]}, or --namespace"
            elif not hint and same:
                hint = f"; of its type are {', '.join(same[:5])}"
            return f"{each.label}: found no topic {topic} in {self._bag.name}, expected {kind}{hint}"
        if recorded.type != kind:
            return f"{each.label}: recorded as {recorded.type}, expected {kind}, which the contract names"
        return "" if recorded.count != 0 else f"{each.label}: found no message of {recorded.name} in the recording"

    def _read(self, streams: Sequence[_Stream]) -> None:
        by_topic: dict[str, list[_Stream]] = {}
        for each in streams:
            topic = self._recorded(each.topic)
            assert topic is not None
            by_topic.setdefault(topic.name, []).append(each)
        for part in self._bag.parts if by_topic else ():
            for each in streams:
                each.pause()
            for message in part.messages(by_topic):
                content = self._decoded(message)
                if content is not None:
                    for each in by_topic[message.topic]:
                        each.add(content, message.log_ns)

    def _decoded(self, message: Message):
        try:
            return message.message
        except BagError as error:
            self._undecoded.setdefault(message.topic, str(error))
            return None

    def _read_transforms(self, streams: Sequence[_Stream]) -> None:
        """/tf_static first, whose log time may be anything."""
        if not streams:
            return
        pairs = [(each.frame, each.within) for each in self._binding.observation_streams if each.type == TF]
        self._buffer = TransformBuffer(pairs)
        found = [(name, topic) for name in ("/tf_static", "/tf") if (topic := self._recorded(name)) is not None]
        for (name, topic), part in product(found, self._bag.parts):
            for each in streams if name == "/tf" else ():
                each.pause()
            for message in part.messages([topic.name]):
                content = self._decoded(message)
                for pair, _, pose in self._buffer.add(content, name == "/tf_static") if content is not None else ():
                    streams[pair].add(pose, message.log_ns)
        self._notices.update(dict.fromkeys(self._buffer.notices()))

    # What it was

    def _entry(self, row: Row) -> Row:
        if row.stream is None or row.name == "(constant)":
            return row
        if row.part == "permission":
            return replace(row, seen=self._asked[row.stream].seen([0]))
        if row.part == "command":
            stream, seen = self._binding.command_streams[row.stream], self._commanded[row.stream]
        else:
            stream, seen = self._binding.observation_streams[row.stream], self._observed[row.stream]
        return replace(row, seen=seen.seen([stream.indices.index(place) for place in row.places]))

    def _unread(self, streams: Sequence[_Stream]) -> Iterator[str]:
        """Streams none or some of whose messages can be used."""
        transforms = [each for each in streams if each.type == TF]
        for each in streams:
            if each.refused:
                yield f"{each.label}: {each.refused} of its messages cannot be used, the first: {each.refusal}"
            elif not each.arrivals and each.unaddressed:
                yield f"{each.label}: {each.unaddressed}"
            elif each.type == TF and not each.arrivals and self._buffer is not None and not self._absent(each):
                why = self._buffer.problem(transforms.index(each)) or "no transform between the two frames"
                yield f"{each.label}: {why}"

    @staticmethod
    def _outside(entries: Sequence[Row]) -> Iterator[str]:
        for row in entries:
            if row.part == "permission" or row.seen.observed is None or row.limits is None:
                continue
            (low, high), (minimum, maximum) = row.seen.observed, row.limits
            rounding = _ROUNDING * (maximum - minimum)
            if low < minimum - rounding or high > maximum + rounding:
                unit = "" if row.unit == "1" else f" {row.unit}"
                yield f"{row.name}: recorded {low:.4g} to {high:.4g}{unit}, limits [{minimum:g}, {maximum:g}]"

    def _stamps(self) -> Iterator[str]:
        for stream, each in zip(self._binding.observation_streams, self._observed, strict=True):
            if stream.stamp == "header" and each.zero_stamps:
                expected = "times; write `stamp: arrival` for it in the contract"
                yield f"{each.label}: found {each.zero_stamps} header stamps of 0, expected {expected}"

    def _timing(self) -> Iterator[str]:
        period_s = self._contract.period_s
        for each in self._commanded:
            topic = self._recorded(each.topic)
            if topic is not None and topic.publishers > 1:
                yield f"{each.label}: {topic.name} had {topic.publishers} publishers: whose commands are they?"
        pacing = self._observed[:1] if self._binding.sync == "latest" else self._observed
        for each in pacing:
            if each.rate_hz and abs(each.rate_hz * period_s - 1.0) > _RATE_SHARE:
                yield f"{each.label}: recorded at {each.rate_hz:.1f} Hz, the contract runs at {1 / period_s:.1f} Hz"
        for stream, each in zip(self._binding.observation_streams, self._observed, strict=True):
            count, longest, begins = each.gaps
            if count:
                holes = f"{count} {'gap' if count == 1 else 'gaps'}"
                worst = f"the longest {longest * 1e3:.0f} ms from {begins:.2f} s"
                yield f"{each.label}: {holes} longer than stale_after_s {each.stale_after_s:g}, {worst}"
            if stream.stamp == "header" and not each.zero_stamps and abs(each.age_s or 0.0) > _OTHER_CLOCK_S:
                yield f"{each.label}: its stamps are {each.age_s:.3g} s behind the recorder's clock: another clock?"

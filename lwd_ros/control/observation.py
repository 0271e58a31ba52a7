"""From single messages of several streams to whole observation vectors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.control.timing import STAMP_ARRIVAL, StreamTiming
from lwd_ros.errors import LwdError

_PENDING = 8  # stamps that may be incomplete at once; those that began before lost a message for good
_FROZEN_S = 1.0  # a stream that delivers one stamp for longer is not fresh, unless its `stale_after_s` is longer
_JUMP_NS = 100_000_000  # a stamp further back than this, or that far ahead of a fresh one, is of another clock ...
_JUMPED = 4  # ... which counts from now on where so many come in a row: those of two clocks would come in turns ...
_SILENT_S = 0.1  # ... or where nothing of the clock before has come for so long; so it does, if only a little behind


class StreamError(LwdError):
    """A message that must not enter an observation; says what was found and what was expected."""


@dataclass(slots=True)
class Observation:
    """A whole observation, or frame: float64 [contract.frame_size], and its stamp in ns.

    Where the contract has an age, it is 0 here: `Frames` tells policies how old the frame is that a tick answers.

    `arrived` is when its last message did, s of the steady clock.
    """

    vector: np.ndarray
    stamp_ns: int
    arrived: float = 0.0


class ObservationAssembler:
    """Puts the messages of a contract's observation streams together.

    With `sync: same_stamp` an observation is complete when every stream has delivered one stamp, in any order; with
    `latest` the first stream sets the pace and the others give what they delivered last. Messages older than what they
    would replace (the newest complete stamp; with `latest` the stream's own newest, since sensors differ in delay) are
    dropped; the newest stamp may be asked for again. When a stream's stamps jump, back or ahead, and stay there,
    everything is gathered anew. A late message is late once; a clock that was set back, a little or a lot, stays back.
    Where two publishers of different clocks share a topic, those of the clock that was there first count while it
    delivers, and `take_left_out` tells of the others.

    How long a stream's stamp has stood still goes by the steady clock; with `simulated_time` by the ticks, for a
    simulation that waits for a policy or a command may wait as long as it takes.

    `timing` says how often messages come and, with `clock_ns`, whether they are stamped by that clock.
    """

    def __init__(self, contract: Contract, simulated_time: bool = False, clock_ns: Callable[[], int] | None = None):
        binding = contract.require_binding()
        self.streams = binding.observation_streams
        self._contract, self._simulated_time = contract, simulated_time
        self._latest = binding.sync == "latest"
        self._places = [np.array(stream.indices) for stream in self.streams]
        paced_by = (0,) if self._latest else tuple(range(len(self.streams)))
        self.timing = StreamTiming(self.streams, contract.period_s, paced_by, clock_ns, simulated_time)
        self.reset()

    def reset(self) -> None:
        """Forget everything, so that no old observation can be answered."""
        self._arrived: list[float | None] = [None] * len(self.streams)
        self._advanced = [0.0] * len(self.streams)  # when a stream's stamp was last another one, s of `_time`
        self._ticked_s = 0.0
        self.last_complete: float | None = None
        self._received, self._left_out = [0] * len(self.streams), [0] * len(self.streams)
        self.timing.reset()
        self._forget_stamps()

    def _forget_stamps(self) -> None:
        self._pending: dict[int, tuple[np.ndarray, set[int]]] = {}
        self._values = self._empty()
        self._stamps = [-1] * len(self.streams)
        self._newest = -1
        self._off_since: list[float | None] = [None] * len(
            self.streams
        )  # when stamps fell behind or jumped, if they did
        self._jumped = [0] * len(self.streams)  # messages of another clock in a row

    def add(
        self, stream: int, stamp_ns: int, frame_id: str | None, values: np.ndarray, now: float
    ) -> Observation | None:
        """Take one message of stream number `stream`; returns the observation that it completes, if it does.

        Args:
            stream: place in the binding's observation streams.
            stamp_ns: the message's stamp.
            frame_id: the message's frame, which must be the binding's, where that has one; frames are not transformed.
            values: float64, the stream's scalars in the order of its fields.
            now: when it arrived, steady clock, s.

        Raises:
            StreamError: not finite, a wrong frame. The message is dropped.
        """
        described = self.streams[stream]
        if described.frame_id is not None and frame_id != described.frame_id:
            raise StreamError(f"{described.label}: found frame_id {frame_id!r}, expected {described.frame_id!r}")
        if not np.isfinite(values).all():
            bad = described.names[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise StreamError(f"{described.label}: found a non-finite {bad}, expected a finite number")
        self._received[stream] += 1
        if self._is_off(stream, stamp_ns, now):
            self._left_out[stream] += 1
            return None
        if stamp_ns != self._stamps[stream]:
            self._stamps[stream], self._advanced[stream] = stamp_ns, self._time(now)
        self._arrived[stream] = now
        self.timing.add(stream, stamp_ns, now)
        if self._latest:
            self._values[self._places[stream]] = values
            if stream != 0 or np.isnan(self._values).any():
                return None
            return self._complete(self._values.copy(), stamp_ns, now)
        vector, seen = self._pending.setdefault(stamp_ns, (self._empty(), set()))
        vector[self._places[stream]] = values
        seen.add(stream)
        if len(seen) == len(self.streams):
            return self._complete(vector, stamp_ns, now)
        if len(self._pending) > _PENDING:
            del self._pending[next(iter(self._pending))]  # the first to arrive: stamps may have jumped back since
        return None

    def _is_off(self, stream: int, stamp_ns: int, now: float) -> bool:
        """Whether to leave out a stamp that is behind or of another clock; where that one stays, begin anew."""
        newest = self._stamps[stream] if self._latest else self._newest
        last, arrived = self._stamps[stream], self._arrived[stream]
        jumped = newest - stamp_ns > _JUMP_NS
        if last >= 0 and arrived is not None:
            jumped |= stamp_ns - last > _JUMP_NS + 1e9 * (self.streams[stream].stale_after_s + now - arrived)
        if not jumped and stamp_ns >= newest:
            self._off_since[stream], self._jumped[stream] = None, 0
            return False
        since = self._off_since[stream]
        if since is None:
            since = self._off_since[stream] = now
        self._jumped[stream] += jumped
        if self._jumped[stream] < _JUMPED and now - since <= _SILENT_S:
            return True
        self._forget_stamps()
        return False

    def _empty(self) -> np.ndarray:
        """float64 [contract.frame_size] that nothing is known of yet; its age, which no stream carries, is 0."""
        vector = np.full(self._contract.frame_size, np.nan)
        if self._contract.age_place is not None:
            vector[self._contract.age_place] = 0.0
        return vector

    def _complete(self, vector: np.ndarray, stamp_ns: int, now: float) -> Observation:
        self._newest = stamp_ns
        self.last_complete = now
        self.timing.completed(now)
        self._pending = {stamp: entry for stamp, entry in self._pending.items() if stamp > stamp_ns}
        return Observation(vector, stamp_ns, now)

    @property
    def incomplete(self) -> bool:
        """Whether an observation has begun to arrive that is newer than the last complete one."""
        return bool(self._pending)

    @property
    def patience_s(self) -> float:
        """How old the last complete observation may be, s."""
        paced_by = self.streams[:1] if self._latest else self.streams
        return min(stream.stale_after_s for stream in paced_by)

    def missing(self, now: float) -> list[str]:
        """Topics that were never seen or are stale, each with the reason."""
        result = []
        for stream, arrived in zip(self.streams, self._arrived, strict=True):
            if arrived is None:
                result.append(f"{stream.label}: nothing received")
            elif now - arrived > stream.stale_after_s:
                result.append(f"{stream.label}: silent for {now - arrived:.2f} s")
        return result

    def take_left_out(self) -> dict[str, tuple[int, int]]:
        """By topic since the last call: messages that were left out because of their stamps, and all."""
        counts = zip(self._left_out, self._received, strict=True)
        result = {stream.label: count for stream, count in zip(self.streams, counts, strict=True)}
        self._received, self._left_out = [0] * len(self.streams), [0] * len(self.streams)
        return result

    def ticked(self) -> None:
        """Note that an observation was answered: a control period of simulated time."""
        self._ticked_s += self._contract.period_s

    def _time(self, now: float) -> float:
        return self._ticked_s if self._simulated_time else now

    def fault(self, now: float) -> str:
        """One sentence on why observations cannot be trusted at `now`, '' while they can."""
        missing = self.missing(now)
        if missing:
            return "; ".join(missing)
        for stream, stamp_ns, advanced in zip(self.streams, self._stamps, self._advanced, strict=True):
            still_s = self._time(now) - advanced
            if still_s > max(_FROZEN_S, stream.stale_after_s):
                if stamp_ns == 0:
                    return f"{stream.label}: stamp 0 for {still_s:.1f} s: a driver that does not stamp? {STAMP_ARRIVAL}"
                return f"{stream.label}: one stamp for {still_s:.1f} s: does its clock stand still?"
        limit = self.patience_s
        if self.last_complete is None or now - self.last_complete > limit:
            sentence = f"no complete observation for more than {limit:g} s, though every stream delivers: stamps differ"
            return sentence + self._difference()
        return ""

    def _difference(self) -> str:
        """The streams' last stamps that are furthest apart, and what to do about them; '' where none are."""
        stamps = [(stamp_ns, stream.label) for stamp_ns, stream in zip(self._stamps, self.streams, strict=True)]
        (first_ns, first), (last_ns, last) = min(stamps), max(stamps)
        if self._latest or first_ns < 0 or first_ns == last_ns:
            return ""
        return (
            f" ({first} {1e-9 * first_ns:.4f} s, {last} {1e-9 * last_ns:.4f} s, {1e-6 * (last_ns - first_ns):.3f} ms "
            "apart); where they are not measured together, write `sync: latest` in the contract"
        )

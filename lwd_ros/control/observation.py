"""From single messages of several streams to whole observation vectors."""

from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import Contract

_PENDING = 8  # stamps that may be incomplete at once; those that began before lost a message for good
_FROZEN_S = 1.0  # a stream that delivers one stamp for longer is not fresh, unless its `stale_after_s` is longer
_JUMP_NS = 100_000_000  # stamps further back than this are a clock that was set back, or another one's, not late ...
_JUMPED = 4  # ... and it was set back where so many come in a row: those of two clocks would come in turns
_BACK_S = 0.1  # a clock was also set back, however little, on a stream that delivers nothing newer for so long


class StreamError(ValueError):
    """A message that must not enter an observation; says what was found and what was expected."""


@dataclass(slots=True)
class Observation:
    """A whole observation: float64 [observations] in the contract's order and units, and its stamp in ns.

    Where the contract has an age, it is 0 until the observation is answered.

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
    dropped; the newest stamp may be asked for again. When a stream's stamps jump back, everything is gathered anew.
    A late message is late once; a clock that was set back, a little or a lot, stays back. Where two publishers of
    different clocks share a topic, their stamps come in turns: those of the clock that is ahead count, and
    `take_left_behind` tells of the others.

    How long a stream's stamp has stood still goes by the steady clock; with `simulated_time` by the ticks, for a
    simulation that waits for a policy or a command may wait as long as it takes.
    """

    def __init__(self, contract: Contract, simulated_time: bool = False):
        binding = contract.require_binding()
        self.streams = binding.observation_streams
        self._contract, self._simulated_time = contract, simulated_time
        self._latest = binding.sync == "latest"
        self._places = [np.array(stream.indices) for stream in self.streams]
        self.reset()

    def reset(self) -> None:
        """Forget everything, so that no old observation can be answered."""
        self._arrived: list[float | None] = [None] * len(self.streams)
        self._advanced = [0.0] * len(self.streams)  # when a stream's stamp was last another one, s of `_time`
        self._ticked_s = 0.0
        self.last_complete: float | None = None
        self._received, self._left_behind = [0] * len(self.streams), [0] * len(self.streams)
        self._forget_stamps()

    def _forget_stamps(self) -> None:
        self._pending: dict[int, tuple[np.ndarray, set[int]]] = {}
        self._values = self._empty()
        self._stamps = [-1] * len(self.streams)
        self._newest = -1
        self._back_since: list[float | None] = [None] * len(self.streams)  # when its stamps fell behind, while they are
        self._back_count = [0] * len(self.streams)  # of messages in a row

    def add(self, stream: int, stamp_ns: int, frame_id: str, values: np.ndarray, now: float) -> Observation | None:
        """Take one message of stream number `stream`; returns the observation that it completes, if it does.

        Args:
            stream: place in the binding's observation streams.
            stamp_ns: the message's stamp.
            frame_id: the message's frame, which must be the binding's; frames are checked, not transformed.
            values: float64, the stream's scalars in the order of its fields.
            now: when it arrived, steady clock, s.

        Raises:
            StreamError: not finite, a wrong frame. The message is dropped.
        """
        described = self.streams[stream]
        if frame_id != described.frame_id:
            raise StreamError(f"{described.topic}: found frame_id {frame_id!r}, expected {described.frame_id!r}")
        if not np.isfinite(values).all():
            bad = described.names[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise StreamError(f"{described.topic}: found a non-finite {bad}, expected a finite number")
        newest = self._stamps[stream] if self._latest else self._newest
        self._received[stream] += 1
        if stamp_ns >= newest:
            self._back_since[stream], self._back_count[stream] = None, 0
        elif self._is_set_back(stream, newest - stamp_ns, now):
            self._forget_stamps()
        else:
            self._left_behind[stream] += 1
            return None
        if stamp_ns != self._stamps[stream]:
            self._stamps[stream], self._advanced[stream] = stamp_ns, self._time(now)
        self._arrived[stream] = now
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

    def _is_set_back(self, stream: int, by_ns: int, now: float) -> bool:
        """Whether a stamp behind the newest says that the clock was set back; otherwise the message is late."""
        if self._back_since[stream] is None:
            self._back_since[stream] = now
        self._back_count[stream] += by_ns > _JUMP_NS
        return self._back_count[stream] >= _JUMPED or now - self._back_since[stream] > _BACK_S

    def _empty(self) -> np.ndarray:
        """float64 [observations] that nothing is known of yet; its age, which no stream carries, is 0."""
        vector = np.full(len(self._contract.observation), np.nan)
        if self._contract.age_place is not None:
            vector[self._contract.age_place] = 0.0
        return vector

    def _complete(self, vector: np.ndarray, stamp_ns: int, now: float) -> Observation:
        self._newest = stamp_ns
        self.last_complete = now
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
                result.append(f"{stream.topic}: nothing received")
            elif now - arrived > stream.stale_after_s:
                result.append(f"{stream.topic}: silent for {now - arrived:.2f} s")
        return result

    def take_left_behind(self) -> dict[str, tuple[int, int]]:
        """By topic since the last call: messages that were left out because their stamps were behind, and all."""
        counts = zip(self._left_behind, self._received, strict=True)
        result = {stream.topic: count for stream, count in zip(self.streams, counts, strict=True)}
        self._received, self._left_behind = [0] * len(self.streams), [0] * len(self.streams)
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
        for stream, advanced in zip(self.streams, self._advanced, strict=True):
            still_s = self._time(now) - advanced
            if still_s > max(_FROZEN_S, stream.stale_after_s):
                return f"{stream.topic}: one stamp for {still_s:.1f} s: does its clock stand still?"
        limit = self.patience_s
        if self.last_complete is None or now - self.last_complete > limit:
            return f"no complete observation for more than {limit:g} s, though every stream delivers: stamps differ"
        return ""

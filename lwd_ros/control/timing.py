"""How often observations come, and by which clock they are stamped. Nothing here changes what is commanded."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from lwd_ros.control.statistics import Moments

_WINDOW_S, _WINDOW_PERIODS = 1.0, 10  # a rate is measured over so long at least
_RATE_SHARE = 0.1  # a rate that differs from the contract's by more is worth a sentence
_PAUSE_S, _PAUSE_PERIODS = 1.0, 3  # what comes after a longer silence begins anew
_CLOCKS_APART_S = 0.5  # a stamp further off the time, and than the stream may be stale, is of another clock ...
_SAMPLES, _SAMPLE_EVERY_S = 5, 0.1  # ... where so many looks in a row, that far apart, say so
_OTHER_EPOCH_S = 1e8  # clocks that are three years apart do not count from one day


STAMP_ARRIVAL = "write `stamp: arrival` for it in the contract"
"""The way out where a stream's own stamps are of no use."""


class RateMeter:
    """Measures how often something comes, over windows of a second or ten periods, whichever is longer."""

    def __init__(self, period_s: float):
        """`period_s` is the control period, by which windows and pauses are counted."""
        self._window_s = max(_WINDOW_S, _WINDOW_PERIODS * period_s)
        self._pause_s = max(_PAUSE_S, _PAUSE_PERIODS * period_s)
        self._began = self._last = float("-inf")
        self._count = 0
        self._rate_hz: float | None = None

    def add(self, now: float) -> None:
        """It came at `now`, s of the steady clock."""
        silent_s, self._last = now - self._last, now
        if silent_s > self._pause_s:
            self._began, self._count, self._rate_hz = now, 0, None
            return
        self._count += 1
        if now - self._began >= self._window_s:
            self._rate_hz = self._count / (now - self._began)
            self._began, self._count = now, 0

    def rate_hz(self, now: float) -> float | None:
        """The rate in the last whole window; None before there is one, and after a pause."""
        return None if now - self._last > self._pause_s else self._rate_hz


class TickRate:
    """The rate of ticks that followed each other, from the intervals between them, over windows as a `RateMeter`'s."""

    def __init__(self, period_s: float):
        """`period_s` is the control period."""
        self._window_s = max(_WINDOW_S, _WINDOW_PERIODS * period_s)
        self.forget()

    def forget(self) -> None:
        """No policy runs: what was measured before says nothing of the next one."""
        self._intervals = Moments()
        self.hz: float | None = None
        """The rate in the last whole window, None before there is one."""

    def add(self, intervals: Moments) -> None:
        """Take a stretch of intervals, s."""
        self._intervals += intervals
        if self._intervals.total >= self._window_s:
            self.hz, self._intervals = 1.0 / self._intervals.mean, Moments()


class StampClock:
    """Looks now and then whether a stream's stamps are of this computer's clock."""

    def __init__(self, stale_after_s: float, clock_ns: Callable[[], int]):
        self._limit_s, self._clock_ns = max(_CLOCKS_APART_S, stale_after_s), clock_ns
        self._looked = float("-inf")
        self._offsets: deque[float] = deque(maxlen=_SAMPLES)
        self.stamp_ns = 0
        """The stamp at the last look."""

    def add(self, stamp_ns: int, now: float) -> None:
        """A message stamped `stamp_ns` arrived at `now`, s of the steady clock."""
        if now - self._looked < _SAMPLE_EVERY_S:
            return
        self._looked = now
        clock_ns = self._clock_ns()
        if clock_ns <= 0:
            return  # a simulation's clock that has not begun
        offset_s = 1e-9 * (stamp_ns - clock_ns)
        if abs(offset_s) <= self._limit_s or (self._offsets and offset_s * self._offsets[-1] < 0.0):
            self._offsets.clear()
            return
        self._offsets.append(offset_s)
        self.stamp_ns = stamp_ns

    @property
    def ahead_s(self) -> float | None:
        """How far stamps are ahead of the clock for some time now, s, below 0 if behind; None where they are not."""
        return min(self._offsets, key=abs) if len(self._offsets) == _SAMPLES else None


class ClockProblem(NamedTuple):
    """Streams whose stamps are of another clock, and the sentence on them. `kind` tells clocks apart."""

    topics: tuple[str, ...]
    kind: str
    ahead_s: float
    sentence: str


class StreamTiming:
    """Rates and clocks of all observation streams of a contract.

    `paced_by` are the places of the streams that set the pace; more than one where stamps must agree. `clock_ns` is
    this computer's time, that of `/clock` with `simulated_time`; None where nobody asks whose stamps they are.
    """

    def __init__(
        self,
        streams,
        period_s: float,
        paced_by: tuple[int, ...],
        clock_ns: Callable[[], int] | None,
        simulated_time: bool,
    ):
        self._streams, self._period_s, self._paced_by = streams, period_s, paced_by
        self._clock_ns, self._simulated_time = clock_ns, simulated_time
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self._meters = [RateMeter(self._period_s) for _ in self._streams]
        self._complete = RateMeter(self._period_s)
        self._clocks = []
        if self._clock_ns is not None:
            self._clocks = [StampClock(stream.stale_after_s, self._clock_ns) for stream in self._streams]

    def add(self, stream: int, stamp_ns: int, now: float) -> None:
        """A message of stream number `stream` arrived."""
        self._meters[stream].add(now)
        if self._clocks:
            self._clocks[stream].add(stamp_ns, now)

    def completed(self, now: float) -> None:
        """An observation was complete."""
        self._complete.add(now)

    def rates_hz(self, now: float) -> list[tuple[str, float | None]]:
        """(topic, measured rate), one for each stream; None where it is not known."""
        return [(s.label, meter.rate_hz(now)) for s, meter in zip(self._streams, self._meters, strict=True)]

    def rate_problem(self, now: float, answers_each: bool = True) -> str:
        """One sentence where observations come at another rate than the contract's, '' where they do not.

        Without `answers_each`, where ticks have deadlines of their own, too many are no problem. A simulation's rate
        means nothing, for its time passes as fast as it likes.
        """
        complete_hz = self._complete.rate_hz(now)
        if complete_hz is None or self._simulated_time:
            return ""
        share = self.off(complete_hz)
        if not share or (share > 0.0 and not answers_each):
            return ""
        rates = self.rates_hz(now)
        topics = [rates[place][0] for place in self._paced_by if share * self.off(rates[place][1]) > 0.0]
        return self.sentence(", ".join(topics) or "complete observations", complete_hz)

    def complete_off(self, now: float) -> float:
        """As `off`, of the rate of complete observations."""
        return self.off(self._complete.rate_hz(now))

    def off(self, rate_hz: float | None) -> float:
        """By which share a rate is above or below (negative) the contract's; 0 within 10 %, or where it is unknown."""
        share = 0.0 if rate_hz is None else rate_hz * self._period_s - 1.0
        return share if abs(share) > _RATE_SHARE else 0.0

    def sentence(self, what: str, rate_hz: float | None) -> str:
        """What is to be said of a rate that is not the contract's: one for which `off` is not 0, so it is known."""
        assert rate_hz is not None
        return f"{what}: {rate_hz:.1f} Hz, the contract's period asks for {1 / self._period_s:g} Hz"

    def clock_problems(self) -> list[ClockProblem]:
        """Whose stamps are of another clock than this computer's; streams that are off alike share a sentence."""
        groups: list[tuple[str, float, int, list[str]]] = []
        for stream, clock in zip(self._streams, self._clocks, strict=bool(self._clocks)):
            ahead_s = clock.ahead_s
            if ahead_s is None:
                continue
            kind = "epoch" if abs(ahead_s) > _OTHER_EPOCH_S else "ahead" if ahead_s > 0.0 else "behind"
            kind = kind if clock.stamp_ns else "zero"
            alike = (group for group in groups if group[0] == kind and abs(group[1] - ahead_s) <= _CLOCKS_APART_S)
            group = next(alike, None)
            if group is None:
                groups.append((kind, ahead_s, clock.stamp_ns, [stream.label]))
            else:
                group[3].append(stream.label)
        return [
            ClockProblem(tuple(topics), kind, ahead_s, self._clock_sentence(topics, kind, ahead_s, stamp_ns))
            for kind, ahead_s, stamp_ns, topics in groups
        ]

    def _clock_sentence(self, topics: list[str], kind: str, ahead_s: float, stamp_ns: int) -> str:
        streams, ours = ", ".join(topics), "/clock" if self._simulated_time else "this computer's clock"
        if kind == "zero":
            return f"{streams}: stamps are 0, expected the time; where a driver does not stamp, {STAMP_ARRIVAL}"
        stamp_s = 1e-9 * stamp_ns
        if kind == "epoch":
            found = f"{streams}: stamps ({stamp_s:.1f} s) are of another clock than {ours} ({stamp_s - ahead_s:.1f} s)"
            if self._simulated_time:
                return f"{found}; expected the simulation's time, or use_sim_time: false"
            return f"{found}; of a simulation? set use_sim_time; a driver's uptime? {STAMP_ARRIVAL}"
        mend = "do the stamps come from that clock?"
        if not self._simulated_time:
            mend = f"synchronise the clocks (NTP, PTP), or {STAMP_ARRIVAL}"
        return f"{streams}: stamps are {abs(ahead_s):.1f} s {kind} {'of ' * (kind == 'ahead')}{ours}; {mend}"

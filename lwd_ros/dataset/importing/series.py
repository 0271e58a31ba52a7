"""What one stream of a contract said in a recording: its stamps, when they were recorded, its numbers."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lwd_ros.dataset.demonstrations import DatasetError

CLOCKS_APART_S = 0.5
"""Stamps that are further than this from where another stream's lie are of another clock, as the controller has it."""

STAMP_ARRIVAL = "write `stamp: arrival` for it in the contract"

_LEAST_SHIFT_NS = 5_000_000  # less is the jitter of a network and a recorder, and moves no row
_WINDOW = 10  # messages on either side of a step that say where the clock was and is
_MOST_SHIFTS = 20  # a clock that steps more often is none
LATE = "it came after a newer one, as the controller leaves it out"


@dataclass(frozen=True)
class Series:
    """The messages of one stream that could be used.

    As gathered they are in the order of recording, of commands always; `ordered` puts observations in that of stamps.

    Attributes:
        label: what the stream is called in sentences.
        indices: places of its scalars in the observation or command vector.
        stamps_ns: int64 [N], of the header, or when they were recorded for `stamp: arrival`.
        log_ns: int64 [N], when they were recorded, by the recorder's clock.
        values: float64 [N, scalars].
        by_header: whether `stamps_ns` are those of headers.
        timeless: of static transforms: it holds at any time.
        stale_after_s: how old an observation may be; of a command how long it is held.
        left_out: messages that could not be used, and `why` the first of them could not.
        unstamped: bool [N], or None: commands of stamp 0 among stamped ones, which count by when they were recorded;
            their `stamps_ns` lie between those of the others, for figures of rates and gaps alone.
    """

    label: str
    indices: tuple[int, ...]
    stamps_ns: np.ndarray
    log_ns: np.ndarray
    values: np.ndarray
    by_header: bool
    timeless: bool = False
    stale_after_s: float = 0.0
    left_out: int = 0
    why: str = ""
    unstamped: np.ndarray | None = None

    @property
    def rate_hz(self) -> float:
        """Messages per second, by the median interval of their stamps; 0 for fewer than two stamps."""
        period_ns = self.period_ns
        return 1e9 / period_ns if period_ns else 0.0

    @property
    def period_ns(self) -> float:
        """The median interval of stamps that grow; 0 for fewer than two stamps."""
        steps = np.diff(self.stamps_ns)
        steps = steps[steps > 0]
        return float(np.median(steps)) if steps.size else 0.0

    def clock(self, by_header: bool) -> np.ndarray:
        """int64 [N]: header stamps, or when they were recorded."""
        return self.stamps_ns if by_header and self.by_header else self.log_ns

    def taken(self, places: np.ndarray) -> "Series":
        """The messages at these places (a mask or indices)."""
        unstamped = None if self.unstamped is None else self.unstamped[places]
        stamps, logs, values = self.stamps_ns[places], self.log_ns[places], self.values[places]
        return replace(self, stamps_ns=stamps, log_ns=logs, values=values, unstamped=unstamped)

    @property
    def stamped(self) -> "Series":
        """The messages that have a stamp of their own."""
        return self if self.unstamped is None else self.taken(~self.unstamped)

    def between(self, first_ns: int, last_ns: int) -> "Series":
        """What was recorded in this time, ends included; all of what is timeless."""
        if self.timeless:
            return self
        return self.taken((self.log_ns >= first_ns) & (self.log_ns <= last_ns))


@dataclass(frozen=True)
class Shift:
    """A step of a stream's clock: every message from `log_ns` on is stamped `by_s` later than those before were."""

    label: str
    before_ns: int
    log_ns: int
    by_s: float

    def __str__(self) -> str:
        side = "back" if self.by_s < 0 else "ahead"
        return f"the stamps of {self.label} step {side} by {abs(self.by_s):.3f} s"


def shifts(where: str, series: Series) -> list[Shift]:
    """Where the clock of a stream's headers was set, back or ahead, however little beyond 5 ms or half a period.

    A late message is no step: those after it go on from those before it. Neither is a recorder that was busy: what it
    wrote late is stamped in time.

    Args:
        where: what asks, for the sentence.
        series: in the order of recording.

    Raises:
        DatasetError: the clock steps again and again: two publishers.
    """
    if not series.by_header or series.timeless or len(series.stamps_ns) < 3:
        return []
    found, begin = [], 0
    while (place := _first_step_back(series.stamps_ns[begin:], series.period_ns)) is not None:
        found.append(begin + place)
        begin += place
        if len(found) > _MOST_SHIFTS:
            raise DatasetError(
                f"{where}: {series.label}: found stamps that step back more than {_MOST_SHIFTS} times, expected one "
                f"clock: two publishers? {STAMP_ARRIVAL}"
            )
    bounds = [0, *found, len(series.stamps_ns)]
    for first, end in pairwise(bounds):
        found += _other_steps(series, first, end)
    found.sort()
    offsets = series.stamps_ns - series.log_ns
    result = []
    for place in found:
        before, after = offsets[max(place - _WINDOW, 0) : place], offsets[place : place + _WINDOW]
        by_s = 1e-9 * float(np.median(after) - np.median(before))
        result.append(Shift(series.label, int(series.log_ns[place - 1]), int(series.log_ns[place]), by_s))
    return result


def _first_step_back(stamps: np.ndarray, period: float) -> int | None:
    """Where stamps go back and stay there; a late one returns at once to where the others were."""
    tops = np.maximum.accumulate(stamps)
    behind = stamps < tops
    edges = np.flatnonzero(np.diff(np.concatenate(([False], behind, [False])).astype(np.int8)))
    for first, end in edges.reshape(-1, 2):
        back = float(tops[first] - stamps[first])
        if end == len(stamps):
            if end - first >= 3:
                return int(first)
        elif float(stamps[end] - stamps[end - 1]) <= 0.5 * back + 0.75 * period:
            return int(first)
    return None


def _other_steps(series: Series, first: int, end: int) -> list[int]:
    """Steps ahead, and such that are shorter than a period, between two places: stamps against recording times."""
    kept = first + np.flatnonzero(_in_time(series.stamps_ns[first:end]))
    stamps, logs = series.stamps_ns[kept], series.log_ns[kept]
    least = max(0.5 * series.period_ns, _LEAST_SHIFT_NS)
    steps = np.diff(stamps)
    excess = steps - np.diff(logs)
    offsets, result, last = (stamps - logs).astype(np.float64), [], 0
    for place in 1 + np.flatnonzero((np.abs(steps - series.period_ns) > least) & (np.abs(excess) > least)):
        before, after = offsets[max(place - _WINDOW, last) : place], offsets[place : place + _WINDOW]
        if min(len(before), len(after)) < _WINDOW // 2:
            continue
        by = abs(float(np.median(after) - np.median(before)))
        spread = max(float(np.ptp(np.percentile(each, (20, 80)))) for each in (before, after))
        if by > max(least, 0.5 * abs(float(excess[place - 1]))) and spread < 0.5 * by:
            result.append(int(kept[place]))
            last = int(place)
    return result


def _in_time(stamps: np.ndarray) -> np.ndarray:
    """bool [N]: messages that are not older than one before them."""
    return stamps >= np.maximum.accumulate(stamps) if len(stamps) else np.zeros(0, bool)


def ordered(series: Series, leave_late_out: bool) -> Series:
    """A stream without steps in the order of its stamps.

    Args:
        series: in the order of recording.
        leave_late_out: whether a message that is older than one before it is left out and counted, as the controller
            does under `sync: latest`; else it finds its place. No message's times are changed.
    """
    if series.timeless or not series.by_header:
        return series
    in_time = _in_time(series.stamps_ns)
    if in_time.all():
        return series
    if not leave_late_out:
        return series.taken(np.argsort(series.stamps_ns, kind="stable"))
    late = int((~in_time).sum())
    return replace(series.taken(in_time), left_out=series.left_out + late, why=series.why or LATE)


def apart_s(series: Series, pacing: Series) -> float:
    """By how much a stream's header stamps are ahead of the pacing stream's, s: the median.

    Both clocks are compared by when messages were recorded, so that a simulation's time may run at any speed.
    """
    expected = log_of(pacing, series.stamps_ns)
    return 1e-9 * float(np.median(expected - series.log_ns))


def between_stamps(stamps_ns: np.ndarray, log_ns: np.ndarray, unstamped: np.ndarray) -> np.ndarray:
    """int64 [N]: stamps, where `unstamped` (bool [N], not all) such as the others' make of the recording times.

    Between two messages they are interpolated; outside them one second of recording is a second of stamps.
    """
    logs, stamps, at = log_ns[~unstamped], stamps_ns[~unstamped], log_ns[unstamped]
    inside = np.interp((at - logs[0]).astype(np.float64), (logs - logs[0]).astype(np.float64),
                       (stamps - stamps[0]).astype(np.float64))  # fmt: skip
    result = stamps_ns.copy()
    outside = np.minimum(at - logs[0], 0) + np.maximum(at - logs[-1], 0)
    result[unstamped] = stamps[0] + np.round(inside).astype(np.int64) + outside
    return result


def log_of(pacing: Series, stamps_ns: np.ndarray) -> np.ndarray:
    """int64 [N]: when something of these stamps was recorded, by the pacing stream's stamps and recording times.

    Between two messages it is interpolated; outside them one second of stamps is a second of recording.
    """
    first, last = int(pacing.stamps_ns[0]), int(pacing.stamps_ns[-1])
    inside = np.interp(
        (np.clip(stamps_ns, first, last) - first).astype(np.float64),
        (pacing.stamps_ns - first).astype(np.float64),
        (pacing.log_ns - pacing.log_ns[0]).astype(np.float64),
    )
    outside = np.minimum(stamps_ns - first, 0) + np.maximum(stamps_ns - last, 0)
    return pacing.log_ns[0] + np.round(inside).astype(np.int64) + outside

"""What one stream of a contract said in a recording: its stamps, when they were recorded, its numbers."""

from dataclasses import dataclass

import numpy as np

from lwd_ros.dataset.demonstrations import DatasetError

CLOCKS_APART_S = 0.5
"""Stamps that are further than this from where another stream's lie are of another clock, as the controller has it."""

_BACK_S = 1.0  # stamps that go back by more are of a clock that was set back: rows before and after would be mixed
STAMP_ARRIVAL = "write `stamp: arrival` for it in the contract"


@dataclass(frozen=True)
class Series:
    """The messages of one stream that could be used, in the order of their stamps.

    Attributes:
        label: what the stream is called in sentences.
        indices: places of its scalars in the observation or command vector.
        stamps_ns: int64 [N], of the header, or when they were recorded for `stamp: arrival`; they never decrease.
        log_ns: int64 [N], when they were recorded, by the recorder's clock.
        values: float64 [N, scalars].
        by_header: whether `stamps_ns` are those of headers.
        timeless: of static transforms: it holds at any time.
        stale_after_s: how old an observation may be; of a command how long it is held.
        left_out: messages that could not be used, and `why` the first of them could not.
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

    @property
    def rate_hz(self) -> float:
        """Messages per second, by the median interval of their stamps; 0 for fewer than two stamps."""
        steps = np.diff(self.stamps_ns)
        steps = steps[steps > 0]
        return 1e9 / float(np.median(steps)) if steps.size else 0.0

    @property
    def longest_gap_ms(self) -> float:
        """The longest time between two messages, ms."""
        return 1e-6 * float(np.diff(self.stamps_ns).max()) if len(self.stamps_ns) > 1 else 0.0

    def clock(self, by_header: bool) -> np.ndarray:
        """int64 [N]: header stamps, or when they were recorded; sorted either way where the recording is."""
        return self.stamps_ns if by_header and self.by_header else self.log_ns


def ordered(where: str, series: Series) -> Series:
    """The series in the order of its stamps; raises DatasetError where its clock was set back."""
    back_s = 1e-9 * float(-np.diff(series.stamps_ns).min(initial=0))
    if back_s > _BACK_S:
        place = int(np.argmin(np.diff(series.stamps_ns))) + 1
        at_s = 1e-9 * float(series.log_ns[place] - series.log_ns[0])
        raise DatasetError(
            f"{where}: {series.label}: found stamps that go back by {back_s:.3f} s after {at_s:.1f} s, expected one "
            "clock; cut the recording there, or " + STAMP_ARRIVAL
        )
    order = np.argsort(series.stamps_ns, kind="stable")
    if (order[1:] > order[:-1]).all():
        return series
    return Series(
        series.label,
        series.indices,
        series.stamps_ns[order],
        np.maximum.accumulate(series.log_ns[order]),
        series.values[order],
        series.by_header,
        series.timeless,
        series.stale_after_s,
        series.left_out,
        series.why,
    )


def apart_s(series: Series, pacing: Series) -> float:
    """By how much a stream's header stamps are ahead of the pacing stream's, s: the median.

    Both clocks are compared by when messages were recorded, so that a simulation's time may run at any speed.
    """
    expected = log_of(pacing, series.stamps_ns)
    return 1e-9 * float(np.median(expected - series.log_ns))


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

"""Figures of a recording's streams over all its episodes, and what is worth a warning."""

from dataclasses import dataclass, field

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset.importing.extraction import Extracted
from lwd_ros.dataset.importing.making import Made
from lwd_ros.dataset.importing.report import StreamReport
from lwd_ros.dataset.importing.resampling import Clock, ahead_s, carries
from lwd_ros.dataset.importing.series import Series


@dataclass
class _Stream:
    """What was gathered of one stream."""

    stamps: str
    messages: int = 0
    left_out: int = 0
    why: str = ""
    gap_ns: int = 0
    carried: bool = False
    steps_ns: list[np.ndarray] = field(default_factory=list)
    ahead_s: list[float] = field(default_factory=list)
    ages_s: list[np.ndarray] = field(default_factory=list)
    delays_s: list[np.ndarray] = field(default_factory=list)

    def add(self, series: Series, made: Made, clock: Clock) -> None:
        self.messages += len(series.stamps_ns)
        self.left_out += series.left_out
        self.why = self.why or series.why
        steps = np.diff(series.stamps_ns)
        self.steps_ns.append(steps[steps > 0])
        for first_ns, last_ns in made.times:
            gaps = np.diff(series.between(first_ns, last_ns).stamps_ns)
            self.gap_ns = max(self.gap_ns, int(gaps.max(initial=0)))
        off_s = ahead_s(series, clock)
        self.ahead_s += [] if off_s is None else [off_s]

    @property
    def period_s(self) -> float:
        steps = np.concatenate(self.steps_ns) if self.steps_ns else np.empty(0)
        return 1e-9 * float(np.median(steps)) if steps.size else 0.0


def _median(parts: list) -> float | None:
    """The median of arrays or numbers without NaN, times 1000: ms of s; None of nothing."""
    values = np.concatenate([np.atleast_1d(each) for each in parts]) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    return round(1e3 * float(np.median(values)), 3) if values.size else None


class Tally:
    """The streams of one recording."""

    def __init__(self, recording: str, contract: Contract):
        self._recording, self._contract, self._pacing = recording, contract, ""
        self._streams: dict[tuple[str, str], _Stream] = {}

    def add(self, segment: Extracted, clock: Clock, made: Made) -> None:
        """One segment, the clock of its rows, and what was made of it."""
        self._pacing = clock.label
        latest = self._contract.require_binding().sync == "latest"
        for number, series in enumerate(segment.observation):
            each = self._of("observation", series)
            each.add(series, made, clock)
            if latest and not series.timeless:
                each.ages_s += [ages[:, number] for ages in made.ages_s if ages.shape[1]]
        for series in segment.command:
            each = self._of("command", series)
            each.add(series, made, clock)
            each.carried |= carries(series, clock)
            each.delays_s += made.delays_s.get(series.label, [])

    def _of(self, part: str, series: Series) -> _Stream:
        stamps = "none" if series.timeless else "header" if series.by_header else "arrival"
        return self._streams.setdefault((part, series.label), _Stream(stamps))

    def reports(self) -> list[StreamReport]:
        """One of each stream."""
        return [
            StreamReport(
                self._recording,
                part,
                label,
                each.messages,
                round(1.0 / each.period_s, 3) if each.period_s else 0.0,
                round(1e-6 * each.gap_ns, 1),
                each.stamps,
                _median(each.ahead_s),
                _median(each.ages_s),
                _median(each.delays_s),
                each.left_out,
                each.why,
            )
            for (part, label), each in self._streams.items()
        ]

    def warnings(self) -> list[str]:
        """Sentences on clocks that differ, on observations that are old and on commands that answer late."""
        result, period_ms = [], 1e3 * self._contract.period_s
        for (part, label), each in self._streams.items():
            where = f"{self._recording}: {label}"
            ahead, age, delay = _median(each.ahead_s), _median(each.ages_s), _median(each.delays_s)
            if ahead is not None and not each.carried and part == "command" and abs(ahead) > 0.5 * period_ms:
                side = "ahead of" if ahead > 0 else "behind"
                result.append(
                    f"{where}: its stamps are {abs(ahead):.1f} ms {side} those of {self._pacing}, against the "
                    "recorder's clock; its commands count by when they were recorded"
                )
            if ahead is not None and part == "observation" and ahead > 0.5 * period_ms:
                result.append(
                    f"{where}: its stamps are {ahead:.1f} ms ahead of those of {self._pacing}, against the recorder's "
                    "clock: two clocks, or that stream is slow; how old it is cannot be told better than that"
                )
            if age is not None and age > max(period_ms, 1e3 * each.period_s):
                result.append(
                    f"{where}: what rows have of it is {age:.1f} ms old (median), more than a period, as it was for "
                    "whoever commanded; a policy must get it as late"
                )
            if delay is not None and delay > period_ms:
                way = (
                    "each row has the command that carries its stamp"
                    if each.carried
                    else "rows have the command before; let commands carry the observation's stamp (`stamp: "
                    "observation`), import --actions tick, or take a longer period_s"
                )
                result.append(
                    f"{where}: commands come {delay:.1f} ms after what they answer (median), later than a period of "
                    f"{period_ms:.4g} ms: {way}"
                )
        return result

"""From spans of a recording to episodes: rows, actions, holes, and what is said of each."""

from dataclasses import dataclass, field

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset.demonstrations import DatasetError, Episode
from lwd_ros.dataset.importing.asking import DROP, REFUSE, Settings
from lwd_ros.dataset.importing.episodes import Span
from lwd_ros.dataset.importing.report import EpisodeReport
from lwd_ros.dataset.importing.resampling import Clock, Rows, answers, pieces, rows
from lwd_ros.dataset.importing.series import Series
from lwd_ros.dataset.importing.ticks import Ticks

_LATER_PERIODS = 3  # a place measured later than this is no answer to where the robot was
_MISSED_SHARE = 0.02  # of rows, from which it is said that messages are missing


@dataclass
class Made:
    """What became of spans: episodes by task, reports, and figures of the rows that were imported.

    `times` are the first and the last recording time of each episode, ns; `ages_s` float64 [rows, streams] of each,
    `delays_s` arrays of each command stream's label.
    """

    episodes: list[tuple[str, Episode]] = field(default_factory=list)
    reports: list[EpisodeReport] = field(default_factory=list)
    times: list[tuple[int, int]] = field(default_factory=list)
    ages_s: list[np.ndarray] = field(default_factory=list)
    delays_s: dict[str, list[np.ndarray]] = field(default_factory=dict)


@dataclass
class Maker:
    """Turns spans of one recording, or of a segment of it, into episodes."""

    where: str
    contract: Contract
    settings: Settings
    observation: list[Series]
    commands: list[Series]
    sources: dict[int, int] | None
    clock: Clock
    ticks: Ticks | None
    first_ns: int
    made: Made = field(default_factory=Made)

    def add(self, span: Span) -> None:
        """The episodes of one span, and what is said of it, go to `made`; DatasetError under --holes refuse."""
        result = self.made
        why = span.left_out
        if not why and span.success is False and not self.settings.keep_failed:
            why = "failed; --keep-failed imports it"
        found = None if why else self._rows(span)
        if not why and found is None:
            why = f"nothing of {self.clock.label} was recorded in it"
        if found is None:
            result.reports.append(self.report(span, why=why))
            return
        table, actions, missing = found
        usable = np.isfinite(table.observation).all(axis=1) & np.isfinite(actions).all(axis=1)
        silent = np.where(table.silent != "", table.silent, missing)
        cut = pieces(table, usable, silent, self.clock.label)
        holes = [str(hole) for hole in cut.holes]
        if holes and self.settings.holes == REFUSE:
            raise DatasetError(
                f"{self._source(span.start_ns, span.end_ns)}: found {'; '.join(holes)}, expected no hole under --holes "
                "refuse; nothing was written"
            )
        if holes and self.settings.holes == DROP:
            result.reports.append(self.report(span, why=f"left out for its holes: {'; '.join(holes)}"))
            return
        if not cut.slices:
            label, ms = cut.late
            result.reports.append(self.report(span, why=f"no row is whole: {ms:,.0f} ms without {label}"))
            return
        late, early = (
            [f"{ms:,.0f} ms without {label} at its {side}"] if ms > 1.5e3 * self.contract.period_s else []
            for side, (label, ms) in (("beginning", cut.late), ("end", cut.early))
        )
        least = max(2, round(self.settings.least_s / self.contract.period_s))
        for number, part in enumerate(cut.slices):
            length = part.stop - part.start
            name = f"part {number + 1} of {len(cut.slices)}" if len(cut.slices) > 1 else ""
            begin, end = int(table.log_ns[part.start]), int(table.log_ns[part.stop - 1])
            is_last = number == len(cut.slices) - 1
            seconds = (
                1e-9 * float(table.stamps_ns[part.stop - 1] - table.stamps_ns[part.start]) + self.contract.period_s
            )
            said = [
                name,
                span.said,
                *([] if number else late),
                *holes[max(number - 1, 0) : number + 1],
                *(early if is_last else []),
            ]
            if length < least:
                why = f"{length} rows are fewer than {least} (--least-s)"
                result.reports.append(self.report(span, begin, end, length, why, said, seconds))
                continue
            missed = round(1e-9 * float(table.stamps_ns[part.stop - 1] - table.stamps_ns[part.start])
                           / self.contract.period_s) + 1 - length  # fmt: skip
            if missed > _MISSED_SHARE * length:
                said.append(f"{missed} periods without a message of {self.clock.label}")
            source = self._source(begin, end)
            episode = Episode(table.observation[part].copy(), actions[part].copy(), 0, "", source, span.way)
            result.episodes.append((span.task, episode))
            result.reports.append(self.report(span, begin, end, length, "", said, seconds))
            result.times.append((begin, end))
            result.ages_s.append(table.ages_s[part])

    def _rows(self, span: Span) -> tuple[Rows, np.ndarray, np.ndarray] | None:
        """(rows, actions float64 [T, commands] with NaN where there is none, who was missing there)."""
        if self.ticks is not None:
            found = self.ticks.rows(span.start_ns, span.end_ns)
            return None if found is None else (*found, np.full(len(found[1]), "", dtype=object))
        table = rows(self.contract, self.observation, self.clock, span.start_ns, span.end_ns)
        if table is None:
            return None
        actions = np.full((len(table.stamps_ns), len(self.contract.command)), np.nan)
        missing = np.full(len(table.stamps_ns), "", dtype=object)
        if self.sources is not None:
            return self._following(table, actions, missing)
        for series in self.commands:
            values, fresh, delays = answers(self.contract, series, self.clock, table)
            self.made.delays_s.setdefault(series.label, []).append(delays)
            actions[:, list(series.indices)] = np.where(fresh[:, None], values, np.nan)
            missing[~fresh & (missing == "")] = f"the command {series.label}"
        return table, actions, missing

    def _following(self, table: Rows, actions: np.ndarray, missing: np.ndarray):
        """Actions are what was measured one period later; the last row has none."""
        assert self.sources is not None
        for command, observed in self.sources.items():
            actions[:-1, command] = table.observation[1:, observed]
        missing[:-1] = table.silent[1:]
        whole = slice(0, len(actions) - 1)
        far = np.diff(table.stamps_ns, append=table.stamps_ns[-1]) > 1e9 * _LATER_PERIODS * self.contract.period_s
        before_break = np.append(table.breaks[1:], False) | far
        actions[before_break] = np.nan
        missing[before_break] = self.clock.label
        if len(actions) < 2:
            return None
        return table.part(whole), actions[whole], missing[whole]

    def _source(self, start_ns: int, end_ns: int) -> str:
        start_s, end_s = (1e-9 * (each - self.first_ns) for each in (start_ns, end_ns))
        return f"{self.where}, {start_s:.2f} to {end_s:.2f} s"

    def report(self, span: Span, begin=None, end=None, length=0, why="", said=(), seconds=0.0) -> EpisodeReport:
        """What is said of a span, or of rows of it from `begin` to `end`, ns."""
        begin, end = (span.start_ns if begin is None else begin), (span.end_ns if end is None else end)
        return EpisodeReport(
            span.task,
            self._source(begin, end),
            length,
            round(seconds, 6),
            span.success,
            why,
            [each for each in said if each],
        )

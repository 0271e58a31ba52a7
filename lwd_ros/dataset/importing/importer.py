"""Recordings to a dataset: every step of `lwd import-bag` but the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract, Stream
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.demonstrations import DatasetError, Episode
from lwd_ros.dataset.importing import episodes as marks
from lwd_ros.dataset.importing.episodes import MARKER, Span
from lwd_ros.dataset.importing.extraction import COMMAND_HELD_S, Extracted, Wanted, extract, with_fields
from lwd_ros.dataset.importing.names import Names, require_topic
from lwd_ros.dataset.importing.quality import limited, scalars
from lwd_ros.dataset.importing.report import EpisodeReport, Report, StreamReport
from lwd_ros.dataset.importing.resampling import Clock, Rows, answers, pacing, pieces, rate_problem, rows
from lwd_ros.dataset.importing.series import Series
from lwd_ros.dataset.importing.ticks import TICK, Ticks
from lwd_ros.dataset.writing import require_room, write_dataset

BOUND, OBSERVED, TICK_ACTIONS = "bound", "observed", "tick"
CUT, DROP, REFUSE = "cut", "drop", "refuse"
GAPS, MARKS, SERVICES, WHOLE = "gaps", "marks", "services", "whole"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Settings:
    """How recordings become episodes; the options of `lwd import-bag` say what each means."""

    task: str = ""
    task_from_folder: bool = False
    episodes: str | Path = ""
    marker: str = ""
    keep_failed: bool = False
    actions: str = BOUND
    observed: dict[str, str] = field(default_factory=dict)
    command_topics: dict[str, str] = field(default_factory=dict)
    names: Names = Names()
    holes: str = CUT
    least_s: float = 1.0
    rest_s: float = 1.0
    rest_threshold: float = 0.02
    held_s: float = COMMAND_HELD_S
    any_rate: bool = False
    clip: bool = False
    joined: bool = False

    def as_dict(self) -> dict:
        """What stands in the dataset: nothing of where the recordings lie or how they are stored."""
        keys = ("actions", "holes", "least_s", "held_s", "keep_failed", "clip")
        return {"made_by": "import-bag", **{key: getattr(self, key) for key in keys}}


@dataclass
class _Imported:
    """What one recording gave."""

    episodes: list[tuple[str, Episode]]
    reports: list[EpisodeReport]
    streams: list[StreamReport]
    warnings: list[str]


def import_bags(
    paths: Sequence[Path],
    contract: Contract,
    out: Path,
    settings: Settings,
    progress: Callable[[str, int | None], Progress] = lambda name, total: lambda count: None,
) -> Report:
    """Import recordings and write the dataset, all of it or nothing.

    Args:
        paths: a recording each, or with `settings.joined` the parts of one.
        contract: with a binding.
        out: a new or an empty folder.
        settings: see `Settings`.
        progress: for a recording's name and its number of messages, what is told how many more were read.

    Raises:
        LwdError: a recording cannot be read or does not fit the contract; nothing was written.
    """
    require_room(out)
    contract.require_binding()
    report = Report(contract, out)
    by_task: dict[str, list[Episode]] = {}
    recordings = [list(paths)] if settings.joined else [[path] for path in paths]
    for parts in recordings:
        bag = open_bags(parts)
        imported = _import(bag, parts[0], contract, settings, len(recordings) > 1, progress)
        report.recordings.append((bag.name, list(bag.problems)))
        report.episodes += imported.reports
        report.streams += imported.streams
        report.warnings += [each for each in imported.warnings if each not in report.warnings]
        for task, episode in imported.episodes:
            by_task.setdefault(task, []).append(episode)
    if not by_task:
        raise DatasetError(f"found no episode to import, expected at least one{report.why_none()}; nothing was written")
    numbered = {
        task: [replace(episode, layout=number) for number, episode in enumerate(members)]
        for task, members in by_task.items()
    }
    mended, clipped = limited(contract, numbered, settings.clip)
    report.data = mended
    report.scalars = scalars(contract, [each for members in mended.values() for each in members], clipped)
    report.meta = write_dataset(out, contract, mended, settings.as_dict())
    return report


def _import(bag, path: Path, contract: Contract, settings: Settings, several: bool, progress) -> _Imported:
    """The episodes of one recording."""
    task = path.resolve().parent.name if settings.task_from_folder else settings.task
    method = settings.episodes or _method(bag, settings, task)
    ticks = _ticks(bag, contract) if settings.actions == TICK_ACTIONS else None
    wanted, marking = _wanted(bag, contract, settings, task, method, ticks)
    topics = {*wanted.handlers, *(wanted.names.resolve(s.topic) for s in contract.require_binding().observation_streams)}
    counts = [bag.topics[topic].count for topic in topics if topic in bag.topics]
    extracted = extract(bag, contract, wanted, progress(bag.name, None if None in counts else sum(counts)))
    warnings = [f"{bag.name}: {note}" for note in extracted.notes]
    clock = ticks[1].clock if ticks else pacing(bag.name, contract, extracted.observation)
    _require_rate(bag.name, contract, clock, settings, warnings)
    sources = marks.sources_of(contract, settings.observed) if settings.actions == OBSERVED else None
    commands = extracted.command
    if sources is not None:
        commands = marks.observed_commands(contract, extracted.observation, sources)
    spans = _spans(bag, contract, settings, method, marking, extracted, commands, task, several)
    marks.require_tasks([span for span in spans if not span.left_out], bag.name)
    first_ns = bag.start_ns if bag.start_ns is not None else extracted.first_ns
    made = _Made(bag.name, contract, settings, extracted, commands, sources, clock, ticks[1] if ticks else None, first_ns)
    result = _Imported([], [], [StreamReport.of(bag.name, each, part) for part, members in (
        ("observation", extracted.observation), ("command", extracted.command)) for each in members], warnings)  # fmt: skip
    for span in spans:
        made.add(span, result)
    return result


def _method(bag, settings: Settings, task: str) -> str:
    """How episodes are found where nobody said: by marks where the recording has some."""
    if settings.marker:
        return ""
    if marks.of_type(bag, MARKER):
        return MARKS
    if marks.event_topics(bag):
        return SERVICES
    if task:
        return WHOLE
    raise DatasetError(
        f"{bag.name}: found no marks of episodes, expected --task NAME for the whole recording, --episodes gaps, "
        "--episodes FILE.csv, or --marker TOPIC"
    )


def _ticks(bag, contract: Contract) -> tuple[str, Ticks]:
    topics = marks.of_type(bag, TICK)
    if len(topics) != 1:
        found = " and ".join(topics) or "no topic of ticks"
        raise DatasetError(f"{bag.name}: found {found}, expected one of type {TICK} for --actions tick")
    stale = min(stream.stale_after_s for stream in contract.require_binding().observation_streams)
    return topics[0], Ticks(contract, topics[0], stale)


def _wanted(bag, contract: Contract, settings: Settings, task: str, method, ticks):
    """What to read, and who learns from it where episodes are."""
    handlers, marking = {}, None
    if settings.marker:
        topic = settings.names.resolve(settings.marker)
        if topic not in bag.topics:
            require_topic(bag, topic, "std_msgs/msg/String, Bool or Int", "--marker")
        marking = marks.Switch(topic, bag.topics[topic].type, task)
        handlers[topic] = marking.take
    elif method in (MARKS, SERVICES):
        marking = marks.Markers(task)
        topics = marks.of_type(bag, MARKER) if method == MARKS else marks.event_topics(bag)
        if not topics:
            expected = MARKER if method == MARKS else "events of lwd_msgs/srv/StartEpisode"
            raise DatasetError(f"{bag.name}: found no {method} of episodes, expected a topic of {expected}")
        handlers.update(dict.fromkeys(topics, marking.take if method == MARKS else marking.take_event))
    if ticks is not None:
        handlers[ticks[0]] = ticks[1].take
    commands, topics = (), {}
    if settings.actions == BOUND:
        commands, topics = _command_streams(bag, contract, settings)
    wanted = Wanted(settings.names, ticks is None, commands, topics, settings.held_s, handlers)
    return wanted, marking


def _command_streams(bag, contract: Contract, settings: Settings) -> tuple[list[Stream], dict[str, str]]:
    """The streams to read as commands, and topics that replace theirs.

    Another topic of the bound type is read by the bound fields. One of the type in which the robot tells the scalars
    that the commands target is read as that: a leader arm tells its joints as the follower does.
    """
    binding, streams, topics = contract.require_binding(), [], {}
    bound = {stream.topic: stream for stream in binding.command_streams}
    for name in settings.command_topics:
        if name not in bound:
            raise DatasetError(f"--command-topic: found '{name}', expected a command topic: {', '.join(bound)}")
    for stream in binding.command_streams:
        if stream.topic not in settings.command_topics:
            streams.append(stream)
            continue
        topic = settings.names.resolve(settings.command_topics[stream.topic])
        kind = bag.topics[topic].type if topic in bag.topics else ""
        if kind in ("", stream.type):
            streams.append(stream)
            topics[stream.topic] = topic
            continue
        streams.append(_leader(contract, stream, topic, kind))
    return streams, topics


def _leader(contract: Contract, stream: Stream, topic: str, kind: str) -> Stream:
    """A command stream read from a topic that tells places as the robot's own does; raises DatasetError."""
    sources = marks.sources_of(replace(contract, command=tuple(contract.command[i] for i in stream.indices)), {})
    targets = [contract.observation_names[sources[place]] for place in range(len(stream.indices))]
    for observed in contract.require_binding().observation_streams:
        if observed.type == kind and all(target in observed.names for target in targets):
            by_name = {name: each for name, _, each in observed.entries}
            fields = tuple(by_name[target] for target in targets if target in by_name)
            if len(fields) == len(targets):
                return with_fields(observed, topic, names=stream.names, indices=stream.indices, fields=fields)
    raise DatasetError(
        f"--command-topic: {topic} was recorded as {kind}, expected {stream.type}, or the type of the one observation "
        f"stream that carries {', '.join(targets)}"
    )


def _require_rate(where: str, contract: Contract, clock: Clock, settings: Settings, warnings: list[str]) -> None:
    sentence, refused = rate_problem(contract, clock)
    if refused and not settings.any_rate:
        raise DatasetError(
            f"{where}: {sentence}, expected rates that are closer: another period_s in the contract, another first "
            "stream under sync: latest, or --any-rate"
        )
    if sentence:
        repeated = ": rows repeat what was observed" if clock.rate_hz * contract.period_s < 1 else ""
        warnings.append(f"{where}: {sentence}; it is resampled{repeated}")


def _spans(bag, contract, settings, method, marking, extracted: Extracted, commands, task, several) -> list[Span]:
    first_ns = bag.start_ns if bag.start_ns is not None else extracted.first_ns
    if marking is not None:
        return marking.finish(extracted.last_ns)
    if method == GAPS:
        spans = marks.moving_spans(contract, commands, task, settings.rest_s, settings.rest_threshold)
        if not commands:
            raise DatasetError("--episodes gaps: found no command series, expected --actions bound or observed")
        if not spans:
            raise DatasetError(f"{bag.name}: found no command that moves, expected one for --episodes gaps")
        return spans
    if method == WHOLE:
        return [Span(task, extracted.first_ns, extracted.last_ns)]
    return marks.table_spans(Path(method), bag.name, first_ns, several)


@dataclass
class _Made:
    """Turns spans of one recording into episodes."""

    where: str
    contract: Contract
    settings: Settings
    extracted: Extracted
    commands: list[Series]
    sources: dict[int, int] | None
    clock: Clock
    ticks: Ticks | None
    first_ns: int

    def add(self, span: Span, result: _Imported) -> None:
        """The episodes of one span, and what is said of it, go to `result`."""
        why = span.left_out
        if not why and span.success is False and not self.settings.keep_failed:
            why = "failed; --keep-failed imports it"
        found = None if why else self._rows(span)
        if not why and found is None:
            why = f"nothing of {self.clock.label} was recorded in it"
        if found is None:
            result.reports.append(self._report(span, why=why))
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
            result.reports.append(self._report(span, why=f"left out for its holes: {'; '.join(holes)}"))
            return
        if not cut.slices:
            label, ms = cut.late
            result.reports.append(self._report(span, why=f"no row is whole: {ms:,.0f} ms without {label}"))
            return
        edges = [f"{ms:,.0f} ms without {label} at its {side}" for side, (label, ms) in (
            ("beginning", cut.late), ("end", cut.early)) if ms > 1.5e3 * self.contract.period_s]  # fmt: skip
        least = max(2, round(self.settings.least_s / self.contract.period_s))
        for number, part in enumerate(cut.slices):
            length = part.stop - part.start
            name = f"part {number + 1} of {len(cut.slices)}" if len(cut.slices) > 1 else ""
            begin, end = int(table.log_ns[part.start]), int(table.log_ns[part.stop - 1])
            said = [name, *holes[max(number - 1, 0) : number + 1], *edges]
            if length < least:
                why = f"{length} rows are fewer than {least} (--least-s)"
                result.reports.append(self._report(span, begin, end, length, why, said))
                continue
            source = self._source(begin, end)
            episode = Episode(table.observation[part].copy(), actions[part].copy(), 0, "", source)
            result.episodes.append((span.task, episode))
            result.reports.append(self._report(span, begin, end, length, "", said))

    def _rows(self, span: Span) -> tuple[Rows, np.ndarray, np.ndarray] | None:
        """(rows, actions float64 [T, commands] with NaN where there is none, who was missing there)."""
        if self.ticks is not None:
            found = self.ticks.rows(span.start_ns, span.end_ns)
            return None if found is None else (*found, np.full(len(found[1]), "", dtype=object))
        table = rows(self.contract, self.extracted.observation, self.clock, span.start_ns, span.end_ns)
        if table is None:
            return None
        actions = np.full((len(table.stamps_ns), len(self.contract.command)), np.nan)
        missing = np.full(len(table.stamps_ns), "", dtype=object)
        if self.sources is not None:
            return self._following(table, actions, missing)
        for series in self.commands:
            values, fresh = answers(self.contract, series, self.clock, table)
            actions[:, list(series.indices)] = np.where(fresh[:, None], values, np.nan)
            missing[~fresh & (missing == "")] = f"the command {series.label}"
        return table, actions, missing

    def _following(self, table: Rows, actions: np.ndarray, missing: np.ndarray):
        """Actions are what was measured one period later; the last row has none."""
        assert self.sources is not None
        for command, observed in self.sources.items():
            actions[:-1, command] = table.observation[1:, observed]
        whole = slice(0, len(actions) - 1)
        before_break = np.append(table.breaks[1:], False)
        actions[before_break] = np.nan
        missing[before_break] = self.clock.label
        parts = (table.stamps_ns, table.log_ns, table.observation, table.silent, table.breaks)
        if len(actions) < 2:
            return None
        return Rows(*(part[whole] for part in parts)), actions[whole], missing[whole]

    def _source(self, start_ns: int, end_ns: int) -> str:
        start_s, end_s = (1e-9 * (each - self.first_ns) for each in (start_ns, end_ns))
        return f"{self.where}, {start_s:.2f} to {end_s:.2f} s"

    def _report(self, span: Span, begin=None, end=None, length=0, why="", said=()) -> EpisodeReport:
        begin, end = (span.start_ns if begin is None else begin), (span.end_ns if end is None else end)
        return EpisodeReport(
            span.task,
            self._source(begin, end),
            length,
            round(length * self.contract.period_s, 6),
            span.success,
            why,
            [each for each in said if each],
        )

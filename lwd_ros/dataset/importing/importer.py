"""Recordings to a dataset: every step of `lwd import-bag` but the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lwd_ros.contract import Contract
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.demonstrations import DatasetError, Episode
from lwd_ros.dataset.importing import episodes as marks
from lwd_ros.dataset.importing.asking import (
    BOUND,
    GAPS,
    OBSERVED,
    TICK_ACTIONS,
    WHOLE,
    Settings,
    command_streams,
    method_of,
    ticks_of,
    wanted,
)
from lwd_ros.dataset.importing.episodes import Span
from lwd_ros.dataset.importing.extraction import Extracted, NothingFoundError, Wanted, extract
from lwd_ros.dataset.importing.making import Maker
from lwd_ros.dataset.importing.names import Names
from lwd_ros.dataset.importing.quality import limited, require_no_wrap, scalars
from lwd_ros.dataset.importing.report import EpisodeReport, Report
from lwd_ros.dataset.importing.resampling import Clock, pacing, rate_problem, segments
from lwd_ros.dataset.importing.tally import Tally
from lwd_ros.dataset.writing import require_room, write_dataset
from lwd_ros.errors import LwdError

Progress = Callable[[int], None]


@dataclass
class _Imported:
    """What one recording gave."""

    episodes: list[tuple[str, Episode]] = field(default_factory=list)
    reports: list[EpisodeReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


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
        with open_bags(parts) as bag:
            tally = Tally(bag.name, contract)
            imported = _import(bag, parts[0], contract, settings, len(recordings) > 1, progress, tally)
            report.recordings.append((bag.name, list(bag.problems)))
        report.episodes += imported.reports
        report.streams += tally.reports()
        report.warnings += [*imported.warnings, *tally.warnings()]
        for task, episode in imported.episodes:
            by_task.setdefault(task, []).append(episode)
    if not by_task:
        raise DatasetError(f"found no episode to import, expected at least one{report.why_none()}; nothing was written")
    numbered = {
        task: [replace(episode, layout=number) for number, episode in enumerate(members)]
        for task, members in by_task.items()
    }
    if settings.actions == OBSERVED:
        require_no_wrap(contract, numbered)
    mended, clipped = limited(contract, numbered, settings.clip)
    report.data = mended
    report.scalars = scalars(contract, [each for members in mended.values() for each in members], clipped)
    report.meta = write_dataset(out, contract, mended, settings.as_dict())
    return report


def _import(bag, path: Path, contract: Contract, settings: Settings, several: bool, progress, tally) -> _Imported:
    """The episodes of one recording, part by part: each has its own axis of time."""
    task = path.resolve().parent.name if settings.task_from_folder else settings.task
    method = method_of(bag, settings, task)
    topics = {
        *wanted(bag, contract, settings, task, method, None)[0].handlers,
        *(settings.names.recorded(bag, s.topic) for s in contract.require_binding().observation_streams),
    }
    counts = [bag.topics[topic].count for topic in topics if topic in bag.topics]
    tell = progress(bag.name, None if None in counts else sum(counts))
    result = _Imported(warnings=_several_publishers(bag, contract, settings))
    table = None
    if method not in ("", *marks.METHODS) and len(bag.parts) == 1:
        table = marks.table_spans(Path(method), bag.name, bag.origin_ns or 0, several)
    listed: dict[Span, bool] = {}  # by spans of a table, whether any part was recorded then
    named = any(part.name != bag.name for part in bag.parts)
    for part in bag.parts:
        if method not in ("", *marks.METHODS) and len(bag.parts) > 1:
            spans = marks.table_spans(Path(method), part.name, part.origin_ns or 0, several or named)
            listed = dict.fromkeys(spans, False) | listed
            table = [each for each in spans if each.start_ns <= (part.end_ns or 0) and each.end_ns >= part.start_ns]
        try:
            _import_part(part, contract, settings, task, method, table, tell, tally, result)
        except NothingFoundError as error:
            if len(bag.parts) == 1:
                raise
            result.reports.append(EpisodeReport(task, ", ".join(each.name for each in part.files), 0, 0.0, None,
                                                str(error), []))  # fmt: skip
        listed.update(dict.fromkeys(table or (), True))
    for each in [span for span, is_there in listed.items() if not is_there]:
        start_s, end_s = (1e-9 * (at_ns - (bag.origin_ns or 0)) for at_ns in (each.start_ns, each.end_ns))
        source = f"{bag.name}, {start_s:.2f} to {end_s:.2f} s"
        result.reports.append(EpisodeReport(each.task, source, 0, 0.0, each.success, "nothing was recorded in it", []))
    return result


def _several_publishers(bag, contract: Contract, settings: Settings) -> list[str]:
    """Sentences on topics of commands that several published: what one said is no answer to what another saw."""
    if settings.actions != BOUND:
        return []
    streams, others = command_streams(bag, contract, settings)
    names = [others.get(each.topic) or settings.names.recorded(bag, each.topic) for each in streams]
    several = [bag.topics[name] for name in dict.fromkeys(names) if name in bag.topics]
    return [
        f"{bag.name}: {each.name}: {each.publishers} publishers offered it while it was recorded; rows have the "
        "commands of all of them"
        for each in several
        if each.publishers > 1
    ]


def _import_part(part, contract: Contract, settings: Settings, task, method, table, tell, tally, result) -> None:
    """The episodes of one axis of time go to `result`, figures of its streams to `tally`."""
    ticks = ticks_of(part, contract, settings) if settings.actions == TICK_ACTIONS else None
    asked, marking = wanted(part, contract, settings, task, method, ticks)
    extracted = extract(part, contract, asked, tell)
    result.warnings += [f"{part.name}: {note}" for note in extracted.notes]
    sources = marks.sources_of(contract, settings.observed) if settings.actions == OBSERVED else None
    spans = table
    if marking is not None:
        spans = marking.finish(extracted.last_ns)
        result.warnings += [f"{part.name}: {note}" for note in marking.notes if note not in "".join(result.warnings)]
    elif method == WHOLE:
        spans = [Span(task, extracted.first_ns, extracted.last_ns)]
    elif method == GAPS:
        commands = extracted.command
        if sources is not None:
            commands = marks.observed_commands(contract, extracted.observation, sources)
        spans = _moving(part, contract, settings, commands, task)
    assert spans is not None
    marks.require_tasks([span for span in spans if not span.left_out], part.name)
    left: list[tuple[Extracted, DatasetError]] = []
    makers: list[tuple[Extracted, Maker]] = []
    cut = segments(part.name, contract, extracted)
    for segment in cut:
        try:
            maker = _maker(part, contract, settings, segment, sources, ticks[1] if ticks else None, result.warnings)
        except DatasetError as error:
            if len(cut) == 1 or (segment is cut[-1] and not makers):
                raise
            left.append((segment, error))
            continue
        makers.append((segment, maker))
    for segment in cut[:-1]:
        at_s = 1e-9 * (segment.last_ns - (part.origin_ns or 0))
        result.warnings.append(f"{part.name}: {segment.cut} after {at_s:.2f} s; episodes are cut there")
    for span in spans:
        inside = [(seg, maker) for seg, maker in makers if seg.first_ns <= span.end_ns and seg.last_ns >= span.start_ns]
        if span.left_out or not inside:
            (makers[0] if not inside else inside[0])[1].add(span)
            continue
        for segment, maker in inside:
            maker.add(_clipped(span, segment) if len(cut) > 1 else span)
    for segment, refused in left:
        source = f"{part.name}, from {1e-9 * (segment.first_ns - (part.origin_ns or 0)):.2f} s"
        result.reports.append(EpisodeReport(task, source, 0, 0.0, None, str(refused), []))
    for segment, maker in makers:
        result.reports += maker.made.reports
        result.episodes += maker.made.episodes
        tally.add(segment, maker.clock, maker.made)


def _clipped(span: Span, segment: Extracted) -> Span:
    """What of a span is in a segment."""
    start_ns, end_ns = max(span.start_ns, segment.first_ns), min(span.end_ns, segment.last_ns)
    said = f"cut: {segment.cut}" if end_ns < span.end_ns else span.said
    return replace(span, start_ns=start_ns, end_ns=end_ns, said=said)


def _maker(part, contract: Contract, settings: Settings, segment: Extracted, sources, ticks, warnings) -> Maker:
    """What makes episodes of a segment; raises DatasetError where its clocks or its rate do not fit."""
    for series in [*segment.observation, *segment.command]:
        if not len(series.stamps_ns):
            raise NothingFoundError(f"{part.name}: {series.label}: found no usable message, expected some")
    clock = ticks.clock if ticks else pacing(part.name, contract, segment.observation)
    _require_rate(part.name, contract, clock, settings, warnings)
    commands = segment.command
    if sources is not None:
        commands = marks.observed_commands(contract, segment.observation, sources)
    origin_ns = segment.first_ns if part.origin_ns is None else part.origin_ns
    return Maker(part.name, contract, settings, segment.observation, commands, sources, clock, ticks, origin_ns)


def _moving(part, contract: Contract, settings: Settings, commands, task: str) -> list[Span]:
    """The spans of --episodes gaps; DatasetError where nothing moves."""
    if not commands:
        raise DatasetError("--episodes gaps: found no command series, expected --actions bound or observed")
    spans = marks.moving_spans(contract, commands, task, settings.rest_s, settings.rest_threshold)
    if not spans:
        raise NothingFoundError(f"{part.name}: found no command that moves, expected one for --episodes gaps")
    return spans


def _require_rate(where: str, contract: Contract, clock: Clock, settings: Settings, warnings: list[str]) -> None:
    sentence, refused = rate_problem(contract, clock)
    if refused and not settings.any_rate:
        raise DatasetError(
            f"{where}: {sentence}, expected rates that are closer: another period_s in the contract, another first "
            "stream under sync: latest, or --any-rate"
        )
    if sentence and sentence not in " ".join(warnings):
        repeated = ": rows repeat what was observed" if clock.rate_hz * contract.period_s < 1 else ""
        warnings.append(f"{where}: {sentence}; it is resampled{repeated}")


def refusal(bag, contract: Contract, names: Names) -> str:
    """Why `lwd import-bag` would not read this recording's streams, one sentence; "" where it would."""
    settings = Settings(task="any", names=names)
    try:
        commands, others = command_streams(bag, contract, settings)
        for part in bag.parts:
            extracted = extract(part, contract, Wanted(names, True, commands, others))
            for segment in segments(part.name, contract, extracted):
                _maker(part, contract, settings, segment, None, None, [])
    except LwdError as error:
        return str(error)
    return ""

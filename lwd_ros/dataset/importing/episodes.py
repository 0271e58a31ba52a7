"""Where episodes begin and end in a recording: marks, services, silence in the command, a table, or all of it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.contract.rest import ZERO, is_position
from lwd_ros.dataset.demonstrations import DatasetError
from lwd_ros.dataset.importing.series import Series

METHODS = ("gaps", "marks", "services", "whole")
"""Ways to find episodes that are named; any other is the path of a table."""

_START_EVENT, _STOP_EVENT = "StartEpisode_Event", "StopEpisode_Event"
_SENT, _RECEIVED = 2, 3  # service_msgs/msg/ServiceEventInfo: the response was sent, was received
_MARKS = ("std_msgs/msg/String", "std_msgs/msg/Bool", "std_msgs/msg/Int")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class Span:
    """One episode by the recorder's clock, ns.

    `left_out` says why it is none to import, "" where it is one; `said` what is remarked of it; `way` which of several
    ways of the task it went, "" where nobody says.
    """

    task: str
    start_ns: int
    end_ns: int
    success: bool | None = None
    left_out: str = ""
    said: str = ""
    way: str = ""


_UNKNOWN = "whether it succeeded is not known"


class Markers:
    """Spans from the recorder's own marks (lwd_msgs/msg/EpisodeMarker), or from its services' events.

    `notes` are sentences on what the marks do not say, complete after `finish`.
    """

    def __init__(self, task: str):
        """`task` is that of episodes whose mark names none."""
        self._task = task
        self._open: tuple[str, int, int] | None = None  # task, when, number
        self._requests: dict[tuple, str] = {}
        self._asked: dict[tuple, bool] = {}
        self.notes: list[str] = []
        self._last_response: dict[str, tuple] = {}
        self.spans: list[Span] = []

    def take(self, message) -> None:
        """One recorded EpisodeMarker."""
        mark = message.message
        if mark.event == 0:
            self._start(mark.task, message.log_ns)
        elif self._open is not None:
            self._stop(message.log_ns, bool(mark.success) if mark.event == 1 else None, mark.event == 2)

    def take_event(self, message) -> None:
        """One recorded service event of StartEpisode, StopEpisode, or of a Trigger that discards."""
        event, info = message.message, message.message.info
        key = (message.topic, bytes(bytearray(info.client_gid)), info.sequence_number)
        starts = message.type.endswith(_START_EVENT)
        if starts and len(event.request):
            self._requests[key] = event.request[0].task
        stops = message.type.endswith(_STOP_EVENT)
        if stops and len(event.request):  # of another event than the answer, which says only whether it is kept
            self._asked[key] = bool(event.request[0].success)
        if info.event_type not in (_SENT, _RECEIVED) or self._last_response.get(message.topic) == key:
            return
        self._last_response[message.topic] = key
        answer = event.response[0] if len(event.response) else None
        if starts and (answer is None or answer.success):
            self._start(self._requests.get(key, ""), message.log_ns)
        elif stops and self._open is not None and (answer is None or answer.kept):
            asked = self._asked.get(key)
            if asked is None:
                self.notes.append(
                    f"{message.topic}: found events without the request, as of introspection with metadata only: "
                    "whether episodes succeeded is not known, and all are imported"
                )
            self._stop(message.log_ns, asked, False)
        elif "discard" in message.topic and self._open is not None and (answer is None or answer.success):
            self._stop(message.log_ns, None, True)

    def _start(self, task: str, at_ns: int) -> None:
        self._tear(at_ns)
        self._open = (task or self._task, at_ns, len(self.spans))

    def _stop(self, at_ns: int, success: bool | None, discarded: bool) -> None:
        assert self._open is not None
        task, start_ns, _ = self._open
        self._open = None
        said = _UNKNOWN if success is None and not discarded else ""
        self.spans.append(Span(task, start_ns, at_ns, success, "discarded" if discarded else "", said))

    def _tear(self, at_ns: int) -> None:
        if self._open is not None:
            task, start_ns, _ = self._open
            self.spans.append(Span(task, start_ns, at_ns, None, "torn: it begins and never ends"))
            self._open = None

    def finish(self, last_ns: int) -> list[Span]:
        """All spans; one that never ended is torn, at the last message."""
        self._tear(last_ns)
        self.notes = list(dict.fromkeys(self.notes))
        return self.spans


class Switch:
    """Spans from any topic that says what is shown: a String names the task ("" ends it), a Bool or Int is on."""

    def __init__(self, topic: str, kind: str, task: str):
        """Raises DatasetError for a topic of another type."""
        if not kind.startswith(_MARKS) and not kind.startswith("std_msgs/msg/UInt"):
            raise DatasetError(f"--marker: {topic} is {kind}, expected std_msgs/msg/String, Bool or Int")
        self._is_text, self._task = kind == _MARKS[0], task
        self._open: tuple[str, int] | None = None
        self.spans: list[Span] = []
        self.notes: list[str] = []

    def take(self, message) -> None:
        """One recorded message of the topic."""
        value = message.message.data
        task = value.strip() if self._is_text else (self._task or f"task_{int(value)}") if value else ""
        if self._open is not None and task != self._open[0]:
            self.spans.append(Span(self._open[0], self._open[1], message.log_ns))
            self._open = None
        if task and self._open is None:
            self._open = (task, message.log_ns)

    def finish(self, last_ns: int) -> list[Span]:
        """All spans; one that is still open at the recording's end, `last_ns`, is kept, and said."""
        if self._open is not None:
            said = "the recording ends before it does"
            self.spans.append(Span(self._open[0], self._open[1], last_ns, None, "", said))
        return self.spans


def event_topics(bag) -> list[str]:
    """The channels of service events that say where episodes begin and end."""
    return [
        name
        for name, topic in bag.topics.items()
        if topic.type.endswith((_START_EVENT, _STOP_EVENT))
        or (topic.type.endswith("Trigger_Event") and "discard" in name)
    ]


def of_type(bag, kind: str) -> list[str]:
    """The topics of a recording that have this type."""
    return sorted(name for name, topic in bag.topics.items() if topic.type == kind)


def moving_spans(
    contract: Contract, commands: Sequence[Series], task: str, rest_s: float, threshold: float
) -> list[Span]:
    """Spans in which something is commanded: between them all commands rest, or are silent, for `rest_s` and longer.

    A velocity or effort rests within `threshold` times its larger limit; all else where it changes by less than
    `threshold` times its largest slew.
    """
    times: list[np.ndarray] = []
    for series in commands:
        moves = np.zeros(len(series.log_ns), bool)
        seconds = np.maximum(1e-9 * np.diff(series.log_ns), 1e-3)
        for column, place in enumerate(series.indices):
            scalar, values = contract.command[place], series.values[:, column]
            if contract.rests[place] == ZERO:
                moves |= np.abs(values) > threshold * max(abs(scalar.minimum), abs(scalar.maximum))
            else:
                speed = np.abs(np.diff(values)) / seconds
                moves[1:] |= speed > threshold * scalar.slew_per_s
        times.append(series.log_ns[moves])
    moments = np.unique(np.concatenate(times)) if times else np.empty(0, np.int64)
    if not len(moments):
        return []
    cuts = np.flatnonzero(np.diff(moments) > round(1e9 * rest_s))
    starts, ends = np.r_[0, cuts + 1], np.r_[cuts, len(moments) - 1]
    margin = round(1e9 * min(2 * contract.period_s, 0.25 * rest_s))
    return [Span(task, int(moments[a]) - margin, int(moments[b]) + margin) for a, b in zip(starts, ends, strict=True)]


def observed_commands(contract: Contract, observation: Sequence[Series], sources: dict[int, int]) -> list[Series]:
    """The observed scalars that stand for commands, as series of commands; `sources` are places by command."""
    result = []
    for series in observation:
        pairs = [(c, series.indices.index(o)) for c, o in sources.items() if o in series.indices]
        if pairs:
            indices, columns = tuple(c for c, _ in pairs), [column for _, column in pairs]
            result.append(
                Series(
                    series.label, indices, series.stamps_ns, series.log_ns, series.values[:, columns], series.by_header
                )
            )
    return result


def table_spans(path: Path, bag_name: str, first_ns: int, several: bool) -> list[Span]:
    """Spans from a CSV file: task,start_s,end_s[,success][,bag][,way], seconds from the recording's first message.

    Raises:
        DatasetError: the file cannot be read, a column is missing, a row is none, or lacks the way that another one of
            its task has; names file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [column.strip() for column in reader.fieldnames or ()]
            entries = [({(k or "").strip(): (v or "") for k, v in row.items()}, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(
            f"{path}: cannot be read as CSV ({reason}); expected task,start_s,end_s[,success]"
        ) from error
    for column in ("task", "start_s", "end_s", *(("bag",) if several else ())):
        if column not in columns:
            hint = ", for there are several recordings" if column == "bag" else ""
            raise DatasetError(f"{path}: found the columns {', '.join(columns)}, expected '{column}'{hint}")
    spans, first = [], dict[str, tuple[str, int]]()
    for row, line in entries:
        if "bag" in columns and row["bag"].strip() not in ("", bag_name):
            continue
        where, task = f"{path}, line {line}", row["task"].strip()
        start_s, end_s = (_seconds(row[column], column, where) for column in ("start_s", "end_s"))
        if not task or end_s <= start_s:
            raise DatasetError(f"{where}: found '{task}' from {start_s:g} to {end_s:g} s, expected a task and a time")
        success, way = _truth(row.get("success", ""), where), row.get("way", "").strip()
        told, at = first.setdefault(task, (way, line))
        if bool(told) != bool(way):
            raise DatasetError(
                f"{where}: found the way '{way}' of task '{task}' and '{told}' in line {at}, expected one in both "
                "or none"
            )
        spans.append(Span(task, first_ns + round(1e9 * start_s), first_ns + round(1e9 * end_s), success, way=way))
    return spans


def _seconds(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value < 1e7:
        raise DatasetError(f"{where}: found '{text}' under {column}, expected seconds from 0 up")
    return value


def _truth(text: str, where: str) -> bool | None:
    word = text.strip().lower()
    if word and word not in (*_TRUE, *_FALSE):
        raise DatasetError(f"{where}: found '{text}' under success, expected true or false")
    return None if not word else word in _TRUE


def require_tasks(spans: Sequence[Span], where: str) -> None:
    """Refuse spans that nobody named; DatasetError."""
    for span in spans:
        if not span.task:
            raise DatasetError(f"{where}: found an episode without a task, expected --task NAME with it")


def sources_of(contract: Contract, named: dict[str, str]) -> dict[int, int]:
    """For `--actions observed`: the place of the observed scalar that each command's place is taken from.

    That is what the command rests at, or is relative to; `named` are others, by the command's name.

    Raises:
        DatasetError: a command targets no observed scalar, or a name or unit is wrong.
    """
    observed, result = contract.observation_names, {}
    for name in named:
        if name not in contract.command_names:
            expected = ", ".join(contract.command_names)
            raise DatasetError(f"--observed: found the command '{name}', expected one of {expected}")
    for place, (scalar, rest) in enumerate(zip(contract.command, contract.rests, strict=True)):
        target = named.get(scalar.name) or (rest if is_position(rest) else scalar.relative_to)
        if target not in observed:
            same = [each.name for each in contract.observation if each.unit == scalar.unit]
            listed = ", ".join(same[:20]) or "none has this unit"
            found = f"'{target}'" if scalar.name in named else f"command '{scalar.name}', which rests at {rest}"
            raise DatasetError(
                f"--actions observed: found {found}, expected the observed scalar that it is taken from: --observed "
                f"{scalar.name}=SCALAR, in {scalar.unit} ({listed})"
            )
        result[place] = observed.index(target)
        unit = contract.observation[result[place]].unit
        if unit != scalar.unit:
            raise DatasetError(f"--observed {scalar.name}={target}: found {unit}, expected {scalar.unit}")
    return result

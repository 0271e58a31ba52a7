"""Asking again in mid-episode: what the page shows of `lwd study asking`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures
from lwd_benchmarks.results import read
from lwd_benchmarks.statistics import Pooled
from lwd_benchmarks.studies.asking import AskingResult, Row

TOLD = "told"
"""The rows whose figures are headlines: a generator that learned to be asked at any frame."""


@dataclass(frozen=True)
class Line:
    """All seeds of one model at one horizon."""

    name: str
    horizon: int | None
    seeds: int
    pooled: Pooled
    tasks: dict[str, int]


def load(folder: Path) -> AskingResult:
    """The folder's one result."""
    path = folder / "asking.json"
    if not path.exists():
        raise ReportError(f"{path}: found no result, expected what 'lwd study asking' writes")
    return read(AskingResult, path)


def lines(result: AskingResult) -> list[Line]:
    """A line for each model and horizon, in the order of the result."""
    keys = dict.fromkeys((row.name, row.horizon) for row in result.rows)
    return [_line([row for row in result.rows if (row.name, row.horizon) == key]) for key in keys]


def _line(rows: Sequence[Row]) -> Line:
    tasks = {task: sum(row.successes[task] for row in rows) for task in rows[0].successes}
    layouts = rows[0].episodes_per_task * len(tasks)
    pooled = Pooled(sum(tasks.values()), layouts * len(rows), layouts)
    return Line(rows[0].name, rows[0].horizon, len(rows), pooled, tasks)


def context(result: AskingResult) -> dict:
    """What the template may name."""
    return {"result": result, "lines": lines(result)}


def figures(result: AskingResult) -> Figures:
    """`requery.hidden.*` of the model that learned it, asked again and again."""
    told = [line for line in lines(result) if line.name == TOLD and line.horizon is not None]
    if len(told) > 1:
        raise ReportError(f"asking: found '{TOLD}' asked in {len(told)} ways in mid-episode, expected one")
    for line in told:
        yield "requery.hidden.success", line.pooled.rate
        yield "requery.hidden.successes", line.pooled.successes
        yield "requery.hidden.episodes", line.pooled.episodes
        yield "requery.hidden.seeds", line.seeds
        yield "requery.hidden.every", line.horizon

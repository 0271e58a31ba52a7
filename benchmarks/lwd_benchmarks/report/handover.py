"""How late a policy may be asked for: what the page shows of `lwd study handover` and of `lwd evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures, counted
from lwd_benchmarks.report.page import words
from lwd_benchmarks.results import Evaluation, HandoverModel, HandoverResult, HandoverRow, read
from lwd_benchmarks.statistics import Pooled, total
from lwd_ros.evaluation.chains import MEANWHILE

STUDY = "handover"


@dataclass(frozen=True)
class Handovers:
    """The study, and the evaluations of its models on single tasks by name."""

    study: HandoverResult
    evaluations: dict[str, Evaluation]


def load(folder: Path) -> Handovers:
    """A folder's results; ResultError where one is not what it should be, ReportError where the study is missing."""
    if not (folder / f"{STUDY}.json").exists():
        raise ReportError(f"{folder / STUDY}.json: found no study, expected what 'lwd study handover' writes")
    others = sorted(path for path in folder.glob("*.json") if path.stem != STUDY)
    evaluations = {path.stem: read(Evaluation, path) for path in others}
    return Handovers(read(HandoverResult, folder / f"{STUDY}.json"), evaluations)


def _count(row: HandoverRow) -> Pooled:
    return Pooled(row.successes, row.episodes, row.episodes)  # one training seed


def _rows(model: HandoverModel, held: bool) -> list[HandoverRow]:
    return [row for row in model.rows if row.meanwhile == MEANWHILE[held]]


def _worst(rows: list[HandoverRow]) -> HandoverRow:
    return min(rows, key=lambda row: _count(row).rate)


def alone(result: Evaluation) -> Pooled:
    """All tasks of an evaluation of one model."""
    return total(Pooled(count.successes, count.episodes, count.episodes) for count in result.tasks.values())


def context(found: Handovers) -> dict:
    """What the template may name, beside the headlines."""
    study, pauses = found.study, found.study.protocol.pauses_s

    def at(model: HandoverModel, held: bool, pause: float) -> Pooled:
        return total(_count(row) for row in _rows(model, held) if row.pause_s == pause)

    def rows(names: list[str], held: bool) -> list[tuple[tuple[str, str], list[HandoverRow | None]]]:
        """By first and second task: the row of each model and pause."""
        cells: dict[tuple[str, str], dict] = {}
        for name in names:
            for row in _rows(study.models[name], held):
                cells.setdefault((row.before, row.task), {})[name, row.pause_s] = row
        return [
            (key, [row.get((name, pause)) for name in names for pause in pauses]) for key, row in sorted(cells.items())
        ]

    def worst(name: str, held: bool) -> str:
        row = _worst(_rows(study.models[name], held))
        return f"{words(_count(row))} ({row.task} after {row.pause_s:g} s)"

    return {
        "study": study,
        "evaluations": found.evaluations,
        "pauses": [f"{pause:g} s" for pause in pauses],
        "models": lambda set_: sorted((name for name in study.models if set_ in name), reverse=True),
        "columns": lambda names: [f"{name.rpartition('_')[2]}, {pause:g} s" for name in names for pause in pauses],
        "at": at,
        "rows": rows,
        "worst": worst,
        "alone": alone,
    }


def figures(found: Handovers) -> Figures:
    """`handover.MODEL.driving.FIGURE`, `.held.FIGURE`, of the worst row too, and `alone.MODEL.FIGURE`."""
    for name, model in found.study.models.items():
        for label, held in (("driving", False), ("held", True)):
            rows = _rows(model, held)
            yield from counted(f"handover.{name}.{label}", total(map(_count, rows)))
            yield from counted(f"handover.{name}.{label}.worst", _count(_worst(rows)))
    for name, result in found.evaluations.items():
        yield from counted(f"alone.{name}", alone(result))

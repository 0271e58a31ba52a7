"""How late a policy may be asked for: the page's tables, of what `lwd study handover` and `lwd evaluate` write."""

import json
from pathlib import Path

from lwd_benchmarks.report import text
from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.report.page import fill, page_name, read
from lwd_benchmarks.report.pooling import Count
from lwd_ros.evaluation.chains import MEANWHILE

STUDY = "handover.json"
GOAL = 0.98
"""A success rate below it is bold."""

PAIRS = {
    "mt10": ("metaworld_mt10_visible", "metaworld_mt10_anywhere"),
    "mt50": ("metaworld_mt50_visible", "metaworld_mt50_anywhere"),
}
"""By set: the model of the published comparison, and the one that learned from starts anywhere."""

_HELD = {"driving": MEANWHILE[False], "held": MEANWHILE[True]}


def load(folder: Path) -> tuple[dict, dict[str, dict]]:
    """The study, and the evaluations by model name.

    Raises:
        ReportError: a file cannot be read or is not what it should be.
    """
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            results[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ReportError(f"{path}: cannot be read ({error}); expected JSON of 'lwd'") from error
    study = results.pop("handover", None)
    if not isinstance(study, dict) or "models" not in study or "protocol" not in study:
        raise ReportError(f"{folder / STUDY}: found no study, expected what 'lwd study handover' writes")
    for name, result in results.items():
        if "tasks" not in result:
            raise ReportError(f"{folder / name}.json: found no 'tasks', expected what 'lwd evaluate' writes")
    return study, results


def contents(study: dict, evaluations: dict[str, dict]) -> dict[str, str]:
    """What each marker of the template stands for."""
    pauses = study["protocol"]["pauses_s"]
    filled = {
        "value:episodes": str(study["protocol"]["episodes"]),
        "table:totals": _totals(study, pauses),
        "table:single": _single(evaluations),
    }
    for set_, models in PAIRS.items():
        for name, meanwhile in _HELD.items():
            filled[f"table:{set_}.{name}"] = _table(study, models, meanwhile, pauses)
    for name, model in study["models"].items():
        for held, meanwhile in _HELD.items():
            rows = [row for row in model["rows"] if row["meanwhile"] == meanwhile]
            worst = min(rows, key=lambda row: row["success"])
            filled[f"value:{name}.{held}"] = _cell(Count(*_sum(rows)))
            filled[f"value:{name}.{held}.worst"] = (
                f"{worst['successes']} of {worst['episodes']} ({worst['task']} after {worst['pause_s']:g} s)"
            )
    return filled


def make_handover(folder: Path, out: Path, template: Path) -> Path:
    """Write the page into `out`; returns its path. Raises ReportError as `load` and `fill` do."""
    page = out / f"{page_name(template)}.md"
    out.mkdir(parents=True, exist_ok=True)
    page.write_text(page_of(folder, template), encoding="utf-8")
    return page


def page_of(folder: Path, template: Path) -> str:
    """The page's text; the same results give the same."""
    head = f"<!-- Made by 'lwd report' from {template.name} and result files; edit those. -->\n"
    return head + fill(read(template), contents(*load(folder)), str(template))


def _sum(rows) -> tuple[int, int]:
    return sum(row["successes"] for row in rows), sum(row["episodes"] for row in rows)


def _cell(count: Count) -> str:
    return f"{count.successes:,} of {count.episodes:,}"


def _table(study: dict, models: tuple[str, ...], meanwhile: str, pauses) -> str:
    """A task a row; successes by model and pause, bold where they are below the goal."""
    shown = [name for name in models if name in study["models"]]
    rows: dict[tuple[str, str], dict] = {}
    for name in shown:
        for row in study["models"][name]["rows"]:
            if row["meanwhile"] == meanwhile:
                rows.setdefault((row["before"], row["task"]), {})[name, row["pause_s"]] = row
    header = ["second task", "first task", *(f"{_short(name)}, {pause:g} s" for name in shown for pause in pauses)]
    lines = []
    for (before, task), cells in sorted(rows.items()):
        found = [cells.get((name, pause)) for name in shown for pause in pauses]
        lines.append([task, before, *(text.NONE if row is None else _marked(row) for row in found)])
    return text.table(header, lines)


def _marked(row: dict) -> str:
    return str(row["successes"]) if row["success"] >= GOAL else f"**{row['successes']}**"


def _short(name: str) -> str:
    return name.rpartition("_")[2]


def _totals(study: dict, pauses) -> str:
    """A model a row; all its tasks together, by what happens meanwhile and by pause."""
    lines, usual = [], study["protocol"].get("first_layout")  # where a file states one for all its models
    for name, model in sorted(study["models"].items()):
        for label, meanwhile in (("drives on", _HELD["driving"]), ("held", _HELD["held"])):
            cells = []
            for pause in pauses:
                rows = [r for r in model["rows"] if r["meanwhile"] == meanwhile and r["pause_s"] == pause]
                count = Count(*_sum(rows))
                cells.append(f"{text.fraction(count)} [{text.interval(count)}]")
            lines.append([name, _layout(model.get("first_layout", usual)), label, *cells])
    return text.table(["model", "layouts from", "meanwhile", *(f"{pause:g} s" for pause in pauses)], lines)


def _single(evaluations: dict[str, dict]) -> str:
    """Models judged as usual, each task alone."""
    lines = []
    for name, result in evaluations.items():
        count = Count(*_sum(result["tasks"].values()))
        weakest = min(result["tasks"].items(), key=lambda item: item[1]["success"])
        lowest = f"{weakest[0]}, {weakest[1]['successes']} of {weakest[1]['episodes']}"
        layout = _layout(result["protocol"]["first_layout"])
        lines.append([name, layout, str(len(result["tasks"])), text.fraction(count), text.interval(count), lowest])
    return text.table(["model", "layouts from", "tasks", "episodes", "95 % interval", "weakest task"], lines)


def _layout(first: int) -> str:
    return f"{first:,}"

"""LWD beside lerobot's own policies: what the page shows of `lwd study peers` and of `make test-lerobot`."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwd_benchmarks.peers.results import LeRobotChecks, PeersEntry, PeersPoint, PeersResult
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures, counted
from lwd_benchmarks.report.plots import panels
from lwd_benchmarks.results import read
from lwd_benchmarks.statistics import Pooled

LWD = "lwd"
_STYLE = {  # Okabe and Ito's palette
    "lwd": ("#0072B2", "o"),
    "lwd_translated": ("#56B4E9", "D"),
    "act": ("#D55E00", "s"),
    "diffusion_policy": ("#009E73", "^"),
    "diffusion_policy_long": ("#CC79A7", "v"),
}
SETS = {
    "mt10": ("MT10", "lwd study peers"),
    "arm": ("SO-101 arm", "lwd study peers --study benchmarks/config/study/peers_arm.yaml"),
}
"""What each study is called on the page, and its command."""
MT10 = "mt10"


@dataclass(frozen=True)
class Peers:
    """The studies by set, and what lerobot says of our datasets."""

    studies: dict[str, PeersResult]
    checks: LeRobotChecks


def load(folder: Path) -> Peers:
    """A folder's results; ResultError where one is not what it should be, ReportError where one is missing."""
    commands = {name: command for name, (_, command) in SETS.items()} | {"lerobot": "make test-lerobot"}
    for name, command in commands.items():
        if not (folder / f"{name}.json").exists():
            raise ReportError(f"{folder / name}.json: found no result, expected what '{command}' writes")
    studies = {name: read(PeersResult, folder / f"{name}.json") for name in SETS}
    return Peers(studies, read(LeRobotChecks, folder / "lerobot.json"))


def _count(point: PeersPoint) -> Pooled:
    return Pooled(point.successes, point.episodes, point.episodes)  # one training seed


def best(entry: PeersEntry) -> PeersPoint | None:
    """The point of a curve with the most successes, the earliest of several."""
    return max(entry.curve, key=lambda point: (point.success, -point.minutes), default=None)


def _reaching(entry: PeersEntry, success: float) -> PeersPoint | None:
    """The earliest point of a curve that is at least as good."""
    return next(
        (point for point in sorted(entry.curve, key=lambda each: each.minutes) if point.success >= success), None
    )


def times_less(study: PeersResult, name: str) -> tuple[PeersPoint, PeersPoint, float] | None:
    """A peer's best point, LWD's first point that is as good, and how many times less training that took."""
    theirs = best(study.entries[name]) if name in study.entries else None
    ours = _reaching(study.entries[LWD], theirs.success) if theirs and LWD in study.entries else None
    return (theirs, ours, theirs.minutes / ours.minutes) if theirs and ours else None


def peers_of(study: PeersResult) -> list[str]:
    """Names of lerobot's policies that were judged."""
    return [name for name, entry in study.entries.items() if entry.kind == "lerobot" and entry.curve]


def _ended(entry: PeersEntry) -> bool:
    """Whether the last point is the end of the schedule; points of a curve of lerobot's are in order of steps."""
    return (entry.curve[-1].step or 0) >= int(entry.options.get("steps", 0))


def context(found: Peers) -> dict:
    """What the template may name, beside the headlines."""
    return {
        "studies": {name: (SETS[name][0], study, _of_study(study)) for name, study in found.studies.items()},
        "mt10": found.studies[MT10],
        "commands": [command for _, command in SETS.values()],
        "checks": found.checks,
        "best": best,
        "count": _count,
        "whole": _whole,
        "size": _size,
    }


def _of_study(study: PeersResult) -> dict:
    judged = [study.entries[name] for name in peers_of(study)]
    return {
        "judged": peers_of(study),
        "unfinished": [
            (entry, entry.curve[-1].minutes)
            for entry in judged
            if entry.curve[-1].minutes < (entry.budget_minutes or 0) and not _ended(entry)
        ],
        "rising": [
            entry for entry in judged if len(entry.curve) > 1 and entry.curve[-1].success > entry.curve[-2].success
        ],
        "times_less": {name: times_less(study, name) for name in peers_of(study)},
    }


def _whole(entry: PeersEntry) -> str:
    """How long all steps of an entry take, for people."""
    hours = (entry.step_s or 0.0) * int(entry.options.get("steps", 0)) / 3600
    return f"{hours / 24:.1f} days" if hours >= 24 else f"{hours:.1f} hours"


def _size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"


def figures(found: Peers) -> Figures:
    """`peers.NAME.FIGURE` of MT10, where judged on reporting layouts, and `peers.SET.NAME.FIGURE` of other sets."""
    for name, study in found.studies.items():
        yield from _figures("peers" if name == MT10 else f"peers.{name}", study)
    yield "peers.lerobot_checks.values", found.checks.values


def _figures(prefix: str, study: PeersResult) -> Figures:
    for name, entry in study.entries.items():
        if entry.report:
            yield from counted(f"{prefix}.{name}", _count(entry.report))
            yield f"{prefix}.{name}.minutes", entry.report.minutes
        if entry.cost:
            yield f"{prefix}.{name}.parameters", entry.cost.parameters
            yield f"{prefix}.{name}.query_ms", entry.cost.query_ms
            yield f"{prefix}.{name}.step_ms", entry.cost.step_ms
    for name in peers_of(study):
        less = times_less(study, name)
        yield f"{prefix}.{name}.times_lwd_minutes", less[2] if less else None


def draw_minutes(found: Peers) -> Figure:
    """Success against minutes of training, a panel for each study."""
    figure, axes = panels(len(found.studies), width=5.4, height=4.0)
    for (name, study), panel in zip(found.studies.items(), axes, strict=True):
        _draw_study(panel, study)
        panel.set(xscale="log", ylim=(-0.02, 1.02), xlabel="training, minutes of one processor", ylabel="success")
        panel.set_title(SETS[name][0])
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.legend(fontsize=8, loc="best")
    return figure


def _draw_study(axes: Axes, study: PeersResult) -> None:
    for name, entry in study.entries.items():
        points = sorted(entry.curve, key=lambda each: each.minutes)
        if not points:
            continue
        colour, marker = _STYLE.get(name, ("#999999", "x"))
        rates = [point.success for point in points]
        low, high = zip(*(_count(point).interval for point in points), strict=True)
        around = [
            [max(0.0, rate - least) for rate, least in zip(rates, low, strict=True)],
            [max(0.0, most - rate) for rate, most in zip(rates, high, strict=True)],
        ]
        axes.errorbar(
            [point.minutes for point in points], rates, yerr=around, fmt=marker, ls="-", lw=1.4, ms=5, capsize=2,
            color=colour, label=entry.title,
        )  # fmt: skip


PLOTS = {"minutes": draw_minutes}

"""LWD beside lerobot's own policies: what the page shows of `lwd study peers` and of `make test-lerobot`."""

from dataclasses import dataclass
from pathlib import Path

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
}


@dataclass(frozen=True)
class Peers:
    """The study, and what lerobot says of our datasets."""

    study: PeersResult
    checks: LeRobotChecks


def load(folder: Path) -> Peers:
    """A folder's results; ResultError where one is not what it should be, ReportError where one is missing."""
    for name, command in (("mt10", "lwd study peers"), ("lerobot", "make test-lerobot")):
        if not (folder / f"{name}.json").exists():
            raise ReportError(f"{folder / name}.json: found no result, expected what '{command}' writes")
    return Peers(read(PeersResult, folder / "mt10.json"), read(LeRobotChecks, folder / "lerobot.json"))


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
    study = found.study
    return {
        "study": study,
        "checks": found.checks,
        "best": best,
        "count": _count,
        "judged": peers_of(study),
        "unfinished": [
            (entry, entry.curve[-1].minutes)
            for entry in (study.entries[name] for name in peers_of(study))
            if entry.curve[-1].minutes < (entry.budget_minutes or 0) and not _ended(entry)
        ],
        "rising": [
            entry
            for entry in (study.entries[name] for name in peers_of(study))
            if len(entry.curve) > 1 and entry.curve[-1].success > entry.curve[-2].success
        ],
        "times_less": {name: times_less(study, name) for name in peers_of(study)},
        "days": lambda entry: entry.step_s * int(entry.options.get("steps", 0)) / 86400,
        "size": _size,
    }


def _size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"


def figures(found: Peers) -> Figures:
    """`peers.NAME.FIGURE` of each entry that was judged on reporting layouts."""
    for name, entry in found.study.entries.items():
        if entry.report:
            yield from counted(f"peers.{name}", _count(entry.report))
            yield f"peers.{name}.minutes", entry.report.minutes
        if entry.cost:
            yield f"peers.{name}.parameters", entry.cost.parameters
            yield f"peers.{name}.query_ms", entry.cost.query_ms
            yield f"peers.{name}.step_ms", entry.cost.step_ms
    for name in peers_of(found.study):
        less = times_less(found.study, name)
        yield f"peers.{name}.times_lwd_minutes", less[2] if less else None
    yield "peers.lerobot_checks.values", found.checks.values


def draw_minutes(found: Peers) -> Figure:
    """Success against minutes of training."""
    figure, (axes,) = panels(1, width=6.4, height=4.0)
    for name, entry in found.study.entries.items():
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
    axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="training, minutes of one processor", ylabel="success, MT10")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(fontsize=8, loc="best")
    return figure


PLOTS = {"minutes": draw_minutes}

"""Every figure that is quoted elsewhere, by a dotted name: what README and the pages are filled from."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from lwd_benchmarks.methods import LWD, METHODS
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.entries import Entry, Study
from lwd_benchmarks.report.metaworld import visible_spread
from lwd_benchmarks.results import GOALS, SETS, ControllerResult
from lwd_benchmarks.statistics import Pooled

Figures = Iterator[tuple[str, float | None]]


def counted(name: str, count: Pooled) -> Figures:
    """A success rate, with the counts that it is of."""
    low, high = count.interval
    yield from {
        f"{name}.success": count.rate, f"{name}.successes": count.successes, f"{name}.episodes": count.episodes,
        f"{name}.failures": count.failures, f"{name}.layouts": count.layouts, f"{name}.interval_low": low,
        f"{name}.interval_high": high,
    }.items()  # fmt: skip


def _entry(name: str, entry: Entry, whole: bool) -> Figures:
    yield from counted(name, entry.total)
    yield f"{name}.seeds", None if entry.is_expert else len(entry.seeds)
    yield f"{name}.parameters", entry.parameters
    if whole:
        yield f"{name}.folded_parameters", entry.folded_parameters
        yield f"{name}.flops_per_step", entry.flops
        yield f"{name}.generation_ms", entry.generation_ms
        yield f"{name}.worst_seed.success", entry.worst_seed.rate
        yield from counted(f"{name}.worst_task", entry.worst_task[1])


def of_study(study: Study) -> Figures:
    """`SET.GOAL.METHOD.FIGURE` of the main entries, `SET.GOAL.success` of LWD's, `entry.NAME.FIGURE` of all reported.

    Ratios and chains as well.
    """
    for set_ in SETS:
        for goal in GOALS:
            for method in METHODS:
                entry = study.main(set_, goal, method)
                if entry:
                    yield from _entry(f"{set_}.{goal}.{method}", entry, whole=True)
                    if method == LWD:
                        yield f"{set_}.{goal}.success", entry.total.rate
    for entry in study.entries:
        if entry.study.layouts == "reporting":
            yield from _entry(f"entry.{entry.name}", entry, whole=False)
    for row in study.ratios:
        level = "shared" if row.shared else f"at_{row.folded.success:g}".replace(".", "_")
        name = f"ratio.{row.set}.{row.goal}.{level}"
        yield f"{name}.success", row.folded.success
        yield f"{name}.lwd_parameters", row.folded.small.parameters
        yield f"{name}.mlp_parameters", row.folded.large.parameters
        yield f"{name}.seeds", row.seeds[0]
        yield f"{name}.{'times' if row.folded.relation == '=' else 'bound'}", row.folded.ratio
        yield f"{name}.interval_low", row.interval[0]
        yield f"{name}.interval_high", row.interval[1] if math.isfinite(row.interval[1]) else None
    for chain in study.chains:
        yield from counted(chain.name.replace("chain_", "chain."), chain.links[-1][1])
    if study.latents:
        yield "visible_spread_percent", visible_spread(study)


def of_controller(results: dict[str, ControllerResult]) -> Figures:
    """Figures of the controller that README names."""
    for name in ("latency", "latency_idle"):
        for run in results[name].figures["runs"]:
            place = f"controller.{name}.{run['load']}.hz_{run['rate_hz']:g}"
            for key in ("ratio_p50", "ratio_p99", "controller_p50_ms", "controller_p99_ms"):
                yield f"{place}.{key}", run[key]
    swap = results["swap"].figures
    for place, run in (("realtime", swap), ("normal", swap["at_normal_priority"])):
        keys = ("swaps", "ticks_lost", "worst_tick_ratio", "request_to_command_ms_p50", "request_to_command_ms_p99")
        for key in keys:
            yield f"controller.swap.{place}.{key}", run[key]
    for run in results["step"].figures["runs"]:
        yield f"controller.step.parameters_{run['parameters']}.us", run["numpy_us"]
        yield f"controller.step.parameters_{run['parameters']}.ratio", run["ratio"]
    for key in ("memory_growth_mb", "processor_share", "swaps", "minutes"):
        yield f"controller.soak.{key}", results["soak"].figures[key]


def joined(*parts: Figures) -> dict[str, float]:
    """All figures by name, those that are none left out; ReportError where one name has two."""
    figures: dict[str, float] = {}
    for part in parts:
        for name, value in part:
            if value is not None and figures.setdefault(name, value) != value:
                raise ReportError(f"headlines: found '{name}' twice, expected every name once")
    return dict(sorted(figures.items()))


def nested(figures: dict[str, float]) -> dict:
    """The figures as templates name them, `mt10.visible.lwd.success`."""
    tree: dict = {}
    for name, value in figures.items():
        *folders, last = name.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree


def write(figures: dict[str, float], path: Path) -> None:
    """One line a figure."""
    path.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")

"""Gaits: what the page shows of `lwd study gaits`."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lwd_benchmarks.gaits.results import GaitEntry, GaitRow, GaitsResult
from lwd_benchmarks.methods import LWD
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures
from lwd_benchmarks.results import read
from lwd_benchmarks.statistics import wilson
from lwd_ros.environments.layouts import REPORTING_LAYOUTS

METHODS = {LWD: "LWD, a policy generated once an episode"}
_SHOWN = 7


def load(folder: Path) -> list[GaitsResult]:
    """A folder's results, by the robots' names; ResultError where one is not what it should be."""
    found = [read(GaitsResult, path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise ReportError(f"{folder}: found no result, expected what 'lwd study gaits' writes")
    return found


def lwd(result: GaitsResult) -> GaitEntry:
    """What LWD reached; ReportError where it is missing."""
    entry = next((entry for entry in result.entries if entry.method == LWD), None)
    if entry is None:
        raise ReportError(f"gaits: found no entry '{LWD}' of the robot '{result.robot}', expected one")
    return entry


def name(row: GaitRow, robot: str) -> str:
    """A gait in words."""
    return row.task.removeprefix(f"{robot}_").replace("_", " ")


def context(found: list[GaitsResult]) -> dict:
    """What the template may name: `every` is what is said of all gaits, whatever their layouts are for."""
    return {"robots": found, "methods": METHODS, "name": name, "every": dict(_every(found)), "kind": _kind}


def _kind(result: GaitsResult) -> str:
    return "reporting" if result.first_layout in REPORTING_LAYOUTS else "validation"


def _every(found: list[GaitsResult]) -> Figures:
    rows = [row for result in found for row in lwd(result).tasks]
    survived, episodes = (sum(getattr(row, key) for row in rows) for key in ("survived", "episodes"))
    low, high = wilson(survived / episodes, sum(row.teacher_episodes for row in rows))
    yield "return_ratio", float(np.mean([row.return_ratio for row in rows]))
    yield "js", float(np.mean([row.js for row in rows]))
    yield "js_floor", float(np.mean([row.js_floor for row in rows]))
    yield "js_worst", max(row.js for row in rows)
    yield "survival", survived / episodes
    yield "survived", survived
    yield "episodes", episodes
    yield "survival_low", low
    yield "survival_high", high
    yield "gaits", len(rows)


def figures(found: list[GaitsResult]) -> Figures:
    """`gaits.{return_ratio,js,survival}` over all gaits of all robots, each counting the same; and by robot.

    Of reporting layouts alone: what was measured on validation layouts is no headline.
    """
    if any(_kind(result) != "reporting" for result in found):
        return
    for key, value in _every(found):
        yield f"gaits.{key}", value
    for result in found:
        entry = lwd(result)
        for key in ("return_ratio", "js", "survival"):
            yield f"gaits.{result.robot}.{key}", getattr(entry.pooled, key)
        yield f"gaits.{result.robot}.parameters", entry.policy_parameters


def contacts(found: list[GaitsResult]) -> Figure:
    """How often which feet were down together: of each gait the commonest patterns, teacher and policies."""
    columns = max(len(lwd(result).tasks) for result in found)
    figure, axes = plt.subplots(len(found), columns, figsize=(1.9 * columns, 2.6 * len(found)), squeeze=False)
    for line, result in zip(axes, found, strict=True):
        for place, axis in enumerate(line):
            if place >= len(lwd(result).tasks):
                axis.axis("off")
                continue
            row = lwd(result).tasks[place]
            teacher, ours = (np.array(counts) / sum(counts) for counts in (row.teacher_contacts, row.contacts))
            common = np.argsort(-(teacher + ours), kind="stable")[:_SHOWN]
            heights = np.arange(len(common))
            axis.barh(heights - 0.2, teacher[common], 0.4, label="teacher")
            axis.barh(heights + 0.2, ours[common], 0.4, label="LWD")
            axis.set_yticks(heights, [result.patterns[number] for number in common], fontsize=5)
            axis.invert_yaxis()
            axis.tick_params(axis="x", labelsize=6)
            axis.set_title(f"{result.robot}\n{name(row, result.robot)}", fontsize=7)
    axes[0, 0].legend(fontsize=6)
    figure.tight_layout()
    return figure


PLOTS = {"contacts": contacts}

"""One page of trajectories per task, so that a person sees a wrong axis at a glance."""

import math
from pathlib import Path

import numpy as np

from lwd_ros.contract.contract import vector_name
from lwd_ros.dataset.importing.report import Report
from lwd_ros.files import written_whole

_COLUMNS = 4
_MOST_TASKS, _MOST_PANELS = 6, 32  # what still fits on one page
_PANEL = 2.4, 1.5  # inches
_COLORS = ("#1f77b4", "#d62728")  # observed, commanded


def plot(report: Report, path: Path) -> None:
    """Write a PNG: for each task a panel for each scalar, a line for each episode over time.

    Limits are dashed where the numbers come near them; a vector is drawn as its least and its mean. Raises OSError
    where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels, left_out = _panels(report)
    tasks = list(report.data)[:_MOST_TASKS]
    lines = math.ceil(len(panels) / _COLUMNS)
    height = max(len(tasks) * (lines * _PANEL[1] + 0.5) + 0.5, 2.0)
    figure = Figure(figsize=(_COLUMNS * _PANEL[0], height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{report.out.name}, contract '{report.contract.name}'{left_out}", fontsize=9)
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(tasks), 1), dtype=object))
    for part, task in zip(parts, tasks, strict=True):
        episodes = report.data[task]
        part.suptitle(f"{task}: {len(episodes)} episodes", fontsize=8, fontweight="bold", x=0.02, ha="left")
        axes = part.subplots(lines, _COLUMNS, squeeze=False).flat
        for axis, panel in zip(axes, panels, strict=False):
            _draw(axis, panel, episodes, report.contract.period_s)
        for axis in list(part.axes)[len(panels) :]:
            axis.set_visible(False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": ""})


def _panels(report: Report) -> tuple[list[tuple], str]:
    """(kind, title, places, limits) of each panel, commands first, and what the title says of those that are not."""
    contract = report.contract
    found: list[tuple] = [
        ("action", f"{each.name} [{each.unit}]", [place], (each.minimum, each.maximum))
        for place, each in enumerate(contract.command)
    ]
    vectors: dict[str, list[int]] = {}
    for place, each in enumerate(contract.observation):
        if place != contract.age_place:
            vectors.setdefault(vector_name(each.name) or each.name, []).append(place)
    for name, places in vectors.items():
        first = contract.observation[places[0]]
        size = f", {len(places)} numbers" if len(places) > 1 else ""
        found.append(("observation", f"{name} [{first.unit}{size}]", places, (first.minimum, first.maximum)))
    missing = len(found) - _MOST_PANELS
    said = f" (without {missing} scalars)" if missing > 0 else ""
    more = len(report.data) - _MOST_TASKS
    return found[:_MOST_PANELS], said + (f" (without {more} tasks)" if more > 0 else "")


def _draw(axis, panel: tuple, episodes, period_s: float) -> None:
    kind, title, places, limits = panel
    color, alpha = _COLORS[kind == "action"], max(0.15, min(0.9, 4 / len(episodes)))
    low, high = math.inf, -math.inf
    for episode in episodes:
        values = getattr(episode, kind)[:, places]
        times = np.arange(len(values)) * period_s
        lines = [values[:, 0]] if len(places) == 1 else [values.min(axis=1), values.mean(axis=1)]
        for line, style in zip(lines, ("-", ":"), strict=False):
            axis.plot(times, line, style, color=color, alpha=alpha, linewidth=0.8)
            low, high = min(low, line.min()), max(high, line.max())
    margin = 0.15 * max(high - low, 1e-9)
    for limit in limits:
        if low - margin <= limit <= high + margin:
            axis.axhline(limit, color="0.4", linewidth=0.6, linestyle="--")
    axis.set_title(("command " if kind == "action" else "") + title, fontsize=7, pad=2)
    axis.tick_params(labelsize=6, pad=1, length=2)
    axis.margins(x=0.01)

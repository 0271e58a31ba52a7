"""Plots of success against policy parameters, optimiser steps and demonstrations."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from lwd_benchmarks.methods import LWD, METHODS
from lwd_benchmarks.report.entries import Entry, Study, given, place_of
from lwd_benchmarks.report.page import rate, ratio
from lwd_benchmarks.report.ratios import MLP, curve
from lwd_benchmarks.statistics import EXACT, Comparison

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


COLOURS_A_PICTURE = 255


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of few colours, a third as large, without a trace of when and by what it was made."""
    figure.set_dpi(110)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # as matplotlib was told above
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    few = image.quantize(COLOURS_A_PICTURE, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    plt.close(figure)


def panels(count: int, width: float = 4.6, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels side by side, two in a row at most, of fixed size in inches."""
    columns = min(count, 2)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    for spare in axes.flat[count:]:
        spare.axis("off")
    return figure, list(axes.flat[:count])


def _groups(entries: list[Entry], key: Callable[[Entry], tuple]) -> dict[tuple, list[Entry]]:
    found: dict[tuple, list[Entry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return found


def _log_axis(axes: Axes, ticks: Sequence[float], labels: dict[float, str] | None = None) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: (labels or {}).get(round(x), _short(x))))


def _short(value: float) -> str:
    """`300`, `3,000`, `30k`: labels of a wide axis must not touch."""
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:,.0f}"


def _nice(values: Sequence[float]) -> list[float]:
    """Ticks at 1, 3 and 10 of each power of ten around the values."""
    low, high = min(values), max(values)
    every = [base * 10**power for power in range(7) for base in (1, 3)]
    return [tick for tick in every if low / 1.5 <= tick <= high * 1.5]


def _points(
    axes: Axes, entries: list[Entry], places: Sequence[float], colour, marker: str, line: bool, label: str
) -> None:
    """Each seed as a faint point, the pooled rate with its interval."""
    for entry, x in zip(entries, places, strict=True):
        rates = [count.rate for count in entry.seeds.values()]
        axes.plot([x] * len(rates), rates, marker, color=colour, ms=4.5, alpha=0.3, mec="none", zorder=2)
    counts = [entry.total for entry in entries]
    rates = [count.rate for count in counts]
    # At the ends of the scale rounding may put a rate a hair outside its interval.
    low = [max(0.0, count.rate - count.interval[0]) for count in counts]
    high = [max(0.0, count.interval[1] - count.rate) for count in counts]
    axes.errorbar(
        places, rates, yerr=(low, high), fmt=marker, ls="-" if line else "", color=colour, ms=4.5, lw=1.3,
        elinewidth=1.2, capsize=2, label=label, zorder=3,
    )  # fmt: skip


def _success_axis(axes: Axes) -> None:
    low, _ = axes.get_ylim()
    axes.set_ylim(max(-0.02, min(low, 0.95)), 1.01)
    axes.set_ylabel("success")


def draw_size(study: Study) -> Figure | None:
    """Success against policy parameters, with the isotonic fits and the ratio at the highest shared success."""
    groups = _groups([e for e in study.of("size") if e.parameters], lambda e: (e.study.set, e.study.goal))
    if not groups:
        return None
    figure, axes = panels(len(groups))
    for panel, ((set_, goal), entries) in zip(axes, groups.items(), strict=True):
        fits = {}
        for (method,), found in _groups(entries, lambda e: (e.study.method,)).items():
            colour, fits[method] = METHODS[method].colour, curve(found)
            label = f"{METHODS[method].label} (line: isotonic fit)"
            panel.plot(fits[method].parameters, fits[method].success, color=colour, lw=1.4, alpha=0.8)
            places = [given(e.folded_parameters) for e in found]
            _points(panel, found, places, colour, METHODS[method].marker, False, label)
        _success_axis(panel)
        if LWD in fits and MLP in fits:
            _mark_ratio(panel, Comparison.of(fits[LWD], fits[MLP]))
        _log_axis(panel, _nice([given(e.folded_parameters) for e in entries]))
        panel.set(xlabel="policy parameters, a multi-task MLP folded for one task", title=f"{place_of(set_, goal)}")
        panel.legend(loc="lower right")
    return figure


def _mark_ratio(axes: Axes, shared) -> None:
    """A horizontal arrow at the highest success that both methods reach."""
    if shared.relation == "?":
        return
    ends = shared.small.parameters, shared.large.parameters
    style = "|-|, widthA=0.25, widthB=0.25" if shared.small.bound == shared.large.bound == EXACT else "<->"
    arrow = {"arrowstyle": style, "color": "#444444", "lw": 1, "ls": "--", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (ends[0], shared.success), (ends[1], shared.success), arrowprops=arrow)
    note = f"{ratio(shared)} times at {rate(shared.success)}"
    axes.annotate(note, (1.0, shared.success), (-4, -24), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", fontsize=8, color="#444444")  # fmt: skip


def _shades(colour: str) -> LinearSegmentedColormap:
    """From near white to a colour."""
    return LinearSegmentedColormap.from_list(colour, ["#ffffff", colour])


def draw_budget(study: Study) -> Figure | None:
    """Success against optimiser steps, one line per size."""
    groups = _groups([e for e in study.of("budget") if e.study.steps], lambda e: (e.study.set, e.study.goal))
    if not groups:
        return None
    figure, axes = panels(len(groups))
    for panel, ((set_, goal), entries) in zip(axes, groups.items(), strict=True):
        lines = _groups(entries, lambda e: (e.study.method, e.parameters))
        for method in dict.fromkeys(method for method, _ in lines):
            sizes = sorted(parameters for name, parameters in lines if name == method)
            colours = _shades(METHODS[method].colour)
            for place, parameters in enumerate(sizes):
                found = lines[method, parameters]
                colour = colours(0.9 - 0.5 * place / max(1, len(sizes) - 1))
                label = f"{METHODS[method].label}, {parameters:,}"
                steps = [given(e.study.steps) for e in found]
                _points(panel, found, steps, colour, METHODS[method].marker, True, label)
        _success_axis(panel)
        _log_axis(panel, sorted({given(e.study.steps) for e in entries}))
        panel.tick_params(axis="x", labelsize=8)
        layouts = " and ".join(sorted({e.study.layouts for e in entries}))
        panel.set(xlabel="optimiser steps", title=f"{place_of(set_, goal)} ({layouts} layouts)")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=8, ncols=2, title="method, parameters")
    return figure


def draw_demonstrations(study: Study) -> Figure | None:
    """Success against demonstrations a task; all of them stand at the right."""
    entries = [e for e in study.of("demonstrations") if e.study.demonstrations_per_task is not None]
    groups = _groups(entries, lambda e: (e.study.set, e.study.goal))
    if not groups:
        return None
    figure, axes = panels(len(groups))
    for panel, ((set_, goal), shown) in zip(axes, groups.items(), strict=True):
        counts = sorted({e.study.demonstrations_per_task for e in shown if e.study.demonstrations_per_task})
        everything = round(2 * max(counts, default=1))
        for (method, _, _), found in _groups(shown, lambda e: (e.study.method, e.layers, e.parameters)).items():
            found = sorted(found, key=lambda e: e.study.demonstrations_per_task or everything)
            places = [e.study.demonstrations_per_task or everything for e in found]
            label = f"{METHODS[method].label}, {found[0].parameters or 0:,} parameters"
            _points(panel, found, places, METHODS[method].colour, METHODS[method].marker, True, label)
        has_all = any(not e.study.demonstrations_per_task for e in shown)
        _success_axis(panel)
        _log_axis(panel, [*counts, *([everything] if has_all else [])], {everything: "all"} if has_all else None)
        panel.set(xlabel="demonstrations a task", title=f"{place_of(set_, goal)}")
        panel.legend(loc="lower right")
    return figure

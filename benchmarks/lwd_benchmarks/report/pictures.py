"""Pictures of reconstruction and of the latent space; pictures show the first seed of each run."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lwd_benchmarks.methods import LWD, METHODS
from lwd_benchmarks.report.entries import Study, run_name
from lwd_benchmarks.report.plots import panels
from lwd_benchmarks.results import LatentsResult

_TASK_COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#882255", "#44AA99", "#999933", "#AA4499",
                 "#000000")  # fmt: skip
"""Paul Tol's muted palette and black: ten that colour-blind readers can tell apart."""

_GREY = "#bbbbbb"
_HIGHLIGHTED = 6  # tasks in colour where there are more than the palette has


def _metres(paths: list) -> np.ndarray:
    """float64 [paths, points, 3]."""
    return 1e-3 * np.array(paths, float)


def _path_axes(axes: Axes, everything: np.ndarray, title: str) -> tuple[int, int]:
    """Axes of one panel: the two directions in which the paths [N, points, 3] reach farthest, in their order."""
    reach = np.ptp(everything.reshape(-1, 3), axis=0)
    across, up = sorted(np.argsort(-reach, kind="stable")[:2])
    axes.set(xlabel=f"{'xyz'[across]} (m)", ylabel=f"{'xyz'[up]} (m)", title=title)
    axes.set_aspect("equal", adjustable="datalim")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    return int(across), int(up)


def _grid(rows: int) -> tuple[Figure, np.ndarray]:
    figure, axes = plt.subplots(rows, 4, figsize=(10.4, 2.7 * rows + 0.4), squeeze=False, layout="constrained")
    return figure, axes


def _paths_figure(shown: dict[str, dict[str, list]], legend: list[tuple[str, dict]]) -> Figure | None:
    """A row of up to four tasks per run; per task a list of (paths [N, points, 3], style), in the order of drawing."""
    if not shown:
        return None
    figure, axes = _grid(len(shown))
    for row, (run, tasks) in zip(axes, shown.items(), strict=True):
        for spare in row[len(tasks) :]:
            spare.axis("off")
        for panel, (task, layers) in zip(row, list(tasks.items())[:4], strict=False):
            everything = np.concatenate([paths for paths, _ in layers])
            across, up = _path_axes(panel, everything, f"{run_name(run)}\n{task}")
            panel.title.set_fontsize(9)
            for paths, style in layers:
                panel.plot(paths[:, :, across].T, paths[:, :, up].T, **style)
    handles = [Line2D([], [], label=label, **style) for label, style in legend]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


_EXPERT = {"color": "black", "lw": 1.6, "alpha": 0.35}
_DECODED = {"color": "#D55E00", "lw": 1.0, "ls": "--"}
_MANY = {"color": "#999999", "lw": 1.0, "alpha": 0.7}
_ONE = {"color": METHODS[LWD].colour, "lw": 1.0}


def draw_reconstruction(study: Study) -> Figure | None:
    """Hand paths of the expert and of the decoded policy on the same layouts."""
    shown = {
        run: {
            task: [(_metres(kept.expert), _EXPERT), (_metres(kept.decoded), _DECODED)]
            for task, kept in results[0].kept_paths.items()
        }
        for run, results in study.reconstruction.items()
    }
    return _paths_figure(shown, [("scripted expert", _EXPERT), ("policy decoded from the demonstration", _DECODED)])


def draw_diversity(study: Study) -> Figure | None:
    """Hand paths of policies generated for one layout, over those of as many layouts."""
    shown = {
        run: {
            task: [(_metres(kinds.many_layouts.paths), _MANY), (_metres(kinds.one_layout.paths), _ONE)]
            for task, kinds in results[0].diversity.items()
        }
        for run, results in study.latents.items()
    }
    return _paths_figure(shown, [("one layout", _ONE), ("the same seeds, a layout each", _MANY)])


def _in_colour(result: LatentsResult) -> dict[str, str]:
    """Colours of tasks; of more than the palette has only those whose samples stray most, then the first ones."""
    tasks = list(result.tasks)
    if len(tasks) > len(_TASK_COLOURS):
        tasks = sorted(tasks, key=lambda task: result.tasks[task].nearest_encoded_is_of_the_task)[
            :_HIGHLIGHTED
        ]  # stable: ties keep their order
    return dict(zip(tasks, _TASK_COLOURS, strict=False))


def draw_latents(study: Study) -> Figure | None:
    """Encoded and sampled latents in the plane of the encoded ones' first two principal components."""
    runs = study.latents
    if not runs:
        return None
    figure, axes = panels(len(runs), width=5.2, height=4.6)
    for panel, (run, (result, *_)) in zip(axes, runs.items(), strict=True):
        handles = []
        colours = _in_colour(result)
        for task in sorted(result.tasks, key=lambda task: task in colours):  # grey ones below
            encoded, sampled = (np.array(points) for points in (result.tasks[task].encoded, result.tasks[task].sampled))
            colour = colours.get(task, _GREY)
            panel.scatter(encoded[:, 0], encoded[:, 1], s=9, color=colour, alpha=0.45, linewidths=0)
            panel.scatter(sampled[:, 0], sampled[:, 1], s=13, marker="x", color=colour, linewidths=0.8)
        for task, colour in colours.items():
            handles.append(Line2D([], [], ls="", marker="o", ms=5, color=colour, label=task.removesuffix("-v3")))
        others = len(result.tasks) - len(colours)
        if others:
            handles.append(Line2D([], [], ls="", marker="o", ms=5, color=_GREY, label=f"{others} other tasks"))
        handles.append(Line2D([], [], ls="", marker="o", ms=4, color="#555555", alpha=0.6, label="encoded"))
        handles.append(Line2D([], [], ls="", marker="x", ms=4, color="#555555", label="sampled"))
        panel.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, fontsize=7.5,
                     handletextpad=0.2, columnspacing=1.0)  # fmt: skip
        share = f"{100 * sum(result.explained_variance):.0f} % of the variance"
        panel.set(xlabel="first principal component", ylabel="second", title=f"{run_name(run)} ({share})")
    return figure

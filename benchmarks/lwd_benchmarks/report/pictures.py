"""Pictures and tables of reconstruction and of the latent space; pictures show the first seed of each run."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lwd_benchmarks.report import text
from lwd_benchmarks.report.names import COLOURS
from lwd_benchmarks.report.plots import panels
from lwd_benchmarks.report.pooling import total
from lwd_benchmarks.report.results import Results
from lwd_benchmarks.report.studies import MEANS, Latents, by_run

_TASK_COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#882255", "#44AA99", "#999933", "#AA4499",
                 "#000000")  # fmt: skip
"""Paul Tol's muted palette and black: ten that colour-blind readers can tell apart."""

_GREY = "#bbbbbb"
_HIGHLIGHTED = 6  # tasks in colour where there are more than the palette has


def _name(run: str) -> str:
    return run.removeprefix("metaworld_").replace("_", " ")


def _means(values) -> float:
    return float(np.mean(list(values)))


def reconstruction_table(results: Results) -> str:
    """One row per run, its seeds pooled or averaged."""
    rows = []
    for run, studies in by_run(results.reconstruction).items():
        expert, decoded = total(s.expert for s in studies), total(s.decoded for s in studies)
        mean = {name: _means(study.means[name] for study in studies) for name in MEANS}
        rows.append([
            _name(run), str(len(studies)), text.fraction(expert), text.fraction(decoded), text.interval(decoded),
            f"{mean['action_mean_absolute']:.3f} / {mean['action_mean_absolute_of_others']:.3f}",
            f"{mean['same_layout_mm']:.1f} / {mean['other_layout_mm']:.1f}",
            f"{mean['energy_distance_mm']:.1f} / {mean['energy_distance_noise_floor_mm']:.1f}",
        ])  # fmt: skip
    header = ["run", "training seeds", "expert", "decoded policies", "95 % interval", "action error, own / other"]
    return text.table(
        [*header, "path distance (mm), same / other layout", "energy distance (mm), measured / floor"], rows
    )


def latents_table(results: Results) -> str:
    """One row per run."""
    rows = []
    for run, studies in by_run(results.latents).items():
        own = {task: _means(study.own[task] for study in studies) for task in studies[0].own}
        worst = min(own, key=own.__getitem__)
        samples = sum(len(sampled) for study in studies for _, sampled in study.points.values())
        rows.append([
            _name(run), str(len(studies)), text.number(samples), text.rate(_means(own.values())),
            f"{worst} {text.rate(own[worst])}", f"{_means(study.explained for study in studies):.2f}",
        ])  # fmt: skip
    header = [
        "run",
        "training seeds",
        "samples",
        "nearest latent is of the task",
        "lowest task",
        "variance in the plane",
    ]
    return text.table(header, rows)


def diversity_table(results: Results) -> str:
    """One row per run and task, the seeds pooled or averaged."""
    rows = []
    for run, studies in by_run(results.latents).items():
        for task in studies[0].diversity:
            found = [study.diversity[task] for study in studies if task in study.diversity]
            cells = []
            for one in zip(*found, strict=True):  # first the policies for one layout, then those for many
                cells += [
                    text.fraction(total(variety.count for variety in one)),
                    f"{_means(variety.weight_distance for variety in one):.3f}",
                    f"{_means(variety.action_disagreement for variety in one):.3f}",
                ]
            rows.append([_name(run), task, str(len(found)), *cells])
    columns = [f"{what}, {where}" for where in ("one layout", "eight layouts")
               for what in ("success", "weight distance", "action disagreement")]  # fmt: skip
    return text.table(["run", "task", "training seeds", *columns], rows)


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
            across, up = _path_axes(panel, everything, f"{_name(run)}\n{task}")
            panel.title.set_fontsize(9)
            for paths, style in layers:
                panel.plot(paths[:, :, across].T, paths[:, :, up].T, **style)
    handles = [Line2D([], [], label=label, **style) for label, style in legend]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


_EXPERT = {"color": "black", "lw": 1.6, "alpha": 0.35}
_DECODED = {"color": COLOURS["multitask_mlp"], "lw": 1.0, "ls": "--"}
_MANY = {"color": "#999999", "lw": 1.0, "alpha": 0.7}
_ONE = {"color": COLOURS["lwd"], "lw": 1.0}


def draw_reconstruction(results: Results) -> Figure | None:
    """Hand paths of the expert and of the decoded policy on the same layouts."""
    shown = {
        run: {task: [(expert, _EXPERT), (decoded, _DECODED)] for task, (expert, decoded) in studies[0].paths.items()}
        for run, studies in by_run(results.reconstruction).items()
    }
    return _paths_figure(shown, [("scripted expert", _EXPERT), ("policy decoded from the demonstration", _DECODED)])


def draw_diversity(results: Results) -> Figure | None:
    """Hand paths of policies generated for one layout, over those of as many layouts."""
    shown = {
        run: {task: [(many.paths, _MANY), (one.paths, _ONE)] for task, (one, many) in studies[0].diversity.items()}
        for run, studies in by_run(results.latents).items()
    }
    return _paths_figure(shown, [("one layout", _ONE), ("the same seeds, a layout each", _MANY)])


def _in_colour(study: Latents) -> dict[str, str]:
    """Colours of tasks; of more than the palette has only those whose samples stray most, then the first ones."""
    tasks = list(study.points)
    if len(tasks) > len(_TASK_COLOURS):
        tasks = sorted(tasks, key=lambda task: study.own[task])[:_HIGHLIGHTED]  # stable: ties keep their order
    return dict(zip(tasks, _TASK_COLOURS, strict=False))


def draw_latents(results: Results) -> Figure | None:
    """Encoded and sampled latents in the plane of the encoded ones' first two principal components."""
    runs = by_run(results.latents)
    if not runs:
        return None
    figure, axes = panels(len(runs), width=5.2, height=4.6)
    for panel, (run, studies) in zip(axes, runs.items(), strict=True):
        study, handles = studies[0], []
        colours = _in_colour(study)
        for task in sorted(study.points, key=lambda task: task in colours):  # grey ones below
            encoded, sampled = study.points[task]
            colour = colours.get(task, _GREY)
            panel.scatter(*encoded.T, s=9, color=colour, alpha=0.45, linewidths=0)
            panel.scatter(*sampled.T, s=13, marker="x", color=colour, linewidths=0.8)
        for task, colour in colours.items():
            handles.append(Line2D([], [], ls="", marker="o", ms=5, color=colour, label=task.removesuffix("-v3")))
        others = len(study.points) - len(colours)
        if others:
            handles.append(Line2D([], [], ls="", marker="o", ms=5, color=_GREY, label=f"{others} other tasks"))
        handles.append(Line2D([], [], ls="", marker="o", ms=4, color="#555555", alpha=0.6, label="encoded"))
        handles.append(Line2D([], [], ls="", marker="x", ms=4, color="#555555", label="sampled"))
        panel.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, fontsize=7.5,
                     handletextpad=0.2, columnspacing=1.0)  # fmt: skip
        share = f"{100 * study.explained:.0f} % of the variance"
        panel.set(xlabel="first principal component", ylabel="second", title=f"{_name(run)} ({share})")
    return figure


def has_pictures(results: Results) -> dict[str, bool]:
    """Whether there are results for each picture, without drawing it."""
    latents = bool(results.latents)
    return {"reconstruction": bool(results.reconstruction), "latents": latents, "diversity": latents}

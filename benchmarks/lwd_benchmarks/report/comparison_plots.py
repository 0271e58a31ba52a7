"""Plots of LWD beside Diffusion Policy: over action horizons, disturbances, slow computers, and training steps."""

from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwd_benchmarks.report.plots import panels
from lwd_benchmarks.report.pooling import Count

LABELS = {
    "lwd": "LWD, goal visible",
    "lwd_hidden": "LWD, goal hidden",
    "lwd_robust": "LWD, robust",
    "diffusion_policy": "Diffusion Policy",
    "diffusion_policy_160": "Diffusion Policy of 160 actions",
    "diffusion_policy_160_10k": "Diffusion Policy of 160 actions, 10,000 training steps",
    "diffusion_policy_robust": "Diffusion Policy, robust",
    "regression": "regression hypernetwork",
    "multitask_mlp": "multi-task MLP",
    "nearest_demonstration": "nearest demonstration replayed",
}
COLOURS = {
    "lwd": "#0072B2", "lwd_hidden": "#56B4E9", "lwd_robust": "#003A5C", "diffusion_policy": "#D55E00",
    "diffusion_policy_160": "#E69F00", "diffusion_policy_160_10k": "#E69F00", "diffusion_policy_robust": "#7A3600",
    "multitask_mlp": "#009E73",
}  # fmt: skip
MARKERS = {
    "lwd": "o", "lwd_hidden": "D", "diffusion_policy": "s", "diffusion_policy_160": "v", "nearest_demonstration": "x",
    "diffusion_policy_160_10k": "v", "multitask_mlp": "^",
}  # fmt: skip
_OTHER = "#555555"
QUERIED = ("lwd", "lwd_hidden", "diffusion_policy", "diffusion_policy_160")
"""Those with a diffusion model to query."""

MEANWHILE = {
    "stands": "the last command stands",
    "plays on": "the answer before plays on",
    "pauses": "the robot pauses",
}
"""What happens while a method thinks."""

Results = Mapping[str, dict]


def columns(rows: Mapping[str, list[dict]]) -> list[tuple[str, int]]:
    """The methods and horizons of a study, in its order."""
    return list(dict.fromkeys((method, row["horizon"]) for method, found in rows.items() for row in found))


def column_name(method: str, horizon: int) -> str:
    """What the page calls a method at a horizon."""
    return f"{LABELS.get(method, method)}, {horizon}"


def _around(row: dict) -> tuple[float, float]:
    """How far the interval reaches below and above the success; rounding may put that a hair outside it."""
    low, high = row["interval"]
    return max(0.0, row["success"] - low), max(0.0, high - row["success"])


def _of_tasks(row: dict, tasks: Collection[str]) -> dict:
    """The row's success and interval on some of its tasks."""
    found = [row["tasks"][task] for task in tasks]
    count = Count(sum(task["successes"] for task in found), sum(task["episodes"] for task in found))
    return row | {"success": count.rate, "interval": count.interval}


def _curve(axes: Axes, rows: Sequence[dict], key: str, method: str, line: str = "-", label: str | None = None) -> None:
    places, rates = [row[key] for row in rows], [row["success"] for row in rows]
    spread = list(zip(*map(_around, rows), strict=True))
    axes.errorbar(
        places, rates, yerr=spread, fmt=MARKERS.get(method, "o"), ls=line, lw=1.4, ms=4.5, capsize=2,
        color=COLOURS.get(method, _OTHER), label=label or LABELS.get(method, method),
    )  # fmt: skip


def _legend_below(figure: Figure) -> None:
    """One legend for all panels, in rows that fit the narrowest figure of two panels."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(4, len(handles[1])), fontsize=8)


def by_network(rows: Sequence[dict]) -> list[list[dict]]:
    """Rows in groups of one network each: a curve has gaps where the network is another one."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(str(row["models"][:1]), []).append(row)
    return list(groups.values())


def draw_horizon(results: Results) -> Figure | None:
    """Success against horizon, and the diffusion time that an episode takes: the summary of it all."""
    if "horizon" not in results:
        return None
    rows = results["horizon"]["methods"]
    figure, (left, right) = panels(2)
    for method, found in rows.items():
        if method in (*QUERIED, "nearest_demonstration"):
            for place, network in enumerate(by_network(found)):
                _curve(left, network, "horizon", method, label="_" if place else None)
        elif method == "multitask_mlp":
            left.axhline(found[-1]["success"], ls="--", lw=1.2, color=COLOURS[method], label=LABELS[method])
        if method not in QUERIED:
            continue
        for network in by_network(found):
            succeeded = [row for row in network if row["diffusion_ms_per_success"] is not None]
            right.plot(
                [row["horizon"] for row in succeeded], [row["diffusion_ms_per_success"] for row in succeeded],
                MARKERS.get(method, "o"), ls="-", lw=1.4, ms=4.5, color=COLOURS.get(method, _OTHER),
            )  # fmt: skip
    every = sorted({row["horizon"] for found in rows.values() for row in found})
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(every, ["one query" if value == 500 else str(value) for value in every])
        axes.minorticks_off()
        axes.set_xlabel("control steps between queries of the diffusion model")
    lowest = min(row["interval"][0] for found in rows.values() for row in found)
    left.set(ylim=(max(-0.02, lowest - 0.25), 1.02), ylabel="success", title="MT10: success")
    right.set(yscale="log", ylabel="ms", title="MT10: diffusion time of a success, one CPU thread")
    left.legend(loc="lower left", fontsize=8, ncols=2)
    return figure


def draw_disturbance(results: Results) -> Figure | None:
    """Success under each disturbance, as bars by level."""
    if "disturbance" not in results:
        return None
    rows = results["disturbance"]["methods"]
    bars = columns(rows)
    kinds = [kind for kind in dict.fromkeys(row["disturbance"] for row in next(iter(rows.values()))) if kind != "none"]
    figure, axes = panels(len(kinds), height=2.3)
    for panel, kind in zip(axes, kinds, strict=True):
        for place, (method, horizon) in enumerate(bars):
            mine = [row for row in rows[method] if row["horizon"] == horizon and row["disturbance"] in ("none", kind)]
            shown = [_of_tasks(row, mine[-1]["tasks"]) for row in mine]
            hatch = "////" if horizon < max(row["horizon"] for row in rows[method]) else ""  # asked more often
            width = 0.8 / len(bars)
            places = [number + width * (place - (len(bars) - 1) / 2) for number in range(len(shown))]
            panel.bar(
                places, [row["success"] for row in shown], width, yerr=list(zip(*map(_around, shown), strict=True)),
                color=COLOURS.get(method, _OTHER), label=column_name(method, horizon),
                hatch=hatch, edgecolor="white", linewidth=0, error_kw={"elinewidth": 0.8, "capsize": 1.5},
            )  # fmt: skip
            names = ["none" if row["disturbance"] == "none" else f"{row['level']:g} {row['unit']}" for row in shown]
        panel.set_xticks(range(len(names)), names, fontsize=7)
        panel.set(ylim=(0, 1.04), title=kind)
    _legend_below(figure)
    return figure


def draw_latency(results: Results) -> Figure | None:
    """Success against how many times slower the computer is, for each horizon and what happens meanwhile."""
    if "latency" not in results:
        return None
    figure, axes = panels(len(MEANWHILE))
    for panel, (meanwhile, title) in zip(axes, MEANWHILE.items(), strict=True):
        for method, found in results["latency"]["methods"].items():
            horizons = sorted({row["horizon"] for row in found})
            for horizon, line in zip(horizons, ("-", "--", "-.", ":"), strict=False):
                rows = [row for row in found if row["horizon"] == horizon and row["meanwhile"] == meanwhile]
                _curve(panel, rows, "times_slower", method, line, column_name(method, horizon))
        slower = sorted({row["times_slower"] for row in found})
        panel.set_xscale("log")
        panel.set_xticks(slower, [f"{value:g}" for value in slower])
        panel.minorticks_off()
        panel.set(ylim=(-0.02, 1.02), xlabel="computer slower by", ylabel="success", title=title)
    _legend_below(figure)
    return figure


def convergence_points(rows: Mapping[str, list[dict]]) -> dict[str, dict[int, dict]]:
    """Rows by training step, under `NETWORK, horizon H`; methods are named NETWORK@STEPS."""
    found: dict[str, dict[int, dict]] = {}
    for method, of_method in rows.items():
        name, _, steps = method.partition("@")
        for row in of_method:
            found.setdefault(f"{name}, horizon {row['horizon']}", {})[int(steps)] = row
    return {name: dict(sorted(points.items())) for name, points in sorted(found.items())}


def draw_convergence(results: Results) -> Figure | None:
    """Success against training steps, one line per network."""
    if "convergence" not in results:
        return None
    figure, (axes,) = panels(1, width=6.4)
    points = convergence_points(results["convergence"]["methods"])
    for name, found in points.items():
        spread = list(zip(*map(_around, found.values()), strict=True))
        places, rates = list(found), [row["success"] for row in found.values()]
        axes.errorbar(places, rates, yerr=spread, fmt="o-", ms=4, lw=1.3, capsize=2, label=name)
    every = sorted({step for found in points.values() for step in found})
    axes.set_xscale("log")
    axes.set_xticks(every, [f"{step:,}" for step in every])
    axes.minorticks_off()
    lowest = min(row["interval"][0] for found in points.values() for row in found.values())
    axes.set(ylim=(max(-0.02, lowest - 0.3), 1.02), xlabel="training steps", ylabel="success")
    axes.set_title("Diffusion Policy on MT10")
    axes.legend(loc="lower right", fontsize=8)
    return figure

"""Plots of LWD beside Diffusion Policy: over action horizons, disturbances, slow computers, and training steps."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwd_benchmarks.methods import described
from lwd_benchmarks.report.comparison import MEANWHILE, Compared, Row, convergence_points
from lwd_benchmarks.report.plots import panels
from lwd_benchmarks.report.ratios import MLP
from lwd_benchmarks.statistics import Pooled

Studies = Mapping[str, Compared]


def _around(count: Pooled) -> tuple[float, float]:
    """How far the interval reaches below and above the success; rounding may put that a hair outside it."""
    low, high = count.interval
    return max(0.0, count.rate - low), max(0.0, high - count.rate)


def _curve(axes: Axes, rows: Sequence[Row], key: str, line: str = "-", label: str | None = None) -> None:
    places, rates = [getattr(row, key) for row in rows], [row.success for row in rows]
    spread = list(zip(*(_around(row.count) for row in rows), strict=True))
    method = described(rows[0].method)
    axes.errorbar(
        places, rates, yerr=spread, fmt=method.marker, ls=line, lw=1.4, ms=4.5, capsize=2, color=method.colour,
        label=label or method.name,
    )  # fmt: skip


def _legend_below(figure: Figure) -> None:
    """One legend for all panels, in rows that fit the narrowest figure of two panels."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(4, len(handles[1])), fontsize=8)


def by_network(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows in groups of one network each: a curve has gaps where the network is another one."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.models[:1]), []).append(row)
    return list(groups.values())


def draw_horizon(studies: Studies) -> Figure:
    """Success against horizon, and the diffusion time that an episode takes: the summary of it all."""
    study = studies["horizon"]
    figure, (left, right) = panels(2)
    for name, rows in study.by_method().items():
        method = described(name)
        if method.queried or method.kind == "nearest_demonstration":
            for place, network in enumerate(by_network(rows)):
                _curve(left, network, "horizon", label="_" if place else None)
        elif name == MLP:
            left.axhline(rows[-1].success, ls="--", lw=1.2, color=method.colour, label=method.name)
        for network in by_network(rows) if method.queried else ():
            succeeded = [row for row in network if row.diffusion_ms_per_success is not None]
            right.plot(
                [row.horizon for row in succeeded], [row.diffusion_ms_per_success for row in succeeded],
                method.marker, ls="-", lw=1.4, ms=4.5, color=method.colour,
            )  # fmt: skip
    every = sorted({row.horizon for row in study.rows})
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(every, ["one query" if value == 500 else str(value) for value in every])
        axes.minorticks_off()
        axes.set_xlabel("control steps between queries of the diffusion model")
    lowest = min(row.count.interval[0] for row in study.rows)
    left.set(ylim=(max(-0.02, lowest - 0.25), 1.02), ylabel="success", title="MT10: success")
    right.set(yscale="log", ylabel="ms", title="MT10: diffusion time of a success, one CPU thread")
    left.legend(loc="lower left", fontsize=8, ncols=2)
    return figure


def draw_disturbance(studies: Studies) -> Figure:
    """Success under each disturbance, as bars by level."""
    study = studies["disturbance"]
    bars = study.columns()
    kinds = [kind for kind in dict.fromkeys(row.disturbance for row in study.rows) if kind != "none"]
    figure, axes = panels(len(kinds), height=2.3)
    for panel, kind in zip(axes, kinds, strict=True):
        for place, bar in enumerate(bars):
            mine = [row for row in study.rows if row.place == bar.place and row.disturbance in ("none", kind)]
            shown = [row.on(mine[-1].tasks) for row in mine]
            rarest = max(row.horizon for row in study.rows if row.method == bar.method)
            hatch = "////" if bar.horizon < rarest else ""  # asked more often
            width = 0.8 / len(bars)
            places = [number + width * (place - (len(bars) - 1) / 2) for number in range(len(shown))]
            panel.bar(
                places, [count.rate for count in shown], width, yerr=list(zip(*map(_around, shown), strict=True)),
                color=described(bar.method).colour, label=bar.column,
                hatch=hatch, edgecolor="white", linewidth=0, error_kw={"elinewidth": 0.8, "capsize": 1.5},
            )  # fmt: skip
            names = ["none" if row.disturbance == "none" else f"{row.level:g} {row.unit}" for row in mine]
        panel.set_xticks(range(len(names)), names, fontsize=7)
        panel.set(ylim=(0, 1.04), title=kind)
    _legend_below(figure)
    return figure


def draw_latency(studies: Studies) -> Figure:
    """Success against how many times slower the computer is, for each horizon and what happens meanwhile."""
    study = studies["latency"]
    figure, axes = panels(len(MEANWHILE))
    for panel, (meanwhile, title) in zip(axes, MEANWHILE.items(), strict=True):
        for rows in study.by_method().values():
            horizons = sorted({row.horizon for row in rows})
            for horizon, line in zip(horizons, ("-", "--", "-.", ":"), strict=False):
                mine = [row for row in rows if row.horizon == horizon and row.meanwhile == meanwhile]
                _curve(panel, mine, "times_slower", line, mine[0].column)
        slower = sorted({row.times_slower for row in study.rows})
        panel.set_xscale("log")
        panel.set_xticks(slower, [f"{value:g}" for value in slower])
        panel.minorticks_off()
        panel.set(ylim=(-0.02, 1.02), xlabel="computer slower by", ylabel="success", title=title)
    _legend_below(figure)
    return figure


def draw_convergence(studies: Studies) -> Figure:
    """Success against training steps, one line per network."""
    figure, (axes,) = panels(1, width=6.4)
    points = convergence_points(studies["convergence"])
    for name, found in points.items():
        spread = list(zip(*(_around(row.count) for row in found.values()), strict=True))
        places, rates = list(found), [row.success for row in found.values()]
        axes.errorbar(places, rates, yerr=spread, fmt="o-", ms=4, lw=1.3, capsize=2, label=name)
    every = sorted({step for found in points.values() for step in found})
    axes.set_xscale("log")
    axes.set_xticks(every, [f"{step:,}" for step in every])
    axes.minorticks_off()
    lowest = min(row.count.interval[0] for found in points.values() for row in found.values())
    axes.set(ylim=(max(-0.02, lowest - 0.3), 1.02), xlabel="training steps", ylabel="success")
    axes.set_title("Diffusion Policy on MT10")
    axes.legend(loc="lower right", fontsize=8)
    return figure


PLOTS = {
    "horizon": draw_horizon,
    "disturbance": draw_disturbance,
    "latency": draw_latency,
    "convergence": draw_convergence,
}

"""Tasks with many ways: what the page shows of `lwd study ways`."""

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from lwd_benchmarks.methods import LWD, METHODS
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures, counted
from lwd_benchmarks.report.page import NONE
from lwd_benchmarks.results import Interval, read
from lwd_benchmarks.statistics import Pooled
from lwd_benchmarks.ways.drawing import DEMONSTRATIONS
from lwd_benchmarks.ways.results import WaysPaths, WaysResult, WaysRow

_CHANCE = 0.05
"""A difference of successes counts where its interval excludes 0 and a sign test says that chance is rarer."""

_ORDER = ("avoiding_fixed", "avoiding_varied", "metaworld")


def load(folder: Path) -> dict[str, WaysResult]:
    """A folder's results by set; ResultError where one is not what it should be."""
    found = [read(WaysResult, path) for path in folder.glob("*.json")]
    if not found:
        raise ReportError(f"{folder}: found no result, expected what 'lwd study ways' writes")
    places = {name: place for place, name in enumerate(_ORDER)}
    return {each.set: each for each in sorted(found, key=lambda each: (places.get(each.set, len(places)), each.set))}


def success_behind(row: WaysRow) -> bool:
    """Whether a row succeeds less often than LWD on the same layouts, beyond chance."""
    return row.lwd_minus is not None and row.lwd_minus.success_interval[0] > 0 and row.lwd_minus.success_p < _CHANCE


def ways_behind(row: WaysRow) -> bool:
    """Whether its ways are further from the demonstrations' than LWD's, beyond chance; so where it has no success."""
    if row.lwd_minus is None:
        return False
    return row.lwd_minus.js_interval is None or row.lwd_minus.js_interval[1] < 0


def ahead(row: WaysRow) -> bool:
    """Whether it beats LWD in one of the two, beyond chance."""
    if row.lwd_minus is None:
        return False
    of_ways = row.lwd_minus.js_interval
    more = row.lwd_minus.success_interval[1] < 0 and row.lwd_minus.success_p < _CHANCE
    return more or (of_ways is not None and of_ways[0] > 0)


def verdicts(result: WaysResult) -> dict[str, list[WaysRow]]:
    """The other rows by what they lack: nothing (`as_well`), `success`, `ways`, or `both`."""
    found: dict[str, list[WaysRow]] = {"as_well": [], "success": [], "ways": [], "both": []}
    for name, row in result.rows.items():
        if name != LWD:
            lacks = success_behind(row), ways_behind(row)
            found[{(False, False): "as_well", (True, False): "success", (False, True): "ways"}.get(lacks, "both")] += [
                row
            ]
    return found


def context(found: dict[str, WaysResult]) -> dict:
    """What the template may name, beside the headlines."""
    return {
        "sets": found,
        "verdicts": {name: verdicts(result) for name, result in found.items()},
        "ahead": {name: [row for row in result.rows.values() if ahead(row)] for name, result in found.items()},
        "count": _count,
        "figure": _figure,
        "between": _between,
        "listed": _listed,
        "success_behind": success_behind,
        "ways_behind": ways_behind,
        "several": [name for name, result in found.items() if result.paths],
    }


def _count(row: WaysRow) -> Pooled:
    return Pooled(row.pooled.successes, row.pooled.episodes, row.pooled.layouts)


def _figure(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _between(value: Interval | None, bold: bool = False) -> str:
    """An interval of a difference; bold where it excludes 0 in LWD's favour."""
    if value is None:
        return NONE
    text = f"{value[0]:+.3f} to {value[1]:+.3f}"
    return f"**{text}**" if bold else text


def _listed(rows: list[WaysRow]) -> str:
    return "; ".join(row.title for row in rows)


def figures(found: dict[str, WaysResult]) -> Figures:
    """`ways.SET.FIGURE` of LWD, and `ways.SET.METHOD.FIGURE` of every row."""
    for name, result in found.items():
        lwd = result.rows[LWD]
        yield f"ways.{name}.success", lwd.pooled.success
        yield f"ways.{name}.entropy", lwd.pooled.entropy
        yield f"ways.{name}.js_over_floor", lwd.pooled.js_over_floor
        yield f"ways.{name}.commitment", lwd.commitment.committed if lwd.commitment else None
        yield f"ways.{name}.own_way", lwd.own_way.share if lwd.own_way else None
        for method, row in result.rows.items():
            place = f"ways.{name}.{method}"
            yield from counted(place, _count(row))
            yield f"{place}.seeds", row.seeds
            yield f"{place}.parameters", row.policy_parameters
            for key in ("js_distance", "js_over_floor", "entropy", "coverage"):
                yield f"{place}.{key}", getattr(row.pooled, key)


# Pictures

_TITLES = {
    DEMONSTRATIONS: "demonstrations",
    LWD: "policies of LWD",
    "regression_hypernetwork": "policies by regression",
}
_COLOURS = {DEMONSTRATIONS: "#555555", **{name: METHODS[name].colour for name in (LWD, "regression_hypernetwork")}}


def draw_paths(found: dict[str, WaysResult]) -> Figure | None:
    """A row of panels for each set that has paths: demonstrators, LWD, regression, in one layout."""
    shown = [(result, result.paths) for result in found.values() if result.paths]
    if not shown:
        return None
    columns = max(len(paths.paths) for _, paths in shown)
    figure, axes = plt.subplots(
        len(shown), columns, figsize=(3.4 * columns, 2.9 * len(shown)), squeeze=False, layout="constrained"
    )
    for row, (result, paths) in zip(axes, shown, strict=True):
        for spare in row[len(paths.paths) :]:
            spare.axis("off")
        for panel, name in zip(row, paths.paths, strict=False):
            _draw(panel, paths, name)
            panel.set_title(f"{result.title}:\n{len(paths.paths[name])} {_TITLES[name]}", fontsize=9)
    return figure


def _draw(axes: Axes, paths: WaysPaths, name: str) -> None:
    """One panel. What lies ahead is to the right."""
    for x, y, radius in paths.circles:
        axes.add_patch(Circle((y, -x), radius, color="#c8503c", alpha=0.8, lw=0))
    for path in paths.paths[name]:
        axes.plot([y for _, y in path], [-x for x, _ in path], color=_COLOURS[name], lw=0.9, alpha=0.55)
    axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


PLOTS = {"paths": draw_paths}

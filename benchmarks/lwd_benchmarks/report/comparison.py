"""LWD beside Diffusion Policy: the page's tables, of what `lwd study horizon`, `disturbance` and `latency` write."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from lwd_benchmarks.report import comparison_plots, text
from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.report.page import page_name, page_text, write_page
from lwd_benchmarks.report.pooling import Count

USED_AT = {"lwd": 500, "lwd_hidden": 500, "regression": 500, "multitask_mlp": 500, "diffusion_policy": 8}
"""The action horizon that each method is meant to be used at."""

STUDIES = ("horizon", "disturbance", "latency", "convergence")
LONGEST = {"16 actions@20000": ("diffusion_policy", (8,)), "160 actions@20000": ("diffusion_policy_160", (8, 500))}
"""Trainings that the study of horizons shows, as the rows of shorter ones are named: the method there, and horizons."""

RARER = ((16, "every 16"), (500, "at one query"))
"""Horizons at which Diffusion Policy costs less, and how the page says so."""

HARD = ("reach-v3", "push-v3", "pick-place-v3", "peg-insert-side-v3")
"""The tasks that tell methods apart: in the others a demonstration played back succeeds as well."""

_KEYS = ("horizon", "training_seeds", "success", "successes", "episodes", "interval", "queries_per_success", "tasks")

PLOTS = {
    "horizon": (comparison_plots.draw_horizon, "Success and diffusion time against the action horizon"),
    "disturbance": (comparison_plots.draw_disturbance, "Success under disturbances"),
    "latency": (comparison_plots.draw_latency, "Success on slower computers"),
    "convergence": (comparison_plots.draw_convergence, "Success against training steps"),
}

Rows = dict[str, list[dict]]


def load(folder: Path) -> dict[str, dict]:
    """Results by study, of those that are in `folder`, methods in the order of their labels.

    What the study of horizons has is among the rows of `convergence`, as its longest trainings.

    Raises:
        ReportError: a file is not what a study writes, or trainings were judged on other layouts than the longest.
    """
    paths = {study: folder / f"{study}.json" for study in STUDIES}
    results = {study: _checked(path) for study, path in paths.items() if path.exists()}
    if "convergence" in results and "horizon" in results:
        shorter, longest = results["convergence"], results["horizon"]
        for key in ("first_layout", "episodes_per_task"):
            found, expected = (result.get("protocol", {}).get(key) for result in (shorter, longest))
            if found != expected:
                words = f"found {key} {found}, expected {expected}, that of the longest trainings in horizon.json"
                raise ReportError(f"{paths['convergence']}: {words}")
        for name, (method, horizons) in LONGEST.items():
            rows = [row for horizon in horizons if (row := _at(longest["methods"], method, horizon))]
            shorter["methods"] |= {name: rows} if rows else {}
    return results


def _checked(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in (row for rows in content["methods"].values() for row in rows):
            missing = [key for key in _KEYS if key not in row]
            if missing:
                raise ReportError(f"{path}: found a row without '{missing[0]}', expected one of 'lwd study'")
            counted = sum(task["successes"] for task in row["tasks"].values())
            if (counted, row["success"]) != (row["successes"], row["successes"] / row["episodes"]):
                raise ReportError(f"{path}: found success {row['success']}, which its counts contradict")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ReportError):
            raise
        raise ReportError(f"{path}: is not the result of a study ({error!r})") from error
    order = list(comparison_plots.LABELS)
    place = {name: order.index(name) if name in order else len(order) for name in content["methods"]}
    return content | {"methods": {name: content["methods"][name] for name in sorted(place, key=place.get)}}


def name_of(method: str) -> str:
    """What the page calls a method."""
    return comparison_plots.LABELS.get(method, method)


def _count(row: dict) -> Count:
    return Count(row["successes"], row["episodes"])


def _at(rows: Rows, method: str, horizon: int) -> dict | None:
    return next((row for row in rows.get(method, ()) if row["horizon"] == horizon), None)


def horizon_table(rows: Rows) -> str:
    """One row per method and horizon."""
    lines = []
    for method, found in rows.items():
        often = _at(rows, method, 8)
        for row in found:
            kept = text.NONE if not often or not often["success"] else f"{row['success'] / often['success']:.2f}"
            count = _count(row)
            lines.append(
                [
                    name_of(method), str(row["horizon"]),
                    *_of_diffusion(
                        method, f"{row['queries_per_success']:.1f}" if row["successes"] else text.NONE,
                        text.milliseconds(row["diffusion_ms_per_success"]),
                    ),
                    text.fraction(count), text.fraction(_of_hard(row)), str(row["training_seeds"]),
                    text.rate(count.rate), text.interval(count), kept,
                ]
            )  # fmt: skip
    header = ["method", "steps between queries", "queries a success", "diffusion a success, ms", "episodes"]
    header += ["of these in the four hard tasks", "training seeds", "success", "95 % interval"]
    return text.table([*header, "over its own at 8"], lines)


def _of_hard(row: dict) -> Count:
    found = [row["tasks"][task] for task in HARD if task in row["tasks"]]
    return Count(sum(task["successes"] for task in found), sum(task["episodes"] for task in found))


def cost_table(rows: Rows) -> str:
    """What each method costs at the horizon that it is meant for, and over LWD's; Diffusion Policy at longer too."""
    meant = [*USED_AT.items(), *(("diffusion_policy", horizon) for horizon, _ in RARER)]
    used = [(method, row) for method, horizon in meant if (row := _at(rows, method, horizon))]
    base = _at(rows, "lwd", USED_AT["lwd"])
    lines = [
        [
            name_of(method), str(row["horizon"]), text.number(row["flops"]["query"]),
            text.number(row["flops"]["policy_step"]), text.number(row["flops"]["control_step"]),
            _ratio(row["flops"]["control_step"], base["flops"]["control_step"]),
            *_of_diffusion(
                method, text.milliseconds(row["query_ms"]), f"{row['queries_per_success']:.1f}",
                text.milliseconds(row["diffusion_ms_per_success"]),
                _ratio(row["diffusion_ms_per_success"], base["diffusion_ms_per_success"]),
            ),
        ]
        for method, row in used
        if base and base["successes"] and row["successes"]
    ]  # fmt: skip
    header = ["method", "steps between queries", "FLOPs a query", "FLOPs of the policy, a step"]
    header += ["FLOPs a control step", f"over {name_of('lwd')}", "a query, ms", "queries a success"]
    return text.table([*header, "diffusion a success, ms", f"over {name_of('lwd')}"], lines)


def _of_diffusion(method: str, *cells: str) -> tuple[str, ...]:
    """The cells, or dashes for a method without a diffusion model."""
    return cells if method in comparison_plots.QUERIED else (text.NONE,) * len(cells)


def _ratio(value: float, over: float) -> str:
    return f"{value / over:,.0f}" if value > 10 * over else text.two_digits(value / over, "=")


def tasks_table(rows: Rows) -> str:
    """Success by task: each method at the horizon that it is meant for, and at one query an episode."""
    methods = [method for method in rows if method != "diffusion_policy_160"]  # at 500 it is diffusion_policy's
    shown = [(method, h) for method in methods for h in dict.fromkeys((USED_AT.get(method, 500), 500))]
    columns = [(method, row) for method, h in shown if (row := _at(rows, method, h))]
    tasks = columns[0][1]["tasks"] if columns else {}
    lines = [
        [task, *(text.fraction(Count(row["tasks"][task]["successes"], row["tasks"][task]["episodes"]))
                 for _, row in columns)]
        for task in tasks
    ]  # fmt: skip
    return text.table(["task", *(f"{name_of(method)}, {row['horizon']}" for method, row in columns)], lines)


def _by_case(rows: Rows) -> dict[tuple, dict[tuple[str, int], dict]]:
    """Rows by disturbance, level and unit, then by method and horizon; raises ReportError where cases differ."""
    cases: dict[tuple, dict[tuple[str, int], dict]] = {}
    for method, found in rows.items():
        for row in found:
            cases.setdefault((row["disturbance"], row["level"], row["unit"]), {})[method, row["horizon"]] = row
    for (name, level, unit), found in cases.items():
        if len(found) != len(comparison_plots.columns(rows)):
            raise ReportError(f"disturbance.json: '{name}' at {level:g} {unit} is not there for every method")
    return cases


def disturbance_table(rows: Rows) -> str:
    """One row per disturbance and level: each method's success, and how much less that is than undisturbed."""
    shown = comparison_plots.columns(rows)
    cases = _by_case(rows)
    seeds = next(iter(cases.values()))
    lines = [["*training seeds*", *(str(seeds[column]["training_seeds"]) for column in shown)]]
    lines += [[_case(*case), *(_kept(found[column]) for column in shown)] for case, found in cases.items()]
    return text.table(["disturbance", *(comparison_plots.column_name(*column) for column in shown)], lines)


def _kept(row: dict) -> str:
    return f"{text.rate(row['success'])} ({text.interval(_count(row))}), {0.0 - row['drop']:+.3f}"


def _case(name: str, level: float, unit: str) -> str:
    return f"{name}, {level:g} {unit}" if unit else name


def lead_table(rows: Rows) -> str:
    """How much higher each method's success is than Diffusion Policy's; bold where it is lower and that no chance."""
    return _beside_reference(rows, "lead", lambda low, high: high < 0, undisturbed=True)


def extra_table(rows: Rows) -> str:
    """How much more each method drops than Diffusion Policy; bold where it is more and that no chance."""
    return _beside_reference(rows, "extra_drop", lambda low, high: low > 0)


def _beside_reference(rows: Rows, key: str, worse: Callable[[float, float], bool], undisturbed=False) -> str:
    """One row per disturbance and level, and for each method a difference with its interval."""
    shown = [column for column in comparison_plots.columns(rows) if column[0] != "diffusion_policy"]

    def cell(row: dict) -> str:
        if key not in row:
            return text.NONE
        low, high = row[f"{key}_interval"]
        words = f"{row[key]:+.3f} ({low:+.3f} to {high:+.3f})"
        return f"**{words}**" if worse(low, high) else words

    lines = [
        [_case(*case), *(cell(found[column]) for column in shown)]
        for case, found in _by_case(rows).items()
        if undisturbed or case[0] != "none"
    ]
    return text.table(["disturbance", *(comparison_plots.column_name(*column) for column in shown)], lines)


def latency_table(rows: Rows) -> str:
    """One row per method and computer, with what became of it in each of the ways to spend the time of thinking."""
    lines = []
    for method, found in rows.items():
        cases: dict[tuple, dict[str, dict]] = {}
        for row in found:
            cases.setdefault((row["horizon"], row["times_slower"]), {})[row["meanwhile"]] = row
        for (horizon, slower), by_meanwhile in sorted(cases.items()):
            row = by_meanwhile["stands"]
            lines.append(
                [
                    name_of(method), str(horizon), f"{slower:g}", f"{row['query_ms']:.1f}", str(row["thinking_steps"]),
                    text.number(row["episodes"]), str(row["training_seeds"]),
                    *(_timed(by_meanwhile[meanwhile]) for meanwhile in comparison_plots.MEANWHILE),
                ]
            )  # fmt: skip
    header = ["method", "steps between queries", "computer slower by", "a query, ms", "control steps of thinking"]
    return text.table([*header, "episodes", "training seeds", *comparison_plots.MEANWHILE.values()], lines)


def _timed(row: dict) -> str:
    """Success with its interval, and the control steps that a success took."""
    steps = text.NONE if row["steps_per_success"] is None else f"{row['steps_per_success']:.0f}"
    return f"{text.rate(row['success'])} ({text.interval(_count(row))}), {steps}"


def convergence_table(rows: Rows) -> str:
    """One row per network and horizon, one column per training step; methods are named NETWORK@STEPS."""
    points = comparison_plots.convergence_points(rows)
    steps = sorted({step for found in points.values() for step in found})

    def cell(row: dict | None) -> str:
        return text.NONE if row is None else f"{text.fraction(_count(row))} ({text.interval(_count(row))})"

    lines = [[label, *(cell(found.get(step)) for step in steps)] for label, found in points.items()]
    return text.table(["network", *(f"{step:,}" for step in steps)], lines)


TABLES: Mapping[str, tuple[str, Callable[[Rows], str]]] = {
    "horizon": ("horizon", horizon_table),
    "cost": ("horizon", cost_table),
    "tasks": ("horizon", tasks_table),
    "disturbance": ("disturbance", disturbance_table),
    "lead": ("disturbance", lead_table),
    "extra": ("disturbance", extra_table),
    "latency": ("latency", latency_table),
    "convergence": ("convergence", convergence_table),
}
"""By name: the study whose rows it shows, and the function."""


def _goals(results: Mapping[str, dict]) -> str:
    """What was asked for, what was got, and whether that is enough."""
    rows = results.get("horizon", {}).get("methods", {})
    lines = []

    def add(name: str, sign: str, bound: float, value: float, got: str) -> None:
        met = value >= bound if sign == "≥" else value < bound if sign == "<" else value <= bound
        lines.append([name, f"{sign} {bound:g}", got, "yes" if met else "no"])

    def kept(method: str, sign: str, bound: float, over: str, base: dict | None) -> None:
        once = _at(rows, method, 500)
        if once and base and base["success"]:
            value = once["success"] / base["success"]
            add(f"{name_of(method)}: success at one query an episode over {over}", sign, bound, value, f"{value:.3f}")

    kept("lwd", "≥", 0.95, "its own at a query every 8 steps", _at(rows, "lwd", 8))
    best = max(rows.get("lwd_hidden", ()), key=lambda row: row["success"], default=None)
    kept("lwd_hidden", "≥", 0.95, "its own best", best)
    kept("diffusion_policy_160", "<", 0.5, "its own at a query every 8 steps", _at(rows, "diffusion_policy_160", 8))
    kept("diffusion_policy_160", "<", 0.5, "that of 16 actions at a query every 8", _at(rows, "diffusion_policy", 8))
    lwd, other = _at(rows, "lwd", 500), _at(rows, "diffusion_policy", 8)
    if lwd and other:
        name, success = "Diffusion Policy: success at a query every 8 steps", other["success"]
        add(name, "≥", 0.9, success, text.rate(success))
        rarer = ((often, row) for horizon, often in RARER if (row := _at(rows, "diffusion_policy", horizon)))
        asked = [("every 8 steps", other), *((often, row) for often, row in rarer if row["successes"])]
        for name, bound, cost in (
            ("FLOPs a control step", 45, lambda row: row["flops"]["control_step"]),
            ("diffusion time of an episode that succeeds", 100, lambda row: row["diffusion_ms_per_success"]),
        ):
            got = ", ".join(f"{_ratio(cost(row), cost(lwd))} {often}" for often, row in asked)
            add(f"{name}, Diffusion Policy over {name_of('lwd')}", "≥", bound, cost(other) / cost(lwd), got)
    disturbed = results.get("disturbance", {}).get("methods", {})
    for method in ("lwd", "lwd_hidden", "lwd_robust"):
        found = [
            row for row in disturbed.get(method, ())
            if row["disturbance"] != "none" and row["horizon"] == USED_AT["lwd"] and "extra_drop" in row
        ]  # fmt: skip
        if found:
            beside = name_of(found[0]["reference"][0])
            more = sum(row["extra_drop"] > 0 for row in found), sum(row["extra_drop_interval"][0] > 0 for row in found)
            lower = sum(row["lead"] < 0 for row in found), sum(row["lead_interval"][1] < 0 for row in found)
            for words, (some, clearly) in ((f"drops by more than {beside}", more), (f"is below {beside}", lower)):
                name = f"{name_of(method)}: disturbances under which it {words}"
                add(name, "≤", 0, some, f"{some} of {len(found)}; {clearly} beyond chance")
    return text.table(["", "goal", "got", "reached"], lines)


def contents(results: Mapping[str, dict]) -> dict[str, str]:
    """What the markers of the page's template stand for; it says so where a study is missing."""
    found = {"table:goals": _goals(results)}
    for name, (study, make) in TABLES.items():
        command = f"`lwd study {study}`" if study != "convergence" else "the trainings of other lengths"
        missing = f"*No results of {command} yet.*"
        found[f"table:{name}"] = make(results[study]["methods"]) if study in results else missing
    for study in STUDIES:
        result = results.get(study, {})
        known = {**result.get("protocol", {}), **result.get("machine", {})}
        known["episode_hours"] = f"{result['episode_hours']:.1f}" if result else text.NONE
        for key in ("first_layout", "episodes_per_task", "cpu", "cores", "episode_hours"):
            value = known.get(key, text.NONE)
            found[f"value:{study}.{key}"] = text.number(value) if isinstance(value, int) else value
    return found


def comparison_text(results: Mapping[str, dict], template: Path) -> str:
    """The page's text; raises ReportError as `page_text` does."""
    return page_text(template, contents(results), PLOTS, {name: name in results for name in PLOTS})


def make_comparison(folder: Path, out: Path, template: Path) -> Path:
    """Write the page and its pictures from the results in `folder`; the same results give the same bytes.

    Returns:
        The path of the page.

    Raises:
        ReportError: a result file, the template or a marker is wrong; nothing is written then.
    """
    results = load(folder)
    return write_page(comparison_text(results, template), results, PLOTS, out, page_name(template))

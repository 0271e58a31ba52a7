"""LWD beside Diffusion Policy: what the page shows of `lwd study horizon`, `disturbance`, `latency`, `convergence`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from lwd_benchmarks.methods import LWD, METHODS, described
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.frame import episodes, joined, pooled
from lwd_benchmarks.report.headlines import Figures, counted
from lwd_benchmarks.report.page import rate, times
from lwd_benchmarks.results import MethodRow, MethodsResult, read
from lwd_benchmarks.statistics import Pooled

STUDIES = ("horizon", "disturbance", "latency", "convergence")
DIFFUSION_POLICY, MLP = "diffusion_policy", "multitask_mlp"
RARER = ((16, "every 16"), (500, "at one query"))
"""Horizons at which Diffusion Policy costs less, and how the page says so."""

HARD = ("reach-v3", "push-v3", "pick-place-v3", "peg-insert-side-v3")
"""The tasks that tell methods apart: in the others a demonstration played back succeeds as well."""

MEANWHILE = {
    "stands": "the last command stands",
    "plays on": "the answer before plays on",
    "pauses": "the robot pauses",
}
"""What happens while a method thinks."""


@dataclass(frozen=True)
class Row:
    """A method at a horizon in a case, with the rows of the tidy frame that it has."""

    method: str
    of: MethodRow
    frame: pd.DataFrame = field(repr=False, default=None)

    def __getattr__(self, name: str):
        """What the result says."""
        if name in MethodRow.model_fields:
            return getattr(self.of, name)
        raise AttributeError(name)

    @property
    def name(self) -> str:
        """What the page calls the method."""
        return described(self.method).name

    @property
    def queried(self) -> bool:
        """There is a diffusion model to query."""
        return described(self.method).queried

    @property
    def place(self) -> tuple[str, int]:
        """What a column of a table stands for."""
        return self.method, self.of.horizon

    @property
    def column(self) -> str:
        """What the page calls a method at a horizon."""
        return f"{self.name}, {self.of.horizon}"

    @property
    def case(self) -> str:
        """The disturbance, with its level."""
        name = self.of.disturbance or ""
        return f"{name}, {self.of.level:g} {self.of.unit}" if self.of.unit else name

    @cached_property
    def count(self) -> Pooled:
        """All tasks."""
        return pooled(self.frame)

    def on(self, tasks: Iterable[str]) -> Pooled:
        """Some of its tasks, those that it has."""
        return pooled(self.frame[self.frame["task"].isin(list(tasks))])

    @property
    def hard(self) -> Pooled:
        """The hard tasks."""
        return self.on(HARD)


@dataclass(frozen=True)
class Compared:
    """One study: its result, and its rows in the order of methods.yaml; names that are not there come last."""

    result: MethodsResult
    rows: tuple[Row, ...]

    def by_method(self) -> dict[str, list[Row]]:
        """Rows of each method."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.method, []).append(row)
        return found

    def at(self, method: str, horizon: int) -> Row | None:
        """The first row of a method at a horizon."""
        return next((row for row in self.rows if row.place == (method, horizon)), None)

    def columns(self) -> list[Row]:
        """One row of each method and horizon, in their order."""
        return list({row.place: row for row in reversed(self.rows)}.values())[::-1]

    def by_case(self) -> list[dict[tuple[str, int], Row]]:
        """Rows by method and horizon, for each disturbance and level; ReportError where cases differ."""
        cases: dict[str, dict] = {}
        for row in self.rows:
            cases.setdefault(row.case, {})[row.place] = row
        for case, found in cases.items():
            if len(found) != len(self.columns()):
                raise ReportError(f"disturbance.json: '{case}' is not there for every method")
        return list(cases.values())


def load(folder: Path) -> dict[str, Compared]:
    """Results by study.

    What the study of horizons has is among the rows of `convergence`, as its longest trainings.

    Raises:
        ResultError: a file is not there, or is not what a study writes.
        ReportError: trainings were judged on other layouts than the longest.
    """
    results = {study: read(MethodsResult, folder / f"{study}.json") for study in STUDIES}
    shorter, longest = results["convergence"], results["horizon"]
    for key in ("first_layout", "episodes_per_task"):
        found, expected = (getattr(result.protocol, key) for result in (shorter, longest))
        if found != expected:
            words = f"found {key} {found}, expected {expected}, that of the longest trainings in horizon.json"
            raise ReportError(f"{folder / 'convergence.json'}: {words}")
    trained = dict(shorter.methods)
    for name, method in METHODS.items():
        for training, horizons in method.longest.items():
            rows = [row for row in longest.methods.get(name, []) if row.horizon in horizons]
            trained |= {training: rows} if rows else {}
    results["convergence"] = shorter.model_copy(update={"methods": trained})
    return {study: compared(result) for study, result in results.items()}


def compared(result: MethodsResult) -> Compared:
    """A result with its episodes."""
    order = {name: place for place, name in enumerate(METHODS)}
    methods = sorted(result.methods, key=lambda name: order.get(name, len(order)))
    rows = [Row(method, row) for method in methods for row in result.methods[method]]
    frame = joined(
        episodes(
            row.tasks, result.protocol, row.training_seeds, row=place, method=row.method, set="mt10",
            horizon=row.horizon, goal="hidden" if described(row.method).variant == "goal hidden" else "visible",
        )
        for place, row in enumerate(rows)
    )  # fmt: skip
    parts = dict(iter(frame.groupby("row"))) if rows else {}
    return Compared(result, tuple(replace(row, frame=parts[place]) for place, row in enumerate(rows)))


def context(studies: Mapping[str, Compared]) -> dict:
    """What the template may name, beside the headlines."""
    return {
        **studies,
        "cost": _costs(studies["horizon"]),
        "tasks": _meant(studies["horizon"], {}, everywhere=[500]),
        "computers": _computers(studies["latency"]),
        "points": convergence_points(studies["convergence"]),
        "goals": goals(studies),
        "meanwhile": MEANWHILE,
        "mlp_level": _level(studies["disturbance"], MLP),
        "undisturbed": lambda study: [
            case for case in study.by_case() if next(iter(case.values())).disturbance != "none"
        ],
    }


def _used(horizon: Compared, method: str = LWD) -> Row:
    """A method at the horizon that it is meant for; ReportError where the study lacks it."""
    row = horizon.at(method, described(method).horizon)
    if row is None:
        raise ReportError(f"horizon.json: found no '{method}' at horizon {described(method).horizon}")
    return row


def _meant(horizon: Compared, further: Mapping[str, Iterable[int]], everywhere: Iterable[int] = ()) -> list[Row]:
    """Each method at the horizon that it is meant for, and at further ones; every model once at a horizon."""
    found: dict[str, Row] = {}
    for method in horizon.by_method():
        for often in (described(method).horizon or 500, *further.get(method, ()), *everywhere):
            if row := horizon.at(method, often):
                models = row.models or method
                found.setdefault(f"{often} {models}", row)
    return list(found.values())


def _costs(horizon: Compared) -> list[tuple[Row, float, float]]:
    """Rows with FLOPs and diffusion time over LWD's; Diffusion Policy at longer horizons too."""
    base = _used(horizon)
    return [
        (
            row,
            row.flops["control_step"] / base.flops["control_step"],
            row.diffusion_ms_per_success / base.diffusion_ms_per_success,
        )
        for row in _meant(horizon, {DIFFUSION_POLICY: [often for often, _ in RARER]})
        if row.successes and row.flops["control_step"]
    ]


def _level(disturbance: Compared, method: str) -> tuple[int, int]:
    """Of a method's rows, those where its success is no lower than Diffusion Policy's; and all."""
    leads = [row.lead for row in disturbance.rows if row.method == method and row.lead is not None]
    return sum(lead >= 0 for lead in leads), len(leads)


def _computers(latency: Compared) -> list[dict[str, Row]]:
    """Rows by what happens meanwhile, for each method, horizon and computer."""
    cases: dict[tuple, dict[str, Row]] = {}
    for rows in latency.by_method().values():
        for row in sorted(rows, key=lambda row: (row.horizon, row.times_slower)):
            cases.setdefault((*row.place, row.times_slower), {})[row.meanwhile] = row
    return list(cases.values())


def convergence_points(study: Compared) -> dict[str, dict[int, Row]]:
    """Rows by training step, under `NETWORK, horizon H`; methods are named NETWORK@STEPS."""
    found: dict[str, dict[int, Row]] = {}
    for row in study.rows:
        name, _, steps = row.method.partition("@")
        found.setdefault(f"{name}, horizon {row.horizon}", {})[int(steps)] = row
    return {name: dict(sorted(points.items())) for name, points in sorted(found.items())}


def goals(studies: Mapping[str, Compared]) -> list[tuple[str, str, str, str]]:
    """What was asked for, what was got, and whether that is enough."""
    horizon, lines = studies["horizon"], []

    def add(name: str, sign: str, bound: float, value: float, got: str) -> None:
        met = value >= bound if sign == "≥" else value < bound if sign == "<" else value <= bound
        lines.append((name, f"{sign} {bound:g}", got, "yes" if met else "no"))

    def kept(method: str, sign: str, bound: float, over: str, base: Row | None) -> None:
        once = horizon.at(method, 500)
        if once and base and base.success:
            value = once.success / base.success
            add(f"{once.name}: success at one query an episode over {over}", sign, bound, value, f"{value:.3f}")

    kept(LWD, "≥", 0.95, "its own at a query every 8 steps", horizon.at(LWD, 8))
    best = max(horizon.by_method().get("lwd_hidden", ()), key=lambda row: row.success, default=None)
    kept("lwd_hidden", "≥", 0.95, "its own best", best)
    whole = "diffusion_policy_160"
    kept(whole, "<", 0.5, "its own at a query every 8 steps", horizon.at(whole, 8))
    kept(whole, "<", 0.5, "that of 16 actions at a query every 8", horizon.at(DIFFUSION_POLICY, 8))
    lwd, other = _used(horizon), _used(horizon, DIFFUSION_POLICY)
    add("Diffusion Policy: success at a query every 8 steps", "≥", 0.9, other.success, rate(other.success))
    rarer = ((often, row) for steps, often in RARER if (row := horizon.at(DIFFUSION_POLICY, steps)))
    asked = [("every 8 steps", other), *((often, row) for often, row in rarer if row.successes)]
    for name, bound, cost in (
        ("FLOPs a control step", 45, lambda row: row.flops["control_step"]),
        ("diffusion time of an episode that succeeds", 100, lambda row: row.diffusion_ms_per_success),
    ):
        got = ", ".join(f"{times(cost(row) / cost(lwd))} {often}" for often, row in asked)
        add(f"{name}, Diffusion Policy over {lwd.name}", "≥", bound, cost(other) / cost(lwd), got)
    for method, rows in studies["disturbance"].by_method().items():
        found = [
            row for row in rows
            if described(method).label == described(LWD).label and row.disturbance != "none"
            and row.horizon == described(method).horizon and row.extra_drop is not None
        ]  # fmt: skip
        if found:
            beside = described(found[0].reference[0]).name
            more = sum(row.extra_drop > 0 for row in found), sum(row.extra_drop_interval[0] > 0 for row in found)
            lower = sum(row.lead < 0 for row in found), sum(row.lead_interval[1] < 0 for row in found)
            for words, (some, clearly) in ((f"drops by more than {beside}", more), (f"is below {beside}", lower)):
                name = f"{found[0].name}: disturbances under which it {words}"
                add(name, "≤", 0, some, f"{some} of {len(found)}; {clearly} beyond chance")
    return lines


def figures(studies: Mapping[str, Compared]) -> Figures:
    """`horizon.METHOD.hN.FIGURE`, `disturbed.METHOD.hN.CASE.FIGURE`, `slowed.METHOD.hN.xTIMES.MEANWHILE.FIGURE`."""
    for row in studies["horizon"].rows:
        name = f"horizon.{row.method}.h{row.horizon}"
        yield from counted(name, row.count)
        yield from counted(f"{name}.hard", row.hard)
        yield f"{name}.seeds", row.training_seeds
        yield f"{name}.flops_control_step", row.flops["control_step"]
        yield f"{name}.query_ms", row.query_ms
        yield f"{name}.diffusion_ms_per_success", row.diffusion_ms_per_success
        yield f"{name}.steps_per_success", row.steps_per_success
    for row in studies["disturbance"].rows:
        case = f"{row.disturbance}_{row.level:g}".replace(" ", "_").replace(".", "_")
        yield from counted(f"disturbed.{row.method}.h{row.horizon}.{case}", row.count)
    for row in studies["latency"].rows:
        case = f"x{row.times_slower:g}.{row.meanwhile.replace(' ', '_')}"
        yield from counted(f"slowed.{row.method}.h{row.horizon}.{case}", row.count)

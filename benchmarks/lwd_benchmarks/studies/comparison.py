"""Methods against each other: at every action horizon, in every case, on the same tasks and layouts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np

from lwd_benchmarks.results import MethodsResult, checked
from lwd_benchmarks.studies.costs import machine
from lwd_benchmarks.studies.methods import Method
from lwd_benchmarks.studies.trials import REVISION, Counts, Trial, make_actor, pooled, run_trials
from lwd_ros import __version__
from lwd_ros.environments.disturbance import NONE, Disturbance
from lwd_ros.environments.episode import AT_ONCE, Thinking
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import require_unseen
from lwd_ros.generator import ModelError

Outcomes = Mapping[tuple[str, int], Sequence[bool]]
"""Successes of each task and layout, one per training seed."""


class EarlierResultError(LwdError):
    """Rows of an earlier result cannot stand beside new ones; says what differs."""


@dataclass(frozen=True)
class Rules:
    """What is the same for every method.

    Attributes:
        tasks: names.
        episodes: per task and training seed.
        first_layout: of all of them.
        kept: folder of the trials that were run already.
        workers: parallel processes.
    """

    tasks: tuple[str, ...]
    episodes: int
    first_layout: int
    kept: Path
    workers: int

    def to_dict(self) -> dict:
        """What results say of it."""
        return {
            "success": f"at any step of {EPISODE_STEPS}",
            "policy_seed": "layout + 1",
            "disturbance_seed": "[layout, CRC-32 of the task, 0: acts, 1: sees, 2: drops, 3: is pushed]",
            "first_layout": self.first_layout,
            "episodes_per_task": self.episodes,
            "tasks": list(self.tasks),
            "revision": REVISION,
        }


@dataclass(frozen=True)
class Case:
    """What methods are compared under.

    Attributes:
        labels: for the result.
        disturbance: what goes wrong.
        thinking: how long a query takes, for a method and a horizon.
        tasks: those to which it applies; empty: all.
    """

    labels: dict = field(default_factory=dict)
    disturbance: Disturbance = NONE
    thinking: Callable[[Method, int], Thinking] = lambda method, horizon: AT_ONCE
    tasks: tuple[str, ...] = ()

    def of(self, tasks: Sequence[str]) -> tuple[str, ...]:
        """Those of `tasks` to which it applies."""
        return tuple(task for task in tasks if not self.tasks or task in self.tasks)


@dataclass(frozen=True)
class Compared:
    """One row: a method at a horizon in a case."""

    method: Method
    case: Case
    horizon: int
    thinking: Thinking
    counts: Counts

    def to_dict(self) -> dict:
        """As results have it."""
        models = [{"model": path.name, "sha256": digest} for path, digest in self.method.models[self.horizon]]
        return {
            **self.case.labels,
            "horizon": self.horizon,
            "training_seeds": len(models),
            "thinking_steps": self.thinking.steps,
            **self.counts.to_dict(),
            "models": models,
        }


def compare(methods: Sequence[Method], cases: Sequence[Case], rules: Rules) -> list[Compared]:
    """Every method at every horizon in every case that applies to a task.

    Where rows share episodes, the first of them alone counts the time that these took.

    Raises:
        ModelError: a model file cannot be used or does not know a task, or the layouts were trained on.
    """
    require_unseen(rules.first_layout, rules.episodes)
    _require_usable(methods, rules)
    rows: list[tuple[Method, Case, int, Thinking, slice]] = []
    trials: list[Trial] = []
    for method, case in product(methods, cases):
        tasks = case.of(rules.tasks)
        for horizon, models in method.models.items() if tasks else ():
            thinking = case.thinking(method, horizon)
            mine = [
                Trial(
                    method.kind, path, digest, horizon, task, rules.first_layout, rules.episodes, case.disturbance,
                    thinking,
                )
                for (path, digest), task in product(models, tasks)
            ]  # fmt: skip
            rows.append((method, case, horizon, thinking, slice(len(trials), len(trials) + len(mine))))
            trials += mine
    counts = run_trials(trials, rules.kept, rules.workers)
    timed: set[str] = set()
    found = []
    for method, case, horizon, thinking, place in rows:
        together = pooled(counts[place])
        seconds = {digest: value for digest, value in together.seconds.items() if digest not in timed}
        timed |= seconds.keys()
        found.append(Compared(method, case, horizon, thinking, replace(together, seconds=seconds)))
    return found


def _require_usable(methods: Sequence[Method], rules: Rules) -> None:
    """Open every model once: not after an hour of episodes."""
    for method in methods:
        for horizon, models in method.models.items():
            for path, _ in models:
                known = make_actor(method.kind, path, horizon).tasks
                unknown = [task for task in rules.tasks if task not in known]
                if unknown:
                    raise ModelError(f"task '{unknown[0]}' is unknown to {path.name}; it knows {', '.join(known)}")


def described(
    study: str, rules: Rules, compared: Sequence[Compared], rows: Sequence[dict], earlier: dict | None = None
) -> dict:
    """A study's result: `methods.<name>` are the rows of what was compared; times in them were measured on `machine`.

    `episode_hours` is what all episodes took together, in processes of one thread each, whenever they were run.
    Methods of an `earlier` result that were not compared now stay as they are there, before the others.

    Raises:
        EarlierResultError: the earlier result was made by other rules, or has times of another machine.
    """
    head = {"study": study, "lwd_ros": __version__, "machine": machine(), "protocol": rules.to_dict()}
    methods: dict[str, list[dict]] = {row.method.name: [] for row in compared}
    earlier = earlier or {}
    stay = {name: found for name, found in earlier.get("methods", {}).items() if name not in methods}
    timed = any("query_ms" in row for row in rows)
    for key in (key for key in head if stay and (timed or key != "machine")):
        if earlier.get(key) != head[key]:
            there, here = json.dumps(earlier.get(key)), json.dumps(head[key])
            text = f"key '{key}': found {there}, expected {here}; rows made otherwise cannot stand beside new ones"
            raise EarlierResultError(f"the earlier result of '{study}': {text}")
    for found, row in zip(compared, rows, strict=True):
        methods[found.method.name].append(row)
    methods = stay | methods
    seconds = sum(row["seconds"] for rows in methods.values() for row in rows)
    return {**head, "episode_hours": round(seconds / 3600, 2), "methods": methods}


def earlier_result(path: Path) -> dict | None:
    """What an earlier study wrote there; none where there is no file.

    Raises:
        EarlierResultError: it is not a result of a study of methods.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checked(MethodsResult, content, path)
    except ValueError as error:
        raise EarlierResultError(f"{path}: is not the result of a study of methods ({error})") from error
    return content


def outcomes_of(row: Mapping, protocol: Mapping) -> Outcomes:
    """The outcomes that a row of a result stands for; which training seed failed on a layout it does not say."""
    seeds, first = row["training_seeds"], protocol["first_layout"]
    return {
        (task, layout): tuple(k >= counts["failed_layouts"].count(layout) for k in range(seeds))
        for task, counts in row["tasks"].items()
        for layout in range(first, first + protocol["episodes_per_task"])
    }


def drop(before: Outcomes, after: Outcomes) -> tuple[float, tuple[float, float]]:
    """How much lower success is after than before, on the tasks of `after`, and a 95 % interval.

    The same episodes stand against each other: the interval is a bootstrap over tasks and layouts, whose training
    seeds stay together.
    """
    return _mean_with_interval(_drops(before, after))


def extra_drop(mine: tuple[Outcomes, Outcomes], other: tuple[Outcomes, Outcomes]) -> tuple[float, tuple[float, float]]:
    """How much more one method drops than another, each given as (before, after), and a 95 % interval as of `drop`.

    Both must have met the same tasks and layouts.
    """
    return _mean_with_interval(_drops(*mine) - _drops(*other))


def lead(mine: Outcomes, other: Outcomes) -> tuple[float, tuple[float, float]]:
    """How much higher one method's success is than another's, and a 95 % interval as of `drop`."""
    return _mean_with_interval(_drops(mine, other))


def _drops(before: Outcomes, after: Outcomes) -> np.ndarray:
    """float64 [tasks x layouts]: the drop on each, training seeds averaged."""
    return np.array([np.mean(before[key]) - np.mean(found) for key, found in sorted(after.items())])


def _mean_with_interval(values: np.ndarray) -> tuple[float, tuple[float, float]]:
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), (float(low), float(high))

"""Methods against each other: at every action horizon, in every case, on the same tasks and layouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from lwd_ros import __version__
from lwd_ros.evaluation.costs import machine
from lwd_ros.evaluation.disturbance import AT_ONCE, NONE, Disturbance, Thinking
from lwd_ros.evaluation.evaluate import require_unseen
from lwd_ros.evaluation.methods import Method
from lwd_ros.evaluation.trials import Counts, Trial, make_actor, pooled, run_trials
from lwd_ros.generator import ModelError
from lwd_ros.sim.scene import EPISODE_STEPS


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

    Raises:
        ModelError: a model file cannot be used or does not know a task, or the layouts were trained on.
    """
    require_unseen(rules.first_layout, rules.episodes)
    _require_usable(methods, rules)
    rows, trials = [], []
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
    return [Compared(method, case, h, thinking, pooled(counts[place])) for method, case, h, thinking, place in rows]


def _require_usable(methods: Sequence[Method], rules: Rules) -> None:
    """Open every model once: not after an hour of episodes."""
    for method in methods:
        for horizon, models in method.models.items():
            for path, _ in models:
                known = make_actor(method.kind, path, horizon).tasks
                unknown = [task for task in rules.tasks if task not in known]
                if unknown:
                    raise ModelError(f"task '{unknown[0]}' is unknown to {path.name}; it knows {', '.join(known)}")


def described(study: str, rules: Rules, rows: dict[str, list[dict]], compared: Sequence[Compared]) -> dict:
    """A study's result: `methods.<name>` are its rows; times in them were measured on `machine`.

    `episode_hours` is what all episodes took together, in processes of one thread each, whenever they were run.
    """
    head = {"study": study, "lwd_ros": __version__, "machine": machine(), "protocol": rules.to_dict()}
    seconds = sum(pooled(row.counts for row in compared).seconds.values())  # rows may share trials
    return {**head, "episode_hours": round(seconds / 3600, 2), "methods": rows}


def by_method(methods: Sequence[Method], rows: Sequence[dict], compared: Sequence[Compared]) -> dict[str, list[dict]]:
    """Rows under their methods' names."""
    names = [row.method.name for row in compared]
    return {m.name: [row for name, row in zip(names, rows, strict=True) if name == m.name] for m in methods}


def drop(before: Counts, after: Counts) -> tuple[float, tuple[float, float]]:
    """How much lower success is after than before, on the tasks of `after`, and a 95 % interval.

    The same episodes stand against each other: the interval is a bootstrap over tasks and layouts, whose training
    seeds stay together.
    """
    return _mean_with_interval(_drops(before, after))


def extra_drop(mine: tuple[Counts, Counts], other: tuple[Counts, Counts]) -> tuple[float, tuple[float, float]]:
    """How much more one method drops than another, each given as (before, after), and a 95 % interval as of `drop`.

    Both must have met the same tasks and layouts.
    """
    return _mean_with_interval(_drops(*mine) - _drops(*other))


def lead(mine: Counts, other: Counts) -> tuple[float, tuple[float, float]]:
    """How much higher one method's success is than another's, and a 95 % interval as of `drop`."""
    return _mean_with_interval(_drops(mine, other))


def _drops(before: Counts, after: Counts) -> np.ndarray:
    """float64 [tasks x layouts]: the drop on each, training seeds averaged."""
    first = before.outcomes
    return np.array([np.mean(first[key]) - np.mean(found) for key, found in sorted(after.outcomes.items())])


def _mean_with_interval(values: np.ndarray) -> tuple[float, tuple[float, float]]:
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), (float(low), float(high))

"""Methods against each other: at every action horizon, in every case, on the same tasks and layouts."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from lwd_ros.evaluation.disturbance import NONE, Disturbance
from lwd_ros.evaluation.evaluate import require_unseen
from lwd_ros.evaluation.methods import Method
from lwd_ros.evaluation.trials import Trial, pooled, run_trials
from lwd_ros.sim.scene import EPISODE_STEPS


@dataclass(frozen=True)
class Protocol:
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
            "first_layout": self.first_layout,
            "episodes_per_task": self.episodes,
            "tasks": list(self.tasks),
        }


@dataclass(frozen=True)
class Case:
    """What methods are compared under: labels for the result, what goes wrong, and how long a query takes.

    `thinking_steps` gives control steps for a method and a horizon.
    """

    labels: dict = field(default_factory=dict)
    disturbance: Disturbance = NONE
    thinking_steps: Callable[[Method, int], int] = lambda method, horizon: 0


def described(study: str, protocol: Protocol, rows: dict[str, list[dict]]) -> dict:
    """A study's result: `methods.<name>` are its rows; times in them were measured on `machine`."""
    model = next((line for line in _cpu_info() if line.startswith("model name")), platform.processor())
    machine = {"cpu": model.partition(":")[2].strip() or platform.machine(), "cores": os.cpu_count()}
    return {"study": study, "machine": machine, "protocol": protocol.to_dict(), "methods": rows}


def _cpu_info() -> list[str]:
    """Lines of /proc/cpuinfo; none where it does not exist."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def compare(methods: Sequence[Method], cases: Sequence[Case], protocol: Protocol) -> dict[str, list[dict]]:
    """For each method one row per case and horizon: its labels, `horizon`, `training_seeds`, and the pooled counts.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
    """
    require_unseen(protocol.first_layout, protocol.episodes)
    rows, trials = [], []
    for method, case in product(methods, cases):
        for horizon, models in method.models.items():
            thinking = case.thinking_steps(method, horizon)
            mine = [
                Trial(
                    method.kind, model, horizon, task, protocol.first_layout, protocol.episodes, case.disturbance,
                    thinking,
                )
                for model, task in product(models, protocol.tasks)
            ]  # fmt: skip
            rows.append((method, case, horizon, len(models), thinking, slice(len(trials), len(trials) + len(mine))))
            trials += mine
    counts = run_trials(trials, protocol.kept, protocol.workers)
    result: dict[str, list[dict]] = {method.name: [] for method in methods}
    for method, case, horizon, seeds, thinking, place in rows:
        described = {**case.labels, "horizon": horizon, "training_seeds": seeds, "thinking_steps": thinking}
        result[method.name].append(described | pooled(counts[place]).to_dict())
    return result

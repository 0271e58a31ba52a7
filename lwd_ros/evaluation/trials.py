"""Many episodes of many methods: each task's in a process of its own, and kept, so that a study can be stopped."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from joblib import delayed

from lwd_ros.evaluation.actors import Actor, DiffusionPolicyActor, LwdActor
from lwd_ros.evaluation.disturbance import NONE, Disturbance, disturbed_episode
from lwd_ros.evaluation.evaluate import wilson_interval
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.files import written_whole
from lwd_ros.sim.scene import Scene

KINDS = {"lwd": LwdActor, "diffusion_policy": DiffusionPolicyActor}


@dataclass(frozen=True)
class Trial:
    """Episodes of one method on one task.

    Attributes:
        kind: key of KINDS.
        model: path of the model file; its content is part of what is kept, its place is not.
        horizon: control periods between queries.
        task: name.
        first_layout, episodes: layouts.
        disturbance: what goes wrong.
        thinking_steps: control steps that a query takes.
    """

    kind: str
    model: Path
    horizon: int
    task: str
    first_layout: int
    episodes: int
    disturbance: Disturbance = NONE
    thinking_steps: int = 0

    @property
    def digest(self) -> str:
        """Names the result: SHA-256 of everything that it depends on but the program."""
        content = asdict(self) | {"model": _file_digest(self.model)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Counts:
    """What became of the episodes of one or more trials: successes, episodes, queries of the diffusion model, steps."""

    successes: int = 0
    episodes: int = 0
    queries: int = 0
    steps: int = 0
    tasks: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        tasks = dict(self.tasks)
        for task, (successes, episodes) in other.tasks.items():
            known = tasks.get(task, (0, 0))
            tasks[task] = (known[0] + successes, known[1] + episodes)
        return Counts(
            self.successes + other.successes, self.episodes + other.episodes, self.queries + other.queries,
            self.steps + other.steps, tasks,
        )  # fmt: skip

    def to_dict(self) -> dict:
        """As the results of studies have it, with the Wilson 95 % interval."""
        return {
            "success": self.successes / self.episodes,
            "successes": self.successes,
            "episodes": self.episodes,
            "interval": list(wilson_interval(self.successes, self.episodes)),
            "queries_per_episode": self.queries / self.episodes,
            "steps_per_episode": self.steps / self.episodes,
            "tasks": {task: {"successes": s, "episodes": e} for task, (s, e) in self.tasks.items()},
        }


def run_trials(trials: Sequence[Trial], kept: Path, workers: int) -> list[Counts]:
    """The counts of each trial, in their order; those that are in the folder `kept` are not run again."""
    kept.mkdir(parents=True, exist_ok=True)
    missing = [trial for trial in dict.fromkeys(trials) if not _place(kept, trial).exists()]
    for _ in in_order((delayed(_run)(trial, kept) for trial in missing), workers, "study", "trial"):
        continue
    return [_read(_place(kept, trial), trial.task) for trial in trials]


def pooled(counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    return sum(counts, Counts())


def _place(kept: Path, trial: Trial) -> Path:
    return kept / f"{trial.digest[:32]}.json"


def _run(trial: Trial, kept: Path) -> None:
    actor = make_actor(trial.kind, trial.model, trial.horizon)
    scene = Scene(trial.task, actor.contract)
    layouts = range(trial.first_layout, trial.first_layout + trial.episodes)
    outcomes = [
        disturbed_episode(scene, actor, trial.task, layout, trial.disturbance, trial.thinking_steps)
        for layout in layouts
    ]
    content = {
        "trial": asdict(trial) | {"model": trial.model.name},
        "first_success_steps": [outcome.first_success_step for outcome in outcomes],
        "queries": [outcome.queries for outcome in outcomes],
        "steps": [outcome.steps for outcome in outcomes],
    }
    with written_whole(_place(kept, trial)) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _read(path: Path, task: str) -> Counts:
    content = json.loads(path.read_text(encoding="utf-8"))
    steps = content["first_success_steps"]
    successes = sum(step > 0 for step in steps)
    counted = {task: (successes, len(steps))}
    return Counts(successes, len(steps), sum(content["queries"]), sum(content["steps"]), counted)


def make_actor(kind: str, model: Path, horizon: int) -> Actor:
    """An actor of KINDS; raises ModelError where its model file cannot be used."""
    return KINDS[kind](model, horizon)


@lru_cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

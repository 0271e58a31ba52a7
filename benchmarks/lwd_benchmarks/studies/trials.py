"""Many episodes of many methods: each task's in a process of its own, and kept, so that a study can be stopped."""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from joblib import delayed

from lwd_benchmarks.methods.diffusion_policy.actor import DiffusionPolicyActor
from lwd_benchmarks.methods.mixture.actor import MixtureActor
from lwd_benchmarks.methods.replay import NearestDemonstrationActor
from lwd_ros import __version__
from lwd_ros.environments.disturbance import NONE, Disturbance
from lwd_ros.environments.episode import AT_ONCE, Thinking, run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.environments.metaworld.tasks import PERIOD_S
from lwd_ros.evaluation.actors import LwdActor, ModelActor
from lwd_ros.evaluation.evaluate import wilson_interval
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.files import written_whole
from lwd_ros.generator import ModelError

_SUMMED = ("queries", "steps", "queries_of_successes", "steps_of_successes")
KINDS: dict[str, Any] = {
    "lwd": LwdActor,  # and whatever else has a model file of that format
    "diffusion_policy": DiffusionPolicyActor,
    "mixture": MixtureActor,
    "nearest_demonstration": NearestDemonstrationActor,
}

REVISION = 5
"""To be raised when actors, disturbances or the episode change: what was kept before is then run again."""


@dataclass(frozen=True)
class Trial:
    """Episodes of one method on one task.

    Attributes:
        kind: key of KINDS.
        model: path of the model file; where it lies does not matter.
        model_digest: SHA-256 that it must have.
        horizon: control periods between queries.
        task: name.
        first_layout, episodes: layouts.
        disturbance: what goes wrong.
        thinking: how long queries take.
    """

    kind: str
    model: Path
    model_digest: str
    horizon: int
    task: str
    first_layout: int
    episodes: int
    disturbance: Disturbance = NONE
    thinking: Thinking = AT_ONCE

    @property
    def identity(self) -> dict:
        """All that the result depends on, as JSON holds it."""
        content = {key: value for key, value in asdict(self).items() if key != "model"}
        content["disturbance"]["period_s"] = self.disturbance.period_s or PERIOD_S
        return json.loads(json.dumps(content | {"revision": REVISION, "versions": _versions()}))

    @property
    def digest(self) -> str:
        """SHA-256 of the identity: names the result."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Counts:
    """What became of the episodes of one or more trials.

    Attributes:
        outcomes: successes of each task and layout, one per training seed.
        queries, steps: of the diffusion model and of control, in all.
        queries_of_successes, steps_of_successes: the same in the episodes that succeeded.
        seconds: of processor time that the episodes of each trial took, by the trial's digest.
    """

    outcomes: dict[tuple[str, int], tuple[bool, ...]] = field(default_factory=dict)
    queries: int = 0
    steps: int = 0
    queries_of_successes: int = 0
    steps_of_successes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        outcomes = dict(self.outcomes)
        for key, found in other.outcomes.items():
            outcomes[key] = outcomes.get(key, ()) + found
        sums = {key: getattr(self, key) + getattr(other, key) for key in _SUMMED}
        return Counts(outcomes, **sums, seconds=self.seconds | other.seconds)

    def to_dict(self) -> dict:
        """As the results of studies have it, with the Wilson 95 % interval.

        A layout is as often among a task's `failed_layouts` as training seeds failed on it.
        """
        tasks: dict[str, dict] = {}
        for (task, layout), found in self.outcomes.items():
            row = tasks.setdefault(task, {"successes": 0, "episodes": 0, "failed_layouts": []})
            row["successes"] += sum(found)
            row["episodes"] += len(found)
            row["failed_layouts"] += [layout] * (len(found) - sum(found))
        successes, episodes = (sum(row[key] for row in tasks.values()) for key in ("successes", "episodes"))
        return {
            "success": successes / episodes,
            "successes": successes,
            "episodes": episodes,
            "interval": list(wilson_interval(successes, episodes)),
            "queries_per_episode": self.queries / episodes,
            "queries_per_success": self.queries_of_successes / successes if successes else None,
            "steps_per_episode": self.steps / episodes,
            "steps_per_success": self.steps_of_successes / successes if successes else None,
            "seconds": round(sum(self.seconds.values()), 1),
            "tasks": tasks,
        }


def run_trials(trials: Sequence[Trial], kept: Path, workers: int) -> list[Counts]:
    """The counts of each trial, in their order; those that are in the folder `kept` are not run again.

    Raises:
        ModelError: a model file changed meanwhile.
    """
    kept.mkdir(parents=True, exist_ok=True)
    places = [kept / f"{trial.digest[:32]}.json" for trial in trials]
    missing = {place: trial for place, trial in zip(places, trials, strict=True) if not _holds(place, trial)}
    for _ in in_order((delayed(_run)(trial, place) for place, trial in missing.items()), workers, "study", "trial"):
        continue
    return [_read(place, trial) for place, trial in zip(places, trials, strict=True)]


def pooled(counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    return sum(counts, Counts())


@cache
def _versions() -> dict[str, str]:
    """Of what episodes run on."""
    return {"lwd_ros": __version__} | {name: version(name) for name in ("metaworld", "mujoco", "onnxruntime")}


def _holds(place: Path, trial: Trial) -> bool:
    """Whether a file holds just this trial."""
    try:
        return json.loads(place.read_text(encoding="utf-8"))["trial"] == trial.identity
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _run(trial: Trial, place: Path) -> None:
    actor = make_actor(trial.kind, trial.model, trial.horizon)
    if actor.digest != trial.model_digest:
        raise ModelError(f"{trial.model}: was replaced while the study ran; run it again")
    scene = Scene(trial.task, actor.contract)
    start = time.process_time()
    layouts = range(trial.first_layout, trial.first_layout + trial.episodes)
    outcomes = [
        run_episode(scene, actor, layout, disturbance=trial.disturbance, thinking=trial.thinking) for layout in layouts
    ]
    content = {
        "trial": trial.identity,
        "first_success_steps": [outcome.first_success_step for outcome in outcomes],
        "queries": [outcome.queries for outcome in outcomes],
        "steps": [outcome.steps for outcome in outcomes],
        "seconds": time.process_time() - start,
    }
    with written_whole(place) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _read(place: Path, trial: Trial) -> Counts:
    content = json.loads(place.read_text(encoding="utf-8"))
    steps = content["first_success_steps"]
    outcomes: dict[tuple[str, int], tuple[bool, ...]] = {
        (trial.task, trial.first_layout + k): (step > 0,) for k, step in enumerate(steps)
    }
    spent = sum(queries for queries, step in zip(content["queries"], steps, strict=True) if step > 0)
    return Counts(
        outcomes, sum(content["queries"]), sum(content["steps"]), spent, sum(steps), {trial.digest: content["seconds"]}
    )


def make_actor(kind: str, model: Path, horizon: int | None) -> ModelActor:
    """An actor of KINDS, None for one query an episode; raises ModelError where its model file cannot be used."""
    return KINDS[kind](model, horizon)

"""Study: does a policy decoded from a held-out demonstration behave like what made it (arXiv 2410.14040, section 4)?

The original policy of every demonstration is Metaworld's scripted expert. Each demonstration is encoded, its posterior
mean decoded, and the policy run on the demonstration's own layout beside the undisturbed expert.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed

from lwd_benchmarks.studies.paths import (
    hand_path,
    length,
    mean_distances,
    millimetres,
    observed,
    resample,
    split_energy_distances,
)
from lwd_benchmarks.studies.runs import describe_run, open_run, representative
from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Episode
from lwd_ros.environments.actors import ExpertActor, PolicyActor
from lwd_ros.environments.collect import CollectSettings, demonstrate
from lwd_ros.environments.episode import Outcome, run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS
from lwd_ros.evaluation.evaluate import wilson_interval
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.learning.codec import decode, encode
from lwd_ros.policy import Policy

HELD_OUT_LAYOUTS = range(300_000, 1_000_000)
"""Layout seeds of reported figures, far above those that `lwd evaluate` reports on (200,000 up, by default 50)."""

KEPT_PATHS = 8  # demonstrations of a task whose paths the JSON keeps
_SPLITS = 100
_NOISE_SEED = 1  # of demonstrations; collecting draws from other streams


@dataclass(frozen=True)
class _Original:
    """A held-out demonstration and the undisturbed expert on its layout."""

    demonstration: Episode
    expert: Outcome


def _originals(contract: Contract, task: str, count: int, first_layout: int, settings: CollectSettings):
    """`count` originals on layouts from `first_layout` on, and how many layouts were left out as the expert failed."""
    scene, layout = Scene(task, contract), first_layout
    found: list[_Original] = []
    while len(found) < count:
        episode = demonstrate(scene, layout, _NOISE_SEED, settings)
        if episode is not None:
            found.append(_Original(episode, run_episode(scene, ExpertActor(scene.expert()), layout, record=True)))
        elif layout - first_layout > 2 * count + 10:
            raise DatasetError(f"task '{task}': {len(found)} demonstrations of {layout - first_layout + 1} succeeded")
        layout += 1
    return found, layout - first_layout - count


def _compare(contract: Contract, task: str, originals: Sequence[_Original], policies: Sequence[Policy]) -> dict:
    """Everything about one task: `entry` for the JSON and `paths` of the first few layouts."""
    scene, decoded = Scene(task, contract), []
    for original, policy in zip(originals, policies, strict=True):
        actor = PolicyActor(policy, contract)
        decoded.append(run_episode(scene, actor, original.demonstration.layout, record=True))
    experts = [original.expert for original in originals]
    demonstrations = [original.demonstration for original in originals]
    expert_paths, decoded_paths = ([hand_path(contract, observed(run)) for run in runs] for runs in (experts, decoded))
    same = [a.success == b.success for a, b in zip(experts, decoded, strict=True)]
    entry = {
        "demonstrations": len(originals),
        "expert": _success(experts),
        "decoded": _success(decoded),
        "same_outcome": float(np.mean(same)),
        "action_error": _action_errors(contract, demonstrations, policies),
        "paths": compare_paths(expert_paths, decoded_paths),
    }
    kept = {
        "layouts": [demonstration.layout for demonstration in demonstrations[:KEPT_PATHS]],
        "expert": [millimetres(path) for path in expert_paths[:KEPT_PATHS]],
        "decoded": [millimetres(path) for path in decoded_paths[:KEPT_PATHS]],
    }
    return {"entry": entry, "paths": kept}


def _success(runs: Sequence[Outcome]) -> dict:
    successes = sum(run.success for run in runs)
    return {
        "success": successes / len(runs),
        "successes": successes,
        "interval": wilson_interval(successes, len(runs)),
    }


def _action_errors(contract: Contract, demonstrations: Sequence[Episode], policies: Sequence[Policy]) -> dict:
    """Errors against the expert's clean commands on a demonstration's frames: by the policy decoded from it, and by
    those decoded from the task's other demonstrations. In action units: 1 is half of a command's range."""
    minimum, maximum = contract.command_limits
    errors: dict[str, list[np.ndarray]] = {"decoded": [], "other": []}
    for place, demonstration in enumerate(demonstrations):
        for number, policy in enumerate(policies):
            commands = commands_of(policy, demonstration.observation, contract)
            error = (commands - demonstration.action) / ((maximum - minimum) / 2)
            errors["decoded" if number == place else "other"].append(error)
    return {name: _error(np.concatenate(values), contract.command_names) for name, values in errors.items()}


def commands_of(policy: Policy, observations: np.ndarray, contract: Contract) -> np.ndarray:
    """float64 [T, commands]: a policy's commands for observations [T, observations], within the contract's limits.

    Slew limits do not apply: neither are the expert's labels limited so.
    """
    commands = np.empty((len(observations), len(contract.command)))
    for observation, command in zip(observations, commands, strict=True):
        policy.forward(observation, command)
    return np.clip(commands, *contract.command_limits)


def _error(error: np.ndarray, names: Sequence[str]) -> dict:
    """Of errors [frames, commands]."""
    absolute, squared = np.abs(error).mean(axis=0), (error**2).mean(axis=0)
    return {
        "mean_absolute": float(absolute.mean()),
        "rmse": float(np.sqrt(squared.mean())),
        "mean_absolute_per_command": dict(zip(names, absolute.tolist(), strict=True)),
        "rmse_per_command": dict(zip(names, np.sqrt(squared).tolist(), strict=True)),
    }


def compare_paths(expert: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> dict:
    """Distances, in mm, of hand paths [T, 3] in m on the same layouts, up to the first success or the episode's end.

    Returns:
        `same_layout_mm`: between the expert's and the decoded policy's path, averaged over layouts, and its `median`
        and `largest`; `other_layout_mm`: between the expert's own paths on different layouts, what the former is to be
        seen against; `length_mm` of both and their `ratio`; `energy_distance_mm` of the two sets of paths and its
        `noise_floor` (see split_energy_distances).
    """
    experts, others = (1e3 * np.stack([resample(path) for path in paths]) for paths in (expert, decoded))
    own = mean_distances(experts, others).diagonal()
    between = mean_distances(experts, experts)[~np.eye(len(experts), dtype=bool)]
    lengths = [1e3 * float(np.mean([length(path) for path in paths])) for paths in (expert, decoded)]
    measured, floor = split_energy_distances(experts, others, _SPLITS, seed=0)
    return {
        "same_layout_mm": {"mean": float(own.mean()), "median": float(np.median(own)), "largest": float(own.max())},
        "other_layout_mm": float(between.mean()),
        "length_mm": {"expert": lengths[0], "decoded": lengths[1], "ratio": lengths[1] / lengths[0]},
        "energy_distance_mm": {"expert_to_decoded": measured, "noise_floor": floor},
    }


def study_reconstruction(folder: Path, tasks: Sequence[str], episodes: int, first_layout: int, workers: int) -> dict:
    """Compare `episodes` held-out demonstrations of each task (all of the run's where `tasks` is empty).

    The demonstrations are made as the run's own were, on layouts from `first_layout` on that the disturbed expert
    solves, all from fresh starts; at least 4 are needed for halves to compare.

    Returns:
        The head of `describe_run`, `mean` over tasks, `tasks.<name>` (see `_compare`), and `kept_paths.<name>` of up to
        4 tasks: `layouts`, `expert` and `decoded` paths as 20 points in whole millimetres.

    Raises:
        ModelError: the run does not know a task, or the layouts were trained on.
        ConfigError: the folder holds no run.
        DatasetError: the run's settings do not say how to demonstrate, or the expert keeps failing.
    """
    run, tasks = open_run(folder, tasks, first_layout, episodes)
    settings, contract = collect_settings(run.data.settings, folder), run.data.contract
    calls = (delayed(_originals)(contract, task, episodes, first_layout, settings) for task in tasks)
    made = dict(zip(tasks, in_order(calls, workers, "demonstrations", "task"), strict=True))
    policies = {}
    for task, (originals, _) in made.items():
        shown = [original.demonstration for original in originals]
        first = np.stack([episode.observation[0] for episode in shown])
        policies[task] = decode(run, encode(run, shown), task, first)
    calls = (delayed(_compare)(contract, task, made[task][0], policies[task]) for task in tasks)
    compared = dict(zip(tasks, in_order(calls, workers, "policies", "task"), strict=True))
    described = {task: {**compared[task]["entry"], "expert_failed": made[task][1]} for task in tasks}
    head = describe_run(
        run,
        "reconstruction",
        success=f"at any step of {EPISODE_STEPS}",
        first_layout=first_layout,
        demonstrations="execution noise of the run's dataset, fresh starts, successful ones only",
        noise=list(settings.noise),
        latent="posterior mean",
        paths="up to the first success, 50 points at equal arc length",
    )
    kept = {task: compared[task]["paths"] for task in representative(tasks)}
    return {**head, "mean": _means(list(described.values())), "tasks": described, "kept_paths": kept}


def collect_settings(found: dict, folder: Path) -> CollectSettings:
    """How a run's demonstrations were disturbed and ended; DatasetError where its dataset's settings do not say."""
    noise, extra = found.get("noise"), found.get("steps_after_success")
    if not isinstance(noise, list) or len(noise) != 2 or not isinstance(extra, int):
        text = f"found noise {noise!r} and steps_after_success {extra!r}, expected two numbers and a whole one"
        raise DatasetError(f"{folder}: its dataset's settings: {text}; collect it anew")
    return CollectSettings(noise=tuple(noise), steps_after_success=extra)


def _means(entries: Sequence[dict]) -> dict:
    """Over tasks, each counting the same, of the numbers that a reader looks at first."""

    def mean(*keys: str) -> float:
        values: list[float] = []
        for entry in entries:
            found: Any = entry
            for key in keys:
                found = found[key]
            values.append(found)
        return float(np.mean(values))

    return {
        "expert_success": mean("expert", "success"),
        "decoded_success": mean("decoded", "success"),
        "same_outcome": mean("same_outcome"),
        "action_mean_absolute": mean("action_error", "decoded", "mean_absolute"),
        "action_mean_absolute_of_others": mean("action_error", "other", "mean_absolute"),
        "action_rmse": mean("action_error", "decoded", "rmse"),
        "action_rmse_of_others": mean("action_error", "other", "rmse"),
        "same_layout_mm": mean("paths", "same_layout_mm", "mean"),
        "other_layout_mm": mean("paths", "other_layout_mm"),
        "length_ratio": mean("paths", "length_mm", "ratio"),
        "energy_distance_mm": mean("paths", "energy_distance_mm", "expert_to_decoded"),
        "energy_distance_noise_floor_mm": mean("paths", "energy_distance_mm", "noise_floor"),
    }

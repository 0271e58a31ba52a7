"""Success or return per task of a model file: a generated policy per episode, unseen layouts, parallel processes."""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from joblib import delayed
from scipy.stats import binomtest

from lwd_ros import __version__
from lwd_ros.environments.environment import EnvironmentSpec, Simulator
from lwd_ros.environments.episode import Outcome, run_episode
from lwd_ros.environments.layouts import REPORTING_LAYOUTS, TRAINING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.environments.registry import simulator_of
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.files import written_whole
from lwd_ros.generator import ModelError, PolicyGenerator


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate."""
    interval = binomtest(successes, episodes).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean, a percentile bootstrap of 2000 samples."""
    sample, random = np.asarray(values), np.random.default_rng(0)
    means = sample[random.integers(len(sample), size=(2000, len(sample)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _episodes(
    model: Path, simulator: Simulator, sampling_steps: int, task: str, layouts: Sequence[int]
) -> list[Outcome]:
    """One generated policy per layout; its seed is the layout's number plus one."""
    actor = LwdActor(model, sampling_steps=sampling_steps)
    environment = simulator.make(task, actor.contract)
    outcomes = [run_episode(environment, actor, layout) for layout in layouts]
    environment.close()
    return outcomes


def generation_seconds(generator: PolicyGenerator, repeats: int = 50) -> float:
    """Median seconds from noise to a checked policy, on one thread."""
    middle = np.array([0.5 * (s.minimum + s.maximum) for s in generator.description.contract.observation])
    times = []
    for seed in range(1, repeats + 1):
        start = time.perf_counter()
        generator.generate(generator.tasks[0], seed, middle)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def open_model(
    model: Path, tasks: Sequence[str], first_layout: int, episodes: int, sampling_steps: int = 0
) -> PolicyGenerator:
    """Load a model file that is to be judged on `tasks` and `episodes` layouts from `first_layout` on.

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
    """
    generator = PolicyGenerator(model, sampling_steps)
    for task in tasks:
        if task not in generator.tasks:
            raise ModelError(f"task '{task}' is unknown to {model.name}; it knows {', '.join(generator.tasks)}")
    require_unseen(first_layout, episodes)
    return generator


def require_unseen(first_layout: int, episodes: int) -> None:
    """Raise ModelError where `episodes` layouts from `first_layout` on were trained on, or mix the two other kinds."""
    last = first_layout + episodes - 1
    if first_layout in VALIDATION_LAYOUTS and last not in VALIDATION_LAYOUTS:
        raise ModelError(
            f"layouts {first_layout} to {last}: those from {REPORTING_LAYOUTS.start} on are kept for reporting; "
            "expected all of one kind"
        )
    if first_layout in TRAINING_LAYOUTS:
        raise ModelError(
            f"first layout {first_layout}: layouts below {TRAINING_LAYOUTS.stop} belong to demonstrations; use "
            f"{VALIDATION_LAYOUTS.start} and up for validation, {REPORTING_LAYOUTS.start} and up for reporting"
        )


def describe(generator: PolicyGenerator, spec: EnvironmentSpec, **protocol) -> dict:
    """What every result says of the model that was judged and of how: `protocol` has the layouts and seeds."""
    return {
        "model": generator.path.name,
        "model_digest": generator.digest,
        "lwd_ros": __version__,
        "environment": spec.name,
        "method": generator.description.method,
        "policy_parameters": generator.description.policy_parameters,
        "protocol": {**judged(spec), **protocol},
    }


def judged(spec: EnvironmentSpec) -> dict:
    """What a protocol says of the score."""
    if spec.score == "return":
        return {"return": f"sum of the rewards of up to {spec.episode_steps} steps"}
    return {"success": f"at any step of {spec.episode_steps}"}


def outcomes_by_task(
    episodes_of: Callable[[str, Sequence[int]], list[Outcome]], tasks: Sequence[str], layouts: range, workers: int
) -> dict[str, list[Outcome]]:
    """What `episodes_of` (task, layouts) gives for all `tasks` and `layouts`.

    It runs in other processes, each time in a fresh environment with the same few layouts, however many processes there
    are.
    """
    size = max(1, -(-len(layouts) // 5))
    jobs = [(task, layouts[i : i + size]) for task in tasks for i in range(0, len(layouts), size)]
    parts = in_order((delayed(episodes_of)(task, part) for task, part in jobs), workers, "evaluate", "part")
    outcomes: dict[str, list[Outcome]] = {task: [] for task in tasks}
    for (task, _), part in zip(jobs, parts, strict=True):
        outcomes[task] += part
    return outcomes


def scores(spec: EnvironmentSpec, outcomes: dict[str, list[Outcome]], layouts: range) -> dict:
    """What a result says of outcomes: the mean over tasks, each counting the same, and `tasks.<name>`.

    Returns:
        `mean_success`, or `mean_return` where that is the score.
    """
    if spec.score == "return":
        described = {task: _returns(found) for task, found in outcomes.items()}
        return {"mean_return": float(np.mean([entry["return"] for entry in described.values()])), "tasks": described}
    described = {task: _successes(found, layouts) for task, found in outcomes.items()}
    return {"mean_success": float(np.mean([entry["success"] for entry in described.values()])), "tasks": described}


def _successes(outcomes: Sequence[Outcome], layouts: range) -> dict:
    """One task of a result whose score is success."""
    steps = [outcome.first_success_step for outcome in outcomes if outcome.success]
    return {
        "success": len(steps) / len(outcomes),
        "episodes": len(outcomes),
        "successes": len(steps),
        "interval": wilson_interval(len(steps), len(outcomes)),
        "steps_to_success": {"median": float(np.median(steps)) if steps else None, "max": max(steps, default=None)},
        "failed_layouts": [layout for layout, found in zip(layouts, outcomes, strict=True) if not found.success],
    }


def _returns(outcomes: Sequence[Outcome]) -> dict:
    """One task of a result whose score is the return; `ended` counts episodes that the environment ended."""
    values = [outcome.total_reward for outcome in outcomes]
    return {
        "return": float(np.mean(values)),
        "episodes": len(values),
        "interval": bootstrap_interval(values),
        "lowest": min(values),
        "highest": max(values),
        "ended": sum(outcome.ended for outcome in outcomes),
    }


def evaluate(
    model: Path,
    tasks: Sequence[str],
    episodes: int,
    first_layout: int,
    workers: int,
    environment: str | Path | Simulator = "",
    sampling_steps: int = 0,
) -> dict:
    """Roll out `episodes` layouts from `first_layout` on for each task; the result depends on nothing else.

    See `evaluated`, whose result this is.
    """
    return evaluated(model, tasks, episodes, first_layout, workers, environment, sampling_steps)[0]


def evaluated(
    model: Path,
    tasks: Sequence[str],
    episodes: int,
    first_layout: int,
    workers: int,
    environment: str | Path | Simulator = "",
    sampling_steps: int = 0,
) -> tuple[dict, dict[str, list[Outcome]]]:
    """The result of a model on layouts from `first_layout` on, and of each task its episodes' outcomes.

    `environment` is the name, the YAML file or the simulator itself; '' for the one that has the model's tasks.
    `sampling_steps` as of `PolicyGenerator`.

    Returns:
        `mean_success`, `policy_parameters`, `flops_per_step`, `generation_ms`, the protocol, and `tasks.<name>` with
        `success`, `episodes`, `successes`, `interval` (Wilson 95 %), `steps_to_success` (successful episodes). Where
        the score is a return: `mean_return`, and of each task `return`, `episodes`, `interval` (bootstrap 95 %),
        `lowest`, `highest`, `ended`. The outcomes are in the layouts' order.

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
        SimulationError: no environment has the tasks, or several do.
        ContractError: the environment lacks a scalar of the model's contract, or has another period.
    """
    generator = open_model(model, tasks, first_layout, episodes, sampling_steps)
    simulator = simulator_of(generator.tasks, environment)
    simulator.require_contract(generator.description.contract)
    # The whole path: another process may stand in another folder.
    episodes_of = partial(_episodes, model.resolve(), simulator, sampling_steps)
    layouts = range(first_layout, first_layout + episodes)
    outcomes = outcomes_by_task(episodes_of, tasks, layouts, workers)
    found = scores(simulator.spec, outcomes, layouts)
    tasks_found, sizes = found.pop("tasks"), generator.description.layout.layer_sizes
    protocol = {"policies_per_episode": 1, "first_layout": first_layout, "policy_seed": "layout + 1"}
    if sampling_steps:
        protocol["sampling_steps"] = sampling_steps
    result = {
        **describe(generator, simulator.spec, **protocol),
        **found,
        "flops_per_step": sum(2 * a * b for a, b in pairwise(sizes)),
        "generation_ms": 1e3 * generation_seconds(generator),
        "tasks": tasks_found,
    }
    return result, outcomes


def write_json(result: dict, path: Path) -> None:
    """Write a result, whole or not at all.

    What lies two deep (a task, a link of a chain) is one line, so that a result is short and its changes are readable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(_indented(result) + "\n", encoding="utf-8")


def _indented(value, depth: int = 0) -> str:
    """JSON with one line for each entry of the outermost dict, and of the dicts and lists of dicts in it."""
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
    if depth == 2 or not nested or not value:
        return json.dumps(value, allow_nan=False)  # NaN is not JSON
    space = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{json.dumps(str(key))}: {_indented(item, depth + 1)}" for key, item in value.items()]
        return "{" + space + ("," + space).join(lines) + "\n" + " " * depth + "}"
    return "[" + space + ("," + space).join(_indented(item, 2) for item in value) + "\n" + " " * depth + "]"

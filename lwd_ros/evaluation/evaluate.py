"""Success per task of a model file: one generated policy per episode, unseen layouts, in parallel processes."""

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
from lwd_ros.environments.metaworld.collect import TRAINING_LAYOUTS
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, Scene
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.evaluation.rollout import rollout
from lwd_ros.files import written_whole
from lwd_ros.generator import ModelError, PolicyGenerator

VALIDATION_LAYOUTS = range(TRAINING_LAYOUTS.stop, 200_000)
"""Layout seeds for choosing hyper-parameters; figures are reported on layouts from 200,000 on."""

REPORTING_LAYOUTS = range(200_000, 1_000_000)
"""Layout seeds that reported figures use."""


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate."""
    interval = binomtest(successes, episodes).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _episodes(model: Path, task: str, layouts: Sequence[int]) -> list[int]:
    """First success step (0: none) of one generated policy per layout; its seed is the layout's number plus one."""
    generator = PolicyGenerator(model)
    scene = Scene(task, generator.description.contract)
    results = []
    for layout in layouts:
        observation = scene.reset(layout)
        policy = generator.generate(task, layout + 1, observation)
        results.append(rollout(scene, policy, stop_at_success=True).first_success_step)
    return results


def generation_seconds(generator: PolicyGenerator, repeats: int = 50) -> float:
    """Median seconds from noise to a checked policy, on one thread."""
    middle = np.array([0.5 * (s.minimum + s.maximum) for s in generator.description.contract.observation])
    times = []
    for seed in range(1, repeats + 1):
        start = time.perf_counter()
        generator.generate(generator.tasks[0], seed, middle)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def open_model(model: Path, tasks: Sequence[str], first_layout: int, episodes: int) -> PolicyGenerator:
    """Load a model file that is to be judged on `tasks` and `episodes` layouts from `first_layout` on.

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
    """
    generator = PolicyGenerator(model)
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


def describe(generator: PolicyGenerator, **protocol) -> dict:
    """What every result says of the model that was judged and of how: `protocol` has the layouts and seeds."""
    return {
        "model": generator.path.name,
        "model_digest": generator.digest,
        "lwd_ros": __version__,
        "method": generator.description.method,
        "policy_parameters": generator.description.policy_parameters,
        "protocol": {"success": f"at any step of {EPISODE_STEPS}", **protocol},
    }


def success_by_task(
    episodes_of: Callable[[str, Sequence[int]], list[int]], tasks: Sequence[str], layouts: range, workers: int
) -> dict[str, dict]:
    """What `tasks` of a result says: `episodes_of` (task, layouts) gives the first success step of each, 0 for none.

    It runs in other processes, each time in a fresh scene with the same few layouts, however many processes there are.
    """
    size = max(1, -(-len(layouts) // 5))
    jobs = [(task, layouts[i : i + size]) for task in tasks for i in range(0, len(layouts), size)]
    outcomes = in_order((delayed(episodes_of)(task, part) for task, part in jobs), workers, "evaluate", "part")
    results: dict[str, list[int]] = {task: [] for task in tasks}
    for (task, _), steps in zip(jobs, outcomes, strict=True):
        results[task] += steps
    described = {}
    for task, steps in results.items():
        successes = [step for step in steps if step]
        described[task] = {
            "success": len(successes) / len(layouts),
            "episodes": len(layouts),
            "successes": len(successes),
            "interval": wilson_interval(len(successes), len(layouts)),
            "steps_to_success": {
                "median": float(np.median(successes)) if successes else None,
                "max": max(successes, default=None),
            },
            "failed_layouts": [layout for layout, step in zip(layouts, steps, strict=True) if not step],
        }
    return described


def mean_success(described: dict[str, dict]) -> float:
    """Over tasks, each counting the same."""
    return float(np.mean([entry["success"] for entry in described.values()]))


def evaluate(model: Path, tasks: Sequence[str], episodes: int, first_layout: int, workers: int) -> dict:
    """Roll out `episodes` layouts from `first_layout` on for each task; the result depends on nothing else.

    Returns:
        `mean_success`, `policy_parameters`, `flops_per_step`, `generation_ms`, the protocol, and `tasks.<name>` with
        `success`, `episodes`, `successes`, `interval` (Wilson 95 %), `steps_to_success` (successful episodes).

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
    """
    generator = open_model(model, tasks, first_layout, episodes)
    episodes_of = partial(_episodes, model.resolve())  # another process may stand in another folder
    described = success_by_task(episodes_of, tasks, range(first_layout, first_layout + episodes), workers)
    sizes = generator.description.layout.layer_sizes
    return {
        **describe(generator, policies_per_episode=1, first_layout=first_layout, policy_seed="layout + 1"),
        "mean_success": mean_success(described),
        "flops_per_step": sum(2 * a * b for a, b in pairwise(sizes)),
        "generation_ms": 1e3 * generation_seconds(generator),
        "tasks": described,
    }


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

"""A model's ways: episodes on unseen layouts against the demonstrations, and each policy again from other starts."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from joblib import delayed

from lwd_ros.dataset import DatasetError, Demonstrations, TaskFile
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import Disturbable, Environment, SimulationError, Simulator
from lwd_ros.environments.episode import Actor, run_episode
from lwd_ros.environments.registry import simulator_of
from lwd_ros.environments.ways import frequencies_of, ways_of
from lwd_ros.evaluation.evaluate import evaluated
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.evaluation.ways import commitment, in_layouts, measured
from lwd_ros.generator import PolicyGenerator

POLICIES, RUNS = 40, 10
"""So many policies are asked for their commitment, each in so many runs."""

START_M = 0.01
"""A run starts so far from where its policy was asked for, in a random direction."""

PUSHES = 0.2
"""Deviation of what is executed beside a policy's commands in those runs, in shares of half a command's range."""

_BATCH = 8  # policies that one process asks of a model that it has loaded


def evaluate_ways(
    model: Path,
    tasks: Sequence[str],
    episodes: int,
    first_layout: int,
    workers: int,
    environment: str | Path | Simulator = "",
    demonstrations: Demonstrations | None = None,
    policies: int = POLICIES,
    runs: int = RUNS,
    sampling_steps: int = 0,
) -> dict:
    """The result of `evaluate`, with `ways` in each task, and in it `commitment`.

    Args:
        model, tasks, episodes, first_layout, workers, environment, sampling_steps: as of `evaluate`.
        demonstrations: whose frequencies are compared with; None: all ways that a layout allows alike.
        policies: so many at most are asked for their commitment, those of the first layouts.
        runs: of each of these.

    Returns:
        Each task's `ways` is what `lwd_ros.evaluation.ways.measured` gives, and `failed`: episodes that failed. Its
        `commitment` is that of `lwd_ros.evaluation.ways.commitment`.

    Raises:
        SimulationError: a task has one way alone.
        DatasetError: the demonstrations have no such task, do not tell ways apart, or went one alone.
        ModelError, ContractError: as `evaluate`.
    """
    generator = PolicyGenerator(model, sampling_steps)
    simulator = simulator_of(generator.tasks, environment)
    contract = generator.description.contract
    layouts = range(first_layout, first_layout + episodes)
    frequencies, names = {}, {}
    for task in tasks:  # before an hour of work
        built = simulator.make(task, contract)
        names[task] = ways_of(built)
        shares = reference(built, demonstrations)
        open_ways = []
        for layout in layouts:
            built.reset(layout)
            open_ways.append(built.open_ways())  # type: ignore[attr-defined]
        built.close()
        frequencies[task] = in_layouts(shares, names[task], open_ways)
    result, outcomes = evaluated(model, tasks, episodes, first_layout, workers, simulator, sampling_steps)
    asked = layouts[:policies]
    jobs = [(task, asked[i : i + _BATCH]) for task in tasks for i in range(0, len(asked), _BATCH)]
    again = partial(_again, model.resolve(), simulator, runs, sampling_steps)
    found = in_order((delayed(again)(*job) for job in jobs), workers, "commitment", "part")
    by_task: dict[str, list[list[str]]] = {task: [] for task in tasks}
    for (task, _), went in zip(jobs, found, strict=True):
        by_task[task] += went
    for task in tasks:
        rows = frequencies[task]
        good = [place for place, each in enumerate(outcomes[task]) if each.success and rows[place].any()]
        ways = measured(names[task], [outcomes[task][place].way for place in good], rows[good])
        failed = sum(not each.success for each in outcomes[task])
        result["tasks"][task]["ways"] = {**ways, "failed": failed, "commitment": commitment(by_task[task])}
    result["protocol"]["ways"] = {
        "of": "successful episodes",
        "reference": "all open ways alike" if demonstrations is None else f"demonstrations {demonstrations.digest}",
        "commitment": {"runs": runs, "start_m": START_M, "pushes": PUSHES},
    }
    return result


def reference(environment: Environment, demonstrations: Demonstrations | None = None) -> dict[str, float]:
    """How often each way of an environment's task should be taken where all are open: shares that add up to 1.

    Those that demonstrations were collected by, and else as often as they went each; without any, all ways alike.

    Raises:
        SimulationError: the task has one way alone, or lacks one that was demonstrated.
        DatasetError: the demonstrations have no such task, do not tell ways apart, or went one alone.
    """
    task, ways = environment.task, ways_of(environment)
    if len(ways) < 2:
        raise SimulationError(f"task '{task}': found one way alone, expected several to measure")
    if demonstrations is None:
        return dict.fromkeys(ways, 1.0 / len(ways))
    where = f"{demonstrations.folder}: task '{task}'"
    if task not in demonstrations.tasks:
        raise DatasetError(f"{where}: found no such, expected one of {', '.join(demonstrations.tasks)}")
    counts = Counter(episode.way for episode in demonstrations.episodes[task])
    if "" in counts:
        raise DatasetError(f"{where}: found {counts['']} demonstrations without a way, expected one for each")
    if len(counts) < 2:
        raise DatasetError(f"{where}: found the way '{next(iter(counts))}' alone, expected several to measure")
    settings = TaskFile.of(demonstrations.folder, task).settings() or {}
    if settings.get("experts"):
        pairs = [(str(name), float(number)) for name, number in settings.get("frequencies", [])]
        return frequencies_of(environment, settings["experts"], pairs)
    return frequencies_of(environment, tuple(counts), [(way, float(count)) for way, count in counts.items()])


def _again(
    model: Path, simulator: Simulator, runs: int, sampling_steps: int, task: str, layouts: Sequence[int]
) -> list[list[str]]:
    """Of one policy a layout the ways of its runs, '' for one that failed."""
    generator = PolicyGenerator(model, sampling_steps)
    contract = generator.description.contract
    environment = simulator.make(task, contract)
    ways = []
    for layout in layouts:
        policy = generator.generate(task, layout + 1, environment.reset(layout))
        actor = PolicyActor(policy, contract)
        ways.append([pushed(environment, actor, layout, run) for run in range(runs)])
    environment.close()
    return ways


def pushed(environment: Environment, actor: Actor, layout: int, run: int) -> str:
    """The way of one run from another start of a layout and under pushes, '' where it failed.

    Start and pushes are drawn by `layout` and `run`. The actor goes on as it is: one that has a model to ask begins
    before.
    """
    rng = np.random.default_rng([layout, run])
    environment.reset(layout)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    if isinstance(environment, Disturbable):
        environment.push_hand(START_M * np.array([np.cos(angle), np.sin(angle)]))
    noise = action_noise(environment.contract, PUSHES, rng)
    outcome = run_episode(environment, actor, None, noise=noise)
    return outcome.way if outcome.success else ""

"""Episodes of any method in a task with ways; policies once more under pushes; policies of demonstrations at home."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from joblib import delayed

from lwd_benchmarks.methods.latents import learned
from lwd_benchmarks.studies.trials import make_actor
from lwd_benchmarks.ways.config import WaysError
from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.episode import Outcome, run_episode
from lwd_ros.environments.ways import ways_of
from lwd_ros.evaluation.actors import LwdActor, ModelActor
from lwd_ros.evaluation.evaluate import outcomes_by_task, require_unseen
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.evaluation.way_runs import pushed, reference
from lwd_ros.evaluation.ways import in_layouts
from lwd_ros.learning.codec import decode, encode
from lwd_ros.learning.train import TrainedRun
from lwd_ros.policy import PolicyError

_BATCH = 8  # policies that one process asks of a model that it has loaded


def frequencies(
    simulator: Simulator, contract: Contract, tasks: Sequence[str], data: Demonstrations, layouts: range
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Of each task its ways, and float64 [layouts, ways]: how often each should be gone in each layout.

    Raises:
        ModelError: the layouts were trained on.
        SimulationError, DatasetError: as `lwd_ros.evaluation.way_runs.reference`.
    """
    require_unseen(layouts.start, len(layouts))
    found = {}
    for task in tasks:
        environment = simulator.make(task, contract)
        names, shares, allowed = ways_of(environment), reference(environment, data), []
        for layout in layouts:
            environment.reset(layout)
            allowed.append(environment.open_ways())  # type: ignore[attr-defined]
        environment.close()
        found[task] = names, in_layouts(shares, names, allowed)
    return found


def judged(
    kind: str,
    model: Path,
    horizon: int | None,
    simulator: Simulator,
    tasks: Sequence[str],
    layouts: range,
    policies: int,
    runs: int,
    workers: int,
) -> dict:
    """What one model did.

    Args:
        kind, model, horizon: of the actor, as `make_actor` takes them.
        simulator, tasks, layouts: one episode of each task in each layout, seeded by the layout.
        policies, runs: so many policies at most, those of the first layouts, run again so often under pushes; 0: none.
        workers: processes.

    Returns:
        By task `ways`: of each layout the way, None where the episode failed, '' where the way is unknown; `again`: of
        each policy the ways of its runs, '' for one that failed.

    Raises:
        ModelError: the model file cannot be used, or does not know a task.
    """
    actor = make_actor(kind, model, horizon)
    for task in tasks:
        if task not in actor.tasks:
            raise WaysError(f"{model}: found the tasks {', '.join(actor.tasks)}, expected '{task}' among them")
    given = (kind, model.resolve(), horizon, simulator)
    outcomes = outcomes_by_task(partial(episodes_of, *given), tasks, layouts, workers)
    asked = layouts[:policies]
    jobs = [(task, asked[i : i + _BATCH]) for task in tasks for i in range(0, len(asked), _BATCH)]
    found = in_order((delayed(partial(_again, *given, runs))(*job) for job in jobs), workers, "commitment", "part")
    again: dict[str, list[list[str]]] = {task: [] for task in tasks}
    for (task, _), ways in zip(jobs, found, strict=True):
        again[task] += ways
    went = {task: [each.way if each.success else None for each in outcomes[task]] for task in tasks}
    return {task: {"ways": went[task], "again": again[task]} for task in tasks}


def episodes_of(
    kind: str, model: Path, horizon: int | None, simulator: Simulator, task: str, layouts: Sequence[int]
) -> list[Outcome]:
    """The outcomes of one task, of an actor as `make_actor` makes it; an episode is seeded by its layout."""
    actor = make_actor(kind, model, horizon)
    environment = simulator.make(task, actor.contract)
    outcomes = [run_episode(environment, actor, layout) for layout in layouts]
    environment.close()
    return outcomes


def _again(
    kind: str, model: Path, horizon: int | None, simulator: Simulator, runs: int, task: str, layouts: Sequence[int]
) -> list[list[str]]:
    actor = make_actor(kind, model, horizon)
    environment = simulator.make(task, actor.contract)
    ways = [[_pushed(environment, actor, layout, run) for run in range(runs)] for layout in layouts]
    environment.close()
    return ways


def _pushed(environment, actor: ModelActor, layout: int, run: int) -> str:
    """One run again. A generated policy is the one that was asked for at the layout's own start.

    Methods that never hand over a policy begin anew, with the same random numbers.
    """
    actor.begin(environment.task, layout + 1)
    if isinstance(actor, LwdActor) and actor.horizon is None:
        actor.see(environment.reset(layout), 0.0, 0.0)
        actor.query()
        actor.adopt()
    return pushed(environment, actor, layout, run)


def own_way(run: TrainedRun, data: Demonstrations, simulator: Simulator, most: int) -> dict[str, dict[str, int]]:
    """Whether policies decoded from demonstrations do as these did, each from its demonstration's own layout.

    Returns:
        By task: `demonstrations`, at most `most`, evenly spread over those that the run learned from; `successes` of
        their policies; `own_way`: those of them that went the demonstration's way.
    """
    found = {}
    for task in run.data.tasks:
        episodes = [each for each in learned(run, data, task) if not each.after]
        episodes = [episodes[i] for i in np.unique(np.linspace(0, len(episodes) - 1, most).round().astype(int))]
        environment = simulator.make(task, run.data.contract)
        counts = {"demonstrations": len(episodes), "successes": 0, "own_way": 0}
        for each, latent in zip(episodes, encode(run, episodes), strict=True):
            environment.reset(each.layout)
            try:
                (policy,) = decode(run, latent[None], task, each.observation[:1])
            except PolicyError:
                continue  # weights that must not run succeed nowhere
            outcome = run_episode(environment, PolicyActor(policy, environment.contract), None)
            counts["successes"] += outcome.success
            counts["own_way"] += outcome.success and outcome.way == each.way
        environment.close()
        found[task] = counts
    return found

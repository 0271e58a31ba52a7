"""Tasks one after another in one scene without a reset: does each policy cope with what the one before left?"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from joblib import delayed

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.evaluation.evaluate import describe, open_model, wilson_interval
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.evaluation.rollout import rollout
from lwd_ros.generator import PolicyGenerator
from lwd_ros.sim.scene import Scene, SceneError, sharing

_SEED_STEP = 1_000_003  # between the seeds of a chain's links


def _chain(model: Path, tasks: Sequence[str], layout: int) -> list[int]:
    """First success step of each link on one layout, 0 for the link that fails; links after it are not tried."""
    generator = PolicyGenerator(model)
    scenes = {task: Scene(task, generator.description.contract) for task in tasks}
    limiter, previous, results = CommandLimiter(generator.description.contract), None, []
    for link, task in enumerate(tasks):
        scene = scenes[task]
        observation = scene.reset(layout) if previous is None else scene.take_over(previous)
        policy = generator.generate(task, layout + 1 + _SEED_STEP * link, observation)
        outcome = rollout(scene, policy, limiter=limiter, stop_at_success=True)
        results.append(outcome.first_success_step)
        if not outcome.success:
            break
        previous = scene
    return results + [0] * (len(tasks) - len(results))


def _require_chain(tasks: Sequence[str], contract: Contract) -> None:
    """Raise SceneError unless each task can take over what the one before it leaves; tried out once, on layout 0."""
    scenes = {task: Scene(task, contract) for task in tasks}
    for before, task in pairwise(tasks):
        try:
            if before == task:
                raise SceneError("it is done already")
            scenes[task].take_over(scenes[before])
        except SceneError as error:
            others = ", ".join(name for name in sharing(task) if name != task) or "none"
            text = f"'{task}' cannot follow '{before}' in one scene; tasks of its scene beside itself: {others}"
            raise SceneError(text) from error


def evaluate_chain(model: Path, tasks: Sequence[str], episodes: int, first_layout: int, workers: int) -> dict:
    """Success of each link and of the whole chain on layouts `first_layout` and up, one policy generated per link.

    A link counts as failed where one before it failed, so the last link's success is the chain's.

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
        SceneError: a task cannot follow the one before it in one scene.
    """
    generator = open_model(model, tasks, first_layout, episodes)
    _require_chain(tasks, generator.description.contract)
    layouts = range(first_layout, first_layout + episodes)
    # An absolute path: another process may stand in another folder.
    calls = (delayed(_chain)(model.resolve(), tasks, layout) for layout in layouts)
    steps = list(in_order(calls, workers, "chain", "episode"))
    links = []
    for place, task in enumerate(tasks):
        successes = [row[place] for row in steps if row[place]]
        links.append(
            {
                "task": task,
                "success": len(successes) / episodes,
                "successes": len(successes),
                "episodes": episodes,
                "interval": wilson_interval(len(successes), episodes),
                "steps_to_success": sorted(successes),
            }
        )
    seeds = f"layout + 1 + {_SEED_STEP} * link, the first link being 0"
    return {
        **describe(generator, policies_per_link=1, first_layout=first_layout, policy_seed=seeds),
        "success": links[-1]["success"],
        "interval": links[-1]["interval"],
        "links": links,
    }

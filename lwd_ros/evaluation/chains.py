"""Tasks one after another in one scene without a reset: does each policy cope with what the one before left?"""

from collections.abc import Sequence
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from lwd_ros.contract import CommandLimiter
from lwd_ros.evaluation.evaluate import wilson_interval
from lwd_ros.evaluation.rollout import rollout
from lwd_ros.generator import PolicyGenerator
from lwd_ros.sim.scene import Scene


def _chain(model: Path, tasks: Sequence[str], layout: int) -> list[int]:
    """First success step of each link on one layout, 0 for the link that fails; links after it are not tried."""
    generator = PolicyGenerator(model)
    scenes = {task: Scene(task, generator.description.contract) for task in tasks}
    limiter, previous, results = CommandLimiter(generator.description.contract), None, []
    for link, task in enumerate(tasks):
        scene = scenes[task]
        observation = scene.reset(layout) if previous is None else scene.take_over(previous)
        policy = generator.generate(task, layout + 1 + 1_000_003 * link, observation)
        outcome = rollout(scene, policy, limiter=limiter, stop_at_success=True)
        results.append(outcome.first_success_step)
        if not outcome.success:
            break
        previous = scene
    return results + [0] * (len(tasks) - len(results))


def evaluate_chain(model: Path, tasks: Sequence[str], episodes: int, first_layout: int, workers: int) -> dict:
    """Success of each link and of the whole chain on layouts `first_layout` and up, one policy generated per link.

    A link counts as failed where one before it failed, so the last link's success is the chain's.
    """
    layouts = range(first_layout, first_layout + episodes)
    outcomes = Parallel(n_jobs=workers, return_as="generator")(delayed(_chain)(model, tasks, k) for k in layouts)
    steps = list(tqdm(outcomes, total=episodes, desc="chain", unit="episode"))
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
    return {"success": links[-1]["success"], "interval": links[-1]["interval"], "links": links}

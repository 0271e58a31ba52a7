"""Tasks one after another in one scene without a reset: does each policy cope with what the one before left?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from joblib import delayed

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.environments.actors import RestingActor
from lwd_ros.environments.environment import Environment, SimulationError, Simulator, require_capability
from lwd_ros.environments.episode import Actor, run_episode
from lwd_ros.environments.registry import simulator_of
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.evaluation.evaluate import describe, open_model, wilson_interval
from lwd_ros.evaluation.parallel import in_order

SEED_STEP = 1_000_003
"""Between the policy seeds of a chain's links."""

MEANWHILE = {True: "the arm is held", False: "the policy before drives on, on the new task's goal"}
"""What happens in a pause, by `Pause.hold`; as results say it."""


@dataclass(frozen=True)
class Pause:
    """What passes between a task's start and the request for its policy, as when a person types both.

    For `seconds` the scene's task is the new one already, and the arm does what it did: with `hold` it stands still,
    velocities 0 and the gripper kept; else the policy before drives on, on the new task's goal.
    """

    seconds: float
    hold: bool = False

    def steps(self, contract: Contract) -> int:
        """In control periods."""
        return round(self.seconds / contract.period_s)

    def describe(self) -> dict:
        """For a result's protocol."""
        return {"pause_s": self.seconds, "meanwhile": MEANWHILE[self.hold]}


def wait(
    environment: Environment, actor: Actor, limiter: CommandLimiter, steps: int, hold: bool, start_s: float = 0.0
) -> bool:
    """Let `steps` control periods of a `Pause` pass, under the `actor` before; whether the task is done then."""
    acting = RestingActor(environment, limiter.previous) if hold else actor
    outcome = run_episode(
        environment, acting, None, limiter=limiter, stop_at_success=False, steps=steps, start_s=start_s
    )
    return outcome.is_done


def _chain(
    model: Path, simulator: Simulator, tasks: Sequence[str], layout: int, pause: Pause | None
) -> list[tuple[int, bool]]:
    """Of each link on one layout: first success step after the request, and whether it was done at the request.

    The step is 0 for the link that fails; links after it are not tried.
    """
    actor = LwdActor(model)
    contract = actor.contract
    environments = {task: simulator.make(task, contract) for task in tasks}
    limiter, previous, time_s, results = CommandLimiter(contract), None, 0.0, []
    for link, task in enumerate(tasks):
        environment, done, seed = environments[task], False, layout + 1 + SEED_STEP * link
        if previous is None:
            environment.reset(layout)
            actor.begin(task, seed)
        else:
            require_capability(environment, "take over").take_over(previous)
            if pause is not None:
                steps = pause.steps(contract)
                done = wait(environment, actor, limiter, steps, pause.hold, time_s)
                time_s += steps * contract.period_s
            actor.swap(task, seed)
        outcome = run_episode(environment, actor, None, limiter=limiter, start_s=time_s)
        time_s += outcome.steps * contract.period_s
        results.append((outcome.first_success_step, done))
        if not outcome.success or outcome.ended:
            break
        previous = environment
    return results + [(0, False)] * (len(tasks) - len(results))


def _require_chain(simulator: Simulator, tasks: Sequence[str], contract: Contract) -> None:
    """Raise SimulationError unless each task can take over what the one before leaves; tried out once, on layout 0."""
    if simulator.spec.score != "success":
        raise SimulationError(
            f"environment '{simulator.spec.name}': found score 'return', expected 'success' for a chain"
        )
    simulator.require_contract(contract)
    environments = {task: require_capability(simulator.make(task, contract), "take over") for task in tasks}
    for before, task in pairwise(tasks):
        try:
            if before == task:
                raise SimulationError("it is done already")
            environments[task].take_over(environments[before])
        except SimulationError as error:
            others = ", ".join(name for name in environments[task].sharing() if name != task) or "none"
            text = f"'{task}' cannot follow '{before}' in one scene; tasks of its scene beside itself: {others}"
            raise SimulationError(text) from error


def evaluate_chain(
    model: Path,
    tasks: Sequence[str],
    episodes: int,
    first_layout: int,
    workers: int,
    pause: Pause | None = None,
    environment: str | Path | Simulator = "",
) -> dict:
    """Success of each link and of the whole chain on layouts `first_layout` and up, one policy generated per link.

    A link counts as failed where one before it failed, so the last link's success is the chain's. With a `pause`, each
    link but the first is asked for so much later than its task begins, and only success after that counts; `done` of a
    link is in how many episodes its task was done when its policy was asked for.

    Raises:
        ModelError: the model file or a task cannot be used, or the layouts were trained on.
        SimulationError: a task cannot follow the one before it in one scene, or no environment has the tasks.
    """
    generator = open_model(model, tasks, first_layout, episodes)
    simulator = simulator_of(generator.tasks, environment)
    _require_chain(simulator, tasks, generator.description.contract)
    layouts = range(first_layout, first_layout + episodes)
    # An absolute path: another process may stand in another folder.
    calls = (delayed(_chain)(model.resolve(), simulator, tasks, layout, pause) for layout in layouts)
    outcomes = list(in_order(calls, workers, "chain", "episode"))
    links = []
    for place, task in enumerate(tasks):
        successes = [row[place][0] for row in outcomes if row[place][0]]
        links.append(
            {
                "task": task,
                "success": len(successes) / episodes,
                "successes": len(successes),
                "episodes": episodes,
                "interval": wilson_interval(len(successes), episodes),
                "steps_to_success": sorted(successes),
                **({} if pause is None else {"done": sum(row[place][1] for row in outcomes)}),
            }
        )
    protocol = {
        "policies_per_link": 1,
        "first_layout": first_layout,
        "policy_seed": f"layout + 1 + {SEED_STEP} * link, the first link being 0",
    }
    protocol |= {} if pause is None else pause.describe()
    return {
        **describe(generator, simulator.spec, **protocol),
        "success": links[-1]["success"],
        "interval": links[-1]["interval"],
        "links": links,
    }

"""Experts as a baseline: what made the demonstrations, judged like the policies that learned from them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lwd_ros import __version__
from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.episode import Outcome, absolute, run_episode
from lwd_ros.environments.expert import Given, expert_of, load, name_of
from lwd_ros.environments.registry import simulator_of
from lwd_ros.evaluation.evaluate import judged, outcomes_by_task, require_unseen, scores

METHOD = "scripted expert"


def _episodes(
    simulator: Simulator, contract: Contract, given: Given | None, task: str, layouts: Sequence[int]
) -> list[Outcome]:
    """Of the expert on each layout, undisturbed."""
    environment, outcomes = simulator.make(task, contract), []
    for layout in layouts:
        environment.reset(layout)
        limiter, expert = CommandLimiter(absolute(contract)), expert_of(environment, given)
        outcomes.append(run_episode(environment, ExpertActor(expert), None, limiter=limiter))
    environment.close()
    return outcomes


def evaluate_expert(
    tasks: Sequence[str],
    episodes: int,
    first_layout: int,
    workers: int,
    contract: Contract | None = None,
    environment: str | Path | Simulator = "",
    expert: Given | None = None,
) -> dict:
    """Score of the undisturbed experts on layouts `first_layout` and up, under `contract` (default: the environment's).

    The result has the keys of `evaluate`'s, null where only a model has them.

    Raises:
        ModelError: the layouts were trained on.
        SimulationError: no environment has the tasks, or it has no expert and none is given.
        ContractError: the environment lacks a scalar of the contract.
    """
    simulator = simulator_of(tasks, environment)
    require_unseen(first_layout, episodes)
    if expert is not None:
        load(expert)  # not in another process first
    spec, contract = simulator.spec, contract or simulator.spec.contract()
    simulator.require_contract(contract)
    layouts = range(first_layout, first_layout + episodes)
    episodes_of = partial(_episodes, simulator, contract, expert)
    found = scores(spec, outcomes_by_task(episodes_of, tasks, layouts, workers), layouts)
    tasks_found = found.pop("tasks")
    return {
        "model": None,
        "model_digest": None,
        "lwd_ros": __version__,
        "environment": spec.name,
        "method": METHOD if expert is None else f"expert {name_of(expert)}",
        "policy_parameters": None,
        "protocol": {**judged(spec), "first_layout": first_layout},
        **found,
        "flops_per_step": None,
        "generation_ms": None,
        "tasks": tasks_found,
    }

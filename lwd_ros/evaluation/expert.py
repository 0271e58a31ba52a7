"""The scripted expert as a baseline: what made the demonstrations, judged like the policies that learned from them."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lwd_ros import __version__
from lwd_ros.contract import Contract
from lwd_ros.environments.metaworld.experts import Expert
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, Scene
from lwd_ros.evaluation.evaluate import mean_success, require_unseen, success_by_task
from lwd_ros.evaluation.rollout import rollout
from lwd_ros.resources import share_path

METHOD = "scripted expert"


class ExpertPolicy:
    """The expert of a scene in the place of a policy, so that `rollout` treats both alike: limits, slew limits."""

    def __init__(self, scene: Scene):
        self._scene, self._expert = scene, Expert(scene)

    def require_contract(self, contract: Contract) -> None:
        """Nothing to refuse: the expert speaks the contract of its scene."""

    def forward(self, observation: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The expert's command, float64 [commands], into `out`. It looks at its scene instead of `observation`."""
        out[:] = self._expert.command()
        return out


def _episodes(contract: Contract, task: str, layouts: Sequence[int]) -> list[int]:
    """First success step (0: none) of the expert on each layout."""
    scene, results = Scene(task, contract), []
    for layout in layouts:
        scene.reset(layout)
        results.append(rollout(scene, ExpertPolicy(scene), stop_at_success=True).first_success_step)
    return results


def evaluate_expert(
    tasks: Sequence[str], episodes: int, first_layout: int, workers: int, contract: Contract | None = None
) -> dict:
    """Success of the undisturbed experts on layouts `first_layout` and up, under `contract` (default: the shipped one).

    The result has the keys of `evaluate`'s, null where only a model has them.

    Raises:
        ModelError: the layouts were trained on.
        SimulationError: Metaworld lacks one of the tasks.
        ContractError: Metaworld lacks a scalar of the contract.
    """
    Scene.spec.require_tasks(tasks)
    require_unseen(first_layout, episodes)
    contract = contract or Contract.load(share_path("config", "metaworld.yaml"))
    layouts = range(first_layout, first_layout + episodes)
    described = success_by_task(partial(_episodes, contract), tasks, layouts, workers)
    return {
        "model": None,
        "model_digest": None,
        "lwd_ros": __version__,
        "method": METHOD,
        "policy_parameters": None,
        "protocol": {"success": f"at any step of {EPISODE_STEPS}", "first_layout": first_layout},
        "mean_success": mean_success(described),
        "flops_per_step": None,
        "generation_ms": None,
        "tasks": described,
    }

"""Episodes of gaits: what an actor does in every one of some layouts, and what is said of it beside the teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed

from lwd_benchmarks.statistics import wilson
from lwd_ros.contract import Contract
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.episode import Actor, run_episode
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.evaluation.gaits import contact_distance, return_ratio
from lwd_ros.evaluation.parallel import in_order


@dataclass(frozen=True)
class Method:
    """What acts by a model file, and in words when it is asked."""

    actor: Callable[[Path], Actor]
    queries: str


METHODS: dict[str, Method] = {"lwd": Method(LwdActor, "once an episode")}
"""By name. Another method is a line here; `others` of the study's file names its model files."""

_PARTS = 4


def walked(simulator: Simulator, contract: Contract, task: str, layouts: range, actor_of, workers: int) -> dict:
    """What `results.Walked` says of whole episodes in these layouts; nothing ends at a success.

    Args:
        simulator, contract, task: of the gait.
        layouts: one episode each.
        actor_of: makes the actor, in another process; None for the teacher.
        workers: processes.
    """
    size = -(-len(layouts) // _PARTS)
    parts = [layouts[i : i + size] for i in range(0, len(layouts), size)]
    calls = (delayed(_part)(simulator, contract, task, part, actor_of) for part in parts)
    rows = [row for part in in_order(calls, workers, task, "part") for row in part]
    whole = simulator.spec.episode_steps
    return {
        "returns": [round(row[0], 4) for row in rows],
        "steps": [row[1] for row in rows],
        "successes": sum(row[2] for row in rows),
        "survived": sum(row[1] == whole and not row[3] for row in rows),
        "contacts": [row[4] for row in rows],
    }


def _part(simulator: Simulator, contract: Contract, task: str, layouts: Sequence[int], actor_of) -> list[tuple]:
    environment: Any = simulator.make(task, contract)
    actor = ExpertActor(environment.expert()) if actor_of is None else actor_of()
    rows = []
    for layout in layouts:
        done = run_episode(environment, actor, layout, stop_at_success=False)
        rows.append((done.total_reward, done.steps, done.success, done.ended, environment.contact_counts.tolist()))
    environment.close()
    return rows


def row_of(task: str, seeds: Sequence[dict], teacher: dict, period_s: float) -> dict:
    """What `results.GaitRow` says of a gait: `seeds` are the walks of each training seed, in the teacher's layouts."""
    returns = [value for each in seeds for value in each["returns"]]
    steps, contacts = (np.array([value for each in seeds for value in each[key]]) for key in ("steps", "contacts"))
    # A layout counts once, however many training seeds met it.
    mean = np.mean([each["returns"] for each in seeds], axis=0)
    ratio = return_ratio(mean.tolist(), teacher["returns"])
    distance = contact_distance(contacts, np.array(teacher["contacts"]))
    survived, layouts = sum(each["survived"] for each in seeds), len(teacher["returns"])
    return {
        "task": task,
        "episodes": len(returns),
        "return_ratio": ratio["ratio"],
        "return_interval": ratio["interval"],
        "js": distance["js_distance"],
        "js_interval": distance["interval"],
        "js_floor": distance["floor"],
        "speed_mps": sum(returns) / (float(steps.sum()) * period_s),
        "teacher_speed_mps": sum(teacher["returns"]) / (sum(teacher["steps"]) * period_s),
        "survived": survived,
        "survival": survived / len(returns),
        "survival_interval": wilson(survived / len(returns), layouts),
        "successes": sum(each["successes"] for each in seeds),
        "teacher_survived": teacher["survived"],
        "teacher_episodes": layouts,
        "contacts": contacts.sum(axis=0).tolist(),
        "teacher_contacts": np.sum(teacher["contacts"], axis=0).tolist(),
    }


def pooled(rows: Sequence[dict], seeds: int) -> dict:
    """What `results.GaitPool` says of all gaits of a robot."""
    survived, episodes = (sum(row[key] for row in rows) for key in ("survived", "episodes"))
    return {
        "return_ratio": float(np.mean([row["return_ratio"] for row in rows])),
        "js": float(np.mean([row["js"] for row in rows])),
        "js_worst": max(row["js"] for row in rows),
        "js_floor": float(np.mean([row["js_floor"] for row in rows])),
        "survived": survived,
        "episodes": episodes,
        "survival": survived / episodes,
        "survival_interval": wilson(survived / episodes, episodes // seeds),
        "successes": sum(row["successes"] for row in rows),
    }

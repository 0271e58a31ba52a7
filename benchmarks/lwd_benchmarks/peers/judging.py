"""Success on the same layouts, and what a step, a query and the process cost, for LWD and for lerobot's policies."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_benchmarks.peers.actor import LeRobotActor
from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.episode import Actor, Outcome, absolute, run_episode
from lwd_ros.environments.layouts import REPORTING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.evaluation.evaluate import scores
from lwd_ros.generator import PolicyGenerator

_REPEATS = 50


@dataclass(frozen=True)
class Judge:
    """Runs episodes of all tasks of `data` in this process, one after another."""

    simulator: Simulator
    data: Demonstrations
    validation: int
    reporting: int
    first_reporting: int = REPORTING_LAYOUTS.start

    def lwd(self, folder: Path, layouts: str) -> dict:
        """Success of the model in a run's folder, one generated policy an episode."""
        chosen = self._layouts(layouts)
        outcomes = self._outcomes(LwdActor(folder / "model.onnx"), chosen, self.data.contract)
        return self._scored(outcomes, chosen)

    def lerobot(self, python: Path, checkpoint: Path, action_steps: Sequence[int], layouts: str) -> dict:
        """Success of a checkpoint, by the best of several numbers of actions between queries.

        Each is tried on the first half of the layouts, and the best goes on to the others; `tried` has the successes.
        """
        chosen = self._layouts(layouts)
        half = chosen[: len(chosen) // 2] if len(action_steps) > 1 else chosen
        found, commanded = {}, absolute(self.data.contract)  # lerobot learns commands as they are, not offsets
        for steps in action_steps:
            with LeRobotActor(python, checkpoint, steps, self.data.tasks, self.data.contract) as actor:
                found[steps] = self._outcomes(actor, half, commanded)
        tried = {steps: sum(each.success for rows in found[steps].values() for each in rows) for steps in found}
        best = max(action_steps, key=lambda steps: tried[steps])
        if len(half) < len(chosen):
            with LeRobotActor(python, checkpoint, best, self.data.tasks, self.data.contract) as actor:
                rest = self._outcomes(actor, chosen[len(half) :], commanded)
            found[best] = {task: rows + rest[task] for task, rows in found[best].items()}
        return {
            "action_steps": best,
            "tried": {str(steps): count for steps, count in tried.items()},
            **self._scored(found[best], chosen),
        }

    def _layouts(self, layouts: str) -> range:
        if layouts == "validation":
            return range(VALIDATION_LAYOUTS.start, VALIDATION_LAYOUTS.start + self.validation)
        return range(self.first_reporting, self.first_reporting + self.reporting)

    def _outcomes(self, actor: Actor, chosen: range, commanded: Contract) -> dict[str, list[Outcome]]:
        """By task; `commanded` says whether the actor's outputs are offsets."""
        outcomes: dict[str, list[Outcome]] = {}
        for task in self.data.tasks:
            environment, outcomes[task] = self.simulator.make(task, self.data.contract), []
            for layout in chosen:
                environment.reset(layout)
                actor.begin(task, layout + 1)
                outcomes[task].append(run_episode(environment, actor, None, limiter=CommandLimiter(commanded)))
            environment.close()
        return outcomes

    def _scored(self, outcomes: dict[str, list[Outcome]], chosen: range) -> dict:
        found = scores(self.simulator.spec, outcomes, chosen)["tasks"]
        successes, episodes = (sum(row[key] for row in found.values()) for key in ("successes", "episodes"))
        by_task = {task: row["successes"] for task, row in found.items()}
        return {"success": successes / episodes, "successes": successes, "episodes": episodes, "tasks": by_task}


def _median_ms(function: Callable[[], object], repeats: int = _REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(1000 * (time.process_time() - start))
    return round(float(np.median(times)), 4)


def cost_of_lwd(folder: Path) -> dict:
    """Parameters and bytes of a policy, ms of processor time of a query and a step, MB of a process that generates."""
    generator = PolicyGenerator(folder / "model.onnx")
    scalars = generator.description.contract.observation
    middle = np.array([0.5 * (each.minimum + each.maximum) for each in scalars])
    policy = generator.generate(generator.tasks[0], 1, middle)
    vector = np.tile(middle, generator.description.contract.history)
    output = np.empty(len(generator.description.contract.command))
    steps = 200
    step = _median_ms(lambda: [policy.forward(vector, output) for _ in range(steps)]) / steps
    code = (
        "import sys, numpy as np; from lwd_ros.generator import PolicyGenerator; "
        "g = PolicyGenerator(sys.argv[1]); "
        "g.generate(g.tasks[0], 1, np.zeros(g.description.contract.frame_size)); "
        "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024)"
    )
    model = folder / "model.onnx"
    memory = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True).stdout
    parameters = generator.description.policy_parameters
    return {
        "parameters": parameters,
        "bytes": 4 * parameters,
        "model_bytes": model.stat().st_size,
        "query_ms": _median_ms(lambda: generator.generate(generator.tasks[0], 1, middle)),
        "step_ms": round(step, 5),
        "memory_mb": round(float(memory), 1),
    }


def cost_of_lerobot(python: Path, checkpoint: Path, action_steps: int, data: Demonstrations) -> dict:
    """The same of a policy of lerobot: of steps on the first demonstration, a few queries where one takes seconds."""
    rows = data.episodes[data.tasks[0]][0].observation
    with LeRobotActor(python, checkpoint, action_steps, data.tasks, data.contract) as actor:
        begin = time.monotonic()
        actor.begin(data.tasks[0], 1)
        for place in range(_REPEATS * action_steps):
            actor.see(rows[place % len(rows)], 0.0, 0.0)
            actor.command()
            if time.monotonic() - begin > 30 and actor.step_ms:
                break
        about = actor.about()
        return {
            "parameters": about["parameters"],
            "bytes": about["bytes"],
            "query_ms": round(float(np.median(actor.query_ms)), 4),
            "queries_timed": len(actor.query_ms),
            "step_ms": round(float(np.median(actor.step_ms)), 4),
            "memory_mb": about["memory_mb"],
        }

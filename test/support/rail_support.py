"""A cart on a rail: an environment of some lines, without any capability but an expert where one is asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from lwd_ros.contract import AGE, Contract, ContractError
from lwd_ros.environments.environment import EnvironmentSpec

PERIOD_S = 0.1
CONTENT = {
    "name": "rail",
    "period_s": PERIOD_S,
    "history": 1,
    "observation": {
        "x": {"unit": "m", "limits": [-2, 2]},
        "goal": {"unit": "m", "limits": [-2, 2]},
        "start": {"unit": "m", "limits": [-2, 2]},
    },
    "command": {"velocity": {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 100}},
}


class Cart:
    """Success is to be within 5 cm of the goal; beyond 1 m the rail ends."""

    def __init__(self, simulator: "Rail", task: str, contract: Contract):
        self.spec, self.task, self.contract, self.executed = simulator.spec, task, contract, []
        if simulator.has_expert:
            self.expert = lambda task="", anywhere=False: _Expert(self)
        self.reset(0)

    start_command = np.zeros(1)

    def reset(self, layout: int) -> np.ndarray:
        self.layout, self.reward, self.ended = layout, 0.0, False
        self.x, self.goal = np.random.default_rng(layout).uniform(-0.8, 0.8, 2)
        self.start = self.x
        self.goal = 3.0 if self.task == "fall" else self.goal
        return self.observe()

    def observe(self) -> np.ndarray:
        values = {"x": self.x, "goal": self.goal, "start": self.start}
        return np.array([values.get(name, 0.0) for name in self.contract.observation_names])

    def step(self, command: np.ndarray) -> bool:
        self.executed.append(command.copy())
        self.x += PERIOD_S * float(command[0])
        self.ended = abs(self.x) > 1.0
        self.reward = -abs(self.x - self.goal)
        return self.spec.score == "success" and abs(self.x - self.goal) < 0.05

    def close(self) -> None:
        pass


class _Expert:
    def __init__(self, cart: Cart):
        self._cart = cart

    def command(self) -> np.ndarray:
        return towards(self._cart.observe())


def towards(observation: np.ndarray) -> np.ndarray:
    """An expert as a function of the observation."""
    return np.clip(4.0 * (observation[1:2] - observation[:1]), -1.0, 1.0)


def of_environment(environment: Cart):
    """An expert as a function of the environment."""
    return _Expert(environment)


def hasty(observation: np.ndarray) -> np.ndarray:
    """Beyond the limit."""
    return np.full(1, -7.0)


def wrong(observation: np.ndarray) -> np.ndarray:
    """Two commands where there is one."""
    return np.zeros(2)


@dataclass(frozen=True)
class Rail:
    """Builds carts."""

    folder: Path
    score: str = "success"
    has_expert: bool = True

    @cached_property
    def spec(self) -> EnvironmentSpec:
        file = self.folder / "rail.yaml"
        file.write_text(yaml.safe_dump(CONTENT, sort_keys=False))
        return EnvironmentSpec("rail", ("go", "fall"), file, PERIOD_S, 40, self.score)

    def require_contract(self, contract: Contract) -> None:
        self.spec.require_period(contract)
        for name in contract.observation_names:
            if name not in (*CONTENT["observation"], AGE):
                raise ContractError(f"contract: key 'observation.{name}': found nothing like it")

    def make(self, task: str, contract: Contract) -> Cart:
        self.spec.require_tasks([task])
        return Cart(self, task, contract)

"""What acts in an episode, whatever the method: asked once per control step, it queries its model when it must."""

from pathlib import Path
from typing import Protocol

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.generator import PolicyGenerator
from lwd_ros.sim.scene import EPISODE_STEPS


class Actor(Protocol):
    """One method with one action horizon.

    Attributes:
        contract: of its observations and commands.
        horizon: control steps between queries of the diffusion model.
        queries: of the diffusion model since `begin`.
    """

    contract: Contract
    horizon: int
    queries: int

    def begin(self, task: str, seed: int) -> None:
        """Start an episode."""

    def command(self, observation: np.ndarray) -> np.ndarray:
        """float64 [commands], not limited yet, for the newest observation float64 [observations]."""


class LwdActor:
    """Generates a policy every `horizon` steps, and runs it closed loop in between."""

    def __init__(self, model: Path, horizon: int = EPISODE_STEPS):
        """Load a model file; the first policy of an episode is that of `lwd evaluate`."""
        self._generator, self.horizon, self.queries = PolicyGenerator(model), horizon, 0
        self.contract = self._generator.description.contract
        self._command = np.empty(len(self.contract.command))

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._left, self.queries = task, seed, 0, 0

    def command(self, observation: np.ndarray) -> np.ndarray:
        """As `Actor.command`."""
        if self._left == 0:
            seed = self._seed if self.queries == 0 else _seed_of(self._seed, self.queries)
            self._policy = self._generator.generate(self._task, seed, observation)
            self._left, self.queries = self.horizon, self.queries + 1
        self._left -= 1
        return self._policy.forward(observation, self._command)


class DiffusionPolicyActor:
    """Samples a sequence of actions every `horizon` steps, and plays it without looking."""

    def __init__(self, model: Path, horizon: int):
        """Load a model file; raises ValueError where it predicts less than `horizon` actions."""
        self._generator, self.horizon, self.queries = ActionGenerator(model), horizon, 0
        description = self._generator.description
        if horizon > description.prediction_horizon:
            raise ValueError(f"horizon: found {horizon}, expected at most {description.prediction_horizon}")
        self.contract, self._steps = description.contract, description.observation_steps

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._seen, self.queries = task, seed, [], 0
        self._actions, self._place = None, self.horizon

    def command(self, observation: np.ndarray) -> np.ndarray:
        """As `Actor.command`; before the first observation stands the first again."""
        self._seen = [*(self._seen or [observation] * self._steps), observation.copy()][-self._steps :]
        if self._place == self.horizon:
            self._actions = self._generator.sample(self._task, (self._seed, self.queries), np.array(self._seen))
            self._place, self.queries = 0, self.queries + 1
        self._place += 1
        return self._actions[self._place - 1]


def _seed_of(seed: int, query: int) -> int:
    """A seed of a later query, as far from the others as any."""
    return int(np.random.SeedSequence([seed, query]).generate_state(1, np.uint64)[0] >> 1) + 1

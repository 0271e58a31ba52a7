"""What acts in an episode, whatever the method: asked once per control step, it queries its model when it must."""

from pathlib import Path
from typing import Protocol

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.generator import PolicyGenerator
from lwd_ros.sim.scene import EPISODE_STEPS

_EARLY = 1e-6
"""s by which rounding may have a control step begin early."""


class Actor(Protocol):
    """One method with one action horizon.

    Attributes:
        contract: of its observations and commands.
        tasks: that it knows.
        horizon: control periods between queries of the diffusion model.
        queries: of the diffusion model since `begin`.
    """

    contract: Contract
    tasks: tuple[str, ...]
    horizon: int
    queries: int

    def begin(self, task: str, seed: int) -> None:
        """Start an episode."""

    def see(self, observation: np.ndarray, time_s: float) -> None:
        """Take the newest observation, float64 [observations].

        Time begins at 0 and need not advance in the contract's periods: a horizon is so many of them in seconds.
        """

    def command(self, may_query: bool = True) -> np.ndarray:
        """float64 [commands], not limited yet, for what was seen last; without `may_query` of the last answer."""


class LwdActor:
    """Generates a policy every `horizon` periods, and runs it closed loop in between."""

    def __init__(self, model: Path, horizon: int = EPISODE_STEPS):
        """Load a model file; the first policy of an episode is that of `lwd evaluate`."""
        self._generator, self.horizon, self.queries = PolicyGenerator(model), horizon, 0
        self.contract, self.tasks = self._generator.description.contract, self._generator.tasks
        self._command = np.empty(len(self.contract.command))

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._until, self.queries = task, seed, 0.0, 0

    def see(self, observation: np.ndarray, time_s: float) -> None:
        """As `Actor.see`."""
        self._seen, self._time = observation, time_s

    def command(self, may_query: bool = True) -> np.ndarray:
        """As `Actor.command`."""
        if may_query and self._time > self._until - _EARLY:
            seed = self._seed if self.queries == 0 else _seed_of(self._seed, self.queries)
            self._policy = self._generator.generate(self._task, seed, self._seen)
            self._until, self.queries = self._time + self.horizon * self.contract.period_s, self.queries + 1
        return self._policy.forward(self._seen, self._command)


class DiffusionPolicyActor:
    """Samples a sequence of actions every `horizon` periods, and plays it without looking."""

    def __init__(self, model: Path, horizon: int):
        """Load a model file; raises ValueError where it predicts less than `horizon` actions."""
        self._generator, self.horizon, self.queries = ActionGenerator(model), horizon, 0
        description = self._generator.description
        if horizon > description.prediction_horizon:
            raise ValueError(f"horizon: found {horizon}, expected at most {description.prediction_horizon}")
        self.contract, self.tasks, self._steps = description.contract, description.tasks, description.observation_steps

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._seen, self._start, self.queries = task, seed, [], -np.inf, 0

    def see(self, observation: np.ndarray, time_s: float) -> None:
        """As `Actor.see`."""
        self._seen.append((time_s, observation.copy()))

    def command(self, may_query: bool = True) -> np.ndarray:
        """As `Actor.command`. Actions whose time has passed while the model was thinking are left out, as published."""
        time_s = self._seen[-1][0]
        place = int((time_s - self._start + _EARLY) / self.contract.period_s) if self.queries else self.horizon
        if may_query and place >= self.horizon:
            self._actions = self._generator.sample(self._task, (self._seed, self.queries), self._history(time_s))
            self._start, self.queries, place = time_s, self.queries + 1, 0
        return self._actions[min(place, len(self._actions) - 1)]

    def _history(self, time_s: float) -> np.ndarray:
        """The observations that are a period apart, as those in training: at another rate, the nearest ones.

        Before the first observation stands the first again.
        """
        wanted = time_s - self.contract.period_s * np.arange(self._steps - 1, -1, -1)
        times = np.array([time for time, _ in self._seen])
        return np.array([self._seen[int(np.abs(times - time).argmin())][1] for time in wanted])


def _seed_of(seed: int, query: int) -> int:
    """A seed of a later query, as far from the others as any."""
    return int(np.random.SeedSequence([seed, query]).generate_state(1, np.uint64)[0] >> 1) + 1

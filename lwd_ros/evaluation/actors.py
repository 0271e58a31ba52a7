"""What acts in an episode, whatever the method: asked for a command every step, it queries its model when due."""

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from lwd_ros.contract import ZERO, Contract
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS
from lwd_ros.generator import PolicyGenerator
from lwd_ros.resources import share_path

EARLY = 1e-6
"""s by which rounding may have a control step begin early."""


def steps_between(start_s: float, time_s: float, period_s: float) -> int:
    """Whole control periods that have passed: the place in a sequence of actions that began at `start_s`."""
    return int((time_s - start_s + EARLY) / period_s)


def at_rest(contract: Contract, command: np.ndarray) -> np.ndarray:
    """float64 [commands] of a robot that stands still after `command`: velocities 0, all else as it is."""
    return np.where([rest == ZERO for rest in _rests(contract)], 0.0, command)


def _rests(contract: Contract) -> tuple[str, ...]:
    """A model file's contract has no binding. What the shipped commands are at rest, the shipped file says."""
    shipped = _shipped()
    return shipped.rests if contract.binding is None and contract.command == shipped.command else contract.rests


@cache
def _shipped() -> Contract:
    return Contract.load(share_path("config", "metaworld.yaml"))


class Actor(Protocol):
    """One method with one action horizon.

    Time begins at 0 and need not advance in the contract's periods: a horizon is so many of them in seconds.

    Attributes:
        contract: of its observations and commands.
        tasks: that it knows.
        digest: SHA-256 of its model file.
        horizon: control periods between queries of the diffusion model.
        queries: of the diffusion model since `begin`.
    """

    contract: Contract
    tasks: tuple[str, ...]
    digest: str
    horizon: int
    queries: int

    def begin(self, task: str, seed: int) -> None:
        """Start an episode."""

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """Take what a control step at `time_s` sees: the newest observation, float64 [observations], of `stamp_s`."""

    @property
    def due(self) -> bool:
        """Whether the horizon of the adopted answer is over, or there is none."""

    def query(self) -> None:
        """Ask the diffusion model with what was seen; its answer waits for `adopt`."""

    def adopt(self, stood_still: bool = False) -> None:
        """Act by the last answer from now on; it holds as if asked for just now where the robot stood still since."""

    def command(self) -> np.ndarray | None:
        """float64 [commands], not limited yet, by the adopted answer for what was seen last; None before the first."""


class LwdActor:
    """Generates a policy every `horizon` periods, and runs it closed loop in between."""

    def __init__(self, model: Path, horizon: int = EPISODE_STEPS):
        """Load a model file; the first policy of an episode is that of `lwd evaluate`. Raises ModelError."""
        self._generator, self.horizon, self.queries = PolicyGenerator(model), horizon, 0
        self.contract, self.tasks = self._generator.description.contract, self._generator.tasks
        self.digest = self._generator.digest
        self._command = np.empty(len(self.contract.command))

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._until, self._policy, self.queries = task, seed, -np.inf, None, 0

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`; a policy learns the age where its contract has it."""
        self._given, self._seen, self._time = observation, observation, time_s
        place = self.contract.age_place
        if place is not None:
            self._seen = observation.copy()
            self._seen[place] = min(time_s - stamp_s, self.contract.observation[place].maximum)

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self._time > self._until - EARLY

    def query(self) -> None:
        """As `Actor.query`."""
        seed = self._seed if self.queries == 0 else _seed_of(self._seed, self.queries)
        self._answer = self._generator.generate(self._task, seed, self._given)
        self._until, self.queries = self._time + self.horizon * self.contract.period_s, self.queries + 1

    def adopt(self, stood_still: bool = False) -> None:
        """As `Actor.adopt`."""
        self._policy = self._answer
        if stood_still:
            self._until = self._time + self.horizon * self.contract.period_s

    def command(self) -> np.ndarray | None:
        """As `Actor.command`."""
        return None if self._policy is None else self._policy.forward(self._seen, self._command)


def _seed_of(seed: int, query: int) -> int:
    """A seed of a later query, as far from the others as any."""
    return int(np.random.SeedSequence([seed, query]).generate_state(1, np.uint64)[0] >> 1) + 1

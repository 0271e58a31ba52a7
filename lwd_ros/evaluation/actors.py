"""What acts in an episode by a model file, whatever the method."""

from pathlib import Path
from typing import Protocol

import numpy as np

from lwd_ros.contract import Contract, Frames
from lwd_ros.environments.actors import nanoseconds
from lwd_ros.environments.episode import Actor
from lwd_ros.generator import PolicyGenerator
from lwd_ros.policy import Policy

EARLY = 1e-6
"""s by which rounding may have a control step begin early."""


def steps_between(start_s: float, time_s: float, period_s: float) -> int:
    """Whole control periods that have passed: the place in a sequence of actions that began at `start_s`."""
    return int((time_s - start_s + EARLY) / period_s)


class ModelActor(Actor, Protocol):
    """One method with one action horizon, which is so many of the contract's periods in seconds.

    Attributes:
        contract: of its observations and commands.
        tasks: that it knows.
        digest: SHA-256 of its model file.
        horizon: control periods between queries of the model; None for one query an episode.
    """

    contract: Contract
    tasks: tuple[str, ...]
    digest: str
    horizon: int | None


class LwdActor:
    """Generates a policy every `horizon` periods, and runs it closed loop in between."""

    def __init__(self, model: Path | PolicyGenerator, horizon: int | None = None, sampling_steps: int = 0):
        """Load a model file; the first policy of an episode is that of `lwd evaluate`. Raises ModelError.

        `sampling_steps` of a file, as of `PolicyGenerator`.
        """
        self._generator = model if isinstance(model, PolicyGenerator) else PolicyGenerator(model, sampling_steps)
        self.horizon, self.queries = horizon, 0
        self.contract, self.tasks = self._generator.description.contract, self._generator.tasks
        self.digest = self._generator.digest
        self._horizon_s = np.inf if horizon is None else horizon * self.contract.period_s
        self._command = np.empty(len(self.contract.command))

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._frames = Frames(self.contract)
        self.swap(task, seed)

    def swap(self, task: str, seed: int) -> None:
        """Begin another task in the episode that goes on: what was seen stays seen, as when a robot swaps policies."""
        self._task, self._seed, self._until, self.queries = task, seed, -np.inf, 0
        self._policy: Policy | None = None

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`; a policy learns the age where its contract has it, its generator does not."""
        self._frames.push(observation, nanoseconds(stamp_s))
        self._given, self._seen, self._time = observation, self._frames.vector(nanoseconds(time_s)), time_s

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self._time > self._until - EARLY

    def query(self) -> None:
        """As `Actor.query`."""
        seed = self._seed if self.queries == 0 else _seed_of(self._seed, self.queries)
        self._answer = self._generator.generate(self._task, seed, self._given)
        self._until, self.queries = self._time + self._horizon_s, self.queries + 1

    def adopt(self, stood_still: bool = False) -> None:
        """As `Actor.adopt`."""
        self._policy = self._answer
        if stood_still:
            self._until = self._time + self._horizon_s

    def command(self) -> np.ndarray | None:
        """As `Actor.command`."""
        return None if self._policy is None else self._policy.forward(self._seen, self._command)


def _seed_of(seed: int, query: int) -> int:
    """A seed of a later query, as far from the others as any."""
    return int(np.random.SeedSequence([seed, query]).generate_state(1, np.uint64)[0] >> 1) + 1

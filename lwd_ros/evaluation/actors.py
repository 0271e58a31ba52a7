"""What acts in an episode, whatever the method: asked for a command every step, it queries its model when due."""

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from lwd_ros.contract import ZERO, Contract
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.resources import share_path
from lwd_ros.sim.scene import EPISODE_STEPS

_EARLY = 1e-6
"""s by which rounding may have a control step begin early."""


def steps_between(start_s: float, time_s: float, period_s: float) -> int:
    """Whole control periods that have passed: the place in a sequence of actions that began at `start_s`."""
    return int((time_s - start_s + _EARLY) / period_s)


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
        return self._time > self._until - _EARLY

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


class DiffusionPolicyActor:
    """Samples a sequence of actions every `horizon` periods, and plays it by time, without looking.

    As in the published deployment, a sequence begins at the stamp of the last observation that it was sampled for, and
    actions whose time has passed are left out; of a sequence that has passed altogether the last action is still given
    for a period. Not so where the robot stood still meanwhile: commands are velocities here, so each one left out would
    be a way not gone. After the end of a sequence its last action stands where the network was trained on whole
    episodes, padded so; elsewhere the hand does, and the gripper keeps its command.
    """

    def __init__(self, model: Path, horizon: int):
        """Load a model file; raises ModelError where it predicts less than `horizon` actions."""
        self._generator, self.horizon, self.queries = ActionGenerator(model), horizon, 0
        description, self.digest = self._generator.description, self._generator.digest
        self._whole = description.prediction_horizon >= description.usual_length
        if horizon > description.prediction_horizon and not self._whole:
            text = f"found horizon {horizon}, expected at most {description.prediction_horizon}, which it predicts"
            raise ModelError(f"{model}: {text}")
        self.contract, self.tasks, self._steps = description.contract, description.tasks, description.observation_steps

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._stamps, self._seen = task, seed, [], []
        self._actions, self._asked, self.queries = None, -np.inf, 0

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._time = time_s
        if not self._stamps or stamp_s > self._stamps[-1]:
            self._stamps.append(stamp_s)
            self._seen.append(observation.copy())

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self._time > self._asked + self.horizon * self.contract.period_s - _EARLY

    def query(self) -> None:
        """As `Actor.query`."""
        self._answer = self._generator.sample(self._task, (self._seed, self.queries), self._history())
        self._answer_start, self._asked, self.queries = self._stamps[-1], self._time, self.queries + 1

    def adopt(self, stood_still: bool = False) -> None:
        """As `Actor.adopt`."""
        self._actions, self._start = self._answer, self._answer_start
        if stood_still:
            self._start, self._asked = self._start + self._time - self._asked, self._time
        # A sequence that has passed already stands at its last action, for the one period from now.
        newest = self._time - (len(self._answer) - 1) * self.contract.period_s
        self._start = max(self._start, newest)

    def command(self) -> np.ndarray | None:
        """As `Actor.command`."""
        if self._actions is None:
            return None
        place = steps_between(self._start, self._time, self.contract.period_s)
        if place < len(self._actions) or self._whole:
            return self._actions[min(place, len(self._actions) - 1)]
        return at_rest(self.contract, self._actions[-1])

    def _history(self) -> np.ndarray:
        """Observations a period apart, as those in training; at another rate, interpolated between those seen.

        Before the first observation stands the first again.
        """
        count = 3 * self._steps + 2
        times, seen = np.array(self._stamps[-count:]), np.array(self._seen[-count:])
        wanted = times[-1] - self.contract.period_s * np.arange(self._steps - 1, -1, -1)
        return np.stack([np.interp(wanted, times, column) for column in seen.T], axis=1)


def _seed_of(seed: int, query: int) -> int:
    """A seed of a later query, as far from the others as any."""
    return int(np.random.SeedSequence([seed, query]).generate_state(1, np.uint64)[0] >> 1) + 1

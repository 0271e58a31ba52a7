"""Diffusion Policy as an actor: sequences of actions, played by time."""

from pathlib import Path

import numpy as np

from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator
from lwd_ros.environments.episode import at_rest
from lwd_ros.environments.registry import simulator_of
from lwd_ros.evaluation.actors import EARLY, steps_between
from lwd_ros.generator import ModelError


class DiffusionPolicyActor:
    """Samples a sequence of actions every `horizon` periods, and plays it by time, without looking.

    As in the published deployment, a sequence begins at the stamp of the last observation that it was sampled for, and
    actions whose time has passed are left out; of a sequence that has passed altogether the last action is still given
    for a period. Not so where the robot stood still meanwhile: commands are velocities here, so each one left out would
    be a way not gone. After the end of a sequence its last action stands where the network was trained on whole
    episodes, padded so; elsewhere the hand does, and the gripper keeps its command.
    """

    def __init__(self, model: Path, horizon: int | None):
        """Load a model file; raises ModelError where it predicts less than `horizon` actions, None for an episode's."""
        self._generator, self.horizon, self.queries = ActionGenerator(model), horizon, 0
        description, self.digest = self._generator.description, self._generator.digest
        self._whole = description.prediction_horizon >= description.usual_length
        if (horizon is None or horizon > description.prediction_horizon) and not self._whole:
            found = "one query an episode" if horizon is None else f"horizon {horizon}"
            text = f"found {found}, expected at most {description.prediction_horizon}, which it predicts"
            raise ModelError(f"{model}: {text}")
        self._horizon_s = np.inf if horizon is None else horizon * description.contract.period_s
        self._own = simulator_of(description.tasks).spec.contract()  # says what commands are at rest
        self.contract, self.tasks, self._steps = description.contract, description.tasks, description.observation_steps

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._task, self._seed, self._asked, self.queries = task, seed, -np.inf, 0
        self._stamps: list[float] = []
        self._seen: list[np.ndarray] = []
        self._actions: np.ndarray | None = None

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._time = time_s
        if not self._stamps or stamp_s > self._stamps[-1]:
            self._stamps.append(stamp_s)
            self._seen.append(observation.copy())

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self.queries == 0 or self._time > self._asked + self._horizon_s - EARLY

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
        return at_rest(self.contract, self._actions[-1], self._own)

    def _history(self) -> np.ndarray:
        """Observations a period apart, as those in training; at another rate, interpolated between those seen.

        Before the first observation stands the first again.
        """
        count = 3 * self._steps + 2
        times, seen = np.array(self._stamps[-count:]), np.array(self._seen[-count:])
        wanted = times[-1] - self.contract.period_s * np.arange(self._steps - 1, -1, -1)
        return np.stack([np.interp(wanted, times, column) for column in seen.T], axis=1)

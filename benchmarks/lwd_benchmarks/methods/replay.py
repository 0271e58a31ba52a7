"""What playing a demonstration back achieves: the open loop without any learning, as a method beside the others."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from lwd_ros.dataset import DatasetError, Demonstrations
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS
from lwd_ros.evaluation.actors import steps_between
from lwd_ros.generator import ModelError
from lwd_ros.learning.config import TrainConfig


class NearestDemonstrationActor:
    """Plays the labels of the demonstration whose first observation is nearest, without looking; then its last one.

    Nearest in the Euclidean distance of observations standardised over the frames of their task, as everything else
    here learns from; of fresh starts alone, as episodes are. An actor as `lwd_ros.evaluation.actors.ModelActor` has it.
    """

    def __init__(self, model: Path, horizon: int = EPISODE_STEPS):
        """Load a dataset, given by its `meta.json`; raises ModelError where it cannot be, or for any other horizon."""
        if horizon != EPISODE_STEPS:
            raise ModelError(f"{model}: found horizon {horizon}, expected {EPISODE_STEPS}: it is chosen at the start")
        try:
            demonstrations = _load(model.parent)
        except DatasetError as error:
            raise ModelError(str(error)) from error
        self.horizon, self.queries = horizon, 0
        self.contract, self.tasks = demonstrations.contract, demonstrations.tasks
        self.digest = hashlib.sha256(model.read_bytes()).hexdigest()
        self._demonstrations, self._index = demonstrations, cache(self._starts)

    def _starts(self, task: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """What observations of a task are divided by, first ones so divided [N, observations], and their commands."""
        episodes = self._demonstrations.episodes[task]
        smallest = TrainConfig.smallest_std
        scale = np.maximum(np.concatenate([e.observation for e in episodes]).std(0), smallest)
        fresh = [episode for episode in episodes if not episode.after]
        return scale, np.stack([e.observation[0] for e in fresh]) / scale, [e.action for e in fresh]

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`; nothing is drawn."""
        self._task, self._time, self.queries = task, 0.0, 0
        self._actions: np.ndarray | None = None

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._seen, self._time = observation, time_s

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self.queries == 0

    def query(self) -> None:
        """As `Actor.query`."""
        scale, starts, actions = self._index(self._task)
        distances = np.linalg.norm(starts - self._seen / scale, axis=1)
        self._answer, self._start, self.queries = actions[int(distances.argmin())], self._time, 1

    def adopt(self, stood_still: bool = False) -> None:
        """As `Actor.adopt`."""
        self._actions = self._answer
        if stood_still:
            self._start = self._time

    def command(self) -> np.ndarray | None:
        """As `Actor.command`."""
        if self._actions is None:
            return None
        place = steps_between(self._start, self._time, self.contract.period_s)
        return self._actions[min(place, len(self._actions) - 1)]


@cache
def _load(folder: Path) -> Demonstrations:
    """A dataset, once a process."""
    return Demonstrations(folder)

"""A simulation's states on disk, enough to draw every moment again."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lwd_ros.environments.environment import Environment, require_capability


@dataclass(frozen=True)
class Recording:
    """What happened between two loads of a layout.

    `time_s` float64 [steps] of simulation time, `state` float64 [steps, numbers] of `Renders.state`. An environment of
    `task` that was reset to `layout` draws them.
    """

    task: str
    layout: int
    time_s: np.ndarray
    state: np.ndarray


class Recorder:
    """Collects states in memory and writes them once, at the end."""

    def __init__(self, path: Path):
        """Raise OSError, now and not after an hour of recording, where `path` cannot be written; makes no folder."""
        self.path = path
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        self._temporary = path.with_suffix(".partial")
        self._temporary.touch()
        self._parts: list[tuple[str, int, list[float], list[np.ndarray]]] = []

    def begin(self, environment: Environment) -> None:
        """A new layout; states of a task that took a layout over go on in the same part.

        Raises:
            SimulationError: the environment has no states that could be drawn again.
        """
        require_capability(environment, "render")
        self._parts.append((environment.task, environment.layout, [], []))

    def add(self, environment: Environment, time_s: float) -> None:
        """The environment's present state."""
        self._parts[-1][2].append(time_s)
        self._parts[-1][3].append(require_capability(environment, "render").state())

    def save(self) -> None:
        """Write what was collected, under a temporary name first."""
        arrays: dict[str, Any] = {"tasks": np.array([task for task, *_ in self._parts], dtype=np.str_)}
        arrays["layouts"] = np.array([layout for _, layout, *_ in self._parts], dtype=np.int64)
        for i, (*_, times, states) in enumerate(self._parts):
            arrays |= {f"time_s_{i}": np.array(times), f"state_{i}": np.array(states)}
        with open(self._temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(self._temporary, self.path)


def read_recording(path: Path) -> list[Recording]:
    """All parts of a file that a Recorder wrote, in order."""
    with np.load(path, allow_pickle=False) as file:
        return [
            Recording(str(task), int(file["layouts"][i]), file[f"time_s_{i}"], file[f"state_{i}"])
            for i, task in enumerate(file["tasks"])
        ]

"""A simulation's states on disk, enough to draw every moment again."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_ros.environments.metaworld.scene import Scene


@dataclass(frozen=True)
class Recording:
    """What happened between two loads of a layout.

    `time_s` float64 [steps] of simulation time, `qpos` float64 [steps, nq], and the model they belong to: the `task`
    whose scene was built and the positions of its bodies, float64 [bodies, 3].
    """

    task: str
    body_pos: np.ndarray
    time_s: np.ndarray
    qpos: np.ndarray


class Recorder:
    """Collects states in memory and writes them once, at the end."""

    def __init__(self, path: Path):
        """Raise OSError, now and not after an hour of recording, where `path` cannot be written; makes no folder."""
        self.path = path
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        self._temporary = path.with_suffix(".partial")
        self._temporary.touch()
        self._parts: list[tuple[str, np.ndarray, list[float], list[np.ndarray]]] = []

    def begin(self, scene: Scene) -> None:
        """A new layout; states of a task that took a layout over go on in the same part."""
        self._parts.append((scene.task, scene.model.body_pos.copy(), [], []))

    def add(self, scene: Scene, time_s: float) -> None:
        """The scene's present state."""
        self._parts[-1][2].append(time_s)
        self._parts[-1][3].append(scene.qpos)

    def save(self) -> None:
        """Write what was collected, under a temporary name first."""
        arrays = {"tasks": np.array([task for task, *_ in self._parts])}
        for i, (_, body_pos, times, qpos) in enumerate(self._parts):
            arrays |= {f"body_pos_{i}": body_pos, f"time_s_{i}": np.array(times), f"qpos_{i}": np.array(qpos)}
        with open(self._temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(self._temporary, self.path)


def read_recording(path: Path) -> list[Recording]:
    """All parts of a file that a Recorder wrote, in order."""
    with np.load(path, allow_pickle=False) as file:
        return [
            Recording(str(task), file[f"body_pos_{i}"], file[f"time_s_{i}"], file[f"qpos_{i}"])
            for i, task in enumerate(file["tasks"])
        ]

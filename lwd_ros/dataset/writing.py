"""Writing a whole dataset at once: either all of it is there in the end, or nothing."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset.demonstrations import META, DatasetError, Episode, TaskFile, write_meta

_TASK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")  # a task's name is that of a file
_LEAST_STEPS = 2


def require_room(folder: Path) -> None:
    """Refuse a place that holds anything already; DatasetError. Call it before hours of work."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "a dataset" if (folder / META).exists() else "a file" if folder.is_file() else "files"
        raise DatasetError(f"{folder}: found {what} there, expected a new or an empty folder; nothing was written")


def write_dataset(folder: Path, contract: Contract, episodes: Mapping[str, Sequence[Episode]], settings: dict) -> dict:
    """Write a dataset in a new or empty folder, all of it or nothing, and return its `meta.json`.

    Args:
        folder: made here, with its parents.
        contract: what the episodes follow; its binding is not kept.
        episodes: by task, in the order that the dataset gets. Equal episodes and settings give equal files.
        settings: plain data on how they were made; stands in `meta.json` and in every file.

    Raises:
        DatasetError: the folder holds something, or an episode is no demonstration of the contract.
        OSError: naming `folder`, where the disk is full or may not be written.
    """
    require_room(folder)
    _require_episodes(contract, episodes)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        for place, (task, rows) in enumerate(episodes.items()):
            TaskFile.of(partial, task).write(task, place, contract.period_s, rows, settings)
        counts = {
            task: {"episodes": len(rows), "frames": sum(len(each.action) for each in rows)}
            for task, rows in episodes.items()
        }
        meta = write_meta(partial, contract, tuple(episodes), settings, counts)
        if folder.exists():
            folder.rmdir()
        os.replace(partial, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            reason if reason.startswith("cannot be written") else f"cannot be written ({reason})",
            str(folder),
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return meta


def _require_episodes(contract: Contract, episodes: Mapping[str, Sequence[Episode]]) -> None:
    if not episodes or not all(episodes.values()):
        empty = next((f"of task '{task}'" for task, rows in episodes.items() if not rows), "of any task")
        raise DatasetError(f"found no episode {empty}, expected at least one")
    sizes = (contract.frame_size, len(contract.command))
    for task, rows in episodes.items():
        if not _TASK.fullmatch(task):
            raise DatasetError(f"found the task '{task}', expected a name of letters, digits, '_', '-', '.' and ' '")
        for number, episode in enumerate(rows):
            where = f"task '{task}', episode {number}" + (f" ({episode.source})" if episode.source else "")
            found = (episode.observation.shape[1:], episode.action.shape[1:])
            if found != ((sizes[0],), (sizes[1],)) or len(episode.observation) != len(episode.action):
                shapes = f"{episode.observation.shape} and {episode.action.shape}"
                raise DatasetError(f"{where}: found arrays of {shapes}, expected [T, {sizes[0]}] and [T, {sizes[1]}]")
            if len(episode.action) < _LEAST_STEPS:
                raise DatasetError(f"{where}: found {len(episode.action)} steps, expected {_LEAST_STEPS} at least")
            if not (np.isfinite(episode.observation).all() and np.isfinite(episode.action).all()):
                raise DatasetError(f"{where}: found a number that is not finite")
        with_way = sum(bool(episode.way) for episode in rows)
        if with_way not in (0, len(rows)):
            raise DatasetError(
                f"task '{task}': found a way for {with_way} of {len(rows)} episodes, expected one for all or for none"
            )

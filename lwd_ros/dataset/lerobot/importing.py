"""A LeRobot dataset as demonstrations of a contract: scalars by name, in its order and units, within its limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset.demonstrations import Episode
from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.features import ACTION, OBSERVATION
from lwd_ros.dataset.lerobot.folder import LeRobotFolder, Recorded
from lwd_ros.dataset.lerobot.frames import TOLERANCE_S, Frames, frames
from lwd_ros.dataset.lerobot.mapping import Column, Mapping, columns, plain, task_names
from lwd_ros.dataset.lerobot.ranges import OUTSIDE, Range, declared, outside_sentence, ranges_of
from lwd_ros.dataset.picking import picked

_PERIOD = 0.01  # share by which fps and the contract's period may differ


@dataclass(frozen=True)
class Imported:
    """What an import made: episodes by task, and what a user should know of them.

    `notes` are sentences; `ranges` has a row for each scalar, the observed ones first; `tasks` maps texts to names.
    """

    version: str
    fps: float
    contract: Contract
    episodes: dict[str, list[Episode]]
    columns: tuple[list[Column], list[Column]]
    tasks: dict[str, str]
    ranges: list[Range]
    notes: list[str] = field(default_factory=list)

    def settings(self) -> dict:
        """How the episodes were made, for the dataset's `meta.json`: plain data, the same for equal episodes."""
        observation, action = self.columns
        return {
            "made_by": "lwd import-lerobot",
            "version": self.version,
            "fps": self.fps,
            "observation": plain(observation),
            "action": plain(action),
            "task_texts": {name: text for text, name in self.tasks.items()},
        }

    def report(self) -> dict:
        """The same and the ranges, as plain data."""
        return {
            **self.settings(),
            "tasks": {
                task: {"episodes": len(rows), "frames": sum(len(each.action) for each in rows)}
                for task, rows in self.episodes.items()
            },
            "ranges": [each.plain() for each in self.ranges],
            "notes": self.notes,
        }


def read(
    folder: str | Path,
    contract: Contract,
    mapping: Mapping | None = None,
    *,
    task: str = "",
    tasks: dict[str, str] | None = None,
    episodes: str = "",
    tolerance_s: float = TOLERANCE_S,
    outside: str = "refuse",
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Read a folder of LeRobot v2.0, v2.1 or v3.0.

    Args:
        folder: of the dataset, on this machine.
        contract: its scalars are looked for by name.
        mapping: how they and the tasks are called there, and in what units they are.
        task: the name of the one task of all episodes.
        tasks: names by the tasks' texts, beside those of the mapping.
        episodes: which ones, as "0:5,7"; all of them where empty.
        tolerance_s: by how much a frame's timestamp may be off.
        outside: what becomes of numbers outside the contract's limits: refuse, keep or clip.
        progress: called with frames done and frames in all.

    Raises:
        LeRobotError: the dataset is broken, or does not fit the contract; names the first wrong thing, what was found
            and what was expected.
    """
    if outside not in OUTSIDE:
        raise ValueError(f"outside: found {outside!r}, expected one of {OUTSIDE}")
    source, mapping = LeRobotFolder(folder), mapping or Mapping()
    where = str(folder)
    _require_rate(source.fps, contract, where)
    features = tuple(source.features.values())
    observed = columns(contract.observation_names, mapping.observation, OBSERVATION, features, where)
    commanded = columns(contract.command_names, mapping.action, ACTION, features, where)
    chosen = picked(episodes, [each.number for each in source.episodes], f"{where}: --episodes")
    wanted = [each for each in source.episodes if each.number in chosen]
    keys = list(dict.fromkeys(column.feature for column in (*observed, *commanded)))
    found: list[tuple[Frames, np.ndarray, np.ndarray]] = []
    done, total = 0, sum(each.length for each in wanted)
    for rows in frames(source, wanted, keys, tolerance_s):
        found.append((rows, _ours(rows, observed), _ours(rows, commanded)))
        done += rows.episode.length
        if progress:
            progress(done, total)
    ranges = ranges_of(contract, [each[1] for each in found], [each[2] for each in found])
    notes = list(source.notes)
    sentence = outside_sentence(where, ranges, outside)
    if sentence and outside == "refuse":
        raise LeRobotError(sentence)
    notes += [sentence] if sentence else []
    notes += declared(source.folder, source.version, [each for rows in found for each in [rows[0]]])
    notes += _left_out(source, observed, commanded)
    if outside == "clip":
        found = [(rows, _clipped(o, contract, 0), _clipped(a, contract, 1)) for rows, o, a in found]
    texts = [_text(source, rows, bool(task)) for rows, _, _ in found]
    names = task_names(texts, {**mapping.tasks, **(tasks or {})}, task)
    by_task: dict[str, list[Episode]] = {name: [] for name in names.values()}
    for text, (rows, observation, action) in zip(texts, found, strict=True):
        by_task[names[text]].append(_made(rows.episode, source, observation, action))
    return Imported(source.version, source.fps, contract, by_task, (observed, commanded), names, ranges, notes)


def _require_rate(fps: float, contract: Contract, where: str) -> None:
    if abs(1 / fps - contract.period_s) > _PERIOD * contract.period_s:
        raise LeRobotError(
            f"{where}: found {fps:g} frames a second, a period of {1 / fps:.6g} s, expected the contract's period_s "
            f"{contract.period_s:g} ({1 / contract.period_s:.4g} a second); a contract with period_s {1 / fps:.6g} fits"
        )


def _ours(rows: Frames, found: Sequence[Column]) -> np.ndarray:
    values = [column.source.ours(rows.vectors[column.feature][:, column.place]) for column in found]
    return np.stack(values, axis=1)


def _clipped(values: np.ndarray, contract: Contract, side: int) -> np.ndarray:
    scalars = contract.command if side else contract.observation
    return np.clip(values, [each.minimum for each in scalars], [each.maximum for each in scalars])


def _text(source: LeRobotFolder, rows: Frames, one: bool) -> str:
    """The text of an episode's task: of the frames' task_index, or else of the episode's metadata."""
    tasks = [_known(source, rows, number) for number in rows.tasks] or list(rows.episode.tasks)
    if one:
        return tasks[0] if tasks else ""
    if len(tasks) != 1:
        found = ", ".join(map(repr, tasks[:4])) or "none"
        raise LeRobotError(
            f"{rows.where}: found {len(tasks)} tasks ({found}), expected one; --task NAME gives all one name"
        )
    return tasks[0]


def _known(source: LeRobotFolder, rows: Frames, number: int) -> str:
    if number not in source.tasks:
        raise LeRobotError(f"{rows.where}: found task_index {number}, expected one of meta/tasks: "
                           f"{', '.join(map(str, list(source.tasks)[:12]))}")  # fmt: skip
    return source.tasks[number]


def _made(episode: Recorded, source: LeRobotFolder, observation: np.ndarray, action: np.ndarray) -> Episode:
    """An episode; what an export of ours noted beside it comes back."""
    extra = episode.extra
    if "layout" in extra:
        told = (str(extra["after"]), str(extra["source"]), str(extra.get("way") or ""))
        return Episode(observation, action, int(extra["layout"]), *told)
    return Episode(observation, action, episode.number, source=f"{source.name(episode.file)} episode {episode.number}")


def _left_out(source: LeRobotFolder, observed: Sequence[Column], commanded: Sequence[Column]) -> list[str]:
    """What of the dataset the contract does not name."""
    used = {(column.feature, column.place) for column in (*observed, *commanded)}
    whole = [each.key for each in source.features.values() if each.key.startswith("observation.") and not each.side]
    parts = [
        feature.names[place]
        for feature in source.features.values()
        for place in range(len(feature.names))
        if feature.side and (feature.key, place) not in used
    ]
    notes = []
    if whole:
        notes.append(f"left out, for they are not vectors of numbers: {', '.join(whole)}")
    if parts:
        more = f", and {len(parts) - 12} more" if len(parts) > 12 else ""
        notes.append(f"left out, for the contract does not name them: {', '.join(parts[:12])}{more}")
    return notes

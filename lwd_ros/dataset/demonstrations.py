"""Demonstrations as Parquet, one file per task beside a `meta.json`, with LeRobot's column names."""

import hashlib
import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_ros.contract import Contract
from lwd_ros.errors import LwdError
from lwd_ros.files import written_whole
from lwd_ros.reading import read_json

META = "meta.json"
"""Name of the file that makes a folder a dataset; it is written last."""


class DatasetError(LwdError):
    """A dataset is missing, incomplete or not what was asked for; says what was found and what was expected."""


@dataclass(frozen=True)
class Episode:
    """One demonstration.

    `observation` is float64 [T, observations] and `action` float64 [T, commands], both in the contract's order and
    units; `action` is the expert's clean, limited command, not the disturbed one that was executed. `layout` is the
    seed of the object positions; `after` names the tasks that ran before it in the same scene, and what else
    happened to the hand, joined by "+", '' for a fresh start. `source` says where a recorded demonstration comes from
    (a file and its seconds), '' for one that was collected. `way` is which of several ways of the task it went, ''
    where nobody told them apart.
    """

    observation: np.ndarray
    action: np.ndarray
    layout: int
    after: str = ""
    source: str = ""
    way: str = ""


@dataclass(frozen=True)
class TaskFile:
    """The Parquet file of one task."""

    path: Path

    @classmethod
    def of(cls, folder: Path, task: str) -> "TaskFile":
        """The place of a task's file in a dataset folder."""
        return cls(folder / f"{task}.parquet")

    def write(self, task: str, task_index: int, period_s: float, episodes: Sequence[Episode], settings: dict) -> None:
        """Write all episodes at once, whole or not at all.

        `settings` is what made the episodes; `settings()` reads it back. Identical episodes give identical bytes.
        """
        lengths = [len(episode.action) for episode in episodes]
        frame = np.concatenate([np.arange(n) for n in lengths])
        columns = {
            "observation.state": _lists([e.observation for e in episodes]),
            "action": _lists([e.action for e in episodes]),
            "episode_index": pa.array(np.repeat(np.arange(len(episodes)), lengths), pa.int64()),
            "frame_index": pa.array(frame, pa.int64()),
            "timestamp": pa.array(frame * period_s, pa.float64()),
            "task_index": pa.array(np.full(len(frame), task_index), pa.int64()),
            "task": pa.array([task] * len(frame)).dictionary_encode(),
            "layout": pa.array(np.repeat([e.layout for e in episodes], lengths), pa.int64()),
            "after": pa.array(np.repeat([e.after for e in episodes], lengths)).dictionary_encode(),
        }
        if any(episode.source for episode in episodes):  # collected ones have none, and keep their bytes
            columns["source"] = pa.array(np.repeat([e.source for e in episodes], lengths)).dictionary_encode()
        if any(episode.way for episode in episodes):
            columns["way"] = pa.array(np.repeat([e.way for e in episodes], lengths)).dictionary_encode()
        table = pa.table(columns).replace_schema_metadata({"lwd_ros": json.dumps(settings, sort_keys=True)})
        with written_whole(self.path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def settings(self) -> dict | None:
        """What made this file, or None where there is no whole file of ours."""
        if not self.path.exists():
            return None
        try:
            metadata = pq.read_schema(self.path).metadata or {}
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetError(f"{self.path}: is not a whole Parquet file ({error}); delete it") from error
        if b"lwd_ros" not in metadata:
            return None
        try:
            return json.loads(metadata[b"lwd_ros"])
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{self.path}: found settings that are not JSON ({error}); delete it") from error

    def read(self) -> list[Episode]:
        """All episodes, in order; raises DatasetError for a broken file, missing columns or non-finite numbers."""
        try:
            table = pq.read_table(self.path)
            observation, action = _matrix(table, "observation.state"), _matrix(table, "action")
            index = _column(table, "episode_index", pa.types.is_integer, "whole numbers").to_numpy()
            layout = _column(table, "layout", pa.types.is_integer, "whole numbers").to_numpy()
            after = _column(table, "after", _is_text, "texts").to_pylist()
            source = [""] * len(after)
            if "source" in table.column_names:
                source = _column(table, "source", _is_text, "texts").to_pylist()
            way = [""] * len(after)
            if "way" in table.column_names:
                way = _column(table, "way", _is_text, "texts").to_pylist()
        except (pa.ArrowInvalid, OSError, KeyError, TypeError) as error:
            raise DatasetError(f"{self.path}: cannot be read as demonstrations: {error}") from error
        if not len(index):
            raise DatasetError(f"{self.path}: found no frames, expected at least one episode")
        for name, values in (("observation.state", observation), ("action", action)):
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if bad.size:
                raise DatasetError(
                    f"{self.path}: '{name}' is not finite in row {bad[0]} (episode {index[bad[0]]}); "
                    "expected finite numbers"
                )
        starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
        ends = [*starts[1:], len(index)]
        return [
            Episode(observation[a:b], action[a:b], int(layout[a]), after[a], source[a], way[a])
            for a, b in zip(starts, ends, strict=True)
        ]


class Demonstrations:
    """A dataset folder that was checked: `tasks` in order, `episodes[task]`, `meta`, `contract`, `digest`."""

    def __init__(self, folder: str | Path, contract: Contract | None = None):
        """Open a folder that `lwd collect` wrote and read it whole.

        Raises:
            DatasetError: a file is missing, broken, changed since it was collected, or follows another contract.
        """
        self.folder = Path(folder)
        if not (self.folder / META).exists():
            raise DatasetError(f"{self.folder / META}: missing; expected a dataset made by 'lwd collect'")
        self.meta = read_json(self.folder / META, "a dataset made by 'lwd collect'", DatasetError)
        for key, kind in (("contract", dict), ("contract_digest", str), ("tasks", list), ("digest", str)):
            if not isinstance(self.meta, dict) or not isinstance(self.meta.get(key), kind) or not self.meta[key]:
                raise DatasetError(f"{self.folder / META}: found no '{key}'; expected a dataset made by 'lwd collect'")
        self.contract = Contract.from_dict(self.meta["contract"], where=str(self.folder / META))
        if self.contract.digest != self.meta["contract_digest"]:
            raise DatasetError(
                f"{self.folder / META}: its contract has digest {self.contract.digest[:12]}, expected "
                f"{self.meta['contract_digest'][:12]}: it was changed since the demonstrations were collected"
            )
        if contract is not None and contract.digest != self.contract.digest:
            raise DatasetError(
                f"{self.folder}: follows contract {self.contract.digest[:12]}, expected {contract.digest[:12]}"
            )
        self.tasks = tuple(self.meta["tasks"])
        self.digest = digest(self.folder, self.tasks)
        if self.digest != self.meta["digest"]:
            raise DatasetError(
                f"{self.folder}: files have digest {self.digest[:12]}, expected {self.meta['digest'][:12]} from {META}"
            )
        self.episodes = {task: TaskFile.of(self.folder, task).read() for task in self.tasks}
        sizes = (len(self.contract.observation), len(self.contract.command))
        for task, episodes in self.episodes.items():
            found = (episodes[0].observation.shape[1], episodes[0].action.shape[1])
            if found != sizes:
                raise DatasetError(f"{self.folder}: task '{task}' has columns of sizes {found}, expected {sizes}")

    def with_age(self, longest_s: float) -> "Demonstrations":
        """The same, of observations that have their age, 0 throughout; see `lwd_ros.contract.AGE`."""
        aged = copy(self)
        aged.contract = self.contract.with_age(longest_s)
        aged.episodes = {
            task: [replace(e, observation=np.pad(e.observation, ((0, 0), (0, 1)))) for e in episodes]
            for task, episodes in self.episodes.items()
        }
        return aged


def digest(folder: Path, tasks: Sequence[str]) -> str:
    """SHA-256 over the tasks' names and files, 64 hex digits; a missing file raises DatasetError."""
    total = hashlib.sha256()
    for task in tasks:
        path = TaskFile.of(folder, task).path
        if not path.exists():
            raise DatasetError(f"{path}: missing; expected the demonstrations of '{task}'")
        total.update(task.encode() + b"\0" + _content_digest(path))
    return total.hexdigest()


def _content_digest(path: Path) -> bytes:
    """SHA-256 of a task's file: of its bytes, or, where episodes have sources, of all columns but these.

    So recordings of one content give one digest, however they are stored and wherever they lie.
    """
    content = path.read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(content)) if b"source" in content else None
        if table is None or "source" not in table.column_names:
            return hashlib.sha256(content).digest()
        total = hashlib.sha256((table.schema.metadata or {}).get(b"lwd_ros", b""))
        for name in table.column_names:
            if name != "source":
                column = table[name].combine_chunks()
                total.update(f"\0{name}\0{column.type}\0{len(column)}\0".encode())
                total.update(_plain_bytes(column))
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path}: is not a whole Parquet file ({error}); delete it") from error
    return total.digest()


def _plain_bytes(column: pa.Array) -> bytes:
    """A column's values, little-endian numbers or texts that end in a zero byte."""
    if pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return b"".join(str(value).encode() + b"\0" for value in column.to_pylist())


def write_meta(folder: Path, contract: Contract, tasks: Sequence[str], settings: dict, counts: dict) -> dict:
    """Write `meta.json`, last of all files, and return it; a folder without it is not a dataset yet."""
    meta = {
        "contract": contract.meaning(),
        "contract_digest": contract.digest,
        "tasks": list(tasks),
        "settings": settings,
        "counts": counts,
        "statistics": {task: _statistics(TaskFile.of(folder, task).read()) for task in tasks},
        "digest": digest(folder, tasks),
    }
    with written_whole(folder / META) as temporary:
        temporary.write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return meta


def _statistics(episodes: Sequence[Episode]) -> dict:
    result = {}
    for key in ("observation", "action"):
        values = np.concatenate([getattr(episode, key) for episode in episodes])
        result[key] = {name: getattr(values, name)(axis=0).round(6).tolist() for name in ("min", "max", "mean", "std")}
    return result


def _lists(arrays: Sequence[np.ndarray]) -> pa.FixedSizeListArray:
    values = np.concatenate(arrays)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), pa.float64()), values.shape[1])


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _column(table: pa.Table, name: str, fits: Callable[[pa.DataType], bool], expected: str) -> pa.ChunkedArray:
    """A column without nulls whose type `fits`; TypeError else."""
    column = table[name]
    if not fits(column.type) or column.null_count:
        raise TypeError(f"column '{name}' is {column.type} with {column.null_count} nulls, expected {expected}")
    return column


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    column = _column(table, name, pa.types.is_fixed_size_list, "fixed-size lists").combine_chunks()
    return column.flatten().to_numpy().reshape(-1, column.type.list_size)

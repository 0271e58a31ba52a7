"""Demonstrations as a LeRobot dataset v3.0, file by file as lerobot 0.6.1 writes it."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_ros.dataset.demonstrations import Demonstrations, Episode
from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.mapping import Mapping, Source
from lwd_ros.dataset.lerobot.statistics import Statistics, merged, of_columns
from lwd_ros.dataset.writing import require_room

DTYPES = ("float64", "float32")
STATE, ACTION, TASK = "observation.state", "action", "observation.environment_state"
_FILE_MB = 100  # lerobot's own: a data file ends with the episode that fills it
_CHUNK = 1000  # files in a folder, as lerobot
_PLACES = ("frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class ExportSettings:
    """How demonstrations are written.

    `mapping` gives names and units as for an import, in the other direction; `task_feature` adds a vector that is 1 at
    the episode's task and 0 elsewhere. `dtype` is that of the vectors: float64 keeps every digit.
    """

    dtype: str = "float64"
    task_feature: bool = False
    mapping: Mapping = field(default_factory=Mapping)
    robot_type: str = ""


@dataclass(frozen=True)
class Exported:
    """What was written: counts, the tasks' texts by name, and the largest rounding of a number, 0 where none."""

    episodes: int
    frames: int
    fps: float
    texts: dict[str, str]
    rounding: float


@dataclass
class _Writer:
    """The data files, one after another."""

    folder: Path
    schema: pa.Schema
    chunk: int = 0
    number: int = 0
    written: int = 0
    file: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> tuple[int, int]:
        """Write one episode, as one row group; the places of the file that holds it."""
        if self.file is not None and self.written + table.nbytes > _FILE_MB * 2**20:
            self.close()
            self.chunk, self.number = (
                (self.chunk + 1, 0) if self.number == _CHUNK - 1 else (self.chunk, self.number + 1)
            )
        if self.file is None:
            path = self.folder / f"data/chunk-{self.chunk:03d}/file-{self.number:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file, self.written = pq.ParquetWriter(path, self.schema, compression="snappy"), 0
        self.file.write_table(table)
        self.written += table.nbytes
        return self.chunk, self.number

    def close(self) -> None:
        """End the file that is open."""
        if self.file is not None:
            self.file.close()
            self.file = None


def export(
    data: Demonstrations,
    folder: Path,
    settings: ExportSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write all demonstrations in a new or empty folder, all of it or nothing.

    Args:
        data: tasks and episodes keep their order; episodes are numbered through.
        folder: made here, with its parents.
        settings: names, units and types.
        progress: called with episodes done and episodes in all.

    Raises:
        LeRobotError: a name of the settings' mapping is not in the contract, or names become equal.
        DatasetError: the folder holds something.
        OSError: naming `folder`, where the disk is full or may not be written.
    """
    settings = settings or ExportSettings()
    if settings.dtype not in DTYPES:
        raise ValueError(f"dtype: found {settings.dtype!r}, expected one of {DTYPES}")
    require_room(folder)
    texts = _texts(data, settings.mapping)
    features = _features(data, settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        result = _write(data, partial, settings, texts, features, progress)
        if folder.exists():
            folder.rmdir()
        os.replace(partial, folder)
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror or error})", str(folder)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def _texts(data: Demonstrations, mapping: Mapping) -> dict[str, str]:
    """The text of each task: as the mapping has it, as it was imported, or else its name."""
    settings = data.meta.get("settings")
    imported = settings.get("task_texts") if isinstance(settings, dict) else None
    texts = {task: task for task in data.tasks}
    if isinstance(imported, dict):
        texts |= {task: text for task, text in imported.items() if task in texts and isinstance(text, str) and text}
    texts |= {task: text for text, task in mapping.tasks.items() if task in texts}
    twice = next((text for text in texts.values() if list(texts.values()).count(text) > 1), None)
    if twice is not None:
        names = [task for task, text in texts.items() if text == twice]
        raise LeRobotError(f"found the text {twice!r} for the tasks {', '.join(names)}, expected a text for each")
    return texts


def _sources(names: tuple[str, ...], sources: dict[str, Source], side: str) -> list[Source]:
    found = [sources.get(name, Source(name)) for name in names]
    theirs = [each.name for each in found]
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    if twice is not None:
        both = [name for name, each in zip(names, found, strict=True) if each.name == twice]
        raise LeRobotError(f"mapping: {side}: found '{twice}' for {', '.join(both)}, expected a name for each")
    return found


def _features(data: Demonstrations, settings: ExportSettings) -> dict[str, dict]:
    contract, mapping = data.contract, settings.mapping
    mapping.require(contract, "mapping")

    def vector(names: list[str], dtype: str = settings.dtype) -> dict:
        return {"dtype": dtype, "shape": [len(names)], "names": names}

    features = {
        STATE: vector([each.name for each in _sources(contract.observation_names, mapping.observation, "observation")]),
        ACTION: vector([each.name for each in _sources(contract.command_names, mapping.action, "action")]),
    }
    if settings.task_feature:
        features[TASK] = vector(list(data.tasks), "float32")
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    return features | {key: {"dtype": "int64", "shape": [1], "names": None} for key in _PLACES}


def _write(
    data: Demonstrations,
    folder: Path,
    settings: ExportSettings,
    texts: dict[str, str],
    features: dict[str, dict],
    progress: Callable[[int, int], None] | None,
) -> Exported:
    fps: float = 1 / data.contract.period_s
    if abs(fps - round(fps)) < 1e-6 * fps:
        fps = round(fps)
    writer = _Writer(folder, _schema(features))
    rows: list[dict] = []
    statistics: list[Statistics] = []
    begin, rounding = 0, 0.0
    has_ways = any(episode.way for each in data.episodes.values() for episode in each)
    total = sum(len(each) for each in data.episodes.values())
    try:
        for number, (place, task, episode) in enumerate(_numbered(data)):
            columns, rounded = _columns(data, settings, episode, place, fps)
            rounding = max(rounding, rounded)
            length = len(episode.action)
            columns |= {
                "frame_index": np.arange(length),
                "episode_index": np.full(length, number),
                "index": np.arange(begin, begin + length),
                "task_index": np.full(length, place),
            }
            chunk, file = writer.add(_table({key: columns[key] for key in features}, writer.schema))
            statistics.append(of_columns(columns, features))
            rows.append(
                {
                    "episode_index": number,
                    "tasks": [texts[task]],
                    "length": length,
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": begin,
                    "dataset_to_index": begin + length,
                    **{f"stats/{k}/{n}": v for k, each in statistics[-1].items() for n, v in each.items()},
                    "meta/episodes/chunk_index": 0,
                    "meta/episodes/file_index": 0,
                    "lwd_ros/layout": episode.layout,
                    "lwd_ros/after": episode.after,
                    "lwd_ros/source": episode.source,
                    **({"lwd_ros/way": episode.way} if has_ways else {}),
                }
            )
            begin += length
            if progress:
                progress(number + 1, total)
    finally:
        writer.close()
    _write_meta(folder, features, rows, statistics, fps, texts, settings)
    return Exported(len(rows), begin, fps, texts, rounding)


def _numbered(data: Demonstrations) -> Iterator[tuple[int, str, Episode]]:
    for place, task in enumerate(data.tasks):
        for episode in data.episodes[task]:
            yield place, task, episode


def _columns(
    data: Demonstrations, settings: ExportSettings, episode: Episode, place: int, fps: float
) -> tuple[dict[str, np.ndarray], float]:
    """The vectors and timestamps of one episode, and by how much their type rounds a number at most, relatively."""
    contract, mapping, kind = data.contract, settings.mapping, np.dtype(settings.dtype)
    columns: dict[str, np.ndarray] = {}
    rounding = 0.0
    for key, values, sources in (
        (STATE, episode.observation, _sources(contract.observation_names, mapping.observation, "observation")),
        (ACTION, episode.action, _sources(contract.command_names, mapping.action, "action")),
    ):
        exact = np.stack([each.theirs(values[:, column]) for column, each in enumerate(sources)], axis=1)
        columns[key] = exact.astype(kind)
        rounding = max(rounding, float((np.abs(columns[key] - exact) / np.maximum(np.abs(exact), 1e-300)).max()))
    if settings.task_feature:
        columns[TASK] = np.tile(np.eye(len(data.tasks), dtype=np.float32)[place], (len(episode.action), 1))
    columns["timestamp"] = (np.arange(len(episode.action)) / fps).astype(np.float32)
    return columns, rounding


def _schema(features: dict[str, dict]) -> pa.Schema:
    """Of the data files, with the note that the `datasets` library leaves in its own."""
    fields, noted = [], {}
    for key, feature in features.items():
        scalar = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
        plain = {"dtype": feature["dtype"], "_type": "Value"}
        size = feature["shape"][0]
        if size == 1:  # lerobot keeps a vector of one as a number
            fields.append(pa.field(key, scalar))
            noted[key] = plain
        else:
            fields.append(pa.field(key, pa.list_(pa.field("element", scalar), size)))
            noted[key] = {"feature": plain, "length": size, "_type": "List"}
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": noted}})})


def _table(columns: dict[str, np.ndarray], schema: pa.Schema) -> pa.Table:
    arrays = []
    for column in schema:
        values = np.ascontiguousarray(columns[column.name])
        if pa.types.is_fixed_size_list(column.type):
            flat = pa.array(values.reshape(-1), column.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=column.type))
        else:
            arrays.append(pa.array(values.reshape(-1), column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _write_meta(
    folder: Path,
    features: dict[str, dict],
    rows: list[dict],
    statistics: list[Statistics],
    fps: float,
    texts: dict[str, str],
    settings: ExportSettings,
) -> None:
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path, compression="snappy")
    info = {
        "codebase_version": "v3.0",
        "fps": fps,
        "features": features,
        "total_episodes": len(rows),
        "total_frames": rows[-1]["dataset_to_index"],
        "total_tasks": len(texts),
        "chunks_size": _CHUNK,
        "data_files_size_in_mb": _FILE_MB,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "robot_type": settings.robot_type or None,
        "splits": {"train": f"0:{len(rows)}"},
    }
    for name, content in (("info", info), ("stats", merged(statistics))):
        (folder / f"meta/{name}.json").write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    _write_tasks(folder / "meta/tasks.parquet", list(texts.values()))


def _write_tasks(path: Path, texts: list[str]) -> None:
    """The tasks, with the note by which pandas makes the texts the index, where lerobot looks for them."""
    table = pa.table({"task_index": pa.array(range(len(texts)), pa.int64()), "task": pa.array(texts, pa.string())})
    column = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    text = {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    note = {
        "index_columns": ["task"],
        "column_indexes": [
            {"name": None, "field_name": None, **text, "metadata": {"encoding": "UTF-8"}},
        ],
        "columns": [
            {"name": "task_index", "field_name": "task_index", **column},
            {"name": "task", "field_name": "task", **text},
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(note)}), path)

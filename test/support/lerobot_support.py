"""Small LeRobot datasets, version by version, written plainly: what the import is tried on."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_ros.contract import Contract

FPS = 20
CONTRACT = Contract.from_dict(
    {
        "name": "arm",
        "period_s": 1 / FPS,
        "history": 1,
        "observation": {name: {"unit": "rad", "limits": [-2.0, 2.0]} for name in ("pan", "lift", "wrist")},
        "command": {name: {"unit": "rad/s", "limits": [-1.0, 1.0], "slew_per_s": 9.0} for name in ("go", "turn")},
    }
)
TASKS = ("Pick up the cube.", "put it back")
STATE, ACTION = ["wrist", "pan", "lift"], ["turn", "go"]  # in another order than the contract's


def numbers(episodes: int = 4, seed: int = 0) -> list[dict]:
    """Episodes of float32 within the contract's limits: state, action, number, task."""
    random = np.random.default_rng(seed)
    return [
        {
            "state": random.uniform(-2, 2, (5 + number, 3)).astype(np.float32),
            "action": random.uniform(-1, 1, (5 + number, 2)).astype(np.float32),
            "number": number,
            "task": number % 2,
        }
        for number in range(episodes)
    ]


def _table(episode: dict, begin: int, **changed) -> pa.Table:
    length = len(episode["state"])
    columns = {
        "observation.state": pa.array(episode["state"].tolist(), pa.list_(pa.float32())),
        "action": pa.array(episode["action"].tolist(), pa.list_(pa.float32())),
        "timestamp": pa.array((np.arange(length) / FPS).astype(np.float32)),
        "frame_index": pa.array(np.arange(length)),
        "episode_index": pa.array(np.full(length, episode["number"])),
        "index": pa.array(np.arange(begin, begin + length)),
        "task_index": pa.array(np.full(length, episode["task"])),
        **changed,
    }
    return pa.table({key: value for key, value in columns.items() if value is not None})


def write(
    folder: Path, version: str = "v3.0", episodes: list[dict] | None = None, info: dict | None = None, names=None,
    frames=None,
) -> Path:  # fmt: skip
    """A dataset; `info` and `names` change its description, `frames` (episode, columns) one episode's columns."""
    episodes = numbers() if episodes is None else episodes
    state, action = names or (STATE, ACTION)
    vector = {"dtype": "float32", "shape": [3], "names": state}
    content = {
        "codebase_version": version,
        "fps": FPS,
        "total_episodes": len(episodes),
        "features": {
            "observation.state": vector,
            "action": {"dtype": "float32", "shape": [2], "names": action},
            "observation.images.top": {"dtype": "video", "shape": [4, 4, 3], "names": ["height", "width", "channel"]},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        },
        **(info or {}),
    }
    meta = folder / "meta"
    meta.mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(content))
    begins = np.cumsum([0, *(len(each["state"]) for each in episodes)])
    tables = [
        _table(each, int(begin), **(frames or {}).get(each["number"], {}))
        for each, begin in zip(episodes, begins[:-1], strict=True)
    ]
    rows = [{"episode_index": e["number"], "tasks": [TASKS[e["task"]]], "length": len(e["state"])} for e in episodes]
    if version == "v3.0":
        data = folder / "data/chunk-000"
        data.mkdir(parents=True)
        half = len(tables) // 2
        for file, part in enumerate((tables[:half], tables[half:])):
            pq.write_table(pa.concat_tables(part), data / f"file-{file:03d}.parquet")
        for place, row in enumerate(rows):
            row |= {"data/chunk_index": 0, "data/file_index": int(place >= half), "stats/action/max": [0.0]}
            row |= {"dataset_from_index": int(begins[place]), "dataset_to_index": int(begins[place + 1])}
        (meta / "episodes/chunk-000").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), meta / "episodes/chunk-000/file-000.parquet")
        tasks = {"task_index": range(len(TASKS)), "__index_level_0__": TASKS}
        pq.write_table(pa.table({key: list(value) for key, value in tasks.items()}), meta / "tasks.parquet")
        return folder
    data = folder / "data/chunk-000"
    data.mkdir(parents=True)
    for each, table in zip(episodes, tables, strict=True):
        pq.write_table(table, data / f"episode_{each['number']:06d}.parquet")
    lines = {"episodes": rows, "tasks": [{"task_index": n, "task": text} for n, text in enumerate(TASKS)]}
    for name, found in lines.items():
        (meta / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder

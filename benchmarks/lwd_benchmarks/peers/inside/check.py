"""What lerobot itself makes of a dataset; executed by the Python of lerobot's environment.

Usage: check.py read FOLDER RESULT.npz      all numbers of a dataset, column by column and frame by frame
       check.py write FOLDER RESULT.npz     a dataset of random numbers by lerobot's recorder, and those numbers
       check.py train FOLDER OUT            two steps of ACT by lerobot-train
"""

import json
import platform
import sys
from pathlib import Path

import lerobot
import numpy as np
import torch
from lerobot.datasets.compute_stats import compute_episode_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

JOINTS = ["shoulder_pan.pos", "elbow_flex.pos", "gripper.pos"]


def read(folder: Path, result: Path) -> None:
    """Every column as its file has it, every frame as a training sees it, the tasks, the statistics."""
    dataset = LeRobotDataset("local/check", root=folder)
    table = dataset.hf_dataset.data  # its formats round to float32
    columns = {name: np.array(table.column(name).to_pylist()) for name in table.column_names}
    frames = [dataset[place] for place in range(len(dataset))]
    seen = {key: torch.stack([frame[key] for frame in frames]).numpy() for key in frames[0] if key != "task"}
    numeric = {key: value for key, value in dataset.meta.features.items() if value["dtype"] != "string"}
    own = compute_episode_stats(columns, numeric)
    described = {
        "lerobot": lerobot.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "fps": dataset.meta.fps,
        "episodes": dataset.meta.total_episodes,
        "features": {key: {**value, "shape": list(value["shape"])} for key, value in dataset.meta.features.items()},
        "texts": [frame["task"] for frame in frames],
        "stats": {k: {n: np.asarray(v).tolist() for n, v in each.items()} for k, each in dataset.meta.stats.items()},
        "own_stats": {k: {n: np.asarray(v).tolist() for n, v in each.items()} for k, each in own.items()},
        "from": [int(row["dataset_from_index"]) for row in dataset.meta.episodes],
        "to": [int(row["dataset_to_index"]) for row in dataset.meta.episodes],
    }
    arrays = {f"column/{key}": value for key, value in columns.items()}
    arrays |= {f"frame/{key}": value for key, value in seen.items()}
    np.savez(result, described=json.dumps(described), **arrays)


def write(folder: Path, result: Path) -> None:
    """Degrees and a gripper from 0 to 100, as the arms that lerobot sells record them."""
    vector = {"dtype": "float32", "shape": (len(JOINTS),), "names": JOINTS}
    dataset = LeRobotDataset.create(
        "local/written",
        fps=30,
        features={"observation.state": vector, "action": dict(vector)},
        root=folder,
        use_videos=False,
        robot_type="so101_follower",
    )
    random = np.random.default_rng(0)
    texts = ["Pick up the cube.", "Put it into the box!"]
    states, actions, episodes, tasks = [], [], [], []
    for episode in range(7):
        for _ in range(20 + 3 * episode):
            state, action = ((random.uniform(-1, 1, 3) * [100, 90, 50] + [0, 0, 50]).astype(np.float32) for _ in "so")
            dataset.add_frame({"observation.state": state, "action": action, "task": texts[episode % 2]})
            states.append(state)
            actions.append(action)
            episodes.append(episode)
            tasks.append(texts[episode % 2])
        dataset.save_episode()
    dataset.finalize()
    np.savez(result, state=np.stack(states), action=np.stack(actions), episode=np.array(episodes), task=np.array(tasks))


def train(folder: Path, out: Path) -> None:
    """The dataset with its features as lerobot's command takes it."""
    from lerobot.scripts import lerobot_train

    torch.set_num_threads(1)
    small = ["--policy.dim_model=32", "--policy.n_heads=2", "--policy.dim_feedforward=32", "--policy.chunk_size=8"]
    where = ["--dataset.repo_id=local/check", f"--dataset.root={folder}", f"--output_dir={out}", "--num_workers=0"]
    plain = ["--policy.device=cpu", "--policy.push_to_hub=false", "--wandb.enable=false", "--env_eval_freq=0"]
    steps = ["--policy.n_action_steps=8", "--steps=2", "--batch_size=4", "--policy.type=act"]
    sys.argv = [sys.argv[0], *where, *plain, *small, *steps]
    lerobot_train.main()


if __name__ == "__main__":
    {"read": read, "write": write, "train": train}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))

"""Trainings whose processor time is counted: lerobot's by its own command, ours by `lwd train`."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lwd_benchmarks.paths import in_checkout
from lwd_benchmarks.peers.roundtrip import INSIDE, LeRobotCheckError, clean_environment
from lwd_ros.learning.config import TrainConfig

_PLAIN = {
    "policy.device": "cpu",
    "policy.push_to_hub": "false",
    "num_workers": 0,
    "env_eval_freq": 0,
    "wandb.enable": "false",
    "log_freq": 100,
}


@dataclass(frozen=True)
class LeRobotRun:
    """A training by lerobot in `folder`: its ledger has the processor time of every checkpoint."""

    python: Path
    folder: Path
    data: Path
    options: dict[str, Any]
    save_steps: int

    def ledger(self) -> list[dict]:
        """Rows of step, cpu_s, wall_s and checkpoint, in order; none before the first checkpoint."""
        path = self.folder / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def checkpoint(self, row: dict) -> Path:
        """Where the policy of a checkpoint is, also where the state was moved."""
        return self.folder / "run/checkpoints" / Path(row["checkpoint"]).name / "pretrained_model"

    def train_until(self, minutes: float) -> None:
        """Train, or go on, until a checkpoint after so many minutes of processor time, or to the schedule's end.

        Raises:
            LeRobotCheckError: lerobot's training failed.
        """
        ledger = self.ledger()
        if ledger and (ledger[-1]["cpu_s"] >= 60 * minutes or ledger[-1]["step"] >= self.options["steps"]):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        out, last = self.folder / "run", self.folder / "run/checkpoints/last/pretrained_model/train_config.json"
        if ledger and last.exists():
            options: dict[str, Any] = {"resume": "true", "config_path": last}
        else:
            exported = self.data.with_name(f"{self.data.name}_lerobot")
            options = {"dataset.repo_id": "local/demonstrations", "dataset.root": exported, "output_dir": out}
            options |= _PLAIN | self.options | {"save_freq": self.save_steps}
        words = [f"--{key}={value}" for key, value in options.items()]
        script, ledger_file = INSIDE / "train.py", self.folder / "ledger.jsonl"
        command = [str(self.python), str(script), str(ledger_file), str(60 * minutes), *words]
        with (self.folder / "log.txt").open("a") as log:
            done = subprocess.run(command, env=clean_environment(), stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode or not self.ledger():
            raise LeRobotCheckError(
                f"{self.folder / 'log.txt'}: lerobot's training ended with status {done.returncode}"
            )


def seconds_a_step(ledger: list[dict]) -> float | None:
    """Processor seconds of a step, between checkpoints where there are two; the start counts else."""
    if len(ledger) > 1:
        return round((ledger[-1]["cpu_s"] - ledger[0]["cpu_s"]) / (ledger[-1]["step"] - ledger[0]["step"]), 4)
    return round(ledger[0]["cpu_s"] / ledger[0]["step"], 4) if ledger else None


def version(python: Path) -> str:
    """lerobot's version in an environment."""
    code = "from importlib.metadata import version; print(version('lerobot'))"
    found = subprocess.run([python, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True)
    return found.stdout.strip()


def train_lwd(config: str, changes: dict[str, float], data: Path, folder: Path) -> float:
    """Train and export LWD in `folder` unless that is done; minutes of processor time that it took."""
    noted = folder / "minutes.json"
    if not noted.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole = {key: int(value) if key.endswith("steps") else value for key, value in changes.items()}
        changed = TrainConfig.load(in_checkout(config)).changed(whole)
        (folder / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(changed.to_dict()))))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for words in (
            ["train", "--config", folder / "config.yaml", "--data", data, "--out", folder / "run"],
            ["export", "--run", folder / "run", "--out", folder / "model.onnx"],
        ):
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            with (folder / "log.txt").open("a") as log:
                command = [sys.executable, "-m", "lwd_ros.cli", *map(str, words)]
                done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                raise LeRobotCheckError(f"{folder / 'log.txt'}: 'lwd {words[0]}' ended with status {done.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        noted.write_text(json.dumps({"minutes": used / 60}))
    return round(json.loads(noted.read_text())["minutes"], 2)

"""Runs lerobot's own training and notes what each checkpoint cost; executed by the Python of lerobot's environment.

Usage: train.py LEDGER SECONDS [options of lerobot-train...]

A line {"step", "cpu_s", "wall_s", "checkpoint"} is added to LEDGER for each checkpoint; seconds go on from the last
line of a run that was stopped. The run ends at the first checkpoint after SECONDS of processor time. Of lerobot three
functions are wrapped: the one that saves a checkpoint also writes the line, the one that names the last checkpoint ends
the run, and the one that makes the dataset has it serve its samples from memory.
"""

import json
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)

from lerobot.scripts import lerobot_train  # noqa: E402
from memory import from_memory  # noqa: E402

LEDGER, BUDGET_S = Path(sys.argv[1]), float(sys.argv[2])
sys.argv = [sys.argv[0], *sys.argv[3:]]


def _before() -> tuple[float, float]:
    if not LEDGER.exists():
        return 0.0, 0.0
    last = json.loads(LEDGER.read_text(encoding="utf-8").splitlines()[-1])
    return last["cpu_s"], last["wall_s"]


CPU, WALL = _before()
BEGIN = time.monotonic()
_save = lerobot_train.save_checkpoint
_name_last = lerobot_train.update_last_checkpoint


def _noted(checkpoint_dir, step, *arguments, **named):
    _save(checkpoint_dir, step, *arguments, **named)
    cpu = CPU + time.process_time()
    row = {"step": step, "cpu_s": round(cpu, 2), "wall_s": round(WALL + time.monotonic() - BEGIN, 2)}
    with LEDGER.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | {"checkpoint": str(checkpoint_dir)}) + "\n")


def _named(checkpoint_dir):
    # The run ends here and not in `_noted`: it would go on from the checkpoint before, and count that stretch twice.
    _name_last(checkpoint_dir)
    cpu = CPU + time.process_time()
    if cpu >= BUDGET_S:
        print(f"{cpu:.0f} s of processor time are used, {BUDGET_S:.0f} were given: the training ends here", flush=True)
        raise SystemExit(0)


lerobot_train.save_checkpoint = lambda *arguments, **named: _noted(
    *(named.pop(key) for key in ("checkpoint_dir", "step") if key in named), *arguments, **named
)
lerobot_train.update_last_checkpoint = _named
_make = lerobot_train.make_train_eval_datasets


def _made(cfg):
    dataset, held_out = _make(cfg)
    from_memory(dataset)
    return dataset, held_out


lerobot_train.make_train_eval_datasets = _made
lerobot_train.main()

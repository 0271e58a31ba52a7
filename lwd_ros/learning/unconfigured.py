"""Training without a config: the choice is made once, and lies in the run folder like any other config."""

from dataclasses import replace
from pathlib import Path

import torch
import yaml

from lwd_ros.dataset import Demonstrations
from lwd_ros.files import written_whole
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData, held_out
from lwd_ros.learning.devices import choose_device
from lwd_ros.learning.facts import facts_of
from lwd_ros.learning.parting import parting_share
from lwd_ros.learning.run_folder import RUN, read_run
from lwd_ros.learning.sizes import Choice, choose, held_out_share, with_steps
from lwd_ros.learning.train import pace_of

CONFIG = "config.yaml"
"""In a run folder whose config was chosen: that config, for `lwd train --config`."""


def begun(folder: Path) -> TrainConfig | None:
    """The config of a run that was begun in `folder` without one; None where there is no run.

    Raises:
        ConfigError: the folder holds a run that was given its config.
    """
    if not (folder / RUN).exists():
        return None
    content = read_run(folder)
    if content.get("method") or not (folder / CONFIG).exists():
        raise ConfigError(f"{folder}: holds a run that was given a config: name that with --config, or another folder")
    return TrainConfig.from_dict(content["config"], where=str(folder / RUN))


def chosen(demonstrations: Demonstrations, seed: int = 0, minutes: float | None = None) -> Choice:
    """Choose a config, its steps by the pace of this machine.

    Raises:
        DatasetError: nothing can be learned from the dataset.
    """
    name = demonstrations.folder.resolve().name or "policies"
    share = held_out_share([len(rows) for rows in demonstrations.episodes.values()])
    unseen = held_out(demonstrations, TrainConfig(name=name, seed=seed, held_out=share))
    rows = [
        [e for place, e in enumerate(demonstrations.episodes[task]) if place not in unseen.get(task, ())]
        for task in demonstrations.tasks
    ]
    shares = [found for found in map(parting_share, rows) if found is not None]
    facts = replace(
        facts_of(demonstrations.contract, rows),
        ways=max(len({episode.way for episode in each} - {""}) for each in rows),
        parting=max(shares, default=None),
    )
    choice = choose(facts, name, seed, share)
    torch.set_num_threads(1)
    pace = pace_of(choice.config, TrainingData(demonstrations, choice.config), choose_device())
    config, line = with_steps(choice.config, pace, minutes)
    kept = sum(map(len, unseen.values()))
    aside = (
        f"{kept} demonstrations are held out for 'lwd validate'."
        if kept
        else ("No demonstration is held out for 'lwd validate': that begins with ten of a task.")
    )
    return Choice(config, (*choice.lines, aside, line), choice.warnings)


def write(choice: Choice, folder: Path) -> Path:
    """Write the config into the run folder, its reasons above it as comments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG
    comments = "".join(f"# {line}\n" for line in (*choice.lines, *(f"Warning: {each}" for each in choice.warnings)))
    plain = yaml.safe_dump(_plain(choice.config.to_dict()), sort_keys=False, default_flow_style=None, width=110)
    with written_whole(path) as temporary:
        temporary.write_text(comments + plain, encoding="utf-8")
    return path


def _plain(value):
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value

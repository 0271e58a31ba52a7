"""A training run, from demonstrations to a run folder that `export` turns into one model file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from lwd_ros.dataset import Demonstrations
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.diffusion import LatentDiffusion
from lwd_ros.learning.trainer import Trainer
from lwd_ros.policy import PolicyLayout

RUN = "run.json"


@dataclass(frozen=True)
class TrainedRun:
    """Everything that a finished run holds."""

    config: TrainConfig
    data: TrainingData
    autoencoder: Autoencoder
    diffusion: LatentDiffusion


def train(config: TrainConfig, demonstrations: Demonstrations, folder: Path) -> TrainedRun:
    """Run both stages in `folder`, or finish what an earlier call there began.

    `folder` gets `run.json` (config, dataset), `autoencoder.safetensors`, `diffusion.safetensors` and TensorBoard
    `logs`. The same config, data and software give the same weights.

    Raises:
        ConfigError: the folder belongs to another config or dataset, or holds a broken file.
        DatasetError: the config hides a scalar that the dataset lacks.
        PolicyError: the config describes a policy that cannot be.
    """
    torch.set_num_threads(1)  # small operations are 12 to 42 times slower on two
    identity = json.loads(json.dumps({"config": config.to_dict(), "data_digest": demonstrations.digest}))
    run = folder / RUN
    if run.exists():
        found = _read(run)
        if {k: found.get(k) for k in identity} != identity:
            raise ConfigError(f"{folder}: holds a run of another config or dataset; name another folder")
    data = TrainingData(demonstrations, config)
    outputs = len(demonstrations.contract.command)
    layout = PolicyLayout((len(data.indices), *config.hidden_layers, outputs), config.hidden_activation)
    if not run.exists():  # not before here: a config that cannot be trained must not claim the folder
        folder.mkdir(parents=True, exist_ok=True)
        temporary = run.with_suffix(".partial")
        content = {**identity, "data": str(demonstrations.folder.resolve())}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, run)

    torch.manual_seed(config.seed)
    autoencoder = Autoencoder(data, layout, config.autoencoder)
    stage = config.autoencoder
    trainer = Trainer(autoencoder, folder, "autoencoder", config.seed, identity)
    trainer.run(lambda g: autoencoder.loss(data, g), stage.steps, stage.learning_rate, stage.ema_decay)

    latents = autoencoder.encode(data)
    condition = data.first_observation if config.condition_on_observation else None
    torch.manual_seed(config.seed + 1)
    size = 0 if condition is None else condition.shape[1]
    diffusion = LatentDiffusion(latents, len(data.tasks), size, config.diffusion)
    stage = config.diffusion

    def loss(generator: torch.Generator):
        chosen = data.sample_demonstrations(stage.batch, generator)
        return diffusion.loss(latents, data.task, condition, chosen, generator)

    trainer = Trainer(diffusion, folder, "diffusion", config.seed + 1, identity)
    trainer.run(loss, stage.steps, stage.learning_rate, stage.ema_decay)
    return TrainedRun(config, data, autoencoder, diffusion)


def load(folder: Path) -> TrainedRun:
    """Open a finished run; continues one that was stopped.

    Raises:
        ConfigError: the folder holds no run, or a broken one.
        DatasetError: its demonstrations are gone or changed.
    """
    content = _read(folder / RUN)
    config = TrainConfig.from_dict(content["config"], where=str(folder / RUN))
    return train(config, Demonstrations(content["data"]), folder)


def _read(path: Path) -> dict:
    """The content of a `run.json`; ConfigError where it is none."""
    expected = "expected a folder that 'lwd train' made"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); {expected}") from error
    for key, kind in (("config", dict), ("data", str), ("data_digest", str)):
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ConfigError(f"{path}: found no '{key}'; {expected}")
    return content

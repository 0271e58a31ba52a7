"""A training run, from demonstrations to a run folder that `export` turns into one model file."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from lwd_ros.dataset import Demonstrations
from lwd_ros.files import written_whole
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.config import Config, ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.devices import ALONE, Team
from lwd_ros.learning.diffusion import LatentDiffusion
from lwd_ros.learning.trainer import Recipe, Trainer
from lwd_ros.policy import PolicyLayout
from lwd_ros.reading import read_json

RUN = "run.json"


@dataclass(frozen=True)
class TrainedRun:
    """Everything that a finished run holds; its networks are on the CPU."""

    config: TrainConfig
    data: TrainingData
    autoencoder: Autoencoder
    diffusion: LatentDiffusion


def train(config: TrainConfig, demonstrations: Demonstrations, folder: Path, team: Team = ALONE) -> TrainedRun:
    """Run both stages in `folder`, or finish what an earlier call there began.

    `folder` gets `run.json` (config, dataset), `autoencoder.safetensors`, `diffusion.safetensors` and TensorBoard
    `logs`. The same config, data and software give the same weights. The processes of a `team` call this alike.

    Raises:
        ConfigError: the folder belongs to another config or dataset, or holds a broken file.
        DatasetError: the config hides a scalar that the dataset lacks.
        PolicyError: the config describes a policy that cannot be.
    """
    torch.set_num_threads(1)  # small operations are 12 to 42 times slower on two
    data = TrainingData(demonstrations, config)
    layout = policy_layout(config, data)
    with team.in_turn():  # not before here: a config that cannot be trained claims nothing
        identity = claim(folder, config, demonstrations)

    torch.manual_seed(config.seed)
    autoencoder = Autoencoder(data, layout, config.autoencoder)
    stage = config.autoencoder
    trainer = Trainer(autoencoder, folder, "autoencoder", config.seed, identity, team)
    recipe = Recipe.one_cycle(stage.steps, stage.learning_rate, stage.ema_decay)
    trainer.run(lambda g: autoencoder.loss(data, g, team.share), recipe, stage.demonstrations)

    # The latents' scale, of demonstrations moved about as the diffusion will see them.
    generator = torch.Generator().manual_seed(config.seed)
    moved = data.sample(max(10_000, 2 * len(data.task)), 0, 1.0, generator)
    latents = autoencoder.encode(moved.tokens).cpu()
    conditioned = config.condition_on_observation
    torch.manual_seed(config.seed + 1)
    size = data.first_observation.shape[1] if conditioned else 0
    diffusion = LatentDiffusion(latents, moved.task, size, config.diffusion)
    stage = config.diffusion

    def loss(generator: torch.Generator):
        batch = data.sample(stage.batch, 0, 1.0, generator)
        condition = batch.first_observation if conditioned else None
        return diffusion.loss(autoencoder.encode(batch.tokens), batch.task, condition, generator, team.share)

    trainer = Trainer(diffusion, folder, "diffusion", config.seed + 1, identity, team)
    trainer.run(loss, Recipe.one_cycle(stage.steps, stage.learning_rate, stage.ema_decay), stage.batch)
    return TrainedRun(config, data, autoencoder.cpu(), diffusion.cpu())


def policy_layout(config: TrainConfig, data: TrainingData) -> PolicyLayout:
    """The policy that a config describes; raises PolicyError where there can be none."""
    sizes = (len(data.indices), *config.hidden_layers, len(data.contract.command))
    return PolicyLayout(sizes, config.hidden_activation)


def claim(folder: Path, config: Config, demonstrations: Demonstrations, **more: str) -> dict:
    """Make `folder` the home of one run, or find that it is; returns the identity that its checkpoints carry.

    A baseline names its method in `more`. Raises ConfigError where the folder belongs to another run.
    """
    identity = json.loads(json.dumps({"config": config.to_dict(), "data_digest": demonstrations.digest, **more}))
    run = folder / RUN
    if run.exists():
        found = {key: value for key, value in _read(run).items() if key != "data"}  # a dataset may be moved
        if found != identity:
            raise ConfigError(f"{folder}: holds a run of another config, dataset or method; name another folder")
        return identity
    folder.mkdir(parents=True, exist_ok=True)
    content = {**identity, "data": str(demonstrations.folder.resolve())}
    with written_whole(run) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return identity


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
    expected = "a folder that 'lwd train' made"
    content = read_json(path, expected, ConfigError)
    for key, kind in (("config", dict), ("data", str), ("data_digest", str)):
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ConfigError(f"{path}: found no '{key}'; expected {expected}")
    return content

"""Training a baseline, from the demonstrations and the config of an LWD run to a model file."""

from pathlib import Path

import torch

from lwd_benchmarks.methods import METHODS, TRAINED, implementation
from lwd_ros.dataset import Demonstrations
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.train import claim, policy_layout
from lwd_ros.learning.trainer import Recipe, Trainer


def train_baseline(method: str, config: TrainConfig, demonstrations: Demonstrations, folder: Path, model: Path) -> None:
    """Train a baseline in `folder`, or finish what an earlier call there began, and write its model file.

    Of the config, stage 1 (`autoencoder`) gives steps, learning rate, average and pairs a step
    (`demonstrations` x `pairs`); stage 2 (`diffusion`) has no meaning here. The same config, data and software give
    the same weights.

    Args:
        method: one of `TRAINED`.
        config: as for an LWD run.
        demonstrations: as for an LWD run.
        folder: gets `run.json` (config, dataset, method), a checkpoint and TensorBoard `logs`.
        model: the file to write.

    Raises:
        ConfigError: the method is unknown, or the folder belongs to another method, config or dataset, or holds a
            broken file.
        DatasetError: the config hides a scalar that the dataset lacks.
        PolicyError: the config describes a policy that cannot be.
    """
    if method not in TRAINED:
        raise ConfigError(f"method: found '{method}', expected one that is trained: {', '.join(TRAINED)}")
    if config.normalisation != "task":
        text = f"found '{config.normalisation}', expected task: only Latent Weight Diffusion generates it"
        raise ConfigError(f"{config.name}: key 'normalisation': {text}")
    torch.set_num_threads(1)  # small operations are 12 to 42 times slower on two
    data = TrainingData(demonstrations, config)
    layout = policy_layout(config, data)
    identity = claim(folder, config, demonstrations, method=method)
    data.save(folder)
    model.parent.mkdir(parents=True, exist_ok=True)  # not after an hour of work

    torch.manual_seed(config.seed)
    network = implementation(METHODS[method].network)(data, layout, config.autoencoder)
    stage = config.autoencoder
    trainer = Trainer(network, folder, method, config.seed, identity)
    trainer.run(lambda g: network.loss(data, g), Recipe.one_cycle(stage.steps, stage.learning_rate, stage.ema_decay))

    network.write(config, data, method, model)

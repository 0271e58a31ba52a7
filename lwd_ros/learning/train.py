"""A training run, from demonstrations to a run folder that `export` turns into one model file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lwd_ros.dataset import Demonstrations
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.config import AutoencoderConfig, ConfigError, DiffusionConfig, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.devices import ALONE, WHOLE, Share, Team
from lwd_ros.learning.diffusion import LatentDiffusion
from lwd_ros.learning.pace import Pace, step_s
from lwd_ros.learning.progress import Progress, Stage
from lwd_ros.learning.run_folder import (
    adopt,
    claim,
    identity_for,
    identity_of,
    read_run,
    require_adoptable,
    stages_of,
    steps_of,
)
from lwd_ros.learning.summary import DataSummary
from lwd_ros.learning.trainer import CHECKPOINT_EVERY, Recipe, Trainer, restore
from lwd_ros.policy import PolicyLayout

__all__ = ["TrainedRun", "claim", "load", "policy_layout", "train"]


_WORTH_MEASURING = 1000
"""Steps: fewer are done before their pace is known."""

_ALONE = 0.3
"""Share of stage 1 in which each policy is judged by its own demonstration alone, before there are neighbours."""


@dataclass(frozen=True)
class TrainedRun:
    """Everything that a finished run holds; its networks are on the CPU."""

    config: TrainConfig
    data: DataSummary
    autoencoder: Autoencoder
    diffusion: LatentDiffusion


def train(
    config: TrainConfig,
    demonstrations: Demonstrations,
    folder: Path,
    team: Team = ALONE,
    stage_1_of: Path | None = None,
) -> TrainedRun:
    """Run both stages in `folder`, or finish what an earlier call there began.

    With `stage_1_of`, the folder of a run whose config differs in `diffusion` alone, stage 1 is taken from there.

    `folder` gets `run.json` (config, dataset), `data.safetensors` (what later steps need of the dataset),
    `autoencoder.safetensors`, `diffusion.safetensors` and TensorBoard `logs`. The same config, data and software give
    the same weights. The processes of a `team` call this alike.

    Raises:
        ConfigError: the folder belongs to another config or dataset, or holds a broken file; `stage_1_of` is no
            finished stage of the same.
        DatasetError: the config hides a scalar that the dataset lacks.
        PolicyError: the config describes a policy that cannot be.
    """
    torch.set_num_threads(1)  # small operations are 12 to 42 times slower on two
    data = TrainingData(demonstrations, config)
    policy_layout(config, data)
    done = 0
    if stage_1_of is not None:
        done = require_adoptable(stage_1_of, "autoencoder", identity_for(config, demonstrations), "diffusion")
    with team.in_turn():  # not before here: a config that cannot be trained claims nothing
        identity = claim(folder, config, demonstrations)
        if team.first:
            data.save(folder)
            if stage_1_of is not None:
                adopt(stage_1_of, folder, "autoencoder", identity, done)

    progress = Progress(_stages(config, data, team), shown=team.first)
    torch.manual_seed(config.seed)
    autoencoder = _autoencoder(config, data)
    trainer = Trainer(autoencoder, folder, "autoencoder", config.seed, identity, team)
    rows = config.autoencoder.demonstrations
    loss = _autoencoder_loss(config, data, autoencoder, trainer, team.share)
    trainer.run(loss, _recipe(config.autoencoder), rows, progress)

    # The latents' scale, of demonstrations moved about as the diffusion will see them.
    generator = torch.Generator().manual_seed(config.seed)
    moved = data.sample(max(10_000, 2 * len(data.task)), 0, 1.0, generator)
    conditioned = config.condition_on_observation
    torch.manual_seed(config.seed + 1)
    diffusion = _diffusion(config, data)
    latents, open_std = (values.cpu() for values in autoencoder.posterior(moved.tokens))
    left_open = open_std if config.diffusion.latent_unit == "posterior" else None
    diffusion.set_scale(latents, moved.task, moved.condition if conditioned else None, left_open)

    loss = _diffusion_loss(config, data, autoencoder, diffusion, team.share)
    trainer = Trainer(diffusion, folder, "diffusion", config.seed + 1, identity, team)
    trainer.run(loss, _recipe(config.diffusion), config.diffusion.batch, progress)
    progress.end()
    return TrainedRun(config, data, autoencoder.cpu(), diffusion.cpu())


def pace_of(config: TrainConfig, data: TrainingData, device: torch.device) -> Pace:
    """What steps of both stages take here, in a second or so; leaves the random state as it was."""
    with torch.random.fork_rng(devices=[]):
        autoencoder, diffusion = _autoencoder(config, data), _diffusion(config, data)
        near = None if config.autoencoder.others == "task" else torch.arange(len(data.task))[:, None]
        first_s = step_s(autoencoder, lambda g: autoencoder.loss(data, g, near=near), device)
        second_s = step_s(diffusion, _diffusion_loss(config, data, autoencoder, diffusion), device)
    return Pace(first_s, second_s)


def _autoencoder_loss(
    config: TrainConfig, data: TrainingData, autoencoder: Autoencoder, trainer: Trainer, share: Share
) -> Callable[[torch.Generator], dict]:
    """The loss of stage 1. Neighbours are found anew now and then; until latents mean something there are none."""
    begin = round(_ALONE * config.autoencoder.steps)
    near = None if config.autoencoder.others == "task" else torch.arange(len(data.task))[:, None]

    def loss(generator: torch.Generator) -> dict:
        nonlocal near
        # A run that goes on from a checkpoint finds them in the same steps, from the same weights.
        due = trainer.step == begin or (trainer.step > begin and trainer.step % CHECKPOINT_EVERY == 0)
        if near is not None and due:
            near = autoencoder.neighbours(data)
        return autoencoder.loss(data, generator, share, near)

    return loss


def _diffusion_loss(
    config: TrainConfig, data: TrainingData, autoencoder: Autoencoder, diffusion: LatentDiffusion, share: Share = WHOLE
) -> Callable[[torch.Generator], dict]:
    """The loss of stage 2, on the latents of demonstrations that are drawn and moved about anew each time."""

    def loss(generator: torch.Generator) -> dict:
        batch = data.sample(config.diffusion.batch, 0, 1.0, generator)
        condition = batch.condition if config.condition_on_observation else None
        return diffusion.loss(autoencoder.encode(batch.tokens), batch.task, condition, generator, share)

    return loss


def _stages(config: TrainConfig, data: TrainingData, team: Team) -> list[Stage]:
    """Both stages for the progress; what a step of each costs is measured where that is worth while."""
    steps, pace = (config.autoencoder.steps, config.diffusion.steps), Pace(1.0, 0.5)
    if sum(steps) >= _WORTH_MEASURING and team.share.count == 1:
        pace = pace_of(config, data, team.device)
    return [
        Stage("autoencoder", "policies", steps[0], pace.autoencoder_s),
        Stage("diffusion", "their distribution", steps[1], pace.diffusion_s),
    ]


def _recipe(stage: AutoencoderConfig | DiffusionConfig) -> Recipe:
    return Recipe.one_cycle(stage.steps, stage.learning_rate, stage.ema_decay)


def _autoencoder(config: TrainConfig, data: DataSummary) -> Autoencoder:
    smallest_std = config.smallest_std if config.normalisation == "generated" else None
    told = len(data.contract.observation) if config.condition_hypernetwork else 0
    return Autoencoder(data, policy_layout(config, data), config.autoencoder, smallest_std, told)


def _diffusion(config: TrainConfig, data: DataSummary) -> LatentDiffusion:
    size = len(data.contract.observation) if config.condition_on_observation else 0
    table = config.normalisation == "task"
    return LatentDiffusion(config.autoencoder.latent_size, len(data.tasks), size, config.diffusion, table)


def policy_layout(config: TrainConfig, data: DataSummary) -> PolicyLayout:
    """The policy that a config describes; raises PolicyError where there can be none."""
    sizes = (len(data.indices), *config.hidden_layers, len(data.contract.command))
    return PolicyLayout(sizes, config.hidden_activation)


def load(folder: Path, data: Path | None = None) -> TrainedRun:
    """Open a run. A finished one needs nothing but its folder; one that was stopped is continued with its dataset.

    Args:
        folder: made by `train`.
        data: where the dataset of an unfinished run lies now; None: where it was.

    Raises:
        ConfigError: the folder holds no run, one of another version or method, or a broken one.
        DatasetError: the run is not finished, and its demonstrations are gone or changed.
    """
    content = read_run(folder)
    if method := content.get("method"):
        raise ConfigError(f"{folder}: found a run of the method '{method}', expected one of 'lwd train'")
    config = TrainConfig.from_dict(content["config"], where=f"{folder}/run.json")
    # A stage of no steps has no checkpoint: its networks are made anew, as they were.
    if any(steps_of(folder, stage) < max(steps, 1) for stage, steps in stages_of(folder, content).items()):
        return train(config, Demonstrations(data or content["data"]), folder)
    torch.set_num_threads(1)
    summary, identity = DataSummary.load(folder), identity_of(content)
    if summary.digest != content["data_digest"]:
        text = f"found a summary of the dataset {summary.digest}, expected {content['data_digest']}"
        raise ConfigError(f"{folder}: {text}")
    with torch.random.fork_rng(devices=[]):  # networks begin at random
        autoencoder, diffusion = _autoencoder(config, summary), _diffusion(config, summary)
    restore(autoencoder, folder, "autoencoder", identity)
    restore(diffusion, folder, "diffusion", identity)
    return TrainedRun(config, summary, autoencoder, diffusion)

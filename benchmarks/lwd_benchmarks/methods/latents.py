"""Baselines made from a finished LWD run: the same hypernetwork, fed with latents that are not sampled."""

from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from lwd_benchmarks.methods import LATENT, METHODS, implementation
from lwd_ros.learning.config import ConfigError
from lwd_ros.learning.export import RunGraph, describe_model, write_model
from lwd_ros.learning.train import TrainedRun


class NearestLatent(RunGraph):
    """Each sampled latent gives way to the nearest one that a demonstration of its task was encoded to."""

    def __init__(self, run: TrainedRun):
        super().__init__(run)
        latents = run.autoencoder.encode(run.data.tokens)
        per_task = [latents[run.data.task == task] for task in range(len(run.data.tasks))]
        # [tasks, most demonstrations, latent]; what pads a shorter task is infinitely far from everything.
        self.register_buffer("latents", pad_sequence(per_task, batch_first=True, padding_value=torch.inf))

    def latent(self, noise, task, condition):
        sampled, latents = self.diffusion(noise, task, condition), self.latents[task]
        # Standardised, as the diffusion sees them: latents that hardly vary would not count otherwise.
        _, std = self.diffusion.scale_of(task, condition)
        distance = (((sampled[:, None] - latents) / std[:, None]) ** 2).sum(dim=2)
        nearest = distance.argmin(dim=1)[:, None, None].expand(-1, 1, latents.shape[2])
        return latents.gather(1, nearest)[:, 0]


class MeanLatent(RunGraph):
    """One latent a task: the mean of those that its demonstrations were encoded to."""

    def __init__(self, run: TrainedRun):
        super().__init__(run)
        latents = run.autoencoder.encode(run.data.tokens)
        means = [latents[run.data.task == task].mean(dim=0) for task in range(len(run.data.tasks))]
        self.register_buffer("latents", torch.stack(means))

    def latent(self, noise, task, condition):
        return self.latents[task] + 0.0 * noise


def latent_baseline(method: str, run: TrainedRun, model: Path) -> None:
    """Write the model file of a baseline that needs no training of its own.

    `nearest_latent` answers whether sampling does more than recall demonstrations; `mean_latent`, whether sampling is
    needed at all.

    Args:
        method: one of `LATENT`.
        run: a finished LWD run.
        model: the file to write.

    Raises:
        ConfigError: the method is unknown.
    """
    if method not in LATENT:
        raise ConfigError(f"method: found '{method}', expected one that is made from a run: {', '.join(LATENT)}")
    model.parent.mkdir(parents=True, exist_ok=True)
    # The mean depends on the task alone, so its file takes no observation unless the hypernetwork is told it.
    asked = method == "nearest_latent" or run.config.condition_hypernetwork
    conditioned = run.config.condition_on_observation and asked
    description = describe_model(run.config, run.data, method=method, condition_on_observation=conditioned)
    write_model(implementation(METHODS[method].graph)(run), description, model)

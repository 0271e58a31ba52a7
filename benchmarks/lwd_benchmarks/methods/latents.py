"""Baselines made from a finished LWD run: the same hypernetwork, fed with latents that are not sampled by diffusion."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence

from lwd_benchmarks.methods import LATENT, METHODS, implementation
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.learning.codec import encode
from lwd_ros.learning.config import ConfigError
from lwd_ros.learning.export import RunGraph, describe_model, write_model
from lwd_ros.learning.train import TrainedRun


@dataclass(frozen=True)
class Encoded:
    """The demonstrations that a run learned from, as it encodes them.

    Attributes:
        latents: float32 [demonstrations, latent].
        task: int64 [demonstrations].
        first: float32 [demonstrations, observations], first observations as the generator's networks see them.
        ways: of each, '' where its task has one alone.
    """

    latents: torch.Tensor
    task: torch.Tensor
    first: torch.Tensor
    ways: tuple[str, ...]

    @classmethod
    def of(cls, run: TrainedRun, demonstrations: Demonstrations) -> "Encoded":
        """Encode a run's own dataset; raises DatasetError where it is another one."""
        if demonstrations.digest != run.data.digest:
            text = f"found digest {demonstrations.digest}, expected that of the run's dataset, {run.data.digest}"
            raise DatasetError(f"{demonstrations.folder}: {text}")
        episodes = [(place, each) for place, task in enumerate(run.data.tasks)
                    for each in learned(run, demonstrations, task)]  # fmt: skip
        latents = torch.tensor(encode(run, [each for _, each in episodes]))
        task = torch.tensor([place for place, _ in episodes])
        first = torch.stack([torch.tensor(each.observation[0], dtype=torch.float32) for _, each in episodes])
        return cls(latents, task, run.data.standardised(first, task), tuple(each.way for _, each in episodes))

    def by_task(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Rows of `values` [demonstrations, ...] for each task."""
        return [values[self.task == place] for place in range(int(self.task.max()) + 1)]


def learned(run: TrainedRun, demonstrations: Demonstrations, task: str) -> list[Episode]:
    """The demonstrations of a task that a run learned from, in their order."""
    hidden, count = set(run.data.held_out.get(task, ())), run.config.demonstrations_per_task
    kept = [each for place, each in enumerate(demonstrations.episodes[task]) if place not in hidden]
    return [each for each in kept if not each.after][:count] if count else kept


def uniform(noise: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers as numbers from 0 to 1, uniform."""
    return 0.5 * (1.0 + torch.erf(noise / math.sqrt(2.0)))


def draw(shares: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """int64 [B]: of rows of `shares` [B, N], none negative, a place each by uniform numbers [B]."""
    cumulative = shares.cumsum(dim=1)
    place = (number[:, None] * cumulative[:, -1:] >= cumulative).sum(dim=1)
    return place.clamp(max=shares.shape[1] - 1)


def rows(table: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Of `table` [B, N, values] the row of each `place` [B]: [B, values]."""
    return table.gather(1, place[:, None, None].expand(-1, 1, table.shape[2]))[:, 0]


class LatentGraph(RunGraph):
    """A finished run with another way of choosing the latent."""

    needs_data: ClassVar[bool] = False
    """Whether it is made from the dataset as well."""

    conditioned: ClassVar[bool] = False
    """Whether it looks at the first observation, where the run does so. Others' files take none."""

    extra_noise: ClassVar[int] = 0
    """Standard normal numbers that it needs beside those of a latent."""

    def __init__(self, run: TrainedRun, encoded: Encoded | None = None):
        super().__init__(run)


class NearestLatent(LatentGraph):
    """Each sampled latent gives way to the nearest one that a demonstration of its task was encoded to."""

    conditioned = True

    def __init__(self, run: TrainedRun, encoded: Encoded | None = None):
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
        return rows(latents, distance.argmin(dim=1))


class MeanLatent(LatentGraph):
    """One latent a task: the mean of those that its demonstrations were encoded to."""

    def __init__(self, run: TrainedRun, encoded: Encoded | None = None):
        super().__init__(run)
        latents = run.autoencoder.encode(run.data.tokens)
        means = [latents[run.data.task == task].mean(dim=0) for task in range(len(run.data.tasks))]
        self.register_buffer("latents", torch.stack(means))

    def latent(self, noise, task, condition):
        return self.latents[task] + 0.0 * noise


class PriorLatent(LatentGraph):
    """The noise itself: a draw of the prior that the autoencoder's loss has, N(0, 1), whatever the task."""

    def latent(self, noise, task, condition):
        return noise


class RandomLatent(LatentGraph):
    """The latent of a demonstration of the task, each as likely as another."""

    needs_data = True

    def __init__(self, run: TrainedRun, encoded: Encoded):
        super().__init__(run)
        per_task = encoded.by_task(encoded.latents)
        self.register_buffer("latents", pad_sequence(per_task, batch_first=True))
        self.register_buffer("shares", pad_sequence([torch.ones(len(each)) for each in per_task], batch_first=True))

    def latent(self, noise, task, condition):
        return rows(self.latents[task], draw(self.shares[task], uniform(noise[:, 0])))


class NearestStartLatent(LatentGraph):
    """The latent of the demonstration whose first observation is nearest; one of them, where several are."""

    needs_data = conditioned = True

    def __init__(self, run: TrainedRun, encoded: Encoded):
        super().__init__(run)
        if not run.config.condition_on_observation:
            raise ConfigError("nearest_start_latent: found a run that sees no observation, expected one that does")
        self.register_buffer("latents", pad_sequence(encoded.by_task(encoded.latents), batch_first=True))
        firsts = encoded.by_task(encoded.first)
        self.register_buffer("first", pad_sequence(firsts, batch_first=True, padding_value=torch.inf))

    def latent(self, noise, task, condition):
        distance = ((condition[:, None] - self.first[task]) ** 2).sum(dim=2)
        nearest = (distance <= distance.amin(dim=1, keepdim=True) + 1e-6).to(noise)
        return rows(self.latents[task], draw(nearest, uniform(noise[:, 0])))


class WayLatent(LatentGraph):
    """The mean latent of one way's demonstrations, the way drawn as often as it was demonstrated: it is told ways."""

    needs_data = True

    def __init__(self, run: TrainedRun, encoded: Encoded):
        super().__init__(run)
        if "" in encoded.ways:
            raise DatasetError("way_latent: found demonstrations without a way, expected one for each")
        means, counts = [], []
        for place in range(len(run.data.tasks)):
            of_task = [number for number, task in enumerate(encoded.task.tolist()) if task == place]
            counted = Counter(encoded.ways[number] for number in of_task)
            counts.append(torch.tensor(list(counted.values()), dtype=torch.float32))
            means.append(
                torch.stack([_mean(encoded, [n for n in of_task if encoded.ways[n] == way]) for way in counted])
            )
        self.register_buffer("latents", pad_sequence(means, batch_first=True))
        self.register_buffer("shares", pad_sequence(counts, batch_first=True))

    def latent(self, noise, task, condition):
        return rows(self.latents[task], draw(self.shares[task], uniform(noise[:, 0])))


def _mean(encoded: Encoded, numbers: Sequence[int]) -> torch.Tensor:
    return encoded.latents[list(numbers)].mean(dim=0)


def latent_baseline(method: str, run: TrainedRun, model: Path, demonstrations: Demonstrations | None = None) -> None:
    """Write the model file of a baseline that needs no training of its own.

    `nearest_latent` answers whether sampling does more than recall demonstrations; `mean_latent`, whether sampling is
    needed at all; `mixture_of_latents`, `prior_latent` and those that pick a demonstration, whether it takes diffusion.

    Args:
        method: one of `LATENT`.
        run: a finished LWD run.
        model: the file to write.
        demonstrations: the run's dataset, for methods that need it.

    Raises:
        ConfigError: the method is unknown, or cannot be made of the run.
        DatasetError: the dataset is missing, or not the run's.
    """
    if method not in LATENT:
        raise ConfigError(f"method: found '{method}', expected one that is made from a run: {', '.join(LATENT)}")
    kind: type[LatentGraph] = implementation(METHODS[method].graph)
    encoded = None
    if kind.needs_data:
        if demonstrations is None:
            raise DatasetError(f"{method}: found no dataset, expected that of the run")
        encoded = Encoded.of(run, demonstrations)
    model.parent.mkdir(parents=True, exist_ok=True)
    # A file that needs no observation, neither for the latent nor for the hypernetwork, takes none.
    asked = kind.conditioned or run.config.condition_hypernetwork
    description = describe_model(
        run.config,
        run.data,
        method=method,
        condition_on_observation=run.config.condition_on_observation and asked,
        latent_size=run.config.autoencoder.latent_size + kind.extra_noise,
    )
    write_model(kind(run, encoded), description, model)

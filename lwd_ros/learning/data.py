"""Demonstrations as tensors: per-task normalisation, the encoder's tokens, batches of (observation, action) pairs."""

from dataclasses import dataclass

import numpy as np
import torch

from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.learning.config import AutoencoderConfig, TrainConfig


@dataclass(frozen=True)
class TaskNormalisation:
    """Per task and policy input: float32 [tasks, inputs] each, in the scalars' own units."""

    mean: torch.Tensor
    std: torch.Tensor
    minimum: torch.Tensor
    maximum: torch.Tensor


class TrainingData:
    """A dataset ready for training.

    Attributes:
        indices: places in the contract's observation vector that the policy reads, int64 [inputs].
        normalisation: what each task's policies subtract and divide by.
        observation, action: all frames; observations normalised with their task's numbers, actions divided by
            `action_scale` (±1); float32 [frames, ...].
        tokens: float32 [demonstrations, tokens x (inputs + commands + 1)], what the encoder sees.
        task: int64 [demonstrations].
        first_observation: float32 [demonstrations, observations], whole, standardised over its task.
    """

    def __init__(self, demonstrations: Demonstrations, config: TrainConfig):
        """Normalise and flatten; raises DatasetError where the config hides a scalar that the contract lacks."""
        contract = demonstrations.contract
        for name in config.hide:
            if name not in contract.observation_names:
                raise DatasetError(f"hide: found '{name}', expected one of {', '.join(contract.observation_names)}")
        kept = [i for i, name in enumerate(contract.observation_names) if name not in config.hide]
        self.indices = torch.tensor(kept)
        limits = contract.command_limits
        self.action_scale = torch.tensor((limits[1] - limits[0]) / 2, dtype=torch.float32)
        self.action_offset = torch.tensor((limits[1] + limits[0]) / 2, dtype=torch.float32)
        self.demonstrations, self.tasks, self.contract = demonstrations, demonstrations.tasks, contract

        used = [_used(demonstrations, task, config.demonstrations_per_task) for task in self.tasks]
        episodes = [(t, e) for t, chosen in enumerate(used) for e in chosen]
        per_task = [np.concatenate([e.observation for e in chosen])[:, kept] for chosen in used]
        self.normalisation = TaskNormalisation(
            mean=_stack([v.mean(0) for v in per_task]),
            std=_stack([np.maximum(v.std(0), config.smallest_std) for v in per_task]),
            minimum=_stack([v.min(0) for v in per_task]),
            maximum=_stack([v.max(0) for v in per_task]),
        )
        everything = np.concatenate(per_task)
        global_mean, global_std = everything.mean(0), np.maximum(everything.std(0), config.smallest_std)
        offset, scale = self.action_offset.numpy(), self.action_scale.numpy()

        observation, action, tokens = [], [], []
        for t, episode in episodes:
            values = episode.observation[:, kept]
            observation.append((values - self.normalisation.mean[t].numpy()) / self.normalisation.std[t].numpy())
            action.append((episode.action - offset) / scale)
            tokens.append(_tokens((values - global_mean) / global_std, action[-1], config.autoencoder.tokens))
        self.observation, self.action = _tensor(np.concatenate(observation)), _tensor(np.concatenate(action))
        self.tokens = _stack(tokens)
        self.task = torch.tensor([t for t, _ in episodes])
        lengths = np.array([len(e.action) for _, e in episodes])
        self.length = torch.tensor(lengths)
        self.start = torch.tensor(np.concatenate([[0], np.cumsum(lengths)[:-1]]))
        # Frames of a task lie together, so a task's pool is a range.
        counts = torch.bincount(self.task, minlength=len(self.tasks))
        self._demonstration_count = counts
        self._first_demonstration = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)[:-1]])
        frames = torch.tensor([len(values) for values in per_task])
        self._frames = frames
        self._first_frame = torch.cat([torch.zeros(1, dtype=torch.long), frames.cumsum(0)[:-1]])
        first = np.stack([e.observation[0] for _, e in episodes])
        whole = [np.concatenate([e.observation for s, e in episodes if s == t]) for t in range(len(self.tasks))]
        self.condition_mean = _stack([v.mean(0) for v in whole])
        self.condition_std = _stack([np.maximum(v.std(0), config.smallest_std) for v in whole])
        self.first_observation = (_tensor(first) - self.condition_mean[self.task]) / self.condition_std[self.task]

    def sample_demonstrations(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Demonstration numbers, int64 [count]: a task first, each as likely as the others, then one of its own."""
        task = torch.randint(len(self.tasks), (count,), generator=generator)
        place = torch.rand(count, generator=generator) * self._demonstration_count[task]
        return self._first_demonstration[task] + place.long()

    def sample_pairs(self, chosen: torch.Tensor, config: AutoencoderConfig, generator: torch.Generator):
        """Frames to judge each decoded policy on: observation [B, pairs, inputs], action [B, pairs, commands].

        The first share comes from the demonstration itself, the rest from all of its task: alone, the first teaches
        nothing about other layouts, and the second makes the latent a mere name of the task.
        """
        own = round(config.pairs * config.own_share)
        size = (len(chosen), own)
        mine = self.start[chosen, None] + (torch.rand(size, generator=generator) * self.length[chosen, None]).long()
        task = self.task[chosen, None]
        size = (len(chosen), config.pairs - own)
        others = self._first_frame[task] + (torch.rand(size, generator=generator) * self._frames[task]).long()
        frames = torch.cat([mine, others], dim=1)
        return self.observation[frames], self.action[frames]


def _used(demonstrations: Demonstrations, task: str, count: int) -> list[Episode]:
    """All demonstrations of a task, or its first `count` fresh starts; DatasetError where there are fewer."""
    episodes = demonstrations.episodes[task]
    if not count:
        return episodes
    fresh = [episode for episode in episodes if not episode.after]
    if len(fresh) < count:
        raise DatasetError(
            f"demonstrations_per_task: task '{task}' has {len(fresh)} demonstrations that start afresh, expected {count}"
        )
    return fresh[:count]


def _tokens(observation: np.ndarray, action: np.ndarray, count: int) -> np.ndarray:
    """Evenly spaced (observation, action, time) samples of a demonstration, flat; time runs from -1 to 1."""
    places = np.linspace(0, len(action) - 1, count).round().astype(int)
    time = np.linspace(-1, 1, count)[:, None]
    return np.hstack([observation[places], action[places], time]).reshape(-1)


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def _stack(values: list[np.ndarray]) -> torch.Tensor:
    return _tensor(np.stack(values))

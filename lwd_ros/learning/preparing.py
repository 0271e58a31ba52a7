"""What of a dataset a run uses, and the ranges that its numbers are measured in."""

from collections.abc import Mapping

import numpy as np
import torch

from lwd_ros.contract import AGE, Contract
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.learning.config import SensingConfig, TrainConfig

_MARGIN = 0.05
"""Of the demonstrated width, on either side: a label of ±1 counts as one at a limit, see `cloning_error`."""


def held_out(demonstrations: Demonstrations, config: TrainConfig) -> dict[str, tuple[int, ...]]:
    """The demonstrations of each task that training never sees, by their place in the dataset; drawn by the seed.

    As many as `config.held_out` says, rounded down; one stays for training. Tasks without any are left out.
    """
    chosen = {}
    for number, task in enumerate(demonstrations.tasks):
        total = len(demonstrations.episodes[task])
        count = min(int(config.held_out * total + 1e-9), total - 1)
        if count > 0:
            places = np.random.default_rng([config.seed, number]).choice(total, count, replace=False)
            chosen[task] = tuple(sorted(places.tolist()))
    return chosen


def action_range(contract: Contract, outputs: np.ndarray, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the range of a policy's outputs, and its middle: float32 [commands] each.

    The range of a command is that of its limits, or what was demonstrated (`outputs` are float64 [frames, commands])
    and a margin, as far as the limits allow; that of an offset is the largest one demonstrated, for limits say nothing
    about it.
    """
    minimum, maximum = contract.command_limits.copy()
    if config.action_range == "demonstrated":
        low, high = outputs.min(axis=0), outputs.max(axis=0)
        margin = np.maximum(_MARGIN * (high - low), 1e-3 * contract.command_slew)
        low, high = np.maximum(minimum, low - margin), np.minimum(maximum, high + margin)
        inside = high > low  # else all that was shown lies beyond the limits
        minimum, maximum = np.where(inside, low, minimum), np.where(inside, high, maximum)
    largest = np.maximum(np.abs(outputs).max(axis=0), 1e-3 * contract.command_slew)
    relative = np.array([scalar.relative_to is not None for scalar in contract.command])
    minimum[relative], maximum[relative] = -largest[relative], largest[relative]
    return torch.tensor((maximum - minimum) / 2, dtype=torch.float32), torch.tensor(
        (maximum + minimum) / 2, dtype=torch.float32
    )


def longest_age_s(demonstrations: Demonstrations, used: list[list[Episode]], sensing: SensingConfig) -> float:
    """The largest age that policies learn; raises DatasetError where the contract's limit of it is shorter."""
    contract = demonstrations.contract
    place, added_s = contract.age_places[0], sensing.delay_steps * contract.period_s
    longest_s = added_s + max(float(e.observation[:, place].max()) for chosen in used for e in chosen)
    limit_s = contract.observation[place].maximum
    if longest_s > limit_s + 1e-9:
        text = f"found ages of up to {longest_s:g} s ({added_s:g} s of them added), expected at most {AGE}'s limit"
        raise DatasetError(f"sensing.delay_steps: {text}, {limit_s:g} s")
    return longest_s


def used_of(demonstrations: Demonstrations, task: str, count: int, unseen: Mapping) -> list[Episode]:
    """A task's demonstrations but the `unseen`, or its first `count` fresh starts; DatasetError where there are fewer.

    `unseen` has places by task.
    """
    hidden = set(unseen.get(task, ()))
    episodes = [episode for place, episode in enumerate(demonstrations.episodes[task]) if place not in hidden]
    if not count:
        return episodes
    fresh = [episode for episode in episodes if not episode.after]
    if len(fresh) < count:
        raise DatasetError(f"demonstrations_per_task: task '{task}' has {len(fresh)} fresh starts, expected {count}")
    return fresh[:count]


def condition_scale(whole: list[np.ndarray], config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """What standardises the observations that policies are generated for: mean and std, float32 [tasks or 1, size].

    Without task numbers, one mean and the scale within tasks: differences between layouts are what such an observation
    tells, and beside the tasks' distance they would drown.
    """
    mean, std = (np.stack([getattr(values, name)(0) for values in whole]) for name in ("mean", "std"))
    if config.normalisation == "generated":
        mean, std = mean.mean(0, keepdims=True), np.sqrt((std**2).mean(0, keepdims=True))
    return tensor(mean), tensor(np.maximum(std, config.smallest_std))


def aged(demonstrations: Demonstrations, sensing: SensingConfig) -> Demonstrations:
    """Demonstrations whose observations have their age, where policies are told it."""
    if not sensing.observation_age or demonstrations.contract.age_place is not None:
        return demonstrations
    return demonstrations.with_age(round(sensing.delay_steps * demonstrations.contract.period_s, 9))


def tensor(values: np.ndarray) -> torch.Tensor:
    """float32, of any numbers."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def stack(values: list[np.ndarray]) -> torch.Tensor:
    """float32 [values, ...]."""
    return tensor(np.stack(values))

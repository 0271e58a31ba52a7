"""Demonstrations as tensors: per-task normalisation, the encoder's tokens, batches of (observation, action) pairs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from lwd_ros.contract import AGE, Contract, outputs_of, stacked
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.learning.config import SensingConfig, TrainConfig
from lwd_ros.learning.facts import facts_of
from lwd_ros.learning.summary import DataSummary, Pass, TaskNormalisation, TokenScale


@dataclass(frozen=True)
class Batch:
    """Demonstrations that were drawn, each moved as a whole; and pairs to judge the policies decoded for them on.

    task int64 [B]; tokens float32 [B, tokens x features]; first_observation float32 [B, observations], standardised;
    observation, action float32 [B, pairs, inputs or commands], as in `TrainingData`.
    """

    task: torch.Tensor
    tokens: torch.Tensor
    first_observation: torch.Tensor
    observation: torch.Tensor
    action: torch.Tensor


class TrainingData(DataSummary):
    """A dataset ready for training: its summary, and all frames.

    Attributes:
        demonstrations: the dataset.
        observation, action: all frames; observations normalised with their task's numbers, actions divided by
            `action_scale` (±1); float32 [frames, ...].
        action_weight: what a squared error of each command counts, float32 [commands]; None: all alike.
        start, length: each demonstration's first frame and number of frames, int64 [demonstrations].
        first_observation: float32 [demonstrations, observations], whole, standardised.
    """

    def __init__(self, demonstrations: Demonstrations, config: TrainConfig):
        """Normalise and flatten; raises DatasetError where the config hides a scalar that the contract lacks."""
        contract = demonstrations.contract
        found = {"data_digest": demonstrations.digest, "contract_digest": contract.digest}
        for key, digest in found.items():
            if not digest.startswith(getattr(config, key)):
                raise DatasetError(f"{demonstrations.folder}: {key}: found {digest}, expected {getattr(config, key)}")
        known = dict.fromkeys((*contract.observation_names, *contract.vector_names))
        for name in config.hide:
            if name not in known:
                raise DatasetError(f"hide: found '{name}', expected one of {', '.join(known)}")
        demonstrations = _aged(demonstrations, config.sensing)
        contract, age = demonstrations.contract, demonstrations.contract.age_place
        hidden = (*config.hide, *(() if config.sensing.observation_age else (AGE,)))  # what never varied says nothing
        scalars = contract.observation_names * contract.history  # a scalar is hidden in all its frames, or in one
        both = zip(contract.vector_names, scalars, strict=True)
        kept = [i for i, names in enumerate(both) if not set(names) & set(hidden)]
        self.indices = torch.tensor(kept)
        self.demonstrations, self.tasks, self.contract = demonstrations, demonstrations.tasks, contract
        self.digest, self.settings = demonstrations.digest, demonstrations.meta.get("settings") or {}
        self.held_out = held_out(demonstrations, config)
        used = [_used(demonstrations, task, config.demonstrations_per_task, self.held_out) for task in self.tasks]
        episodes = [(t, e) for t, chosen in enumerate(used) for e in chosen]
        outputs = [outputs_of(contract, e.action, e.observation) for _, e in episodes]
        self.action_scale, self.action_offset = _action_range(contract, np.concatenate(outputs), config)
        self.action_weight = None
        if config.action_loss == "motion":
            self.action_weight = self._motion_weight([e for _, e in episodes], np.concatenate(outputs))
        whole = [np.concatenate([e.observation for e in chosen]) for chosen in used]
        per_task = [np.concatenate([stacked(contract, e.observation)[:, kept] for e in chosen]) for chosen in used]
        self.normalisation = TaskNormalisation(
            mean=_stack([v.mean(0) for v in per_task]),
            std=_stack([np.maximum(v.std(0), config.smallest_std) for v in per_task]),
            minimum=_stack([v.min(0) for v in per_task]),
            maximum=_stack([v.max(0) for v in per_task]),
        )
        ages = [i for i in kept if i in contract.age_places]
        self._ages = [kept.index(i) for i in ages]
        self._ages_back = torch.tensor([contract.history - 1 - i // contract.frame_size for i in ages])
        if config.action_loss == "motion":
            self.passes = self._positions([e for _, e in episodes], np.concatenate(per_task), config)
        if ages:
            longest_s = _longest_age_s(demonstrations, used, config.sensing)
            for values, value in zip(
                vars(self.normalisation).values(), (0.0, longest_s / 2, 0.0, longest_s), strict=True
            ):
                values[:, self._ages] = value
        everything = np.concatenate(per_task)
        global_mean, global_std = everything.mean(0), np.maximum(everything.std(0), config.smallest_std)
        self.token_scale = TokenScale(global_mean, global_std, config.autoencoder.tokens)
        offset, scale = self.action_offset.numpy(), self.action_scale.numpy()

        observation, action = [], []
        for (t, episode), output in zip(episodes, outputs, strict=True):
            values = stacked(contract, episode.observation)[:, kept]
            observation.append((values - self.normalisation.mean[t].numpy()) / self.normalisation.std[t].numpy())
            action.append((output - offset) / scale)
        self.observation, self.action = _tensor(np.concatenate(observation)), _tensor(np.concatenate(action))
        self.tokens = self.tokens_of([episode for _, episode in episodes])
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
        if age is not None:  # what a policy is generated for does not depend on when that was seen
            for values in (first, *whole):
                values[:, age] = 0.0
        self.condition_mean, self.condition_std = _condition_scale(whole, config)
        self.first_observation = self.standardised(_tensor(first), self.task)
        self._first_of_episode = torch.repeat_interleave(self.start, self.length)
        self._sensing = config.sensing
        units = [scalar.unit for scalar in contract.observation] * contract.history
        metres = torch.tensor([units[i] == "m" for i in kept], dtype=torch.float32)
        self._noise = config.sensing.noise_m * metres / self.normalisation.std
        self._translation = config.translation
        if config.translation.range_m:
            self._prepare_translation(config, whole)

    def sample(self, count: int, pairs: int, own_share: float, generator: torch.Generator) -> Batch:
        """Draw `count` demonstrations, and for each `pairs` frames to judge its policy on.

        `own_share` of the pairs come from the demonstration itself, the rest from all of its task: alone, the first
        teaches nothing about other layouts, and the second makes the latent a mere name of the task.
        """
        chosen = self.sample_demonstrations(count, generator)
        task, own = self.task[chosen], round(pairs * own_share)
        places = torch.rand((count, own), generator=generator) * self.length[chosen, None]
        mine = self.start[chosen, None] + places.long()
        others = self.sample_frames(task[:, None], (count, pairs - own), generator)
        frames = torch.cat([mine, others], dim=1)
        tokens, first = self.tokens[chosen], self.first_observation[chosen]
        observation = self.sense(frames, task[:, None], generator)
        if self._translation.range_m:
            offset = self._offsets((count, 1), generator)
            tokens = tokens + (offset @ self._token_shift[task])[:, 0]
            first = first + (offset @ self._first_shift[task])[:, 0]
            each = [offset.expand(-1, own, -1), self._offsets((count, pairs - own), generator)]
            observation = torch.baddbmm(observation, torch.cat(each, dim=1), self._input_shift[task])
        return Batch(task, tokens, first, observation, self.action[frames])

    def sample_of(self, task: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames of tasks, int64 [...], each moved by itself: observation [..., inputs], action [..., commands]."""
        frames = self.sample_frames(task, tuple(task.shape), generator)
        observation = self.sense(frames, task, generator)
        if self._translation.range_m:
            offset = self._offsets(tuple(task.shape), generator)
            observation = observation + (offset[..., None] * self._input_shift[task]).sum(dim=-2)
        return observation, self.action[frames]

    def sense(
        self, frames: torch.Tensor, task: torch.Tensor, generator: torch.Generator, delays: tuple[int, ...] = ()
    ) -> torch.Tensor:
        """Normalised observations of frames, some late, all noisy: float32 [*frames, inputs].

        `task` and as many delays as `delays` says, or one a frame, are broadcast to `frames`.
        """
        sensing, present = self._sensing, frames
        if sensing.delayed_share:
            size = delays or frames.shape
            late = torch.randint(1, sensing.delay_steps + 1, size, generator=generator)
            late[torch.rand(size, generator=generator) >= sensing.delayed_share] = 0
            frames = torch.maximum(frames - late, self._first_of_episode[frames])
        observation = self.observation[frames]
        if self._ages:  # each frame's own: before the first frame stands the first, which is late as it was itself
            first = self._first_of_episode[present][..., None]
            answered, shown = (torch.maximum(each[..., None] - self._ages_back, first) for each in (present, frames))
            late_s = (answered - shown) * self.contract.period_s
            observation[..., self._ages] += late_s / self.normalisation.std[:, self._ages][task]
        if sensing.noise_m:
            observation = observation + self._noise[task] * torch.randn(observation.shape, generator=generator)
        return observation

    def _positions(self, episodes: list[Episode], observed: np.ndarray, config: TrainConfig) -> tuple[Pass, ...]:
        """The commands that target an observed position, whose normalisation becomes that of all tasks together."""
        contract, passes = self.contract, []
        for output, command in enumerate(facts_of(contract, [episodes]).commands):
            if command.motion is None or command.relative or command.levels:
                continue
            place = (contract.history - 1) * contract.frame_size + contract.places(command.rest)[0]
            if place not in self.indices.tolist():
                continue  # hidden
            number = self.indices.tolist().index(place)
            mean, std = observed[:, number].mean(), max(observed[:, number].std(), config.smallest_std)
            self.normalisation.mean[:, number], self.normalisation.std[:, number] = mean, std
            scale, offset = float(self.action_scale[output]), float(self.action_offset[output])
            passes.append(Pass(output, number, float(std) / scale, (float(mean) - offset) / scale))
        return tuple(passes)

    def _motion_weight(self, episodes: list[Episode], outputs: np.ndarray) -> torch.Tensor:
        """Squared errors in units of the motion that commands ask for, float32 [commands]; `outputs` of all frames.

        A position target lies near the measured position: in units of its range a policy that stands still is almost
        right, and what moves the robot drowns. So it does in the largest of many small offsets. A switch has no small
        motions; it and commands that are no positions keep the weight 1.
        """
        weights = []
        for place, command in enumerate(facts_of(self.contract, [episodes]).commands):
            motion = command.motion
            if command.relative:
                motion = float(np.sqrt((outputs[:, place] ** 2).mean()))
            if not motion or command.levels:
                weights.append(1.0)
                continue
            weights.append(min(max(float(self.action_scale[place]) / motion, 1.0), _LARGEST_GAIN))
        return _tensor(np.array(weights)) ** 2

    def _offsets(self, size: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        """Random offsets in m, float32 [*size, axes]."""
        uniform = torch.rand((*size, len(self._translation.axes)), generator=generator)
        return (2 * uniform - 1) * self._translation.range_m

    def _prepare_translation(self, config: TrainConfig, whole: list[np.ndarray]) -> None:
        """How a metre along each axis changes what is seen: float32 [tasks, axes, ...], 0 where nothing moves.

        `whole` has the whole observations of each task's frames.
        """
        names, axes = self.contract.observation, config.translation.axes
        moved = [[s.unit == "m" and s.name.endswith(f"_{axis}") for s in names] for axis in axes]
        for axis, found in zip(axes, moved, strict=True):
            if not any(found):
                text = f"found '{axis}', expected the end of an observed scalar's name in m, as x in hand_x"
                raise DatasetError(f"translation.axes: {text}")
        # A scalar that is 0 throughout pads for an object that the task does not have; nothing stands there.
        stands = _stack([(values != 0).any(axis=0) for values in whole])
        shift = torch.tensor(moved, dtype=torch.float32) * stands[:, None]
        for task, fixed in config.translation.fixed.items():
            wrong = [axis for axis in fixed if axis not in axes]
            if task not in self.tasks or wrong:
                text = f"axis '{wrong[0]}' of '{task}'" if wrong else f"'{task}'"
                raise DatasetError(
                    f"translation.fixed: found {text}, expected tasks of the dataset and of {list(axes)}"
                )
            shift[self.tasks.index(task), [axes.index(axis) for axis in fixed]] = 0.0
        self._first_shift = shift / self.condition_std[:, None]
        seen = shift.repeat(1, 1, self.contract.history)[:, :, self.indices]
        self._input_shift = seen / self.normalisation.std[:, None]
        scale, commands = self.token_scale, len(self.contract.command)
        token = torch.cat([seen / _tensor(scale.std), torch.zeros(*seen.shape[:2], commands + 1)], dim=2)
        self._token_shift = token.repeat(1, 1, scale.count)
        widened = (seen.sum(dim=1) > 0) * config.translation.range_m
        bounds = self.normalisation
        self.normalisation = replace(bounds, minimum=bounds.minimum - widened, maximum=bounds.maximum + widened)

    def sample_demonstrations(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Demonstration numbers, int64 [count]: a task first, each as likely as the others, then one of its own."""
        task = torch.randint(len(self.tasks), (count,), generator=generator)
        place = torch.rand(count, generator=generator) * self._demonstration_count[task]
        return self._first_demonstration[task] + place.long()

    def sample_frames(self, task: torch.Tensor, size: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        """Frame numbers, int64 of `size`: of `task` (int64, broadcast to `size`), each frame as likely as another."""
        return self._first_frame[task] + (torch.rand(size, generator=generator) * self._frames[task]).long()


def _aged(demonstrations: Demonstrations, sensing: SensingConfig) -> Demonstrations:
    """Demonstrations whose observations have their age, where policies are told it."""
    if not sensing.observation_age or demonstrations.contract.age_place is not None:
        return demonstrations
    return demonstrations.with_age(round(sensing.delay_steps * demonstrations.contract.period_s, 9))


_MARGIN = 0.05
"""Of the demonstrated width, on either side: a label of ±1 counts as one at a limit, see `cloning_error`."""


_LARGEST_GAIN = 30.0
"""Of errors in units of motion over those in units of range: noise of a measurement is not followed at any price."""


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


def _action_range(contract: Contract, outputs: np.ndarray, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
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


def _longest_age_s(demonstrations: Demonstrations, used: list[list[Episode]], sensing: SensingConfig) -> float:
    """The largest age that policies learn; raises DatasetError where the contract's limit of it is shorter."""
    contract = demonstrations.contract
    place, added_s = contract.age_places[0], sensing.delay_steps * contract.period_s
    longest_s = added_s + max(float(e.observation[:, place].max()) for chosen in used for e in chosen)
    limit_s = contract.observation[place].maximum
    if longest_s > limit_s + 1e-9:
        text = f"found ages of up to {longest_s:g} s ({added_s:g} s of them added), expected at most {AGE}'s limit"
        raise DatasetError(f"sensing.delay_steps: {text}, {limit_s:g} s")
    return longest_s


def _used(demonstrations: Demonstrations, task: str, count: int, unseen: Mapping) -> list[Episode]:
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


def _condition_scale(whole: list[np.ndarray], config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """What standardises the observations that policies are generated for: mean and std, float32 [tasks or 1, size].

    Without task numbers, one mean and the scale within tasks: differences between layouts are what such an observation
    tells, and beside the tasks' distance they would drown.
    """
    mean, std = (np.stack([getattr(values, name)(0) for values in whole]) for name in ("mean", "std"))
    if config.normalisation == "generated":
        mean, std = mean.mean(0, keepdims=True), np.sqrt((std**2).mean(0, keepdims=True))
    return _tensor(mean), _tensor(np.maximum(std, config.smallest_std))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def _stack(values: list[np.ndarray]) -> torch.Tensor:
    return _tensor(np.stack(values))

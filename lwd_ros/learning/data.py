"""Demonstrations as tensors: per-task normalisation, the encoder's tokens, batches of (observation, action) pairs."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from lwd_ros.contract import AGE, outputs_of, stacked
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.facts import facts_of
from lwd_ros.learning.preparing import (
    action_range,
    aged,
    condition_scale,
    held_out,
    longest_age_s,
    stack,
    tensor,
    used_of,
)
from lwd_ros.learning.summary import DataSummary, Pass, TaskNormalisation, TokenScale

_LARGEST_GAIN = 30.0
"""Of errors in units of motion over those in units of range: noise of a measurement is not followed at any price."""


@dataclass(frozen=True)
class Batch:
    """Demonstrations that were drawn, each moved as a whole; and pairs to judge the policies decoded for them on.

    task int64 [B]; tokens float32 [B, tokens x features]; condition float32 [B, observations], standardised: what a
    policy is asked for; observation, action float32 [B, pairs, inputs or commands], as in `TrainingData`.
    other_condition float32 [B, observations]: where all other pairs come from one other demonstration, what its policy
    is asked for; else None.
    """

    task: torch.Tensor
    tokens: torch.Tensor
    condition: torch.Tensor
    observation: torch.Tensor
    action: torch.Tensor
    other_condition: torch.Tensor | None = None


class TrainingData(DataSummary):
    """A dataset ready for training: its summary, and all frames.

    Attributes:
        demonstrations: the dataset.
        observation, action: all frames; observations normalised with their task's numbers, actions divided by
            `action_scale` (±1); float32 [frames, ...].
        action_weight: what a squared error of each command counts, float32 [commands]; None: all alike.
        start, length: each demonstration's first frame and number of frames, int64 [demonstrations].
        first_observation: float32 [demonstrations, observations], whole, standardised.
        conditioned: whether policies are generated for an observation.
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
        demonstrations = aged(demonstrations, config.sensing)
        contract, age = demonstrations.contract, demonstrations.contract.age_place
        hidden = (*config.hide, *(() if config.sensing.observation_age else (AGE,)))  # what never varied says nothing
        scalars = contract.observation_names * contract.history  # a scalar is hidden in all its frames, or in one
        both = zip(contract.vector_names, scalars, strict=True)
        kept = [i for i, names in enumerate(both) if not set(names) & set(hidden)]
        self.indices = torch.tensor(kept)
        self.demonstrations, self.tasks, self.contract = demonstrations, demonstrations.tasks, contract
        self.digest, self.settings = demonstrations.digest, demonstrations.meta.get("settings") or {}
        self.held_out = held_out(demonstrations, config)
        used = [used_of(demonstrations, task, config.demonstrations_per_task, self.held_out) for task in self.tasks]
        episodes = [(t, e) for t, chosen in enumerate(used) for e in chosen]
        outputs = [outputs_of(contract, e.action, e.observation) for _, e in episodes]
        self.action_scale, self.action_offset = action_range(contract, np.concatenate(outputs), config)
        self.action_weight = None
        if config.action_loss == "motion":
            self.action_weight = self._motion_weight([e for _, e in episodes], np.concatenate(outputs))
        whole = [np.concatenate([e.observation for e in chosen]) for chosen in used]
        per_task = [np.concatenate([stacked(contract, e.observation)[:, kept] for e in chosen]) for chosen in used]
        self.normalisation = TaskNormalisation(
            mean=stack([v.mean(0) for v in per_task]),
            std=stack([np.maximum(v.std(0), config.smallest_std) for v in per_task]),
            minimum=stack([v.min(0) for v in per_task]),
            maximum=stack([v.max(0) for v in per_task]),
        )
        ages = [i for i in kept if i in contract.age_places]
        self._ages = [kept.index(i) for i in ages]
        self._ages_back = torch.tensor([contract.history - 1 - i // contract.frame_size for i in ages])
        if config.action_loss == "motion":
            self.passes = self._positions([e for _, e in episodes], np.concatenate(per_task), config)
        if ages:
            longest_s = longest_age_s(demonstrations, used, config.sensing)
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
        self.observation, self.action = tensor(np.concatenate(observation)), tensor(np.concatenate(action))
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
        self.condition_mean, self.condition_std = condition_scale(whole, config)
        self.first_observation = self.standardised(tensor(first), self.task)
        self.conditioned = config.condition_on_observation
        self._told, self._any = config.condition_hypernetwork, config.asked == "any"
        if self._any:
            self._whole = torch.cat([self.standardised(tensor(v), torch.tensor([t])) for t, v in enumerate(whole)])
        self._frame_tokens: torch.Tensor | None = None
        if config.autoencoder.encoder == "set":
            values = (everything - global_mean) / global_std
            self._frame_tokens = torch.cat([tensor(values), self.action], dim=1)
        self._first_of_episode = torch.repeat_interleave(self.start, self.length)
        self._sensing = config.sensing
        units = [scalar.unit for scalar in contract.observation] * contract.history
        metres = torch.tensor([units[i] == "m" for i in kept], dtype=torch.float32)
        self._noise = config.sensing.noise_m * metres / self.normalisation.std
        self._translation = config.translation
        if config.translation.range_m:
            self._prepare_translation(config, whole)

    def sample(
        self, count: int, pairs: int, own_share: float, generator: torch.Generator, near: torch.Tensor | None = None
    ) -> Batch:
        """Draw `count` demonstrations, and for each `pairs` frames to judge its policy on.

        `own_share` of the pairs come from the demonstration itself, the rest from all of its task: alone, the first
        teaches nothing about other layouts, and the second makes the latent a mere name of the task. With `near`,
        int64 [demonstrations, any], the rest comes from one of those demonstrations; and from one of its task where
        hypernetworks are told what policies are asked for, for then each of them needs its own.
        """
        chosen = self.sample_demonstrations(count, generator)
        task, own = self.task[chosen], round(pairs * own_share)
        begin = self._begin(chosen, generator)
        mine = self._frames_of(chosen, begin, own, generator)
        other = other_condition = None
        if near is not None:
            other = near[chosen, torch.randint(near.shape[1], (count,), generator=generator)]
        elif self._told and own < pairs:
            place = torch.rand(count, generator=generator) * self._demonstration_count[task]
            other = self._first_demonstration[task] + place.long()
        if other is None:
            others = self.sample_frames(task[:, None], (count, pairs - own), generator)
        else:
            other_begin = self._begin(other, generator)
            others = self._frames_of(other, other_begin, pairs - own, generator)
            other_condition = self._asked_for(other, other_begin)
        frames = torch.cat([mine, others], dim=1)
        tokens, condition = self._described(chosen, begin, generator), self._asked_for(chosen, begin)
        observation = self.sense(frames, task[:, None], generator)
        if self._translation.range_m:
            offset = self._offsets((count, 1), generator)
            tokens = tokens + (offset @ self._token_shift[task])[:, 0]
            condition = condition + (offset @ self._first_shift[task])[:, 0]
            moved = self._offsets((count, pairs - own if other is None else 1), generator)
            if other_condition is not None:
                other_condition = other_condition + (moved @ self._first_shift[task])[:, 0]
            each = [offset.expand(-1, own, -1), moved.expand(-1, pairs - own, -1)]
            observation = torch.baddbmm(observation, torch.cat(each, dim=1), self._input_shift[task])
        return Batch(task, tokens, condition, observation, self.action[frames], other_condition)

    def _begin(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The frame of each demonstration at which its policy is asked for, int64 [B], counted from its first one.

        Where any may be, it is the first one half of the time: robots mostly start there.
        """
        if not self._any:
            return torch.zeros_like(chosen)
        place = (2.0 * torch.rand(len(chosen), generator=generator) - 1.0).clamp_min(0.0)
        return (place * self.length[chosen]).long()

    def _frames_of(
        self, chosen: torch.Tensor, begin: torch.Tensor, count: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Frames of demonstrations from `begin` on, int64 [B, count]."""
        places = torch.rand((len(chosen), count), generator=generator) * (self.length[chosen] - begin)[:, None]
        return (self.start[chosen] + begin)[:, None] + places.long()

    def _asked_for(self, chosen: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
        """What is observed where policies are asked for, float32 [B, observations], standardised."""
        return self._whole[self.start[chosen] + begin] if self._any else self.first_observation[chosen]

    def _described(self, chosen: torch.Tensor, begin: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """What the encoder sees of demonstrations; of a set, other frames each time, from `begin` on."""
        if self._frame_tokens is None:
            return self.tokens[chosen]
        count, rest = self.token_scale.count, (self.length[chosen] - begin)[:, None]
        places = (torch.rand((len(chosen), count), generator=generator) * rest).long()
        time = 2.0 * places / (rest - 1).clamp_min(1) - 1.0
        frames = self._frame_tokens[(self.start[chosen] + begin)[:, None] + places]
        return torch.cat([frames, time[..., None]], dim=2).flatten(1)

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
        return tensor(np.array(weights)) ** 2

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
        stands = stack([(values != 0).any(axis=0) for values in whole])
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
        token = torch.cat([seen / tensor(scale.std), torch.zeros(*seen.shape[:2], commands + 1)], dim=2)
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

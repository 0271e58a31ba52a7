"""Diffusion Policy itself: windows of demonstrations, the loss of DDPM, sampling by DDIM."""

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn
from torch.nn import functional

from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig
from lwd_benchmarks.methods.diffusion_policy.network import ConditionalUnet
from lwd_ros.learning.data import TrainingData

_SCHEDULE = {"beta_schedule": "squaredcos_cap_v2", "clip_sample": True, "prediction_type": "epsilon"}


class DiffusionPolicy(nn.Module):
    """Sequences of actions in ±1, of normalised observations and a task.

    The condition is the last observations and a one-hot task, as the multi-task baselines have it. Normalisation is
    per task, as LWD's.
    """

    def __init__(self, data: TrainingData, config: DiffusionPolicyConfig):
        super().__init__()
        self.config, self.tasks = config, len(data.tasks)
        condition = config.observation_steps * len(data.indices) + self.tasks
        self.network = ConditionalUnet(len(data.contract.command), condition, config.channels)
        self._training = DDPMScheduler(config.training_steps, **_SCHEDULE)
        sampling = DDIMScheduler(config.training_steps, **_SCHEDULE)
        sampling.set_timesteps(config.sampling_steps)
        # The cumulative products of both ends of each step; after the last there is no noise left.
        self._steps = sampling.timesteps.tolist()
        self._alphas = [*(float(sampling.alphas_cumprod[step]) for step in self._steps), 1.0]

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Squared error of the predicted noise, of windows drawn by tasks alike, then demonstrations, then frames."""
        device = next(self.parameters()).device
        task, observation, actions = (values.to(device) for values in self.windows(data, generator))
        noise = torch.randn(actions.shape, generator=generator).to(device)
        step = torch.randint(self.config.training_steps, (len(task),), generator=generator).to(device)
        noisy = self._training.add_noise(actions, noise, step)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.bfloat16):
            predicted = self.network(noisy, step.float(), self.condition(task, observation))
        return {"loss": functional.mse_loss(predicted.float(), noise)}

    def windows(self, data: TrainingData, generator: torch.Generator):
        """task int64 [B], observation [B, observation steps, inputs], actions [B, prediction horizon, commands].

        Before the first frame stands the first again, after the last action the last.
        """
        config = self.config
        chosen = data.sample_demonstrations(config.batch, generator)
        length, start = data.length[chosen, None], data.start[chosen, None]
        place = (torch.rand((config.batch, 1), generator=generator) * length).long()
        place[torch.rand((config.batch, 1), generator=generator) < config.first_share] = 0
        seen = (place + torch.arange(1 - config.observation_steps, 1)).clamp_min(0)
        ahead = torch.minimum(place + torch.arange(config.prediction_horizon), length - 1)
        task = data.task[chosen]
        observation = data.sense(start + seen, task[:, None], generator, delays=(config.batch, 1))
        return task, observation, data.action[start + ahead]

    def condition(self, task: torch.Tensor, observation: torch.Tensor) -> torch.Tensor:
        """float32 [B, condition] of tasks [B] and normalised observations [B, observation steps, inputs]."""
        return torch.cat([observation.flatten(1), functional.one_hot(task, self.tasks).to(observation)], dim=1)

    def forward(self, noise: torch.Tensor, task: torch.Tensor, observation: torch.Tensor) -> torch.Tensor:
        """DDIM (Song et al. 2021, arXiv 2010.02502) without noise: actions [B, T, commands]; unrolls when exported.

        Coefficients are the scheduler's, whose own `step` does not trace.
        """
        x, condition = noise, self.condition(task, observation)
        for place, step in enumerate(self._steps):
            alpha, after = self._alphas[place], self._alphas[place + 1]
            predicted = self.network(x, torch.full_like(noise[:, 0, 0], step), condition)
            clean = ((x - (1 - alpha) ** 0.5 * predicted) / alpha**0.5).clamp(-1.0, 1.0)
            x = after**0.5 * clean + (1 - after) ** 0.5 * predicted
        return x.clamp(-1.0, 1.0)

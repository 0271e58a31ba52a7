"""Stage 2: the distribution of latents, learned by rectified flow on standardised posterior means."""

from itertools import pairwise

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import nn
from torch.nn import functional

from lwd_ros.learning.config import DiffusionConfig
from lwd_ros.learning.devices import WHOLE, Share
from lwd_ros.learning.networks import LatentDenoiser


def noise_schedule() -> FlowMatchEulerDiscreteScheduler:
    """Straight paths from data (sigma 0) to noise (sigma 1), Euler steps between them."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)


class LatentDiffusion(nn.Module):
    """A conditional sampler of latents: standardisation, denoiser and noise schedule."""

    def __init__(self, latents: torch.Tensor, task: torch.Tensor, condition_size: int, config: DiffusionConfig):
        """Take the scale of latents, float32 [demonstrations, latent], of tasks int64 [demonstrations]."""
        super().__init__()
        self.config = config
        # Unscaled latents are a known cause of failure of latent diffusion. Each task has its own scale: tasks lie far
        # apart, and beside their distance the differences within one, the goal among them, would drown.
        tasks = [latents[task == place] for place in range(int(task.max()) + 1)]
        self.register_buffer("mean", torch.stack([values.mean(0) for values in tasks]))
        smallest = 1e-3 * latents.std(0) + 1e-6
        self.register_buffer("std", torch.stack([values.std(0, correction=0).maximum(smallest) for values in tasks]))
        self.denoiser = LatentDenoiser(latents.shape[1], len(tasks), condition_size, config.width, config.blocks)
        self._training_sigmas = noise_schedule().sigmas
        schedule = noise_schedule()
        schedule.set_timesteps(config.sampling_steps)
        self._sampling_sigmas = schedule.sigmas.tolist()

    def loss(
        self, latents, task, condition, generator: torch.Generator, share: Share = WHOLE
    ) -> dict[str, torch.Tensor]:
        """Squared error of the predicted velocity, noise - data: the mean over a `share` of the batch.

        Args:
            latents: float32 [B, latent].
            task: int64 [B].
            condition: float32 [B, condition], or None where there is none.
            generator: of the noise, on the CPU.
        """
        device = self.mean.device
        noise = share.of(torch.randn(latents.shape, generator=generator)).to(device)
        step = share.of(torch.randint(len(self._training_sigmas), (len(latents),), generator=generator))
        latents, task, condition = share.of(latents), share.of(task).to(device), share.of(condition)
        data = (latents.to(device) - self.mean[task]) / self.std[task]
        sigma = self._training_sigmas[step].to(device)
        noisy = torch.lerp(data, noise, sigma[:, None])
        given = None if condition is None else condition.to(device)
        velocity = self.denoiser(noisy, sigma, task, given)
        return {"loss": functional.mse_loss(velocity, noise - data)}

    def forward(self, noise: torch.Tensor, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Integrate from `noise` [B, latent] to latents [B, latent]; the loop unrolls when it is exported.

        The sigmas are the scheduler's, the steps those of its `step`, whose own code does not trace.
        """
        x = noise
        for now, after in pairwise(self._sampling_sigmas):
            velocity = self.denoiser(x, torch.full_like(x[:, 0], now), task, condition)
            x = x + (after - now) * velocity
        return x * self.std[task] + self.mean[task]

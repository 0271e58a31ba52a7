"""Stage 2: the distribution of latents, learned by rectified flow on standardised posterior means."""

from itertools import pairwise
from typing import Optional

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import nn
from torch.nn import functional

from lwd_ros.learning.config import DiffusionConfig
from lwd_ros.learning.devices import WHOLE, Share
from lwd_ros.learning.networks import LatentDenoiser, mlp
from lwd_ros.learning.trainer import one_cycle

_FIT_STEPS = 3000  # of the latents' scale

SMALLEST_SIGMA = 1e-3
"""Of the last step but one of the sampling loop: 1 in 1000 training steps."""


def noise_schedule() -> FlowMatchEulerDiscreteScheduler:
    """Straight paths from data (sigma 0) to noise (sigma 1), Euler steps between them."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)


class LatentScale(nn.Module):
    """Mean and standard deviation of the latents of a condition, [B, latent] each, from the condition itself.

    A small network that is fitted once to the scale of each task's latents, and stays: its numbers are buffers.
    """

    def __init__(self, latent_size: int, tasks: int, condition_size: int, width: int):
        super().__init__()
        self.task = nn.Embedding(tasks, width)
        self.condition = mlp((condition_size, width)) if condition_size else None
        self.body = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * latent_size))
        self.register_buffer("centre", torch.zeros(latent_size))
        self.register_buffer("spread", torch.ones(latent_size))
        _freeze(self)

    def forward(self, task: torch.Tensor, condition: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        context = self.task(task)
        if self.condition is not None:
            context = context + self.condition(condition)
        place, size = self.body(context).chunk(2, dim=-1)
        return self.centre + self.spread * place, self.spread * size.exp()

    def fit(self, mean: torch.Tensor, std: torch.Tensor, task: torch.Tensor, condition: torch.Tensor | None) -> None:
        """Learn `mean` and `std` [tasks, latent] from tasks int64 [N] and their conditions [N, condition]."""
        self.centre.copy_(mean.mean(0))
        self.spread.copy_(((std**2).mean(0) + mean.var(0, correction=0)).sqrt())
        numbers = [value.requires_grad_() for name, value in self.named_buffers() if name not in ("centre", "spread")]
        optimiser = torch.optim.Adam(numbers)
        generator = torch.Generator().manual_seed(len(task))
        for step in range(_FIT_STEPS):
            optimiser.param_groups[0]["lr"] = one_cycle(step, _FIT_STEPS, 1e-2)
            rows = torch.randint(len(task), (256,), generator=generator)
            found = self(task[rows], None if condition is None else condition[rows])
            expected_mean, expected_std = mean[task[rows]], std[task[rows]]
            zero = torch.zeros_like(expected_std)
            loss = functional.huber_loss((found[0] - expected_mean) / expected_std, zero)
            loss = loss + functional.huber_loss((found[1] / expected_std).log(), zero)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for value in numbers:
            value.requires_grad_(False).grad = None


def _freeze(module: nn.Module) -> None:
    """Turn parameters into buffers, which no trainer moves."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, value.detach())


class SteppedFlow(nn.Module):
    """The sampling loop with a number of steps that is an input, as TorchScript, which an exported graph keeps a loop.

    Its sigmas are those of `noise_schedule`.
    """

    def __init__(self, denoiser: nn.Module):
        super().__init__()
        self.denoiser, self.smallest_sigma = denoiser, SMALLEST_SIGMA

    def forward(
        self,
        noise: torch.Tensor,
        task: torch.Tensor,
        condition: Optional[torch.Tensor],  # noqa: UP045, for TorchScript
        steps: torch.Tensor,
    ) -> torch.Tensor:
        x = noise
        count = int(steps[0])
        drop = (1.0 - self.smallest_sigma) / torch.clamp(steps[0].float() - 1.0, min=1.0)
        last = steps[0] - 1
        for step in range(count):
            now = 1.0 - drop * step
            after = torch.where(last == step, torch.zeros_like(now), now - drop)
            velocity = self.denoiser(x, now.expand(x.shape[0]), task, condition)
            x = x + (after - now) * velocity
        return x


class LatentDiffusion(nn.Module):
    """A conditional sampler of latents: standardisation, denoiser and noise schedule.

    Unscaled latents are a known cause of failure of latent diffusion. Each task has its own scale: tasks lie far apart,
    and beside their distance the differences within one, the goal among them, would drown. That scale is a table
    (`mean`, `std` float32 [tasks, latent]), or the output of a network of the conditions (`scale`).
    """

    def __init__(self, latent_size: int, tasks: int, condition_size: int, config: DiffusionConfig, table: bool = True):
        """A sampler whose scale is not known yet; `condition_size` is 0 where there is no condition but the task."""
        super().__init__()
        self.config, self.scale = config, None
        self.denoiser = LatentDenoiser(latent_size, tasks, condition_size, config.width, config.blocks)
        if table:
            self.register_buffer("mean", torch.zeros(tasks, latent_size))
            self.register_buffer("std", torch.ones(tasks, latent_size))
        else:
            self.scale = LatentScale(latent_size, tasks, condition_size, config.width)
        self._training_sigmas = noise_schedule().sigmas
        schedule = noise_schedule()
        schedule.set_timesteps(config.sampling_steps)
        self._sampling_sigmas = schedule.sigmas.tolist()

    def set_scale(
        self,
        latents: torch.Tensor,
        task: torch.Tensor,
        condition: torch.Tensor | None,
        left_open: torch.Tensor | None = None,
    ) -> None:
        """Take the scale of latents, float32 [N, latent], of tasks int64 [N] and, where there are any, conditions.

        With `left_open`, float32 [N, latent], the posterior's standard deviations, places that tell nothing are not
        blown up to unit variance: what is learned of them is that they are small.
        """
        tasks = [latents[task == place] for place in range(self.denoiser.task.num_embeddings)]
        smallest = 1e-3 * latents.std(0) + 1e-6
        mean = torch.stack([values.mean(0) for values in tasks])
        std = torch.stack([values.std(0, correction=0).maximum(smallest) for values in tasks])
        if left_open is not None:
            each = [(left_open[task == place] ** 2).mean(0) for place in range(len(tasks))]
            std = (std**2 + torch.stack(each)).sqrt()
        if self.scale is None:
            self.mean.copy_(mean)
            self.std.copy_(std)
        else:
            self.scale.fit(mean, std, task, condition)

    def scale_of(self, task: torch.Tensor, condition: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents of conditions, [B, latent] each."""
        return (self.mean[task], self.std[task]) if self.scale is None else self.scale(task, condition)

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
        device = self.denoiser.input.weight.device
        noise = share.of(torch.randn(latents.shape, generator=generator)).to(device)
        step = share.of(torch.randint(len(self._training_sigmas), (len(latents),), generator=generator))
        latents, task, condition = share.of(latents), share.of(task).to(device), share.of(condition)
        given = None if condition is None else condition.to(device)
        mean, std = self.scale_of(task, given)
        data = (latents.to(device) - mean) / std
        sigma = self._training_sigmas[step].to(device)
        noisy = torch.lerp(data, noise, sigma[:, None])
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
        return self.scaled(x, task, condition)

    def scaled(self, x: torch.Tensor, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Latents [B, latent] of `x` [B, latent], which has unit variance."""
        if self.scale is None:  # in this order, which is that of the graph in a model file
            return x * self.std[task] + self.mean[task]
        mean, std = self.scale(task, condition)
        return x * std + mean

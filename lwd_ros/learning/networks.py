"""The three networks of Latent Weight Diffusion (arXiv 2410.14040, section 3) and the batched policy they make."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Optional

import torch
from torch import nn
from torch.nn import functional

from lwd_ros.learning.summary import Pass, TaskNormalisation
from lwd_ros.policy import PolicyLayout


def mlp(sizes: Sequence[int], norm: bool = False) -> nn.Sequential:
    """Linear layers with SiLU after each, LayerNorm before it where asked."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), *([nn.LayerNorm(outputs)] if norm else []), nn.SiLU()]
    return nn.Sequential(*layers)


class TrajectoryEncoder(nn.Module):
    """A demonstration's tokens [B, tokens x features] to the posterior's mean and log variance, each [B, latent]."""

    def __init__(self, inputs: int, layers: Sequence[int], latent_size: int):
        super().__init__()
        self.body = mlp((inputs, *layers))
        self.head = nn.Linear(layers[-1], 2 * latent_size)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.head(self.body(tokens)).chunk(2, dim=-1)
        return mean, log_variance.clamp(-20.0, 4.0)


class SetEncoder(nn.Module):
    """Any number of a demonstration's frames, as tokens [B, frames x features], to mean and log variance [B, latent].

    Frames are described one by one, and pooled: their mean, and a few weighted means whose weights are learned (Lee et
    al. 2019, arXiv 1810.00825, section 3.2). So their number and their rate may be any.
    """

    _SEEDS = 4  # weighted means

    def __init__(self, features: int, layers: Sequence[int], latent_size: int):
        super().__init__()
        self.features, width = features, layers[0] // 2
        self.frame = mlp((features, width, width))
        self.score = nn.Linear(width, self._SEEDS)
        self.body = mlp(((1 + self._SEEDS) * width, layers[-1]))
        self.head = nn.Linear(layers[-1], 2 * latent_size)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        frames = self.frame(tokens.unflatten(1, (-1, self.features)))
        weights = self.score(frames).softmax(dim=1)
        pooled = torch.cat([frames.mean(dim=1), (weights.transpose(1, 2) @ frames).flatten(1)], dim=1)
        mean, log_variance = self.head(self.body(pooled)).chunk(2, dim=-1)
        return mean, log_variance.clamp(-20.0, 4.0)


_BIAS, _SLOPE = 4.0, 0.25
"""Of units that pass a number on: within 4 standard deviations a rectifier does so exactly, a tanh nearly."""


def initial_policy(layout: PolicyLayout, passes: Sequence[Pass] = ()) -> torch.Tensor:
    """He-initialised weights of one policy, biases 0, float32 [P].

    A command of `passes` begins at its measured position: a unit of each hidden layer passes that on. So policies learn
    how to move, and what they have not seen leaves them about where they are.
    """
    weights = torch.zeros(layout.parameters)
    for w, _, (outputs, inputs) in layout.slices():
        weights[w] = torch.randn(outputs * inputs) * math.sqrt(2.0 / inputs)
    relu, slices = layout.hidden_activation == "relu", layout.slices()
    slope, bias = (1.0, _BIAS) if relu else (_SLOPE, 0.0)
    for unit, each in enumerate(passes[: min(layout.layer_sizes[1:-1], default=0) // 2]):
        for place, (w, b, shape) in enumerate(slices):
            matrix, row = weights[w].view(shape), unit
            if place == len(slices) - 1:
                row = each.output
                matrix[:, unit] = 0.0
                matrix[row] *= 0.1
                matrix[row, unit] = each.gain / slope
                weights[b][row] = each.offset - each.gain * bias / slope
                continue
            matrix[row] = 0.0
            matrix[row, each.input if place == 0 else unit] = slope if place == 0 else 1.0
            weights[b][row] = bias if place == 0 else 0.0
    return weights


class HyperNetwork(nn.Module):
    """A latent [B, latent], and where it is told one a condition [B, condition], to policy weights [B, P].

    They are a learned base plus a scaled head.

    The base starts as a He-initialised policy and the head small, so training begins at a sane policy that all
    latents share; the head's output is divided by the square root of each layer's inputs to keep one scale.
    """

    def __init__(
        self,
        latent_size: int,
        layers: Sequence[int],
        layout: PolicyLayout,
        passes: Sequence[Pass] = (),
        condition_size: int = 0,
    ):
        super().__init__()
        self.told = condition_size > 0
        self.trunk = mlp((latent_size + condition_size, *layers), norm=True)
        self.head = nn.Linear(layers[-1], layout.parameters)
        self.base = nn.Parameter(initial_policy(layout, passes))
        scale = torch.empty(layout.parameters)
        for w, b, (_, inputs) in layout.slices():
            scale[w] = scale[b] = 1.0 / math.sqrt(inputs)
        self.register_buffer("scale", scale)
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(layers[-1]))
        nn.init.zeros_(self.head.bias)

    def forward(self, latent: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        told = torch.cat([latent, condition], dim=1) if self.told and condition is not None else latent
        return self.base + self.scale * self.head(self.trunk(told))


class NormalisationHead(nn.Module):
    """A latent [B, latent] to the normalisation of its policy, [B, inputs] each; needs no number of a task.

    It starts at the scale of the whole dataset, for all latents alike.
    """

    def __init__(self, latent_size: int, width: int, mean: torch.Tensor, std: torch.Tensor, smallest_std: float):
        """`mean` and `std` of the whole dataset, float32 [inputs]; no policy divides by less than `smallest_std`."""
        super().__init__()
        self.trunk = mlp((latent_size, width), norm=True)
        self.head = nn.Linear(width, 4 * len(mean))
        self.register_buffer("centre", mean)
        self.register_buffer("spread", std)
        self.smallest_std = smallest_std
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(width))
        nn.init.zeros_(self.head.bias)

    def forward(self, latent: torch.Tensor) -> TaskNormalisation:
        place, size, below, above = self.head(self.trunk(latent)).chunk(4, dim=-1)
        mean = self.centre + self.spread * place
        std = (self.spread * size.clamp(-12.0, 4.0).exp()).clamp_min(self.smallest_std)
        return TaskNormalisation(
            mean, std, mean - std * functional.softplus(below), mean + std * functional.softplus(above)
        )


def normalisation_error(predicted: TaskNormalisation, expected: TaskNormalisation) -> torch.Tensor:
    """Mean Huber loss of a normalisation [B, inputs], in units of the expected standard deviation."""
    zero, unit = torch.zeros_like(expected.std), expected.std
    return sum(
        functional.huber_loss(found, zero)
        for found in (
            (predicted.mean - expected.mean) / unit,
            (predicted.std / unit).log(),
            (predicted.minimum - expected.minimum) / unit,
            (predicted.maximum - expected.maximum) / unit,
        )
    )


class LatentDenoiser(nn.Module):
    """Velocity of rectified flow: noisy latent [B, latent], time [B] in 0..1, task [B], condition -> [B, latent]."""

    def __init__(self, latent_size: int, tasks: int, condition_size: int, width: int, blocks: int):
        super().__init__()
        self.task = nn.Embedding(tasks, width)
        self.input = nn.Linear(latent_size, width)
        self.condition = mlp((condition_size, width)) if condition_size else None
        self.register_buffer("frequencies", 2.0 ** torch.arange(8) * math.pi)
        self.time = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, latent_size))

    def forward(
        self,
        latent: torch.Tensor,
        time: torch.Tensor,
        task: torch.Tensor,
        condition: Optional[torch.Tensor] = None,  # noqa: UP045, for TorchScript
    ) -> torch.Tensor:
        angles = time[:, None] * self.frequencies
        context = self.task(task) + self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
        if self.condition is not None and condition is not None:
            context = context + self.condition(condition)
        x = self.input(latent)
        for block in self.blocks:
            x = x + block(x + context)
        return self.output(x)


def policy_forward(layout: PolicyLayout, weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Evaluate B policies, weights [B, P], each on its own normalised inputs [B, N, inputs] -> [B, N, outputs]."""
    activation = {"tanh": torch.tanh, "relu": functional.relu}[layout.hidden_activation]
    x, slices = inputs, layout.slices()
    for place, (w, b, (outputs, size)) in enumerate(slices):
        matrix = weights[:, w].reshape(-1, outputs, size)
        x = torch.baddbmm(weights[:, None, b], x, matrix.transpose(1, 2))
        if place < len(slices) - 1:
            x = activation(x)
    return torch.tanh(x) if layout.output_activation == "tanh" else x


def squared_matrices(layout: PolicyLayout, weights: torch.Tensor) -> torch.Tensor:
    """Mean over B policies, weights [B, P], of their squared weights that are no biases: a scalar."""
    return torch.stack([(weights[:, matrix] ** 2).sum(dim=1).mean() for matrix, _, _ in layout.slices()]).sum()


def cloning_error(
    predicted: torch.Tensor, action: torch.Tensor, command_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Squared error of actions in units of ±1, elementwise; none where both lie beyond the same limit.

    With `command_weight` [commands], each command's errors are multiplied by its number.

    Commands are clipped when they are executed, so a label at the limit only says "at least so much". Asking for the
    limit itself would bend a policy that is best steep and straight, as the proportional controllers that it imitates.
    """
    error, limit = predicted - action, 1.0 - 1e-6  # labels come through float32
    beyond = ((action >= limit) & (error > 0.0)) | ((action <= -limit) & (error < 0.0))
    squared = error.masked_fill(beyond, 0.0) ** 2
    return squared if command_weight is None else squared * command_weight.to(squared)

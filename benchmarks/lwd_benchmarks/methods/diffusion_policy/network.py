"""The noise predictor of Diffusion Policy: a one-dimensional U-Net over time, conditioned by FiLM (section 3.1)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

KERNEL, GROUPS, STEP_FEATURES = 5, 8, 256


class ConvBlock(nn.Sequential):
    """Convolution over time, GroupNorm, Mish: [B, inputs, T] to [B, outputs, T]."""

    def __init__(self, inputs: int, outputs: int):
        convolution = nn.Conv1d(inputs, outputs, KERNEL, padding=KERNEL // 2)
        super().__init__(convolution, nn.GroupNorm(GROUPS, outputs), nn.Mish())


class ResidualBlock(nn.Module):
    """Two convolution blocks with FiLM (Perez et al. 2018, arXiv 1709.07871) between them, and a skip connection."""

    def __init__(self, inputs: int, outputs: int, condition: int):
        super().__init__()
        self.first, self.second = ConvBlock(inputs, outputs), ConvBlock(outputs, outputs)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, bias = self.film(condition)[:, :, None].chunk(2, dim=1)
        return self.second(scale * self.first(x) + bias) + self.skip(x)


class StepEncoder(nn.Module):
    """A diffusion step [B] to features [B, STEP_FEATURES]: sinusoids, then an MLP."""

    def __init__(self):
        super().__init__()
        half = STEP_FEATURES // 2
        self.register_buffer("frequencies", torch.exp(torch.arange(half) * -(math.log(10_000) / (half - 1))))
        hidden = 4 * STEP_FEATURES
        self.mlp = nn.Sequential(nn.Linear(STEP_FEATURES, hidden), nn.Mish(), nn.Linear(hidden, STEP_FEATURES))

    def forward(self, step: torch.Tensor) -> torch.Tensor:
        angles = step[:, None] * self.frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))


class ConditionalUnet(nn.Module):
    """Noise in a sequence of actions [B, T, actions]; T must be divisible by 2 once per level but the last."""

    def __init__(self, actions: int, condition: int, channels: Sequence[int]):
        super().__init__()
        self.step = StepEncoder()
        condition += STEP_FEATURES
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for place, (inputs, outputs) in enumerate(pairwise((actions, *channels))):
            last = place == len(channels) - 1
            resample = nn.Identity() if last else nn.Conv1d(outputs, outputs, 3, stride=2, padding=1)
            self.down.append(_level(inputs, outputs, condition, resample))
        top = channels[-1]
        self.middle = nn.ModuleList([ResidualBlock(top, top, condition) for _ in range(2)])
        for outputs, inputs in reversed(list(pairwise(channels))):
            resample = nn.ConvTranspose1d(outputs, outputs, 4, stride=2, padding=1)
            self.up.append(_level(2 * inputs, outputs, condition, resample))
        self.output = nn.Sequential(ConvBlock(channels[0], channels[0]), nn.Conv1d(channels[0], actions, 1))

    def forward(self, actions: torch.Tensor, step: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Predicted noise [B, T, actions] of noisy actions, their diffusion step [B] and a condition [B, features]."""
        given = torch.cat([self.step(step), condition], dim=1)
        x, skips = actions.transpose(1, 2), []
        for first, second, resample in self.down:
            x = second(first(x, given), given)
            skips.append(x)
            x = resample(x)
        for block in self.middle:
            x = block(x, given)
        for first, second, resample in self.up:
            x = torch.cat([x, skips.pop()], dim=1)
            x = resample(second(first(x, given), given))
        return self.output(x).transpose(1, 2)


def _level(inputs: int, outputs: int, condition: int, resample: nn.Module) -> nn.ModuleList:
    """Two residual blocks, and what changes the length of the sequence after them."""
    return nn.ModuleList(
        [ResidualBlock(inputs, outputs, condition), ResidualBlock(outputs, outputs, condition), resample]
    )

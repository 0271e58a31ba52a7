"""How long a step of each stage takes on this machine, from a few of them that nothing remembers."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

_WARM, _TIMED = 5, 25
"""Steps: the first ones prepare memory and are slower."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one step of each stage."""

    autoencoder_s: float
    diffusion_s: float


def step_s(module: nn.Module, loss: Callable[[torch.Generator], dict], device: torch.device) -> float:
    """Seconds of an optimiser step of `module`, which is used up: the lower quartile of some.

    The median would count what else this machine does just now.
    """
    module = module.to(device)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
    average = [parameter.detach().clone() for parameter in module.parameters()]
    generator, times = torch.Generator().manual_seed(0), []
    for _ in range(_WARM + _TIMED):
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss(generator)["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in module.parameters()], 0.1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return sorted(times[_WARM:])[_TIMED // 4]

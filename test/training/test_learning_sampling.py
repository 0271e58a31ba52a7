"""Latents from the denoiser: the scheduler's steps, and the scale that belongs to a condition."""

import pytest
import torch

from lwd_ros.learning.config import DiffusionConfig
from lwd_ros.learning.diffusion import LatentDiffusion, noise_schedule


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_sampling_is_the_schedulers_euler_steps(steps):
    torch.manual_seed(0)
    latents = 3.0 * torch.randn(50, 4) + 1.0
    owner = torch.arange(50) % 2
    model = LatentDiffusion(4, 2, 0, DiffusionConfig(sampling_steps=steps, width=16, blocks=1)).eval()
    model.set_scale(latents, owner, None)
    noise, task = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])
    scheduler = noise_schedule()
    scheduler.set_timesteps(steps)
    x = noise
    with torch.no_grad():
        for place, time in enumerate(scheduler.timesteps):
            sigma = scheduler.sigmas[place]
            assert float(time) == pytest.approx(1000 * float(sigma))
            velocity = model.denoiser(x, torch.full((5,), float(sigma)), task)
            x = scheduler.step(velocity, time, x).prev_sample
        scale = [(latents[owner == t].std(0, correction=0), latents[owner == t].mean(0)) for t in task.tolist()]
        expected = torch.stack([row * std + mean for row, (std, mean) in zip(x, scale, strict=True)])
        assert float(scheduler.sigmas[0]) == 1.0 and float(scheduler.sigmas[-1]) == 0.0
        torch.testing.assert_close(model(noise, task, None), expected, atol=1e-5, rtol=1e-5)


def test_the_scale_of_latents_comes_from_their_conditions():
    """A network of the conditions tells every task's scale, however much smaller it is than the tasks' distance."""
    torch.manual_seed(0)
    owner = torch.arange(400) % 4
    spread = torch.tensor([1.0, 0.1, 0.02, 0.5])
    latents = 3.0 * torch.randn(4, 6)[owner] + spread[owner, None] * torch.randn(400, 6)
    seen = torch.randn(400, 3)
    model = LatentDiffusion(6, 4, 3, DiffusionConfig(width=32, blocks=1), table=False)
    parameters = {name for name, _ in model.named_parameters()}
    model.set_scale(latents, owner, seen)
    assert {name for name, _ in model.named_parameters()} == parameters  # no trainer moves the scale
    assert not any(name.startswith("scale.") for name in parameters)
    assert any(name.startswith("scale.") for name in model.state_dict()) and "mean" not in model.state_dict()
    mean, std = model.scale_of(owner, seen)
    for task in range(4):
        own = latents[owner == task]
        assert ((mean[owner == task] - own.mean(0)) / own.std(0)).abs().max() < 0.2
        assert (std[owner == task] / own.std(0)).log().abs().max() < 0.2

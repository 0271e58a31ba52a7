"""A finished run without its model file: demonstrations to latents, noise to latents, latents to policies."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from lwd_ros.dataset import Episode
from lwd_ros.learning.train import TrainedRun
from lwd_ros.policy import Policy


@torch.no_grad()
def encode(run: TrainedRun, episodes: Sequence[Episode]) -> np.ndarray:
    """Posterior means of demonstrations, in the run's dataset or not: float32 [episodes, latent]."""
    return run.autoencoder.encode(run.data.tokens_of(episodes)).numpy()


@torch.no_grad()
def sample(run: TrainedRun, task: str, seeds: Sequence[int], observations: np.ndarray | None = None) -> np.ndarray:
    """Latents by diffusion, float32 [seeds, latent]: those that the run's model file decodes for these seeds.

    `observations` [seeds, observations] in the contract's units are needed by a run that is conditioned on them, and
    ignored by others.
    """
    number, data = run.data.tasks.index(task), run.data
    shape = (1, run.config.autoencoder.latent_size)
    noise = [np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) for seed in seeds]
    condition = None
    if run.config.condition_on_observation:
        given = torch.tensor(np.asarray(observations), dtype=torch.float32)
        condition = (given - data.condition_mean[number]) / data.condition_std[number]
    return run.diffusion(torch.tensor(np.concatenate(noise)), torch.full((len(noise),), number), condition).numpy()


@torch.no_grad()
def decode(run: TrainedRun, task: str, latents: np.ndarray) -> list[Policy]:
    """The policies of latents [N, latent], with the normalisation of `task`.

    Raises:
        PolicyError: decoded weights must not run.
    """
    data, digest, number = run.data, run_digest(run), run.data.tasks.index(task)
    latents = np.asarray(latents, dtype=np.float32)
    ranges = data.normalisation
    return [
        Policy(
            layout=run.autoencoder.layout,
            weights=weights,
            observation_indices=data.indices.numpy(),
            observation_mean=ranges.mean[number].numpy(),
            observation_std=ranges.std[number].numpy(),
            observation_minimum=ranges.minimum[number].numpy(),
            observation_maximum=ranges.maximum[number].numpy(),
            action_offset=data.action_offset.numpy(),
            action_scale=data.action_scale.numpy(),
            contract_digest=data.contract.digest,
            model_digest=digest,
            latent_digest=hashlib.sha256(latent.tobytes()).hexdigest(),
            task=task,
        )
        for weights, latent in zip(run.autoencoder.hypernetwork(torch.tensor(latents)).numpy(), latents, strict=True)
    ]


def run_digest(run: TrainedRun) -> str:
    """SHA-256 of a run's networks, 64 hex digits; not that of its model file."""
    total = hashlib.sha256()
    for module in (run.autoencoder, run.diffusion):
        for name, value in module.state_dict().items():
            total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()

"""A finished run without its model file: demonstrations to latents, noise to latents, latents to policies."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from lwd_ros.dataset import DatasetError, Episode
from lwd_ros.generator import ModelError
from lwd_ros.learning.summary import TaskNormalisation
from lwd_ros.learning.train import TrainedRun
from lwd_ros.policy import Policy

_FEWEST = 2  # frames


@torch.no_grad()
def encode(run: TrainedRun, episodes: Sequence[Episode]) -> np.ndarray:
    """Posterior means of demonstrations or of parts of them, in the run's dataset or not: float32 [episodes, latent].

    Raises:
        DatasetError: one has a single frame, which says nothing of what is done.
    """
    for place, episode in enumerate(episodes):
        if len(episode.action) < _FEWEST:
            frames = f"{len(episode.action)} frame{'s' if len(episode.action) != 1 else ''}"
            raise DatasetError(f"demonstration {place}: found {frames}, expected {_FEWEST} at least to encode")
    return run.autoencoder.encode(run.data.tokens_of(episodes)).numpy()


@torch.no_grad()
def sample(run: TrainedRun, task: str, seeds: Sequence[int], observations: np.ndarray | None = None) -> np.ndarray:
    """Latents by diffusion, float32 [seeds, latent]: those that the run's model file decodes for these seeds.

    `observations` [seeds, observations] in the contract's units are needed by a run that is conditioned on them, and
    ignored by others.
    """
    shape = (1, run.config.autoencoder.latent_size)
    noise = [np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) for seed in seeds]
    tasks, condition = torch.full((len(noise),), _number(run, task)), None
    if run.config.condition_on_observation:
        condition = _standardised(run, task, observations)
    return run.diffusion(torch.tensor(np.concatenate(noise)), tasks, condition).numpy()


@torch.no_grad()
def decode(
    run: TrainedRun, latents: np.ndarray, task: str = "", observations: np.ndarray | None = None
) -> list[Policy]:
    """The policies of latents [N, latent].

    Args:
        run: a finished run.
        latents: of demonstrations, or sampled.
        task: what the policies are for. Where the run's policies are normalised by their task's numbers, one of its
            tasks; elsewhere any name, or none.
        observations: [N, observations] in the contract's units, which a run with `condition_hypernetwork` needs: what
            the policies are asked for. Others ignore them.

    Raises:
        ModelError: the normalisation is the task's and the run does not know the task.
        PolicyError: decoded weights must not run.
    """
    data, digest = run.data, run_digest(run)
    latents = np.asarray(latents, dtype=np.float32)
    if run.autoencoder.normalisation is not None:
        ranges = run.autoencoder.normalisation(torch.tensor(latents))
    else:
        places = torch.full((len(latents),), _number(run, task))
        ranges = TaskNormalisation(*(values[places] for values in vars(data.normalisation).values()))
    told = _standardised(run, task, observations) if run.config.condition_hypernetwork else None
    weights = run.autoencoder.hypernetwork(torch.tensor(latents), told).numpy()
    return [
        Policy(
            layout=run.autoencoder.layout,
            weights=weights[row],
            observation_indices=data.indices.numpy(),
            observation_mean=ranges.mean[row].numpy(),
            observation_std=ranges.std[row].numpy(),
            observation_minimum=ranges.minimum[row].numpy(),
            observation_maximum=ranges.maximum[row].numpy(),
            action_offset=data.action_offset.numpy(),
            action_scale=data.action_scale.numpy(),
            contract_digest=data.contract.digest,
            model_digest=digest,
            latent_digest=hashlib.sha256(latent.tobytes()).hexdigest(),
            task=task,
        )
        for row, latent in enumerate(latents)
    ]


def _standardised(run: TrainedRun, task: str, observations: np.ndarray | None) -> torch.Tensor:
    """Observations of a task as the run's networks see them; ModelError where there are none."""
    if observations is None:
        raise ModelError(f"the run '{run.config.name}' is conditioned on an observation: found none")
    values = torch.tensor(np.asarray(observations), dtype=torch.float32)
    return run.data.standardised(values, torch.full((len(values),), _number(run, task)))


def _number(run: TrainedRun, task: str) -> int:
    """A task's number; ModelError where the run knows none."""
    if task not in run.data.tasks:
        raise ModelError(
            f"task '{task}' is unknown to the run '{run.config.name}'; it knows {', '.join(run.data.tasks)}"
        )
    return run.data.tasks.index(task)


def run_digest(run: TrainedRun) -> str:
    """SHA-256 of a run's networks, 64 hex digits; not that of its model file."""
    total = hashlib.sha256()
    for module in (run.autoencoder, run.diffusion):
        for name, value in module.state_dict().items():
            total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()

"""A Gaussian mixture in the place of the latent diffusion: fitted by EM, as large as its BIC says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from lwd_benchmarks.methods.latents import Encoded, LatentGraph, draw, rows, uniform
from lwd_ros.learning.train import TrainedRun

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48)
COVARIANCES = ("full", "tied", "diag")
"""What BIC chooses among."""

_SMALLEST = 1e-3  # directions of the condition that vary less than the widest by this factor say nothing
_NEVER = -1e30  # logarithm of the weight of a component that pads


@dataclass(frozen=True)
class Mixture:
    """A mixture over (latent, condition), both standardised: float64.

    weights [K]; means [K, latent + condition]; covariances [K, latent + condition, latent + condition].
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def fit(points: np.ndarray, components: Sequence[int] = COMPONENTS, seed: int = 0) -> Mixture:
    """The mixture of the lowest BIC on `points`, float64 [N, dimensions], with at least two points a component."""
    tried = [
        GaussianMixture(count, covariance_type=kind, random_state=seed, reg_covar=1e-5, max_iter=300).fit(points)
        for count in components
        for kind in COVARIANCES
        if 2 * count <= len(points) or count == 1
    ]
    best = min(tried, key=lambda each: each.bic(points))
    size = points.shape[1]
    kinds = {
        "full": lambda found: found,
        "tied": lambda found: np.broadcast_to(found, (best.n_components, size, size)),
        "diag": lambda found: np.stack([np.diag(row) for row in found]),
    }
    return Mixture(best.weights_, best.means_, kinds[best.covariance_type](best.covariances_))


def whitening(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and matrix [D, kept] that make rows of `values` [N, D] uncorrelated and of variance 1.

    Directions in which they do not vary are left out: a scene has fewer degrees of freedom than scalars.
    """
    mean = values.mean(axis=0)
    _, scales, directions = np.linalg.svd((values - mean) / np.sqrt(len(values)), full_matrices=False)
    kept = scales > max(_SMALLEST * scales[0], 1e-9)
    return mean, (directions[kept] / scales[kept, None]).T


class LatentMixture(LatentGraph):
    """A mixture for each task; of (latent, first observation) together where the run sees one.

    The joint mixture is then conditioned on the observation, component by component: a mixture of linear regressions,
    whose weights depend on the observation.
    """

    needs_data = conditioned = True
    extra_noise = 1  # draws the component

    def __init__(self, run: TrainedRun, encoded: Encoded):
        super().__init__(run)
        self.sees = run.config.condition_on_observation
        latents, firsts = (
            [each.double().numpy() for each in encoded.by_task(v)] for v in (encoded.latents, encoded.first)
        )
        floor = 1e-3 * encoded.latents.double().numpy().std(axis=0) + 1e-6
        centre = [each.mean(axis=0) for each in latents]
        spread = [np.maximum(each.std(axis=0), floor) for each in latents]
        bases = [whitening(each) if self.sees else (each.mean(axis=0), np.zeros((each.shape[1], 0))) for each in firsts]
        size, width = latents[0].shape[1], max(matrix.shape[1] for _, matrix in bases)
        mixtures = [
            fit(np.hstack([(z - m) / s, (first - mean) @ matrix]), seed=run.config.seed)
            for z, m, s, first, (mean, matrix) in zip(latents, centre, spread, firsts, bases, strict=True)
        ]
        most = max(len(each.weights) for each in mixtures)
        parts = [_parts(each, size, width, most) for each in mixtures]
        padded = [np.pad(matrix, ((0, 0), (0, width - matrix.shape[1]))) for _, matrix in bases]
        tables = {name: np.stack([each[name] for each in parts]) for name in parts[0]}
        tables |= {"centre": np.stack(centre), "spread": np.stack(spread), "seen_matrix": np.stack(padded)}
        tables |= {"seen_mean": np.stack([mean for mean, _ in bases])}
        for name, values in tables.items():
            self.register_buffer(f"mixture_{name}", torch.tensor(values, dtype=torch.float32))

    @property
    def components(self) -> list[int]:
        """Of each task's mixture."""
        return (self.mixture_log_weight > _NEVER / 2).sum(dim=1).tolist()

    def latent(self, noise, task, condition):
        log_weight = self.mixture_log_weight[task]
        if self.sees:
            centred = (condition - self.mixture_seen_mean[task])[:, None]
            seen = torch.bmm(centred, self.mixture_seen_matrix[task])
            offset = seen - self.mixture_seen_centre[task]  # [B, components, condition]
            whitened = torch.matmul(self.mixture_seen_whitening[task], offset[..., None])[..., 0]
            log_weight = log_weight + self.mixture_log_scale[task] - 0.5 * (whitened**2).sum(dim=2)
        place = draw(torch.softmax(log_weight, dim=1), uniform(noise[:, -1]))
        z = rows(self.mixture_mean[task], place)
        if self.sees:
            gain = rows(self.mixture_gain[task].flatten(2), place).unflatten(1, self.mixture_gain.shape[2:])
            z = z + torch.bmm(gain, rows(offset, place)[:, :, None])[:, :, 0]
        root = rows(self.mixture_root[task].flatten(2), place).unflatten(1, self.mixture_root.shape[2:])
        z = z + torch.bmm(root, noise[:, :-1, None])[:, :, 0]
        return z * self.mixture_spread[task] + self.mixture_centre[task]


def _parts(mixture: Mixture, size: int, width: int, most: int) -> dict[str, np.ndarray]:
    """A mixture as conditioning needs it, padded to `width` numbers of a condition and `most` components.

    log_weight, log_scale [most]; mean [most, size]; gain [most, size, width]; root [most, size, size];
    seen_centre [most, width]; seen_whitening [most, width, width].
    """
    part = {
        "log_weight": np.full(most, _NEVER),
        "log_scale": np.zeros(most),
        "mean": np.zeros((most, size)),
        "gain": np.zeros((most, size, width)),
        "root": np.zeros((most, size, size)),
        "seen_centre": np.zeros((most, width)),
        "seen_whitening": np.zeros((most, width, width)),
    }
    for place, (weight, mean, covariance) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ):
        own = len(mean) - size  # numbers of this task's condition
        cross, seen = covariance[:size, size:], covariance[size:, size:]
        gain = np.linalg.solve(seen, cross.T).T
        inverse = np.linalg.inv(np.linalg.cholesky(seen))
        part["log_weight"][place] = np.log(weight)
        part["log_scale"][place] = np.log(np.diag(inverse)).sum()
        part["mean"][place] = mean[:size]
        part["gain"][place, :, :own] = gain
        part["root"][place] = np.linalg.cholesky(covariance[:size, :size] - gain @ cross.T)
        part["seen_centre"][place, :own] = mean[size:]
        part["seen_whitening"][place, :own, :own] = inverse
    return part

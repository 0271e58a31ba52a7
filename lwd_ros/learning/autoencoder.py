"""Stage 1: a VAE whose decoder writes policies. Demonstration -> latent -> policy weights (arXiv 2410.14040, 3.2)."""

import torch
from torch import nn

from lwd_ros.learning.config import AutoencoderConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.devices import WHOLE, Share
from lwd_ros.learning.networks import (
    HyperNetwork,
    NormalisationHead,
    SetEncoder,
    TrajectoryEncoder,
    cloning_error,
    normalisation_error,
    policy_forward,
    squared_matrices,
)
from lwd_ros.learning.summary import DataSummary, TaskNormalisation
from lwd_ros.policy import PolicyLayout

_PART = 1000  # demonstrations whose distances are computed at once

_NORMALISATION_WEIGHT = 0.1  # of its error beside the cloning error; both are of order 1 at first


class Autoencoder(nn.Module):
    """Trajectory encoder and hypernetwork, trained together by behaviour cloning of the policies they make.

    Attributes:
        normalisation: decodes a policy's normalisation from its latent; None where it is its task's.
    """

    def __init__(
        self,
        data: DataSummary,
        layout: PolicyLayout,
        config: AutoencoderConfig,
        smallest_std: float | None = None,
        condition_size: int = 0,
    ):
        """With `smallest_std`, of the scalars' units, the normalisation of policies is decoded too.

        With a `condition_size` above 0, the hypernetwork is told so many numbers beside the latent.
        """
        super().__init__()
        self.layout, self.config = layout, config
        tokens, latent, layers = data.tokens.shape[1], config.latent_size, config.encoder_layers
        if config.encoder == "set":
            self.encoder = SetEncoder(tokens // data.token_scale.count, layers, latent)
        else:
            self.encoder = TrajectoryEncoder(tokens, layers, latent)
        self.hypernetwork = HyperNetwork(latent, config.hypernetwork_layers, layout, data.passes, condition_size)
        self.normalisation = None
        if smallest_std is not None:
            mean, std = (torch.tensor(v, dtype=torch.float32) for v in (data.token_scale.mean, data.token_scale.std))
            width = config.hypernetwork_layers[-1]
            self.normalisation = NormalisationHead(config.latent_size, width, mean, std, smallest_std)

    def loss(
        self,
        data: TrainingData,
        generator: torch.Generator,
        share: Share = WHOLE,
        near: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Behaviour-cloning error of decoded policies (in action units of ±1) plus the weighted KL divergence.

        With `policy_decay`, the squared weights of the decoded policies count beside it.

        Means over a `share` of the batch, whose random numbers are all drawn whatever the share. `near` as of
        `TrainingData.sample`.
        """
        config, device = self.config, self.hypernetwork.base.device
        batch = share.of(data.sample(config.demonstrations, config.pairs, config.own_share, generator, near))
        noise = share.of(torch.randn((config.demonstrations, config.latent_size), generator=generator))
        mean, log_variance = self.encoder(batch.tokens.to(device))
        latent = mean + (0.5 * log_variance).exp() * noise.to(device)
        observation, decoded = batch.observation.to(device), None
        if self.normalisation is not None:
            expected = TaskNormalisation(*(v[batch.task].to(device) for v in vars(data.normalisation).values()))
            generated = self.normalisation(latent)
            decoded = normalisation_error(generated, expected)
            observation = _renormalised(observation, expected, generated)
        weights = self.hypernetwork(latent, batch.condition.to(device))
        if self.hypernetwork.told and batch.other_condition is not None:
            own = round(config.pairs * config.own_share)
            others = self.hypernetwork(latent, batch.other_condition.to(device))
            each = zip((weights, others), (observation[:, :own], observation[:, own:]), strict=True)
            predicted = torch.cat([policy_forward(self.layout, *both) for both in each], dim=1)
        else:
            predicted = policy_forward(self.layout, weights, observation)
        cloning = cloning_error(predicted, batch.action.to(device), data.action_weight).mean()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
        scalars = {
            "loss": cloning + config.kl_weight * divergence,
            "behaviour_cloning": cloning.detach(),
            "kl_divergence": divergence.detach(),
        }
        if config.policy_decay:
            scalars["loss"] = scalars["loss"] + config.policy_decay * squared_matrices(self.layout, weights)
        if decoded is not None:
            scalars["loss"] = scalars["loss"] + _NORMALISATION_WEIGHT * decoded
            scalars["normalisation"] = decoded.detach()
        return scalars

    @torch.no_grad()
    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Posterior means of demonstrations, float32 [B, latent], of their tokens [B, tokens x features]."""
        return self.encoder(tokens.to(self.hypernetwork.base.device))[0]

    @torch.no_grad()
    def posterior(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `encode`, and the posterior's standard deviations, float32 [B, latent]."""
        mean, log_variance = self.encoder(tokens.to(self.hypernetwork.base.device))
        return mean, (0.5 * log_variance).exp()

    def neighbours(self, data: TrainingData) -> torch.Tensor:
        """The nearest other demonstrations of its task of each one, int64 [demonstrations, at most as configured].

        By the latent, each place in units of its spread in the task or of what the posterior leaves open; and, where a
        policy is generated for an observation that the hypernetwork is not told, by that as well. A demonstration that
        is alone is its own neighbour.
        """
        mean, std = (value.cpu() for value in self.posterior(data.tokens))
        counts = torch.bincount(data.task)
        most = max(1, min(self.config.neighbours, int(counts.max()) - 1))
        found = torch.empty((len(mean), most), dtype=torch.long)
        for task in range(len(counts)):
            rows = torch.nonzero(data.task == task)[:, 0]
            count = min(most, len(rows) - 1)
            # Of this task alone: tasks lie far apart, and beside their distance that of two ways would drown.
            unit = (mean[rows].var(0, correction=0) + (std[rows] ** 2).mean(0)).sqrt()
            features = mean[rows] / unit
            if data.conditioned and not self.hypernetwork.told:
                features = torch.cat([features, data.first_observation[rows]], dim=1)
            for part, places in zip(rows.split(_PART), torch.arange(len(rows)).split(_PART), strict=True):
                distance = torch.cdist(features[places], features)
                distance[part[:, None] == rows] = torch.inf
                nearest = rows[distance.topk(count, largest=False).indices] if count else part[:, None]
                found[part] = nearest.repeat(1, -(-most // max(count, 1)))[:, :most]
        return found


def _renormalised(observation: torch.Tensor, old: TaskNormalisation, new: TaskNormalisation) -> torch.Tensor:
    """Observations [B, pairs, inputs] that `old` normalised, as `new` does.

    The cloning error does not move the new normalisation: that describes demonstrations, and policies learn to live
    with it.
    """
    mean, std = new.mean.detach(), new.std.detach()
    return observation * (old.std / std)[:, None] + ((old.mean - mean) / std)[:, None]

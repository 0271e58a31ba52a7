"""Stage 1: a VAE whose decoder writes policies. Demonstration -> latent -> policy weights (arXiv 2410.14040, 3.2)."""

import torch
from torch import nn

from lwd_ros.learning.config import AutoencoderConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.devices import WHOLE, Share
from lwd_ros.learning.networks import HyperNetwork, TrajectoryEncoder, cloning_error, policy_forward
from lwd_ros.policy import PolicyLayout


class Autoencoder(nn.Module):
    """Trajectory encoder and hypernetwork, trained together by behaviour cloning of the policies they make."""

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__()
        self.layout, self.config = layout, config
        self.encoder = TrajectoryEncoder(data.tokens.shape[1], config.encoder_layers, config.latent_size)
        self.hypernetwork = HyperNetwork(config.latent_size, config.hypernetwork_layers, layout)

    def loss(self, data: TrainingData, generator: torch.Generator, share: Share = WHOLE) -> dict[str, torch.Tensor]:
        """Behaviour-cloning error of decoded policies (in action units of ±1) plus the weighted KL divergence.

        Means over a `share` of the batch, whose random numbers are all drawn whatever the share.
        """
        config, device = self.config, self.hypernetwork.base.device
        batch = share.of(data.sample(config.demonstrations, config.pairs, config.own_share, generator))
        noise = share.of(torch.randn((config.demonstrations, config.latent_size), generator=generator))
        mean, log_variance = self.encoder(batch.tokens.to(device))
        latent = mean + (0.5 * log_variance).exp() * noise.to(device)
        predicted = policy_forward(self.layout, self.hypernetwork(latent), batch.observation.to(device))
        cloning = cloning_error(predicted, batch.action.to(device)).mean()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
        return {
            "loss": cloning + config.kl_weight * divergence,
            "behaviour_cloning": cloning.detach(),
            "kl_divergence": divergence.detach(),
        }

    @torch.no_grad()
    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Posterior means of demonstrations, float32 [B, latent], of their tokens [B, tokens x features]."""
        return self.encoder(tokens.to(self.hypernetwork.base.device))[0]

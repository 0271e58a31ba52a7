"""What the trained baselines optimise. Each has a behaviour-cloning `loss` and decodes policies by `weights`."""

import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from lwd_ros.learning.config import AutoencoderConfig, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.export import ModelGraph, describe_model, write_model
from lwd_ros.learning.networks import HyperNetwork, cloning_error, initial_policy, mlp, policy_forward, squared_matrices
from lwd_ros.policy import PolicyLayout


class Baseline(nn.Module):
    """A method that is trained by behaviour cloning on `pairs` (observation, action) pairs a step, as LWD is."""

    conditioned = False  # on the observation at generation

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__()
        self.layout, self.config, self.tasks = layout, config, len(data.tasks)
        self.pairs = config.demonstrations * config.pairs

    @property
    def policy_parameters(self) -> int:
        """Numbers that must be stored to act."""
        return self.layout.parameters

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def decay(self, layout: PolicyLayout, weights: torch.Tensor) -> torch.Tensor | float:
        """What LWD adds to its loss for the squares of its policies' weights [B, P], where the config says so."""
        factor = self.config.policy_decay
        return factor * squared_matrices(layout, weights) if factor else 0.0

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Scalars for `Trainer`: squared error of the actions as LWD counts it, and `decay`."""
        raise NotImplementedError

    def weights(self, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Policy weights [B, P] of tasks [B] and, where `conditioned`, standardised observations [B, obs]."""
        raise NotImplementedError

    def write(self, config: TrainConfig, data: TrainingData, method: str, model: Path) -> None:
        """Write the model file of a trained network."""
        description = describe_model(
            config,
            data,
            method=method,
            policy_parameters=self.policy_parameters,
            condition_on_observation=self.conditioned,
        )
        write_model(_Graph(data, self), description, model)


class _Graph(ModelGraph):
    """A baseline's policies, whatever the noise."""

    def __init__(self, data: TrainingData, network: Baseline):
        super().__init__(data)
        self.network = network

    def weights(self, noise, task, condition):
        return self.network.weights(task, condition) + 0.0 * noise[:, :1]


class MultiTaskMlp(Baseline):
    """One MLP for all tasks: normalised observation and one-hot task in, action out."""

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__(data, layout, config)
        inputs, *rest = layout.layer_sizes
        sizes = (inputs + self.tasks, *rest)
        self.network = PolicyLayout(sizes, layout.hidden_activation, layout.output_activation)
        # He's scale, as LWD's policies start with; the one-hot's columns too, so tasks differ by what an input makes.
        self.parameter = nn.Parameter(initial_policy(self.network, data.passes))

    @property
    def policy_parameters(self) -> int:
        return self.network.parameters

    def forward(self, observation: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        """Actions [N, commands] of normalised observations [N, inputs] and tasks [N]."""
        # Dense one-hots cost nothing that can be measured beside the network's own products.
        inputs = torch.cat([observation, functional.one_hot(task, self.tasks).to(observation)], dim=1)
        return policy_forward(self.network, self.parameter[None], inputs[None])[0]

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Every pair draws its task first, each as likely as another."""
        task = torch.randint(self.tasks, (self.pairs,), generator=generator)
        observation, action = data.sample_of(task, generator)
        predicted = self(observation.to(self.device), task.to(self.device))
        loss = cloning_error(predicted, action.to(self.device), data.action_weight).mean()
        return {"loss": loss + self.decay(self.network, self.parameter[None])}

    def weights(self, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """The network with a task's one-hot column folded into the first bias: a policy without the one-hot."""
        w, b, shape = self.network.slices()[0]
        observed, columns = self.parameter[w].reshape(shape).split([shape[1] - self.tasks, self.tasks], dim=1)
        bias, rest = columns.T[task] + self.parameter[b], self.parameter[b.stop :]
        batch = bias.shape[0]
        return torch.cat([observed.reshape(1, -1).expand(batch, -1), bias, rest[None].expand(batch, -1)], dim=1)


class TaskMlps(Baseline):
    """One MLP a task, trained side by side without any influence on each other."""

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__(data, layout, config)
        self.table = nn.Parameter(torch.stack([initial_policy(layout, data.passes) for _ in range(self.tasks)]))
        self.table.register_hook(self._clip)

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Every task gets its share of the pairs. A sum, so that each gradient is what its task alone would make."""
        task = torch.arange(self.tasks)[:, None].expand(-1, max(1, self.pairs // self.tasks))
        observation, action = data.sample_of(task, generator)
        predicted = policy_forward(self.layout, self.table, observation.to(self.device))
        error = cloning_error(predicted, action.to(self.device), data.action_weight).mean(dim=(1, 2))
        loss = error.sum() + self.tasks * self.decay(self.layout, self.table)
        return {"loss": loss, "behaviour_cloning": error.detach().mean()}

    def _clip(self, gradient: torch.Tensor) -> torch.Tensor:
        """Clip each task's gradient at 1 by itself, where the trainer would let one task's spike slow all others.

        The common factor keeps the whole below the trainer's own limit, so that never acts; Adam does not see it.
        """
        norm = gradient.norm(dim=1, keepdim=True)
        return gradient / (norm.clamp_min(1.0) * 1.001 * math.sqrt(self.tasks))

    def weights(self, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        return self.table[task]


class RegressionHyperNetwork(Baseline):
    """LWD's hypernetwork without encoder and diffusion: task and first observation in, policy weights out."""

    conditioned = True

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__(data, layout, config)
        width = config.encoder_layers[0]
        self.task = nn.Embedding(self.tasks, width)
        self.body = mlp((width + data.first_observation.shape[1], *config.encoder_layers))
        self.latent = nn.Linear(config.encoder_layers[-1], config.latent_size)
        self.hypernetwork = HyperNetwork(config.latent_size, config.hypernetwork_layers, layout, data.passes)

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The pairs of LWD's stage 1: from the demonstration whose first observation is given, and from its task."""
        batch = data.sample(self.config.demonstrations, self.config.pairs, self.config.own_share, generator)
        weights = self.weights(batch.task.to(self.device), batch.condition.to(self.device))
        predicted = policy_forward(self.layout, weights, batch.observation.to(self.device))
        loss = cloning_error(predicted, batch.action.to(self.device), data.action_weight).mean()
        return {"loss": loss + self.decay(self.layout, weights)}

    def weights(self, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        features = self.body(torch.cat([self.task(task), condition], dim=1))
        return self.hypernetwork(self.latent(features))

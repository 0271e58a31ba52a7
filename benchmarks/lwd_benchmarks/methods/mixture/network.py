"""What is learned: a distribution of the action for every observation, by maximum likelihood."""

from pathlib import Path

import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn import functional

from lwd_benchmarks.methods.mixture.actor import COMPONENTS, INPUTS, OUTPUTS, MixtureDescription
from lwd_benchmarks.methods.networks import Baseline
from lwd_ros.learning.config import AutoencoderConfig, TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.export import provenance, write_graph
from lwd_ros.learning.networks import mlp
from lwd_ros.policy import PolicyLayout

_SMALLEST = 0.01  # of a component's deviation, in action units of ±1: no component may sit on single labels


class MixtureMlp(Baseline):
    """One MLP for all tasks: normalised observation and one-hot task in, a Gaussian mixture of actions out."""

    def __init__(self, data: TrainingData, layout: PolicyLayout, config: AutoencoderConfig):
        super().__init__(data, layout, config)
        inputs, *hidden, self.commands = layout.layer_sizes
        self.body = mlp((inputs + self.tasks, *hidden))
        self.head = nn.Linear(hidden[-1], COMPONENTS * (1 + 2 * self.commands))

    @property
    def policy_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, observation: torch.Tensor, task: torch.Tensor):
        """Of normalised observations [N, inputs] and tasks [N]: logits [N, K], means and deviations [N, K, commands].

        Means lie within ±1, as actions do.
        """
        inputs = torch.cat([observation, functional.one_hot(task, self.tasks).to(observation)], dim=1)
        values = self.head(self.body(inputs)).unflatten(1, (COMPONENTS, 1 + 2 * self.commands))
        logits, mean, spread = values.split([1, self.commands, self.commands], dim=2)
        return logits[..., 0], torch.tanh(mean), functional.softplus(spread) + _SMALLEST

    def loss(self, data: TrainingData, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Negative log-likelihood of the pairs, drawn as the multi-task MLP's."""
        task = torch.randint(self.tasks, (self.pairs,), generator=generator)
        observation, action = data.sample_of(task, generator)
        logits, mean, spread = self(observation.to(self.device), task.to(self.device))
        mixture = MixtureSameFamily(Categorical(logits=logits), Independent(Normal(mean, spread), 1))
        return {"loss": -mixture.log_prob(action.to(self.device)).mean()}

    def write(self, config: TrainConfig, data: TrainingData, method: str, model: Path) -> None:
        description = MixtureDescription(data.contract, data.tasks, self.policy_parameters, provenance(config, data))
        example = {"task": torch.zeros(1, dtype=torch.long), "observation": torch.zeros(1, data.contract.vector_size)}
        assert tuple(example) == INPUTS
        write_graph(_Graph(self, data), example, OUTPUTS, description.to_metadata(), model)


class _Graph(nn.Module):
    """What the model file computes: a mixture in the contract's units, of raw observations."""

    def __init__(self, network: MixtureMlp, data: TrainingData):
        super().__init__()
        self.network = network
        for name, values in (("mean", data.normalisation.mean), ("std", data.normalisation.std),
                             ("scale", data.action_scale), ("offset", data.action_offset),
                             ("indices", data.indices)):  # fmt: skip
            self.register_buffer(name, values)

    def forward(self, task, observation):
        inputs = (observation[:, self.indices] - self.mean[task]) / self.std[task]
        logits, mean, _ = self.network(inputs, task)
        return torch.softmax(logits, dim=1), mean * self.scale + self.offset

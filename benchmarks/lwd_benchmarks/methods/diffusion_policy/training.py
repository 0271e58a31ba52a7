"""Training Diffusion Policy, from demonstrations to a model file."""

import math
from pathlib import Path

import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lwd_benchmarks.methods.diffusion_policy.config import METHOD, DiffusionPolicyConfig
from lwd_benchmarks.methods.diffusion_policy.model_file import ActionModelDescription
from lwd_benchmarks.methods.diffusion_policy.policy import DiffusionPolicy
from lwd_ros.dataset import Demonstrations
from lwd_ros.learning.config import ConfigError
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.export import provenance, write_graph
from lwd_ros.learning.train import claim
from lwd_ros.learning.trainer import Recipe, Trainer


def _recipe(config: DiffusionPolicyConfig) -> Recipe:
    """The published optimisation: a warm-up, a cosine to 0, and an average that grows longer with the steps."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    factor = get_cosine_schedule_with_warmup(optimiser, config.warmup_steps, config.steps).lr_lambdas[0]
    return Recipe(
        config.steps,
        rate=lambda step: config.learning_rate * factor(step),
        decay=lambda step: min(1.0 - (1.0 + step) ** -config.ema_power, 0.9999),
        weight_decay=config.weight_decay,
        betas=(0.95, 0.999),
    )


def _flops(policy: DiffusionPolicy, data: TrainingData) -> int:
    """Floating-point operations of one query."""
    config = policy.config
    noise = torch.zeros(1, config.prediction_horizon, len(data.contract.command))
    seen = torch.zeros(1, config.observation_steps, len(data.indices))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        policy(noise, torch.zeros(1, dtype=torch.long), seen)
    return int(counter.get_total_flops())


class _Graph(nn.Module):
    """What the model file computes: actions in the contract's units, of raw observations."""

    def __init__(self, policy: DiffusionPolicy, data: TrainingData):
        super().__init__()
        self.policy = policy
        for name, values in (("mean", data.normalisation.mean), ("std", data.normalisation.std),
                             ("scale", data.action_scale), ("offset", data.action_offset),
                             ("indices", data.indices)):  # fmt: skip
            self.register_buffer(name, values)

    def forward(self, noise, task, observation):
        inputs = (observation[:, :, self.indices] - self.mean[task][:, None]) / self.std[task][:, None]
        return self.policy(noise, task, inputs) * self.scale + self.offset


def train_diffusion_policy(
    config: DiffusionPolicyConfig, demonstrations: Demonstrations, folder: Path, model: Path
) -> ActionModelDescription:
    """Train in `folder`, or finish what an earlier call there began, and write the model file.

    Raises:
        ConfigError: the folder belongs to another config or dataset, or the horizon does not fit the levels.
        DatasetError: the dataset is not the one that the config asks for.
    """
    torch.set_num_threads(1)
    divisor = 2 ** (len(config.channels) - 1)
    if config.prediction_horizon % divisor:
        text = f"found {config.prediction_horizon}, expected a multiple of {divisor}, for {len(config.channels)} levels"
        raise ConfigError(f"{config.name}: key 'prediction_horizon': {text}")
    if config.sensing.observation_age:
        text = "found true, expected false: Diffusion Policy takes stamps into account as it plays its actions"
        raise ConfigError(f"{config.name}: key 'sensing.observation_age': {text}")
    data = TrainingData(demonstrations, config.of_data())
    identity = claim(folder, config, demonstrations, method=METHOD)
    data.save(folder)
    model.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    policy = DiffusionPolicy(data, config)
    description = ActionModelDescription(
        contract=data.contract,
        tasks=data.tasks,
        prediction_horizon=config.prediction_horizon,
        observation_steps=config.observation_steps,
        sampling_steps=config.sampling_steps,
        parameters=sum(parameter.numel() for parameter in policy.parameters()),
        flops=_flops(policy, data),
        usual_length=math.ceil(torch.quantile(data.length.float(), 0.98)),
        training=provenance(config, data),
    )

    trainer = Trainer(policy, folder, METHOD, config.seed, identity)
    trainer.run(lambda generator: policy.loss(data, generator), _recipe(config))
    sizes = config.prediction_horizon, len(data.contract.command)
    seen = torch.zeros(1, config.observation_steps, len(data.contract.observation))
    example = {"noise": torch.zeros(1, *sizes), "task": torch.zeros(1, dtype=torch.long), "observation": seen}
    write_graph(_Graph(policy, data), example, ("actions",), description.to_metadata(), model)
    return description

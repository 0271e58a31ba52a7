"""A finished run as one self-describing ONNX file: noise and task in, policy weights and normalisation out."""

import os
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from torch import nn

from lwd_ros import __version__
from lwd_ros.generator import ModelDescription
from lwd_ros.generator.model_file import INPUTS, OUTPUTS
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.train import TrainedRun

OPSET = 17


class _Sampler(nn.Module):
    """Latent diffusion, hypernetwork and per-task normalisation as one graph."""

    def __init__(self, run: TrainedRun):
        super().__init__()
        self.diffusion, self.hypernetwork = run.diffusion, run.autoencoder.hypernetwork
        self.conditioned = run.config.condition_on_observation
        normalisation = run.data.normalisation
        for name in ("mean", "std", "minimum", "maximum"):
            self.register_buffer(name, getattr(normalisation, name))
        self.register_buffer("condition_mean", run.data.condition_mean)
        self.register_buffer("condition_std", run.data.condition_std)

    def forward(self, noise, task, observation=None):
        condition = None
        if self.conditioned:
            condition = (observation - self.condition_mean[task]) / self.condition_std[task]
        weights = self.hypernetwork(self.diffusion(noise, task, condition))
        return weights, self.mean[task], self.std[task], self.minimum[task], self.maximum[task]


def export(run: TrainedRun, path: Path) -> None:
    """Write a finished run as a model file."""
    write_model(_Sampler(run), describe_run(run), path)


def describe_run(run: TrainedRun, **changes) -> ModelDescription:
    """What a model file says of a run: contract, tasks, policy, training config, data digest, versions, license."""
    config, data = run.config, run.data
    known = {
        "contract": data.contract,
        "tasks": data.tasks,
        "layout": run.autoencoder.layout,
        "observation_indices": tuple(data.indices.tolist()),
        "action_offset": tuple(data.action_offset.tolist()),
        "action_scale": tuple(data.action_scale.tolist()),
        "latent_size": config.autoencoder.latent_size,
        "condition_on_observation": config.condition_on_observation,
        "training": provenance(config, data),
    }
    return ModelDescription(**known | changes)


def provenance(config: TrainConfig, data: TrainingData) -> dict:
    """Everything needed to train the same again."""
    packages = ("torch", "diffusers", "onnx", "numpy")
    return {
        "config": config.to_dict(),
        "data_digest": data.demonstrations.digest,
        "data_settings": data.demonstrations.meta["settings"],
        "demonstrations": len(data.task),
        "versions": {
            "lwd_ros": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def write_model(sampler: nn.Module, description: ModelDescription, path: Path) -> None:
    """Write a model file, under a temporary name first.

    Args:
        sampler: (noise [B, z], task [B], observation [B, obs] where conditioned) -> the model file's outputs.
        description: becomes the file's metadata.
        path: of the file.
    """
    example = [torch.zeros(1, description.latent_size), torch.zeros(1, dtype=torch.long)]
    inputs = INPUTS if description.condition_on_observation else INPUTS[:2]
    if description.condition_on_observation:
        example.append(torch.zeros(1, len(description.contract.observation)))
    temporary = path.with_suffix(".partial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter gains nothing here
        torch.onnx.export(
            sampler.cpu().eval(),
            tuple(example),
            str(temporary),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *OUTPUTS)},
        )
    model = onnx.load(str(temporary))
    onnx.helper.set_model_props(model, description.to_metadata())
    onnx.checker.check_model(model)
    onnx.save(model, str(temporary))
    os.replace(temporary, path)

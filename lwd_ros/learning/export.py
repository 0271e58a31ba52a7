"""A finished run as one self-describing ONNX file: noise and task in, policy weights and normalisation out."""

import io
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from lwd_ros import __version__
from lwd_ros.files import written_whole
from lwd_ros.generator import Condition, ModelDescription
from lwd_ros.generator.conditions import OBSERVATION, TASK
from lwd_ros.generator.model_file import NOISE, OUTPUTS, STEPS
from lwd_ros.learning.config import Config, TrainConfig
from lwd_ros.learning.diffusion import SteppedFlow
from lwd_ros.learning.naming import number
from lwd_ros.learning.summary import DataSummary
from lwd_ros.learning.train import TrainedRun, policy_layout

OPSET = 17


class ModelGraph(nn.Module):
    """What every model file computes: a method's `weights`, and the normalisation that belongs to them."""

    def __init__(self, data: DataSummary):
        super().__init__()
        for name in ("mean", "std", "minimum", "maximum"):
            self.register_buffer(name, getattr(data.normalisation, name))
        self.register_buffer("condition_mean", data.condition_mean)
        self.register_buffer("condition_std", data.condition_std)
        self.lookup = True  # of the observation's scale, by the task's number

    def weights(self, noise: torch.Tensor, task: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Policy weights [B, P] from noise [B, z], task [B] and, where conditioned, standardised observation [B, obs].

        All must take part, if only by a factor of 0: the exporter drops an input that does nothing.
        """
        raise NotImplementedError

    def forward(self, noise, task, observation=None):
        weights = self.weights(noise, task, self.condition(task, observation))
        return weights, *self.task_normalisation(task)

    def condition(self, task, observation):
        """The observation [B, obs] as networks see it, or None."""
        if observation is None:
            return None
        if not self.lookup:
            return (observation - self.condition_mean) / self.condition_std
        return (observation - self.condition_mean[task]) / self.condition_std[task]

    def task_normalisation(self, task):
        """Mean, std, minimum and maximum of tasks [B], [B, inputs] each."""
        return self.mean[task], self.std[task], self.minimum[task], self.maximum[task]


class RunGraph(ModelGraph):
    """Latent diffusion and hypernetwork of a finished run; the normalisation is the task's, or decoded as well."""

    def __init__(self, run: TrainedRun):
        super().__init__(run.data)
        self.diffusion, self.hypernetwork = run.diffusion, run.autoencoder.hypernetwork
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # nothing newer makes a loop of the exporter used here
            self.flow = torch.jit.script(SteppedFlow(run.diffusion.denoiser))
        self.normalisation = run.autoencoder.normalisation
        self.lookup = run.config.normalisation == "task"

    def latent(
        self,
        noise: torch.Tensor,
        task: torch.Tensor,
        condition: torch.Tensor | None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Latents [B, latent]; inputs as those of `weights`, and how many steps, int64 [1]; None: as configured."""
        if steps is None:
            return self.diffusion(noise, task, condition)
        return self.diffusion.scaled(self.flow(noise, task, condition, steps), task, condition)

    def forward(self, noise, task, observation=None, steps=None):
        condition = self.condition(task, observation)
        latent = self.latent(noise, task, condition, *([] if steps is None else [steps]))
        weights = self.hypernetwork(latent, condition)
        if self.normalisation is None:
            return weights, *self.task_normalisation(task)
        ranges = self.normalisation(latent)
        return weights, ranges.mean, ranges.std, ranges.minimum, ranges.maximum


def export(run: TrainedRun, path: Path) -> None:
    """Write a finished run as a model file."""
    steps = run.config.diffusion.sampling_steps
    write_model(RunGraph(run), describe_model(run.config, run.data, sampling_steps=steps), path)


def describe_model(
    config: TrainConfig, data: DataSummary, condition_on_observation: bool | None = None, **changes
) -> ModelDescription:
    """What a model file says of a run: contract, conditions, policy, training config, data digest, versions, license.

    For a baseline, `condition_on_observation` is said where it is not the config's, and `changes` replace fields of
    ModelDescription.
    """
    conditions = [Condition(TASK, TASK, data.tasks)]
    if config.condition_on_observation if condition_on_observation is None else condition_on_observation:
        conditions.append(Condition(OBSERVATION, OBSERVATION, data.contract.observation_names))
    known: dict[str, Any] = {
        "contract": data.contract,
        "conditions": tuple(conditions),
        "layout": policy_layout(config, data),
        "observation_indices": tuple(data.indices.tolist()),
        "action_offset": tuple(data.action_offset.tolist()),
        "action_scale": tuple(data.action_scale.tolist()),
        "latent_size": config.autoencoder.latent_size,
        "training": provenance(config, data),
    }
    return ModelDescription(**known | changes)


def provenance(config: Config, data: DataSummary) -> dict:
    """Everything needed to train the same again."""
    packages = ("torch", "diffusers", "onnx", "numpy")
    return {
        "config": config.to_dict(),
        "data_digest": data.digest,
        "data_settings": data.settings,
        "demonstrations": len(data.task),
        "versions": {
            "lwd_ros": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def write_model(graph: ModelGraph, description: ModelDescription, path: Path) -> None:
    """Write a model file, whole or not at all.

    Args:
        graph: its tensors end on the CPU.
        description: becomes the file's metadata.
        path: of the file.
    """
    example = {NOISE: torch.zeros(1, description.latent_size)}
    for each in description.conditions:  # in the order of ModelGraph.forward
        task = each.kind == TASK
        example[each.name] = torch.zeros(1, dtype=torch.long) if task else torch.zeros(1, len(each.names))
    if description.sampling_steps:
        example[STEPS] = torch.tensor([description.sampling_steps])
        graph = _Stepped(graph)
    write_graph(graph, example, OUTPUTS, description.to_metadata(), path)


class _Stepped(nn.Module):
    """A graph that samples, with its steps as the last input whether or not it is told an observation."""

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.graph = graph

    def forward(self, noise, task, *others):
        *observation, steps = others
        return self.graph(noise, task, *observation, steps=steps)


def write_graph(graph: nn.Module, example: dict[str, torch.Tensor], outputs, metadata: dict, path: Path) -> None:
    """Write a network as an ONNX file with metadata, whole or not at all.

    Args:
        graph: its tensors end on the CPU.
        example: one value of each input, by name, a batch of one; exported with any batch.
        outputs: names of the outputs.
        metadata: texts by key.
        path: of the file.
    """
    graph_file, inputs = io.BytesIO(), list(example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter gains nothing here
        warnings.simplefilter("ignore", UserWarning)  # a traced graph has no signature, and needs none
        values = tuple(example.values())
        graph = graph.cpu().eval()
        torch.onnx.export(
            torch.jit.trace(graph, values, check_trace=False) if STEPS in example else graph,  # it has a loop
            values,
            graph_file,
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs) if name != STEPS},
        )
    model = onnx.load_from_string(graph_file.getvalue())
    if STEPS in example:
        number(model)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString())

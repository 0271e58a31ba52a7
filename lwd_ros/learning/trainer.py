"""The training loop of everything here: AdamW, clipped gradients, moving average, resumable."""

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from lwd_ros.learning.config import ConfigError
from lwd_ros.learning.devices import ALONE, Team
from lwd_ros.learning.progress import Progress, Stage
from lwd_ros.learning.tensors import write_tensors

CHECKPOINT_EVERY = 1000
LOG_EVERY = 100
SHOW_EVERY = 10


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Learning rate of the one-cycle policy (Smith 2018, arXiv 1708.07120): 30 % up, then down, on cosines."""
    warm = 0.3 * steps
    if step < warm:
        return peak * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / warm)))
    return peak * max(0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))), 1e-4)


@dataclass(frozen=True)
class Recipe:
    """How a module is optimised, by AdamW with gradients clipped at 1.

    Attributes:
        steps: optimiser steps in all, those before a stop included.
        rate: learning rate at a step.
        decay: of the exponential moving average of the parameters, at a step.
        weight_decay, betas: of AdamW.
    """

    steps: int
    rate: Callable[[int], float]
    decay: Callable[[int], float]
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)

    @classmethod
    def one_cycle(cls, steps: int, peak: float, decay: float) -> "Recipe":
        """LWD's: a one-cycle learning rate, and a short average at first, so that a short run averages little."""
        return cls(steps, lambda step: one_cycle(step, steps, peak), lambda step: min(decay, (1 + step) / (10 + step)))


class Trainer:
    """Trains one module by one loss function and keeps its moving average.

    A run that was stopped continues from its last checkpoint to the same result as one that was not: the checkpoint
    holds weights, averages, optimiser moments and the random state. Random numbers are drawn on the CPU, whatever the
    device, so a run may also go on on another machine, or in another number of processes.
    """

    def __init__(self, module: nn.Module, folder: Path, stage: str, seed: int, identity: dict, team: Team = ALONE):
        """`identity` (config and data digest) must match that of a checkpoint found in `folder`.

        The processes of a `team` read the same folder; the first of them alone writes to it.
        """
        self.module, self.folder, self.stage, self.team = module.to(team.device), folder, stage, team
        self.identity = json.dumps(identity, sort_keys=True)
        self.generator = torch.Generator().manual_seed(seed)
        self._average = {name: value.detach().clone() for name, value in module.named_parameters()}
        self._step = 0

    def run(
        self,
        loss: Callable[[torch.Generator], dict],
        recipe: Recipe,
        rows: int = 1,
        progress: Progress | None = None,
    ) -> None:
        """Minimise `loss(generator)["loss"]`, then put the moving average into the module.

        Args:
            loss: returns scalars by name, "loss" among them; all are logged. In a team of several processes they are
                means over this one's share of the batch.
            recipe: steps, learning rate and average.
            rows: of a batch, which the processes of a team share.
            progress: of all stages, this one among them; None: of this one alone.

        Raises:
            ConfigError: the checkpoint is another run's or broken, or a batch has fewer rows than the team processes.
        """
        parameters, steps = list(self.module.parameters()), recipe.steps
        optimiser = torch.optim.AdamW(
            parameters, lr=0.0, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
        )
        self._restore(optimiser)
        average = [self._average[name] for name, _ in self.module.named_parameters()]
        team, step = self.team, self.team.step(self.module, loss, rows)
        alone = progress is None
        progress = progress or Progress([Stage(self.stage, self.stage, steps)], shown=team.first)
        progress.begin(self.stage, self._step)
        with SummaryWriter(str(self.folder / "logs")) if team.first else nullcontext() as log:
            while self._step < steps:
                for group in optimiser.param_groups:
                    group["lr"] = recipe.rate(self._step)
                scalars = step(self.generator)
                optimiser.zero_grad(set_to_none=True)
                scalars["loss"].backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimiser.step()
                weight = 1.0 - recipe.decay(self._step)
                with torch.no_grad():
                    torch._foreach_lerp_(average, [p.detach() for p in parameters], weight)
                self._step += 1
                if self._step % LOG_EVERY == 0:
                    scalars = team.mean(scalars)
                    if log is not None:
                        for name, value in scalars.items():
                            log.add_scalar(f"{self.stage}/{name}", value.item(), self._step)
                    progress.at(self._step, scalars["loss"].item())
                elif self._step % SHOW_EVERY == 0 or self._step == steps:
                    progress.at(self._step)
                if team.first and (self._step % CHECKPOINT_EVERY == 0 or self._step == steps):
                    self._save(optimiser)
        if alone:
            progress.end()
        self._swap(parameters, average)
        self.module.eval()

    @property
    def step(self) -> int:
        """Optimiser steps that are done, those before a stop included."""
        return self._step

    @staticmethod
    @torch.no_grad()
    def _swap(parameters: list[nn.Parameter], average: list[torch.Tensor]) -> None:
        for parameter, value in zip(parameters, average, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    @property
    def path(self) -> Path:
        """The stage's checkpoint."""
        return self.folder / f"{self.stage}.safetensors"

    def _save(self, optimiser: torch.optim.Optimizer) -> None:
        tensors = {f"weights/{name}": value.detach() for name, value in self.module.named_parameters()}
        tensors |= {f"average/{name}": value for name, value in self._average.items()}
        tensors |= {f"buffers/{name}": value for name, value in self.module.named_buffers()}
        for (name, _), state in zip(self.module.named_parameters(), optimiser.state.values(), strict=True):
            tensors |= {f"{key}/{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step")}
        tensors["random"] = self.generator.get_state()
        write_tensors(self.path, tensors, {"identity": self.identity, "step": str(self._step)})

    def _restore(self, optimiser: torch.optim.Optimizer) -> None:
        if not self.path.exists():
            return
        try:
            self._read(optimiser)
        except ConfigError:
            raise
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:  # of torch, where sizes differ
            text = f"{self.path}: is not a whole checkpoint ({error}); delete it to train this stage again"
            raise ConfigError(text) from error

    def _read(self, optimiser: torch.optim.Optimizer) -> None:
        with safe_open(self.path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != self.identity:
                raise ConfigError(f"{self.path}: was made by another config or dataset; name another run folder")
            with torch.no_grad():
                for name, parameter in self.module.named_parameters():
                    parameter.copy_(file.get_tensor(f"weights/{name}"))
                    self._average[name].copy_(file.get_tensor(f"average/{name}"))
                    optimiser.state[parameter] = {
                        key: file.get_tensor(f"{key}/{name}").to(parameter.device)
                        for key in ("exp_avg", "exp_avg_sq", "step")
                    }
                for name, buffer in self.module.named_buffers():
                    buffer.copy_(file.get_tensor(f"buffers/{name}"))
            self.generator.set_state(file.get_tensor("random"))
            self._step = int(metadata["step"])


def restore(module: nn.Module, folder: Path, stage: str, identity: dict) -> None:
    """Put what a finished stage trained into `module`: moving averages and buffers, as `Trainer.run` leaves them.

    Raises:
        ConfigError: the checkpoint is missing, broken, or another run's.
    """
    path = folder / f"{stage}.safetensors"
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            if (file.metadata() or {}).get("identity") != json.dumps(identity, sort_keys=True):
                raise ConfigError(f"{path}: was made by another config or dataset; name another run folder")
            for kind, tensors in (("average", module.named_parameters()), ("buffers", module.named_buffers())):
                for name, value in tensors:
                    value.copy_(file.get_tensor(f"{kind}/{name}"))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: is not a whole checkpoint ({error}); delete it to train this stage again"
        ) from error
    module.eval()

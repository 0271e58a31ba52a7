"""Training on several devices or processes: each has its share of a step's batch, gradients are averaged.

Every process draws the whole batch from the same generator and computes its rows of it, so that several processes
train as one does with the whole batch, whose random numbers they share. They differ in the order of sums alone.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from lwd_ros.errors import LwdError
from lwd_ros.learning.config import ConfigError


class ProcessError(LwdError):
    """One of the processes that train together has ended early; says which."""


@dataclass(frozen=True)
class Share:
    """The rows of a batch that are computed here: those of process `rank` of `count`."""

    rank: int = 0
    count: int = 1

    def of(self, batch: Any) -> Any:
        """The rows of a tensor [B, ...], of every tensor of a dataclass, or None of None."""
        if self.count == 1 or batch is None:
            return batch
        if is_dataclass(batch) and not isinstance(batch, type):
            return replace(batch, **{item.name: self.of(getattr(batch, item.name)) for item in fields(batch)})
        return batch[self._first(len(batch), self.rank) : self._first(len(batch), self.rank + 1)]

    def weight(self, rows: int) -> float:
        """What a mean over the share counts, so that the mean over all processes is that over the batch of `rows`."""
        return self.count * (self._first(rows, self.rank + 1) - self._first(rows, self.rank)) / rows

    def _first(self, rows: int, rank: int) -> int:
        return rows * rank // self.count


WHOLE = Share()
"""The whole batch: that of one process."""


class Team:
    """The processes that train one module together. This one is alone: it computes, averages and writes all."""

    share = WHOLE

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.share.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return choose_device()

    def step(self, module: nn.Module, loss: Callable[..., dict], rows: int) -> Callable[[torch.Generator], dict]:
        """`loss`, which uses the parameters of `module`, so that its gradients are those of a batch of `rows`."""
        return loss

    def mean(self, scalars: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What `step` gave, averaged over the processes; all must call it."""
        return scalars

    def in_turn(self) -> AbstractContextManager:
        """A context that the first process leaves before the others enter it."""
        return nullcontext()

    def end(self) -> None:
        """Part."""


class _Step(nn.Module):
    """A loss as a module's `forward`, for the wrapper that averages gradients looks at that alone."""

    def __init__(self, module: nn.Module, loss: Callable[..., dict], weight: float):
        super().__init__()
        self.module, self.loss, self.weight = module, loss, weight

    def forward(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {name: self.weight * value for name, value in self.loss(generator).items()}


class _Several(Team):
    """Processes that `torchrun` started, through Hugging Face's accelerate."""

    def __init__(self):
        from accelerate import Accelerator

        self._accelerator = Accelerator(cpu=choose_device().type == "cpu")
        self.share = Share(self._accelerator.process_index, self._accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        return self._accelerator.device

    def step(self, module: nn.Module, loss: Callable[..., dict], rows: int) -> Callable[[torch.Generator], dict]:
        if rows < self.share.count:
            raise ConfigError(f"--devices: found {self.share.count}, expected at most the {rows} rows of a batch")
        return self._accelerator.prepare(_Step(module, loss, self.share.weight(rows)))

    def mean(self, scalars: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: self._accelerator.reduce(value.detach(), "mean") for name, value in scalars.items()}

    def in_turn(self) -> AbstractContextManager:
        return self._accelerator.main_process_first()

    def end(self) -> None:
        self._accelerator.end_training()


ALONE = Team()
"""The team of one process."""


def launched() -> bool:
    """Whether this process is one of several that `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def team() -> Team:
    """The processes that this one was started with; ALONE where there are none."""
    return _Several() if launched() else ALONE


def choose_device() -> torch.device:
    """A CUDA device where there is one, else the CPU. LWD_DEVICE=cpu (or any name that torch knows) overrides it."""
    name = os.environ.get("LWD_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).split("\n")[0]
        raise ConfigError(f"LWD_DEVICE: found '{name}', expected a device that torch can use ({reason})") from error


def require(devices: int) -> None:
    """Raise ConfigError where there are fewer CUDA devices, or where there is none fewer processors."""
    if choose_device().type == "cpu":
        most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        kind = "processors"
    else:
        most, kind = torch.cuda.device_count(), "CUDA devices"
    if devices > most:
        raise ConfigError(f"--devices: found {devices}, expected at most {most}: there are no more {kind}")


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run `lwd ARGUMENTS` in as many processes as devices, by torchrun; returns the exit status.

    The first process alone writes to the terminal. Raises ProcessError where another one ended early.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the processes have said what is wrong
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=f"lwd_{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(local_ranks_filter={0}),
    )
    try:
        elastic_launch(config, sys.executable)("-u", "-m", "lwd_ros.cli", *arguments)
    except SignalException:
        return 130
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if rank:
            text = f"found it ended with status {failure.exitcode}, expected 0; 'torchrun' shows its output"
            raise ProcessError(f"process {rank} of {devices}: {text}") from error
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0

"""What a finished run needs of its dataset: small enough to lie in the run folder, so that the dataset may go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from lwd_ros.contract import Contract, outputs_of, stacked
from lwd_ros.dataset import Episode
from lwd_ros.learning.config import ConfigError
from lwd_ros.learning.tensors import write_tensors

FILE = "data.safetensors"
_METADATA_KEY = "lwd_ros"


@dataclass(frozen=True)
class TaskNormalisation:
    """What policies subtract and divide by, and the range seen in training, in the scalars' own units.

    float32 [tasks, inputs] each, or [B, inputs] where it was generated.
    """

    mean: torch.Tensor
    std: torch.Tensor
    minimum: torch.Tensor
    maximum: torch.Tensor


@dataclass(frozen=True)
class TokenScale:
    """How the encoder sees a demonstration: `count` samples of it, observations standardised over the whole dataset.

    mean, std: float64 [inputs].
    """

    mean: np.ndarray
    std: np.ndarray
    count: int


@dataclass
class DataSummary:
    """A dataset as export, decoding and studies need it.

    Attributes:
        contract: of the observations that policies see, their age included where policies are told it.
        tasks: names; a task's number is its place.
        digest: SHA-256 of the dataset, 64 hex digits.
        settings: how the dataset was made, as its `meta.json` says.
        indices: places in the contract's observation vector, its stacked frames, that the policy reads, int64 [inputs].
        normalisation: of each task.
        token_scale: of the encoder's tokens.
        action_offset, action_scale: middle and half of the range of a policy's outputs, float32 [commands].
        condition_mean, condition_std: standardise an observation that a policy is generated for, float32
            [tasks, observations], or [1, observations] where that does not depend on the task.
        tokens: what the encoder sees of each demonstration, float32 [demonstrations, tokens x (inputs + commands + 1)].
        task: of each demonstration, int64 [demonstrations].
        held_out: by task, the places in the dataset of demonstrations that training never saw.
    """

    contract: Contract
    tasks: tuple[str, ...]
    digest: str
    settings: dict
    indices: torch.Tensor
    normalisation: TaskNormalisation
    token_scale: TokenScale
    action_offset: torch.Tensor
    action_scale: torch.Tensor
    condition_mean: torch.Tensor
    condition_std: torch.Tensor
    tokens: torch.Tensor
    task: torch.Tensor
    held_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def tokens_of(self, episodes: Sequence[Episode]) -> torch.Tensor:
        """What the encoder sees of demonstrations, in the dataset or not: float32 [episodes, tokens x features]."""
        scale, kept = self.token_scale, self.indices.numpy()
        offset, half_range = self.action_offset.numpy(), self.action_scale.numpy()
        rows = []
        for episode in episodes:
            output = outputs_of(self.contract, episode.action, episode.observation)
            observation = (stacked(self.contract, episode.observation)[:, kept] - scale.mean) / scale.std
            rows.append(_tokens(observation, (output - offset) / half_range, scale.count))
        return torch.tensor(np.stack(rows), dtype=torch.float32)

    def standardised(self, observation: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        """Whole observations [B, observations] as the generator's networks see them, of tasks int64 [B]."""
        place = task if len(self.condition_mean) > 1 else torch.zeros_like(task)
        return (observation - self.condition_mean[place]) / self.condition_std[place]

    def save(self, folder: Path) -> None:
        """Write the summary into a run folder: numbers as safetensors, the rest as JSON in their metadata."""
        tensors = {f"normalisation/{name}": value for name, value in vars(self.normalisation).items()}
        tensors |= {name: getattr(self, name) for name in _TENSORS}
        tensors |= {
            f"token_scale/{name}": torch.from_numpy(getattr(self.token_scale, name)) for name in ("mean", "std")
        }
        content = {
            "contract": self.contract.meaning(),
            "contract_digest": self.contract.digest,
            "tasks": list(self.tasks),
            "digest": self.digest,
            "settings": self.settings,
            "token_count": self.token_scale.count,
        }
        if self.held_out:  # runs that hold nothing out keep their bytes
            content["held_out"] = {task: list(places) for task, places in self.held_out.items()}
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        write_tensors(folder / FILE, contiguous, {_METADATA_KEY: json.dumps(content)})

    @classmethod
    def load(cls, folder: Path) -> "DataSummary":
        """Read a summary back; raises ConfigError where the folder holds none, or a broken one."""
        path = folder / FILE
        if not path.is_file():
            raise ConfigError(f"{path}: cannot be read (no such file); expected a run folder that 'lwd train' finished")
        try:
            with safe_open(path, framework="pt") as file:
                content = json.loads((file.metadata() or {})[_METADATA_KEY])
            tensors = load_file(path)
            for key, kind in (("tasks", list), ("digest", str), ("settings", dict), ("token_count", int)):
                if not isinstance(content[key], kind):
                    raise TypeError(f"'{key}' is {content[key]!r}")
            contract = Contract.from_dict(content["contract"], where=f"{path}: contract")
            if contract.digest != content["contract_digest"]:
                raise ConfigError(f"{path}: its contract does not have the digest that the file states")
            return cls(
                contract=contract,
                tasks=tuple(content["tasks"]),
                digest=content["digest"],
                settings=content["settings"],
                normalisation=TaskNormalisation(
                    **{n: tensors[f"normalisation/{n}"] for n in ("mean", "std", "minimum", "maximum")}
                ),
                token_scale=TokenScale(
                    tensors["token_scale/mean"].numpy(), tensors["token_scale/std"].numpy(), content["token_count"]
                ),
                **{name: tensors[name] for name in _TENSORS},
                held_out={task: tuple(map(int, places)) for task, places in content.get("held_out", {}).items()},
            )
        except ConfigError:
            raise
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            text = f"{path}: is not a whole summary of a dataset ({type(error).__name__}: {error})"
            raise ConfigError(f"{text}; run 'lwd train' with its dataset again to write it anew") from error


_TENSORS = ("indices", "action_offset", "action_scale", "condition_mean", "condition_std", "tokens", "task")


def _tokens(observation: np.ndarray, action: np.ndarray, count: int) -> np.ndarray:
    """Evenly spaced (observation, action, time) samples of a demonstration, flat; time runs from -1 to 1."""
    places = np.linspace(0, len(action) - 1, count).round().astype(int)
    time = np.linspace(-1, 1, count)[:, None]
    return np.hstack([observation[places], action[places], time]).reshape(-1)

"""What a training run can be told, with the defaults that the shipped models use."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Self

import yaml

from lwd_ros.errors import LwdError

_POSITIVE = ("demonstrations", "pairs", "tokens", "latent_size", "batch", "width", "sampling_steps", "smallest_std",
             "prediction_horizon", "observation_steps", "training_steps", "delay_steps")  # fmt: skip
_SHARES = ("own_share", "ema_decay", "first_share", "delayed_share")
_NOT_EMPTY = ("encoder_layers", "hypernetwork_layers", "channels")


class ConfigError(LwdError):
    """A training configuration is wrong; names the key, what was found and what was expected."""


def read_yaml(path: str | Path, expected: str, error: type[ValueError] = ConfigError):
    """The content of a YAML file; raises `error` with one sentence where it cannot be read or is none."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); expected {expected}") from cause
    except (yaml.YAMLError, ValueError, RecursionError) as cause:  # PyYAML lets a bad date's ValueError through
        raise error(f"{path}: is not YAML: {' '.join(str(cause).split())}") from cause


class Config:
    """A frozen dataclass with a `name` that is read from YAML, checked key by key."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file; raises ConfigError naming the key that is wrong."""
        return cls.from_dict(read_yaml(path, "a training config"), str(path))

    @classmethod
    def from_dict(cls, content: Mapping, where: str = "config") -> Self:
        """Check and build a config from parsed YAML or JSON; `where` names its source in errors."""
        return _build(cls, content, where, "")

    def changed(self, changes: Mapping) -> Self:
        """A config that differs in some keys, nested ones written `autoencoder.steps`; raises ConfigError as `load`."""
        content = json.loads(json.dumps(self.to_dict()))
        for key, value in changes.items():
            *parents, last = key.split(".")
            target = content
            for name in parents:
                target = target.setdefault(name, {})
                if not isinstance(target, dict):
                    raise ConfigError(f"{self.name}: key '{key}': found a change below '{name}', which holds no keys")
            target[last] = value
        return self.from_dict(content, where=self.name)

    def to_dict(self) -> dict:
        """Plain data, for the run folder and the model file.

        A `sensing` that does nothing and the usual `normalisation` are left out: runs and files that were made before
        them lack them, and stay valid.
        """
        content = asdict(self)
        for key, usual in (("sensing", asdict(SensingConfig())), ("normalisation", TrainConfig.normalisation)):
            if content.get(key) == usual:
                del content[key]
        return content


@dataclass(frozen=True)
class AutoencoderConfig:
    """Stage 1: trajectory encoder and hypernetwork, a VAE over policies."""

    steps: int = 8000
    learning_rate: float = 2e-3  # peak of the one-cycle schedule
    demonstrations: int = 40  # demonstrations encoded in a step
    pairs: int = 96  # (observation, action) pairs that each decoded policy is judged on
    own_share: float = 0.5  # of the pairs, from the encoded demonstration itself; the rest from others of its task
    kl_weight: float = 1e-5
    tokens: int = 16  # (observation, action, time) samples that describe a demonstration to the encoder
    latent_size: int = 64
    encoder_layers: tuple[int, ...] = (384, 256)
    hypernetwork_layers: tuple[int, ...] = (256, 256)
    ema_decay: float = 0.999


@dataclass(frozen=True)
class DiffusionConfig:
    """Stage 2: rectified flow (Liu et al. 2022, arXiv 2209.03003) on standardised latents."""

    steps: int = 8000
    learning_rate: float = 1e-3
    batch: int = 256
    width: int = 256
    blocks: int = 2
    sampling_steps: int = 20
    ema_decay: float = 0.999


@dataclass(frozen=True)
class TranslationConfig:
    """Augmentation: demonstrations are moved about, because an action does not depend on where the scene stands."""

    range_m: float = 0.0  # offsets are uniform in plus or minus this; 0: none
    axes: tuple[str, ...] = ("x", "y")  # an offset moves every observed scalar in m whose name ends with _AXIS
    # By task, axes along which something that is not observed stands still (a wall, a bin): no offset along those.
    fixed: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SensingConfig:
    """Augmentation: policies learn from observations as a robot has them, noisy and late, what to do with true ones."""

    noise_m: float = 0.0  # standard deviation on every observed scalar in m; 0: none
    delayed_share: float = 0.0  # of the pairs, those whose observation is late
    delay_steps: int = 1  # at most; each delay from 1 up is as likely as another
    observation_age: bool = False  # whether policies are told by how much: their contract has one scalar more

    def __post_init__(self):
        """Refuse an age that never varies."""
        if self.observation_age and not self.delayed_share:
            raise ConfigError("key 'sensing.observation_age': found true, expected a 'delayed_share' above 0 with it")


@dataclass(frozen=True)
class TrainConfig(Config):
    """One training run, from demonstrations to a model file."""

    name: str
    seed: int = 0
    hidden_layers: tuple[int, ...] = (16, 16)
    hidden_activation: str = "tanh"
    hide: tuple[str, ...] = ()
    condition_on_observation: bool = False
    normalisation: str = "task"  # of a policy: looked up by its task's number; "generated": decoded from the latent
    smallest_std: float = 0.005  # normalisation never magnifies a scalar's change by more than one over this
    data_digest: str = ""  # beginning of the dataset's digest; empty: any dataset
    contract_digest: str = ""  # beginning of its contract's digest; empty: any contract
    demonstrations_per_task: int = 0  # only the first so many fresh starts of each task; 0: every demonstration
    translation: TranslationConfig = field(default_factory=TranslationConfig)
    sensing: SensingConfig = field(default_factory=SensingConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def _build(kind, content, where: str, prefix: str):
    if not isinstance(content, Mapping):
        key = prefix.rstrip(".") or "(the whole file)"
        raise ConfigError(f"{where}: key '{key}': found {content!r}, expected a mapping")
    known = {item.name: item for item in fields(kind)}
    values = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        if key not in known:
            raise ConfigError(f"{where}: key '{path}': found {key!r}, expected one of {', '.join(known)}")
        expected = known[key].type
        if is_dataclass(expected):
            values[key] = _build(expected, value, where, path + ".")
        else:
            values[key] = _value(value, expected, where, path)
    if issubclass(kind, Config) and "name" not in values:
        raise ConfigError(f"{where}: key 'name': found nothing, expected a text")
    return kind(**values)


def _value(value, expected, where: str, path: str):
    def refuse(what: str):
        raise ConfigError(f"{where}: key '{path}': found {value!r}, expected {what}")

    if expected is str:
        if path == "normalisation" and value not in ("task", "generated"):
            refuse("task or generated")
        may_be_empty = path.endswith("_digest")
        return value if isinstance(value, str) and (value or may_be_empty) else refuse("a text")
    if expected is bool:
        return value if isinstance(value, bool) else refuse("true or false")
    if expected in (int, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**63
        if not number or (expected is int and value != int(value)):
            refuse("a whole number, 0 or more" if expected is int else "a number, 0 or more")
        key = path.rpartition(".")[2]
        if key in _POSITIVE and value == 0:
            refuse("a number above 0")
        if key in _SHARES and value > 1:
            refuse("a number from 0 to 1")
        return expected(value)
    if expected == dict[str, tuple[str, ...]]:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            refuse("a mapping of names")
        return {name: _value(item, tuple[str, ...], where, f"{path}.{name}") for name, item in value.items()}
    kind = str if expected == tuple[str, ...] else int
    fitting = isinstance(value, list) and all(type(item) is kind and item > kind() for item in value)
    if not fitting or (path.rpartition(".")[2] in _NOT_EMPTY and not value):
        refuse("a list of " + ("names" if kind is str else "whole numbers above 0"))
    return tuple(value)

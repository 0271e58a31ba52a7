"""What a training run can be told, with the defaults that the shipped models use."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform, get_args, get_origin

import pydantic
from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from lwd_ros.errors import LwdError
from lwd_ros.reading import read_yaml


class ConfigError(LwdError):
    """A training configuration is wrong; names the key, what was found and what was expected."""


@dataclass(frozen=True)
class _Expected:
    """What the sentence of an error says that a key should be."""

    text: str


def _whole(value: Any) -> Any:
    """YAML reads 8.0e+3 as a float; a whole one does for a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(value: Any) -> Any:
    """YAML has lists where configs have tuples."""
    return tuple(value) if isinstance(value, list) else value


_LARGEST = 2**63 - 1
_AboveZero = Annotated[StrictInt, Field(gt=0)]
_Name = Annotated[StrictStr, Field(min_length=1)]

Flag = Annotated[StrictBool, _Expected("true or false")]
Text = Annotated[_Name, _Expected("a text")]
Digest = Annotated[StrictStr, _Expected("a text")]
"""The beginning of one; may be empty."""
Whole = Annotated[
    StrictInt, BeforeValidator(_whole), Field(ge=0, le=_LARGEST), _Expected("a whole number, 0 or more, below 2**63")
]
Count = Annotated[StrictInt, BeforeValidator(_whole), Field(gt=0, le=_LARGEST), _Expected("a whole number above 0")]
Number = Annotated[StrictFloat, Field(ge=0, le=_LARGEST, allow_inf_nan=False), _Expected("a number, 0 or more")]
Positive = Annotated[StrictFloat, Field(gt=0, le=_LARGEST, allow_inf_nan=False), _Expected("a number above 0")]
Share = Annotated[StrictFloat, Field(ge=0, le=1, allow_inf_nan=False), _Expected("a number from 0 to 1")]
Names = Annotated[tuple[_Name, ...], BeforeValidator(_listed), Field(strict=True), _Expected("a list of names")]
Sizes = Annotated[
    tuple[_AboveZero, ...], BeforeValidator(_listed), Field(strict=True), _Expected("a list of whole numbers above 0")
]
Layers = Annotated[
    tuple[_AboveZero, ...],
    BeforeValidator(_listed),
    Field(strict=True, min_length=1),
    _Expected("a list of whole numbers above 0, at least one"),
]
Normalisation = Annotated[Literal["task", "generated"], _Expected("task or generated")]
ActionRange = Annotated[Literal["limits", "demonstrated"], _Expected("limits or demonstrated")]
ActionLoss = Annotated[Literal["range", "motion"], _Expected("range or motion")]
Others = Annotated[Literal["task", "neighbours"], _Expected("task or neighbours")]
Encoder = Annotated[Literal["flat", "set"], _Expected("flat or set")]
Asked = Annotated[Literal["first", "any"], _Expected("first or any")]
LatentUnit = Annotated[Literal["means", "posterior"], _Expected("means or posterior")]
NamesByTask = Annotated[dict[StrictStr, Names], _Expected("a mapping of names")]

_Settings = TypeVar("_Settings")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def settings(kind: type[_Settings]) -> type[_Settings]:
    """A frozen dataclass whose fields are checked against the ranges that their types declare, unknown ones refused."""
    checked: Any = pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))(kind)
    return checked


class Config:
    """A frozen dataclass with a `name` that is read from YAML, checked key by key."""

    name: str
    __dataclass_fields__: ClassVar[dict[str, Any]]  # of each class below, which is a dataclass; this one is none

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file; raises ConfigError naming every key that is wrong."""
        return cls.from_dict(read_yaml(path, "a training config", ConfigError), str(path))

    @classmethod
    def from_dict(cls, content: Mapping, where: str = "config") -> Self:
        """Check and build a config from parsed YAML or JSON; `where` names its source in errors."""
        if not isinstance(content, Mapping):
            raise ConfigError(f"{where}: key '(the whole file)': found {content!r}, expected a mapping")
        try:
            return pydantic.TypeAdapter(cls).validate_python(dict(content))
        except pydantic.ValidationError as error:
            sentences = dict.fromkeys(_sentence(cls, content, problem) for problem in error.errors(include_url=False))
            raise ConfigError(f"{where}: {'; '.join(sentences)}") from error

    def changed(self, changes: Mapping) -> Self:
        """A config that differs in some keys, nested ones written `autoencoder.steps`; raises ConfigError as `load`."""
        content = json.loads(json.dumps(self.to_dict()))
        for key, value in changes.items():
            *parents, last = str(key).split(".")
            target = content
            for name in parents:
                target = target.setdefault(name, {})
                if not isinstance(target, dict):
                    raise ConfigError(f"{self.name}: key '{key}': found a change below '{name}', which holds no keys")
            target[last] = value
        return self.from_dict(content, where=self.name)

    def to_dict(self) -> dict:
        """Plain data, for the run folder and the model file.

        A `sensing` that does nothing and the usual value of each later key are left out: runs and files that were made
        before them lack them, and stay valid.
        """
        content = asdict(self)
        if content.get("sensing") == asdict(SensingConfig()):
            del content["sensing"]
        stages = (content.get("autoencoder", {}), AutoencoderConfig), (content.get("diffusion", {}), DiffusionConfig)
        for known, kind in ((content, TrainConfig), *stages):
            for key in _LATER[kind]:
                if known.get(key) == getattr(kind, key):
                    del known[key]
        return content


def _sentence(kind: type, content: Mapping, problem: Mapping) -> str:
    """One of pydantic's errors, as ours: the key's path, what was found there, what was expected."""
    path: list[Any] = []
    declared: Any = kind
    value: Any = content
    holder: Any = kind
    for step in problem["loc"]:
        below = {item.name: item.type for item in fields(declared)} if is_dataclass(declared) else None
        if below is None and get_origin(_bare(declared)) is dict and step in value:
            path, declared, value = [*path, step], get_args(_bare(declared))[1], value[step]
        elif below is None:
            break  # an element of a list: the list is shown whole
        else:
            holder = declared
            missing = not isinstance(value, Mapping) or step not in value
            path, declared, value = [*path, step], below.get(step), None if missing else value[step]
    key = ".".join(map(str, path))
    if problem["type"] == "value_error":
        return f"key '{key}': {problem['ctx']['error']}"
    if declared is None:
        found = repr(next((name for name in _held(content, path) if str(name) == str(path[-1])), path[-1]))
        return f"key '{key}': found {found}, expected one of {', '.join(item.name for item in fields(holder))}"
    found = "nothing" if problem["type"] in ("missing", "missing_argument") else repr(value)
    return f"key '{key}': found {found}, expected {_expected(declared)}"


def _held(content: Mapping, path: list) -> Mapping:
    """The mapping that holds the last step of `path`."""
    for step in path[:-1]:
        content = content[step]
    return content


def _bare(declared: Any) -> Any:
    """A type without what is declared about it."""
    return get_args(declared)[0] if get_origin(declared) is Annotated else declared


def _expected(declared: Any) -> str:
    """What the last word about a type says."""
    texts = [item.text for item in get_args(declared)[1:] if isinstance(item, _Expected)]
    return texts[-1] if texts else "a mapping"


@settings
class AutoencoderConfig:
    """Stage 1: trajectory encoder and hypernetwork, a VAE over policies."""

    steps: Whole = 8000
    learning_rate: Number = 2e-3  # peak of the one-cycle schedule
    demonstrations: Count = 40  # demonstrations encoded in a step
    pairs: Count = 96  # (observation, action) pairs that each decoded policy is judged on
    own_share: Share = 0.5  # of the pairs, from the encoded demonstration itself; the rest from others
    # Whose the other pairs are: those of all its task, or of its neighbours by the latent, where a task has many ways.
    others: Others = "task"
    neighbours: Count = 8  # so many, of the nearest
    kl_weight: Number = 1e-5
    policy_decay: Number = 0.0  # of a decoded policy's squared weights, beside its error; smoother where data is scarce
    tokens: Count = 16  # (observation, action, time) samples that describe a demonstration to the encoder
    latent_size: Count = 64
    # flat: tokens in a row, so many and evenly spaced. set: any frames, pooled, of a part of a demonstration, too.
    encoder: Encoder = "flat"
    encoder_layers: Layers = (384, 256)
    hypernetwork_layers: Layers = (256, 256)
    ema_decay: Share = 0.999


@settings
class DiffusionConfig:
    """Stage 2: rectified flow (Liu et al. 2022, arXiv 2209.03003) on standardised latents."""

    steps: Whole = 8000
    learning_rate: Number = 1e-3
    batch: Count = 256
    width: Count = 256
    blocks: Whole = 2
    sampling_steps: Count = 20
    # What latents are measured in: their spread, or, where that is wider, what the encoder leaves open. A place of the
    # latent that tells nothing then stays small, where its spread alone would blow it up.
    latent_unit: LatentUnit = "means"
    ema_decay: Share = 0.999


@settings
class TranslationConfig:
    """Augmentation: demonstrations are moved about, because an action does not depend on where the scene stands."""

    range_m: Number = 0.0  # offsets are uniform in plus or minus this; 0: none
    axes: Names = ("x", "y")  # an offset moves every observed scalar in m whose name ends with _AXIS
    # By task, axes along which something that is not observed stands still (a wall, a bin): no offset along those.
    fixed: NamesByTask = field(default_factory=dict)


@settings
class SensingConfig:
    """Augmentation: policies learn from observations as a robot has them, noisy and late, what to do with true ones."""

    noise_m: Number = 0.0  # standard deviation on every observed scalar in m; 0: none
    delayed_share: Share = 0.0  # of the pairs, those whose observation is late
    delay_steps: Count = 1  # at most; each delay from 1 up is as likely as another
    observation_age: Flag = False  # whether policies are told by how much: their contract has one scalar more

    @pydantic.field_validator("observation_age")
    @classmethod
    def _varies(cls, value: bool, known: pydantic.ValidationInfo) -> bool:
        """Refuse an age that never varies."""
        if value and not known.data.get("delayed_share", 1.0):
            raise ValueError("found true, expected a 'delayed_share' above 0 with it")
        return value


@settings
class TrainConfig(Config):
    """One training run, from demonstrations to a model file."""

    name: Text
    seed: Whole = 0
    hidden_layers: Sizes = (16, 16)
    hidden_activation: Text = "tanh"
    hide: Names = ()
    condition_on_observation: Flag = False
    # Whether the hypernetwork is told the observation, too: the latent then says how, and the observation where.
    condition_hypernetwork: Flag = False
    # Observations that a policy may be asked for: an episode's first alone, or any, so that asking again loses nothing.
    asked: Asked = "first"
    normalisation: Normalisation = "task"  # of a policy: its task's, by number; "generated": decoded from the latent
    smallest_std: Positive = 0.005  # normalisation never magnifies a scalar's change by more than one over this
    data_digest: Digest = ""  # beginning of the dataset's digest; empty: any dataset
    contract_digest: Digest = ""  # beginning of its contract's digest; empty: any contract
    # What ±1 of a policy's output stands for: the contract's limits, or what was shown, where that is narrower.
    action_range: ActionRange = "limits"
    # What errors count in: half a command's range; or, of a position, its usual distance to the measured one, and of an
    # offset (relative_to), its usual size.
    action_loss: ActionLoss = "range"
    demonstrations_per_task: Whole = 0  # only the first so many fresh starts of each task; 0: every demonstration
    held_out: Share = 0.0  # of each task's demonstrations, rounded down: kept from training, for 'lwd validate'
    translation: TranslationConfig = field(default_factory=TranslationConfig)
    sensing: SensingConfig = field(default_factory=SensingConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)

    @pydantic.field_validator("condition_hypernetwork", "asked")
    @classmethod
    def _told(cls, value: Any, known: pydantic.ValidationInfo) -> Any:
        """Refuse what only a generator that is told an observation can do."""
        if value in (True, "any") and not known.data.get("condition_on_observation", True):
            raise ValueError(f"found {str(value).lower()}, expected 'condition_on_observation: true' with it")
        return value


_LATER: dict[type, tuple[str, ...]] = {
    TrainConfig: ("normalisation", "action_range", "action_loss", "held_out", "condition_hypernetwork", "asked"),
    AutoencoderConfig: ("policy_decay", "others", "neighbours", "encoder"),
    DiffusionConfig: ("latent_unit",),
}
"""Keys that came later: runs and files that were made before lack them."""

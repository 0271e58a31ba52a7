"""Methods to compare Latent Weight Diffusion with, as methods.yaml describes them.

Some are trained on the same data, by the same trainer, for as many steps and pairs as stage 1 of LWD: one network for
all tasks, the same with a mixture of actions for an output, one network a task, and a hypernetwork without diffusion.
Others are made from a finished LWD run, to say what its sampling contributes: latents are chosen otherwise, or drawn
from a simpler distribution. All of these but the mixture of actions end as ordinary model files that `lwd evaluate`
judges. That one, and Diffusion Policy, have folders and model files of their own.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lwd_ros.errors import LwdError
from lwd_ros.reading import read_yaml

FILE = Path(__file__).parents[1] / "methods.yaml"
LWD, EXPERT = "lwd", "expert"


class MethodsError(LwdError):
    """A file of methods cannot be used; says what was found and what was expected."""


class ModelFiles(BaseModel):
    """Model files of some training seeds, {seed} in their path, and the action horizons that they are run at."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    seeds: list[int]
    horizons: list[Annotated[int, Field(gt=0)]]


class Method(BaseModel):
    """One entry of methods.yaml, which says what its keys mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str
    variant: str = ""
    colour: str = "#555555"
    marker: str = "o"
    network: str = ""
    graph: str = ""
    judged_by_study: bool = False
    kind: str = ""
    horizon: int = 0
    queried: bool = False
    beside: tuple[str, int] = ("diffusion_policy", 8)
    longest: dict[str, list[int]] = {}
    models: dict[str, list[ModelFiles]] = {}

    @model_validator(mode="after")
    def _compared(self):
        if self.models and not self.kind:
            raise ValueError("found models without a kind, expected the kind of their actor")
        return self

    @property
    def name(self) -> str:
        """What it is called beside other methods."""
        return f"{self.label}, {self.variant}" if self.variant else self.label


def load(path: str | Path = FILE) -> dict[str, Method]:
    """Every method of a YAML file, in its order; MethodsError where one is not described as it should be."""
    content = read_yaml(path, "a file of methods", MethodsError)
    if not isinstance(content, dict) or not content:
        raise MethodsError(f"{path}: found {content!r}, expected a mapping of methods by name")
    entries = {}
    for name, entry in content.items():
        if "," in str(name):
            raise MethodsError(f"{path}: found method '{name}', expected names without commas (--only parts at them)")
        try:
            entries[str(name)] = Method.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            place, says = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            raise MethodsError(f"{path}: method '{name}': {f'key {place!r}: ' if place else ''}{says}") from error
    return entries


METHODS = load()
TRAINED = tuple(name for name, method in METHODS.items() if method.network)
"""Methods that `lwd baseline` trains as it trains LWD."""

LATENT = tuple(name for name, method in METHODS.items() if method.graph)
"""Methods that `lwd baseline` makes from a finished run of LWD."""

JUDGED = tuple(name for name, method in METHODS.items() if method.judged_by_study)
"""Methods that the Metaworld study knows."""


def described(name: str) -> Method:
    """A method; one that the file does not name, in a study of one's own, is called by its key."""
    return METHODS.get(name) or Method(label=name)


def implementation(path: str) -> type:
    """The class that an entry's `network` or `graph` names, as MODULE:CLASS."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)

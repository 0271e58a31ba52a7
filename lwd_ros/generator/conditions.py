"""What a policy is generated for: the named inputs of a model file, and the values that a caller gives them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lwd_ros.errors import LwdError

TASK, OBSERVATION = "task", "observation"
KINDS = (TASK, OBSERVATION)
"""Kinds of conditions that this version can give to a graph."""

LATER = ("image", "demonstration")
"""Kinds that the format has room for; this version refuses files that need them."""


class ModelError(LwdError):
    """A model file, or a request to it, cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class Condition:
    """A named input of a model's graph.

    Attributes:
        name: of the graph's input, and of the value in `PolicyGenerator.generate`.
        kind: `task`: one of `names`, int64 [B] in the graph; `observation`: one observation in the contract's units,
            float32 [B, len(names)] in the graph, a scalar for each name.
        names: what the values stand for.
    """

    name: str
    kind: str
    names: tuple[str, ...]

    def to_dict(self) -> dict:
        """Plain data, for the metadata."""
        return {"name": self.name, "kind": self.kind, "names": list(self.names)}

    @classmethod
    def from_dict(cls, content, where: str) -> "Condition":
        """Read it back; raises ModelError where it is of a kind that this version cannot give, or contradicts itself.

        Raises KeyError and TypeError where it is no description of a condition.
        """
        name, kind = content["name"], content["kind"]
        if kind in LATER:
            raise ModelError(
                f"{where}: its condition '{name}' is of the kind '{kind}', which this version of lwd_ros cannot give; "
                f"expected {' or '.join(KINDS)}"
            )
        if kind not in KINDS:
            raise ModelError(f"{where}: its condition '{name}' is of the kind {kind!r}, expected {' or '.join(KINDS)}")
        if not isinstance(content["names"], (list, tuple)):
            raise TypeError(f"names of '{name}' are {content['names']!r}")
        names = tuple(content["names"])
        if not isinstance(name, str) or not name:
            raise ModelError(f"{where}: found a condition with the name {name!r}, expected a text")
        whole = all(isinstance(each, str) and each for each in names)
        if not names or not whole or len(set(names)) < len(names):
            what = "tasks" if kind == TASK else f"names of '{name}'"
            raise ModelError(f"{where}: found {what} {list(names)}, expected different names, at least one")
        return cls(name, kind, names)

    def tensor(self, value, model: str) -> np.ndarray:
        """The graph's input, a batch of one, for a value; `model` names the file in errors.

        Args:
            value: a name for a `task`, numbers [len(names)] for an `observation`; None where nothing was given.
            model: the file's name.

        Raises:
            ModelError: the value is missing, unknown, of another shape or kind, or not finite.
        """
        if self.kind == TASK:
            if value is None:
                raise ModelError(f"{model} is conditioned on a task: found none, expected one of {self._known()}")
            if not isinstance(value, str) or value not in self.names:
                shown = f"'{value}'" if isinstance(value, str) else repr(value)
                raise ModelError(f"task {shown} is unknown to {model}; it knows {self._known()}")
            return np.array([self.names.index(value)], dtype=np.int64)
        try:
            numbers = np.empty(0) if value is None else np.asarray(value, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):  # of an integer beyond floats
            numbers = np.empty(0)
        finite, size = np.count_nonzero(np.isfinite(numbers)), len(self.names)
        if numbers.shape != (size,) or finite < size:
            which = "" if self.name == OBSERVATION else f" ('{self.name}')"
            raise ModelError(
                f"{model} is conditioned on an observation{which}: found {finite} finite scalars in shape "
                f"{numbers.shape}, expected {size}"
            )
        return numbers[None]

    def parsed(self, text: str):
        """The value that a text stands for: a name as it is, numbers in brackets; ModelError where it is neither."""
        if self.kind == TASK:
            return text
        try:
            return np.array(json.loads(text), dtype=np.float64)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            shown = text if len(text) < 60 else f"{text[:60]}..."
            raise ModelError(
                f"condition '{self.name}': found '{shown}', expected {len(self.names)} numbers as [0.1, 0.2]"
            ) from error

    def _known(self) -> str:
        return ", ".join(self.names)


def tensors(conditions: tuple[Condition, ...], values: Mapping, model: str) -> dict[str, np.ndarray]:
    """The graph's inputs, a batch of one each, for values by the name of their condition.

    Raises:
        ModelError: a value is missing, unknown to the model, of another shape or kind, or not finite.
    """
    require_known(conditions, values, model)
    return {condition.name: condition.tensor(values.get(condition.name), model) for condition in conditions}


def require_known(conditions: Sequence[Condition], names: Iterable, model: str) -> None:
    """Raise ModelError where one of `names` is no condition."""
    known = [condition.name for condition in conditions]
    for name in names:
        if name not in known:
            raise ModelError(f"condition {name!r} is unknown to {model}; it takes {', '.join(known)}")


def requested(
    conditions: Sequence[Condition], task: str, names: Sequence[str], texts: Sequence[str], model: str
) -> dict:
    """The values that a request names: its task, and texts by the name of their condition.

    An observation may be missing still. Raises ModelError where names and texts do not match, a name is unknown or
    comes twice, or a text is no value.
    """
    if len(names) != len(texts):
        raise ModelError(f"found {len(names)} condition_names and {len(texts)} condition_values, expected as many")
    require_known(conditions, names, model)
    own = next(condition.name for condition in conditions if condition.kind == TASK)
    every = [own, *names] if task else list(names)
    twice = [name for place, name in enumerate(every) if name in every[:place]]
    if twice:
        raise ModelError(f"condition '{twice[0]}': found two values, expected one")
    by_name = {condition.name: condition for condition in conditions}
    return {own: task} | {name: by_name[name].parsed(text) for name, text in zip(names, texts, strict=True)}

"""The contract: every scalar that a policy observes and commands, and its digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from lwd_ros.contract.binding import Binding
from lwd_ros.contract.errors import ContractError, Section, fail

AGE = "observation_age"
"""A scalar of this name, in s from 0 up, is how old an observation is when it is answered. No topic carries it: whoever
answers takes it from the stamp, and cuts it off at the limit."""


class _Loader(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys in silence; this one refuses them."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise ContractError(f"key '{key}': found {keys.count(key)} times below line {line}, expected once")
        return super().construct_mapping(node, deep)


def _flat(meaning: dict) -> dict:
    """Scalars under dotted keys."""
    parts = [(key, value) for key, value in meaning.items() if not isinstance(value, dict)]
    for kind in ("observation", "command"):
        parts += [(f"{kind}.{name}", value) for name, value in meaning[kind].items()]
    return dict(parts)


@dataclass(frozen=True)
class ObservationScalar:
    """One observed scalar: its name, SI unit ("1": dimensionless) and the range it can physically take."""

    name: str
    unit: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class CommandScalar:
    """One commanded scalar: name, SI unit, limits in that unit, largest change in unit/s."""

    name: str
    unit: str
    minimum: float
    maximum: float
    slew_per_s: float


@dataclass(frozen=True)
class Contract:
    """What a policy observes and commands.

    The digest covers all but `binding`: two contracts of one digest mean the same to a policy.
    """

    name: str
    period_s: float
    observation: tuple[ObservationScalar, ...]
    command: tuple[CommandScalar, ...]
    binding: Binding | None = None

    @classmethod
    def load(cls, path: str | Path) -> "Contract":
        """Read a YAML file.

        Raises:
            ContractError: the file is missing or not YAML, or a key is wrong; names the key.
        """
        try:
            content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
        except OSError as error:
            raise ContractError(f"{path}: cannot be read ({error.strerror}); expected a contract in YAML") from error
        except ContractError as error:
            raise ContractError(f"{path}: {error}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # PyYAML lets a bad date's ValueError through
            raise ContractError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
        return cls.from_dict(content, where=str(path))

    @classmethod
    def from_dict(cls, content: Mapping, where: str = "contract") -> "Contract":
        """Check and build a contract from parsed YAML or JSON; `where` names its source in errors."""
        root = Section(content, where)
        root.only("name", "period_s", "history", "observation", "command", "binding")
        if root.number("history") != 1:
            fail(where, "history", root.value["history"], "1 (one frame per observation vector)")
        observation = []
        names = root.section("observation")
        for name in names.names():
            item = names.section(name)
            item.only("unit", "limits")
            observation.append(ObservationScalar(name, item.text("unit"), *item.limits("limits")))
            if name == AGE and (observation[-1].unit != "s" or observation[-1].minimum != 0):
                found = f"from {observation[-1].minimum:g} {observation[-1].unit}"
                fail(where, item.path("limits"), found, "from 0 s: it is the time since the observation's stamp")
        command = []
        names = root.section("command")
        for name in names.names():
            item = names.section(name)
            item.only("unit", "limits", "slew_per_s")
            minimum, maximum = item.limits("limits")
            if minimum > 0 or maximum < 0:
                fail(where, item.path("limits"), [minimum, maximum], "limits around 0, the safe command")
            command.append(CommandScalar(name, item.text("unit"), minimum, maximum, item.number("slew_per_s", 0)))
        contract = cls(root.text("name"), root.number("period_s", above=0), tuple(observation), tuple(command))
        if "binding" in root.value:
            binding = Binding.from_section(root.section("binding"), contract)
            contract = cls(contract.name, contract.period_s, contract.observation, contract.command, binding)
        return contract

    def meaning(self) -> dict:
        """The part under the digest, as plain data; `from_dict` reads it back."""
        return {
            "name": self.name,
            "period_s": self.period_s,
            "history": 1,
            "observation": {s.name: {"unit": s.unit, "limits": [s.minimum, s.maximum]} for s in self.observation},
            "command": {
                s.name: {"unit": s.unit, "limits": [s.minimum, s.maximum], "slew_per_s": s.slew_per_s}
                for s in self.command
            },
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256, 64 hex digits, of everything that gives a policy its meaning (order included)."""
        return hashlib.sha256(json.dumps(self.meaning(), separators=(",", ":")).encode()).hexdigest()

    def differences(self, other: "Contract") -> list[str]:
        """Dotted keys that are not in both contracts or mean something else; where only the order differs, that."""
        mine, theirs = _flat(self.meaning()), _flat(other.meaning())
        keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
        return keys or [f"the order of {kind}" for kind in ("observation", "command")
                        if list(self.meaning()[kind]) != list(other.meaning()[kind])]  # fmt: skip

    @cached_property
    def age_place(self) -> int | None:
        """Where in the observation vector its AGE stands; None where policies are not told."""
        return self.observation_names.index(AGE) if AGE in self.observation_names else None

    def with_age(self, longest_s: float) -> "Contract":
        """This contract and, last in the observation, its AGE up to `longest_s`."""
        return replace(self, observation=(*self.observation, ObservationScalar(AGE, "s", 0.0, longest_s)))

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names in the order of the observation vector."""
        return tuple(scalar.name for scalar in self.observation)

    @property
    def command_names(self) -> tuple[str, ...]:
        """Names in the order of the command vector."""
        return tuple(scalar.name for scalar in self.command)

    @cached_property
    def command_limits(self) -> np.ndarray:
        """float64 [2, commands]: minimum and maximum of each command, tightened by the binding where it says so."""
        limits = np.array([[s.minimum for s in self.command], [s.maximum for s in self.command]])
        for name, (minimum, maximum) in (self.binding.command_limits if self.binding else {}).items():
            limits[:, self.command_names.index(name)] = minimum, maximum
        return limits

    @cached_property
    def command_slew(self) -> np.ndarray:
        """float64 [commands]: largest change of each command in one control period."""
        return np.array([scalar.slew_per_s for scalar in self.command]) * self.period_s

    def require_binding(self) -> Binding:
        """The binding, or a ContractError for a contract that has none."""
        if self.binding is None:
            raise ContractError(f"contract '{self.name}': key 'binding': found nothing, expected topics and fields")
        return self.binding

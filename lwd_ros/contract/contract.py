"""The contract: every scalar that a policy observes and commands, and its digest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lwd_ros.contract.binding import Binding
from lwd_ros.contract.errors import ContractError, Section, fail
from lwd_ros.contract.rest import KEEP, LAST_COMMAND, ZERO, is_motion, is_position
from lwd_ros.reading import read_yaml

AGE = "observation_age"
"""A scalar of this name, in s from 0 up, is how old an observation is when it is answered. No topic carries it: whoever
answers takes it from the stamp, and cuts it off at the limit."""

LONGEST_HISTORY = 8
"""Frames that may stand in one vector."""

_UNITS_OF_PLACES = ("m", "rad")  # of commands that are probably positions, where such a scalar is observed
_VECTOR = re.compile(r"(.+)\[\d+\]")  # an element of a vector: what it is called, without its place
_FRAME = re.compile(r".*@-\d+")  # a scalar of an earlier frame


def _flat(meaning: dict) -> dict:
    """Scalars under dotted keys."""
    parts = [(key, value) for key, value in meaning.items() if not isinstance(value, dict)]
    for kind in ("observation", "command"):
        parts += [(f"{kind}.{name}", value) for name, value in meaning[kind].items()]
    return dict(parts)


@dataclass(frozen=True)
class ObservationScalar:
    """One observed scalar: its name, SI unit ("1": dimensionless) and the range it can physically take.

    A vector of `size` N is N of them, named `scan[0]` to `scan[N-1]`.
    """

    name: str
    unit: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class CommandScalar:
    """One commanded scalar: name, SI unit, limits in that unit, largest change in unit/s.

    `rest` is what the command is at rest: ZERO, KEEP, or the observed scalar that it targets; None where the contract
    does not say, see `Contract.rests`. `relative_to` is what the policy's output is an offset to: an observed scalar or
    LAST_COMMAND; None: the output is the command.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    slew_per_s: float
    rest: str | None = None
    relative_to: str | None = None

    def meaning(self) -> dict:
        """The part under the digest, as plain data; what the contract does not say is left out."""
        stated = {"rest": self.rest, "relative_to": self.relative_to}
        content = {"unit": self.unit, "limits": [self.minimum, self.maximum], "slew_per_s": self.slew_per_s}
        return content | {key: value for key, value in stated.items() if value is not None}


@dataclass(frozen=True)
class Contract:
    """What a policy observes and commands.

    The digest covers all but `binding`: two contracts of one digest mean the same to a policy.

    An observation, or frame, is one value of each observed scalar. A policy reads the last `history` of them, stacked,
    oldest first (`lwd_ros.contract.Frames`); all else of a contract speaks of single frames.
    """

    name: str
    period_s: float
    observation: tuple[ObservationScalar, ...]
    command: tuple[CommandScalar, ...]
    binding: Binding | None = None
    history: int = 1

    @classmethod
    def load(cls, path: str | Path, joint_prefix: str | None = None) -> "Contract":
        """Read a YAML file; a `joint_prefix` replaces that of its binding.

        Raises:
            ContractError: the file is missing or not YAML, or a key is wrong; names the key.
        """
        content = read_yaml(path, "a contract in YAML", ContractError)
        return cls.from_dict(content, str(path), joint_prefix)

    @classmethod
    def from_dict(cls, content: Mapping, where: str = "contract", joint_prefix: str | None = None) -> "Contract":
        """Check and build a contract from parsed YAML or JSON; `where` names its source in errors.

        A `joint_prefix` replaces that of the binding.
        """
        root = Section(content, where)
        root.only("name", "period_s", "history", "observation", "command", "binding")
        history = root.number("history")
        if history not in range(1, LONGEST_HISTORY + 1):
            fail(where, "history", root.value["history"], f"1 to {LONGEST_HISTORY} frames, a whole number")
        observation = _observation(root.section("observation"))
        command = _command(root.section("command"), observation)
        contract = cls(root.text("name"), root.number("period_s", above=0), observation, command, history=int(history))
        if "binding" in root.value:
            contract = replace(contract, binding=Binding.from_section(root.section("binding"), contract, joint_prefix))
        contract._require_rests(where)
        return contract

    def _require_rests(self, where: str) -> None:
        """Refuse commands that would be sent 0 at rest though that may be a place far away, or outside their limits."""
        places = {scalar.unit for scalar in self.observation if scalar.unit in _UNITS_OF_PLACES}
        for scalar, rest in zip(self.command, self.rests, strict=True):
            if self.binding and rest == ZERO and scalar.rest is None and scalar.unit in places:
                same = [each.name for each in self.observation if each.unit == scalar.unit]
                expected = f"the observed scalar that it targets ({', '.join(same[:20])}), {ZERO} or {KEEP}"
                fail(
                    where,
                    f"command.{scalar.name}.rest",
                    "nothing",
                    f"{expected}: in {scalar.unit} it may be a position",
                )
            tightened = self.binding.command_limits if self.binding else {}
            key, limits = f"command.{scalar.name}.limits", (scalar.minimum, scalar.maximum)
            if scalar.name in tightened:
                key, limits = f"binding.command.limits.{scalar.name}", tightened[scalar.name]
            if not is_position(rest) and not limits[0] <= 0 <= limits[1]:
                expected = f"limits around 0, for it rests at {rest}"
                expected += "; or rest: NAME, the observed scalar that it targets"
                fail(where, key, list(limits), expected)

    def meaning(self) -> dict:
        """The part under the digest, as plain data; `from_dict` reads it back."""
        observation: dict[str, dict] = {}
        for scalar in self.observation:
            vector = _VECTOR.fullmatch(scalar.name)
            entry = observation.setdefault(
                vector[1] if vector else scalar.name,
                {"unit": scalar.unit, "limits": [scalar.minimum, scalar.maximum], **({"size": 0} if vector else {})},
            )
            if vector:
                entry["size"] += 1
        return {
            "name": self.name,
            "period_s": self.period_s,
            "history": self.history,
            "observation": observation,
            "command": {scalar.name: scalar.meaning() for scalar in self.command},
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
    def frame_size(self) -> int:
        """Observed scalars: the size of one frame."""
        return len(self.observation)

    @cached_property
    def vector_size(self) -> int:
        """The size of what policies read: `history` frames."""
        return self.history * self.frame_size

    @cached_property
    def vector_names(self) -> tuple[str, ...]:
        """Names in the order of what policies read: "hand_x@-2", "hand_x@-1", "hand_x" are hand_x, oldest first."""
        suffixes = [f"@-{back}" if back else "" for back in range(self.history - 1, -1, -1)]
        return tuple(name + suffix for suffix in suffixes for name in self.observation_names)

    @cached_property
    def age_place(self) -> int | None:
        """Where in a frame its AGE stands; None where policies are not told."""
        return self.observation_names.index(AGE) if AGE in self.observation_names else None

    @cached_property
    def age_places(self) -> tuple[int, ...]:
        """Where in what policies read the frames' AGE stands, oldest first; nothing where policies are not told."""
        first = range(0, self.vector_size, self.frame_size)
        return () if self.age_place is None else tuple(start + self.age_place for start in first)

    def with_history(self, history: int) -> "Contract":
        """This contract for policies that read `history` frames; raises ValueError outside 1 to LONGEST_HISTORY."""
        if history not in range(1, LONGEST_HISTORY + 1):
            raise ValueError(f"history: found {history!r}, expected 1 to {LONGEST_HISTORY} frames")
        return replace(self, history=history)

    def with_age(self, longest_s: float) -> "Contract":
        """This contract and, last in the observation, its AGE up to `longest_s`."""
        return replace(self, observation=(*self.observation, ObservationScalar(AGE, "s", 0.0, longest_s)))

    @cached_property
    def rests(self) -> tuple[str, ...]:
        """What each command is at rest: ZERO, KEEP or an observed scalar.

        Where the contract does not say: KEEP of what its binding has under `keep_on_hold`, else ZERO.
        """
        kept = self.binding.keep_on_hold if self.binding else ()
        return tuple(scalar.rest or (KEEP if scalar.name in kept else ZERO) for scalar in self.command)

    def places(self, name: str) -> tuple[int, ...]:
        """Where an observed scalar or vector stands in a frame; nothing where there is none."""
        names = self.observation_names
        if name in names:
            return (names.index(name),)
        return tuple(
            place for place, each in enumerate(names) if each.startswith(f"{name}[") and _VECTOR.fullmatch(each)
        )

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names in the order of a frame."""
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


def vector_name(name: str) -> str | None:
    """What the vector is called whose element has this name ("scan" of "scan[3]"); None where it is no element."""
    vector = _VECTOR.fullmatch(name)
    return vector[1] if vector else None


def _observation(names: Section) -> tuple[ObservationScalar, ...]:
    """The observed scalars; a vector's elements one by one."""
    observation = []
    for name in names.names():
        item = names.section(name)
        item.only("unit", "limits", "size")
        _require_plain(names, name)
        if name in (ZERO, KEEP, LAST_COMMAND):
            fail(names.where, names.path(name), name, "another name, for rest and relative_to have this one")
        if _FRAME.fullmatch(name):
            fail(names.where, names.path(name), name, "another name, for a scalar of an earlier frame is called so")
        scalar = ObservationScalar(name, item.text("unit"), *item.limits("limits"))
        if name == AGE and (scalar.unit != "s" or scalar.minimum != 0 or "size" in item.value):
            found = f"from {scalar.minimum:g} {scalar.unit}"
            fail(names.where, item.path("limits"), found, "from 0 s: it is the time since the observation's stamp")
        elements = range(item.count("size")) if "size" in item.value else ()
        observation += [replace(scalar, name=f"{name}[{place}]") for place in elements] or [scalar]
    return tuple(observation)


def _command(names: Section, observation: tuple[ObservationScalar, ...]) -> tuple[CommandScalar, ...]:
    command, units = [], {scalar.name: scalar.unit for scalar in observation}
    for name in names.names():
        item = names.section(name)
        item.only("unit", "limits", "slew_per_s", "rest", "relative_to")
        _require_plain(names, name)
        unit, limits, slew = item.text("unit"), item.limits("limits"), item.number("slew_per_s", 0)
        same = [each for each in units if units[each] == unit]
        targets = f"an observed scalar in {unit}" + (
            f" ({', '.join(same[:20])})" if same else ", which there is none of"
        )
        rest = relative_to = None
        if "rest" in item.value:
            rest = item.text("rest")
            if rest not in (ZERO, KEEP, *same):
                fail(names.where, item.path("rest"), rest, f"{ZERO}, {KEEP} or {targets}")
            if is_position(rest) and is_motion(unit):
                expected = f"{ZERO}: at a stop a command in {unit} is 0, not what it was measured to be"
                fail(names.where, item.path("rest"), rest, expected)
        if "relative_to" in item.value:
            relative_to = item.text("relative_to")
            if relative_to not in (LAST_COMMAND, *same):
                fail(names.where, item.path("relative_to"), relative_to, f"{LAST_COMMAND} or {targets}")
            if rest is None:
                expected = (
                    f"{ZERO}, {KEEP} or, of a position, the observed scalar that it targets: its output is an offset"
                )
                fail(names.where, item.path("rest"), "nothing", expected)
        command.append(CommandScalar(name, unit, *limits, slew, rest, relative_to))
    return tuple(command)


def _require_plain(names: Section, name: str) -> None:
    if "[" in name or "]" in name:
        fail(names.where, names.path(name), name, "a name without brackets; a vector has the key size")

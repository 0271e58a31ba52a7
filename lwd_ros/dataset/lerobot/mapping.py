"""How a contract's scalars and tasks are called in a LeRobot dataset, and in what units they stand there."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.contract.errors import ContractError, Section
from lwd_ros.contract.picking import closest
from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.features import OBSERVATION, Feature
from lwd_ros.reading import read_yaml

DEGREES = "degrees"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LONGEST = 60


@dataclass(frozen=True)
class Source:
    """Where a scalar of the contract comes from: a name of theirs, and what makes their number ours.

    Ours is theirs · scale + offset.
    """

    name: str
    scale: float = 1.0
    offset: float = 0.0

    def ours(self, theirs: np.ndarray) -> np.ndarray:
        """float64 in the contract's unit."""
        return theirs if (self.scale, self.offset) == (1.0, 0.0) else theirs * self.scale + self.offset

    def theirs(self, ours: np.ndarray) -> np.ndarray:
        """float64 in the dataset's unit."""
        return ours if (self.scale, self.offset) == (1.0, 0.0) else (ours - self.offset) / self.scale


@dataclass(frozen=True)
class Mapping:
    """Names and units of theirs, by the contract's names; what is not in it is called as in the contract.

    `tasks` maps their texts to names of tasks.
    """

    observation: dict[str, Source] = field(default_factory=dict)
    action: dict[str, Source] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> "Mapping":
        """Read a YAML file with the keys observation, action and tasks.

        Raises:
            LeRobotError: the file is missing or a key of it is wrong.
        """
        content = read_yaml(path, "a mapping of names in YAML", LeRobotError)
        try:
            root = Section(content, str(path))
            root.only("observation", "action", "tasks")
            observation, action = _sources(root, "observation"), _sources(root, "action")
            tasks: dict[str, str] = {}
            if "tasks" in root.value:
                texts = root.section("tasks")
                tasks = {text: texts.text(text) for text in texts.names()}
        except ContractError as error:
            raise LeRobotError(str(error)) from error
        return cls(observation, action, tasks)

    def renamed(self, contract: Contract, pairs: Iterable[str]) -> "Mapping":
        """This with pairs THEIRS=OURS; raises LeRobotError for a name that the contract does not have."""
        observation, action = dict(self.observation), dict(self.action)
        for pair in pairs:
            theirs, equals, ours = pair.rpartition("=")
            if not (theirs and equals and ours):
                raise LeRobotError(f"--rename: found '{pair}', expected THEIRS=OURS")
            names = {"observation": contract.observation_names, "action": contract.command_names}
            if not any(ours in each for each in names.values()):
                near = closest(ours, [*names["observation"], *names["action"]])
                raise LeRobotError(f"--rename {pair}: found '{ours}', expected a scalar of the contract{near}")
            for side, sources in (("observation", observation), ("action", action)):
                if ours in names[side]:
                    old = sources.get(ours, Source(theirs))
                    sources[ours] = Source(theirs, old.scale, old.offset)
        return Mapping(observation, action, dict(self.tasks))

    def require(self, contract: Contract, where: str) -> None:
        """Refuse names of ours that the contract does not have; LeRobotError."""
        for side, sources, names in (
            ("observation", self.observation, contract.observation_names),
            ("action", self.action, contract.command_names),
        ):
            for name in sources:
                if name not in names:
                    near = closest(name, names)
                    raise LeRobotError(f"{where}: key '{side}.{name}': expected a scalar of the contract{near}")


def _sources(root: Section, side: str) -> dict[str, Source]:
    if side not in root.value:
        return {}
    names, sources = root.section(side), {}
    for name in names.names():
        if isinstance(names.value[name], str):
            sources[name] = Source(names.text(name))
            continue
        item = names.section(name)
        item.only("from", "scale", "offset")
        scale = 1.0
        if item.value.get("scale") == DEGREES:
            scale = math.pi / 180
        elif "scale" in item.value:
            scale = item.number("scale")
        if scale == 0:
            raise LeRobotError(f"{root.where}: key '{item.path('scale')}': found 0, expected another number")
        offset = item.number("offset") if "offset" in item.value else 0.0
        sources[name] = Source(item.text("from") if "from" in item.value else name, scale, offset)
    return sources


@dataclass(frozen=True)
class Column:
    """Where a scalar of the contract stands: a feature and a place in it, and the source that found it."""

    ours: str
    feature: str
    place: int
    source: Source


def columns(
    names: Iterable[str], sources: dict[str, Source], side: str, features: Iterable[Feature], where: str
) -> list[Column]:
    """A column for each of the contract's scalars, in their order.

    Args:
        names: of the contract.
        sources: how some are called in the dataset.
        side: OBSERVATION or ACTION.
        features: all of the dataset.
        where: the dataset, for sentences.

    Raises:
        LeRobotError: a scalar is not there, or two come from one; names the first, and the closest name that is there.
    """
    known: dict[str, tuple[str, int]] = {}
    standard = "observation.state" if side == OBSERVATION else "action"
    vectors = sorted((each for each in features if each.side == side), key=lambda each: each.key != standard)
    for feature in vectors:
        for place, name in enumerate(feature.names):
            known.setdefault(name, (feature.key, place))
            known.setdefault(f"{feature.key}.{name}", (feature.key, place))
            known.setdefault(f"{feature.key}[{place}]", (feature.key, place))
    word = "observed scalar" if side == OBSERVATION else "command"
    if not vectors:
        raise LeRobotError(f"{where}: found no feature '{standard}' of numbers, expected the contract's {word}s in it")
    found: list[Column] = []
    taken: dict[tuple[str, int], str] = {}
    theirs = [name for feature in vectors for name in feature.names]
    for name in names:
        source = sources.get(name, Source(name))
        if source.name not in known:
            hint = "; --rename THEIRS=OURS or --mapping says how it is called there" if source.name == name else ""
            raise LeRobotError(
                f"{where}: found no '{source.name}' in {', '.join(each.key for each in vectors)}, expected the {word} "
                f"'{name}' of the contract{_near(source.name, theirs)}{hint}; there are: {_some(theirs)}"
            )
        at = known[source.name]
        if at in taken:
            raise LeRobotError(
                f"{where}: found '{source.name}' for '{taken[at]}' and for '{name}', expected one of them"
            )
        taken[at] = name
        found.append(Column(name, *at, source))
    return found


def _near(word: str, words: list[str]) -> str:
    return closest(word, words) or closest(word.lower(), [each.lower() for each in words])


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else "")


def task_names(texts: Iterable[str], given: dict[str, str], everything: str = "") -> dict[str, str]:
    """A safe name for each text: as given, the text itself where it is one, or made from its words; all different.

    Args:
        texts: of the tasks, in order.
        given: texts to names.
        everything: one name for all of them.

    Raises:
        LeRobotError: a text is given that no task has.
    """
    texts = list(dict.fromkeys(texts))
    for text in given:
        if text not in texts:
            raise LeRobotError(f"found the task text {text!r}, expected one of the dataset{closest(text, texts)}")
    names: dict[str, str] = {}
    for text in texts:
        name = everything or given.get(text) or _safe(text)
        number, wished = 2, name
        while not everything and text not in given and name in {*names.values(), *given.values()}:
            name, number = f"{wished}-{number}", number + 1
        names[text] = name
    return names


def _safe(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    words = re.findall(r"[a-z0-9_]+", text.lower())
    name = ""
    for word in words:
        if name and len(name) + len(word) >= _LONGEST:
            break
        name = f"{name}-{word}" if name else word[:_LONGEST]
    return name or "task"


def plain(mapping: Iterable[Column]) -> dict:
    """Columns of an import as plain data, for the dataset's settings."""
    return {
        column.ours: {"from": column.source.name, "scale": column.source.scale, "offset": column.source.offset}
        for column in mapping
    }

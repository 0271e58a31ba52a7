"""Environment files: a Gymnasium environment as a simulator, described in YAML.

docs/reference/environments.md has the keys.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lwd_ros.contract import AGE, Contract, ContractError
from lwd_ros.contract.contract import vector_name
from lwd_ros.contract.errors import Section, fail
from lwd_ros.environments.environment import EnvironmentSpec, SimulationError
from lwd_ros.environments.gym import Channel, GymEnvironment, Success, channels
from lwd_ros.reading import read_yaml

KEYS = (
    *("id", "kwargs", "period_s", "episode_steps", "score", "success", "tasks", "task_sets"),
    *("contract", "observation", "command"),
)
"""Of an environment file."""


@dataclass(frozen=True)
class GymSimulator:
    """A Gymnasium environment, as an environment file describes it.

    Attributes:
        spec: whose name is the file's path.
        id: of Gymnasium's registry, or "module:id", whose module is imported first.
        kwargs: of `gymnasium.make`.
        tasks: further ones, by task.
        observation, command: where the contract's scalars stand; of vectors, the first element.
        success: when a task is done; None where nothing says it.
    """

    spec: EnvironmentSpec
    id: str
    kwargs: Mapping
    tasks: Mapping[str, Mapping]
    observation: Mapping[str, Channel]
    command: Mapping[str, Channel]
    success: Success | None

    def digest(self) -> str:
        """SHA-256 of the file's content but for its name and its contract, 64 hex digits; see `StatesItself`."""
        content = asdict(replace(self, spec=replace(self.spec, name="", contract_file=Path())))
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def require_contract(self, contract: Contract) -> None:
        """As `Simulator.require_contract`."""
        self.spec.require_period(contract)
        observed = [name for name in contract.observation_names if name != AGE]
        channels(observed, self.observation, "observation")
        channels(contract.command_names, self.command, "command")
        for name in self.command:
            if name not in contract.command_names:
                raise ContractError(f"contract '{contract.name}': key 'command.{name}': found nothing, expected it")

    def make(self, task: str, contract: Contract) -> GymEnvironment:
        """As `Simulator.make`; raises SimulationError also where the file and Gymnasium's spaces disagree."""
        return GymEnvironment(self, task, contract)


def load(path: Path) -> GymSimulator:
    """Read an environment file and its contract; Gymnasium is not imported.

    Raises:
        SimulationError: the file cannot be read, a key is wrong, or names and periods are not the contract's.
        ContractError: the contract cannot be read or used.
    """
    content = read_yaml(path, "an environment in YAML", SimulationError)
    try:
        simulator = _simulator(Section(content, str(path)), path.resolve())
    except ContractError as error:  # of `Section`
        raise SimulationError(str(error)) from error
    _require_names(simulator, simulator.spec.contract(), str(path))
    return simulator


def _simulator(root: Section, path: Path) -> GymSimulator:
    root.only(*KEYS)
    score: Any = root.text("score", ("success", "return")) if "score" in root.value else "success"
    tasks = _tasks(root)
    contract_file = path.parent / root.text("contract")
    spec = EnvironmentSpec(
        name=root.where,
        tasks=tuple(tasks),
        contract_file=contract_file,
        period_s=root.number("period_s", above=0),
        episode_steps=root.count("episode_steps"),
        score=score,
        task_sets=_task_sets(root),
    )
    if score == "success" and "success" not in root.value:
        fail(root.where, "success", "nothing", "info: KEY or return: NUMBER, when a task is done; or score: return")
    return GymSimulator(
        spec=spec,
        id=root.text("id"),
        kwargs=_mapping(root, "kwargs"),
        tasks=tasks,
        observation=_channels(root.section("observation")),
        command=_commands(root.section("command")),
        success=_success(root.section("success")) if "success" in root.value else None,
    )


def _mapping(root: Section, key: str) -> dict:
    return dict(root.section(key).value) if root.value.get(key) is not None else {}


def _tasks(root: Section) -> dict[str, dict]:
    """Further arguments of `gymnasium.make` by task: of one name, of a list, of a mapping."""
    expected = "a task's name, a list of names, or names with their kwargs"
    found = root.value.get("tasks")
    tasks: Any = {found: {}} if isinstance(found, str) else found
    if isinstance(tasks, list):
        twice = [task for place, task in enumerate(tasks) if task in tasks[:place]]
        if twice:
            fail(root.where, "tasks", twice[0], "every task once")
        tasks = dict.fromkeys(tasks)
    if not isinstance(tasks, dict) or not tasks:
        fail(root.where, "tasks", found or "nothing", f"{expected}; at least one")
    for task, kwargs in tasks.items():
        if not isinstance(task, str) or not task or set(task) & set(",/") or not isinstance(kwargs or {}, dict):
            fail(root.where, "tasks", task, f"{expected}; without commas and slashes")
    return {task: dict(kwargs or {}) for task, kwargs in tasks.items()}


def _task_sets(root: Section) -> dict[str, tuple[str, ...]]:
    sets = _mapping(root, "task_sets")
    for name, tasks in sets.items():
        if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
            fail(root.where, f"task_sets.{name}", tasks, "a list of tasks")
    return {str(name).lower(): tuple(tasks) for name, tasks in sets.items()}


def _success(section: Section) -> Success:
    section.only("info", "at_least", "return")
    if ("info" in section.value) == ("return" in section.value):
        fail(section.where, section.key, dict(section.value), "either info: KEY or return: NUMBER")
    if "return" in section.value:
        return Success(at_least=section.number("return"))
    return Success(section.text("info"), section.number("at_least") if "at_least" in section.value else None)


def _channels(section: Section) -> dict[str, Channel]:
    return {name: _channel(section, name) for name in section.names()}


def _channel(section: Section, name: str) -> Channel:
    value = section.value[name]
    if not isinstance(value, Mapping):
        return Channel(_index(section.where, section.path(name), value))
    item = section.section(name)
    item.only("key", "index", "scale", "offset")
    return Channel(
        index=_index(item.where, item.path("index"), item.value.get("index")),
        key=item.text("key") if "key" in item.value else "",
        scale=item.number("scale") if "scale" in item.value else 1.0,
        offset=item.number("offset") if "offset" in item.value else 0.0,
    )


def _index(where: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        fail(where, key, "nothing" if value is None else value, "an index from 0 up")
    return value


def _commands(section: Section) -> dict[str, Channel]:
    found = _channels(section)
    indices = [channel.index for channel in found.values()]
    for name, channel in found.items():
        if channel.key:
            fail(section.where, section.path(name), channel.key, "no key: an action is one box")
        if indices.count(channel.index) > 1:
            fail(section.where, section.path(name), channel.index, "every index once")
    return found


def _require_names(simulator: GymSimulator, contract: Contract, where: str) -> None:
    """Raise SimulationError unless the file maps every scalar of its contract, and no other."""
    kinds = {
        "observation": (simulator.observation, [name for name in contract.observation_names if name != AGE]),
        "command": (simulator.command, list(contract.command_names)),
    }
    for kind, (mapping, names) in kinds.items():
        known = {name: vector_name(name) or name for name in names}
        for name in mapping:  # before what is missing: a misspelt name is both
            if name not in known and name not in known.values():
                expected = f"one of contract '{contract.name}': {', '.join(dict.fromkeys(known.values()))}"
                raise SimulationError(f"{where}: key '{kind}.{name}': found no such scalar, expected {expected}")
        for name, short in known.items():
            if name not in mapping and short not in mapping:
                expected = f"the index of every scalar of contract '{contract.name}'"
                raise SimulationError(f"{where}: key '{kind}.{short}': found nothing, expected {expected}")

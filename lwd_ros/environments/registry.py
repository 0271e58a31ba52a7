"""Simulators by name: those in folders of this package, those of other distributions, those in YAML files.

A folder `lwd_ros/environments/NAME` with a file `simulator.py`, whose `SIMULATOR` is one, is an environment. Another
distribution names its own in the entry-point group `lwd_ros.environments`: `NAME = package.module:SIMULATOR`, where
SIMULATOR is a simulator, or a class or function that makes one without arguments. A path to a YAML file is the name of
the Gymnasium environment that it describes.
"""

import pkgutil
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import lwd_ros.environments
from lwd_ros.environments.environment import SimulationError, Simulator

GROUP = "lwd_ros.environments"
"""The entry-point group."""

_FILES = (".yaml", ".yml")
_ALL = "all"


def names() -> tuple[str, ...]:
    """Names of all environments that are registered."""
    return tuple(_sources())


def simulator(name: str | Path) -> Simulator:
    """The simulator of a registered environment, or of the one that a YAML file describes.

    Raises:
        SimulationError: there is none of this name, or it cannot be loaded.
        ContractError: a YAML file's contract cannot be used.
    """
    if isinstance(name, Path) or name.endswith(_FILES):
        from lwd_ros.environments.gym_file import load

        return load(Path(name))
    sources = _sources()
    if name not in sources:
        known, _, task = str(name).rpartition("/")
        guess = f"; did you mean '{known}', and its task '{task}'?" if known in sources else ""
        raise SimulationError(
            f"environment '{name}': found no such, expected {', '.join(sources)}, or the path of a YAML file{guess}"
        )
    return sources[name]()


def find(tasks: str, environment: str = "") -> tuple[Simulator, tuple[str, ...]]:
    """What a list of tasks on the command line means: the environment, and names of tasks as listed.

    Args:
        tasks: names separated by commas, or a set of tasks, or `all`; each may have its environment in front of a
            slash: "ENV/SET", "ENV/TASK,ENV/TASK", "ENV/all", and "SET" or "TASK,TASK" where one environment alone has
            them.
        environment: name, or path of a YAML file, that needs no slash then.

    Raises:
        SimulationError: nothing is listed, two environments are, none or several have the tasks.
    """
    listed = [word.strip() for word in tasks.split(",") if word.strip()]
    if not listed:
        raise SimulationError("found no task, expected names separated by commas")
    parts = [word.rpartition("/") for word in listed]
    wanted = dict.fromkeys([*([environment] if environment else []), *(prefix for prefix, _, _ in parts if prefix)])
    if len(wanted) > 1:
        raise SimulationError(f"tasks of {len(wanted)} environments: found {', '.join(wanted)}, expected one")
    bare = tuple(task for _, _, task in parts)
    found = simulator(next(iter(wanted))) if wanted else _only(bare)
    return found, _expanded(found, bare)


def simulator_of(tasks: Sequence[str], environment: str | Path | Simulator = "") -> Simulator:
    """The environment that has all `tasks`, such as those of a model file; `environment` names or is it.

    Raises:
        SimulationError: none has them, or several do; the named one lacks one of them.
    """
    if not environment:
        return _only(tuple(tasks))
    found = simulator(environment) if isinstance(environment, str | Path) else environment
    found.spec.require_tasks(tasks)
    return found


def _expanded(found: Simulator, listed: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks themselves, of a set or as listed; raises SimulationError."""
    spec = found.spec
    if len(listed) == 1 and listed[0] not in spec.tasks:
        if listed[0].lower() in spec.task_sets:
            return spec.task_sets[listed[0].lower()]
        if listed[0] == _ALL:
            return spec.tasks
    spec.require_tasks(listed)
    return listed


def _only(listed: tuple[str, ...]) -> Simulator:
    """The one environment that has what is listed; raises SimulationError."""
    found, broken, known = [], [], dict[str, str]()
    for name, load in _sources().items():
        try:
            each = load()
            known |= {task: name for task in (*each.spec.tasks, *each.spec.task_sets)}
            _expanded(each, listed)
        except SimulationError as error:
            broken += [name] if isinstance(error, _Unloadable) else []
            continue
        found.append(each)
    if len(found) == 1:
        return found[0]
    shown = f"task '{listed[0]}'" if len(listed) == 1 else f"tasks {', '.join(listed)}"
    if found:
        having = ", ".join(each.spec.name for each in found)
        raise SimulationError(f"{shown}: found in the environments {having}; name one, as in {found[0].spec.name}/TASK")
    strange = next((task for task in listed if task not in known), "")
    close = get_close_matches(strange, known, n=1)
    guess = f"; did you mean '{known[close[0]]}/{close[0]}'?" if close else ""
    unread = f"; not loaded: {', '.join(broken)}" if broken else ""
    raise SimulationError(
        f"{shown}: found in no environment, expected one of {', '.join(names())} to have them, or --environment with "
        f"the path of a YAML file{unread}{guess}"
    )


class _Unloadable(SimulationError):
    """A registered environment that cannot be loaded."""


def _sources() -> dict[str, Callable[[], Simulator]]:
    """By name, what gives the simulator; nothing is imported yet."""
    sources = {
        name: _built_in(name)
        for folder in map(Path, lwd_ros.environments.__path__)
        for _, name, is_package in pkgutil.iter_modules([str(folder)])
        if is_package and (folder / name / "simulator.py").exists()
    }
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in sources:
            raise SimulationError(f"environment '{entry.name}': found twice ({entry.value}), expected every name once")
        sources[entry.name] = _plugged(entry.name, entry)
    return sources


def _built_in(name: str) -> Callable[[], Simulator]:
    return lambda: import_module(f"{lwd_ros.environments.__name__}.{name}.simulator").SIMULATOR


def _plugged(name: str, entry) -> Callable[[], Simulator]:
    def load() -> Simulator:
        try:
            found = entry.load()
            if isinstance(found, type) or not hasattr(found, "make"):
                found = found()
            found.spec, found.make  # noqa: B018
        except Exception as error:  # whatever another distribution raises
            problem = f"{type(error).__name__}: {error}"
            raise _Unloadable(f"environment '{name}': {entry.value} cannot be loaded ({problem})") from error
        return found

    return cache(load)

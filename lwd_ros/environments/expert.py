"""Which expert demonstrates: the environment's own, or a function that a user names."""

import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from lwd_ros.environments.environment import Environment, Expert, SimulationError, require_capability

Given = str | Callable[[Environment], Expert] | Callable[[np.ndarray], np.ndarray]
"""A function of one argument, or "MODULE:FUNCTION". Called `environment`, the argument is one and the function makes an
expert of it; else it is an observation, float64 [observations], and the function gives the command, float64 [commands].
"""


class _Function:
    """An expert that is a function of the observation; its commands are clipped to the contract's limits."""

    def __init__(self, environment: Environment, function: Callable[[np.ndarray], np.ndarray]):
        self._environment, self._function = environment, function
        self._shape, self._limits = (len(environment.contract.command),), environment.contract.command_limits

    def command(self) -> np.ndarray:
        """As `Expert.command`; raises SimulationError where the function gives something else."""
        command = np.asarray(self._function(self._environment.observe()), dtype=np.float64)
        if command.shape != self._shape or not np.isfinite(command).all():
            names = ", ".join(self._environment.contract.command_names)
            text = f"found {command}, expected {self._shape[0]} finite numbers: {names}"
            raise SimulationError(f"expert '{name_of(self._function)}': {text}")
        return np.clip(command, *self._limits)


def expert_of(environment: Environment, given: Given | None = None, anywhere: bool = False, way: str = "") -> Expert:
    """The expert of an environment: its own, one that copes with any start where `anywhere` says so, or a given one.

    `way` names one of several ways, whose expert is asked for.

    Raises:
        SimulationError: the environment has none and none is given, or what is given cannot be loaded.
    """
    if given is None and way:
        return require_capability(environment, "ways").way_expert(way)
    if given is None:
        return require_capability(environment, "expert").expert(anywhere=anywhere)
    function = load(given)
    parameters = list(inspect.signature(function).parameters)
    return function(environment) if parameters[:1] == ["environment"] else _Function(environment, function)


def load(given: Given) -> Callable:
    """A given function, imported where it is named; modules of the current folder are found as with `python -m`.

    Raises:
        SimulationError: it cannot be loaded or called with one argument.
    """
    function: Any = given
    if isinstance(given, str):
        module, separator, name = given.partition(":")
        if not (module and separator and name):
            raise SimulationError(f"expert '{given}': found no MODULE:FUNCTION, expected for instance 'experts:reach'")
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            function = getattr(import_module(module), name)
        except Exception as error:  # whatever a user's module raises
            problem = f"{type(error).__name__}: {error}"
            raise SimulationError(f"expert '{given}': cannot be loaded ({problem})") from error
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        text = f"found {error}, expected a function of one argument, an environment or an observation"
        raise SimulationError(f"expert '{name_of(given)}': {text}") from error
    return function


def name_of(given: Given) -> str:
    """What datasets and results call a given expert: "MODULE:FUNCTION"."""
    if isinstance(given, str):
        return given
    while isinstance(given, partial):
        given = given.func
    return f"{given.__module__}:{getattr(given, '__qualname__', type(given).__qualname__)}"

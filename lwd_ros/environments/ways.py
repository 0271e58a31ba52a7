"""Which of several ways is demonstrated: by name, as often as wanted, where the layout allows it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from lwd_ros.environments.environment import Environment, HasWays, SimulationError, require_capability

ALL = "all"
"""Stands for every way of a task."""

_SHOWN = 8
_DIGITS = 9  # what is equal up to so many is a draw


def ways_of(environment: Environment) -> tuple[str, ...]:
    """All ways of an environment's task; empty where it has one alone."""
    return tuple(environment.ways) if isinstance(environment, HasWays) else ()


def way_gone(environment: Environment) -> str:
    """The way that was taken, '' where it is none, or the task has one way alone."""
    return environment.way() if isinstance(environment, HasWays) and environment.ways else ""


def parsed(experts: str, frequencies: str | None = None) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """What a user wrote: names of ways, and how often each is demonstrated against the others.

    Args:
        experts: "all", or names separated by commas.
        frequencies: numbers separated by commas, one for each expert in their order; or NAME=NUMBER for some of them,
            where the others count 1. None for all alike.

    Returns:
        The names; and pairs of a name, '' where the order says it, and a number.

    Raises:
        SimulationError: a name stands twice, or what stands for a frequency is no number above 0.
    """
    names = tuple(word.strip() for word in experts.split(",") if word.strip())
    if not names:
        raise SimulationError(f"--experts: found no name, expected names separated by commas, or '{ALL}'")
    _require_once(names, "--experts")
    pairs = []
    for word in [word.strip() for word in frequencies.split(",")] if frequencies is not None else []:
        name, equals, text = word.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0) or (equals and not name.strip()):
            raise SimulationError(f"--frequencies: found '{word}', expected a number above 0, or NAME=NUMBER")
        pairs.append((name.strip(), number))
    if len({bool(name) for name, _ in pairs}) > 1:
        raise SimulationError(
            f"--frequencies: found '{frequencies}', expected numbers alone, or NAME=NUMBER throughout"
        )
    _require_once([name for name, _ in pairs if name], "--frequencies")
    return names, tuple(pairs)


def _require_once(names: Sequence[str], where: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SimulationError(f"{where}: found '{twice}' twice, expected every way once")


def frequencies_of(
    environment: Environment, experts: Sequence[str], frequencies: Sequence[tuple[str, float]] = ()
) -> dict[str, float]:
    """Of each way that is to be demonstrated in an environment, its share; they add up to 1.

    Args:
        environment: of one task.
        experts, frequencies: as `parsed` gives them.

    Raises:
        SimulationError: the task has one way alone, or no such way; the frequencies do not fit.
    """
    ways = tuple(require_capability(environment, "ways").ways)
    where = f"task '{environment.task}'"
    if not ways:
        raise SimulationError(f"{where}: found one way alone, expected several to choose among with --experts")
    names = ways if tuple(experts) == (ALL,) else tuple(experts)
    for name in names:
        if name not in ways:
            more = f", and {len(ways) - _SHOWN} more" if len(ways) > _SHOWN else ""
            close = get_close_matches(name, ways, n=1)
            guess = f"; did you mean '{close[0]}'?" if close else ""
            raise SimulationError(f"{where}: found no way '{name}', expected one of {_listed(ways)}{more}{guess}")
    weights = dict.fromkeys(names, 1.0)
    if frequencies and frequencies[0][0]:
        for name, number in frequencies:
            if name not in weights:
                raise SimulationError(f"{where}: --frequencies: found '{name}', expected one of the ways of --experts")
            weights[name] = number
    elif frequencies:
        if len(frequencies) != len(names):
            raise SimulationError(
                f"{where}: --frequencies: found {len(frequencies)} numbers, expected {len(names)}, one for each way"
            )
        weights = {name: number for name, (_, number) in zip(names, frequencies, strict=True)}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _listed(ways: Sequence[str]) -> str:
    return ", ".join(ways[:_SHOWN])


class WayDraw:
    """Draws the way of one demonstration after another.

    Of the ways that a layout allows, each comes as often as its frequency says, to within one demonstration: counted
    apart for every set of ways that layouts allow. So ways depend on nothing else of a layout. The random numbers
    decide the order.
    """

    def __init__(self, frequencies: Mapping[str, float], rng: np.random.Generator):
        self._frequencies, self._rng = dict(frequencies), rng
        self._demonstrated: dict[tuple[str, ...], Counter[str]] = {}
        self._open: tuple[str, ...] = ()

    def next(self, open_ways: Sequence[str]) -> str:
        """The way to demonstrate where a layout allows `open_ways`; '' where none of them is wanted."""
        self._open = tuple(way for way in self._frequencies if way in open_ways)
        if not self._open:
            return ""
        counts = self._demonstrated.setdefault(self._open, Counter())
        each = (counts.total() + 1) / sum(self._frequencies[way] for way in self._open)
        due = {way: round(each * self._frequencies[way] - counts[way], _DIGITS) for way in self._open}
        most = max(due.values())
        return str(self._rng.choice([way for way in self._open if due[way] == most]))

    def demonstrated(self, way: str) -> None:
        """What `next` gave last was demonstrated; until then it stays due, in other layouts."""
        self._demonstrated[self._open][way] += 1

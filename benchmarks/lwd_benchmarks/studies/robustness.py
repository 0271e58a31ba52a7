"""The studies of disturbances and of latency: what is left of success when the world is not as in training."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from lwd_benchmarks.methods import described as described_method
from lwd_benchmarks.studies.comparison import (
    Case,
    Outcomes,
    Rules,
    compare,
    described,
    drop,
    extra_drop,
    lead,
    outcomes_of,
)
from lwd_benchmarks.studies.costs import QueryTimes
from lwd_benchmarks.studies.methods import Method
from lwd_ros.environments.disturbance import Disturbance
from lwd_ros.environments.episode import AT_ONCE, Meanwhile, Thinking
from lwd_ros.environments.metaworld.tasks import PERIOD_S

_LEVELS: dict[str, tuple[str, str, tuple[Any, ...]]] = {  # field of a disturbance, unit, levels
    "none": ("", "", (0,)),
    "action noise": ("action_noise", "of the limit", (0.1, 0.3, 0.6)),
    "observation noise": ("observation_noise_m", "m", (0.001, 0.002, 0.005)),
    "observation delay": ("delay", "steps", (1, 2, 4, 8)),
    "dropped observations": ("dropped", "share", (0.2, 0.5, 0.8)),
    "push of the hand": ("hand_push_m", "m", (0.03, 0.06, 0.1)),
    "push of the object": ("object_push_mps", "m/s", (0.6, 1.0)),
    "control period": ("period_s", "s", (0.025, 0.005)),
}
_FREE_OBJECT = ("push-v3", "pick-place-v3", "peg-insert-side-v3")
"""Tasks of MT10 with a free object that the task is about: elsewhere a push does nothing, or the task itself."""

CASES = tuple(
    Case(
        {"disturbance": name, "level": level, "unit": unit},
        Disturbance(**({key: level} if key else {})),
        tasks=_FREE_OBJECT if key == "object_push_mps" else (),
    )
    for name, (key, unit, levels) in _LEVELS.items()
    for level in levels
)
"""What the study of disturbances asks: each disturbance alone, at some levels."""

_CALM = ("none", 0)

SLOWER = (1, 2, 5, 10)
"""Computers that the study of latency asks about: so many times slower than the one that measures."""


def reference_of(method: str) -> tuple[str, int]:
    """The method, trained alike, and the horizon that a method is set against."""
    return described_method(method).beside


def study_disturbance(
    methods: Sequence[Method], rules: Rules, cases: Sequence[Case] = CASES, earlier: dict | None = None
) -> dict:
    """Success of every method under every case, and `drop`: how much less than without any, on the same episodes.

    Beside its reference, where that is among the methods: `extra_drop` is how much larger the drop is, `lead` how much
    higher the success. Other methods of an `earlier` result stay; all are set against each other.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
        EarlierResultError: the earlier result was made otherwise.
    """
    compared = compare(methods, cases, rules)
    result = described("disturbance", rules, compared, [row.to_dict() for row in compared], earlier)
    known = {
        (name, row["horizon"], _case(row)): outcomes_of(row, result["protocol"])
        for name, rows in result["methods"].items()
        for row in rows
    }
    for name, rows in result["methods"].items():
        rows[:] = [_without_comparison(row) | _comparison(known, name, row) for row in rows]
    return result


_COMPARISON = ("drop", "drop_interval", "reference", "extra_drop", "extra_drop_interval", "lead", "lead_interval")


def _without_comparison(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in _COMPARISON}


def _comparison(known: Mapping[tuple, Outcomes], name: str, row: dict) -> dict:
    """What a row says of success undisturbed and of the reference, by method, horizon and case."""
    case, (reference, horizon) = _case(row), reference_of(name)
    mine = known[name, row["horizon"], _CALM], known[name, row["horizon"], case]
    calm, disturbed = known.get((reference, horizon, _CALM)), known.get((reference, horizon, case))
    less, interval = drop(*mine)
    content: dict[str, Any] = {"drop": less, "drop_interval": list(interval)}
    if calm is not None and disturbed is not None:
        content["reference"] = [reference, horizon]
        extra, ahead = extra_drop(mine, (calm, disturbed)), lead(mine[1], disturbed)
        for key, found in (("extra_drop", extra), ("lead", ahead)):
            content |= {key: found[0], f"{key}_interval": list(found[1])}
    return content


def _case(labels: Mapping) -> tuple[str, float]:
    """What tells cases apart, of the labels or the row of one."""
    return labels["disturbance"], labels["level"]


def study_latency(
    methods: Sequence[Method], rules: Rules, slower: Sequence[float] = SLOWER, earlier: dict | None = None
) -> dict:
    """Success under inference times measured here, and on computers some times slower, replayed as control steps.

    A query of t s lasts the whole periods in t; what is left of the last period is neglected, for every method. What
    happens `meanwhile` is each of what `Thinking` knows. Other methods of an `earlier` result stay as they are there.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
        EarlierResultError: the earlier result was made otherwise.
    """
    times = QueryTimes(rules.kept, methods)

    def case(factor: float, meanwhile: Meanwhile) -> Case:
        def thinking(method: Method, horizon: int) -> Thinking:
            steps = int(factor * times.of(method, horizon) / PERIOD_S)
            return Thinking(steps, meanwhile) if steps else AT_ONCE

        return Case({"times_slower": factor, "meanwhile": meanwhile}, thinking=thinking)

    cases = [case(factor, meanwhile) for factor in slower for meanwhile in get_args(Meanwhile)]
    compared = compare(methods, cases, rules)
    rows = []
    for row in compared:
        seconds = times.of(row.method, row.horizon) * row.case.labels["times_slower"]
        rows.append(row.to_dict() | {"query_ms": 1e3 * seconds})
    return described("latency", rules, compared, rows, earlier)

"""The studies of disturbances and of latency: what is left of success when the world is not as in training."""

from collections.abc import Sequence
from typing import get_args

from lwd_ros.evaluation.comparison import Case, Rules, by_method, compare, described, drop, extra_drop, lead
from lwd_ros.evaluation.costs import QueryTimes
from lwd_ros.evaluation.disturbance import AT_ONCE, Disturbance, Meanwhile, Thinking
from lwd_ros.evaluation.methods import Method
from lwd_ros.evaluation.trials import Counts
from lwd_ros.sim.scene import PERIOD_S

_LEVELS = {
    "none": ("", "", (0,)),
    "action noise": ("action_noise", "of the limit", (0.1, 0.3, 0.6)),
    "observation noise": ("observation_noise_m", "m", (0.001, 0.002, 0.005)),
    "observation delay": ("delay", "steps", (1, 2, 4, 8)),
    "dropped observations": ("dropped", "share", (0.2, 0.5, 0.8)),
    "push of the hand": ("hand_push_m", "m", (0.03, 0.06, 0.1)),
    "push of the object": ("object_push_mps", "m/s", (0.3, 0.6, 1.0)),
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

SLOWER = (1, 2, 5, 10)
"""Computers that the study of latency asks about: so many times slower than the one that measures."""

_REFERENCES = {"lwd_robust": ("diffusion_policy_robust", 8)}
_REFERENCE = ("diffusion_policy", 8)


def reference_of(method: str) -> tuple[str, int]:
    """The method, trained alike, and the horizon that a method is set against."""
    return _REFERENCES.get(method, _REFERENCE)


def study_disturbance(methods: Sequence[Method], rules: Rules, cases: Sequence[Case] = CASES) -> dict:
    """Success of every method under every case, and `drop`: how much less than without any, on the same episodes.

    Beside its reference, where that is among the methods: `extra_drop` is how much larger the drop is, `lead` how much
    higher the success.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
    """
    compared = compare(methods, cases, rules)
    counts = {(row.method.name, row.horizon, _key(row.case)): row.counts for row in compared}
    calm = next(_key(case) for case in cases if case.labels["disturbance"] == "none")

    def pair(name: str, horizon: int, case: Case) -> tuple[Counts, Counts]:
        return counts[name, horizon, calm], counts[name, horizon, _key(case)]

    rows = []
    for row in compared:
        mine = pair(row.method.name, row.horizon, row.case)
        less, interval = drop(*mine)
        content = row.to_dict() | {"drop": less, "drop_interval": list(interval)}
        reference = reference_of(row.method.name)
        if (*reference, _key(row.case)) in counts:
            theirs = pair(*reference, row.case)
            content["reference"] = list(reference)
            for name, found in (("extra_drop", extra_drop(mine, theirs)), ("lead", lead(mine[1], theirs[1]))):
                content |= {name: found[0], f"{name}_interval": list(found[1])}
        rows.append(content)
    return described("disturbance", rules, by_method(methods, rows, compared), compared)


def _key(case: Case) -> tuple:
    return tuple(case.labels.values())


def study_latency(methods: Sequence[Method], rules: Rules, slower: Sequence[float] = SLOWER) -> dict:
    """Success under inference times measured here, and on computers some times slower, replayed as control steps.

    A query of t s lasts the whole periods in t; what is left of the last period is neglected, for every method. What
    happens `meanwhile` is each of what `Thinking` knows.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
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
    return described("latency", rules, by_method(methods, rows, compared), compared)

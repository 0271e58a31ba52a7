"""The studies of disturbances and of latency: what is left of success when the world is not as in training."""

from collections.abc import Sequence

from lwd_ros.evaluation.comparison import Case, Protocol, compare, described
from lwd_ros.evaluation.disturbance import Disturbance
from lwd_ros.evaluation.horizon import query_seconds
from lwd_ros.evaluation.methods import Method
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

CASES = tuple(
    Case({"disturbance": name, "level": level, "unit": unit}, Disturbance(**({key: level} if key else {})))
    for name, (key, unit, levels) in _LEVELS.items()
    for level in levels
)
"""What the study of disturbances asks: each disturbance alone, at some levels."""

SLOWER = (1, 2, 5, 10, 20)
"""Computers that the study of latency asks about: so many times slower than the one that measures."""


def study_disturbance(methods: Sequence[Method], protocol: Protocol, cases: Sequence[Case] = CASES) -> dict:
    """Success of every method under every case, and `drop`: how much less than without any disturbance.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
    """
    rows = compare(methods, cases, protocol)
    for method in rows.values():
        undisturbed = {row["horizon"]: row["success"] for row in method if row["disturbance"] == "none"}
        for row in method:
            row["drop"] = undisturbed[row["horizon"]] - row["success"]
    return described("disturbance", protocol, rows)


def study_latency(methods: Sequence[Method], protocol: Protocol, slower: Sequence[float] = SLOWER) -> dict:
    """Success under inference times measured here, and on computers some times slower, replayed as control steps.

    A query of t s keeps the last command for the whole periods in t; what is left of the last period is neglected, for
    every method.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
    """
    times = {(m.name, h): query_seconds(m.kind, models[0], h) for m in methods for h, models in m.models.items()}

    def case(factor: float) -> Case:
        return Case(
            {"times_slower": factor},
            thinking_steps=lambda method, horizon: int(factor * times[method.name, horizon] / PERIOD_S),
        )

    rows = compare(methods, [case(factor) for factor in slower], protocol)
    for name, method in rows.items():
        for row in method:
            row["query_ms"] = 1e3 * times[name, row["horizon"]] * row["times_slower"]
    return described("latency", protocol, rows)

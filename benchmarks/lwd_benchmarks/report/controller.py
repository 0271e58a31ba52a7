"""What the page of the controller's benchmarks shows, of what `lwd bench NAME` writes."""

from collections.abc import Iterable
from pathlib import Path

from lwd_benchmarks.results import ControllerResult, read

NAMES = ("latency", "latency_idle", "swap", "swap_before_after", "swap_profile", "step", "fields", "soak", "handover")


def load(folder: Path) -> dict[str, ControllerResult]:
    """Results by name; ResultError where one is missing or is not what a benchmark writes."""
    return {name: read(ControllerResult, folder / f"{name}.json") for name in NAMES}


def context(results: dict[str, ControllerResult]) -> dict:
    """What the template may name."""
    return {
        **results,
        "machine": _machine,
        "swap_sides": (results["swap"].figures, results["swap"].figures["at_normal_priority"]),
        "speeds": [(run, side) for run in results["swap_before_after"].figures["runs"] for side in ("before", "after")],
        "threads": _threads(results["swap_profile"].figures["runs"][0]),
        "soak_runs": (results["soak"].figures, results["soak"].figures["many_swaps"]),
        "second_skills": _second_skills(results["handover"].figures["trials"]),
        "trials": results["handover"].figures["trials"],
    }


def _machine(result: ControllerResult) -> str:
    versions = ", ".join(f"{key} {value}" for key, value in result.versions.items())
    return f"{result.machine}; Python {result.python}, {versions}"


def _threads(run: dict) -> Iterable[tuple[str, float, float]]:
    """Processor time of a swap, µs, before and after, of threads of both processes."""
    parts = (
        ("control process, control thread", "policy_controller", "main"),
        ("control process, thread that checks policies", "policy_controller", "worker"),
        ("control process (goal: half)", "policy_controller", "main", "worker"),
        ("generator", "policy_generator", "main"),
    )
    for name, node, *threads in parts:
        sums = (
            sum(piece["used_us_a_swap"] for piece in run[side][node] if piece["thread"] in threads)
            for side in ("before", "after")
        )
        yield name, *sums


def _second_skills(trials: list[dict]) -> dict[tuple[bool, float], list[int]]:
    """Steps of the second skill, 0 where it failed, by whether the arm was held, and the pause."""
    found: dict[tuple[bool, float], list[int]] = {}
    for trial in trials:
        found.setdefault((trial["hold"], trial["pause_s"]), []).append(trial.get("steps", 0))
    return found

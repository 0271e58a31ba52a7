"""What the page of the Metaworld benchmarks shows."""

import math
from collections.abc import Iterable
from statistics import fmean

from lwd_benchmarks.methods import LWD
from lwd_benchmarks.report import pictures, plots
from lwd_benchmarks.report.entries import Entry, Study, run_name
from lwd_benchmarks.report.page import NONE, number
from lwd_benchmarks.report.ratios import if_the_largest_were_perfect, shipped, still_rising
from lwd_benchmarks.results import Rolled, Variety
from lwd_benchmarks.statistics import Pooled, total
from lwd_ros.environments.layouts import REPORTING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.environments.metaworld.experts import OWN_EXPERTS
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS, MT10

PLOTS = {
    "size": plots.draw_size,
    "budget": plots.draw_budget,
    "demonstrations": plots.draw_demonstrations,
    "reconstruction": pictures.draw_reconstruction,
    "latents": pictures.draw_latents,
    "diversity": pictures.draw_diversity,
}


def context(study: Study) -> dict:
    """What the template may name, beside the headlines."""
    main = study.of("main")
    episodes = {count.episodes // len(entry.seeds) for entry in main for count in entry.tasks.values()}
    return {
        "study": study,
        "main": study.main,
        "columns": _columns,
        "rows": context_rows,
        "ratios": study.ratios,
        "shipped": shipped(study),
        "rising": still_rising(study),
        "perfect": if_the_largest_were_perfect(study, "mt50", "visible"),
        "moved": moved(main),
        "own_experts": [task.removesuffix("-v3") for task in OWN_EXPERTS],
        "own_experts_of_mt50": [task.removesuffix("-v3") for task in OWN_EXPERTS if task not in MT10],
        "episodes_a_task": _range(episodes),
        "seeds_an_entry": _range({len(entry.seeds) for entry in main if not entry.is_expert}),
        "steps": EPISODE_STEPS,
        "first_reporting": REPORTING_LAYOUTS.start,
        "first_validation": VALIDATION_LAYOUTS.start,
        "last_validation": VALIDATION_LAYOUTS.stop - 1,
        "reconstruction": reconstruction_rows(study),
        "latents": latents_rows(study),
        "diversity": diversity_rows(study),
        "visible_spread": visible_spread(study),
        "size_cells": lambda e: _cells(number(e.parameters), number(e.folded_parameters), number(e.study.steps)),
        "budget_cells": lambda e: _cells(number(e.parameters), number(e.study.steps), e.study.layouts),
        "rate_cells": lambda e: _cells(
            number(e.parameters), number(e.study.steps), f"{e.study.learning_rate:g}", e.study.layouts
        ),
        "demonstration_cells": lambda e: _cells(
            number(e.parameters), NONE if e.is_expert else str(e.study.demonstrations_per_task or "all")
        ),
    }


def _cells(*texts: str) -> str:
    return " | ".join(texts)


def _range(values: set[int]) -> str:
    """`50`, or `20 to 50`."""
    return " to ".join(map(str, sorted({min(values), max(values)})))


def _columns(entries: list[Entry]) -> list[str]:
    """Names of methods, with the size where there are several of one."""
    labels = [entry.label for entry in entries]
    return [f"{entry.label} {entry.layers}" if labels.count(entry.label) > 1 else entry.label for entry in entries]


def context_rows(set_: str, entries: list[Entry]) -> list[str]:
    """The tasks of a set; those of MT50 begin with the task where LWD is weakest."""
    leading = next(entry for entry in entries if entry.study.method == LWD)
    return sorted(leading.tasks, key=lambda task: leading.tasks[task].rate if set_ == "mt50" else 0)


def moved(entries: Iterable[Entry]) -> dict[int, list[str]]:
    """Tasks that are judged on layouts of their own, by the first one."""
    firsts = {task: first for e in entries for task, first in e.results[0].protocol.first_layout_of.items()}
    return {first: sorted(t.removesuffix("-v3") for t, f in firsts.items() if f == first) for first in firsts.values()}


def reconstruction_rows(study: Study) -> list[dict]:
    """One row per run."""
    return [_reconstruction(*item) for item in study.reconstruction.items()]


def latents_rows(study: Study) -> list[dict]:
    """One row per run."""
    return [_latents(*item) for item in study.latents.items()]


def diversity_rows(study: Study) -> list[dict]:
    """One row per run and task."""
    return [row for item in study.latents.items() for row in _diversity(*item)]


def _reconstruction(run: str, results: list) -> dict:
    """One run, its seeds pooled or averaged."""

    def counts(rolled: str) -> Pooled:
        found: list[tuple[Rolled, int]] = [
            (getattr(task, rolled), task.demonstrations) for result in results for task in result.tasks.values()
        ]
        episodes = sum(number for _, number in found)
        return Pooled(sum(count.successes for count, _ in found), episodes, episodes // len(results))

    mean = {key: fmean(result.mean[key] for result in results) for key in results[0].mean}
    row = {"name": run_name(run), "seeds": len(results), "mean": mean}
    return row | {"expert": counts("expert"), "decoded": counts("decoded")}


def _latents(run: str, results: list) -> dict:
    tasks = results[0].tasks
    own = {task: fmean(result.tasks[task].nearest_encoded_is_of_the_task for result in results) for task in tasks}
    return {
        "name": run_name(run),
        "seeds": len(results),
        "samples": sum(len(task.sampled) for result in results for task in result.tasks.values()),
        "own": fmean(own.values()),
        "lowest": min(own.items(), key=lambda item: item[1]),
        "explained": fmean(sum(result.explained_variance) for result in results),
    }


def _diversity(run: str, results: list) -> Iterable[dict]:
    for task in results[0].diversity:
        varieties = [
            _variety([getattr(result.diversity[task], kind) for result in results])
            for kind in ("one_layout", "many_layouts")
        ]
        yield {"name": run_name(run), "task": task, "seeds": len(results), "varieties": varieties}


def _variety(found: list[Variety]) -> dict:
    return {
        "count": total(Pooled(one.successes, len(one.layouts), len(one.layouts)) for one in found),
        "weight_distance": fmean(one.weight_distance for one in found),
        "action_disagreement": fmean(one.action_disagreement for one in found),
    }


def visible_spread(study: Study) -> int:
    """Whole percent that no two policies generated for a task differ by in their weights, where the goal is visible."""
    largest = max(
        variety.weight_distance
        for run, results in study.latents.items()
        for result in results
        for kinds in result.diversity.values()
        for variety in (kinds.one_layout, kinds.many_layouts)
        if "visible" in run
    )
    return math.floor(100 * largest) + 1

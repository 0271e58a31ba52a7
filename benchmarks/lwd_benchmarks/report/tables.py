"""The document's tables and its sentences about parameters, each a pure function of the results."""

from lwd_benchmarks.report import text
from lwd_benchmarks.report.names import GOALS, METHODS, SETS
from lwd_benchmarks.report.pooling import Entry
from lwd_benchmarks.report.ratio import Curve, compare, compare_policy, isotonic_curve, needed
from lwd_benchmarks.report.results import Results

LEVELS = (0.8, 0.9, 0.95, 0.98)
"""Success rates at which parameters are compared, beside the highest that both methods reach."""


def _where(entry: Entry) -> str:
    return f"{SETS[entry.set]}, {GOALS[entry.goal]}"


def _success(entry: Entry) -> list[str]:
    """The columns that every row about an entry ends with; `_SUCCESS` are their names."""
    count = entry.total
    return [text.seeds(entry), text.number(count.episodes), text.rate(count.rate), text.interval(count)]


_SUCCESS = ["training seeds", "episodes", "success", "95 % interval"]


def _worst_seed(entry: Entry) -> str:
    return text.NONE if entry.method == "expert" else text.rate(entry.worst_run.total.rate)


def _worst_task(entry: Entry) -> str:
    task, count = entry.worst_task
    return f"{'every task' if count.rate == 1 else task} {text.fraction(count)}"


def headline(results: Results) -> str:
    """One row per shipped model."""
    rows = [
        [
            _where(entry), text.number(entry.parameters), *_success(entry), _worst_seed(entry), _worst_task(entry),
            text.milliseconds(entry.generation_ms), text.number(entry.flops),
        ]
        for entry in results.of("main")
        if entry.method == "lwd"
    ]  # fmt: skip
    header = ["set, goal", "policy parameters", *_SUCCESS, "worst seed", "worst task", "generated in (ms)"]
    return text.table([*header, "FLOPs a step"], rows)


def methods(results: Results, set_: str, goal: str) -> str:
    """One row per method on one set."""
    rows = [
        [
            METHODS[entry.method], text.layers(entry), text.number(entry.parameters), *_success(entry),
            _worst_seed(entry), _worst_task(entry),
        ]
        for entry in results.of("main", set_, goal)
    ]  # fmt: skip
    return text.table(["method", "hidden layers", "parameters", *_SUCCESS, "worst seed", "worst task"], rows)


def tasks(results: Results, set_: str, goal: str) -> str:
    """One row per task, one column per method; those of MT50 begin with the task where LWD is weakest."""
    entries = results.of("main", set_, goal)
    if not entries:
        return text.NONE
    labels = [METHODS[entry.method] for entry in entries]
    header = [
        f"{label} {text.layers(entry)}" if labels.count(label) > 1 else label
        for label, entry in zip(labels, entries, strict=True)
    ]
    pooled = [entry.tasks for entry in entries]
    names = list(pooled[0])
    leading = next((p for entry, p in zip(entries, pooled, strict=True) if entry.method == "lwd"), pooled[0])
    if set_ == "mt50":
        names.sort(key=lambda name: leading[name].rate)
    rows = [[name, *(text.fraction(counts[name]) for counts in pooled)] for name in names]
    rows.append(["all tasks", *(text.fraction(entry.total) for entry in entries)])
    rows.append(["training seeds", *(text.seeds(entry) for entry in entries)])
    return text.table(["task", *header], rows)


def _study(results: Results, group: str, *columns: str) -> str:
    """One row per entry of a group, with the columns that vary in it."""
    cells = {
        "parameters": lambda entry: text.number(entry.parameters),
        "folded for one task": lambda entry: text.number(entry.folded_parameters),
        "demonstrations a task": text.demonstrations,
        "optimiser steps": lambda entry: text.number(entry.steps),
        "peak learning rate": lambda entry: text.NONE if entry.learning_rate is None else f"{entry.learning_rate:g}",
        "layouts": lambda entry: entry.layouts,
    }
    rows = [
        [
            _where(entry),
            METHODS[entry.method],
            text.layers(entry),
            *(cells[c](entry) for c in columns),
            *_success(entry),
        ]
        for entry in results.of(group)
    ]
    return text.table(["set, goal", "method", "hidden layers", *columns, *_SUCCESS], rows)


def size(results: Results) -> str:
    """Success by policy parameters."""
    return _study(results, "size", "parameters", "folded for one task", "optimiser steps")


def budget(results: Results) -> str:
    """Success by optimiser steps."""
    return _study(results, "budget", "parameters", "optimiser steps", "layouts")


def rate(results: Results) -> str:
    """Success by learning rate."""
    return _study(results, "rate", "parameters", "optimiser steps", "peak learning rate", "layouts")


def demonstrations(results: Results) -> str:
    """Success by demonstrations."""
    return _study(results, "demonstrations", "parameters", "demonstrations a task")


def curves(results: Results, set_: str, goal: str, folded: bool = False) -> dict[str, Curve]:
    """Isotonic curve of each method that has sizes measured on one set; `folded`: over `Entry.folded_parameters`."""
    points: dict[str, list] = {}
    for entry in results.of("size", set_, goal):
        if entry.parameters:
            size = entry.folded_parameters if folded else entry.parameters
            points.setdefault(entry.method, []).append((size, entry.total))
    return {method: isotonic_curve(found) for method, found in points.items()}


def _compared(results: Results, folded: bool = False):
    """(set, goal, LWD's curve, the multi-task MLP's) wherever both were measured."""
    for set_ in SETS:
        for goal in GOALS:
            found = curves(results, set_, goal, folded)
            if "lwd" in found and "multitask_mlp" in found:
                yield set_, goal, found["lwd"], found["multitask_mlp"]


def ratio(results: Results) -> str:
    """Parameters that each method needs for some success, and how many times more the multi-task MLP needs."""
    rows = []
    pairs = zip(_compared(results), _compared(results, folded=True), strict=True)
    for (set_, goal, lwd, mlp), (*_, folded) in pairs:
        shared = compare(lwd, mlp)
        comparisons = [(f"{level}", compare(lwd, mlp, level)) for level in LEVELS if level < shared.success]
        comparisons.append((f"{text.rate(shared.success)} (the highest that both reach)", shared))
        for name, comparison in comparisons:
            cells = [text.reached(comparison.small), text.reached(comparison.large), text.ratio(comparison)]
            alike = compare(lwd, folded, comparison.success)
            cells += [text.reached(alike.large), text.ratio(alike)]
            rows.append([f"{SETS[set_]}, {GOALS[goal]}", name, *cells])
    header = ["set, goal", "success", "LWD parameters", "multi-task MLP parameters", "ratio"]
    return text.table([*header, "MLP folded for one task", "ratio"], rows)


def ratio_sentences(results: Results) -> str:
    """A list: what follows where one method lacks the other's highest success, and for the shipped policies."""
    lines = []
    for set_, goal, lwd, mlp in _compared(results):
        where = f"{SETS[set_]}, goal {GOALS[goal]}"
        if lwd.best > mlp.best:
            bound = compare(lwd, mlp, lwd.best)
            lines.append(
                f"- {where}: no multi-task MLP up to {mlp.parameters[-1]:,} parameters reaches LWD's "
                f"{text.rate(lwd.best)}, for which LWD needs {text.reached_words(bound.small)}: "
                f"a ratio of {text.ratio(bound, words=True)}."
            )
        elif mlp.best > lwd.best:
            lines.append(
                f"- {where}: no LWD policy up to {lwd.parameters[-1]:,} parameters reaches the multi-task MLP's "
                f"{text.rate(mlp.best)}, for which the MLP needs {text.reached_words(needed(mlp, mlp.best))}."
            )
        for entry in results.of("main", set_, goal):
            if entry.method == "lwd":
                comparison = compare_policy(entry.parameters, entry.total.rate, mlp)
                lines.append(
                    f"- {where}: the shipped policy of {entry.parameters:,} parameters reaches "
                    f"{text.rate(comparison.success)}, for which a multi-task MLP needs "
                    f"{text.reached_words(comparison.large)}: a ratio of {text.ratio(comparison, words=True)}."
                )
    return "\n".join(lines) or text.NONE


def chains(results: Results) -> str:
    """One row per link."""
    rows = []
    for chain in results.chains:
        for place, link in enumerate(chain.links):
            count = link.count
            name = " → ".join(link.task.removesuffix("-v3") for link in chain.links) if place == 0 else ""
            cells = [str(place + 1), link.task, str(len(chain.seeds)), text.fraction(count)]
            rows.append([name, *cells, text.rate(count.rate), text.interval(count)])
    header = ["chain", "link", "task", "training seeds", "episodes", "success", "95 % interval"]
    return text.table(header, rows)

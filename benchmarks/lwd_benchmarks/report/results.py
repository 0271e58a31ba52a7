"""Result files of a study, checked: what the benchmark document is made from."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.report.names import GOALS, GROUPS, METHODS, SETS
from lwd_benchmarks.report.pooling import Chain, Count, Entry, Link, Run
from lwd_benchmarks.report.studies import READERS, Latents, Reconstruction, read_study
from lwd_ros.environments.metaworld.tasks import MT10, MT50
from lwd_ros.evaluation.evaluate import REPORTING_LAYOUTS, VALIDATION_LAYOUTS

_LAYOUTS = {"reporting": REPORTING_LAYOUTS, "validation": VALIDATION_LAYOUTS}
_TASKS = {"mt10": MT10, "mt50": MT50}
_REPORTED = {"main", "size", "demonstrations"}


@dataclass(frozen=True)
class Results:
    """Everything that a folder holds.

    Attributes:
        entries: by set, goal, method, parameters and name.
        chains: by their tasks.
        reconstruction, latents: of the files `reconstruction_*.json` and `latents_*.json`, by name.
    """

    entries: tuple[Entry, ...]
    chains: tuple[Chain, ...]
    reconstruction: tuple[Reconstruction, ...]
    latents: tuple[Latents, ...]

    def of(self, group: str, set_: str | None = None, goal: str | None = None) -> list[Entry]:
        """Entries of a group; the expert, who sees everything, belongs to both goals of its set."""
        found = [
            entry
            for entry in self.entries
            if group in entry.groups
            and set_ in (None, entry.set)
            and (goal in (None, entry.goal) or entry.method == "expert")
        ]
        return found if goal is None else sorted(found, key=lambda entry: list(METHODS).index(entry.method))


def load(folder: Path) -> Results:
    """Read every `*.json` of a folder; one that does not exist is an empty one.

    Raises:
        ReportError: a file is not what its name or its `study` block says, or seeds of an entry do not fit together.
    """
    entries: dict[str, Entry] = {}
    chains: dict[tuple, Chain] = {}
    studies: dict[str, list] = {kind: [] for kind in READERS}
    for path in sorted(folder.glob("*.json"), key=_seed_order):
        content, kind = _read(path), path.stem.partition("_")[0]
        if kind in studies:
            studies[kind].append(read_study(kind, path, content))
        elif kind == "chain":
            _add_chain(chains, path, content)
        else:
            found = _entry(path, content)
            entries[found.name] = _joined(entries[found.name], found, path) if found.name in entries else found
    return Results(
        tuple(sorted(entries.values(), key=_order)),
        tuple(chains[key] for key in sorted(chains)),
        **{kind: tuple(found) for kind, found in studies.items()},
    )


def _seed_order(path: Path) -> tuple[str, int]:
    name, _, seed = path.stem.rpartition("_seed")
    return (name, int(seed)) if seed.isdecimal() else (path.stem, 0)


def _order(entry: Entry) -> tuple:
    places = list(SETS).index(entry.set), list(GOALS).index(entry.goal), list(METHODS).index(entry.method)
    return *places, entry.parameters or 0, entry.demonstrations or 0, entry.steps or 0, entry.name


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(f"{path}: is not JSON ({error}); expected what 'lwd evaluate --json' writes") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path}: found a {type(content).__name__}, expected what 'lwd evaluate --json' writes")
    return content


def _get(path: Path, content: dict, key: str, valid: Callable[[object], bool], expected: str):
    """The value of a dotted key; ReportError unless it is there and valid."""
    value = content
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ReportError(f"{path}: found no key '{key}', expected {expected}")
        value = value[part]
    if not valid(value):
        raise ReportError(f"{path}: key '{key}': found {value!r}, expected {expected}")
    return value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _one_of(path: Path, content: dict, key: str, names) -> str:
    expected = f"one of {', '.join(names)}"
    return _get(path, content, key, lambda value: isinstance(value, str) and value in names, expected)


def _number_or_none(path: Path, content: dict, key: str) -> float | None:
    """A number that may be null or absent; content['study'] has been found to be a mapping."""
    parent, _, name = key.rpartition(".")
    if (content[parent] if parent else content).get(name) is None:
        return None
    return _get(path, content, key, lambda v: isinstance(v, int | float) and v >= 0, "a number of 0 or more")


def _optional_count(path: Path, content: dict, key: str, method: str) -> int | None:
    """A whole number that only the expert may lack."""
    if method == "expert":
        return None
    return _get(path, content, key, _is_count, "a whole number of 0 or more")


def _count(path: Path, content: dict, where: str) -> Count:
    successes = _get(path, content, "successes", _is_count, f"a whole number, in {where}")
    episodes = _get(path, content, "episodes", lambda v: _is_count(v) and v > 0, f"a positive number, in {where}")
    if successes > episodes:
        raise ReportError(f"{path}: {where}: found {successes} successes, expected at most {episodes}, its episodes")
    return Count(successes, episodes)


def _study(path: Path, content: dict) -> tuple[dict, int]:
    """The block `study` and its seed; the file's name must not contradict it."""
    study = _get(path, content, "study", lambda v: isinstance(v, dict), "the block that 'lwd study' writes")
    seed = _get(path, content, "study.seed", _is_count, "a training seed of 0 or more")
    named = re.search(r"_seed(\d+)$", path.stem)
    if named and int(named[1]) != seed:
        raise ReportError(f"{path}: found seed {seed} in its block 'study', expected {named[1]} as its name says")
    return study, seed


def _entry(path: Path, content: dict) -> Entry:
    """One result file as an entry with one run."""
    study, seed = _study(path, content)
    name = _get(path, content, "study.entry", lambda v: isinstance(v, str), "the entry's name")
    if path.stem != f"{name}_seed{seed}":
        raise ReportError(f"{path}: found entry '{name}' and seed {seed}, expected the name '{name}_seed{seed}.json'")
    set_ = _one_of(path, content, "study.set", SETS)
    method = _one_of(path, content, "study.method", METHODS)
    layouts = _one_of(path, content, "study.layouts", _LAYOUTS)
    groups = _get(
        path, content, "study.groups", lambda v: isinstance(v, list) and set(v) <= set(GROUPS),
        f"a list of {', '.join(GROUPS)}",
    )  # fmt: skip
    if layouts != "reporting" and _REPORTED & set(groups):
        group = min(_REPORTED & set(groups))
        raise ReportError(f"{path}: group '{group}': found {layouts} layouts, expected reporting ones")
    first = _get(path, content, "protocol.first_layout", _is_count, "a layout seed")
    if first not in _LAYOUTS[layouts]:
        expected = f"{layouts} layouts, {_LAYOUTS[layouts].start:,} to {_LAYOUTS[layouts].stop - 1:,}"
        raise ReportError(f"{path}: found first layout {first}, expected {expected}")
    tasks = _get(path, content, "tasks", lambda v: isinstance(v, dict), "a mapping of tasks")
    wrong = sorted(set(tasks) ^ set(_TASKS[set_]))
    if wrong:
        raise ReportError(f"{path}: found {len(tasks)} tasks, expected those of {set_}; '{wrong[0]}' differs")
    layers = study.get("hidden_layers")
    run = Run(
        seed,
        content.get("model_digest"),
        {task: _count(path, tasks[task], f"task '{task}'") for task in _TASKS[set_]},
        _number_or_none(path, content, "generation_ms"),
        _number_or_none(path, content, "study.training_s"),
    )
    return Entry(
        name, set_, _one_of(path, content, "study.goal", GOALS), method,
        None if layers is None else tuple(layers),
        _optional_count(path, content, "study.demonstrations_per_task", method),
        _optional_count(path, content, "study.steps", method), _learning_rate(path, study),
        tuple(groups), layouts,
        _optional_count(path, content, "policy_parameters", method),
        _optional_count(path, content, "flops_per_step", method),
        (run,),
    )  # fmt: skip


def _learning_rate(path: Path, study: dict) -> float | None:
    """The peak of the schedule that the job's training config asks for; None for what needed no training."""
    job = study.get("job")
    config = job.get("train_config") if isinstance(job, dict) else None
    stage = config.get("autoencoder") if isinstance(config, dict) else None
    return _number_or_none(path, stage, "learning_rate") if isinstance(stage, dict) else None


def _joined(entry: Entry, other: Entry, path: Path) -> Entry:
    """An entry with one more seed; what describes it must be alike."""
    alike = ("set", "goal", "method", "hidden_layers", "demonstrations", "steps", "learning_rate", "groups", "layouts")
    for key in (*alike, "parameters"):
        found, expected = getattr(other, key), getattr(entry, key)
        if found != expected:
            raise ReportError(f"{path}: found {key} {found!r}, expected {expected!r} as in the entry's other seeds")
    run = other.runs[0]
    same = [known.seed for known in entry.runs if known.model_digest == run.model_digest is not None]
    if same:
        raise ReportError(f"{path}: found the model of seed {same[0]}, expected one trained with seed {run.seed}")
    return replace(entry, runs=(*entry.runs, run))


def _reported(path: Path, content: dict) -> None:
    """ReportError unless the layouts are ones to report on."""
    first = _get(path, content, "protocol.first_layout", _is_count, "a layout seed")
    if first not in REPORTING_LAYOUTS:
        expected = f"reporting layouts, {REPORTING_LAYOUTS.start:,} to {REPORTING_LAYOUTS.stop - 1:,}"
        raise ReportError(f"{path}: found first layout {first}, expected {expected}")


def _add_chain(chains: dict[tuple, Chain], path: Path, content: dict) -> None:
    study, seed = _study(path, content)
    _reported(path, content)
    rows = _get(path, content, "links", lambda v: isinstance(v, list) and bool(v), "what 'lwd evaluate --chain' writes")
    links = []
    for row in rows:
        task = _get(path, row if isinstance(row, dict) else {}, "task", lambda v: isinstance(v, str), "a task's name")
        links.append(Link(task, _count(path, row, f"link '{task}'")))
    entry = str(study.get("entry", ""))
    key = (entry, tuple(link.task for link in links))
    if key not in chains:
        chains[key] = Chain(entry, (seed,), tuple(links))
        return
    known = chains[key]
    if seed in known.seeds:
        raise ReportError(f"{path}: found seed {seed} of a chain that is there already, expected another seed")
    pooled = tuple(Link(old.task, old.count + new.count) for old, new in zip(known.links, links, strict=True))
    chains[key] = Chain(entry, (*known.seeds, seed), pooled)

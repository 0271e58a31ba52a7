"""The results of the Metaworld study, joined: entries with their training seeds pooled, chains, studies of runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from lwd_benchmarks.methods import EXPERT, METHODS
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.frame import episodes, joined, pooled, pooled_by
from lwd_benchmarks.results import (
    GOALS,
    REPORTED,
    SETS,
    Block,
    ChainResult,
    LatentsResult,
    OfARun,
    ReconstructionResult,
    StudyResult,
    read,
)
from lwd_benchmarks.statistics import Pooled
from lwd_ros.environments.metaworld.tasks import MT10, MT50

if TYPE_CHECKING:
    from lwd_benchmarks.report.ratios import Ratio

Value = TypeVar("Value")
_TASKS = {"mt10": MT10, "mt50": MT50}
_ALIKE = ("set", "goal", "method", "hidden_layers", "demonstrations_per_task", "steps", "learning_rate", "groups",
          "layouts", "data_digest")  # fmt: skip
"""What the seeds of an entry have in common."""

_NUMBERS = ("demonstrations", "steps", "parameters", "folded_parameters")
"""Columns that are missing for the expert."""


@dataclass(frozen=True)
class Entry:
    """One entry of the study, its training seeds pooled.

    Attributes:
        results: its files, by seed.
        frame: its rows of the tidy frame.
    """

    results: tuple[StudyResult, ...]
    frame: pd.DataFrame = field(repr=False, default=None)

    @property
    def study(self) -> Block:
        """What describes it, of the first seed; the others' are alike."""
        return self.results[0].study

    @property
    def name(self) -> str:
        """Of its files, `NAME_seedK.json`."""
        return self.study.entry

    @property
    def label(self) -> str:
        """What the pages call its method."""
        return METHODS[self.study.method].label

    @property
    def where(self) -> str:
        """Its set and goal."""
        return place_of(self.study.set, self.study.goal)

    @property
    def is_expert(self) -> bool:
        """Nobody trained it."""
        return self.study.method == EXPERT

    @property
    def parameters(self) -> int | None:
        """Weights and biases of the policy; None for the expert."""
        return self.results[0].policy_parameters

    @property
    def folded_parameters(self) -> int | None:
        """Parameters once the task is fixed: the weights of a multi-task MLP's one-hot inputs become a bias."""
        if self.study.method != "multitask_mlp":
            return self.parameters
        return given(self.parameters) - len(self.results[0].tasks) * given(self.study.hidden_layers)[0]

    @property
    def flops(self) -> int | None:
        """Of the policy, a control step."""
        return self.results[0].flops_per_step

    @property
    def layers(self) -> str:
        """Hidden layers, `16-16`."""
        return "-".join(map(str, self.study.hidden_layers or ()))

    @cached_property
    def total(self) -> Pooled:
        """All episodes of all seeds and tasks."""
        return pooled(self.frame)

    @cached_property
    def tasks(self) -> dict[str, Pooled]:
        """Each task, seeds pooled, in the order of the set."""
        return pooled_by(self.frame, "task")

    @cached_property
    def seeds(self) -> dict[int, Pooled]:
        """Each training seed."""
        return pooled_by(self.frame, "seed")

    @property
    def worst_seed(self) -> Pooled:
        """The training seed with the lowest success."""
        return min(self.seeds.values(), key=lambda count: count.rate)

    @property
    def worst_task(self) -> tuple[str, Pooled]:
        """The task with the lowest pooled success, the first of those that are alike."""
        return min(self.tasks.items(), key=lambda item: item[1].rate)

    def median(self, values: Iterable[float | None]) -> float | None:
        """Over the seeds that have one."""
        known = [value for value in values if value is not None]
        return median(known) if known else None

    @property
    def generation_ms(self) -> float | None:
        """From noise to a checked policy, median over the seeds."""
        return self.median(result.generation_ms for result in self.results)


@dataclass(frozen=True)
class Chain:
    """Tasks run one after another in one scene without a reset: its files, by seed."""

    results: tuple[ChainResult, ...]

    @property
    def name(self) -> str:
        """Of its files."""
        return self.results[0].study.entry

    @property
    def tasks(self) -> list[str]:
        """In their order."""
        return [link.task for link in self.results[0].links]

    @property
    def links(self) -> list[tuple[str, Pooled]]:
        """Task and count of each link, seeds pooled."""
        counts = zip(*([link for link in result.links] for result in self.results), strict=True)
        return [
            (links[0].task, Pooled(sum(x.successes for x in links), sum(x.episodes for x in links), links[0].episodes))
            for links in counts
        ]


@dataclass(frozen=True)
class Study:
    """Everything that a folder of the Metaworld study holds.

    Attributes:
        entries: by set, goal, method, parameters and name.
        frame: one row per episode of every entry.
        chains: by name.
        reconstruction, latents: results of a run, by run and seed.
        digests: of the demonstrations, by table (a group, or the kind of other results) and set.
    """

    entries: tuple[Entry, ...]
    frame: pd.DataFrame
    chains: tuple[Chain, ...]
    reconstruction: dict[str, list[ReconstructionResult]]
    latents: dict[str, list[LatentsResult]]
    digests: dict[tuple[str, str], str]

    def of_other_data(self, table: str) -> list[str]:
        """Sets whose rows in a table learned from other demonstrations than the main table's."""
        mine = {set_: digest for (name, set_), digest in self.digests.items() if name == table}
        return [SETS[set_] for set_ in mine if mine[set_] != self.digests.get(("main", set_), mine[set_])]

    def of(self, group: str, set_: str | None = None, goal: str | None = None) -> list[Entry]:
        """Entries of a group; the expert, who sees everything, belongs to both goals of its set."""
        found = [
            entry
            for entry in self.entries
            if group in entry.study.groups
            and set_ in (None, entry.study.set)
            and (goal in (None, entry.study.goal) or entry.is_expert)
        ]
        return found if goal is None else sorted(found, key=lambda entry: list(METHODS).index(entry.study.method))

    @cached_property
    def ratios(self) -> list["Ratio"]:
        """Those of `ratios.ratios`, whose bootstraps take seconds, once for the headlines and the page."""
        from lwd_benchmarks.report.ratios import ratios  # which reads entries

        return ratios(self)

    def main(self, set_: str, goal: str, method: str) -> Entry | None:
        """The entry that stands for a method: the one named after set and goal, else the smallest."""
        found = [entry for entry in self.of("main", set_, goal) if entry.study.method == method]
        return next((entry for entry in found if entry.name == f"{set_}_{goal}"), found[0] if found else None)


def place_of(set_: str, goal: str) -> str:
    """What the pages call a set and a goal."""
    return f"{SETS[set_]}, {goal}"


def given(value: Value | None) -> Value:
    """A figure of an entry that was trained; ReportError where it is missing, as it may be of the expert alone."""
    if value is None:
        raise ReportError("found an entry without parameters, layers or steps, expected one that was trained")
    return value


def run_name(run: str) -> str:
    """What the pages call a run."""
    return run.removeprefix("metaworld_").replace("_", " ")


def load(folder: Path) -> Study:
    """Read every `*.json` of a folder; one that does not exist is an empty one.

    Raises:
        ResultError: a file is not what its name says.
        ReportError: results do not fit together: another seed, other data, other layouts.
    """
    entries: dict[str, Entry] = {}
    chains: dict[str, Chain] = {}
    of_runs: dict[str, type[OfARun]] = {"reconstruction": ReconstructionResult, "latents": LatentsResult}
    studies: dict[str, dict[str, list]] = {kind: {} for kind in of_runs}
    digests: dict[tuple[str, str], tuple[str, Path]] = {}
    for path in sorted(folder.glob("*.json"), key=_seed_order):
        kind = path.stem.partition("_")[0]
        if kind in of_runs:
            of_run = read(of_runs[kind], path)
            studies[kind].setdefault(of_run.run, []).append(of_run)
            set_ = next((name for name in SETS if f"_{name}_" in f"_{of_run.run}_"), None)
            _require_same_data(digests, [kind], set_, of_run.data_digest, path)
            continue
        result = read(ChainResult, path) if kind == "chain" else read(StudyResult, path)
        block = result.study
        if path.stem != f"{block.entry}_seed{block.seed}":
            named = f"entry '{block.entry}' and seed {block.seed}"
            raise ReportError(f"{path}: found {named}, expected the name '{block.entry}_seed{block.seed}.json'")
        tables = ("chain",) if kind == "chain" else tuple(block.groups)
        _require_same_data(digests, tables, block.set, block.data_digest, path)
        if isinstance(result, ChainResult):
            if block.layouts != "reporting":
                raise ReportError(f"{path}: found {block.layouts} layouts, expected reporting ones")
            chains[block.entry] = _with_seed(chains.get(block.entry), Chain((result,)), path)
        else:
            _require_shown(result, path)
            entries[block.entry] = _with_seed(entries.get(block.entry), Entry((result,)), path)
    frame = joined(_rows(entry) for entry in entries.values())
    frame = frame.astype({name: "Int64" for name in _NUMBERS if name in frame})
    parts = dict(iter(frame.groupby("entry", sort=False))) if entries else {}
    whole = [replace(entry, frame=parts[name]) for name, entry in entries.items()]
    return Study(
        tuple(sorted(whole, key=_order)),
        frame,
        tuple(chains[name] for name in sorted(chains)),
        **{kind: dict(sorted(found.items(), key=_run_order)) for kind, found in studies.items()},
        digests={key: digest for key, (digest, _) in digests.items()},
    )


def _seed_order(path: Path) -> tuple[str, int]:
    name, _, seed = path.stem.rpartition("_seed")
    return (name, int(seed)) if seed.isdecimal() else (path.stem, 0)


def _order(entry: Entry) -> tuple:
    study = entry.study
    places = list(SETS).index(study.set), GOALS.index(study.goal), list(METHODS).index(study.method)
    return *places, entry.parameters or 0, study.demonstrations_per_task or 0, study.steps or 0, entry.name


def _run_order(item: tuple[str, list]) -> tuple:
    """The pages' order of sets and goals where the run's name tells them, then the name."""
    places = [f"{set_}_{goal}" for set_ in SETS for goal in GOALS]
    return next((i for i, place in enumerate(places) if place in item[0]), len(places)), item[0]


def _rows(entry: Entry) -> pd.DataFrame:
    study = entry.study
    labels: dict[str, Any] = {
        "entry": entry.name, "method": study.method, "set": study.set, "goal": study.goal, "layouts": study.layouts,
        "demonstrations": study.demonstrations_per_task, "hidden_layers": entry.layers, "steps": study.steps,
        "parameters": entry.parameters, "folded_parameters": entry.folded_parameters,
    }  # fmt: skip
    return joined(episodes(result.tasks, result.protocol, **labels).assign(seed=result.study.seed)
                  for result in entry.results)  # fmt: skip


def _require_same_data(digests: dict, tables: Sequence[str], set_: str | None, digest: str | None, path: Path) -> None:
    """Rows of one table and set stand side by side, so they must have learned from the same demonstrations."""
    if not set_ or not digest:
        return
    for table in tables:
        known, first = digests.setdefault((table, set_), (digest, path))
        if digest != known:
            text = f"found data digest {digest[:12]}…, expected {known[:12]}… as in {first.name}"
            raise ReportError(f"{path}: {text}: results of different demonstrations cannot stand in one table")


def _require_shown(result: StudyResult, path: Path) -> None:
    set_, method, layouts = result.study.set, result.study.method, result.study.layouts
    if layouts != "reporting" and (shown := REPORTED & set(result.study.groups)):
        raise ReportError(f"{path}: group '{min(shown)}': found {layouts} layouts, expected reporting ones")
    wrong = sorted(set(result.tasks) ^ set(_TASKS[set_]))
    if wrong:
        raise ReportError(f"{path}: found {len(result.tasks)} tasks, expected those of {set_}; '{wrong[0]}' differs")
    if method not in METHODS or not METHODS[method].judged_by_study:
        known = ", ".join(name for name, described in METHODS.items() if described.judged_by_study)
        raise ReportError(f"{path}: found method '{method}', expected one of {known}")


def _with_seed(known, new, path: Path):
    """An entry or a chain with one more seed; what describes it must be alike."""
    if known is None:
        return new
    (first, *_), (result,) = known.results, new.results
    pairs: list[tuple[str, Any, Any]] = [(key, getattr(first.study, key), getattr(result.study, key)) for key in _ALIKE]
    pairs += [(key, getattr(first.protocol, key), getattr(result.protocol, key))
              for key in ("first_layout", "first_layout_of")]  # fmt: skip
    if isinstance(known, Entry):
        pairs.append(("parameters", first.policy_parameters, result.policy_parameters))
        before, now = ({task: count.episodes for task, count in one.tasks.items()} for one in (first, result))
        pairs.append(("episodes", before, now))
    else:
        pairs.append(("tasks", known.tasks, new.tasks))
    for key, expected, found in pairs:
        if found != expected:
            raise ReportError(f"{path}: found {key} {found!r}, expected {expected!r} as in the entry's other seeds")
    for other in known.results:
        if other.study.seed == result.study.seed:
            raise ReportError(f"{path}: found seed {other.study.seed} twice, expected another seed")
        if other.model_digest == result.model_digest is not None:
            text = f"found the model of seed {other.study.seed}, expected one trained with seed {result.study.seed}"
            raise ReportError(f"{path}: {text}")
    return replace(known, results=(*known.results, result))

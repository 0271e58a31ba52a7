"""How many times fewer policy parameters LWD needs than a multi-task MLP at equal success."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lwd_benchmarks.methods import LWD
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.entries import Entry, Study, given, place_of
from lwd_benchmarks.report.frame import shares
from lwd_benchmarks.results import GOALS, SETS
from lwd_benchmarks.statistics import Comparison, Curve, Reached, bootstrap, percentiles

MLP = "multitask_mlp"
LEVELS = (0.8, 0.9, 0.95, 0.98)
"""Success rates at which parameters are compared, beside the highest that both methods reach."""


@dataclass(frozen=True)
class Ratio:
    """One comparison of the size curves of a set and goal.

    Attributes:
        set, goal: of the curves.
        shared: at the highest success that both reach, rather than at a given one.
        folded, whole: the multi-task MLP counted once its task is fixed, and with its task inputs.
        interval: 95 %, of the folded ratio, by a bootstrap over layouts.
        seeds: training seeds of the sizes that the two numbers are read from: least and most.
    """

    set: str
    goal: str
    shared: bool
    folded: Comparison
    whole: Comparison
    interval: tuple[float, float]
    seeds: tuple[int, int]

    @property
    def where(self) -> str:
        """Its set and goal."""
        return place_of(self.set, self.goal)


def sized(study: Study, set_: str, goal: str, method: str) -> list[Entry]:
    """Entries of a method of all sizes, the smallest first."""
    found = (entry for entry in study.of("size", set_, goal) if entry.study.method == method and entry.parameters)
    return sorted(found, key=lambda entry: given(entry.parameters))


def curve(entries: list[Entry], folded: bool = True, rate: Callable[[Entry], float] = lambda entry: entry.total.rate):
    """The curve of entries, by `Entry.folded_parameters` or by all."""
    size = (lambda entry: entry.folded_parameters) if folded else (lambda entry: entry.parameters)
    return Curve.fit((size(entry), rate(entry), entry.total.episodes) for entry in entries)


def compared(study: Study) -> list[tuple[str, str]]:
    """Sets and goals where both methods were measured in several sizes."""
    return [
        (set_, goal)
        for set_ in SETS
        for goal in GOALS
        if sized(study, set_, goal, LWD) and sized(study, set_, goal, MLP)
    ]


def ratios(study: Study) -> list[Ratio]:
    """Of every set and goal: at each level that both reach, and at the highest."""
    return [ratio for set_, goal in compared(study) for ratio in _ratios(study, set_, goal)]


def _ratios(study: Study, set_: str, goal: str) -> list[Ratio]:
    lwd, mlp = sized(study, set_, goal, LWD), sized(study, set_, goal, MLP)
    small, folded, whole = curve(lwd), curve(mlp), curve(mlp, folded=False)
    shared = min(small.best, folded.best)
    levels = [*(level for level in LEVELS if level < shared), None]
    ranges: list[list[tuple[float, float]]] = [[] for _ in levels]
    for rates in _resampled(study, [*lwd, *mlp]):
        drawn = curve(lwd, rate=rates), curve(mlp, rate=rates)
        for found, level in zip(ranges, levels, strict=True):
            found.append(Comparison.of(*drawn, level).range)
    made = []
    for found, level in zip(ranges, levels, strict=True):
        at = shared if level is None else level
        comparison = Comparison.of(small, folded, at)
        read = [entry for entries, reached in ((lwd, comparison.small), (mlp, comparison.large)) for entry in entries
                if entry.folded_parameters in reached.sizes]  # fmt: skip
        seeds = [len(entry.seeds) for entry in read]
        made.append(
            Ratio(
                set_, goal, level is None, comparison, Comparison.of(small, whole, at), percentiles(found),
                (min(seeds), max(seeds)),
            )
        )  # fmt: skip
    return made


def _resampled(study: Study, entries: list[Entry]):
    """For each resampling of layouts, the function that gives an entry's success."""
    names = [entry.name for entry in entries]
    strata = shares(study.frame, "entry", names)
    if any(np.isnan(task).any() for task in strata):
        raise ReportError(
            f"entries {', '.join(names[:3])}, …: were judged on different layouts, expected the same ones"
        )
    place = {name: number for number, name in enumerate(names)}
    for rates in bootstrap(strata):
        yield lambda entry, rates=rates: rates[place[entry.name]]


@dataclass(frozen=True)
class Shipped:
    """An LWD policy of known size and success against the multi-task MLPs."""

    entry: Entry
    comparison: Comparison
    largest: Entry


def shipped(study: Study) -> list[Shipped]:
    """Every policy of LWD that is published, beside the multi-task MLPs of its set and goal."""
    found = []
    for set_, goal in compared(study):
        mlps = sized(study, set_, goal, MLP)
        for entry in study.of("main", set_, goal):
            if entry.study.method == LWD:
                small, large = Reached(given(entry.parameters)), curve(mlps).needed(entry.total.rate)
                found.append(Shipped(entry, Comparison(entry.total.rate, small, large), mlps[-1]))
    return found


@dataclass(frozen=True)
class Rise:
    """A curve over training steps that still rose when the steps were doubled for the last time."""

    entry: Entry
    more: int


def still_rising(study: Study) -> list[Rise]:
    """Multi-task MLPs of the study of budgets whose last and longest training was their best."""
    lines: dict[tuple, list[Entry]] = {}
    for entry in study.of("budget"):
        if entry.study.method == MLP:
            lines.setdefault((entry.study.set, entry.parameters), []).append(entry)
    ends = [sorted(line, key=lambda entry: given(entry.study.steps))[-2:] for line in lines.values() if len(line) > 1]
    return [
        Rise(last, last.total.successes - before.total.successes)
        for before, last in ends
        if last.total.successes > before.total.successes
    ]


def if_the_largest_were_perfect(study: Study, set_: str, goal: str) -> float:
    """The ratio at LWD's best success, had more training brought the largest multi-task MLP to 1."""
    lwd, mlp = sized(study, set_, goal, LWD), sized(study, set_, goal, MLP)
    small, last = curve(lwd), mlp[-1].name
    large = curve(mlp, rate=lambda entry: 1.0 if entry.name == last else entry.total.rate)
    return Comparison.of(small, large, small.best).ratio

"""Numbers and tables as Markdown, always written alike."""

import math
from collections.abc import Iterable, Sequence

from lwd_benchmarks.report.pooling import Count, Entry
from lwd_benchmarks.report.ratio import AT_MOST, EXACT, MORE_THAN, Comparison, Reached

NONE = "–"  # noqa: RUF001
"""What stands where there is no result."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first right-aligned; a dash where there is no row."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return NONE
    return "\n".join([f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}", *lines])


def number(value: float | None) -> str:
    """A whole number with commas."""
    return NONE if value is None else f"{value:,.0f}"


def rate(value: float) -> str:
    """A success rate; 1.000 and 0.000 mean every and no episode."""
    text = f"{value:.3f}"
    if text in ("1.000", "0.000") and value not in (0, 1):
        return f"{value:.4f}"
    return text


def interval(count: Count) -> str:
    """The Wilson interval of a count."""
    low, high = count.interval
    return f"{low:.3f} to {high:.3f}"


def fraction(count: Count | None) -> str:
    """Successes out of episodes."""
    return NONE if count is None else f"{count.successes:,}/{count.episodes:,}"


def milliseconds(value: float | None) -> str:
    """A time of generation, two digits."""
    return NONE if value is None else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def layers(entry: Entry) -> str:
    """Hidden layers, `16-16`."""
    return "-".join(map(str, entry.hidden_layers)) if entry.hidden_layers else NONE


def seeds(entry: Entry) -> str:
    """The number of training seeds; nobody trained the expert."""
    return NONE if entry.method == "expert" else str(len(entry.runs))


def demonstrations(entry: Entry) -> str:
    """Demonstrations a task."""
    return NONE if entry.demonstrations is None else str(entry.demonstrations or "all")


def reached(value: Reached) -> str:
    """The parameters that a success needs."""
    sign = {AT_MOST: "≤ ", MORE_THAN: "> "}.get(value.bound, "")
    return f"{sign}{value.parameters:,.0f}"


def reached_words(value: Reached) -> str:
    """The same within a sentence."""
    return f"{'' if value.bound == EXACT else value.bound + ' '}{value.parameters:,.0f}"


def two_digits(value: float, relation: str) -> str:
    """Two significant digits; a lower bound is rounded down, an upper bound up, so that it stays one."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    turn = {">=": math.floor, "<=": math.ceil}.get(relation, round)
    rounded = turn(round(value / step, 9)) * step
    return f"{rounded:,.0f}" if step >= 1 else f"{rounded:.{1 if step > 0.05 else 2}f}"


def ratio(comparison: Comparison, words: bool = False) -> str:
    """How many times more parameters the other method needs; a dash where no bound follows."""
    sign = {"=": "", ">=": "at least ", "<=": "at most "} if words else {"=": "", ">=": "≥ ", "<=": "≤ "}
    if comparison.relation not in sign:
        return NONE
    return sign[comparison.relation] + two_digits(comparison.ratio, comparison.relation)

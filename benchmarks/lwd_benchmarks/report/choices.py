"""What `lwd train` chooses without a config: what the page shows of `lwd study choices`."""

from pathlib import Path

from lwd_benchmarks.own.choices import ChoiceRow, ChoicesResult
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.results import read
from lwd_benchmarks.statistics import Pooled


def load(folder: Path) -> list[ChoicesResult]:
    """A folder's results, by the robots' names; ResultError where one is not what it should be."""
    found = [read(ChoicesResult, path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise ReportError(f"{folder}: found no result, expected what 'lwd study choices' writes")
    return found


def context(found: list[ChoicesResult]) -> dict:
    """What the template may name."""
    return {"robots": found, "count": _count}


def _count(row: ChoiceRow) -> Pooled:
    return Pooled(row.successes, row.episodes, row.episodes)  # one training seed

"""Examples of robots of one's own: what the page shows of `lwd study own` and `lwd bench import`."""

from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.methods import LWD
from lwd_benchmarks.own.results import OwnEntry, OwnResult
from lwd_benchmarks.report import ReportError
from lwd_benchmarks.report.headlines import Figures
from lwd_benchmarks.results import ControllerResult, read

EARLIER = "*_from_*.json"
METHODS = {LWD: "LWD, one model for all tasks", "task_mlp": "one MLP a task, trained as itself"}


@dataclass(frozen=True)
class Own:
    """The examples by name, the speed of import, and what was reported before something was changed."""

    examples: dict[str, OwnResult]
    importing: ControllerResult
    earlier: list[OwnResult]


def load(folder: Path) -> Own:
    """A folder's results; ResultError where one is not what it should be, ReportError where one is missing."""
    commands = {"base": "lwd study own base", "arm": "lwd study own arm", "import": "lwd bench import"}
    for name, command in commands.items():
        if not (folder / f"{name}.json").exists():
            raise ReportError(f"{folder / name}.json: found no result, expected what '{command}' writes")
    examples = {name: read(OwnResult, folder / f"{name}.json") for name in ("base", "arm")}
    earlier = [read(OwnResult, path) for path in sorted(folder.glob(EARLIER))]
    return Own(examples, read(ControllerResult, folder / "import.json"), earlier)


def best(result: OwnResult) -> OwnEntry:
    """LWD on the most demonstrations."""
    return max((entry for entry in result.entries if entry.method == LWD), key=lambda entry: entry.demonstrations)


def context(found: Own) -> dict:
    """What the template may name, beside the headlines."""
    names = {"examples": found.examples, "importing": found.importing.figures, "methods": METHODS}
    return names | {"earlier": found.earlier}


def figures(found: Own) -> Figures:
    """`own.NAME.success` of the most demonstrations, `own.NAME.minutes` of the timed way, counts of every method."""
    yield "own.import_over_real_time", found.importing.figures["over_real_time_by_the_clock"]
    for example, result in found.examples.items():
        name = f"own.{example}"
        if result.timed is not None:
            yield f"{name}.minutes", result.timed.minutes
        yield f"{name}.success", best(result).pooled.success
        for entry in result.entries:
            place, pooled = f"{name}.{entry.method}.{entry.demonstrations}", entry.pooled
            yield f"{place}.parameters", entry.policy_parameters
            yield f"{place}.seeds", len(entry.runs)
            yield f"{place}.successes", pooled.successes
            yield f"{place}.episodes", pooled.episodes
            yield f"{place}.interval_low", pooled.interval[0]
            yield f"{place}.interval_high", pooled.interval[1]

"""Single numbers for the document's prose: every number there comes from results or from the code that made them."""

from lwd_benchmarks.report import text
from lwd_benchmarks.report.names import GOALS, METHODS, SETS
from lwd_benchmarks.report.pooling import Entry
from lwd_benchmarks.report.ratio import compare
from lwd_benchmarks.report.results import Results
from lwd_benchmarks.report.tables import curves
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS
from lwd_ros.evaluation.evaluate import REPORTING_LAYOUTS, VALIDATION_LAYOUTS

_FIELDS = {
    "mean": lambda entry: text.rate(entry.total.rate),
    "interval": lambda entry: text.interval(entry.total),
    "successes": lambda entry: text.number(entry.total.successes),
    "failures": lambda entry: text.number(entry.total.episodes - entry.total.successes),
    "episodes": lambda entry: text.number(entry.total.episodes),
    "seeds": text.seeds,
    "parameters": lambda entry: text.number(entry.parameters),
    "flops": lambda entry: text.number(entry.flops),
    "steps": lambda entry: text.number(entry.steps),
    "generation_ms": lambda entry: text.milliseconds(entry.generation_ms),
    "training_min": lambda entry: text.NONE if entry.training_s is None else f"{entry.training_s / 60:.1f}",
    "worst_seed": lambda entry: text.rate(entry.worst_run.total.rate),
    "worst_task": lambda entry: entry.worst_task[0],
    "worst_task_count": lambda entry: text.fraction(entry.worst_task[1]),
}


def _range(found: set[int]) -> str:
    """`50`, or `20 to 50`."""
    if not found:
        return text.NONE
    return str(min(found)) if len(found) == 1 else f"{min(found)} to {max(found)}"


def _fields(entry: Entry | None) -> dict[str, str]:
    values = {name: text.NONE if entry is None else of(entry) for name, of in _FIELDS.items()}
    if entry is not None:
        values |= {f"tasks.{task}": text.fraction(count) for task, count in entry.tasks.items()}
    return values


def _ratios(results: Results, set_: str, goal: str) -> dict[str, str]:
    """What the size curves of a set say; dashes where one is missing."""
    found = curves(results, set_, goal)
    names = ("success", "lwd_parameters", "mlp_parameters", "times", "lwd_smallest", "mlp_largest")
    if "lwd" not in found or "multitask_mlp" not in found:
        return dict.fromkeys(names, text.NONE)
    lwd, mlp = found["lwd"], found["multitask_mlp"]
    shared = compare(lwd, mlp)
    cells = (
        text.rate(shared.success), text.reached(shared.small), text.reached(shared.large), text.ratio(shared),
        text.number(lwd.parameters[0]), text.number(mlp.parameters[-1]),
    )  # fmt: skip
    return dict(zip(names, cells, strict=True))


def values(results: Results) -> dict[str, str]:
    """Every value by name.

    - `SET_GOAL.FIELD` of LWD's shipped model and `SET_GOAL.METHOD.FIELD` of any method in group "main" (of several the
      one with the fewest parameters): always known, a dash without a result.
    - `ENTRY.FIELD` of every entry that there are results of, and `ENTRY.tasks.TASK`.
    - `SET_GOAL.ratio.NAME` of the size curves.
    - `protocol.NAME`.
    """
    by_name = {}
    for set_ in SETS:
        for goal in GOALS:
            place, main = f"{set_}_{goal}", results.of("main", set_, goal)
            for method in METHODS:
                fields = _fields(next((entry for entry in main if entry.method == method), None))
                by_name |= {f"{place}.{method}.{key}": value for key, value in fields.items()}
                if method == "lwd":
                    by_name |= {f"{place}.{key}": value for key, value in fields.items()}
            by_name |= {f"{place}.ratio.{key}": value for key, value in _ratios(results, set_, goal).items()}
    for entry in results.entries:  # last: an entry may bear the name of its set and goal, and then means itself
        by_name |= {f"{entry.name}.{key}": value for key, value in _fields(entry).items()}
    main = results.of("main")
    episodes = {count.episodes for entry in main for run in entry.runs for count in run.tasks.values()}
    by_name |= {
        "protocol.steps": text.number(EPISODE_STEPS),
        "protocol.first_reporting": text.number(REPORTING_LAYOUTS.start),
        "protocol.first_validation": text.number(VALIDATION_LAYOUTS.start),
        "protocol.last_validation": text.number(VALIDATION_LAYOUTS.stop - 1),
        "protocol.episodes": _range(episodes),
        "protocol.seeds": _range({len(entry.runs) for entry in main if entry.method != "expert"}),
    }
    return by_name

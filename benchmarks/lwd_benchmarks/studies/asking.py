"""`lwd study asking`: does asking for another policy in mid-episode lose anything?"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lwd_benchmarks.results import read
from lwd_benchmarks.ways.judging import episodes_of
from lwd_ros import __version__
from lwd_ros.environments.registry import simulator_of
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import open_model, outcomes_by_task, write_json


class AskingError(LwdError):
    """The study's input or its earlier result cannot be used."""


class Row(BaseModel):
    """One model file, asked for a policy every `horizon` control periods; None: once an episode.

    `successes` are of each task, by name.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    model_digest: str
    seed: int
    horizon: int | None
    episodes_per_task: int
    successes: dict[str, int]


class AskingResult(BaseModel):
    """What `lwd study asking` writes."""

    model_config = ConfigDict(extra="forbid")

    study: Literal["asking"]
    lwd_ros: str
    first_layout: int
    episodes_per_task: int
    rows: list[Row]


def run(
    models: Mapping[str, Sequence[Path]],
    horizons: Sequence[int | None],
    episodes: int,
    first_layout: int,
    workers: int,
    path: Path,
) -> AskingResult:
    """Judge every model at every horizon on the same layouts; a row that `path` has already is not made again.

    Earlier rows of a name that is given again with another file go.

    Args:
        models: by name, one file a training seed.
        horizons: control periods between two requests; None: one request an episode.
        episodes: of each task, on layouts from `first_layout` on.
        first_layout: not of demonstrations.
        workers: parallel processes.
        path: of the result.

    Raises:
        AskingError: the earlier result is of other layouts.
        ResultError: it is none.
        ModelError: a model file cannot be used, or layouts were trained on.
    """
    result = AskingResult(
        study="asking", lwd_ros=__version__, first_layout=first_layout, episodes_per_task=episodes, rows=[]
    )
    if path.exists():
        earlier = read(AskingResult, path)
        same = ("first_layout", "episodes_per_task")
        if any(getattr(earlier, key) != getattr(result, key) for key in same):
            raise AskingError(f"{path}: found a result of other layouts, expected {episodes} from {first_layout} on")
        result.rows += earlier.rows
    generators = {
        name: [open_model(file, (), first_layout, episodes) for file in files] for name, files in models.items()
    }
    digests = {name: {generator.digest for generator in each} for name, each in generators.items()}
    result.rows = [row for row in result.rows if row.model_digest in digests.get(row.name, {row.model_digest})]
    for name, files in models.items():
        for seed, (file, generator) in enumerate(zip(files, generators[name], strict=True)):
            simulator = simulator_of(generator.tasks, "")
            for horizon in horizons:
                key = (name, generator.digest, horizon)
                if any((row.name, row.model_digest, row.horizon) == key for row in result.rows):
                    continue
                each = partial(episodes_of, "lwd", file.resolve(), horizon, simulator)
                layouts = range(first_layout, first_layout + episodes)
                outcomes = outcomes_by_task(each, generator.tasks, layouts, workers)
                row = Row(
                    name=name,
                    model_digest=generator.digest,
                    seed=seed,
                    horizon=horizon,
                    episodes_per_task=episodes,
                    successes={task: sum(outcome.success for outcome in found) for task, found in outcomes.items()},
                )
                result.rows.append(row)
                write_json(result.model_dump(mode="json"), path)
    return result

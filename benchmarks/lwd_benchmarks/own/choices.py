"""`lwd study choices`: what `lwd train` chooses without a config, beside what it might have chosen.

Judged on validation layouts, for choices are made by it. A row that is in the result is not made again.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import Field

from lwd_benchmarks.results import Count, Positive, Seconds, Share, Stored, checked, write
from lwd_benchmarks.study_file import Strict, simulator_named
from lwd_ros import __version__
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.layouts import VALIDATION_LAYOUTS
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import evaluate
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.export import export
from lwd_ros.learning.facts import facts_of
from lwd_ros.learning.sizes import choose
from lwd_ros.learning.train import train
from lwd_ros.reading import read_json


class ChoicesError(LwdError):
    """The study's file or an earlier result cannot be used."""


class Row(Strict):
    """One choice: keys of the config that differ from what is chosen, `autoencoder.steps` for nested ones."""

    title: str
    changes: dict[str, Any] = Field(default_factory=dict)


class Robot(Strict):
    """`environment` is its name, or the path of its file from the repository."""

    title: str
    environment: str


class Choices(Strict):
    """The file of the study: `demonstrations` and `episodes` are of each task."""

    steps: dict[str, int]
    demonstrations: int = Field(gt=0)
    episodes: int = Field(gt=0)
    rows: tuple[Row, ...]
    robots: dict[str, Robot]

    @classmethod
    def load(cls, path: str | Path) -> "Choices":
        """Read it; ChoicesError for a wrong key."""
        return cls.read(path, "a study of choices in YAML", ChoicesError)


class ChoiceRow(Count):
    """Success of one choice; `parameters` of a policy, processor seconds of training and export."""

    title: str
    changes: dict[str, Any]
    parameters: Positive
    success: Share
    tasks: dict[str, int]
    training_s: Seconds


class ChoicesResult(Stored):
    """What `lwd study choices` writes."""

    study: Literal["choices"]
    robot: str
    title: str
    lwd_ros: str
    data_digest: str = Field(min_length=64, max_length=64)
    demonstrations: Positive
    first_layout: Positive
    episodes: Positive
    chosen: dict[str, Any]
    rows: list[ChoiceRow]


def base_config(study: Choices, data: Demonstrations) -> TrainConfig:
    """What would be chosen from the first fresh demonstrations of each task, all of which are learned from."""
    fresh = [[each for each in data.episodes[task] if not each.after] for task in data.tasks]
    used = [rows[: study.demonstrations] for rows in fresh]
    chosen = choose(facts_of(data.contract, used), data.folder.resolve().name).config
    return chosen.changed({**study.steps, "held_out": 0.0, "demonstrations_per_task": study.demonstrations})


def run(study: Choices, robot: str, data: Path, state: Path, path: Path, workers: int) -> dict:
    """Train and judge each row that is missing, write the result after each, and return it.

    Raises:
        ChoicesError: `robot` is none of the file's, or `path` has a result of other demonstrations.
    """
    if robot not in study.robots:
        raise ChoicesError(f"found robot '{robot}', expected one of {', '.join(study.robots)}")
    about, demonstrations = study.robots[robot], Demonstrations(data)
    simulator = simulator_named(about.environment)
    base = base_config(study, demonstrations)
    result = {
        "study": "choices",
        "robot": robot,
        "title": about.title,
        "lwd_ros": __version__,
        "data_digest": demonstrations.digest,
        "demonstrations": study.demonstrations,
        "first_layout": VALIDATION_LAYOUTS.start,
        "episodes": study.episodes,
        "chosen": json.loads(json.dumps(base.to_dict())),
        "rows": [],
    }
    earlier = _earlier(path)
    if earlier is not None:
        differing = next(
            (key for key in result if key not in ("rows", "lwd_ros") and earlier[key] != result[key]), None
        )
        if differing:
            raise ChoicesError(f"{path}: was made with another '{differing}'; delete it to make it again")
        result["rows"] = earlier["rows"]
    for row in study.rows:
        same = base.changed(row.changes) == base and row.changes
        if same or any(each["changes"] == row.changes for each in result["rows"]):
            continue
        # By its changes: rows may come and go in the file.
        name = hashlib.sha256(json.dumps(row.changes, sort_keys=True).encode()).hexdigest()[:12]
        folder = state / robot / name
        result["rows"].append(_row(row, base, demonstrations, folder, simulator, study.episodes, workers))
        places = [each.changes for each in study.rows]
        result["rows"].sort(
            key=lambda each: places.index(each["changes"]) if each["changes"] in places else len(places)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write(ChoicesResult, result, path)
    return result


def _earlier(path: Path) -> dict | None:
    if not path.exists():
        return None
    content = read_json(path, "a result of 'lwd study choices'", ChoicesError)
    checked(ChoicesResult, content, path)
    return content


def _row(
    row: Row,
    base: TrainConfig,
    data: Demonstrations,
    folder: Path,
    simulator: Simulator,
    episodes: int,
    workers: int,
) -> dict:
    begin, model = time.process_time(), folder / "model.onnx"
    export(train(base.changed(row.changes), data, folder / "run"), model)
    seconds = time.process_time() - begin
    judged = evaluate(model, data.tasks, episodes, VALIDATION_LAYOUTS.start, workers, environment=simulator)
    tasks = {task: each["successes"] for task, each in judged["tasks"].items()}
    successes, count = sum(tasks.values()), episodes * len(tasks)
    click.echo(f"{row.title:60} {successes:4}/{count:<4} " + ", ".join(f"{k} {v}" for k, v in tasks.items()))
    return {
        "title": row.title,
        "changes": row.changes,
        "parameters": PolicyGenerator(model).description.policy_parameters,
        "successes": successes,
        "episodes": count,
        "success": successes / count,
        "tasks": tasks,
        "training_s": round(seconds, 1),
    }

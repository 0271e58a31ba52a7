"""`lwd study peers`: LWD, ACT and Diffusion Policy on the same demonstrations and layouts, by minutes of training.

All of it can be stopped and goes on: trainings from their checkpoints, judged points stay in the result.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import Field

from lwd_benchmarks.peers import judging, training
from lwd_benchmarks.peers.results import PeersResult
from lwd_benchmarks.results import write as write_result
from lwd_benchmarks.study_file import Strict, simulator_named
from lwd_ros import __version__
from lwd_ros.dataset import META, DatasetError, Demonstrations, write_dataset
from lwd_ros.dataset.lerobot import ExportSettings, export
from lwd_ros.environments.layouts import REPORTING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.errors import LwdError
from lwd_ros.reading import read_json


class PeersError(LwdError):
    """The study's file or an earlier result cannot be used."""


class Entry(Strict):
    """One method: `points` are trainings of LWD; the rest is of lerobot, `budget_minutes` 0 for its cost alone.

    `marks_minutes` are the study's where an entry has none.
    """

    name: str
    kind: Literal["lwd", "lerobot"]
    title: str
    config: str = ""
    points: tuple[dict[str, float], ...] = ()
    budget_minutes: float = 0
    marks_minutes: tuple[float, ...] = ()
    save_steps: int = 500
    action_steps: tuple[int, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    why: str = ""


class Study(Strict):
    """The file of a study.

    `environment` has the tasks of the dataset: its name, or the path of its file from the repository. `set` is what the
    result and the folders of a state are called.
    """

    set: str
    environment: str
    first_reporting_layout: int = Field(REPORTING_LAYOUTS.start, ge=REPORTING_LAYOUTS.start, lt=REPORTING_LAYOUTS.stop)
    demonstrations: int
    marks_minutes: tuple[float, ...]
    validation_episodes: int
    reporting_episodes: int
    entries: tuple[Entry, ...]

    @classmethod
    def load(cls, path: str | Path) -> "Study":
        """Read it; PeersError for a wrong key."""
        return cls.read(path, "a study of peers in YAML", PeersError)


def prepare(study: Study, data: Path, state: Path) -> Demonstrations:
    """The first fresh demonstrations of each task, as our dataset and as LeRobot's, made where they are missing."""
    place = state / f"{study.set}_{study.demonstrations}"
    if not (place / META).exists():
        whole = Demonstrations(data)
        fresh = {task: [each for each in rows if not each.after] for task, rows in whole.episodes.items()}
        few = next((task for task, rows in fresh.items() if len(rows) < study.demonstrations), None)
        if few is not None:
            raise DatasetError(
                f"{data}: task '{few}' has {len(fresh[few])} fresh starts, expected {study.demonstrations} at least"
            )
        chosen = {task: rows[: study.demonstrations] for task, rows in fresh.items()}
        write_dataset(place, whole.contract, chosen, {"of": whole.digest, "fresh_starts_a_task": study.demonstrations})
    found = Demonstrations(place)
    exported = place.with_name(f"{place.name}_lerobot")
    if not exported.exists():
        export(found, exported, ExportSettings("float32", task_feature=True))
    return found


def run(
    study: Study,
    data: Path,
    state: Path,
    python: Path,
    path: Path,
    only: list[str],
    most_minutes: float,
    report: bool = True,
) -> dict:
    """Train and judge what is missing, write the result after each point, and return it.

    Args:
        study: what is compared.
        data: dataset, of which the first demonstrations of each task are taken.
        state: folder of runs; what is there is gone on with.
        python: of lerobot's environment.
        path: the result's file.
        only: names of entries; all where empty.
        most_minutes: cuts every budget, so that curves grow side by side.
        report: judge the best points on reporting layouts as well.
    """
    demonstrations = prepare(study, data, state)
    unknown = [name for name in only if name not in {entry.name for entry in study.entries}]
    if unknown:
        raise PeersError(f"--only: found '{unknown[0]}', expected {', '.join(entry.name for entry in study.entries)}")
    result = _earlier(path, demonstrations.digest) or {
        "study": "peers",
        "lwd_ros": __version__,
        "set": study.set,
        "data_digest": demonstrations.digest,
        "demonstrations": study.demonstrations,
        "frames": sum(len(each.action) for rows in demonstrations.episodes.values() for each in rows),
        "protocol": {
            "success": "at any step of the episode",
            "validation": {"first_layout": VALIDATION_LAYOUTS.start, "episodes": study.validation_episodes},
            "reporting": {"first_layout": study.first_reporting_layout, "episodes": study.reporting_episodes},
            "minutes": "of processor time of the training's process, one thread",
        },
        "entries": {},
    }
    counts = study.validation_episodes, study.reporting_episodes, study.first_reporting_layout
    judge = judging.Judge(simulator_named(study.environment), demonstrations, *counts)

    def write(name: str = "") -> None:
        # Another process may have gone on with another entry meanwhile.
        entries = (_earlier(path, demonstrations.digest) or result)["entries"]
        if name:
            entries[name] = result["entries"][name]
        order = [entry.name for entry in study.entries if entry.name in entries]
        result["entries"] = {each: entries[each] for each in order}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_result(PeersResult, result, path)

    for entry in study.entries:
        if only and entry.name not in only:
            continue
        row = result["entries"].setdefault(entry.name, {"kind": entry.kind, "title": entry.title, "curve": []})
        row |= {"why": entry.why} if entry.why else {}
        if entry.kind == "lwd":
            _lwd(entry, row, judge, state, most_minutes, report, partial(write, entry.name))
        else:
            row |= {"options": entry.options, "budget_minutes": entry.budget_minutes}
            _lerobot(study, entry, row, judge, state, python, most_minutes, report, partial(write, entry.name))
        write(entry.name)
    write()
    return result


def _earlier(path: Path, digest: str) -> dict | None:
    if not path.exists():
        return None
    result = read_json(path, "a result of 'lwd study peers'", PeersError)
    if not isinstance(result, dict) or result.get("data_digest") != digest:
        raise PeersError(f"{path}: is of other demonstrations, expected those of digest {digest[:12]}")
    return result


def _lwd(entry: Entry, row: dict, judge: judging.Judge, state: Path, most_minutes: float, report: bool, write) -> None:
    for place, changes in enumerate(entry.points):
        if any(point["place"] == place for point in row["curve"]):
            continue
        folder = state / "runs" / f"{entry.name}_{place}"
        minutes = training.train_lwd(entry.config, changes, judge.data.folder, folder)
        if minutes > most_minutes:
            break
        row["curve"].append({"place": place, "changes": changes, "minutes": minutes, **judge.lwd(folder, "validation")})
        _say(entry.name, row["curve"][-1])
        write()
    if report and row["curve"]:
        best = max(row["curve"], key=lambda point: (point["successes"], -point["minutes"]))
        if row.get("report", {}).get("place") != best["place"]:
            folder = state / "runs" / f"{entry.name}_{best['place']}"
            found = judge.lwd(folder, "reporting")
            row["report"] = {"place": best["place"], "minutes": best["minutes"], **found}
            row["cost"] = judging.cost_of_lwd(folder)
            _say(f"{entry.name}, reporting layouts", row["report"])


def _lerobot(
    study: Study,
    entry: Entry,
    row: dict,
    judge: judging.Judge,
    state: Path,
    python: Path,
    most: float,
    report: bool,
    write,
) -> None:
    run = training.LeRobotRun(python, state / "runs" / entry.name, judge.data.folder, entry.options, entry.save_steps)
    budget = min(entry.budget_minutes, most)
    for mark in [each for each in entry.marks_minutes or study.marks_minutes if each <= budget] or [0.0]:
        run.train_until(mark)
        ledger = run.ledger()
        row["step_s"] = training.seconds_a_step(ledger)
        row["lerobot"] = training.version(python)
        if not entry.budget_minutes:
            break
        step = next((each for each in ledger if each["cpu_s"] >= 60 * mark), ledger[-1])
        if all(point["step"] != step["step"] for point in row["curve"]):
            point = {"step": step["step"], "minutes": round(step["cpu_s"] / 60, 2), "mark": mark}
            row["curve"].append(point | judge.lerobot(python, run.checkpoint(step), entry.action_steps, "validation"))
            row["curve"].sort(key=lambda each: each["step"])
            _say(entry.name, row["curve"][-1])
            write()
    if "cost" not in row:
        row["cost"] = judging.cost_of_lerobot(
            python, run.checkpoint(run.ledger()[-1]), entry.action_steps[0], judge.data
        )
    if report and row["curve"]:
        best = max(row["curve"], key=lambda point: (point["successes"], -point["minutes"]))
        if row.get("report", {}).get("step") != best["step"]:
            step = next(each for each in run.ledger() if each["step"] == best["step"])
            found = judge.lerobot(python, run.checkpoint(step), (best["action_steps"],), "reporting")
            row["report"] = {"step": best["step"], "minutes": best["minutes"], **found}
            _say(f"{entry.name}, reporting layouts", row["report"])


def _say(name: str, point: dict) -> None:
    click.echo(
        f"{name:32} {point['minutes']:7.1f} min  {point['successes']:4}/{point['episodes']:<4} {point['success']:.3f}"
    )

"""A study: many models trained and judged by one file, each result written on its own, so that it can be stopped."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from lwd_benchmarks.methods import EXPERT, JUDGED, LATENT, LWD
from lwd_benchmarks.methods.latents import latent_baseline
from lwd_benchmarks.methods.training import train_baseline
from lwd_benchmarks.results import ChainResult, StudyResult, checked, write
from lwd_ros.dataset import META, Demonstrations
from lwd_ros.environments.metaworld.tasks import MT10, MT50
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.chains import evaluate_chain
from lwd_ros.evaluation.evaluate import REPORTING_LAYOUTS, VALIDATION_LAYOUTS, evaluate
from lwd_ros.evaluation.expert import evaluate_expert
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.export import export
from lwd_ros.learning.train import load, train
from lwd_ros.reading import read_yaml

_TASKS = {"mt10": MT10, "mt50": MT50}
FIRST_LAYOUT = {"validation": VALIDATION_LAYOUTS.start, "reporting": REPORTING_LAYOUTS.start}


class StudyError(LwdError):
    """A study's file or a result that it made before cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class Job:
    """One model to train and judge: what the block `study` of its result says.

    Attributes:
        entry, seed: name the result file, `ENTRY_seedSEED.json`.
        set: key of the study's `data`.
        method: one of JUDGED.
        config: training config; empty for the expert.
        changes: keys of the config that differ, `autoencoder.steps` for nested ones.
        run_of: the entry whose finished run is used: nearest_latent and mean_latent decode it, others judge it again.
        chain: tasks to run one after another in one scene without a reset, instead of each by itself.
        groups: tables and plots of the report that show it.
        layouts: validation or reporting.
        episodes: per task.
    """

    entry: str
    set: str
    method: str
    config: str = ""
    changes: tuple[tuple[str, object], ...] = ()
    run_of: str = ""
    chain: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("main",)
    layouts: str = "reporting"
    episodes: int = 50
    seed: int = 0

    @property
    def name(self) -> str:
        """Of the result file and the run folder."""
        return f"{self.entry}_seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """A study's file: where data, runs and results lie, and the jobs in the order in which they are done.

    Attributes:
        first_layout_of: tasks whose reporting layouts begin elsewhere: their experts were changed after a look at the
            usual ones.
    """

    data: dict[str, Path]
    results: Path
    runs: Path
    jobs: tuple[Job, ...]
    first_layout_of: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> "Study":
        """Read a YAML file; paths in it are relative to the current folder. Raises StudyError for what it lacks."""
        content = read_yaml(path, "a study's file", StudyError)
        wanted = {"data": dict, "results": str, "runs": str, "entries": list}
        for key, kind in wanted.items():
            found = content.get(key) if isinstance(content, dict) else None
            if not isinstance(found, kind):
                raise StudyError(f"{path}: key '{key}': found {found!r}, expected a {kind.__name__}")
        for name, folder in content["data"].items():
            if not isinstance(name, str) or not isinstance(folder, str):
                raise StudyError(f"{path}: key 'data.{name}': found {folder!r}, expected a folder by name")
        jobs = tuple(job for entry in content["entries"] for job in _jobs(entry, content["data"], path))
        twice = [job.name for place, job in enumerate(jobs) if job.name in {other.name for other in jobs[:place]}]
        if twice:
            raise StudyError(f"{path}: found '{twice[0]}' twice, expected every entry and seed once")
        data = {name: Path(folder) for name, folder in content["data"].items()}
        moved = content.get("first_layout_of", {})
        reporting = isinstance(moved, dict) and all(
            isinstance(first, int) and first in REPORTING_LAYOUTS for first in moved.values()
        )
        if not reporting:
            expected = f"layouts from {REPORTING_LAYOUTS.start} on, by task"
            raise StudyError(f"{path}: key 'first_layout_of': found {moved!r}, expected {expected}")
        return cls(data, Path(content["results"]), Path(content["runs"]), jobs, moved)


def _jobs(entry, sets, path) -> Iterator[Job]:
    """One job per seed of an entry of the file."""
    if not isinstance(entry, dict) or not {"entry", "set", "method"} <= set(entry):
        raise StudyError(f"{path}: found entry {entry!r}, expected a mapping with entry, set and method")
    values = dict(entry)
    for key in ("entry", "set", "method", "config", "run_of", "layouts"):
        if not isinstance(values.get(key, ""), str):
            raise StudyError(f"{path}: entry '{entry['entry']}': {key}: found {values[key]!r}, expected a text")
    seeds = values.pop("seeds", [0])
    for key, value, kind in (("seeds", seeds, list), ("groups", values.get("groups", []), list),
                             ("chain", values.get("chain", []), list), ("changes", values.get("changes", {}), dict),
                             ("episodes", values.get("episodes", 50), int)):  # fmt: skip
        if not isinstance(value, kind):
            raise StudyError(f"{path}: entry '{entry['entry']}': {key}: found {value!r}, expected a {kind.__name__}")
    lists = (("seeds", seeds, int), ("groups", values.get("groups", []), str), ("chain", values.get("chain", []), str),
             ("changes", list(values.get("changes", {})), str))  # fmt: skip
    for key, items, each in lists:
        if any(type(item) is not each for item in items):
            text = f"found {items!r}, expected {'whole numbers' if each is int else 'texts'}"
            raise StudyError(f"{path}: entry '{entry['entry']}': {key}: {text}")
    values["groups"] = tuple(values.get("groups", ("main",)))
    values["chain"] = tuple(values.get("chain", ()))
    values["changes"] = tuple(values.get("changes", {}).items())
    unknown = set(values) - set(Job.__dataclass_fields__)
    if unknown:
        expected = ", ".join(Job.__dataclass_fields__)
        raise StudyError(
            f"{path}: entry '{entry['entry']}': found key '{min(map(str, unknown))}', expected one of {expected}"
        )
    _require_method(values, path)
    if values["set"] not in sets or values.get("layouts", "reporting") not in FIRST_LAYOUT:
        text = f"expected a set of {', '.join(sets)} and layouts of {', '.join(FIRST_LAYOUT)}"
        raise StudyError(f"{path}: entry '{entry['entry']}': found set '{values['set']}', {text}")
    for seed in seeds:
        yield replace(Job(**values), seed=seed)


def _require_method(entry: dict, path) -> None:
    if entry["method"] not in JUDGED:
        text = f"found method '{entry['method']}', expected one of {', '.join(JUDGED)}"
        raise StudyError(f"{path}: entry '{entry['entry']}': {text}")
    if entry["method"] != EXPERT and not (entry.get("config") or entry.get("run_of")):
        raise StudyError(f"{path}: entry '{entry['entry']}': found neither config nor run_of, expected one of them")


def run_study(study: Study, only: Sequence[str] = ("*",), workers: int = 1) -> dict[str, float]:
    """Do every job that matches a pattern of `only`, by entry or by name, and has no result; mean success by name.

    Each job trains on one thread, in a run folder that continues where it was stopped.

    Raises:
        StudyError: a result that is there was made by other settings.
        ConfigError, DatasetError, ModelError: as `lwd train` and `lwd evaluate`.
    """
    for pattern in only:
        if not any(_matches(job, pattern) for job in study.jobs):
            raise StudyError(f"found no entry like '{pattern}', expected some of the study's file")
    chosen = [job for job in study.jobs if any(_matches(job, pattern) for pattern in only)]
    pending = [job for job in chosen if not _done(study, job)]
    tqdm.write(f"{len(chosen) - len(pending)} results are there already, {len(pending)} to make")
    results = {}
    # What uses another entry's run comes after it.
    for phase in ([job for job in pending if not job.run_of], [job for job in pending if job.run_of]):
        outcomes = Parallel(n_jobs=workers, return_as="generator_unordered")(delayed(_run)(study, job) for job in phase)
        for name, success in tqdm(outcomes, total=len(phase), desc="study", unit="model", disable=not phase):
            tqdm.write(f"{name}: {success:.4f}")
            results[name] = success
    return results


def _matches(job: Job, pattern: str) -> bool:
    return fnmatch(job.entry, pattern) or fnmatch(job.name, pattern)


def _result(study: Study, job: Job) -> Path:
    return study.results / f"{job.name}.json"


def _identity(study: Study, job: Job) -> dict:
    """All that the result depends on and that is known before it is made, as JSON holds it."""
    identity = {key: value for key, value in asdict(job).items() if key != "groups"}
    if job.config:
        identity["train_config"] = _config(job).to_dict()
    meta = study.data[job.set] / META
    if job.method != EXPERT and meta.exists():  # a clone has results without the demonstrations
        identity["data_digest"] = json.loads(meta.read_text(encoding="utf-8"))["digest"]
    used = study.results / f"{job.run_of}_seed{job.seed}.json"
    if job.run_of and used.exists():
        identity["run_of_digest"] = _read(used)["model_digest"]
    identity["first_layout_of"] = (not job.chain and _moved(study, job)) or None  # older results lack the key
    return json.loads(json.dumps(identity))


def _moved(study: Study, job: Job) -> dict[str, int]:
    """Tasks of the job that are judged on layouts of their own."""
    tasks = _TASKS[job.set] if job.layouts == "reporting" else ()
    return {task: first for task, first in study.first_layout_of.items() if task in tasks}


def _read(path: Path) -> dict:
    """A result as its file has it; StudyError where it is none."""
    try:
        kind = ChainResult if "links" in (content := json.loads(path.read_text(encoding="utf-8"))) else StudyResult
        checked(kind, content, path)
    except (ValueError, TypeError) as error:
        raise StudyError(f"{path}: is not a result of a study ({error}); delete it to make it again") from error
    return content


def _config(job: Job) -> TrainConfig:
    return TrainConfig.load(job.config).changed({**dict(job.changes), "seed": job.seed})


def _done(study: Study, job: Job) -> bool:
    path = _result(study, job)
    if not path.exists():
        return False
    result = _read(path)
    found = result["study"]["job"]
    for key, value in _identity(study, job).items():
        if found.get(key) != value:
            text = f"'{key}' was {found.get(key)!r}, the study's file says {value!r}"
            raise StudyError(f"{path}: was made by other settings ({text}); delete it to make it again")
    if result["study"]["groups"] != list(job.groups):  # what shows it is no reason to train again
        result["study"]["groups"] = list(job.groups)
        write(ChainResult if job.chain else StudyResult, result, path)
    return True


def _run(study: Study, job: Job) -> tuple[str, float]:
    """Train, export, judge and write one result."""
    config, seconds, start = None, None, time.perf_counter()
    if job.method == EXPERT:
        result = _judge(study, job, evaluate_expert, _TASKS[job.set])
    else:
        model = study.runs / f"{job.name}.onnx"
        anew = not job.run_of and not (study.runs / job.name).exists()
        config = _train(study, job, model)
        seconds = round(time.perf_counter() - start, 1) if anew else None  # unknown after a stop
        result = _judge(
            study, job, partial(evaluate_chain if job.chain else evaluate, model), PolicyGenerator(model).tasks
        )
    result["study"] = {
        "entry": job.entry,
        "set": job.set,
        "goal": "hidden" if config and config.hide else "visible",
        "method": job.method,
        "seed": job.seed,
        "hidden_layers": list(config.hidden_layers) if config else None,
        "demonstrations_per_task": config.demonstrations_per_task if config else None,
        "steps": config.autoencoder.steps if config else None,
        "groups": list(job.groups),
        "layouts": job.layouts,
        "training_s": seconds,
        "job": _identity(study, job),
    }
    write(ChainResult if job.chain else StudyResult, result, _result(study, job))
    return job.name, result["success" if job.chain else "mean_success"]


def _judge(study: Study, job: Job, judge: Callable[..., dict], tasks: Sequence[str]) -> dict:
    """One result of all tasks, each on its own layouts."""
    first = FIRST_LAYOUT[job.layouts]
    if job.chain:
        return judge(job.chain, job.episodes, first, 1)
    moved = _moved(study, job)
    firsts = {task: moved.get(task, first) for task in tasks}
    parts = {
        start: judge([task for task in tasks if firsts[task] == start], job.episodes, start, 1)
        for start in dict.fromkeys(firsts.values())
    }
    result = parts[firsts[tasks[0]]]
    result["tasks"] = {task: parts[firsts[task]]["tasks"][task] for task in tasks}
    result["mean_success"] = float(np.mean([row["success"] for row in result["tasks"].values()]))
    result["protocol"]["first_layout"] = first
    if moved:
        result["protocol"]["first_layout_of"] = moved
    return result


def _train(study: Study, job: Job, model: Path) -> TrainConfig:
    """Write the job's model file; its training config."""
    study.runs.mkdir(parents=True, exist_ok=True)
    if job.method in LATENT:
        run = load(study.runs / f"{job.run_of}_seed{job.seed}")
        latent_baseline(job.method, run, model)
        return run.config
    if job.run_of:
        used = study.runs / f"{job.run_of}_seed{job.seed}.onnx"
        if not used.exists():
            raise StudyError(f"entry '{job.entry}': found no model of '{job.run_of}' ({used}), expected it made before")
        shutil.copyfile(used, model)
        return TrainConfig.from_dict(PolicyGenerator(model).description.training["config"])
    config = _config(job)
    demonstrations, folder = Demonstrations(study.data[job.set]), study.runs / job.name
    if job.method == LWD:
        export(train(config, demonstrations, folder), model)
    else:
        train_baseline(job.method, config, demonstrations, folder, model)
    return config

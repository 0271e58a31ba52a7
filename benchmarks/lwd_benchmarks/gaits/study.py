"""`lwd study gaits`: demonstrations of every gait under noise, one model for all gaits of a robot, and how it goes.

What is there is not made again: demonstrations, runs, model files, walks.
"""

import json
import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import click
from pydantic import Field

from lwd_benchmarks.gaits.results import GaitsResult, Walked
from lwd_benchmarks.gaits.walks import METHODS, pooled, row_of, walked
from lwd_benchmarks.paths import in_checkout
from lwd_benchmarks.results import checked, write
from lwd_benchmarks.study_file import Strict, simulator_named
from lwd_ros import __version__
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.gaits.gait import LEGS
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import require_unseen
from lwd_ros.evaluation.gaits import pattern_names
from lwd_ros.files import written_whole
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.export import export
from lwd_ros.learning.train import train
from lwd_ros.reading import read_json


class GaitsError(LwdError):
    """The study's file cannot be used, or names what is not there."""


class Trained(Strict):
    """A robot: its training config, a path from the repository; `tasks` is empty for all of its gaits.

    `others` has, by the name of a method of `walks.METHODS`, its model files, one for each training seed: paths from
    the repository.
    """

    train: str
    tasks: tuple[str, ...] = ()
    others: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Gaits(Strict):
    """The file of the study: `demonstrations` are of each gait, `episodes` of each gait and training seed."""

    demonstrations: int = Field(gt=0)
    noise: tuple[float, float]
    seeds: tuple[int, ...] = Field(min_length=1)
    first_layout: int = Field(gt=0)
    episodes: int = Field(gt=1)
    robots: dict[str, Trained]

    @classmethod
    def load(cls, path: str | Path) -> "Gaits":
        """Read it; GaitsError for a wrong key."""
        return cls.read(path, "a study of gaits in YAML", GaitsError)


class GaitsStudy:
    """One robot; each step is made once, and found again by a later call."""

    def __init__(self, study: Gaits, robot: str, state: Path, workers: int):
        """Raise GaitsError where the file has no such robot or method, ModelError where layouts were trained on."""
        if robot not in study.robots:
            raise GaitsError(f"found robot '{robot}', expected one of {', '.join(study.robots)}")
        for method in study.robots[robot].others:
            if method not in METHODS:
                raise GaitsError(f"found method '{method}', expected one of {', '.join(METHODS)}")
        require_unseen(study.first_layout, study.episodes)
        self.study, self.robot, self.folder, self.workers = study, robot, state / robot, workers
        self.simulator = simulator_named(robot)
        self.tasks = study.robots[robot].tasks or self.simulator.spec.tasks
        self.simulator.spec.require_tasks(self.tasks)
        self.contract = self.simulator.spec.contract()
        self.layouts = range(study.first_layout, study.first_layout + study.episodes)
        self.config = TrainConfig.load(in_checkout(study.robots[robot].train))

    def data(self) -> Demonstrations:
        """The demonstrations, collected where they are missing."""
        settings = CollectSettings(episodes=self.study.demonstrations, noise=self.study.noise)
        folder = self.folder / "data"
        collect(folder, self.tasks, self.contract, settings, self.workers, self.simulator)
        return Demonstrations(folder)

    def model(self, seed: int) -> tuple[Path, float]:
        """The model file of a training seed, trained where it is missing, and the processor seconds that this took."""
        model, seconds = self.folder / f"lwd_seed{seed}.onnx", self.folder / f"lwd_seed{seed}.seconds"
        if not (model.exists() and seconds.exists()):
            begin = time.process_time()
            export(train(self.config.changed({"seed": seed}), self.data(), self.folder / f"run_seed{seed}"), model)
            seconds.write_text(f"{time.process_time() - begin:.1f}", encoding="utf-8")
        return model, float(seconds.read_text(encoding="utf-8"))

    def walks(self, task: str, method: str = "", model: Path | None = None) -> dict:
        """Whole episodes of a gait, by a method's model file or by the teacher."""
        who = "teacher" if model is None else f"{method}_{sha256(model.read_bytes()).hexdigest()[:12]}"
        path = self.folder / f"walks_{who}" / f"{task}_{len(self.layouts)}_from_{self.layouts.start}.json"
        if not path.exists():
            actor_of = None if model is None else partial(METHODS[method].actor, model.resolve())
            content = walked(self.simulator, self.contract, task, self.layouts, actor_of, self.workers)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
        content = read_json(path, "walks of 'lwd study gaits'", GaitsError)
        checked(Walked, content, path)
        return content

    def lwd(self) -> dict:
        """LWD: all training seeds, one policy generated for each episode."""
        models = [self.model(seed) for seed in self.study.seeds]
        parameters = PolicyGenerator(models[0][0]).description.policy_parameters
        trained = {"policy_parameters": parameters, "training_s": [seconds for _, seconds in models]}
        return self.entry("lwd", [model for model, _ in models], list(self.study.seeds), trained)

    def other(self, method: str) -> dict:
        """Another method, whose model files are there."""
        models = [in_checkout(path) for path in self.study.robots[self.robot].others[method]]
        return self.entry(method, models, list(range(len(models))), {"policy_parameters": None, "training_s": []})

    def entry(self, method: str, models: Sequence[Path], seeds: Sequence[int], trained: dict) -> dict:
        """What a result says of a method's model files, one for each training seed."""
        rows = []
        for task in self.tasks:
            walks = [self.walks(task, method, model) for model in models]
            rows.append(row_of(task, walks, self.walks(task), self.contract.period_s))
            click.echo(_line(method, rows[-1]))
        return {
            "method": method,
            "seeds": list(seeds),
            "queries": METHODS[method].queries,
            "model_digests": [sha256(model.read_bytes()).hexdigest() for model in models],
            **trained,
            "tasks": rows,
            "pooled": pooled(rows, len(models)),
        }

    def result(self, path: Path) -> dict:
        """Everything, written to `path`."""
        content = {
            "study": "gaits",
            "robot": self.robot,
            "lwd_ros": __version__,
            "data_digest": self.data().digest,
            "demonstrations": self.study.demonstrations,
            "noise": list(self.study.noise),
            "period_s": self.contract.period_s,
            "episode_steps": self.simulator.spec.episode_steps,
            "first_layout": self.study.first_layout,
            "episodes": self.study.episodes,
            "train": json.loads(json.dumps(self.config.to_dict())),
            "patterns": list(pattern_names(LEGS)),
            "entries": [self.lwd(), *(self.other(method) for method in self.study.robots[self.robot].others)],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write(GaitsResult, content, path)
        return content


def _line(method: str, row: dict) -> str:
    low, high = row["return_interval"]
    parts = (
        f"{method:5} {row['task']:28} return {row['return_ratio']:.3f} [{low:.3f}, {high:.3f}]",
        f"js {row['js']:.3f} (floor {row['js_floor']:.3f})",
        f"up {row['survived']}/{row['episodes']}",
        f"{row['speed_mps']:.2f} m/s",
    )
    return "  ".join(parts)

"""`lwd study own`: record, import, train, export, deploy and judge one example, by the commands that a user types."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lwd_benchmarks.own.nodes import deployed, first_command
from lwd_benchmarks.own.results import OwnResult
from lwd_benchmarks.own.roads import FEW, LWD, Road, RoadError, run
from lwd_benchmarks.results import write
from lwd_benchmarks.statistics import Pooled
from lwd_ros import __version__
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.layouts import REPORTING_LAYOUTS
from lwd_ros.generator import PolicyGenerator

METHODS = ("lwd", "task_mlp")
NODE_LAYOUTS = 3


@dataclass(frozen=True)
class Rules:
    """What is run.

    Attributes:
        state: folder of demonstrations, datasets, runs and models; what is there is not made again.
        demonstrations: a task, each a dataset of its own.
        seeds: of training.
        episodes: a task, on layouts from `first_layout` on.
        workers: processes that judge.
        minutes: of training, for `lwd train`.
    """

    state: Path
    demonstrations: tuple[int, ...] = (FEW, 50)
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 100
    first_layout: int = REPORTING_LAYOUTS.start
    workers: int = 2
    minutes: float | None = None

    def describe(self, road: Road) -> dict:
        """A result's protocol."""
        return {
            "demonstrations": road.demonstrations,
            "success": "at any step of an episode, as the example's environment says",
            "policies_per_episode": 1,
            "episodes": self.episodes,
            "first_layout": self.first_layout,
            "seeds": list(self.seeds),
            "training": "lwd train without a config for seed 0; the others by the config that it chose",
        }


class OwnStudy:
    """One road; each step is made once, and found again by a later call."""

    def __init__(self, road: Road, rules: Rules):
        self.road, self.rules, self.folder = road, rules, rules.state.resolve() / road.name
        self.folder.mkdir(parents=True, exist_ok=True)

    def _run(self, name: str, command: Sequence[object]) -> float:
        click.echo(f"{self.road.name}: {name}")
        return run(name, command, self.folder / "logs")

    def record(self, demonstrations: int) -> None:
        """Record what is missing."""
        for name, command in self.road.recorded(demonstrations, self.folder).items():
            self._run(f"record_{name}", command)

    def data(self, demonstrations: int) -> Path:
        """The dataset, imported where it is missing."""
        path = self.folder / f"data_{demonstrations}"
        if not path.exists():
            self.record(demonstrations)
            self._run(path.name, self.road.imported(demonstrations, self.folder, path))
        return path

    def model(self, method: str, demonstrations: int, seed: int) -> tuple[Path, float]:
        """A model file, trained and exported where it is missing, and the seconds that its training took."""
        name = f"{method}_{demonstrations}_seed{seed}"
        model, seconds = self.folder / f"{name}.onnx", self.folder / f"{name}.seconds"
        if not (model.exists() and seconds.exists()):
            data, folder = self.data(demonstrations), self.folder / f"run_{name}"
            if method != "lwd":
                words = ["baseline", "--method", method, "--config", self._config(demonstrations), "--data", data]
                took = self._run(name, [*LWD, *words, "--out", folder, "--seed", seed, "--model", model])
            else:
                took = self._run(name, self._training(data, folder, demonstrations, seed))
                self._run(f"export_{name}", [*LWD, "export", "--run", folder, "--out", model])
            seconds.write_text(f"{took}", encoding="utf-8")
        return model, float(seconds.read_text(encoding="utf-8"))

    def _training(self, data: Path, folder: Path, demonstrations: int, seed: int) -> list:
        words = [*LWD, "train", "--data", data, "--out", folder, "--seed", seed]
        if seed == self.rules.seeds[0]:
            return words if self.rules.minutes is None else [*words, "--minutes", self.rules.minutes]
        return [*words, "--config", self._config(demonstrations)]

    def _config(self, demonstrations: int) -> Path:
        first = self.rules.seeds[0]
        self.model("lwd", demonstrations, first)
        return self.folder / f"run_lwd_{demonstrations}_seed{first}/config.yaml"

    def judged(self, method: str, demonstrations: int, seed: int) -> dict:
        """What `lwd evaluate` writes of a model."""
        model, _ = self.model(method, demonstrations, seed)
        rules = self.rules
        name = f"{model.stem}_{rules.episodes}_from_{rules.first_layout}"
        path = self.folder / f"{name}.json"
        if not path.exists():
            words = ["evaluate", "--model", model, "--environment", self.road.environment, "--json", path]
            layouts = ["--episodes", rules.episodes, "--first-layout", rules.first_layout]
            self._run(f"evaluate_{name}", [*LWD, *words, *layouts, "--workers", rules.workers])
        return json.loads(path.read_text(encoding="utf-8"))

    def entry(self, method: str, demonstrations: int) -> dict:
        """All seeds of a method."""
        runs, failures = [], []
        for seed in self.rules.seeds:
            result = self.judged(method, demonstrations, seed)
            rows = result["tasks"]
            failures += [layout for row in rows.values() for layout in row.get("failed_layouts") or []]
            successes = {task: row["successes"] for task, row in rows.items()}
            episodes = sum(row["episodes"] for row in rows.values())
            total = sum(successes.values())
            took = self.model(method, demonstrations, seed)[1]
            counts = {"successes": total, "episodes": episodes, "success": total / episodes}
            runs.append({"seed": seed, **counts, "tasks": successes, "training_s": took})
        layouts = self.rules.episodes * len(self.road.tasks)
        pooled = Pooled(sum(r["successes"] for r in runs), sum(r["episodes"] for r in runs), layouts)
        model = PolicyGenerator(self.model(method, demonstrations, self.rules.seeds[0])[0])
        each = self.rules.episodes * len(runs)
        run_folder = self.folder / f"run_lwd_{demonstrations}_seed{self.rules.seeds[0]}"
        config = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))["config"]
        return {
            "method": method,
            "demonstrations": demonstrations,
            "policy_parameters": model.description.policy_parameters,
            "steps": config["autoencoder"]["steps"],
            "data_digest": Demonstrations(self.data(demonstrations)).meta["digest"],
            "runs": runs,
            "pooled": {
                "successes": pooled.successes,
                "episodes": pooled.episodes,
                "success": pooled.rate,
                "layouts": layouts,
                "interval": pooled.interval,
                "tasks": {task: sum(r["tasks"][task] for r in runs) / each for task in self.road.tasks},
            },
        }

    def timed(self, demonstrations: int = FEW) -> dict:
        """From the last demonstration to the first autonomous command; `timed.json` keeps it.

        Raises:
            RoadError: the dataset or the model is there already, so that their making can no longer be timed.
        """
        path = self.folder / "timed.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        seed = self.rules.seeds[0]
        made = [self.folder / f"data_{demonstrations}", self.folder / f"lwd_{demonstrations}_seed{seed}.onnx"]
        for each in made:
            if each.exists():
                raise RoadError(f"timed run: found {each}, expected none: what is there cannot be timed; name --state")
        self.record(demonstrations)
        load, begin = os.getloadavg()[0], time.monotonic()
        steps: dict[str, float] = {}
        before = begin

        def passed(name: str) -> None:
            nonlocal before
            steps[name], before = time.monotonic() - before, time.monotonic()

        self.data(demonstrations)
        passed("import")
        model, _ = self.model("lwd", demonstrations, seed)
        passed("train and export")
        first_command(self.road, model, self.folder / "logs" / "first_command")
        passed("start the nodes, ask, first command")
        content = {
            "demonstrations": demonstrations,
            "steps_s": steps,
            "minutes": (before - begin) / 60,
            "cores": len(os.sched_getaffinity(0)),
            "load_before": load,
        }
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return content

    def nodes(self, demonstrations: int) -> dict:
        """Success through the nodes, on the first layouts."""
        path = self.folder / f"nodes_{demonstrations}_from_{self.rules.first_layout}.json"
        if not path.exists():
            model, _ = self.model("lwd", demonstrations, self.rules.seeds[0])
            first = self.rules.first_layout
            click.echo(f"{self.road.name}: {path.stem}")
            tasks = deployed(self.road, model, range(first, first + NODE_LAYOUTS), self.folder / "logs" / "nodes")
            counts = {"first_layout": first, "episodes": NODE_LAYOUTS, "tasks": tasks}
            path.write_text(json.dumps({"demonstrations": demonstrations, **counts}), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))

    def result(self, path: Path, methods: Sequence[str] = METHODS, through_nodes: bool = True) -> dict:
        """Everything, written to `path`."""
        timed = self.timed() if FEW in self.rules.demonstrations else None
        entries = [self.entry(method, count) for count in self.rules.demonstrations for method in methods]
        content = {
            "study": "own",
            "example": self.road.name,
            "lwd_ros": __version__,
            "made_by": f"lwd study own {self.road.name}",
            "tasks": list(self.road.tasks),
            "protocol": self.rules.describe(self.road),
            "entries": entries,
            "timed": timed,
            "nodes": self.nodes(self.rules.demonstrations[-1]) if through_nodes else None,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write(OwnResult, content, path)
        return content

"""`lwd study ways`: collect, train, judge and compare, one row after the other; what is there is not made again.

Everything lies under a name that tells what it was made of. So a changed config, other demonstrations or other layouts
are made anew, beside what was there.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

import click

from lwd_benchmarks.methods import LATENT, LWD, TRAINED
from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig
from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator
from lwd_benchmarks.methods.diffusion_policy.training import train_diffusion_policy
from lwd_benchmarks.methods.latents import latent_baseline
from lwd_benchmarks.methods.mixture.actor import MixtureActor
from lwd_benchmarks.methods.training import train_baseline
from lwd_benchmarks.paths import in_checkout
from lwd_benchmarks.results import write
from lwd_benchmarks.study_file import simulator_named
from lwd_benchmarks.ways.config import TaskSet, Ways, WaysError
from lwd_benchmarks.ways.drawing import paths
from lwd_benchmarks.ways.judging import frequencies, judged, own_way
from lwd_benchmarks.ways.measures import Gone, difference, pooled
from lwd_benchmarks.ways.results import WaysResult
from lwd_ros import __version__
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.ways import parsed
from lwd_ros.evaluation.evaluate import judged as protocol_of
from lwd_ros.evaluation.way_runs import PUSHES, START_M
from lwd_ros.evaluation.ways import commitment
from lwd_ros.files import written_whole
from lwd_ros.generator import PolicyGenerator
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.export import export
from lwd_ros.learning.train import load, train

REVISION = 1
"""To be raised when episodes or measures change: what was kept before is then run again."""

_DRAWN = (LWD, "regression_hypernetwork")
"""Rows whose paths are in the picture, beside the demonstrators'."""


class WaysStudy:
    """The sets of a file; results go to a folder, one file a set."""

    def __init__(self, study: Ways, results: Path, workers: int = 1):
        self.study, self.results, self.workers = study, results, workers

    def run(self, patterns: Sequence[str] = ("*",)) -> list[Path]:
        """Make all rows that one of the patterns, SET or SET/ROW, names; the files that were written.

        A set's result also has the rows that were made before.

        Raises:
            WaysError: no row is meant.
        """
        meant = {
            name: [row for row in each.rows if any(fnmatch(f"{name}/{row}", p) or fnmatch(name, p) for p in patterns)]
            for name, each in self.study.sets.items()
        }
        if not any(meant.values()):
            known = ", ".join(self.study.sets)
            raise WaysError(f"--only: found {', '.join(patterns)}, expected SET or SET/ROW, of the sets {known}")
        return [_OfASet(self, name).run(rows) for name, rows in meant.items() if rows]


class _OfASet:
    """One set, from its demonstrations to its result."""

    def __init__(self, whole: WaysStudy, name: str):
        self.study, self.workers, self.name = whole.study, whole.workers, name
        self.set: TaskSet = self.study.sets[name]
        self.folder, self.path = self.study.state / name, whole.results / f"{name}.json"
        self.simulator = simulator_named(self.set.environment)
        first = self.study.first_layout
        self.layouts = range(first, first + self.study.episodes)

    def run(self, rows: Sequence[str]) -> Path:
        """Make `rows`, write the result after each."""
        self.data = self._demonstrations()
        contract = self.data.contract
        self.wanted = frequencies(self.simulator, contract, self.set.tasks, self.data, self.layouts)
        self.gone: dict[str, dict[str, Gone]] = {}
        result = self._head()
        if LWD not in rows and not self._was_made(LWD):
            raise WaysError(f"set '{self.name}': found no row '{LWD}' yet, expected it to be made first")
        for name in self.set.rows:
            if name not in rows and not self._was_made(name):
                continue
            result["rows"][name] = self._row(name)
            _say(f"{self.name}/{name}", result["rows"][name])
            result["paths"] = self._paths(result["rows"])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write(WaysResult, result, self.path)
        return self.path

    # Demonstrations

    def _demonstrations(self) -> Demonstrations:
        """The dataset; collected, or gone on with, where it is not whole."""
        wanted, tasks = self.set.demonstrations, self.set.tasks
        experts, shares = parsed(wanted.experts, wanted.frequencies)
        settings = CollectSettings(episodes=wanted.episodes, experts=experts, frequencies=shares)
        contract = self.simulator.spec.contract()
        collect(wanted.folder, tasks, contract, settings, self.workers, self.simulator)
        return Demonstrations(wanted.folder)

    # Model files

    def _model(self, row: str, seed: int) -> tuple[Path, float]:
        """A row's model file, made where it is missing, and the processor seconds that its making took."""
        place, make = self._made_of(row, seed)
        model, seconds = place / "model.onnx", place / "seconds.json"
        if not (model.exists() and seconds.exists()):
            click.echo(f"{self.name}/{row}, seed {seed}: making {model}")
            place.mkdir(parents=True, exist_ok=True)
            begin = time.process_time()
            make(model)
            _keep(seconds, {"training_s": round(time.process_time() - begin, 1)})
        return model, json.loads(seconds.read_text(encoding="utf-8"))["training_s"]

    def _made_of(self, row: str, seed: int) -> tuple[Path, Callable[[Path], object]]:
        """The folder of a row's model, which tells what it is made of, and what makes it there."""
        described = self.study.rows[row]
        if described.trained_as:
            return self._made_of(described.trained_as, seed)
        method, changes = described.method, {**described.changes, **self.set.changes.get(row, {})}
        if method in LATENT:
            source = self._model(LWD, seed)[0]
            of = {"method": method, "run": hashlib.sha256(source.read_bytes()).hexdigest()}
            run = source.parent / "run"
            return self._place(row, seed, of), lambda m: latent_baseline(method, load(run), m, self.data)
        if described.config:
            published = DiffusionPolicyConfig.load(in_checkout(described.config)).changed({**changes, "seed": seed})
            place = self._place(row, seed, {"method": method, "config": published.to_dict()})
            return place, lambda m: train_diffusion_policy(published, self.data, place / "run", m)
        config = TrainConfig.load(in_checkout(self.set.train)).changed({**changes, "seed": seed})
        place = self._place(row, seed, {"method": method, "config": config.to_dict()})
        if method in TRAINED:
            return place, lambda m: train_baseline(method, config, self.data, place / "run", m)
        return place, lambda m: export(train(config, self.data, place / "run"), m)

    def _place(self, row: str, seed: int, made_of: dict) -> Path:
        return self.folder / f"{row}_seed{seed}_{_digest({**made_of, 'data': self.data.digest})}"

    # Judging

    def _judged(self, row: str, seed: int) -> dict:
        """What a row's model did, by task, and what is said of the model."""
        described, (model, seconds) = self.study.rows[row], self._model(row, seed)
        policies = self.study.policies if described.commitment else 0
        about = _about(described.kind, model)
        identity = {
            **about, "horizon": described.horizon, "environment": self.set.environment, "tasks": list(self.set.tasks),
            "layouts": [self.layouts.start, self.layouts.stop], "policies": policies, "runs": self.study.runs,
            "revision": REVISION,
        }  # fmt: skip
        tasks = self._kept("judged", identity, lambda: judged(
            described.kind, model, described.periods, self.simulator, self.set.tasks, self.layouts, policies,
            self.study.runs, self.workers,
        ))  # fmt: skip
        return {**about, "seed": seed, "training_s": seconds, "tasks": tasks}

    def _own_way(self, seed: int) -> dict[str, dict[str, int]]:
        """Of one run: policies of demonstrations, each at home."""
        model = self._model(LWD, seed)[0]
        identity = {**_about("lwd", model), "most": self.study.reconstructed, "revision": REVISION}
        return self._kept("own_way", identity, lambda: own_way(
            load(model.parent / "run"), self.data, self.simulator, self.study.reconstructed
        ))  # fmt: skip

    def _kept(self, what: str, identity: dict, make: Callable[[], dict]) -> dict:
        """What `make` gives, or gave before for the same identity."""
        place = self.folder / what / f"{_digest(identity)}.json"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            _keep(place, {"identity": identity, "result": make()})
        return json.loads(place.read_text(encoding="utf-8"))["result"]

    def _was_made(self, row: str) -> bool:
        """Whether all seeds of a row have a model file already; what is judged of it then takes no training."""
        if self.study.rows[row].method in LATENT and not self._was_made(LWD):
            return False
        seeds = self.study.seeds_of(row)
        return all((self._made_of(row, seed)[0] / "seconds.json").exists() for seed in seeds)

    # The result

    def _row(self, name: str) -> dict:
        described = self.study.rows[name]
        seeds = [self._judged(name, seed) for seed in self.study.seeds_of(name)]
        gone = self.gone[name] = self._gone(seeds)
        again = [ways for each in seeds for task in self.set.tasks for ways in each["tasks"][task]["again"]]
        return {
            "title": described.title,
            "method": described.method,
            "horizon": described.horizon,
            "runs": [self._run(each) for each in seeds],
            "pooled": pooled(gone),
            "commitment": commitment(again) if again else None,
            "lwd_minus": None if name == LWD else difference(self.gone[LWD], gone),
            "own_way": self._own_ways() if name == LWD else None,
        }

    def _gone(self, seeds: Sequence[dict]) -> dict[str, Gone]:
        return {
            task: Gone(*self.wanted[task], [each["tasks"][task]["ways"] for each in seeds]) for task in self.set.tasks
        }

    def _run(self, seed: dict) -> dict:
        alone = pooled(self._gone([seed]), draws=2)
        kept = {key: alone[key] for key in ("successes", "episodes", "js_distance", "js_expected", "entropy")}
        return {key: seed[key] for key in ("seed", "model_digest", "policy_parameters", "training_s")} | kept

    def _own_ways(self) -> dict:
        found = [task for seed in self.study.seeds_of(LWD) for task in self._own_way(seed).values()]
        counts = {key: sum(each[key] for each in found) for key in ("demonstrations", "successes", "own_way")}
        return {**counts, "share": counts["own_way"] / counts["demonstrations"]}

    def _paths(self, rows: dict) -> dict | None:
        """Paths of the first training seeds, in the first layout."""
        picture = self.set.picture
        if picture is None:
            return None
        shown = [name for name in _DRAWN if name in rows]
        models = {
            name: (self.study.rows[name].kind, self._model(name, self.study.seeds_of(name)[0])[0],
                   self.study.rows[name].periods)
            for name in shown
        }  # fmt: skip
        identity = {
            "models": {name: _about(*given[:2]) for name, given in models.items()},
            "layout": self.layouts.start, "picture": picture.model_dump(), "data": self.data.digest,
            "revision": REVISION,
        }  # fmt: skip
        task = self.set.tasks[0]
        return self._kept("paths", identity, lambda: paths(
            models, self.simulator, task, self.layouts.start, picture, self.data
        ))  # fmt: skip

    def _head(self) -> dict:
        study, data, counts = self.study, self.data, self.data.meta["counts"]
        return {
            "study": "ways",
            "set": self.name,
            "title": self.set.title,
            "environment": self.set.environment,
            "tasks": list(self.set.tasks),
            "number_of_ways": {task: len(names) for task, (names, _) in self.wanted.items()},
            "lwd_ros": __version__,
            "made_by": "lwd study ways",
            "protocol": {
                **protocol_of(self.simulator.spec),
                "first_layout": study.first_layout,
                "episodes_per_task": study.episodes,
                "policy_seed": "layout + 1",
                "policies": study.policies,
                "runs": study.runs,
                "start_m": START_M,
                "pushes": PUSHES,
            },
            "data": {
                "digest": data.digest,
                "episodes": sum(each["episodes"] for each in counts.values()),
                "frames": sum(each["frames"] for each in counts.values()),
                "experts": self.set.demonstrations.experts,
                "frequencies": self.set.demonstrations.frequencies,
                "ways": {
                    way if len(self.set.tasks) == 1 else f"{task}: {way}": number
                    for task, each in counts.items() for way, number in each["ways"].items()
                },
            },
            "rows": {},
            "paths": None,
        }  # fmt: skip


def _about(kind: str, model: Path) -> dict:
    """SHA-256 of a model file, and how many numbers are evaluated to act."""
    if kind == "diffusion_policy":
        published = ActionGenerator(model)
        return {"model_digest": published.digest, "policy_parameters": published.description.parameters}
    if kind == "mixture":
        mixture = MixtureActor(model)
        return {"model_digest": mixture.digest, "policy_parameters": mixture.description.policy_parameters}
    generator = PolicyGenerator(model)
    return {"model_digest": generator.digest, "policy_parameters": generator.description.policy_parameters}


def _digest(content: dict) -> str:
    """A short name of what JSON holds."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _keep(path: Path, content: dict) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _say(name: str, row: dict) -> None:
    """A row at the terminal."""
    every, held = row["pooled"], row["commitment"] or {}
    parts = [f"{name:44} {every['successes']:5}/{every['episodes']:<5} {every['success']:.3f}"]
    for title, value in (("entropy", every["entropy"]), ("JS/floor", every["js_over_floor"]),
                         ("committed", held.get("committed"))):  # fmt: skip
        parts.append(f"{title} {'-' if value is None else f'{value:.3f}'}")
    click.echo("  ".join(parts))

"""Collecting demonstrations: experts, disturbed execution, clean labels, chained starts."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.dataset import DatasetError, Episode, TaskFile, write_meta
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import (
    Environment,
    HasWays,
    Left,
    Simulator,
    StatesExperts,
    StatesItself,
    require_capability,
)
from lwd_ros.environments.episode import Outcome, absolute, run_episode
from lwd_ros.environments.expert import Given, expert_of, load, name_of
from lwd_ros.environments.layouts import TRAINING_LAYOUTS
from lwd_ros.environments.registry import simulator_of
from lwd_ros.environments.ways import ALL, WayDraw, frequencies_of

_FAILED, _DONE, _CLOSED = "failed", "done", "closed"
"""Why an attempt is no demonstration: the expert failed; the task was done already; the layout allows no way wanted."""

_CLOSED_PER_DEMONSTRATION = 8
"""So many layouts on average may allow none of the ways that are wanted."""


@dataclass(frozen=True)
class CollectSettings:
    """What makes a dataset; the same settings give the same bytes."""

    episodes: int = 200  # fresh starts per task; tasks with a reverse get as many chained starts again
    noise: tuple[float, float] = (0.0, 0.3)  # range of the executed noise's deviation, drawn per demonstration
    steps_after_success: int = 15  # frames kept after the first success
    settle_steps: int = 40  # a chained start runs the previous task for up to this long after its success
    first_layout: int = 0
    seed: int = 0
    anywhere: int = 0  # further demonstrations per task with a reverse, from wherever a robot can be left
    drift_steps: int = 800  # in those, the task before drives on for up to this long, on the new task's goal
    experts: tuple[str, ...] = ()  # ways to demonstrate, ("all",) for every way; none: the environment's one expert
    frequencies: tuple[tuple[str, float], ...] = ()  # how often each, see `lwd_ros.environments.ways.parsed`

    def __post_init__(self):
        """Refuse a range that is none; raises DatasetError."""
        if not 0.0 <= self.noise[0] <= self.noise[1] < math.inf:
            raise DatasetError(
                f"noise: found {self.noise}, expected two numbers, 0 or more, the second not the smaller"
            )

    def to_dict(self) -> dict:
        """Plain data, for the files.

        Where nothing starts anywhere, the two settings of it are left out, and so are those of ways where none is
        chosen: such datasets keep the bytes that they had before there were any.
        """
        content = asdict(self)
        if not self.anywhere:
            del content["anywhere"], content["drift_steps"]
        ways = {"experts": list(content.pop("experts")), "frequencies": [list(p) for p in content.pop("frequencies")]}
        return content | {key: value for key, value in ways.items() if value}


def _run(
    environment: Environment, rng, noise: float, extra_steps: int, anywhere: bool, given, way: str = ""
) -> Outcome | None:
    """Let the expert act until `extra_steps` after its first success; None where it fails.

    A `way` asks for the expert of it.
    Where the score is a return, it acts to the end of the episode, and fails where the environment ends that.
    """
    contract, ends = environment.contract, environment.spec.score == "success"
    outcome = run_episode(
        environment,
        ExpertActor(expert_of(environment, given, anywhere, way)),
        None,
        noise=action_noise(contract, noise, rng),
        limiter=CommandLimiter(absolute(contract)),
        stop_at_success=ends,
        extra_steps=extra_steps,
        record=True,
    )
    last = outcome.first_success_step + extra_steps
    good = outcome.success and outcome.steps == last if ends else not outcome.ended
    return outcome if good else None


def _demonstration(
    environments: dict[str, Any], task: str, chain: list, layout: int, rng, settings, given, left=False, draw=None
) -> Episode | str:
    """Run the tasks of `chain` and then `task` in one scene without reset; the last link is the demonstration.

    With `left`, it begins where the environment leaves the robot. `draw` says which way it goes. Where there is none,
    the result says why: _FAILED, _DONE, _CLOSED. An expert that went another way than its own has failed.
    """
    previous, noise = None, rng.uniform(*settings.noise)
    happened, anywhere, run, outcome = list(chain), settings.anywhere > 0, None, None
    for place, link in enumerate([*chain, task]):
        environment = environments[link]
        if previous is None:
            environment.reset(layout)
        else:
            require_capability(environment, "take over").take_over(previous)
        last = place == len(chain)
        if last and left:
            command = environment.start_command if run is None else run.outputs[-1]
            before = chain[-1] if chain else ""
            leaving: Left = require_capability(environment, "leave").leave(
                before, command, settings.drift_steps, noise, rng
            )
            if leaving.done:
                return _DONE
            happened += leaving.how
        way = draw.next(environment.open_ways()) if last and draw is not None else ""
        if last and draw is not None and not way:
            return _CLOSED
        extra = settings.steps_after_success if last else int(rng.integers(settings.settle_steps + 1))
        outcome = _run(environment, rng, noise, extra, anywhere, given, way)
        if outcome is None or (way and outcome.way != way):
            return _FAILED
        run = outcome.record
        previous = environment
    assert run is not None and outcome is not None, "the task itself has run"
    if draw is not None:
        draw.demonstrated(way)
    return Episode(run.observations, run.outputs, layout, "+".join(happened), way=outcome.way)


def demonstrate(
    environment: Environment, layout: int, seed: int, settings: CollectSettings, expert: Given | None = None
) -> Episode | None:
    """One demonstration from a fresh start on any layout, disturbed as `settings` says; None where the expert fails.

    For studies: layouts are not limited to those of demonstrations, and `settings.seed` does not count.
    """
    rng = np.random.default_rng([seed, layout])
    episode = _demonstration({environment.task: environment}, environment.task, [], layout, rng, settings, expert)
    return episode if isinstance(episode, Episode) else None


def _collect_task(
    folder: Path, simulator: Simulator, task: str, index: int, contract: Contract, settings: CollectSettings, given
) -> dict:
    """Write one task's file unless it is there already; returns counts."""
    file = TaskFile.of(folder, task)
    described = _describe(simulator, task, index, contract, settings, given)
    found = file.settings()
    if found is not None:
        return found["counts"]
    reverse = None if given else simulator.spec.reverses.get(task)
    environments = {name: simulator.make(name, contract) for name in ([task, reverse] if reverse else [task])}
    _require_capabilities(environments, bool(reverse), bool(reverse and settings.anywhere), given)
    draw = None
    if settings.experts and not _has_one_alone(environments[task], settings.experts):
        shares = frequencies_of(environments[task], settings.experts, settings.frequencies)
        draw = WayDraw(shares, np.random.default_rng([settings.seed, index]))
    episodes: list[Episode] = []
    counts: dict[str, Any] = {"episodes": 0, _FAILED: 0, "frames": 0}
    usual = settings.episodes * (2 if reverse else 1)
    wanted = usual + (settings.anywhere if reverse else 0)
    attempt = 0
    while len(episodes) < wanted:
        layout = settings.first_layout + attempt
        rng = np.random.default_rng([settings.seed, index, attempt])
        chain: list[str] = []
        left = len(episodes) >= usual
        if reverse and left:
            chain = [[], [reverse], [reverse], [task, reverse]][int(rng.integers(4))]
        elif reverse and attempt % 2:
            chain = [[reverse], [task, reverse]][int(rng.integers(2))]
        episode = _demonstration(environments, task, chain, layout, rng, settings, given, left, draw)
        attempt += 1
        if isinstance(episode, Episode):
            episodes.append(episode)
            continue
        counts[episode] = counts.get(episode, 0) + 1
        if counts[_FAILED] + counts.get(_DONE, 0) > wanted + 10:
            done = f", and {counts[_DONE]} starts had it done already" if _DONE in counts else ""
            raise DatasetError(f"task '{task}': the expert failed {counts[_FAILED]} times of {attempt}{done}")
        if counts.get(_CLOSED, 0) > _CLOSED_PER_DEMONSTRATION * wanted + 10:
            raise DatasetError(
                f"task '{task}': {counts[_CLOSED]} layouts of {attempt} allow none of the ways {', '.join(shares)}"
            )
    counts["episodes"], counts["frames"] = len(episodes), sum(len(e.action) for e in episodes)
    ways = Counter(episode.way for episode in episodes if episode.way)
    counts |= {"ways": dict(sorted(ways.items()))} if ways else {}
    file.write(task, index, contract.period_s, episodes, {**described, "counts": counts})
    for environment in environments.values():
        environment.close()
    return counts


def _has_one_alone(environment: Environment, experts: Sequence[str]) -> bool:
    """Whether all experts of a task are one, though other tasks of its environment may have several."""
    return tuple(experts) == (ALL,) and isinstance(environment, HasWays) and not environment.ways


def _require_capabilities(environments: dict[str, Environment], chained: bool, left: bool, given) -> None:
    """Raise SimulationError where an environment lacks what its demonstrations need."""
    needed = {"expert": given is None, "take over": chained, "leave": left}
    for environment in environments.values():
        for capability in (name for name, is_needed in needed.items() if is_needed):
            require_capability(environment, capability)


def _describe(
    simulator: Simulator, task: str, index: int, contract: Contract, settings: CollectSettings, given
) -> dict:
    """What a task's file says of how it was made; `counts` comes beside it."""
    described = {"task": task, "task_index": index, "contract": contract.digest, **settings.to_dict()}
    described["noise"] = list(settings.noise)  # as it will be read back
    if isinstance(simulator, StatesItself):
        described["environment_digest"] = simulator.digest()
    if given:
        return described | {"expert": name_of(given)}
    number = simulator.expert_revision(task, settings.anywhere > 0) if isinstance(simulator, StatesExperts) else 0
    return described | ({"expert_revision": number} if number else {})


def _require_same_settings(folder: Path, wanted: dict[Path, dict]) -> None:
    """Raise DatasetError where a folder holds what other settings made than `wanted` says by file: it would be lost."""
    for path in sorted(folder.glob("*.parquet")):
        found = TaskFile(path).settings() or {}
        expected = wanted.get(path)
        if expected is None:
            raise DatasetError(f"{folder}: holds demonstrations of another task, {path.stem}; name another folder")
        unstated: dict = {"expert_revision": 0, "anywhere": 0, "expert": None, "environment_digest": ""}
        unstated |= {"experts": [], "frequencies": []}
        found, expected = unstated | found, unstated | expected
        for key, value in expected.items():
            if found.get(key) != value:
                raise DatasetError(
                    f"{folder}: holds demonstrations of other settings ('{key}' of {path.stem}: found "
                    f"{found.get(key)!r}, asked for {value!r}); name another folder"
                )


def collect(
    folder: Path,
    tasks: Sequence[str],
    contract: Contract,
    settings: CollectSettings,
    workers: int,
    environment: str | Path | Simulator = "",
    expert: Given | None = None,
) -> dict:
    """Collect all tasks in parallel processes; resumes where a run was stopped. Returns the dataset's meta.

    Args:
        folder: of the dataset.
        tasks: of one environment.
        contract: of what is observed and commanded.
        settings: how many demonstrations, and how they are disturbed.
        workers: processes.
        environment: its name, its YAML file or itself; '' for the one that has the tasks.
        expert: demonstrates instead of the environment's own. All its starts are fresh, and it goes its own ways.

    Raises:
        DatasetError: the layouts asked for are kept for evaluation, the folder holds demonstrations of other settings,
            an expert keeps failing.
        OSError: the disk is full.
        SimulationError: an environment, a task, a capability or an expert is missing.
        ContractError: the environment lacks a scalar of the contract.
    """
    simulator = simulator_of(tasks, environment)
    simulator.require_contract(contract)
    if expert is not None:
        load(expert)  # not in another process first
        if settings.experts:
            raise DatasetError(f"expert '{name_of(expert)}': found beside the experts {', '.join(settings.experts)}")
    # As many attempts may come to nothing as to a demonstration, and 10 more.
    wanted = 2 * settings.episodes + settings.anywhere
    closed = _CLOSED_PER_DEMONSTRATION * wanted + 10 if settings.experts else 0
    last = settings.first_layout + 2 * wanted + 11 + closed
    if settings.first_layout not in TRAINING_LAYOUTS or last not in TRAINING_LAYOUTS:
        raise DatasetError(
            f"first layout {settings.first_layout}: demonstrations use layouts below {TRAINING_LAYOUTS.stop}; "
            "larger ones are kept for validation and reporting"
        )
    folder.mkdir(parents=True, exist_ok=True)
    described = [_describe(simulator, task, i, contract, settings, expert) for i, task in enumerate(tasks)]
    files = [TaskFile.of(folder, task).path for task in tasks]
    _require_same_settings(folder, dict(zip(files, described, strict=True)))
    jobs = (
        delayed(_collect_task)(folder, simulator, task, i, contract, settings, expert) for i, task in enumerate(tasks)
    )
    results = Parallel(n_jobs=workers, return_as="generator")(jobs)
    counts = dict(zip(tasks, tqdm(results, total=len(tasks), desc="collect", unit="task"), strict=True))
    stated = settings.to_dict() | {"environment": str(simulator.spec.name)}
    return write_meta(folder, contract, tasks, stated | ({"expert": name_of(expert)} if expert else {}), counts)

"""Collecting demonstrations: scripted experts, disturbed execution, clean labels, chained starts."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.dataset import DatasetError, Episode, TaskFile, write_meta
from lwd_ros.environments.metaworld import starts
from lwd_ros.environments.metaworld.experts import Expert, revision
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, Scene, require_task
from lwd_ros.environments.metaworld.tasks import REVERSES

TRAINING_LAYOUTS = range(0, 100_000)
"""Layout seeds that demonstrations may use; validation and reported figures use larger ones."""


@dataclass(frozen=True)
class CollectSettings:
    """What makes a dataset; the same settings give the same bytes."""

    episodes: int = 200  # fresh starts per task; tasks with a reverse get as many chained starts again
    noise: tuple[float, float] = (0.0, 0.3)  # range of the executed noise's deviation, drawn per demonstration
    steps_after_success: int = 15  # frames kept after the first success
    settle_steps: int = 40  # a chained start runs the previous task for up to this long after its success
    first_layout: int = 0
    seed: int = 0
    anywhere: int = 0  # further demonstrations per task with a reverse, from wherever a hand can be left (starts.py)
    drift_steps: int = 800  # in those, the task before drives on for up to this long, on the new task's goal

    def __post_init__(self):
        """Refuse a range that is none; raises DatasetError."""
        if not 0.0 <= self.noise[0] <= self.noise[1] < math.inf:
            raise DatasetError(
                f"noise: found {self.noise}, expected two numbers, 0 or more, the second not the smaller"
            )

    def to_dict(self) -> dict:
        """Plain data, for the files.

        Where nothing starts anywhere, the two settings of it are left out: such datasets keep the bytes that they had
        before there were any.
        """
        content = asdict(self)
        if not self.anywhere:
            del content["anywhere"], content["drift_steps"]
        return content


def _run(scene: Scene, rng: np.random.Generator, noise: float, extra_steps: int, anywhere: bool):
    """Let the expert act until `extra_steps` after its first success; (observations, actions), None if it fails."""
    expert, limiter = Expert(scene, anywhere=anywhere), CommandLimiter(scene.contract)
    spread = noise * scene.contract.command_limits[1]
    observations, actions, left = [], [], None
    for _ in range(EPISODE_STEPS):
        observations.append(scene.observe())
        actions.append(expert.command())
        executed = limiter.apply(actions[-1] + spread * rng.standard_normal(len(spread)))
        if scene.step(executed) and left is None:
            left = extra_steps
        if left is not None:
            if left == 0:
                return np.array(observations), np.array(actions)
            left -= 1
    return None


def _demonstration(
    scenes: dict[str, Scene], task: str, chain: list[str], layout: int, rng, settings, left: bool = False
) -> Episode | str:
    """Run the tasks of `chain` and then `task` in one scene without reset; the last link is the demonstration.

    With `left`, it begins where `starts.leave` leaves the hand. Where there is none, the result says why: "failed",
    an expert did; "done", the task was already.
    """
    previous, noise = None, rng.uniform(*settings.noise)
    happened, gripper, anywhere = list(chain), 0.0, settings.anywhere > 0
    for place, link in enumerate([*chain, task]):
        scene = scenes[link]
        if previous is None:
            scene.reset(layout)
        else:
            scene.take_over(previous)
        last = place == len(chain)
        if last and left:
            before = chain[-1] if chain else ""
            leaving = starts.leave(scene, before, gripper, settings.drift_steps, noise, rng)
            if leaving.done:
                return "done"
            happened += leaving.how
        extra = settings.steps_after_success if last else int(rng.integers(settings.settle_steps + 1))
        run = _run(scene, rng, noise, extra, anywhere)
        if run is None:
            return "failed"
        previous, gripper = scene, scene.gripper_effort(run[1][-1])
    return Episode(*run, layout=layout, after="+".join(happened))


def demonstrate(scene: Scene, layout: int, seed: int, settings: CollectSettings) -> Episode | None:
    """One demonstration from a fresh start on any layout, disturbed as `settings` says; None where the expert fails.

    For studies: layouts are not limited to TRAINING_LAYOUTS, and `settings.seed` does not count.
    """
    rng = np.random.default_rng([seed, layout])
    episode = _demonstration({scene.task: scene}, scene.task, [], layout, rng, settings)
    return episode if isinstance(episode, Episode) else None


def _collect_task(folder: Path, task: str, index: int, contract: Contract, settings: CollectSettings) -> dict:
    """Write one task's file unless it is there already; returns counts."""
    file = TaskFile.of(folder, task)
    described = _describe(task, index, contract, settings)
    found = file.settings()
    if found is not None:
        return found["counts"]
    reverse = REVERSES.get(task)
    scenes = {name: Scene(name, contract) for name in ([task, reverse] if reverse else [task])}
    episodes, counts = [], {"episodes": 0, "failed": 0, "frames": 0}
    usual = settings.episodes * (2 if reverse else 1)
    wanted = usual + (settings.anywhere if reverse else 0)
    attempt = 0
    while len(episodes) < wanted:
        layout = settings.first_layout + attempt
        rng = np.random.default_rng([settings.seed, index, attempt])
        chain, left = [], len(episodes) >= usual
        if left:
            chain = [[], [reverse], [reverse], [task, reverse]][int(rng.integers(4))]
        elif reverse and attempt % 2:
            chain = [[reverse], [task, reverse]][int(rng.integers(2))]
        episode = _demonstration(scenes, task, chain, layout, rng, settings, left)
        attempt += 1
        if isinstance(episode, Episode):
            episodes.append(episode)
            continue
        counts[episode] = counts.get(episode, 0) + 1
        if counts["failed"] + counts.get("done", 0) > wanted + 10:
            done = f", and {counts['done']} starts had it done already" if "done" in counts else ""
            raise DatasetError(f"task '{task}': the expert failed {counts['failed']} times of {attempt}{done}")
    counts["episodes"], counts["frames"] = len(episodes), sum(len(e.action) for e in episodes)
    file.write(task, index, contract.period_s, episodes, {**described, "counts": counts})
    return counts


def _describe(task: str, index: int, contract: Contract, settings: CollectSettings) -> dict:
    """What a task's file says of how it was made; `counts` comes beside it."""
    described = {"task": task, "task_index": index, "contract": contract.digest, **settings.to_dict()}
    stated = revision(task, settings.anywhere > 0)
    if stated:
        described["expert_revision"] = stated
    return json.loads(json.dumps(described))  # as it will be read back: tuples become lists


def _require_same_settings(folder: Path, tasks, contract: Contract, settings: CollectSettings) -> None:
    """Raise DatasetError where a folder holds what other settings made: it would be lost."""
    wanted = {TaskFile.of(folder, task).path: _describe(task, i, contract, settings) for i, task in enumerate(tasks)}
    for path in sorted(folder.glob("*.parquet")):
        found = TaskFile(path).settings() or {}
        expected = wanted.get(path)
        if expected is None:
            raise DatasetError(f"{folder}: holds demonstrations of another task, {path.stem}; name another folder")
        unstated = {"expert_revision": 0, "anywhere": 0}
        found, expected = unstated | found, unstated | expected
        for key, value in expected.items():
            if found.get(key) != value:
                raise DatasetError(
                    f"{folder}: holds demonstrations of other settings ('{key}' of {path.stem}: found "
                    f"{found.get(key)!r}, asked for {value!r}); name another folder"
                )


def collect(folder: Path, tasks, contract: Contract, settings: CollectSettings, workers: int) -> dict:
    """Collect all tasks in parallel processes; resumes where a run was stopped. Returns the dataset's meta.

    Raises:
        DatasetError: the layouts asked for are kept for evaluation, the folder holds demonstrations of other settings,
            an expert keeps failing.
        OSError: the disk is full.
        SceneError: Metaworld lacks one of the tasks.
    """
    for task in tasks:
        require_task(task)
    # As many attempts may come to nothing as to a demonstration, and 10 more.
    last = settings.first_layout + 4 * settings.episodes + 2 * settings.anywhere + 11
    if settings.first_layout not in TRAINING_LAYOUTS or last not in TRAINING_LAYOUTS:
        raise DatasetError(
            f"first layout {settings.first_layout}: demonstrations use layouts below {TRAINING_LAYOUTS.stop}; "
            "larger ones are kept for validation and reporting"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _require_same_settings(folder, tasks, contract, settings)
    jobs = (delayed(_collect_task)(folder, task, i, contract, settings) for i, task in enumerate(tasks))
    results = Parallel(n_jobs=workers, return_as="generator")(jobs)
    counts = {}
    for task, count in zip(tasks, tqdm(results, total=len(tasks), desc="collect", unit="task"), strict=True):
        counts[task] = count
    return write_meta(folder, contract, tasks, settings.to_dict(), counts)

"""`lwd study teachers`: tunes the gaits of a robot and writes them where the environment reads them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from lwd_benchmarks.gaits.study import GaitsError
from lwd_benchmarks.gaits.tuning import NOISE, WANTED, Wanted, coordination, judged, tuned, turned, walk
from lwd_benchmarks.study_file import simulator_named
from lwd_ros.environments.gaits.body import Body
from lwd_ros.environments.gaits.gait import OFFSETS, Gait
from lwd_ros.environments.gaits.robot import Robot
from lwd_ros.files import written_whole

_EPISODES, _STEPS = 20, 1000
_CLEAN, _NOISY = range(10_000, 10_000 + _EPISODES), range(20_000, 20_000 + _EPISODES)


def described(robot: Robot, gait: Gait, wanted: Wanted) -> dict:
    """What the environment reads of a teacher: its gait, its direction, how far it goes in an episode without noise."""
    walks = walk([Body(robot) for _ in _CLEAN], [gait] * _EPISODES, _CLEAN, _STEPS, 0.0)
    return {
        "direction": 1 if wanted.speed_mps > 0 else -1,
        "distance_m": round(float(np.mean([abs(done.place[0]) for done in walks])), 2),
        "gait": gait.to_dict(),
    }


def under_noise(robot: Robot, gait: Gait, wanted: Wanted) -> str:
    """A line about a teacher as demonstrations see it."""
    walks = walk([Body(robot) for _ in _NOISY], [gait] * _EPISODES, _NOISY, _STEPS, NOISE)
    falls = sum(done.steps < _STEPS for done in walks)
    speed = np.mean([done.speed_mps for done in walks])
    together = np.mean([coordination(done.contacts, OFFSETS[wanted.coordination]) for done in walks])
    duty = " ".join(f"{share:.2f}" for share in np.mean([done.contacts.mean(axis=0) for done in walks], axis=0))
    return f"{falls} of {_EPISODES} fall, {speed:.2f} m/s, coordination {together:.2f}, feet down {duty}"


def teach(robot: str, tasks: Sequence[str], evaluations: int, seed: int, steps: int, path: Path) -> None:
    """Tune the gaits `tasks` of a robot, all for none, one after the other, and write each into `path` at once.

    Raises:
        GaitsError: there is no such gait, or the one that it starts from is not there yet.
    """
    wanted, teachers = WANTED[robot], _read(path)
    simulator: Any = simulator_named(robot)
    for task in tasks or wanted:
        if task not in wanted:
            raise GaitsError(f"found gait '{task}', expected one of {', '.join(wanted)}")
        each = wanted[task]
        if each.start and each.start not in teachers:
            raise GaitsError(f"gait '{task}' starts from '{each.start}': found none in {path}, expected it tuned first")
        start = Gait.from_dict(teachers[each.start]["gait"]) if each.start else None
        if start is not None and each.speed_mps < 0:
            start = turned(start)
        gait = tuned(simulator.robot, each, evaluations, seed, start, steps)
        cost = judged(simulator.robot, gait, each, range(5000, 5012))
        teachers[task] = described(simulator.robot, gait, each)
        _write(path, {name: teachers[name] for name in wanted if name in teachers})
        click.echo(f"{task:28} cost {cost:.2f}; under noise {under_noise(simulator.robot, gait, each)}")


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write(path: Path, teachers: dict) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(teachers, indent=1) + "\n", encoding="utf-8")

"""Paths for the picture: many policies of one request, and what demonstrators do in the same layout."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lwd_benchmarks.studies.trials import make_actor
from lwd_benchmarks.ways.config import Picture
from lwd_ros.contract import CommandLimiter
from lwd_ros.dataset import Demonstrations, TaskFile
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.episode import Actor, absolute, run_episode
from lwd_ros.environments.ways import WayDraw
from lwd_ros.evaluation.way_runs import reference

DEMONSTRATIONS = "demonstrations"
_POINTS = 50


def paths(
    models: dict[str, tuple[str, Path, int | None]],
    simulator: Simulator,
    task: str,
    layout: int,
    picture: Picture,
    data: Demonstrations,
) -> dict:
    """What `WaysPaths` holds: of demonstrators, and of each model (`kind, file, horizon`), as many as asked for."""
    contract = data.contract
    environment, places = simulator.make(task, contract), [*contract.places(picture.x), *contract.places(picture.y)]
    first = environment.reset(layout)
    settings = TaskFile.of(data.folder, task).settings() or {}
    noises, rng = settings.get("noise", [0.0, 0.0]), np.random.default_rng(layout)
    ways = WayDraw(reference(environment, data), rng)

    def path(actor: Actor, **given) -> list[tuple[float, float]]:
        outcome = run_episode(environment, actor, None, record=True, **given)
        assert outcome.record is not None
        rows = np.vstack([outcome.record.observations, environment.observe()])[:, places]
        chosen = np.unique(np.linspace(0, len(rows) - 1, _POINTS).round().astype(int))
        return [(round(float(x), 4), round(float(y), 4)) for x, y in rows[chosen]]

    def demonstrated(_number: int) -> list:
        environment.reset(layout)
        way = ways.next(environment.open_ways())  # type: ignore[attr-defined]
        ways.demonstrated(way)
        noise, limiter = action_noise(contract, rng.uniform(*noises), rng), CommandLimiter(absolute(contract))
        return path(ExpertActor(environment.way_expert(way)), noise=noise, limiter=limiter)  # type: ignore[attr-defined]

    def generated(actor: Actor) -> Callable[[int], list]:
        def one(number: int) -> list:
            environment.reset(layout)
            actor.begin(task, number + 1)
            return path(actor)

        return one

    drawn: dict[str, Callable[[int], list]] = {DEMONSTRATIONS: demonstrated}
    drawn |= {name: generated(make_actor(kind, model, horizon)) for name, (kind, model, horizon) in models.items()}
    found = {name: [one(number) for number in range(picture.paths)] for name, one in drawn.items()}
    environment.close()
    return {
        "task": task,
        "layout": layout,
        "axes": (picture.x, picture.y),
        "circles": _circles(dict(zip(contract.observation_names, first, strict=True))),
        "paths": found,
    }


def _circles(seen: dict[str, float]) -> list[tuple[float, float, float]]:
    """x, y and radius of all that is observed with such: NAME_x, NAME_y and NAME_radius."""
    names = [name for each in seen if (name := re.sub("_radius$", "", each)) != each]
    return [
        (float(seen[f"{name}_x"]), float(seen[f"{name}_y"]), float(seen[f"{name}_radius"]))
        for name in names
        if f"{name}_x" in seen and f"{name}_y" in seen
    ]

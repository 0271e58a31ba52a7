"""Studies of a run beside its success rates: how well policies are reconstructed, and what the latent space holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.report.names import GOALS, SETS
from lwd_benchmarks.report.pooling import Count, total

MEANS = (
    "action_mean_absolute",
    "action_mean_absolute_of_others",
    "same_layout_mm",
    "other_layout_mm",
    "energy_distance_mm",
    "energy_distance_noise_floor_mm",
)
"""Of a reconstruction's means over tasks, those that the document shows."""


@dataclass(frozen=True)
class Reconstruction:
    """One file of `lwd study reconstruction`.

    Attributes:
        run, seed: of the training config.
        expert, decoded: successes of the scripted expert and of the decoded policies on the same layouts.
        means: over tasks, by the names of MEANS.
        paths: by task, the expert's and the decoded policies' hand paths, float64 [layouts, points, 3] in m.
    """

    run: str
    seed: int
    expert: Count
    decoded: Count
    means: dict[str, float]
    paths: dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Variety:
    """Policies generated for one task.

    Attributes:
        count: their successes.
        weight_distance: mean distance between the weights of two, relative to their mean norm.
        action_disagreement: standard deviation of their commands for the same observations, 1 is half a range.
        paths: of the hand, float64 [policies, points, 3] in m.
    """

    count: Count
    weight_distance: float
    action_disagreement: float
    paths: np.ndarray


@dataclass(frozen=True)
class Latents:
    """One file of `lwd study latents`.

    Attributes:
        run, seed: of the training config.
        explained: share of the variance that the two directions of the picture hold.
        points: by task, encoded and sampled latents in the picture's plane, float64 [N, 2].
        own: by task, the share of samples whose nearest encoded latent belongs to it.
        diversity: by task, policies for one layout and for a layout each.
    """

    run: str
    seed: int
    explained: float
    points: dict[str, tuple[np.ndarray, np.ndarray]]
    own: dict[str, float]
    diversity: dict[str, tuple[Variety, Variety]]


def _metres(paths: list) -> np.ndarray:
    found = 1e-3 * np.array(paths, float)
    if found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(f"paths of shape {found.shape}")
    return found


def _points(content: list) -> np.ndarray:
    found = np.array(content, float)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"points of shape {found.shape}")
    return found


def _reconstruction(content: dict) -> Reconstruction:
    tasks = content["tasks"].values()

    def successes(who: str) -> Count:
        return total(Count(int(task[who]["successes"]), int(task["demonstrations"])) for task in tasks)

    return Reconstruction(
        str(content["run"]),
        int(content["seed"]),
        successes("expert"),
        successes("decoded"),
        {name: float(content["mean"][name]) for name in MEANS},
        {
            task: (_metres(kept["expert"]), _metres(kept["decoded"]))
            for task, kept in content["kept_paths"].items()
        },
    )  # fmt: skip


def _variety(content: dict) -> Variety:
    return Variety(
        Count(int(content["successes"]), len(content["layouts"])),
        float(content["weight_distance"]),
        float(content["action_disagreement"]),
        _metres(content["paths"]),
    )


def _latents(content: dict) -> Latents:
    tasks = content["tasks"]
    return Latents(
        str(content["run"]),
        int(content["seed"]),
        float(sum(content["explained_variance"])),
        {task: (_points(found["encoded"]), _points(found["sampled"])) for task, found in tasks.items()},
        {task: float(found["nearest_encoded_is_of_the_task"]) for task, found in tasks.items()},
        {
            task: (_variety(found["one_layout"]), _variety(found["many_layouts"]))
            for task, found in content["diversity"].items()
        },
    )


READERS: dict[str, Callable[[dict], Reconstruction | Latents]] = {
    "reconstruction": _reconstruction,
    "latents": _latents,
}


def read_study(kind: str, path: Path, content: dict) -> Reconstruction | Latents:
    """The content of a file whose name begins with `kind`; ReportError where it is not what `lwd study KIND` writes."""
    expected = f"expected what 'lwd study {kind}' writes"
    if content.get("study") != kind:
        raise ReportError(f"{path}: key 'study': found {content.get('study')!r}, {expected}")
    try:
        return READERS[kind](content)
    except KeyError as error:
        raise ReportError(f"{path}: found no key {error}, {expected}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{path}: found a value of another kind ({error}), {expected}") from error


_PLACES = [f"{set_}_{goal}" for set_ in SETS for goal in GOALS]


def _order(study: Reconstruction | Latents) -> tuple:
    """The document's order of sets and goals where the run's name tells them, then the name."""
    place = next((place for place, name in enumerate(_PLACES) if name in study.run), len(_PLACES))
    return place, study.run, study.seed


def by_run(studies: tuple) -> dict[str, list]:
    """Studies of each run, by seed."""
    found: dict[str, list] = {}
    for study in sorted(studies, key=_order):
        found.setdefault(study.run, []).append(study)
    return found

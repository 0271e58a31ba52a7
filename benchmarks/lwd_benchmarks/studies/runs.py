"""What studies of a run folder share: opening it, saying what was studied, which tasks stand for the others."""

from collections.abc import Sequence
from pathlib import Path

from lwd_ros import __version__
from lwd_ros.evaluation.evaluate import require_unseen
from lwd_ros.generator import ModelError
from lwd_ros.learning.codec import run_digest
from lwd_ros.learning.train import TrainedRun, load

_REPRESENTATIVE = ("pick-place-v3", "drawer-open-v3", "window-close-v3", "peg-insert-side-v3")


def open_run(
    folder: Path, tasks: Sequence[str], first_layout: int, episodes: int
) -> tuple[TrainedRun, tuple[str, ...]]:
    """A finished run, and the tasks to study: those named, or all of its own where none is.

    Raises:
        ModelError: the run does not know a task, or the layouts from `first_layout` on were trained on.
        ConfigError: the folder holds no run.
        DatasetError: the run is not finished, and its demonstrations are gone.
    """
    require_unseen(first_layout, episodes)
    run = load(folder)
    for task in tasks:
        if task not in run.data.tasks:
            raise ModelError(f"task '{task}' is unknown to {folder}; it knows {', '.join(run.data.tasks)}")
    return run, tuple(tasks) or run.data.tasks


def describe_run(run: TrainedRun, study: str, **protocol) -> dict:
    """The head of a study's JSON."""
    return {
        "study": study,
        "run": run.config.name,
        "seed": run.config.seed,
        "run_digest": run_digest(run),
        "data_digest": run.data.digest,
        "lwd_ros": __version__,
        "policy_parameters": run.autoencoder.layout.parameters,
        "protocol": protocol,
    }


def representative(tasks: Sequence[str], count: int = 4) -> tuple[str, ...]:
    """Up to `count` of `tasks` whose paths are worth keeping: different motions first, then whatever comes first."""
    chosen = [task for task in _REPRESENTATIVE if task in tasks]
    return tuple([*chosen, *(task for task in tasks if task not in chosen)][:count])

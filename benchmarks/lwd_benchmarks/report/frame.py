"""Episodes of results as one tidy frame, and what is pooled from it."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from lwd_benchmarks.report import ReportError
from lwd_benchmarks.results import Count, Protocol
from lwd_benchmarks.statistics import Pooled

COLUMNS = ("method", "set", "goal", "seed", "task", "layout", "success")
"""What every frame of episodes has; the layout is missing where a result does not say on which ones a task failed."""


_UNKNOWN = -1


def episodes(tasks: Mapping[str, Count], protocol: Protocol, seeds: int = 1, **labels) -> pd.DataFrame:
    """One row per episode of a result.

    Args:
        tasks: their counts.
        protocol: says each task's first layout.
        seeds: training seeds that the counts pool; which of them failed on a layout they do not say.
        labels: further columns, alike for all rows: method, set, goal, and what else the result states.
    """
    columns: dict[str, list[np.ndarray]] = {"seed": [], "task": [], "layout": [], "success": []}
    for task, count in tasks.items():
        number, first = count.episodes // seeds, protocol.first(task)
        if (
            count.failed_layouts
            and not first <= min(count.failed_layouts) <= max(count.failed_layouts) < first + number
        ):
            raise ReportError(f"task '{task}': found failed layouts that are none of {first} to {first + number - 1}")
        layouts, seed = np.tile(np.arange(first, first + number), seeds), np.repeat(np.arange(seeds), number)
        if count.failed_layouts is None:
            success, layouts = np.arange(count.episodes) < count.successes, np.full(count.episodes, _UNKNOWN)
        else:
            failed = np.bincount(np.array(count.failed_layouts, int) - first, minlength=number)
            success = seed >= np.tile(failed, seeds)
        found = seed, np.full(count.episodes, task, object), layouts, success
        for column, values in zip(columns.values(), found, strict=True):
            column.append(values)
    frame = pd.DataFrame({name: np.concatenate(values) for name, values in columns.items()})
    frame["layout"] = frame["layout"].astype("Int64").mask(frame["layout"] == _UNKNOWN)
    return frame.assign(**labels)


def joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Frames of results one below the other."""
    found = list(frames)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def pooled(frame: pd.DataFrame) -> Pooled:
    """All rows together. Seeds share layouts, so there are as many as one seed has episodes."""
    return Pooled(int(frame["success"].sum()), len(frame), len(frame) // frame["seed"].nunique())


def pooled_by(frame: pd.DataFrame, key: str) -> dict:
    """The rows of each value of a column, in its order."""
    return {value: pooled(rows) for value, rows in frame.groupby(key, sort=False)}


def shares(frame: pd.DataFrame, key: str, names: list) -> list[np.ndarray]:
    """By task, the share of training seeds that succeeded: float64 [names, layouts], of the rows named so in a column.

    All must have met the same layouts.
    """
    chosen = frame[frame[key].isin(names)]
    return [
        rows.pivot_table(index=key, columns="layout", values="success", aggfunc="mean").loc[names].to_numpy(float)
        for _, rows in chosen.groupby("task", sort=False)
    ]

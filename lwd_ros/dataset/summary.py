"""What a dataset holds, in numbers."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lwd_ros.contract.contract import CommandScalar, ObservationScalar
from lwd_ros.dataset.demonstrations import Demonstrations

_TOLERANCE = 1e-6  # of the limits' span: what a float32 rounds
_PLACE = re.compile(r"(#| episode |:? ?\d[\d.]* ?(s|to)\b).*")  # of a source: which part of the file it is


def summary(data: Demonstrations) -> dict:
    """Tasks, lengths, ranges against the contract's limits, and sources of a dataset, as plain data.

    Returns:
        A mapping with contract, period_s, digest, tasks (episodes, frames, seconds, shortest_s, longest_s by task),
        ranges (kind, name, unit, range, limits, share outside), made_by, sources with their numbers of episodes, and
        ways with theirs, of each task whose ways are told apart.
    """
    period = data.contract.period_s
    settings = data.meta.get("settings")
    episodes = [each for rows in data.episodes.values() for each in rows]
    files = Counter(_PLACE.sub("", each.source) for each in episodes if each.source)
    return {
        "contract": data.contract.name,
        "period_s": period,
        "digest": data.digest,
        "tasks": {task: _lengths([len(each.action) for each in rows], period) for task, rows in data.episodes.items()},
        "ranges": _ranges(data),
        "made_by": str(settings.get("made_by", "lwd collect")) if isinstance(settings, dict) else "unknown",
        "sources": dict(files),
        "ways": {
            task: dict(sorted(Counter(each.way for each in rows).items()))
            for task, rows in data.episodes.items()
            if any(each.way for each in rows)
        },
    }


def _lengths(frames: list[int], period: float) -> dict:
    return {
        "episodes": len(frames),
        "frames": sum(frames),
        "seconds": round(sum(frames) * period, 3),
        "shortest_s": round(min(frames) * period, 3),
        "longest_s": round(max(frames) * period, 3),
    }


def _ranges(data: Demonstrations) -> list[dict]:
    rows = []
    sides: tuple[tuple[str, str, Sequence[ObservationScalar | CommandScalar]], ...] = (
        ("observation", "observation", data.contract.observation),
        ("command", "action", data.contract.command),
    )
    for kind, key, scalars in sides:
        values = np.concatenate([getattr(each, key) for rows in data.episodes.values() for each in rows])
        for place, scalar in enumerate(scalars):
            column = values[:, place]
            slack = _TOLERANCE * (scalar.maximum - scalar.minimum)
            outside = (column < scalar.minimum - slack) | (column > scalar.maximum + slack)
            rows.append(
                {
                    "kind": kind,
                    "name": scalar.name,
                    "unit": scalar.unit,
                    "range": [float(column.min()), float(column.max())],
                    "limits": [scalar.minimum, scalar.maximum],
                    "outside": round(float(outside.mean()), 6),
                }
            )
    return rows

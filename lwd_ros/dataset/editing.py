"""Making datasets of datasets: merged, split, without some episodes. Nothing is changed in place."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lwd_ros.dataset.demonstrations import DatasetError, Demonstrations, Episode
from lwd_ros.dataset.picking import picked
from lwd_ros.dataset.writing import require_room, write_dataset

_SHOWN = 8


def merge(parts: Sequence[Demonstrations], out: Path) -> dict:
    """All episodes of several datasets of one contract in a new one, and its `meta.json`.

    Tasks and episodes keep the order in which they come; those of one task are put together.

    Raises:
        DatasetError: the contracts differ, which names what differs; one dataset says which way a task's demonstrations
            went and another does not; or the folder holds something.
    """
    if len(parts) < 2:
        raise DatasetError(f"found {len(parts)} dataset to merge, expected two at least")
    first = parts[0]
    for part in parts[1:]:
        if part.contract.digest != first.contract.digest:
            keys = first.contract.differences(part.contract)
            more = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            raise DatasetError(
                f"{part.folder}: found another contract than {first.folder} has, in {', '.join(keys[:_SHOWN])}"
                f"{more}; expected datasets of one contract"
            )
    twice = next((part for at, part in enumerate(parts) if part.digest in {each.digest for each in parts[:at]}), None)
    if twice is not None:
        raise DatasetError(f"{twice.folder}: found the same demonstrations twice, expected each dataset once")
    _require_ways(parts)
    episodes: dict[str, list[Episode]] = {}
    for part in parts:
        for task, rows in part.episodes.items():
            episodes.setdefault(task, []).extend(rows)
    settings = {
        "made_by": "lwd data merge",
        "of": [{"digest": part.digest, "settings": part.meta.get("settings")} for part in parts],
        **_texts(part.meta for part in parts),
    }
    return write_dataset(out, first.contract, episodes, settings)


def _require_ways(parts: Sequence[Demonstrations]) -> None:
    """Raise DatasetError where one dataset tells the ways of a task apart and another does not."""
    for task in dict.fromkeys(task for part in parts for task in part.tasks):
        having = [part for part in parts if task in part.episodes]
        told = [part for part in having if any(episode.way for episode in part.episodes[task])]
        if told and len(told) < len(having):
            without = next(part for part in having if part not in told)
            raise DatasetError(
                f"{without.folder}: task '{task}': found no ways, which {told[0].folder} has, expected them in both or "
                "in none"
            )


def split(
    data: Demonstrations, outs: tuple[Path, Path], seed: int = 0, *, share: float = 0.0, count: int = 0
) -> tuple[dict, dict]:
    """Each task's episodes in two new datasets, drawn at random, and their `meta.json`.

    Args:
        data: what is split.
        outs: two folders.
        seed: of the draw; each task has its own.
        share: of each task's episodes in the first, rounded, at least one in each.
        count: instead, how many of each task in the first.

    Raises:
        DatasetError: a task has too few episodes, or a folder holds something.
    """
    for out in outs:
        require_room(out)
    if outs[0].resolve() == outs[1].resolve():
        raise DatasetError(f"{outs[0]}: found one folder for both parts, expected two")
    parts: tuple[dict[str, list[Episode]], dict[str, list[Episode]]] = ({}, {})
    for place, (task, rows) in enumerate(data.episodes.items()):
        if len(rows) < 2 or count >= len(rows):
            needed = f"more than {count}" if count else "two at least"
            raise DatasetError(
                f"{data.folder}: task '{task}' has {len(rows)} episodes, expected {needed} to split them"
            )
        first = count or min(max(round(share * len(rows)), 1), len(rows) - 1)
        drawn = set(np.random.default_rng([seed, place]).permutation(len(rows))[:first].tolist())
        parts[0][task] = [each for number, each in enumerate(rows) if number in drawn]
        parts[1][task] = [each for number, each in enumerate(rows) if number not in drawn]
    how = {"seed": seed, **({"count": count} if count else {"share": share})}
    metas = []
    try:
        for part, out in enumerate(outs):
            metas.append(
                write_dataset(out, data.contract, parts[part], _settings("split", data, {**how, "part": part}))
            )
    except BaseException:
        if metas:  # both or none
            _remove(outs[0], data.tasks)
        raise
    return metas[0], metas[1]


def drop(data: Demonstrations, out: Path, task: str, episodes: str) -> dict:
    """All but some episodes of a task in a new dataset, and its `meta.json`.

    Args:
        data: what the episodes are left out of; it stays as it is.
        out: a new folder.
        task: whose episodes; '' where there is one task.
        episodes: numbers and ranges, as "3,7" or "0:5".

    Raises:
        DatasetError: there is no such task or episode, nothing would be left, or the folder holds something.
    """
    if not task and len(data.tasks) > 1:
        raise DatasetError(f"{data.folder}: found several tasks, expected --task with one of: {', '.join(data.tasks)}")
    name = task or data.tasks[0]
    if name not in data.tasks:
        raise DatasetError(f"{data.folder}: found no task '{name}', expected one of: {', '.join(data.tasks)}")
    rows = data.episodes[name]
    gone = picked(episodes, range(len(rows)), f"{data.folder}: task '{name}': --episodes")
    kept = {**data.episodes, name: [each for number, each in enumerate(rows) if number not in gone]}
    if not kept[name]:
        if len(kept) == 1:
            raise DatasetError(f"{data.folder}: task '{name}': found no episode left, expected at least one")
        del kept[name]
    return write_dataset(out, data.contract, kept, _settings("drop", data, {"task": name, "episodes": sorted(gone)}))


def _settings(command: str, data: Demonstrations, how: dict) -> dict:
    return {
        "made_by": f"lwd data {command}",
        **how,
        "of": [{"digest": data.digest, "settings": data.meta.get("settings")}],
        **_texts([data.meta]),
    }


def _texts(metas) -> dict:
    """The tasks' texts that came with a LeRobot dataset, so that they go out with one again."""
    texts: dict[str, str] = {}
    for meta in metas:
        settings = meta.get("settings")
        found = settings.get("task_texts") if isinstance(settings, Mapping) else None
        texts |= found if isinstance(found, dict) else {}
    return {"task_texts": texts} if texts else {}


def _remove(folder: Path, tasks: Sequence[str]) -> None:
    """Take away a dataset that was written a moment ago, file by file: nothing else may lie there."""
    from lwd_ros.dataset.demonstrations import META, TaskFile

    for path in (folder / META, *(TaskFile.of(folder, task).path for task in tasks)):
        path.unlink(missing_ok=True)
    folder.rmdir()

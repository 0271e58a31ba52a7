"""The rows of a LeRobot dataset, episode by episode, each checked against what the metadata say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.folder import LeRobotFolder, Recorded

TOLERANCE_S = 1e-4
"""How far a timestamp may be from its place by default, as lerobot has it."""

_PLACES = ("episode_index", "frame_index", "index", "timestamp", "task_index")


@dataclass(frozen=True)
class Frames:
    """One episode's rows: `vectors` by feature, float64 [T, size]; the tasks' numbers that its frames have."""

    episode: Recorded
    where: str
    vectors: dict[str, np.ndarray]
    tasks: tuple[int, ...]


def frames(
    folder: LeRobotFolder, episodes: Sequence[Recorded], features: Sequence[str], tolerance_s: float = TOLERANCE_S
) -> Iterator[Frames]:
    """The rows of some episodes, in order; every file is read once.

    Raises:
        LeRobotError: a file is missing or broken, or rows, indices, timestamps and metadata disagree; names the
            episode, the frame, and both numbers.
    """
    by_file: dict[Path, list[Recorded]] = {}
    for episode in episodes:
        by_file.setdefault(episode.file, []).append(episode)
    _require_files(folder, by_file)
    for path, members in by_file.items():
        table = folder.table(path, [*features, *_PLACES])
        for key in features:
            if key not in table.column_names:
                raise LeRobotError(f"{path}: found no column '{key}', expected it as meta/info.json says")
        numbers = _places(table, "episode_index", path)
        if numbers is None:
            raise LeRobotError(f"{path}: found no column 'episode_index', expected it")
        told = [episode.number for episode in folder.episodes if episode.file == path]
        strange = np.flatnonzero(~np.isin(numbers, told))
        if strange.size:
            raise LeRobotError(
                f"{path}: row {strange[0]} has episode_index {numbers[strange[0]]}, expected one of those that the "
                f"metadata have in this file: {_span(told)}"
            )
        for episode in members:
            yield _episode(folder, table, numbers, episode, features, tolerance_s)


def _require_files(folder: LeRobotFolder, by_file: dict[Path, list[Recorded]]) -> None:
    missing = {path: members for path, members in by_file.items() if not path.exists()}
    if not missing:
        return
    first = next(iter(missing))
    absent = sum(map(len, missing.values()))
    total = sum(map(len, by_file.values()))
    there = [each.number for path, members in by_file.items() if path not in missing for each in members]
    hint = f"; --episodes {_span(there)} takes those that are here" if there else ""
    raise LeRobotError(
        f"{first}: missing; the metadata have {total} episodes, and files of {total - absent} are here{hint}"
    )


def _episode(
    folder: LeRobotFolder,
    table: pa.Table,
    numbers: np.ndarray,
    episode: Recorded,
    features: Sequence[str],
    tolerance_s: float,
) -> Frames:
    where = f"{folder.name(episode.file)}, episode {episode.number}"
    rows = np.flatnonzero(numbers == episode.number)
    if not len(rows):
        raise LeRobotError(f"{where}: found no frame, expected {episode.length} as the metadata say")
    if rows[-1] - rows[0] + 1 != len(rows):
        gap = rows[np.flatnonzero(np.diff(rows) != 1)[0]] + 1
        raise LeRobotError(
            f"{where}: row {gap} of the file belongs to episode {numbers[gap]}, expected one after the other"
        )
    part = table.slice(rows[0], len(rows))
    path = episode.file
    _check_frames(_places(part, "frame_index", path), where)
    _check_timestamps(part, where, folder.fps, tolerance_s, path)
    if len(rows) != episode.length:
        raise LeRobotError(f"{where}: found {len(rows)} frames, expected {episode.length} as the metadata say")
    _check_index(_places(part, "index", path), episode, where)
    vectors = {key: _matrix(part, key, len(folder.features[key].names), where) for key in features}
    tasks = _places(part, "task_index", path)
    return Frames(episode, where, vectors, () if tasks is None else tuple(int(each) for each in np.unique(tasks)))


def _check_frames(found: np.ndarray | None, where: str) -> None:
    if found is None:
        return
    wrong = np.flatnonzero(found != np.arange(len(found)))
    if wrong.size:
        place = wrong[0]
        inside = ": a new episode begins inside this one" if found[place] == 0 else ""
        raise LeRobotError(f"{where}, frame {place}: found frame_index {found[place]}, expected {place}{inside}")


def _check_timestamps(part: pa.Table, where: str, fps: float, tolerance_s: float, path: Path) -> None:
    if "timestamp" not in part.column_names:
        return
    times = _column(part, "timestamp", path)
    tolerance = tolerance_s
    if part.schema.field("timestamp").type == pa.float32():  # what a float32 can tell apart, and no more
        tolerance += 2 * float(np.spacing(np.float32(np.abs(times).max())))
    off = np.flatnonzero(np.abs(np.diff(times) - 1 / fps) > tolerance)
    if off.size:
        place = off[0] + 1
        found = 1000 * (times[place] - times[place - 1])
        raise LeRobotError(
            f"{where}, frame {place}: found the timestamp {times[place]:.6g} s, {found:.4g} "
            f"ms after the frame before, expected {1000 / fps:.4g} ms (fps {fps:g}) within {1000 * tolerance_s:g} ms; "
            f"{len(off)} such frames; --tolerance allows more"
        )


def _check_index(index: np.ndarray | None, episode: Recorded, where: str) -> None:
    if episode.begin is None or episode.end is None:
        return
    if episode.end - episode.begin != episode.length:
        raise LeRobotError(
            f"{where}: the metadata have rows {episode.begin} to {episode.end}, which are "
            f"{episode.end - episode.begin}, expected {episode.length} as their length"
        )
    if index is not None and (index[0] != episode.begin or index[-1] + 1 != episode.end):
        raise LeRobotError(
            f"{where}: found rows of index {index[0]} to {index[-1] + 1}, expected {episode.begin} to "
            f"{episode.end} as the metadata say"
        )


def _column(table: pa.Table, name: str, path: Path) -> np.ndarray:
    """float64 [rows] of a column of numbers, also where each stands in a list of one."""
    column = table[name].combine_chunks()
    while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    if column.null_count or len(column) != len(table) or not _is_number(column.type):
        raise LeRobotError(
            f"{path}: column '{name}': found {table[name].type} with {column.null_count} nulls, expected a number in "
            "every row"
        )
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def _places(table: pa.Table, name: str, path: Path) -> np.ndarray | None:
    """int64 [rows] of a column of whole numbers; None where there is none."""
    if name not in table.column_names:
        return None
    values = _column(table, name, path)
    whole = np.abs(values) < 2**53
    whole[whole] = values[whole] == np.rint(values[whole])
    if not whole.all():
        row = np.flatnonzero(~whole)[0]
        raise LeRobotError(f"{path}: column '{name}', row {row}: found {values[row]:g}, expected a whole number")
    return values.astype(np.int64)


def _matrix(part: pa.Table, key: str, size: int, where: str) -> np.ndarray:
    """float64 [rows, size] of a column of vectors; a vector of one may be a plain number."""
    column = part[key].combine_chunks()
    rows = len(column)
    nulls = column.null_count
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False)) if not nulls else np.array([size])
        if pa.types.is_list(column.type) and lengths.tolist() != [size]:
            raise LeRobotError(f"{where}: '{key}': found vectors of {lengths.tolist()} numbers, expected {size}")
        column = column.flatten()
    nulls += column.null_count
    if nulls or not _is_number(column.type) or len(column) != rows * size:
        raise LeRobotError(
            f"{where}: '{key}': found {part[key].type} with {nulls} nulls, expected {size} numbers in every row"
        )
    values = column.to_numpy(zero_copy_only=False).astype(np.float64).reshape(rows, size)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise LeRobotError(f"{where}, frame {bad[0][0]}: '{key}': found {values[tuple(bad[0])]} in place {bad[0][1]}, "
                           "expected finite numbers")  # fmt: skip
    return values


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _span(numbers: Sequence[int]) -> str:
    """Numbers as ranges with the end left out, as --episodes reads them: "0:5,7"."""
    parts: list[str] = []
    begin = last = None
    for number in [*sorted(numbers), None]:
        if begin is not None and last is not None and number != last + 1:
            parts.append(f"{begin}:{last + 1}" if last > begin else str(begin))
            begin = number
        elif begin is None:
            begin = number
        last = number
    return ",".join(parts[:8]) + (f", and {len(parts) - 8} more" if len(parts) > 8 else "")

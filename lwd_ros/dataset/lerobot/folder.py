"""What a folder says about itself: version, features, tasks, and which rows of which file are which episode."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.features import Feature, features_of
from lwd_ros.reading import read_json

INFO = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_FIELD = re.compile(r"\{([^{}:]*)(:[0-9]{0,2}d)?\}")
_PLACES = ("episode_chunk", "episode_index", "chunk_index", "file_index")
_LARGEST = 2**53  # whole numbers that a float64 tells apart
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Recorded:
    """Where one episode is: its number, tasks, file, and the rows that it has among all of the dataset.

    `length` is what the metadata say; `begin` and `end` are rows of the whole dataset, None before v3.0. `extra` holds
    what `lwd export-lerobot` added: layout, after, source.
    """

    number: int
    length: int
    tasks: tuple[str, ...]
    file: Path
    begin: int | None = None
    end: int | None = None
    extra: dict = field(default_factory=dict)


class LeRobotFolder:
    """A folder of a LeRobot dataset: `version`, `fps`, `features`, `tasks`, `episodes`; files are read when asked for.

    `notes` are sentences on what is odd but harmless.
    """

    def __init__(self, folder: str | Path):
        """Read the metadata.

        Raises:
            LeRobotError: there is no such folder, its version is unknown, or its metadata are broken.
        """
        self.folder = Path(folder)
        self.notes: list[str] = []
        self.info = self._info(str(folder))
        self.version = str(self.info.get("codebase_version"))
        if self.version not in VERSIONS:
            known = ", ".join(VERSIONS)
            raise LeRobotError(
                f"{self._at(INFO)}: found the version {self.info.get('codebase_version')!r}, expected one of {known}; "
                "lerobot converts older ones"
            )
        self.fps = self._number("fps")
        if self.fps <= 0:
            raise LeRobotError(f"{self._at(INFO)}: key 'fps': found {self.fps:g}, expected a rate above 0")
        self.features: dict[str, Feature] = features_of(self.info.get("features"), self._at(INFO))

    @cached_property
    def tasks(self) -> dict[int, str]:
        """The tasks' texts by number; raises LeRobotError for a broken file."""
        if self.version == "v3.0":
            rows = self.table(self.folder / "meta/tasks.parquet").to_pylist()
            texts = ("task", "__index_level_0__")
        else:
            rows, texts = self._lines("meta/tasks.jsonl"), ("task", "task")
        tasks: dict[int, str] = {}
        for row in rows:
            number, text = row.get("task_index"), next((row[key] for key in texts if key in row), None)
            if not isinstance(number, int) or not isinstance(text, str):
                raise LeRobotError(f"{self._at('meta')}: found the task {row!r}, expected 'task_index' and 'task'")
            tasks[number] = text
        return tasks

    @cached_property
    def episodes(self) -> tuple[Recorded, ...]:
        """All episodes by number, as the metadata have them; raises LeRobotError for a broken file."""
        found = tuple(self._episodes_v3() if self.version == "v3.0" else self._episodes_v2())
        told = int(self._number("total_episodes", len(found)))
        if not found:
            raise LeRobotError(f"{self._at('meta')}: found no episode, expected at least one")
        if told != len(found):
            raise LeRobotError(
                f"{self._at(INFO)}: found total_episodes {told}, expected {len(found)} as the episodes' metadata have"
            )
        return found

    def table(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """A Parquet file, or some columns of it; raises LeRobotError where it is missing or broken."""
        try:
            if path.exists() and path.stat().st_size < 1000 and path.read_bytes().startswith(_POINTER):
                raise LeRobotError(f"{path}: found a pointer of Git LFS, expected the file itself: 'git lfs pull'")
            file = pq.ParquetFile(path)
            known = file.schema_arrow.names
            return file.read(columns=None if columns is None else [each for each in columns if each in known])
        except FileNotFoundError as error:
            raise LeRobotError(f"{path}: missing; expected a file of a LeRobot dataset {self.version}") from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise LeRobotError(f"{path}: cannot be read as Parquet: {' '.join(str(error).split())}") from error

    def name(self, path: Path) -> str:
        """A file's name for sentences and sources: from the dataset's folder on."""
        return f"{self.folder.resolve().name}/{path.relative_to(self.folder).as_posix()}"

    def _info(self, given: str) -> dict:
        if not self.folder.is_dir():
            hint = ""
            if _REPOSITORY.fullmatch(given):
                hint = (
                    f"; it looks like a name on the hub: 'hf download {given} --repo-type dataset --local-dir FOLDER' "
                    "brings it here"
                )
            raise LeRobotError(f"{given}: found no such folder, expected a LeRobot dataset on this machine{hint}")
        if not (self.folder / INFO).exists():
            below = sorted(path.parents[1] for path in self.folder.glob("**/meta/info.json"))[:3]
            hint = f"; did you mean {', '.join(map(str, below))}?" if below else ""
            raise LeRobotError(f"{self._at(INFO)}: missing; expected a LeRobot dataset{hint}")
        info = read_json(self.folder / INFO, "the description of a LeRobot dataset", LeRobotError)
        if not isinstance(info, dict):
            raise LeRobotError(f"{self._at(INFO)}: found {type(info).__name__}, expected a mapping")
        return info

    def _episodes_v2(self) -> Iterator[Recorded]:
        chunk = int(self._number("chunks_size", 1000)) or 1
        default = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        for place, row in enumerate(self._lines("meta/episodes.jsonl")):
            number, length = self._whole(row, "episode_index", place), self._whole(row, "length", place)
            file = self._file(default, number, episode_index=number, episode_chunk=number // chunk)
            yield Recorded(number, length, _texts(row.get("tasks")), file)

    def _episodes_v3(self) -> Iterator[Recorded]:
        default = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        files = sorted(self.folder.glob("meta/episodes/*/*.parquet"))
        if not files:
            raise LeRobotError(f"{self._at('meta/episodes')}: found no Parquet file, expected the episodes' metadata")
        for path in files:
            names = [each for each in self._schema(path) if not each.startswith("stats/")]
            for place, row in enumerate(self.table(path, names).to_pylist()):
                number = self._whole(row, "episode_index", place)
                chunk, index = (self._whole(row, f"data/{key}_index", place) for key in ("chunk", "file"))
                begin, end = (self._whole(row, f"dataset_{key}_index", place) for key in ("from", "to"))
                extra = {key.removeprefix("lwd_ros/"): row[key] for key in row if key.startswith("lwd_ros/")}
                file = self._file(default, number, chunk_index=chunk, file_index=index)
                length = self._whole(row, "length", place)
                yield Recorded(number, length, _texts(row.get("tasks")), file, begin, end, extra)

    def _file(self, default: str, number: int, **places: int) -> Path:
        """Where an episode's rows are: as info.json says, or, before v3.0, where a file of its name lies."""
        pattern = self.info.get("data_path") or default
        fields = _FIELD.findall(pattern) if isinstance(pattern, str) else []
        plain = isinstance(pattern, str) and not re.search(r"[{}]", _FIELD.sub("", pattern))
        if not plain or any(name not in _PLACES or name not in places for name, _ in fields):
            expected = ", ".join(f"{{{each}}}" for each in places)
            raise LeRobotError(f"{self._at(INFO)}: key 'data_path': found {pattern!r}, expected a path with {expected}")
        path = self.folder / pattern.format(**places)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise LeRobotError(f"{self._at(INFO)}: key 'data_path': found {pattern!r}, expected a path in the folder")
        if path.exists() or self.version == "v3.0":
            return path
        elsewhere = sorted(self.folder.glob(f"data/**/episode_{number:06d}.parquet"))
        if len(elsewhere) == 1:
            self.notes.append(f"episode {number}: {self.name(path)} is missing, {self.name(elsewhere[0])} was taken")
            return elsewhere[0]
        return path

    def _schema(self, path: Path) -> list[str]:
        try:
            return pq.read_schema(path).names
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise LeRobotError(f"{path}: cannot be read as Parquet: {' '.join(str(error).split())}") from error

    def _lines(self, name: str) -> list[dict]:
        """The mappings in a file of JSON lines."""
        import json

        path = self.folder / name
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError as error:
            raise LeRobotError(f"{path}: missing; expected a file of a LeRobot dataset {self.version}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise LeRobotError(f"{path}: cannot be read: {error}") from error
        rows = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise LeRobotError(f"{path}: line {number} is not JSON ({error})") from error
            if not isinstance(row, dict):
                raise LeRobotError(f"{path}: line {number}: found {row!r}, expected a mapping")
            rows.append(row)
        return rows

    def _whole(self, row: dict, key: str, place: int) -> int:
        value = row.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
            raise LeRobotError(
                f"{self._at('meta')}: episode in row {place}: key '{key}': found {value!r}, expected a whole number"
            )
        return value

    def _number(self, key: str, default: float | None = None) -> float:
        value: Any = self.info.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LARGEST:
            raise LeRobotError(f"{self._at(INFO)}: key '{key}': found {value!r}, expected a finite number")
        return float(value)

    def _at(self, name: str) -> str:
        return str(self.folder / name)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

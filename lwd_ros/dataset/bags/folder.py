"""Which files a recording consists of: folders of rosbag2 with and without metadata.yaml, single files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lwd_ros.dataset.bags import mcap_file, ros1_file, sqlite_file
from lwd_ros.dataset.bags.qos import from_profiles, offered
from lwd_ros.dataset.bags.records import BagError, Channel
from lwd_ros.errors import LwdError
from lwd_ros.reading import read_yaml

METADATA = "metadata.yaml"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_MAGICS = {
    mcap_file.MAGIC: "MCAP",
    sqlite_file.MAGIC: "SQLite3",
    ros1_file.MAGIC: "ROS 1",
    ZSTD_MAGIC: "zstd",
}
_ENDINGS = (".mcap", ".db3", ".bag", ".zstd", ".zst")
_NUMBERED = re.compile(r"(.*?)_?(\d+)?((?:\.[A-Za-z0-9]+)+)")


@dataclass(frozen=True)
class Metadata:
    """What a metadata.yaml says, as far as it can be read.

    `files` are the names it lists; `counts` messages by topic; `channels` its topics by name; `end_ns` the end of the
    recording; `problems` sentences on itself.
    """

    path: Path
    files: tuple[str, ...] = ()
    count: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    end_ns: int | None = None
    distribution: str = ""
    problems: tuple[str, ...] = ()


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: "MCAP", "SQLite3", "ROS 1", "zstd" or ""; raises BagError if unreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as cause:
        raise BagError(f"{path}: cannot be read ({cause.strerror}); expected a recording") from cause
    return next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "")


def files_of(path: Path) -> tuple[list[Path], Metadata | None, list[str]]:
    """The files of a recording at a path, its metadata where there are any, and sentences on what does not fit.

    Raises:
        BagError: there is nothing, or no recording, or several.
    """
    if not path.exists():
        near = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        from lwd_ros.contract.picking import closest

        raise BagError(f"{path}: found nothing there, expected a recording{closest(path.name, near)}")
    if path.is_file():
        if path.name == METADATA:
            return files_of(path.parent)
        if not kind_of(path):
            raise BagError(_no_recording(path))
        beside = path.with_name(METADATA)
        metadata = _metadata(beside) if beside.is_file() else None
        if metadata is None or metadata.files != (path.name,):  # one of several, or of none of them
            metadata = None
        return [path], metadata, list(metadata.problems) if metadata else []
    return _in_folder(path)


def _no_recording(path: Path) -> str:
    size = path.stat().st_size
    found = f"{size} bytes that are no recording" if size else "an empty file (0 bytes)"
    return f"{path}: found {found}, expected MCAP, SQLite3 or a ROS 1 bag, also zstd-compressed"


def _in_folder(path: Path) -> tuple[list[Path], Metadata | None, list[str]]:
    metadata = _metadata(path / METADATA) if (path / METADATA).is_file() else None
    problems = list(metadata.problems) if metadata else []
    ours = [each for each in path.iterdir() if each.is_file() and each.name.endswith(_ENDINGS)]
    there = sorted((each for each in ours if kind_of(each)), key=_order)
    empty = [each.name for each in ours if not kind_of(each) and each.name.endswith(_ENDINGS)]
    listed = [path / name for name in metadata.files] if metadata else []
    present = [each for each in listed if each in there]
    absent = [each.name for each in listed if each not in there and each.name not in empty]
    if empty:
        problems += [_no_recording(path / name) for name in sorted(empty)]
    others = [each for each in there if each not in listed]
    if present:
        continued = [each for each in others if _series(each) in {_series(known) for known in present}]
        if absent:
            problems.append(f"{path}: {METADATA} names {', '.join(absent)}, which is not there; the others are read")
        for each in continued:
            problems.append(f"{each}: {METADATA} does not list it, as after a killed recorder; it is read as well")
        for each in others:
            if each not in continued:
                problems.append(f"{each}: {METADATA} does not list it; it is not read")
        return sorted([*present, *continued], key=lambda each: (each not in present, _order(each))), metadata, problems
    if not there:
        if metadata and metadata.count == 0 and not listed and not empty:
            raise BagError(
                f"{path}: found a recording without an episode, expected at least one; record one, or --append"
            )
        inside = sorted(each.name for each in path.iterdir() if each.is_dir())
        found = f"the folders {', '.join(inside[:5])}" if inside else "no storage file"
        found = f"{', '.join(absent)} missing" if absent else f"only {', '.join(empty)}" if empty else found
        raise BagError(f"{path}: found {found}, expected the files of one recording (.mcap, .db3, .bag)")
    kinds = sorted({_ending(each) for each in there})
    if len(kinds) > 1:
        names = ", ".join(each.name for each in there[:5])
        raise BagError(f"{path}: found {names}, expected files of one kind; name those to read")
    if absent:
        names = ", ".join(each.name for each in there)
        problems.append(f"{path}: {METADATA} names {', '.join(absent)}, which is not there; read instead: {names}")
    return there, metadata, problems


def _ending(path: Path) -> str:
    return ".".join(part for part in path.name.split(".")[1:] if part not in ("zstd", "zst")) or kind_of(path)


def _order(path: Path) -> tuple:
    """A key that sorts bag_2 before bag_10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name))


def _series(path: Path) -> tuple[str, str]:
    """What the files of one split recording have in common: bag_0.mcap and bag_12.mcap are of ("bag", ".mcap")."""
    parts = _NUMBERED.fullmatch(path.name)
    return (parts[1], parts[3]) if parts else (path.name, "")


def _metadata(path: Path) -> Metadata:
    """Read a metadata.yaml; what is wrong with it is said, and what it says otherwise counts."""
    try:
        content = read_yaml(path, "the metadata of a rosbag2 recording")
        root = content["rosbag2_bagfile_information"]
        if not isinstance(root, dict):
            raise TypeError
    except LwdError as error:
        return Metadata(path, problems=(f"{error}; the recording is read without it",))
    except (KeyError, TypeError):
        found = f"{path}: found no 'rosbag2_bagfile_information', expected the metadata of a rosbag2 recording"
        return Metadata(path, problems=(f"{found}; the recording is read without it",))
    mode, form = str(root.get("compression_mode") or ""), str(root.get("compression_format") or "")
    if mode.lower() not in ("", "none") and form != "zstd":
        raise BagError(f"{path}: found the compression {form!r}, expected zstd; decompress it with 'ros2 bag convert'")
    counts, channels = {}, {}
    for entry in _mappings(root.get("topics_with_message_count")):
        topic, number = entry.get("topic_metadata"), entry.get("message_count")
        if not isinstance(topic, dict) or not isinstance(topic.get("name"), str):
            continue
        profiles = topic.get("offered_qos_profiles")
        qos, latched, publishers = offered(profiles) if isinstance(profiles, str) else from_profiles(profiles)
        name, kind = topic["name"], str(topic.get("type") or "")
        form = str(topic.get("serialization_format") or "cdr")
        channels[name] = Channel(name, kind, form, qos=qos, latched=latched, publishers=publishers)
        if isinstance(number, int):
            counts[name] = number
    start, length = _ns(root, "starting_time", "nanoseconds_since_epoch"), _ns(root, "duration", "nanoseconds")
    files = root.get("relative_file_paths")
    names = [str(name) for name in files] if isinstance(files, list) else []
    names = [name.rpartition("/")[2] for name in names]  # early versions put the folder in front
    count = root.get("message_count")
    return Metadata(
        path,
        tuple(dict.fromkeys(names)),
        count if isinstance(count, int) else None,
        counts,
        channels,
        start + length if start is not None and length is not None else None,
        str(root.get("ros_distro") or ""),
    )


def _mappings(value: object) -> Iterable[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _ns(root: dict, key: str, part: str) -> int | None:
    value = root.get(key)
    number = value.get(part) if isinstance(value, dict) else None
    return number if isinstance(number, int) else None

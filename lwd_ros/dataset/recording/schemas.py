"""Message definitions as rosbag2 writes them into MCAP files: a type's text, followed by those of the types inside it.

They are read from the `.msg` files that every message package installs. ROS need not be sourced for that, for they
stand beside the Python package.
"""

import functools
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lwd_ros.contract.definitions import NUMBERS, TEXTS, fields_of, parse_type
from lwd_ros.contract.errors import ContractError
from lwd_ros.dataset.recording.errors import RecordingError

_SEPARATOR = "\n" + "=" * 80 + "\n"
_PLAIN = {*NUMBERS, *TEXTS, "byte", "char"}


class Schema(NamedTuple):
    """A message type, its definition with all that it needs, its REP 2016 hash ("": unknown).

    Types are "pkg/msg/Name", or "pkg/srv/Name_Event" of a service's events.
    """

    name: str
    text: str
    type_hash: str


@functools.cache
def schema_of(message_type: str) -> Schema:
    """The schema of an installed message type; that of a service's events is the service's, as rosbag2 writes it.

    Raises:
        RecordingError: its package, or one that it needs, is not installed.
    """
    texts = {message_type: _text(message_type)}
    pending = [message_type]
    while pending:
        for nested in _nested(pending.pop(0), texts):
            if nested not in texts:
                texts[nested] = _text(nested)
                pending.append(nested)
    parts = [texts.pop(message_type)]
    parts += [f"MSG: {name.replace('/msg/', '/')}\n{text}" for name, text in texts.items()]
    return Schema(message_type, _SEPARATOR.join(parts), _hash(message_type))


def _nested(name: str, texts: dict[str, str]) -> Iterator[str]:
    """The message types that a definition names."""
    package = name.partition("/")[0]
    for line in texts[name].splitlines():
        words = line.partition("#")[0].split()
        if not words or words == ["---"]:  # of a service, between request and response
            continue
        base = words[0].partition("[")[0].partition("<")[0]
        if base in _PLAIN:
            continue
        if base == "Header":  # as message files of ROS 1 write it
            base = "std_msgs/Header"
        owner, _, last = base.replace("/msg/", "/").rpartition("/")
        yield f"{owner or package}/msg/{last}"


def _text(message_type: str) -> str:
    service = _service_of(message_type)
    path = _file(service, ".srv") if service else _file(message_type, ".msg")
    if path is not None:
        return path.read_text(encoding="utf-8")
    if service:
        raise RecordingError(f"found no definition of the service {service}, expected it installed, for its events")
    return _from_class(message_type)


def _service_of(message_type: str) -> str:
    """The service whose events have a type, "" where it is no such type."""
    return message_type.removesuffix("_Event") if is_event(message_type) else ""


def is_event(message_type: str) -> bool:
    """Whether a type is that of a service's events ("pkg/srv/Name_Event")."""
    return "/srv/" in message_type and message_type.endswith("_Event")


def _from_class(message_type: str) -> str:
    """A definition from the Python class, of a package that has no message files: fields without constants."""
    from lwd_ros.contract.definitions import class_of

    try:
        kind = class_of(message_type)
        fields = fields_of(kind)
    except ContractError as error:
        raise RecordingError(f"{error}, to write its definition into the recording") from error
    parsed = {name: parse_type(str(each)) for name, each in fields.items()}
    lines = []
    for name, each in parsed.items():
        array = "" if each.array is None else "[]" if each.array == "sequence" else f"[{each.array}]"
        lines.append(f"{each.base.replace('/msg/', '/')}{array} {name}\n")
    return "".join(lines)


def _hash(message_type: str) -> str:
    path = _file(_service_of(message_type) or message_type, ".json")
    if path is None:
        return ""
    hashes = json.loads(path.read_text(encoding="utf-8")).get("type_hashes", [])
    return next((each["hash_string"] for each in hashes if each["type_name"] == message_type), "")


def _file(message_type: str, suffix: str) -> Path | None:
    """The file of a type in `share/PACKAGE/msg` or `srv` of one of the prefixes where packages are installed."""
    package, kind, name = message_type.split("/")
    prefixes = [Path(each) for each in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if each]
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        prefixes += Path(place).parents
    for prefix in prefixes:
        path = prefix / "share" / package / kind / (name + suffix)
        if path.is_file():
            return path
    return None

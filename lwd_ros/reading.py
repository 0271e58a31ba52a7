"""Reading YAML and JSON files, each in one way: what is wrong with a file is one sentence that names it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lwd_ros.errors import LwdError

_MERGE = "tag:yaml.org,2002:merge"


class _Twice(yaml.YAMLError):
    """A key stands more than once in one mapping."""


class _Loader(yaml.SafeLoader):
    """YAML's own safe loader keeps the last of two equal keys in silence; this one refuses them.

    Keys are looked at before merges (`<<`) are resolved: a key may stand beside a merged one, which it overrides.
    """

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        lines: dict[object, list[int]] = {}
        for key, line in self._keys(node):
            lines.setdefault(key, []).append(line)
        for key, at in lines.items():
            if len(at) > 1:
                places = f"{', '.join(map(str, at[:-1]))} and {at[-1]}"
                text = "true" if key is True else "false" if key is False else key
                raise _Twice(f"key '{text}': found {len(at)} times, in lines {places}; expected once")
        return node

    def _keys(self, node) -> Iterator[tuple[object, int]]:
        """The scalar keys of a mapping as they will be read, and their lines; YAML itself refuses other keys."""
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                value = "<<" if key.tag == _MERGE else self.construct_object(key)
                yield value, key.start_mark.line + 1


def read_yaml(path: str | Path, expected: str, error: type[LwdError] = LwdError) -> Any:
    """The content of a YAML file, of safe types alone; aliases and merges are resolved.

    Args:
        path: the file, in UTF-8.
        expected: what it should be, for the error's sentence: "a contract in YAML".
        error: the class of the error to raise.

    Raises:
        LwdError: of the class `error`; the file cannot be read, is not YAML, or has a key twice in one mapping.
    """
    return parse_yaml(_text(path, expected, error, "YAML"), str(path), error)


def parse_yaml(text: str, where: str, error: type[LwdError] = LwdError) -> Any:
    """As `read_yaml`, of a text; `where` names its source in the error."""
    try:
        return yaml.load(text, _Loader)
    except _Twice as cause:
        raise error(f"{where}: {cause}") from cause
    except (yaml.YAMLError, ValueError, RecursionError) as cause:  # PyYAML lets a bad date's ValueError through
        raise error(f"{where}: is not YAML: {' '.join(str(cause).split())}") from cause


def read_json(path: str | Path, expected: str, error: type[LwdError] = LwdError) -> Any:
    """The content of a JSON file; arguments and errors as of `read_yaml`."""
    text = _text(path, expected, error, "JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise error(f"{path}: is not JSON ({cause}); expected {expected}") from cause


def _text(path: str | Path, expected: str, error: type[LwdError], form: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); expected {expected}") from cause
    except UnicodeDecodeError as cause:
        raise error(f"{path}: is not {form}: {cause}") from cause
    except ValueError as cause:  # a zero byte in the path
        raise error(f"{str(path)!r}: cannot be read ({cause}); expected {expected}") from cause

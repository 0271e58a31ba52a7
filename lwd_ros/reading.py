"""Reading YAML and JSON files, each in one way: what is wrong with a file is one sentence that names it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lwd_ros.errors import LwdError

_MERGE = "tag:yaml.org,2002:merge"


class _Twice(yaml.YAMLError):
    """A key stands more than once in one mapping."""


GUESS = "!guess"
"""The tag of a value that a program guessed and nobody has confirmed: `limits: !guess [-1.2, 1.3]`."""

_MOST_NAMED = 3  # guesses that a sentence names


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


# YAML 1.2 and people write 1e-3; PyYAML follows 1.1, where a number with an exponent needs a point as well.
_EXPONENT = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]{1,3}$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


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
    """As `read_yaml`, of a text; `where` names its source in the error.

    Values that are marked as guesses (GUESS) are refused: a person looks at each and removes its mark.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        guesses = [] if node is None else list(dict.fromkeys(_guesses(node, "", set())))
        content = None if node is None or guesses else loader.construct_document(node)
    except _Twice as cause:
        raise error(f"{where}: {cause}") from cause
    except (yaml.YAMLError, ValueError, RecursionError) as cause:  # PyYAML lets a bad date's ValueError through
        raise error(f"{where}: is not YAML: {' '.join(str(cause).split())}") from cause
    if guesses:
        named = ", ".join(f"'{key}' in line {line}" for key, line in guesses[:_MOST_NAMED])
        others = f" and {len(guesses) - _MOST_NAMED} more" if len(guesses) > _MOST_NAMED else ""
        count = f"{len(guesses)} {'guess' if len(guesses) == 1 else 'guesses'} that nobody has confirmed"
        raise error(f"{where}: found {count}, {named}{others}; expected each checked and its mark {GUESS} removed")
    return content


def _guesses(node: yaml.Node, key: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """The full keys and lines of what is marked as a guess, in the order of the file."""
    if id(node) in seen:  # an alias may stand inside of what it names
        return
    seen.add(id(node))
    if node.tag == GUESS:
        yield key or "(the whole file)", node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            text = name.value if isinstance(name, yaml.ScalarNode) else ""
            yield from _guesses(name, f"{key}.{text}".lstrip("."), seen)
            yield from _guesses(value, f"{key}.{text}".lstrip("."), seen)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _guesses(value, f"{key}[{place}]", seen)


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

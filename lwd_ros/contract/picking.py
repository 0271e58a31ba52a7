"""Picking fields from a message one step at a time, with a sentence for whatever is wrong.

This is what reading means. `reading` does the same faster, and comes here for its first message and where it fails.
"""

import array
import difflib
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.functions import ANGLE, ANGLES, ARRAY, finish, finish_array, norm, replaced_in, replacement
from lwd_ros.contract.paths import NAMES, Index, Key, Name, Path
from lwd_ros.contract.quaternions import check_norm, sign_towards

COMPONENTS = ("x", "y", "z", "w")
_SHOWN = 20  # names in a sentence


class Unaddressed(ContractError):
    """A message has none of the names that a stream's fields select, as a part of the joints that is another's."""


class _Absent(ContractError):
    """A name, or a message with a key's value, is not in a message."""


def closest(word: str, words: Sequence[str]) -> str:
    """What to add to a sentence on an unknown word: the known one that was perhaps meant, or nothing."""
    near = difflib.get_close_matches(word, words, n=1)
    near = near or sorted((each for each in words if each and _is_suffix(each, word)), key=len, reverse=True)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _is_suffix(one: str, other: str) -> bool:
    """Whether one is the other with a prefix, as joints' names have one."""
    return min(len(one), len(other)) > 2 and (one.endswith(other) or other.endswith(one))


def is_array(value: object) -> bool:
    """Whether a message's field is an array: of numbers, texts or messages."""
    return isinstance(value, (array.array, np.ndarray, list, tuple))


def is_rotation(value: object) -> bool:
    """Whether a message has the four components of a quaternion."""
    return all(hasattr(value, component) for component in COMPONENTS)


def is_component(field) -> bool:
    """Whether a field is one component of what may be a quaternion."""
    return not field.reducing and field.size is None and field.parsed.steps[-1] in COMPONENTS


def _attributes(value: object) -> list[str]:
    fields = getattr(value, "get_fields_and_field_types", None)
    names = fields() if fields else getattr(value, "__dict__", ())
    return [name for name in names if not name.startswith("_")]


def names_of(message: object) -> str | None:
    """The attribute of a message that lists the names of its parallel arrays."""
    for attribute in NAMES:
        names = getattr(message, attribute, None)
        if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
            return attribute
    return None


def equals(value: object, text: str) -> bool:
    """Whether a message's field has the value that a path gives as a text."""
    if isinstance(value, str):
        return value == text
    try:
        return float(text) == value
    except ValueError:
        return False


class Pick:
    """One path's way through one message.

    `way` is all that it passed, from the message to `value`, and `error` what stopped it. `owners` says, by the place
    of each name in the path's steps, how many steps lead to the message that lists the names, and its attribute that
    does. `selected` counts the names and keys that the message has.
    """

    def __init__(self, path: Path, message: Any):
        self._path, self._steps = path, path.steps
        self.value, self.selected = message, 0
        self.owners: dict[int, tuple[int, str]] = {}
        self.way: list[Any] = [message]
        self.error: ContractError | None = None
        try:
            for place, step in enumerate(self._steps):
                self._take(place, step)
                self.way.append(self.value)
        except ContractError as error:
            self.error = error

    def _fail(self, found: str, expected: str, kind=ContractError) -> NoReturn:
        raise kind(f"'{self._path}': found {found}, expected {expected}")

    def _so_far(self, place: int) -> str:
        text = ""
        for step in self._steps[:place]:
            text += f".{step}" if isinstance(step, str) else str(step)
        return text.lstrip(".")

    def _take(self, place: int, step) -> None:
        before, here = self.value, self._so_far(place)
        if isinstance(step, str):
            if not hasattr(before, step) or is_array(before):
                what = "an array" if is_array(before) else _type_name(before)
                owner = f"{what} at '{here}'" if here else f"a message {what}"
                known = _attributes(before)
                listed = f" ({', '.join(known[:_SHOWN])})" if known else ""
                self._fail(f"{owner} without '{step}'", f"one of its attributes{listed}{closest(step, known)}")
            self.value = getattr(before, step)
            return
        if not is_array(before):
            self._fail(f"{_described(before)} at '{here}'", f"an array where '{step}' chooses")
        if isinstance(step, Index):
            if step.place >= len(before):
                self._fail(f"{len(before)} entries in '{here}'", f"more than {step.place}")
            self.value = before[step.place]
        elif isinstance(step, Name):
            self._by_name(place, step.name, here)
        elif isinstance(step, Key):
            self._by_key(step, here)
        else:
            if step.start >= len(before) or (step.stop or 0) > len(before):
                least = step.start + 1 if step.stop is None else step.stop
                self._fail(f"{len(before)} entries in '{here}'", f"at least {least} for {step}")
            self.value = before[step.start : step.stop : step.step]

    def _by_name(self, place: int, name: str, here: str) -> None:
        for owner in reversed(range(place)):  # the array itself is no message; the messages around it come before it
            message = self.way[owner]
            attribute = None if is_array(message) else names_of(message)
            if attribute is None:
                continue
            names = list(getattr(message, attribute))
            if name not in names:
                listed = f"'{name}' is not among {names[:_SHOWN]} of '{attribute}'"
                raise _Absent(f"'{self._path}': {listed}{closest(name, names)}")
            self.selected += 1
            self.owners[place] = (owner, attribute)
            index, entries = names.index(name), self.value
            if index >= len(entries):
                self._fail(f"{len(entries)} entries in '{here}' for {len(names)} names", f"one for '{name}'")
            self.value = entries[index]
            return
        expected = f"a list of texts called {', '.join(NAMES[:-1])} or {NAMES[-1]} beside or around it, or an index"
        self._fail(f"no names for '[{name}]'", expected)

    def _by_key(self, step: Key, here: str) -> None:
        values = []
        for each in self.value:
            value = each
            for part in step.key.split("."):
                if not hasattr(value, part):
                    known = _attributes(value)
                    self._fail(f"{_type_name(value)} in '{here}' without '{part}'", f"a key{closest(part, known)}")
                value = getattr(value, part)
            if equals(value, step.value):
                self.selected += 1
                self.value = each
                return
            values.append(str(value))
        listed = f"no '{step.key}' equal to '{step.value}', but {values[:_SHOWN]}"
        raise _Absent(f"'{self._path}': found {listed} in '{here}'{closest(step.value, values)}")


def _type_name(message: object) -> str:
    return type(message).__name__.rpartition("__")[2]  # rosbags' names: std_msgs__msg__Header


def _described(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return f"the text {value!r}" if isinstance(value, str) else f"the bytes {value!r}"
    if is_array(value):
        return f"an array of {len(value)}"
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        return f"the number {value}"
    return f"a message {_type_name(value)}"


def _number(value: object, at: str, expected: str = "a number") -> float:
    if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
        return float(value)
    if is_array(value):
        expected += "; choose it by an index or a name, or give a function or the scalar's size"
    raise ContractError(f"'{at}': found {_described(value)}, expected {expected}")


def _numbers(value: object, at: str) -> np.ndarray:
    if not is_array(value):
        raise ContractError(f"'{at}': found {_described(value)}, expected an array of numbers")
    if isinstance(value, (list, tuple)):
        return np.array([_number(each, at, "numbers in the array") for each in value], dtype=np.float64)
    return np.array(value, dtype=np.float64)


def _components(value: object, at: str, names: Sequence[str]) -> list[float]:
    for name in names:
        if not hasattr(value, name):
            found = f"{_described(value)} without '{name}'"
            raise ContractError(f"'{at}': found {found}, expected one with {', '.join(names)}")
    return [_number(getattr(value, name), f"{at}.{name}".lstrip(".")) for name in names]


def middles(fields: Sequence) -> dict[tuple, list[float]]:
    """By the steps to what may be a quaternion: the middle of its bound components' limits, x, y, z, w, else 0."""
    result: dict[tuple, list[float]] = {}
    for field in fields:
        if is_component(field):
            *parent, component = field.parsed.steps
            middle = result.setdefault(tuple(parent), [0.0] * 4)
            limits = ((limit - field.offset) / field.scale for limit in (field.minimum, field.maximum))
            center = 0.5 * sum(limits)
            if math.isfinite(center) and not field.functions:
                middle[COMPONENTS.index(component)] = center
    return result


def _evaluate(field, found: Pick, parents: dict) -> float | np.ndarray:
    value, at = found.value, field.path
    if field.size is not None:
        numbers = _numbers(value, at)
        if len(numbers) != field.size:
            raise ContractError(f"'{at}': found {len(numbers)} numbers, expected {field.size}, the scalar's size")
        ready_array = finish_array(field)
        return numbers if ready_array is None else ready_array(numbers)
    if field.reducing in ANGLES:
        number = ANGLE[field.reducing](*_rotation(value, at))
    elif field.reducing and is_array(value):
        numbers = replaced_in(_numbers(value, at), field.replace)
        if not len(numbers):
            raise ContractError(f"'{at}': found an array of 0, expected numbers to take the {field.reducing} of")
        number = float(ARRAY[field.reducing](numbers))
    elif field.reducing == "norm":
        parts = vector_components(value, at)
        number = norm(list(map(replacement(field.replace), _components(value, at, parts))))
    elif field.reducing:
        raise ContractError(f"'{at}': found {_described(value)}, expected an array to take the {field.reducing} of")
    else:
        number = _number(value, at)
        if is_component(field):
            parent, name = found.way[-2], at.rpartition(".")[0]
            if is_rotation(parent):
                quaternion = _components(parent, name, COMPONENTS)
                try:
                    x, y, z, w = quaternion
                    sign = sign_towards(x, y, z, w, parents[field.parsed.steps[:-1]])
                except ContractError as error:
                    raise ContractError(f"{name or 'the message'}: {error}") from error
                number = -number if sign < 0.0 else number
    ready = finish(field, reduced=bool(field.reducing))
    return number if ready is None else ready(number)


def _rotation(value: object, at: str) -> list[float]:
    quaternion = _components(value, at, COMPONENTS)
    try:
        check_norm(*quaternion)
    except ContractError as error:
        raise ContractError(f"{at}: {error}") from error
    return quaternion


def vector_components(value: object, at: str) -> tuple[str, ...]:
    """The components of a vector that has a norm worth reading: x, y and, where it is there, z."""
    if is_rotation(value):
        raise ContractError(f"'{at}': found a rotation, whose norm is 1, expected a vector with x, y or x, y, z")
    return COMPONENTS[:3] if hasattr(value, "z") else COMPONENTS[:2]


def pick(message: object, fields: Sequence) -> tuple[np.ndarray, list[Pick]]:
    """All fields' numbers, float64 [sum of sizes], and each field's way through the message.

    Raises:
        Unaddressed: the message has none of the names and keys that the fields select, and they select some.
        ContractError: a field is not there, or is no number.
    """
    ways = [Pick(field.parsed, message) for field in fields]
    absent = next((way.error for way in ways if isinstance(way.error, _Absent)), None)
    if absent is not None and not any(way.selected for way in ways):
        raise Unaddressed(str(absent)) from absent
    if absent is not None:
        mend = "others of this stream's names are there: where several publish parts on this topic"
        raise ContractError(f"{absent}; {mend}, bind each part as a stream of its own") from absent
    for way in ways:
        if way.error is not None:
            raise way.error
    parents = middles(fields)
    parts = [_evaluate(field, way, parents) for field, way in zip(fields, ways, strict=True)]
    return np.concatenate([np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in parts]), ways

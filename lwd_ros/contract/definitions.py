"""What fields a message type has, without ROS: so that a wrong field is refused before any message comes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, NoReturn

from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.functions import ANGLES
from lwd_ros.contract.paths import NAMES, Index, Key, Name, Slice
from lwd_ros.contract.picking import COMPONENTS, closest

NUMBERS = {  # by their names in message files: the least and the greatest value; None: any
    "bool": None,
    "float32": None,
    "float64": None,
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
TEXTS = ("string", "wstring")
OTHERS = ("byte",)  # neither: a live message has it as bytes
DURATIONS = ("builtin_interfaces/msg/Duration", "builtin_interfaces/msg/Time")

_ALIASES = {"double": "float64", "float": "float32", "boolean": "bool", "octet": "byte", "char": "uint8"}
_SEQUENCE = re.compile(r"sequence<(.+?)(?:,\s*[0-9]+)?>")
_BRACKETS = re.compile(r"(.+)\[(<=)?([0-9]*)\]")
_BOUND = re.compile(r"(w?string)<=?\s*[0-9]+>?")
_TYPE = re.compile(r"([a-z][a-z0-9_]*)/(?:msg/)?([A-Za-z][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class FieldType:
    """The type of a message's field.

    `base` is a number's or a text's name in message files ("float64", "string"), or a message type
    ("std_msgs/msg/Header"). `array`: None for one of them, "sequence" for any number, an integer for so many.
    """

    base: str
    array: str | int | None = None

    @property
    def is_message(self) -> bool:
        """Whether the base is a message type."""
        return "/" in self.base

    @property
    def is_number(self) -> bool:
        """Whether the base is a number; a truth value is one."""
        return self.base in NUMBERS

    def __str__(self) -> str:
        text = self.base + ("" if self.array is None else "[]" if self.array == "sequence" else f"[{self.array}]")
        return text.replace("/msg/", "/")


Definitions = Callable[[str], Mapping[str, FieldType]]
"""A message type ("pkg/msg/Name") to its fields in their order; raises ContractError for a type it does not know."""


class UnknownPackage(ContractError):
    """No message of a package is known here, so nothing can be said of its types."""


def parse_type(text: str) -> FieldType:
    """Read a field's type as rclpy gives it ("sequence<double>", "double[36]") or a message file ("float64[]").

    A bound, of a text or a sequence, is left out. Raises ContractError on anything else.
    """
    if nested := _SEQUENCE.fullmatch(text):
        return replace(_base(nested[1], text), array="sequence")
    if nested := _BRACKETS.fullmatch(text):
        exact = nested[3] and not nested[2]
        return replace(_base(nested[1], text), array=int(nested[3]) if exact else "sequence")
    return _base(text, text)


def _base(text: str, whole: str) -> FieldType:
    text = text.strip()
    if bounded := _BOUND.fullmatch(text):
        text = bounded[1]
    text = _ALIASES.get(text, text)
    if text in NUMBERS or text in TEXTS or text in OTHERS:
        return FieldType(text)
    if message := _TYPE.fullmatch(text):
        return FieldType(f"{message[1]}/msg/{message[2]}")
    raise ContractError(f"found the type {whole!r}, expected one such as double or sequence<double>")


def fields_of(kind: Any) -> dict[str, FieldType]:
    """The fields of a live message class, by its `get_fields_and_field_types`."""
    return {name: parse_type(text) for name, text in kind.get_fields_and_field_types().items()}


def class_of(message_type: str) -> type:
    """The live message class of a type ("pkg/msg/Name").

    Raises:
        ContractError: no such package or message is installed, or the text is no type.
    """
    parts = _TYPE.fullmatch(message_type)
    if parts is None:
        raise ContractError(f"found the message type {message_type!r}, expected package/msg/Name")
    package, name = parts.groups()
    try:
        module = import_module(f"{package}.msg")
    except ImportError as error:
        raise UnknownPackage(f"found no package '{package}' for {message_type}, expected it installed") from error
    if not hasattr(module, name):
        known = [other for other in dir(module) if other[0].isupper()]
        raise ContractError(f"found no message '{name}' in {package}, expected one of its own{closest(name, known)}")
    return getattr(module, name)


def live(message_type: str) -> dict[str, FieldType]:
    """Definitions of the message classes that are installed."""
    return fields_of(class_of(message_type))


def has_header(message_type: str, definitions: Definitions) -> bool:
    """Whether messages of a type have a header, and so a stamp and a frame."""
    return definitions(message_type).get("header") == FieldType("std_msgs/msg/Header")


def check_fields(message_type: str, fields: Sequence, definitions: Definitions, command: bool = False) -> None:
    """Refuse fields (of type Field) that no message of a type can have; `command`: that cannot be written.

    What only a message can tell, such as the length of a sequence or the names in it, is left to reading.

    Raises:
        ContractError: one sentence with the path, what was found, what was expected.
    """
    for field in fields:
        _Check(message_type, field, definitions, command).run()


class _Check:
    """One field's way through the types."""

    def __init__(self, message_type: str, field, definitions: Definitions, command: bool):
        self._field, self._definitions, self._command = field, definitions, command
        self._message: str | None = message_type  # None: not a message now
        self._type = FieldType(message_type)
        self._owners: list[Mapping[str, FieldType]] = []

    def _fail(self, found: str, expected: str) -> NoReturn:
        raise ContractError(f"'{self._field.path}': found {found}, expected {expected}")

    def run(self) -> None:
        here = ""
        for step in self._field.parsed.steps:
            if isinstance(step, str):
                self._attribute(step, here)
                here = f"{here}.{step}".lstrip(".")
            else:
                self._choose(step, here)
                here += str(step)
        self._end(here)

    def _attribute(self, name: str, here: str) -> None:
        if self._type.array is not None or not self._type.is_message:
            self._fail(f"{self._type} at '{here}'", f"a message where it says '.{name}'")
        known = self._definitions(self._type.base)
        if name not in known:
            message = str(FieldType(self._type.base))
            self._fail(f"'{name}' in {message}", f"one of {', '.join(known)}{closest(name, list(known))}")
        self._owners.append(known)
        self._type = known[name]

    def _choose(self, step, here: str) -> None:
        array = self._type.array
        if array is None:
            self._fail(f"{self._type} at '{here}'", f"an array where '{step}' chooses")
        if isinstance(step, Slice):
            if self._command:
                self._fail(f"the slice '{step}'", "one number for one command")
            needed = step.start + 1 if step.stop is None else step.stop
            if isinstance(array, int) and needed > array:
                self._fail(f"{array} entries in '{here}'", f"at least {needed} for '{step}'")
            return
        if isinstance(step, Index) and isinstance(array, int) and step.place >= array:
            self._fail(f"{array} entries in '{here}'", f"more than {step.place}")
        if isinstance(step, Name) and not any(
            owner.get(names) in [FieldType(text, "sequence") for text in TEXTS]
            for owner in self._owners
            for names in NAMES
        ):
            listed = f"a list of texts called {', '.join(NAMES[:-1])} or {NAMES[-1]} beside or around it, or an index"
            self._fail(f"no names for '{step}'", listed)
        self._type = replace(self._type, array=None)
        if isinstance(step, Key):
            self._key(step, here)

    def _key(self, step: Key, here: str) -> None:
        if self._command:
            self._fail(f"'{step}', which looks for a message", "an index or a name in a command")
        kind = self._type
        for part in step.key.split("."):
            known = self._definitions(kind.base) if kind.is_message and kind.array is None else {}
            if part not in known:
                expected = f"one of {', '.join(known)}{closest(part, list(known))}" if known else "a list of messages"
                self._fail(f"the key '{step.key}' for {kind} in '{here}'", expected)
            kind = known[part]
        if kind.array is not None or kind.is_message or kind.base in OTHERS:
            self._fail(f"the key '{step.key}', {kind}", "a text or a number")

    def _end(self, here: str) -> None:
        field, kind = self._field, self._type
        last = field.parsed.steps[-1]
        several = kind.array is not None  # a slice leaves it so
        if field.reducing in ANGLES or (field.reducing == "norm" and not several):
            self._components(field.reducing, kind)
            return
        if not kind.is_number:
            what = "a message" if kind.is_message else "a text" if kind.base in TEXTS else "bytes"
            expected = f"a number{self._inside(kind, here)}"
            self._fail(f"{kind}, {'an array of such' if several else what}, at '{here}'", expected)
        if field.reducing and not several:
            self._fail(f"{kind}, one number", f"an array to take the {field.reducing} of")
        if several and not field.reducing and field.size is None:
            chooses = "an index or a name" if self._command else "an index, a name, a function or the scalar's size"
            self._fail(f"{kind}, an array, at '{here}'", chooses)
        if field.size is not None and not several:
            self._fail(f"{kind}, one number", f"an array for a vector of {field.size}")
        length = kind.array
        if isinstance(last, Slice):
            stop = length if last.stop is None else last.stop
            if isinstance(stop, int):
                length = len(range(last.start, stop, last.step))
        if field.size is not None and isinstance(length, int) and length != field.size:
            self._fail(f"{length} numbers", f"{field.size}, the scalar's size")

    def _inside(self, kind: FieldType, here: str) -> str:
        """What could go on from a message."""
        if not kind.is_message or kind.array is not None:
            return ""
        return f", such as {here}.{next(iter(self._definitions(kind.base)), '...')}"

    def _components(self, function: str, kind: FieldType) -> None:
        known = self._definitions(kind.base) if kind.is_message and kind.array is None else {}
        rotation = all(part in known for part in COMPONENTS)
        if function in ANGLES and not rotation:
            self._fail(f"{kind}", f"a rotation, with x, y, z and w, to take the {function} of")
        if function == "norm" and (rotation or not all(part in known for part in COMPONENTS[:2])):
            self._fail(f"{kind}", "a vector, with x, y or x, y, z, or an array of numbers to take the norm of")

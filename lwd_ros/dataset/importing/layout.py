"""Reading many messages of one shape fast: only the numbers that a contract binds are taken from the bytes.

Messages of a stream mostly have one layout: the same names, the same lengths of arrays. Where a message's bytes are so
laid out as those of the one before, its bound numbers are put into that message's object, at a tenth of the cost of
decoding it whole. Anything else is decoded whole, and gives the next layout.
"""

import struct
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from lwd_ros.contract.definitions import Definitions
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.fields import Field

_LITTLE_ENDIAN = b"\x00\x01"  # plain CDR
_HEAD = 4  # bytes in front of a message; alignment counts from behind them
_FORMATS = {
    "bool": "?", "byte": "B", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
_STAMP = ("header.stamp.sec", "header.stamp.nanosec")
_RETRIES = 20  # layouts in a row that served no second message: this stream is decoded whole


class _Unknown(Exception):
    """A part that this module does not follow."""


class _Walk:
    """The places of everything in one message's bytes."""

    def __init__(self, raw: bytes, definitions: Definitions):
        self._raw, self._definitions, self.at = raw, definitions, _HEAD
        self.shape: list[tuple[int, int]] = []  # bytes that a message of this layout has too
        self.numbers: list[tuple[str, str, int]] = []  # path, format, place
        self.arrays: list[tuple[str, str, int, int]] = []  # path, format, place, length

    def message(self, kind: str, path: str) -> None:
        fields = self._definitions(kind)
        if not fields:
            raise _Unknown
        for name, each in fields.items():
            here = f"{path}.{name}" if path else name
            if each.array is None:
                self._one(each.base, here)
            elif each.base in _FORMATS:
                count = self._length() if each.array == "sequence" else int(each.array)
                size = self._align(each.base) if count else 0
                self.arrays.append((here, _FORMATS[each.base], self.at, count))
                self.at += count * size
            elif each.base == "string":
                for _ in range(self._length() if each.array == "sequence" else int(each.array)):
                    self._text()
            else:
                raise _Unknown

    def _one(self, base: str, path: str) -> None:
        if base in _FORMATS:
            size = self._align(base)
            self.numbers.append((path, _FORMATS[base], self.at))
            self.at += size
        elif base == "string":
            self._text()
        elif "/" in base:
            self.message(base, path)
        else:
            raise _Unknown

    def _align(self, base: str) -> int:
        size = struct.calcsize(_FORMATS[base])
        self.at += -(self.at - _HEAD) % size
        return size

    def _length(self) -> int:
        self._align("uint32")
        (count,) = struct.unpack_from("<I", self._raw, self.at)
        self.shape.append((self.at, self.at + 4))
        self.at += 4
        return count

    def _text(self) -> None:
        begin = self._length()
        self.shape[-1] = (self.at - 4, self.at + begin)
        self.at += begin


class QuickMessages:
    """Gives the messages of one stream with the numbers that its fields need; the rest may be those of another one.

    Each message is good until the next is asked for.
    """

    def __init__(self, kind: str, fields: Sequence[Field], definitions: Definitions):
        self._kind, self._definitions = kind, definitions
        self._needed = [_stem(field) for field in fields]
        self._fill: Callable[[bytes], bool] | None = None
        self._object: Any = None
        self._wasted = 0

    def of(self, message) -> Any:
        """The content of one recorded message; raises BagError where it cannot be decoded."""
        raw = message.raw
        if self._fill is not None:
            if self._fill(raw):
                self._wasted = 0
                return self._object
            self._wasted += 1
            self._fill = None
        content = message.message
        if self._wasted < _RETRIES and raw[:2] == _LITTLE_ENDIAN:
            self._learn(raw, content)
        return content

    def _learn(self, raw: bytes, content: Any) -> None:
        walk = _Walk(raw, self._definitions)
        try:
            walk.message(self._kind, "")
        except (_Unknown, ContractError, struct.error):
            self._wasted = _RETRIES
            return
        numbers = [each for each in walk.numbers if self._is_needed(each[0])]
        arrays = [each for each in walk.arrays if self._is_needed(each[0])]
        if not _same(content, numbers, arrays, raw):
            self._wasted = _RETRIES
            return
        self._object, self._fill = content, _filling(content, raw, walk.shape, numbers, arrays)

    def _is_needed(self, path: str) -> bool:
        return path in _STAMP or any(path == stem or path.startswith(stem + ".") or not stem for stem in self._needed)


def _stem(field: Field) -> str:
    """The attributes before a field's last one, whose parts are read with it, as all of a quaternion are."""
    steps = [each if isinstance(each, str) else None for each in field.parsed.steps]
    whole = steps[: steps.index(None)] if None in steps else steps
    return ".".join(whole if len(whole) < len(steps) or field.reducing else whole[:-1])  # type: ignore[arg-type]


def _same(content: Any, numbers, arrays, raw: bytes) -> bool:
    """Whether the places give what decoding gave."""
    try:
        for path, form, place in numbers:
            (value,) = struct.unpack_from("<" + form, raw, place)
            other = reduce(getattr, path.split("."), content)
            if value != other and (value == value or other == other):
                return False
        return all(
            np.array_equal(
                np.frombuffer(raw, "<" + form, count, place) if count else np.empty(0),
                np.asarray(reduce(getattr, path.split("."), content)),
                equal_nan=form in "fd",
            )
            for path, form, place, count in arrays
        )
    except (AttributeError, struct.error, ValueError, TypeError):
        return False


def _filling(content: Any, raw: bytes, shape, numbers, arrays) -> Callable[[bytes], bool]:
    """What puts the numbers of a message of this layout into `content`, and says whether it is of this layout."""

    def owner(path: str) -> tuple[Any, str]:
        *parents, last = path.split(".")
        return reduce(getattr, parents, content), last

    layout, at = "<", 0
    for _, form, place in numbers:
        layout += f"{place - at}x{form}" if place > at else form
        at = place + struct.calcsize(form)
    unpack, size = struct.Struct(layout).unpack_from, len(raw)
    joined: list[tuple[int, int]] = []
    for begin, end in shape:
        if joined and begin - joined[-1][1] <= 3:  # padding between them, which is 0
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    checks = [(slice(begin, end), raw[begin:end]) for begin, end in joined]
    places = [owner(path) for path, _, _ in numbers]
    filled = [(*owner(path), np.dtype("<" + form), place, count) for path, form, place, count in arrays if count]
    frombuffer = np.frombuffer

    def fill(other: bytes) -> bool:
        if len(other) != size or other[:2] != _LITTLE_ENDIAN:
            return False
        for part, expected in checks:
            if other[part] != expected:
                return False
        for (target, name), value in zip(places, unpack(other), strict=True):
            setattr(target, name, value)
        for target, name, kind, place, count in filled:
            setattr(target, name, frombuffer(other, kind, count, place))
        return True

    return fill

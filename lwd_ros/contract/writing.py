"""Writing commands into a message of any type that has live classes: made once, filled on every call."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from lwd_ros.contract.definitions import DURATIONS, NUMBERS, TEXTS, FieldType, class_of, fields_of
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.paths import NAMES, Index, Name, Path
from lwd_ros.contract.picking import closest

_NANOSECONDS = 1_000_000_000


def writer(
    kind: type,
    fields: Sequence,
    constants: Mapping[str, object] | None = None,
    classes: Callable[[str], type] = class_of,
) -> tuple[Any, Callable[[Sequence[float]], None]]:
    """A message of the class `kind`, and a function that writes one number per field (of type Field) into it.

    `constants` maps paths to what stands there in every message: numbers, texts, truth values, lists of them; a number
    of seconds for a Duration or a Time. Lists of messages are as long as the paths need; entries of an array that has
    names, of which some are bound, are NaN where they are not. Integers are rounded; a truth value is true from 0.5.
    `classes` gives the class of a message in a list, by its type.

    Raises:
        ContractError: the type has no such field, or a message would not say what its receiver needs: an array with a
            hole or with another length than its names, a point of a trajectory without its time.
    """
    return _Draft(kind, classes).finished(fields, constants or {})


class _Node:
    """A message in the draft, and where it stands."""

    def __init__(self, message: Any, text: str, parent: "_Node | None"):
        self.message, self.text, self.parent = message, text, parent
        self.types = fields_of(type(message))

    def names(self) -> "tuple[_Node, str] | None":
        """The nearest message from here outwards that lists names, and the attribute that does."""
        for attribute in NAMES:
            if self.types.get(attribute) in [FieldType(text, "sequence") for text in TEXTS]:
                return self, attribute
        return self.parent.names() if self.parent else None

    def at(self, attribute: str) -> str:
        return f"{self.text}.{attribute}".lstrip(".")


class _Draft:
    """A message while it is put together. Arrays are dictionaries from place to value until all of them are known."""

    def __init__(self, kind: type, classes: Callable[[str], type]):
        self._classes = classes
        self._root = _Node(kind(), "", None)
        self._nodes: dict[tuple, _Node] = {(): self._root}
        self._arrays: dict[tuple[int, str], dict[int, Any]] = {}  # by the id of the owner and the attribute
        self._owners: dict[int, _Node] = {}
        self._set: dict[tuple, str] = {}  # every place that is bound or constant, and the path that said so
        self._named: set[tuple[int, str]] = set()  # arrays that were reached by a name

    def finished(self, fields: Sequence, constants: Mapping[str, object]) -> tuple[Any, Callable]:
        # Names first: they say where everything else goes.
        order = sorted(constants, key=lambda path: Path.parse(path).elements[-1].attribute not in NAMES)
        for path in order:
            self._constant(path, constants[path])
        bound = [self._bind(field) for field in fields]
        self._fill()
        self._check_times()
        puts = [put() for put in bound]

        def write(values: Sequence[float]) -> None:
            for put, value in zip(puts, values, strict=True):
                put(value)

        return self._root.message, write

    # Walking

    def _fail(self, path: str, found: str, expected: str) -> NoReturn:
        raise ContractError(f"'{path}': found {found}, expected {expected}")

    def _walk(self, path: Path) -> tuple[_Node, str, int | None]:
        """The message that owns the end of a path, its attribute there, and the place in it where it is an array."""
        node, text, steps = self._root, str(path), path.steps
        for number, element in enumerate(path.elements):
            if element.attribute not in node.types:
                known = list(node.types)
                expected = f"one of {', '.join(known)}{closest(element.attribute, known)}"
                self._fail(text, f"'{element.attribute}' in a {type(node.message).__name__}", expected)
            kind, last = node.types[element.attribute], number == len(path.elements) - 1
            if len(element.selectors) > 1 or (element.selectors and kind.array is None):
                self._fail(text, f"{kind} at '{node.at(element.attribute)}'", "an array where [...] chooses")
            place = None
            if element.selectors:
                place = self._place(text, node, element.attribute, element.selectors[0])
            if last:
                return node, element.attribute, place
            if not kind.is_message or (kind.array is not None and place is None):
                self._fail(text, f"{kind} at '{node.at(element.attribute)}'", f"a message before '.{steps[-1]}'")
            node = self._enter(node, element.attribute, place)
        raise AssertionError("a path has an element")

    def _enter(self, node: _Node, attribute: str, place: int | None) -> _Node:
        """The message in a field, or in a place of a list; the list grows as far as needed."""
        key = (id(node.message), attribute, place)
        if key not in self._nodes:
            message = getattr(node.message, attribute)
            text = node.at(attribute)
            if place is not None:
                if node.types[attribute].array == "sequence":
                    maker = self._classes(node.types[attribute].base)
                    message.extend(maker() for _ in range(place + 1 - len(message)))
                self._array(node, attribute)[place] = message = message[place]
                text += f"[{place}]"
            self._nodes[key] = _Node(message, text, node)
        return self._nodes[key]

    def _array(self, node: _Node, attribute: str) -> dict[int, Any]:
        self._owners[id(node.message)] = node
        return self._arrays.setdefault((id(node.message), attribute), {})

    def _place(self, text: str, node: _Node, attribute: str, selector) -> int:
        """A selector's place in an array; a name that is new to a list of names is added to it."""
        if isinstance(selector, Index):
            length = node.types[attribute].array
            if isinstance(length, int) and selector.place >= length:
                self._fail(text, f"{length} entries in '{node.at(attribute)}'", f"more than {selector.place}")
            return selector.place
        if not isinstance(selector, Name):
            self._fail(text, f"'{selector}'", "an index or a name in a command")
        owner = node.names()
        if owner is None:
            expected = f"a list of texts called {', '.join(NAMES[:-1])} or {NAMES[-1]} beside or around it, or an index"
            self._fail(text, f"no names for '{selector}'", expected)
        listing, listed = owner
        self._named.add((id(node.message), attribute))
        names = self._array(listing, listed)
        order = [names[place] for place in sorted(names)]
        if selector.name not in order:
            if (id(listing.message), listed, None) in self._set:
                expected = f"one of the names that the constant '{listing.at(listed)}' gives"
                self._fail(text, f"'{selector.name}'", f"{expected}: {order[:20]}{closest(selector.name, order)}")
            names[len(order)] = selector.name
            return len(order)
        return order.index(selector.name)

    def _claim(self, text: str, node: _Node, attribute: str, place: int | None) -> None:
        """Refuse a second path to the same place."""
        key = (id(node.message), attribute, place)
        if key in self._set:
            self._fail(text, f"'{self._set[key]}' for the same place", "one field or constant for one place")
        self._set[key] = text

    # Constants

    def _constant(self, text: str, value: Any) -> None:
        node, attribute, place = self._walk(Path.parse(text))
        kind = node.types[attribute]
        self._claim(text, node, attribute, place)
        if kind.array is None:
            setattr(node.message, attribute, self._converted(text, kind, value, getattr(node.message, attribute)))
            return
        entries = self._array(node, attribute)
        if place is not None:
            entries[place] = self._converted(text, kind, value, None)
            return
        if not isinstance(value, list):
            self._fail(text, repr(value), f"a list, for the field is {kind}")
        if isinstance(kind.array, int) and len(value) != kind.array:
            self._fail(text, f"a list of {len(value)}", f"{kind.array} entries, for the field is {kind}")
        entries.update(enumerate(self._converted(text, kind, each, None) for each in value))

    def _converted(self, text: str, kind: FieldType, value: Any, message: Any) -> Any:
        """A constant as the message takes it."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind.base in TEXTS and isinstance(value, str):
            return value
        if kind.base == "bool" and isinstance(value, bool):
            return value
        if kind.base in ("float32", "float64") and number:
            return float(value)
        whole = NUMBERS.get(kind.base)
        if whole and number and value == value and abs(value) != math.inf:
            least, most = whole
            if value == int(value) and least <= value <= most:
                return int(value)
            self._fail(text, repr(value), f"a whole number from {least} to {most}")
        if kind.base in DURATIONS and kind.array is None and number and math.isfinite(value):
            message.sec, message.nanosec = divmod(round(value * _NANOSECONDS), _NANOSECONDS)
            return message
        wanted = {"bool": "true or false", "float32": "a number", "float64": "a number"}
        wanted |= dict.fromkeys(TEXTS, "a text") | dict.fromkeys(DURATIONS, "a number of seconds")
        expected = wanted.get(kind.base, f"a constant for each of its fields, for it is {kind}")
        self._fail(text, repr(value), expected if not kind.is_number else wanted.get(kind.base, "a whole number"))

    # Fields

    def _bind(self, field) -> Callable[[], Callable[[float], None]]:
        """Make room for a field; what is returned makes the function that writes it, once the message is whole."""
        node, attribute, place = self._walk(field.parsed)
        kind = node.types[attribute]
        if kind.array is not None and place is None:
            self._fail(field.path, f"{kind}, an array", "an index or a name")
        if not kind.is_number:
            what = "a message" if kind.is_message else "a text" if kind.base in TEXTS else "bytes"
            self._fail(field.path, f"{kind}, {what}", "a number")
        if field.functions or field.replace or field.clip or field.size is not None:
            self._fail(field.path, "more than scale and offset", "these alone in a command")
        self._claim(field.path, node, attribute, place)
        if place is not None:
            self._array(node, attribute)[place] = math.nan if kind.base.startswith("float") else 0
        convert = _conversion(field, kind, lambda found, expected: self._fail(field.path, found, expected))
        return lambda: _put(node.message, attribute, place, convert)

    # The whole

    def _fill(self) -> None:
        """Put the arrays into the message; refuse those with a hole or without an entry for each name."""
        for (owner, attribute), entries in [item for item in self._arrays.items() if item[1]]:
            node = self._owners[owner]
            kind, text = node.types[attribute], node.at(attribute)
            listing = node.names()
            names = self._array(*listing) if listing and attribute not in NAMES and kind.array == "sequence" else None
            named = (owner, attribute) in self._named
            length = max(entries) + 1
            if names is not None and (named or not kind.is_message):
                if not named and listing and length != len(names):
                    found = f"{length} entries and {len(names)} names in '{listing[0].at(listing[1])}'"
                    self._fail(text, found, f"one each; name them ('{text}[elbow]') or give the names as a constant")
                length = len(names)
            holes = [place for place in range(length) if place not in entries]
            if named and not kind.is_message:
                if holes and not kind.base.startswith("float"):
                    self._fail(text, f"no value for some of the names, in {kind}", "every name bound or constant")
                entries |= dict.fromkeys(holes, math.nan)
            elif holes and kind.array == "sequence":
                found = f"nothing for '{text}[{holes[0]}]'"
                self._fail(text, found, "a field or a constant for every entry up to the last")
            if kind.is_message:
                continue
            values = getattr(node.message, attribute)
            if kind.array == "sequence":
                setattr(node.message, attribute, [entries[place] for place in range(length)])
            else:
                for place, value in entries.items():
                    values[place] = value

    def _check_times(self) -> None:
        """A point of a trajectory that is to be reached at once is refused by its receiver."""
        for node in self._nodes.values():
            if node.types.get("time_from_start") not in {FieldType(kind) for kind in DURATIONS}:
                continue
            time = node.message.time_from_start
            bound = any((id(time), part, None) in self._set for part in ("sec", "nanosec"))
            if not bound and time.sec + time.nanosec / _NANOSECONDS <= 0.0:
                path = node.at("time_from_start")
                self._fail(path, "0 s", "a constant above 0, the time in which the point is to be reached")


def _conversion(field, kind: FieldType, fail: Callable[[str, str], NoReturn]) -> Callable[[float], object]:
    """From a command's value to what stands in the message."""
    scale, offset = field.scale, field.offset
    if scale == 0.0:
        fail("scale 0", "any other number")
    plain = scale == 1.0 and offset == 0.0
    if kind.base == "bool":
        return lambda value: bool((value - offset) / scale >= 0.5)
    if kind.base.startswith("float"):
        return float if plain else lambda value: (float(value) - offset) / scale
    whole = NUMBERS[kind.base]
    assert whole is not None, "floats and truth values are dealt with above"
    least, most = whole
    for limit in (field.minimum, field.maximum):
        sent = (limit - offset) / scale
        if math.isfinite(sent) and not least <= round(sent) <= most:
            fail(f"{sent:g} at the limit {limit:g}", f"numbers from {least} to {most} for {kind}")
    return lambda value: round((float(value) - offset) / scale)


def _put(message: object, attribute: str, place: int | None, convert: Callable) -> Callable[[float], None]:
    """Writes one number."""
    if place is None:
        return lambda value: setattr(message, attribute, convert(value))
    entries = getattr(message, attribute)
    if isinstance(entries, np.ndarray):
        return lambda value: entries.__setitem__(place, convert(value))

    def put(value: float) -> None:
        entries[place] = convert(value)

    return put

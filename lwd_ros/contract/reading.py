"""Reading a stream's fields from its messages, fast: what can be decided once is decided at the first message."""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.functions import ANGLE, ANGLES, ARRAY, finish, finish_array, norm, replaced_in, replacement
from lwd_ros.contract.paths import Index, Key, Name, Slice
from lwd_ros.contract.picking import (
    COMPONENTS,
    Pick,
    Unaddressed,
    equals,
    is_array,
    is_component,
    is_rotation,
    middles,
    pick,
    vector_components,
)
from lwd_ros.contract.quaternions import NORM_TOLERANCE, sign_of

__all__ = ["Unaddressed", "reader"]

_FLOAT64 = np.dtype(np.float64)
_WRONG = (AttributeError, IndexError, TypeError, ValueError)  # what anything unexpected in a message ends in


def reader(fields: Sequence) -> Callable[[object], np.ndarray]:
    """A function that reads `fields` (of type Field) from a message: float64 [sum of sizes], in the fields' order.

    The message is any object with the fields as attributes, live or recorded. What is wrong with it raises
    ContractError with one sentence; Unaddressed where it has none of the names that the fields select. Components of
    a quaternion are read with one sign (see `sign_towards`). The function keeps what it learnt from the last message,
    so it serves one thread and one stream.
    """
    fields = tuple(fields)
    kind = run = None

    def read(message) -> np.ndarray:
        nonlocal kind, run
        if type(message) is kind:
            try:
                return run(message)
            except _WRONG:
                return pick(message, fields)[0]  # which says what is wrong
        values, ways = pick(message, fields)
        kind, run = type(message), _compiled(fields, ways)
        return values

    return read


def _getter(attributes: Sequence[str]) -> Callable[[Any], Any]:
    return attrgetter(".".join(attributes)) if attributes else lambda value: value


def _taker(places: Sequence[int]) -> Callable[[Sequence], tuple]:
    if len(places) == 1:
        (place,) = places
        return lambda entries: (entries[place],)
    return itemgetter(*places)


class _Lookup:
    """The places of names in the list of one message, looked up anew only where the list is not that of the last."""

    def __init__(self, names: Callable[[object], list]):
        self._names = names
        self._groups: list[tuple[str, ...]] = []
        self.takers: list[Callable] = []
        """By group: what takes its names' entries from an array, in their order."""

    def group(self, names: tuple[str, ...]) -> int:
        """Names whose entries are taken from one array; returns the group's place among `takers`."""
        self._groups.append(names)
        return len(self._groups) - 1

    def step(self) -> Callable[[object], None]:
        get, groups, last = self._names, self._groups, None

        def look(owner) -> None:
            nonlocal last
            names = get(owner)
            if names != last:  # the order may change from message to message
                last = None
                names = list(names)  # a copy: the message may be filled anew
                self.takers = [_taker([names.index(name) for name in group]) for group in groups]
                last = names

        return look


class _Plan:
    """The steps that lead from a message to the objects that fields are taken from, each of them made once.

    Register 0 is the message; each step makes the next from one before it. Attributes need no step of their own, a
    choice from an array does.
    """

    def __init__(self):
        self.steps: list[tuple[int, Callable]] = []
        self._registers: dict[tuple, int] = {(): 0}
        self._lookups: dict[tuple, _Lookup] = {}

    def add(self, register: int, step: Callable) -> int:
        self.steps.append((register, step))
        return len(self.steps)

    def reach(self, path: tuple, way: Pick) -> tuple[int, tuple[str, ...]]:
        """The register nearest to the end of `path`, some of a field's steps, and the attributes from there on."""
        length = len(path)
        while length and isinstance(path[length - 1], str):
            length -= 1
        base = path[:length]
        if base not in self._registers:
            register, attributes = self.reach(base[:-1], way)
            entries, choice = _getter(attributes), base[-1]
            if isinstance(choice, Name):
                lookup = self.lookup(base, way)
                step = _by_name(entries, lookup, lookup.group((choice.name,)))
            else:
                step = _by_index(entries, choice.place) if isinstance(choice, Index) else _by_key(entries, choice)
            self._registers[base] = self.add(register, step)
        return self._registers[base], path[length:]

    def reach_numbers(self, field, way: Pick) -> tuple[int, tuple[str, ...], Slice | None]:
        """`reach` for a field of several numbers, and its slice."""
        steps = field.parsed.steps
        part = steps[-1] if isinstance(steps[-1], Slice) else None
        return *self.reach(steps if part is None else steps[:-1], way), part

    def lookup(self, path: tuple, way: Pick) -> _Lookup:
        """The lookup of the names that the last of some of a field's steps, a name, belongs to."""
        owner, attribute = way.owners[len(path) - 1]
        names = (*path[:owner], attribute)
        if names not in self._lookups:
            register, attributes = self.reach(path[:owner], way)
            lookup = self._lookups[names] = _Lookup(_getter((*attributes, attribute)))
            self.add(register, lookup.step())
        return self._lookups[names]


def _by_index(entries: Callable, place: int) -> Callable:
    return lambda owner: entries(owner)[place]


def _by_name(entries: Callable, lookup: _Lookup, group: int) -> Callable:
    return lambda owner: lookup.takers[group](entries(owner))[0]


def _by_key(entries: Callable, choice: Key) -> Callable:
    key, value = attrgetter(choice.key), choice.value

    def search(owner):
        for each in entries(owner):
            found = key(each)
            if found == value or (not isinstance(found, str) and equals(found, value)):
                return each
        raise ContractError("not there")  # `pick` has the sentence

    return search


def _attributes(parent: tuple[str, ...], names: Sequence[str]) -> Callable[[object], tuple]:
    """Takes attributes of one message."""
    if len(names) == 1:
        one = _getter((*parent, *names))
        return lambda owner: (one(owner),)
    several = attrgetter(*names)
    if not parent:
        return several
    get = _getter(parent)
    return lambda owner: several(get(owner))


def _rotation(parent: tuple[str, ...], names: Sequence[str], middle: Sequence[float]) -> Callable[[object], tuple]:
    """Takes components of a quaternion, under the sign that `sign_towards` gives it."""
    get, components, sqrt = _getter(parent), attrgetter(*COMPONENTS), math.sqrt
    least, most = 1.0 - NORM_TOLERANCE, 1.0 + NORM_TOLERANCE
    chosen = None if tuple(names) == COMPONENTS else _taker([COMPONENTS.index(name) for name in names])
    mx, my, mz, mw = middle
    central = not any(middle)

    def take(owner) -> tuple:
        x, y, z, w = quaternion = components(get(owner))
        if not least <= sqrt(x * x + y * y + z * z + w * w) <= most:
            raise ContractError("no rotation")  # `pick` has the sentence
        along = w if central else x * mx + y * my + z * mz + w * mw
        if along < 0.0 or (along == 0.0 and sign_of(x, y, z, w) < 0.0):
            quaternion = (-x, -y, -z, -w)
        return quaternion if chosen is None else chosen(quaternion)

    return take


def _entries(array: tuple[str, ...], places: Sequence[int]) -> Callable[[object], tuple]:
    """Takes entries of an array by index."""
    get, take = _getter(array), _taker(places)
    return lambda owner: take(get(owner))


def _named(array: tuple[str, ...], lookup: _Lookup, group: int) -> Callable[[object], tuple]:
    """Takes entries of an array by name."""
    get = _getter(array)
    return lambda owner: lookup.takers[group](get(owner))


def _numbers(path: tuple[str, ...], part: Slice | None, size: int | None) -> Callable[[object], np.ndarray]:
    """Takes an array, or a slice of it, as float64 [size] (any number above 0 for None)."""
    get, start = _getter(path), 0 if part is None else part.start
    stop = None if part is None else part.stop
    least = start + 1 if stop is None else stop
    chosen = None if part is None else slice(part.start, part.stop, part.step)

    def take(owner) -> np.ndarray:
        entries = get(owner)
        if len(entries) < least:
            raise IndexError
        numbers = np.array(entries if chosen is None else entries[chosen], dtype=_FLOAT64)
        if size is not None and len(numbers) != size:
            raise ContractError("another size")  # `pick` has the sentence
        return numbers

    return take


def _angle(name: str, parent: tuple[str, ...]) -> Callable[[object], tuple]:
    """Takes an angle of a rotation."""
    get, components, angle, sqrt = _getter(parent), attrgetter(*COMPONENTS), ANGLE[name], math.sqrt
    least, most = 1.0 - NORM_TOLERANCE, 1.0 + NORM_TOLERANCE

    def take(owner) -> tuple:
        x, y, z, w = components(get(owner))
        if not least <= sqrt(x * x + y * y + z * z + w * w) <= most:
            raise ContractError("no rotation")  # `pick` has the sentence
        return (angle(x, y, z, w),)

    return take


def _reduction(field, way: Pick, attributes: tuple[str, ...], part: Slice | None) -> Callable[[object], tuple]:
    """Takes one number made of several."""
    if field.reducing in ANGLES:
        return _angle(field.reducing, attributes)
    pairs = field.replace
    if is_array(way.value):
        numbers, function = _numbers(attributes, part, None), ARRAY[field.reducing]
        return lambda owner: (function(replaced_in(numbers(owner), pairs)),)
    components = _attributes(attributes, vector_components(way.value, field.path))
    if not pairs:
        return lambda owner: (norm(components(owner)),)
    new = replacement(pairs)
    return lambda owner: (norm(list(map(new, components(owner)))),)


def _grouped(fields: Sequence, ways: Sequence[Pick]) -> tuple[_Plan, list, list[int]]:
    """The plan, what takes the single numbers as (register, take), and the fields that these come from, in order."""
    plan, alone = _Plan(), []
    groups: dict[tuple, list[tuple[int, Any, Pick]]] = {}
    for place, (field, way) in enumerate(zip(fields, ways, strict=True)):
        if field.size is not None:
            continue
        if field.reducing:
            register, rest, part = plan.reach_numbers(field, way)
            alone.append((register, _reduction(field, way, rest, part), place))
            continue
        *path, last = field.parsed.steps
        path = tuple(path)
        register, rest = plan.reach(path, way)
        if isinstance(last, str):
            kind = "rotation" if is_component(field) and is_rotation(way.way[-2]) else "attributes"
        else:
            kind = "names" if isinstance(last, Name) else "entries"
        owner = way.owners[len(path)] if kind == "names" else None
        groups.setdefault((kind, register, rest, owner, path), []).append((place, last, way))
    centers, takes, order = middles(fields), [], []
    for (kind, register, rest, _, path), members in groups.items():
        order += [place for place, *_ in members]
        chosen = [last for _, last, _ in members]
        if kind == "rotation":
            take = _rotation(rest, chosen, centers[path])
        elif kind == "attributes":
            take = _attributes(rest, chosen)
        elif kind == "entries":
            take = _entries(rest, [choice.place for choice in chosen])
        else:
            lookup = plan.lookup((*path, chosen[0]), members[0][2])
            take = _named(rest, lookup, lookup.group(tuple(choice.name for choice in chosen)))
        takes.append((register, take))
    for register, take, place in alone:
        takes.append((register, take))
        order.append(place)
    return plan, takes, order


def _compiled(fields: Sequence, ways: Sequence[Pick]) -> Callable[[object], np.ndarray]:
    """What reads the fields from messages of the kind whose first has been picked from."""
    plan, takes, order = _grouped(fields, ways)
    vectors, offset, targets = [], 0, {}
    for place, (field, way) in enumerate(zip(fields, ways, strict=True)):
        if field.size is not None:
            register, rest, part = plan.reach_numbers(field, way)
            vectors.append((register, _numbers(rest, part, field.size), slice(offset, offset + field.size), field))
        targets[place] = offset
        offset += field.places
    singles = _singles(fields, takes, order)
    vectors = [(register, take, target, finish_array(field)) for register, take, target, field in vectors]
    alone = _alone(plan.steps, takes, vectors, all(finish(field, bool(field.reducing)) is None for field in fields))
    if alone is not None:
        return alone
    return _runner(plan.steps, singles, vectors, [targets[place] for place in sorted(order)], offset)


def _alone(steps: list, takes: list, vectors: list, plain: bool) -> Callable[[object], np.ndarray] | None:
    """What reads fields that one look at the message gives, as most streams' are: the same with less around it."""
    if steps or not plain or len(takes) + len(vectors) != 1:
        return None
    if vectors:
        return vectors[0][1]
    take, array = takes[0][1], np.array

    def run(message) -> np.ndarray:
        values = array(take(message))
        return values if values.dtype is _FLOAT64 else _floats(values)

    return run


def _singles(fields: Sequence, takes: list, order: list[int]) -> Callable[[list], Sequence] | None:
    """What takes all single numbers from the registers, in the order of their fields."""
    if not takes:
        return None
    ranks = sorted(order)
    sort = None if order == ranks else itemgetter(*[order.index(place) for place in ranks])
    finished = ((rank, finish(fields[place], bool(fields[place].reducing))) for rank, place in enumerate(ranks))
    ready = [(rank, function) for rank, function in finished if function is not None]

    def singles(registers: list) -> Sequence:
        items: Any = []
        for register, take in takes:
            items += take(registers[register])
        if sort is not None:
            items = sort(items)
        if ready:
            items = list(items)
            for rank, function in ready:
                items[rank] = function(items[rank])
        return items

    return singles


def _floats(items: Sequence | np.ndarray) -> np.ndarray:
    """float64 [n] of numbers, whatever their kind; ValueError for texts, which NumPy would take for numbers."""
    values = np.array(items)
    if values.dtype is not _FLOAT64:
        if values.dtype.kind not in "biuf":
            raise ValueError
        values = values.astype(_FLOAT64)
    return values


def _runner(steps: list, singles, vectors: list, targets: list[int], size: int) -> Callable[[object], np.ndarray]:
    def registers_of(message) -> list:
        registers = [message]
        for register, step in steps:
            registers.append(step(registers[register]))
        return registers

    if not vectors:
        return lambda message: _floats(singles(registers_of(message)))

    def run(message) -> np.ndarray:
        registers, values = registers_of(message), np.empty(size)
        if singles is not None:
            values[targets] = _floats(singles(registers))
        for register, take, target, ready in vectors:
            numbers = take(registers[register])
            values[target] = numbers if ready is None else ready(numbers)
        return values

    return run

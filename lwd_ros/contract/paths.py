"""The path of a message field, as a binding writes it: attributes, and what is chosen from an array.

    pose.position.x                       attributes
    pose.covariance[7]                    the entry at an index, from 0
    position[elbow]                       the entry in the place of 'elbow' in the message's list of names
    transforms[child_frame_id=tool0].transform.translation.x      the message whose field has a value
    ranges[0:360:10]                      a slice, Python's rule, at the end of a path

No library but this one knows the syntax: parse it with `Path.parse`, write it with `str`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from lwd_ros.contract.errors import ContractError

NAMES = ("name", "joint_names", "names", "interface_names")
"""Attributes, in this order, that list the names of a message's parallel arrays."""

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SELECTOR = re.compile(r"\[([^\[\]]*)\]")
_INDEX = re.compile(r"-?[0-9]+")
_SLICE = re.compile(r"(-?[0-9]*):(-?[0-9]*)(?::(-?[0-9]*))?")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_.]*)=(.+)")
_LONGEST_INDEX = 9  # digits: no array has more entries, and int() of a long text is slow


@dataclass(frozen=True)
class Index:
    """The entry at a place, from 0."""

    place: int

    def __str__(self) -> str:
        return f"[{self.place}]"


@dataclass(frozen=True)
class Name:
    """The entry in the place that a name has in the list of names of the nearest enclosing message that has one."""

    name: str

    def __str__(self) -> str:
        return f"[{self.name}]"


@dataclass(frozen=True)
class Key:
    """Of a list of messages, the first whose field `key` (attributes, with dots between) equals `value`."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"[{self.key}={self.value}]"


@dataclass(frozen=True)
class Slice:
    """Entries from `start` up to `stop`, not included, every `step`-th; None for `stop` is the array's end."""

    start: int = 0
    stop: int | None = None
    step: int = 1

    def __str__(self) -> str:
        stop = "" if self.stop is None else self.stop
        return f"[{self.start}:{stop}{'' if self.step == 1 else f':{self.step}'}]"


Selector = Index | Name | Key | Slice


@dataclass(frozen=True)
class Element:
    """An attribute of a message, and what is chosen from it where it is an array."""

    attribute: str
    selectors: tuple[Selector, ...] = ()

    def __str__(self) -> str:
        return self.attribute + "".join(map(str, self.selectors))


@dataclass(frozen=True)
class Path:
    """The way from a message to one of its numbers, to an array of them, or to a message in it."""

    elements: tuple[Element, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.elements))

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Read a path.

        Raises:
            ContractError: `text` is no path; says what was found and what was expected.
        """
        if not isinstance(text, str) or not text:
            raise ContractError(f"found {text!r}, expected a message field such as pose.position.x")
        return _parse(text)

    @property
    def steps(self) -> tuple[str | Selector, ...]:
        """The path one step after the other: a text is an attribute, anything else chooses from an array."""
        return tuple(step for element in self.elements for step in (element.attribute, *element.selectors))

    def with_prefix(self, prefix: str) -> "Path":
        """This path for an arm whose joints have a prefix: `position[elbow]` becomes `position[left_elbow]`.

        The first name of a path is a joint's; a further one is that of a joint's interface and stays as it is:
        `interface_values[elbow].values[position]`.
        """
        elements, done = [], not prefix
        for element in self.elements:
            selectors = []
            for selector in element.selectors:
                if isinstance(selector, Name) and not done:
                    selector, done = Name(prefix + selector.name), True
                selectors.append(selector)
            elements.append(Element(element.attribute, tuple(selectors)))
        return Path(tuple(elements))


@lru_cache(maxsize=1024)
def _parse(text: str) -> Path:
    elements, place = [], 0
    while True:
        attribute = _ATTRIBUTE.match(text, place)
        if not attribute:
            rest = repr(text[place:]) if place < len(text) else "nothing"
            raise ContractError(f"found {text!r}, expected an attribute's name where it says {rest}")
        place, selectors = attribute.end(), []
        while chosen := _SELECTOR.match(text, place):
            selectors.append(_selector(text, chosen[1]))
            place = chosen.end()
        elements.append(Element(attribute[0], tuple(selectors)))
        if place == len(text):
            break
        if text[place] != ".":
            raise ContractError(f"found {text!r}, expected a dot or [...] where it says {text[place:]!r}")
        place += 1
    path = Path(tuple(elements))
    if any(isinstance(step, Slice) for step in path.steps[:-1]):
        raise ContractError(f"found {text!r}, expected a slice at the end of the path only")
    return path


def _selector(text: str, inner: str) -> Selector:
    """What stands between brackets."""
    if not inner.strip() or inner != inner.strip():
        raise ContractError(f"found {text!r}, expected an index, a name, key=value or a slice in '[{inner}]'")
    if _INDEX.fullmatch(inner):
        return Index(_whole(text, inner))
    if ends := _SLICE.fullmatch(inner):
        start, stop, step = (None if not end else _whole(text, end) for end in ends.groups())
        if step == 0:
            raise ContractError(f"found {text!r}, expected a slice's step above 0")
        if stop is not None and stop <= (start or 0):
            raise ContractError(f"found {text!r}, expected a slice that ends after its start")
        return Slice(start or 0, stop, step or 1)
    if pair := _KEY.fullmatch(inner):
        return Key(*pair.groups())
    return Name(inner)


def _whole(text: str, digits: str) -> int:
    if digits.startswith("-") or len(digits) > _LONGEST_INDEX:
        raise ContractError(f"found {text!r}, expected an index from 0 up where it says {digits}")
    return int(digits)

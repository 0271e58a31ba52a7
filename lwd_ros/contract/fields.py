"""The message fields that a binding names: what is picked from a message, and what becomes of the numbers.

`reader` and `writer` work on any object shaped like the message, live or recorded; there is no list of types.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lwd_ros.contract.errors import ContractError, Section, fail
from lwd_ros.contract.functions import ANGLES, REDUCING, SHAPING
from lwd_ros.contract.paths import Path, Slice
from lwd_ros.contract.reading import Unaddressed, reader
from lwd_ros.contract.writing import writer

__all__ = ["Field", "Unaddressed", "reader", "writer"]


@dataclass(frozen=True)
class Field:
    """Where a scalar, or a vector of them, stands in a message, and how its numbers become the contract's.

    Read: the raw numbers at `path`; `replace` exchanges some of them (pairs of old and new, NaN equal to NaN); a
    reducing function makes one of several; times `scale` plus `offset`; a shaping function; `clip` to `minimum` and
    `maximum`, which are the scalar's limits. Written: (value - `offset`) / `scale`.
    `size` is that of a vector, None for one number.
    """

    path: str
    functions: tuple[str, ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    replace: tuple[tuple[float, float], ...] = ()
    clip: bool = False
    size: int | None = None
    minimum: float = -math.inf
    maximum: float = math.inf

    def __post_init__(self):
        """Raise a ContractError on what no message could mend."""
        path = self.parsed
        known = all(function in (*REDUCING, *SHAPING) for function in self.functions)
        kinds = [function in SHAPING for function in self.functions] if known else []
        if kinds not in ([], [False], [True], [False, True]) or not known:
            expected = f"one of {', '.join(REDUCING)}, then one of {', '.join(SHAPING)}; either may be left out"
            raise ContractError(f"function: found {', '.join(map(str, self.functions))}, expected {expected}")
        if self.scale == 0.0:
            raise ContractError("scale: found 0, expected any other number")
        if self.reducing and self.size is not None:
            found = f"'{self.reducing}', which gives one number, for a vector of {self.size}"
            raise ContractError(f"function: found {found}, expected none, or one of {', '.join(SHAPING)}")
        if self.reducing in ANGLES and self.replace:
            raise ContractError(f"replace: found numbers to replace in a rotation, expected none with {self.reducing}")
        if isinstance(path.steps[-1], Slice) and self.size is None and not self.reducing:
            expected = "a scalar with a size, or a function that makes one number of several"
            raise ContractError(f"found {self.path!r}, a slice, expected {expected}")

    @classmethod
    def parse(
        cls,
        value: str | Mapping,
        where: str,
        key: str,
        *,
        command: bool = False,
        size: int | None = None,
        minimum: float = -math.inf,
        maximum: float = math.inf,
    ) -> "Field":
        """Read a field as a contract file gives it: a path, or a mapping with the key `field` and others.

        `where` (the file) and `key` (the field's key in it) begin each error's text. `size`, `minimum` and `maximum`
        are those of the contract's scalar. A `command` has `scale` and `offset` alone.

        Raises:
            ContractError: a key, a path or a function is wrong.
        """
        if isinstance(value, str):
            return cls._built(where, key, path=value, size=size, minimum=minimum, maximum=maximum)
        if not isinstance(value, Mapping):
            fail(where, key, value, "a text, the path of a message field, or a mapping with the key 'field'")
        section = Section(value, where, key)
        section.only("field", "scale", "offset", *(() if command else ("function", "replace", "clip")))
        return cls._built(
            where,
            key,
            path=section.text("field"),
            functions=_functions(section),
            scale=section.number("scale") if "scale" in value else 1.0,
            offset=section.number("offset") if "offset" in value else 0.0,
            replace=_replaced(section),
            clip=_truth(section, "clip"),
            size=size,
            minimum=minimum,
            maximum=maximum,
        )

    @classmethod
    def _built(cls, where: str, key: str, path: str, **others) -> "Field":
        try:
            return cls(str(Path.parse(path)), **others)
        except ContractError as error:
            text = str(error)
            part, _, rest = text.partition(": found ")
            if part in ("function", "scale", "replace"):
                key, text = f"{key}.{part}", f"found {rest}"
            raise ContractError(f"{where}: key '{key}': {text}") from error

    @property
    def parsed(self) -> Path:
        """The path's parts."""
        return Path.parse(self.path)

    @property
    def reducing(self) -> str | None:
        """The function that makes one number of several."""
        return next((function for function in self.functions if function in REDUCING), None)

    @property
    def shaping(self) -> str | None:
        """The function of one number."""
        return next((function for function in self.functions if function in SHAPING), None)

    @property
    def places(self) -> int:
        """How many numbers the field gives."""
        return 1 if self.size is None else self.size

    def with_prefix(self, prefix: str) -> "Field":
        """This field for joints whose names have a prefix (see `Path.with_prefix`)."""
        return replace(self, path=str(self.parsed.with_prefix(prefix)))


def _functions(section: Section) -> tuple[str, ...]:
    value = section.value.get("function", [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(function, str) for function in values):
        expected = f"one of {', '.join((*REDUCING, *SHAPING))}, or a list of two"
        fail(section.where, section.path("function"), value, expected)
    return tuple(values)


def _replaced(section: Section) -> tuple[tuple[float, float], ...]:
    if "replace" not in section.value:
        return ()
    pairs, expected = section.value["replace"], "a mapping from numbers to the numbers that stand for them, no NaN"
    if not isinstance(pairs, Mapping) or not pairs:
        fail(section.where, section.path("replace"), pairs, expected)
    numbers = [number for pair in pairs.items() for number in pair]
    if not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
        fail(section.where, section.path("replace"), dict(pairs), expected)
    try:
        result = tuple((float(old), float(new)) for old, new in pairs.items())
    except OverflowError:
        fail(section.where, section.path("replace"), dict(pairs), expected)
    if any(math.isnan(new) for _, new in result):
        fail(section.where, section.path("replace"), dict(pairs), expected)
    return result


def _truth(section: Section, key: str) -> bool:
    value = section.value.get(key, False)
    if not isinstance(value, bool):
        fail(section.where, section.path(key), value, "true or false")
    return value

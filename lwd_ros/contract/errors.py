"""The error that a contract's author can mend, and the checks that raise it."""

import math
from collections.abc import Mapping

from lwd_ros.errors import LwdError


class ContractError(LwdError):
    """A contract, or data said to follow one, is wrong: says the key, what was found and what was expected."""


def fail(where: str, key: str, found: object, expected: str) -> None:
    """Raise a ContractError that names the file, the key, what was found and what was expected."""
    raise ContractError(f"{where}: key '{key}': found {found!r}, expected {expected}")


def _finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


class Section:
    """One mapping of a contract file, read key by key, so that each error names its key."""

    def __init__(self, value: object, where: str, key: str = ""):
        if not isinstance(value, Mapping):
            fail(where, key or "(the whole file)", value, "a mapping")
        self.value, self.where, self.key = value, where, key

    def path(self, key: str) -> str:
        """The key's full path in the file, e.g. 'binding.command.on_fault'."""
        return f"{self.key}.{key}" if self.key else key

    def only(self, *keys: str) -> None:
        """Refuse keys that nobody reads: a misspelt key would otherwise be ignored in silence."""
        for key in self.value:
            if key not in keys:
                fail(self.where, self.path(str(key)), key, "one of " + ", ".join(keys))

    def names(self) -> tuple[str, ...]:
        """The keys of a mapping from names, at least one, all of them texts (YAML reads an unquoted `on` as true)."""
        if not self.value:
            fail(self.where, self.key, "nothing", "at least one scalar")
        for name in self.value:
            if not isinstance(name, str) or not name:
                fail(self.where, self.path(str(name)), name, "a text as a scalar's name")
        return tuple(self.value)

    def _get(self, key: str, expected: str) -> object:
        if key not in self.value:
            fail(self.where, self.path(key), "nothing", expected)
        return self.value[key]

    def section(self, key: str) -> "Section":
        """A nested mapping."""
        return Section(self._get(key, "a mapping"), self.where, self.path(key))

    def sections(self, key: str) -> list["Section"]:
        """A list of nested mappings, not empty."""
        items = self._get(key, "a list of mappings")
        if not isinstance(items, list) or not items:
            fail(self.where, self.path(key), items, "a list of mappings, not empty")
        return [Section(item, self.where, f"{self.path(key)}[{i}]") for i, item in enumerate(items)]

    def text(self, key: str, choices: tuple[str, ...] = ()) -> str:
        """A non-empty string, one of `choices` where given."""
        expected = "one of " + ", ".join(choices) if choices else "a text"
        value = self._get(key, expected)
        if not isinstance(value, str) or not value or (choices and value not in choices):
            fail(self.where, self.path(key), value, expected)
        return value

    def plain(self, key: str) -> str | None:
        """A string, which may be empty; None where the key is absent."""
        value = self.value.get(key)
        if key in self.value and not isinstance(value, str):
            fail(self.where, self.path(key), value, "a text")
        return value

    def texts(self, key: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """A list of strings, each one of `choices`; an absent key is an empty list."""
        values = self.value.get(key, [])
        if not isinstance(values, list) or any(value not in choices for value in values):
            fail(self.where, self.path(key), values, "a list of names among " + ", ".join(choices))
        return tuple(values)

    def number(self, key: str, above: float = -math.inf) -> float:
        """A finite number larger than `above`."""
        expected = "a finite number" + ("" if math.isinf(above) else f" above {above:g}")
        value = self._get(key, expected)
        if not _finite(value) or value <= above:
            fail(self.where, self.path(key), value, expected)
        return float(value)

    def count(self, key: str) -> int:
        """A whole number from 1 up."""
        value = self._get(key, "a whole number from 1 up")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            fail(self.where, self.path(key), value, "a whole number from 1 up")
        return value

    def truth(self, key: str) -> bool:
        """True or false; false where the key is absent."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            fail(self.where, self.path(key), value, "true or false")
        return value

    def limits(self, key: str) -> tuple[float, float]:
        """A pair [minimum, maximum] of finite numbers, minimum < maximum."""
        expected = "[minimum, maximum], two finite numbers, the first the smaller"
        value = self._get(key, expected)
        pair = isinstance(value, list) and len(value) == 2 and all(_finite(v) for v in value)
        if not pair or float(value[0]) >= float(value[1]):
            fail(self.where, self.path(key), value, expected)
        return float(value[0]), float(value[1])

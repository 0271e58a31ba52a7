"""Choosing episodes by their numbers, as a user writes them: "0:5,7"."""

import re
from collections.abc import Sequence

from lwd_ros.dataset.demonstrations import DatasetError

_PART = re.compile(r"([0-9]+)(?::([0-9]+))?")


def picked(text: str, known: Sequence[int], where: str) -> set[int]:
    """The numbers that are meant: "3", "0:5" (the end left out), several separated by commas; all where empty.

    Raises:
        DatasetError: beginning with `where`; the text is none of these, or a number is not among the known ones.
    """
    if not text:
        return set(known)
    there, numbers = set(known), set[int]()
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise DatasetError(f"{where}: found '{part}', expected numbers such as 3 or 0:5, separated by commas")
        first, end = int(match[1]), int(match[2]) if match[2] else int(match[1]) + 1
        if end <= first:
            raise DatasetError(f"{where}: found '{part}', expected an end above {first}")
        unknown = next((number for number in range(first, min(end, first + 10**7)) if number not in there), None)
        if unknown is not None:
            span = f"{min(known)} to {max(known)}" if known else "none"
            raise DatasetError(f"{where}: found episode {unknown}, expected one of those that are there ({span})")
        numbers |= set(range(first, end))
    return numbers

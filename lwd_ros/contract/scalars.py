"""Scalars of a first contract: names that are unique, limits around what was seen, and doubts about them."""

import math
import re

from lwd_ros.contract.contract import AGE
from lwd_ros.contract.drafts import Scalar
from lwd_ros.contract.functions import ANGLES
from lwd_ros.contract.rest import KEEP, LAST_COMMAND, ZERO
from lwd_ros.contract.sightings import ARRAYS, JOINTS, TRAJECTORY, Place, Series, Sighting

NAMED = (JOINTS, TRAJECTORY, *ARRAYS)
"""Types whose messages are arrays of joints' numbers."""

_MARGIN = 0.1  # of what was seen, on each side of the limits
_MOST_RAD = 4 * math.pi  # joints that turn further are probably in degrees
_STILL = 1e-6  # what changes by less stands still
_HALF_TURN, _QUARTER_TURN = 3.15, 1.58
_RESERVED = (ZERO, KEEP, LAST_COMMAND, AGE, "on", "off", "yes", "no", "y", "n", "true", "false", "null")


class Scalars:
    """Makes the scalars of one contract; `doubts` are sentences on what in it is doubtful."""

    def __init__(self) -> None:
        self.doubts: list[str] = []
        self._taken: set[str] = set()

    def scalar(self, place: Place, series: Series, each: Sighting, command: bool = False) -> Scalar:
        """A scalar of a place, with limits around what was seen. A `command` of a position is called its target."""
        low, high = series.range
        limits = _limits(low, high)
        if place.function in ANGLES:
            half = _QUARTER_TURN if place.function == "pitch" else _HALF_TURN
            limits = (-half, half)
        elif re.search(r"(orientation|rotation)\.[xyzw]$", place.path):
            limits = (-1.0, 1.0)
        name = self.named(place.name + "_target" * (command and place.unit in ("m", "rad")), each)
        path = field_text(place)
        text = f"{{field: {path}, function: {place.function}}}" if place.function else path
        seen = f"{len(series.values):,} values, {low:.4g} to {high:.4g}"
        joints = each.type in NAMED
        if joints and place.unit == "rad" and max(abs(low), abs(high)) > _MOST_RAD:
            self.doubts.append(
                f"{name}: seen {low:.4g} to {high:.4g} in rad, more than two turns; degrees? Then give its field "
                "scale: 0.017453292519943295 and its limits in rad"
            )
        return Scalar(name, place.unit, limits, text, seen, joints)

    def named(self, name: str, each: Sighting) -> str:
        """A name that a contract takes and that no other scalar has."""
        plain = re.sub(r"\W+", "_", name).strip("_") or "value"
        plain = f"j{plain}" if plain[0].isdigit() else plain
        if plain in self._taken or plain.lower() in _RESERVED:
            plain = f"{re.sub(r'[^A-Za-z0-9_]+', '_', each.topic).strip('_')}_{plain}"
        number, first = 2, plain
        while plain in self._taken:
            plain, number = f"{first}_{number}", number + 1
        self._taken.add(plain)
        return plain


def field_text(place: Place) -> str:
    """A place's path as YAML reads it."""
    return f'"{place.path}"' if "[" in place.path else place.path


def _limits(low: float, high: float) -> tuple[float, float]:
    """Limits around what was seen, with a margin, in few digits."""
    span = high - low
    margin = _MARGIN * span if span > _STILL else max(0.1 * abs(high), 0.05)
    digits = 1 - math.floor(math.log10(high - low + 2 * margin))
    unit = 10.0**-digits
    least, most = math.floor((low - margin) / unit) * unit, math.ceil((high + margin) / unit) * unit
    return round(least, max(digits, 0)), round(most, max(digits, 0))

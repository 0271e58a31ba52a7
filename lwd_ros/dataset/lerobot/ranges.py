"""What range each scalar of an import has, against the contract's limits and what the dataset declares."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.contract.contract import CommandScalar, ObservationScalar
from lwd_ros.dataset.lerobot.frames import Frames

OUTSIDE = ("refuse", "keep", "clip")
_TOLERANCE = 1e-6  # of the limits' span: what a float32 rounds
_DECLARED = 1e-4  # of the declared span
_SHOWN = 8


@dataclass(frozen=True)
class Range:
    """One scalar: its range in the data, in the contract's unit, its limits, and what share of frames is outside."""

    kind: str
    name: str
    unit: str
    minimum: float
    maximum: float
    limits: tuple[float, float]
    outside: float

    def plain(self) -> dict:
        """As plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "unit": self.unit,
            "range": [self.minimum, self.maximum],
            "limits": list(self.limits),
            "outside": round(self.outside, 6),
        }

    @property
    def suspicion(self) -> str:
        """What unit the numbers probably have, where they are outside the limits; '' where nothing suggests itself."""
        if not self.outside:
            return ""
        largest, limit = max(abs(self.minimum), abs(self.maximum)), max(map(abs, self.limits))
        if self.unit in ("rad", "rad/s") and largest > 2 * math.pi and largest > 4 * limit:
            return f"probably degrees, for {self.unit} is expected: scale: degrees"
        if 40 < largest <= 100.5 and limit < 25:
            span = "0 to 100" if self.minimum > -1 else "-100 to 100"
            return f"probably {span}, as lerobot normalises: scale {limit / 100:.4g}"
        return ""

    def __str__(self) -> str:
        low, high = self.limits
        said = f" ({self.suspicion})" if self.suspicion else ""
        return (
            f"{self.kind} '{self.name}' is {self.minimum:.6g} to {self.maximum:.6g}, expected {low:g} to {high:g} "
            f"{self.unit}, {100 * self.outside:.3g} % of its frames outside{said}"
        )


def ranges_of(contract: Contract, observations: Sequence[np.ndarray], actions: Sequence[np.ndarray]) -> list[Range]:
    """A row for each observed scalar, then for each command, over all episodes."""
    rows = []
    sides: tuple[tuple[str, Sequence[ObservationScalar | CommandScalar], Sequence[np.ndarray]], ...] = (
        ("observation", contract.observation, observations),
        ("command", contract.command, actions),
    )
    for kind, scalars, parts in sides:
        values = np.concatenate(parts)
        for place, scalar in enumerate(scalars):
            column, limits = values[:, place], (scalar.minimum, scalar.maximum)
            slack = _TOLERANCE * (limits[1] - limits[0])
            share = float(((column < limits[0] - slack) | (column > limits[1] + slack)).mean())
            rows.append(Range(kind, scalar.name, scalar.unit, float(column.min()), float(column.max()), limits, share))
    return rows


def outside_sentence(where: str, ranges: Sequence[Range], outside: str) -> str:
    """One sentence on every scalar that leaves the contract's limits; '' where none does."""
    wrong = [each for each in ranges if each.outside]
    if not wrong:
        return ""
    shown = "; ".join(map(str, wrong[:_SHOWN])) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
    end = {
        "refuse": "other limits in the contract, scale and offset in a --mapping, or --outside keep|clip settle it",
        "keep": "kept as they are",
        "clip": "clipped to the limits",
    }[outside]
    return f"{where}: outside the contract's limits: {shown}; {end}"


def declared(folder: Path, version: str, rows: Sequence[Frames]) -> list[str]:
    """Sentences on vectors that leave the range which the dataset's own statistics declare."""
    stated = _statistics(folder, version)
    notes = []
    for key in rows[0].vectors if rows else ():
        low, high = (stated.get(key, {}).get(name) for name in ("min", "max"))
        values = np.concatenate([each.vectors[key] for each in rows])
        minimum, maximum = values.min(axis=0), values.max(axis=0)
        try:
            low, high = np.array(low, np.float64).reshape(-1), np.array(high, np.float64).reshape(-1)
        except (TypeError, ValueError):
            continue
        if low.shape != minimum.shape or high.shape != minimum.shape:
            continue
        slack = _DECLARED * (high - low) + 1e-6
        off = np.flatnonzero((minimum < low - slack) | (maximum > high + slack))
        if off.size:
            place = off[0]
            notes.append(
                f"{folder / 'meta'}: the statistics declare {low[place]:.6g} to {high[place]:.6g} for '{key}', place "
                f"{place}, and the frames have {minimum[place]:.6g} to {maximum[place]:.6g}; {len(off)} scalars are so"
            )
    return notes


def _statistics(folder: Path, version: str) -> dict:
    """What a dataset declares of its features; nothing where it does not, for statistics are no part of the data."""
    try:
        if version != "v2.1":
            content = json.loads((folder / "meta/stats.json").read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else {}
        merged: dict = {}
        for line in (folder / "meta/episodes_stats.jsonl").read_text(encoding="utf-8").splitlines():
            for key, stats in json.loads(line)["stats"].items():
                if "min" not in stats or np.ndim(stats["min"]) != 1:
                    continue
                old = merged.get(key, stats)
                merged[key] = {
                    "min": np.minimum(old["min"], stats["min"]),
                    "max": np.maximum(old["max"], stats["max"]),
                }
        return merged
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}

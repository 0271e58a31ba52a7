"""The text of a first contract: marks at what is guessed, comments on what each guess rests on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lwd_ros.contract.sightings import Sighting
from lwd_ros.reading import GUESS


@dataclass
class Scalar:
    """A line of the contract: a scalar and the field that carries it."""

    name: str
    unit: str
    limits: tuple[float, float]
    field: str
    seen: str
    doubtful_unit: bool = False
    slew_per_s: float = 0.0
    rest: str = ""
    size: int | None = None


class Header(NamedTuple):
    """A command's header where none was seen, and what it rests on."""

    frame_id: str
    frame_why: str
    stamp: str
    stamp_why: str


@dataclass
class Part:
    """A topic in the contract; `notes` are comments on it."""

    sighting: Sighting
    scalars: list[Scalar]
    constants: dict[str, float] = field(default_factory=dict)
    frames: tuple[str, str] = ("", "")
    header: Header | None = None
    notes: list[str] = field(default_factory=list)


class Draft:
    """The contract as a person would write it."""

    def __init__(self, name, source, period_s, why, observed, commanded, left, doubts):
        self._name, self._source, self._period_s, self._why = name, source, period_s, why
        self._observed: list[Part] = observed
        self._commanded: list[Part] = commanded
        self._left, self._doubts = left, doubts

    def lines(self) -> Iterator[str]:
        yield f"# A first contract, guessed from {self._source}."
        yield f"# Each value marked {GUESS} is a guess: compare it with the robot's manual, change it where it is"
        yield "# wrong, and remove the mark. A contract with marks is refused. Then: lwd contract check FILE"
        for sentence in self._doubts:
            yield f"# DOUBTFUL: {sentence}"
        for sentence in self._left:
            yield f"# left out: {sentence}"
        yield f"name: {self._name}"
        yield f"period_s: {GUESS} {_number(self._period_s)}    # {self._why}"
        yield "history: 1"
        yield ""
        yield "observation:"
        for part in self._observed:
            yield from (self._scalar(scalar) for scalar in part.scalars)
        yield ""
        yield "command:"
        for part in self._commanded:
            yield from (self._scalar(scalar) for scalar in part.scalars)
        yield ""
        yield "binding:"
        yield "  observation:"
        yield "    sync: latest"
        yield "    streams:"
        for part in self._observed:
            yield from self._observation(part)
        yield "  command:"
        yield "    on_fault: hold"
        yield "    streams:"
        for part in self._commanded:
            yield from self._command(part)
        yield "  # permission:    # a topic that says whether the robot may move, of a dead-man's switch or an e-stop"
        yield "  #   streams:"
        yield "  #     - {topic: /enabled, type: std_msgs/msg/Bool, field: data, equals: true, stale_after_s: 0.5}"

    def _scalar(self, scalar: Scalar) -> str:
        mark = f"{GUESS} " if scalar.doubtful_unit else ""
        parts = [f'unit: {mark}"1"' if scalar.unit == "1" else f"unit: {mark}{scalar.unit}"]
        parts.append(f"limits: {GUESS} [{_number(scalar.limits[0])}, {_number(scalar.limits[1])}]")
        if scalar.size:
            parts.append(f"size: {GUESS} {scalar.size}")
        if scalar.rest:
            parts += [f"slew_per_s: {GUESS} {_number(scalar.slew_per_s)}", f"rest: {GUESS} {scalar.rest}"]
        return f"  {scalar.name}: {{{', '.join(parts)}}}    # {scalar.seen}"

    def _observation(self, part: Part) -> Iterator[str]:
        each = part.sighting
        stale_s = rounded(max(5 * (each.interval_s or 0.1), 2.5 * self._period_s), 2)
        gap = f", longest gap {each.longest_gap_s:.3g} s" if each.count > 1 else ""
        if part.frames != ("", ""):
            yield "      - type: tf"
            yield f'        frame: "{part.frames[0]}"'
            yield f'        in: "{part.frames[1]}"'
            yield f"        stale_after_s: {GUESS} {_number(stale_s)}    # {_rate(each)}{gap}"
        else:
            yield f"      - topic: {each.topic}"
            yield f"        type: {each.type}"
            yield f"        stale_after_s: {GUESS} {_number(stale_s)}    # {_rate(each)}{gap}"
            problem = each.stamp_problem
            mark = f"{GUESS} " if problem and each.is_headed else ""
            yield f"        stamp: {mark}{'arrival' if problem else 'header'}{f'    # {problem}' * bool(problem)}"
            yield from _qos(each)
        yield "        fields:"
        for scalar in part.scalars:
            yield f"          {scalar.name}: {scalar.field}"

    def _command(self, part: Part) -> Iterator[str]:
        each = part.sighting
        mark = "" if each.count else f"{GUESS} "
        yield f"      - topic: {mark}{each.topic}"
        seen = f"nobody published; subscribed by {each.listeners}" if each.listeners else "not seen"
        yield f"        type: {mark}{each.type}    # {_rate(each) if each.count else seen}"
        for note in part.notes:
            yield f"        # {note}"
        if part.header is not None:
            yield f'        frame_id: {GUESS} "{part.header.frame_id}"    # {part.header.frame_why}'
            yield f"        stamp: {GUESS} {part.header.stamp}    # {part.header.stamp_why}"
        elif each.is_headed:
            yield f'        frame_id: {GUESS} "{each.frame_id}"    # as seen'
            zero = each.zero_stamps == each.count
            stamp, why = ("zero", "all stamps were 0") if zero else ("now", "stamps were not 0")
            yield f"        stamp: {GUESS} {stamp}    # {why}"
        yield from _qos(each)
        if part.constants:
            yield f"        constants:    # {'what the other fields had' if each.count else 'what a message needs'}"
            for path, value in part.constants.items():
                yield f'          "{path}": {GUESS} {_number(value)}'
        yield "        fields:"
        for scalar in part.scalars:
            yield f"          {scalar.name}: {scalar.field}"


def _rate(each: Sighting) -> str:
    rate = f", {1 / each.interval_s:.3g} Hz" if each.interval_s else ""
    return f"{each.count:,} messages{rate}"


def _qos(each: Sighting) -> Iterator[str]:
    said = {} if each.qos is None else {"reliability": each.qos.reliability, "durability": each.qos.durability}
    words = [f"{key}: {value}" for key, value in _known(said).items()]
    if words:
        why = "as the subscribers ask" if each.listeners else "as it was offered"
        yield f"        qos: {{{', '.join(words)}}}    # {why}"


def _known(words: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in words.items() if value}


def _number(value: float) -> str:
    """A number as YAML reads it as one: 1e-05 is a text there."""
    text = repr(float(value))
    return text if "e" not in text else f"{value:.12f}".rstrip("0")


def rounded(number: float, digits: int) -> float:
    """A number in so many digits."""
    return float(f"{number:.{digits}g}")

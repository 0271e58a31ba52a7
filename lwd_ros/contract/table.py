"""A contract as a table: what each scalar is, and where it stands on which topic."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lwd_ros.contract.contract import AGE, Contract, vector_name
from lwd_ros.contract.fields import Field
from lwd_ros.contract.streams import TF

PARTS = ("observation", "command", "permission")


@dataclass(frozen=True)
class Seen:
    """What a look at a stream's topic showed; None and "" where there was nothing to see.

    `observed` is the range of values in the scalar's unit; `age_s` how old messages were on arrival, by their stamps.
    `messages` is how many of a recording could be used.
    `others` are the other ends: publishers of what is observed, subscribers of what is commanded, and their QoS.
    """

    rate_hz: float | None = None
    observed: tuple[float, float] | None = None
    age_s: float | None = None
    others: str = ""
    verdict: str = ""
    messages: int | None = None


@dataclass(frozen=True)
class Row:
    """One scalar of a contract, one vector as a whole, the constants of a command stream, or a permission.

    `part` is one of PARTS, `stream` the place of the stream in that part of the binding (None: no topic carries it).
    `places` are those in the observation or command vector. `field` is in short: "sin(2 * position[elbow])".
    """

    part: str
    name: str
    unit: str = ""
    limits: tuple[float, float] | None = None
    topic: str = ""
    type: str = ""
    field: str = ""
    rest: str = ""
    relative_to: str = ""
    stream: int | None = None
    places: tuple[int, ...] = ()
    seen: Seen = Seen()


def field_text(field: Field, command: bool = False) -> str:
    """A field with its functions, as one would write it by hand."""
    if command:
        inner = "x" if field.offset == 0.0 else f"x {-field.offset:+g}".replace("+", "+ ").replace("-", "- ")
        if field.scale != 1.0:
            inner = f"{inner if inner == 'x' else f'({inner})'} / {field.scale:g}"
        return field.path if inner == "x" else f"{field.path} = {inner}"
    parts = [field.path, *(f"{new:g} for {old:g}" for old, new in field.replace)]
    text = ", ".join(parts)
    if field.reducing:
        text = f"{field.reducing}({text})"
    elif field.replace:
        text = f"({text})"
    if field.scale != 1.0:
        text = f"{field.scale:g} * {text}"
    if field.offset != 0.0:
        text += f" {field.offset:+g}".replace("+", "+ ").replace("-", "- ")
    if field.shaping:
        text = f"{field.shaping}({text})"
    return f"{text}, clipped" if field.clip else text


def rows(contract: Contract, resolve: Callable[[str], str] = str) -> list[Row]:
    """The table's rows, in the order of the contract; `resolve` says what a topic is called on the robot.

    A contract without binding has rows without topics.
    """
    binding = contract.binding
    observed = _bound(binding.observation_streams if binding else (), resolve)
    commanded = _bound(binding.command_streams if binding else (), resolve, command=True)
    result = []
    for place, scalar in enumerate(contract.observation):
        name = vector_name(scalar.name) or scalar.name
        places = contract.places(name)
        if place != places[0]:
            continue
        bound = {"field": "the time since the observation's stamp"} if name == AGE else observed.get(place, {})
        name = name if len(places) == 1 and name == scalar.name else f"{name} ({len(places)})"
        limits = (scalar.minimum, scalar.maximum)
        result.append(Row("observation", name, scalar.unit, limits, places=places, **bound))
    for place, command in enumerate(contract.command):
        minimum, maximum = (float(each) for each in contract.command_limits[:, place])
        others: dict[str, Any] = {"rest": contract.rests[place], "relative_to": command.relative_to or ""}
        others |= {"places": (place,), **commanded.get(place, {})}
        result.append(Row("command", command.name, command.unit, (minimum, maximum), **others))
    if binding is None:
        return result
    for place, stream in enumerate(binding.command_streams):
        for path, value in stream.constants.items():
            text = f"{path} = {value}"
            topic = resolve(stream.topic)
            result.append(Row("command", "(constant)", topic=topic, type=stream.type, field=text, stream=place))
    for place, asked in enumerate(binding.permission_streams):
        condition = field_text(asked.field) + (" = " if asked.comparison == "equals" else " ") + asked.condition
        lasts = "latched" if asked.stale_after_s is None else f"{asked.stale_after_s:g} s"
        result.append(
            Row("permission", lasts, topic=resolve(asked.topic), type=asked.type, field=condition, stream=place)
        )
    return result


def _bound(streams, resolve, command: bool = False) -> dict[int, dict]:
    """What rows say of where a scalar stands, by its first place in the vector."""
    result = {}
    for number, stream in enumerate(streams):
        topic = f"{stream.frame} in {stream.within}" if stream.type == TF else resolve(stream.topic)
        for _, places, field in stream.entries:
            text = field_text(field, command)
            result[places[0]] = {"topic": topic, "type": stream.type, "field": text, "stream": number}
    return result


def summary(contract: Contract) -> str:
    """The line below the table."""
    parts = [f"period {contract.period_s:g} s ({1 / contract.period_s:g} Hz)"]
    parts += [f"history {contract.history} frames"] if contract.history > 1 else []
    if contract.binding:
        binding = contract.binding
        parts += [f"sync {binding.sync}", f"on_fault {binding.on_fault}"]
        count = len(binding.permission_streams)
        topics = f"of {count} {'stream' if count == 1 else 'streams'}, after a loss {binding.after_loss}"
        parts.append(f"permission {topics}" if count else "no permission needed")
        parts += [f"joint_prefix {binding.joint_prefix}"] if binding.joint_prefix else []
    return ", ".join([*parts, f"digest {contract.digest[:12]}"])


def table(rows: Sequence[Row]) -> str:
    """The rows as text, the parts of the contract below each other; columns that say nothing are left out."""
    texts = []
    for part in PARTS:
        members = [row for row in rows if row.part == part]
        if members:
            texts.append("\n".join(_aligned(_columns(part, members))))
    return "\n\n".join(texts)


def _columns(part: str, members: Sequence[Row]) -> list[tuple[str, list[str]]]:
    columns = [
        ("fresh for" if part == "permission" else part, [row.name for row in members]),
        ("unit", [row.unit for row in members]),
        ("limits", [f"[{row.limits[0]:g}, {row.limits[1]:g}]" if row.limits else "" for row in members]),
        ("rest", [row.rest for row in members]),
        ("relative to", [row.relative_to for row in members]),
        ("topic", [row.topic for row in members]),
        ("type", [row.type for row in members]),
        ("permits where" if part == "permission" else "field", [row.field for row in members]),
        ("rate", [_hz(row.seen.rate_hz) for row in members]),
        ("observed", [_range(row.seen.observed) for row in members]),
        ("messages", ["" if row.seen.messages is None else f"{row.seen.messages:,}" for row in members]),
        ("age", [_age(row.seen.age_s) for row in members]),
        ("subscribers" if part == "command" else "publishers", [row.seen.others for row in members]),
        ("now", [row.seen.verdict for row in members]),
    ]
    first, *others = columns if part != "permission" else [*columns[5:8], columns[0], *columns[8:]]
    return [first, *(column for column in others if any(column[1]))]


def _aligned(columns: list[tuple[str, list[str]]]) -> Iterator[str]:
    cells = [[head, *(text or "-" for text in texts)] for head, texts in columns]
    widths = [max(map(len, column)) for column in cells]
    for line in zip(*cells, strict=True):
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _hz(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f} Hz"


def _range(observed: tuple[float, float] | None) -> str:
    return "" if observed is None else f"{observed[0]:.4g} to {observed[1]:.4g}"


def _age(age_s: float | None) -> str:
    if age_s is None:
        return ""
    return f"{age_s * 1e3:.1f} ms" if abs(age_s) < 10.0 else f"{age_s:.1f} s"

"""One topic of a contract: what it carries, how it is stamped, what quality of service it asks for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lwd_ros.contract.errors import Section, fail
from lwd_ros.contract.fields import Field
from lwd_ros.contract.paths import Path

TF = "tf"
"""The type of a stream that comes from the transforms of /tf and /tf_static, not from a topic of its own."""

_TOPIC = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]*/msg/[A-Za-z][A-Za-z0-9]*")
_JOINT_NAMES = ("name", "joint_names")  # lists of joints' names in messages
_OBSERVATION_STAMPS, _COMMAND_STAMPS = ("header", "arrival"), ("observation", "now", "zero")


@dataclass(frozen=True)
class Qos:
    """Quality of service of one stream, in ROS's words; None leaves it to the node."""

    reliability: str | None = None
    durability: str | None = None
    depth: int | None = None

    @classmethod
    def from_section(cls, item: Section) -> "Qos":
        """Read the key `qos` of a stream; raises ContractError."""
        if "qos" not in item.value:
            return cls()
        section = item.section("qos")
        section.only("reliability", "durability", "depth")
        return cls(
            section.text("reliability", ("best_effort", "reliable")) if "reliability" in section.value else None,
            section.text("durability", ("volatile", "transient_local")) if "durability" in section.value else None,
            section.count("depth") if "depth" in section.value else None,
        )

    @classmethod
    def heard(cls, offered: "Sequence[Qos]") -> "Qos | None":
        """What a subscription asks for that hears all of these publishers: what each of them offers; None of none.

        One that asks for latched messages hears no publisher that does not latch.
        """
        if not offered:
            return None
        weakest = [
            next((word for word in (weak, strong) if word in words), None)
            for words, weak, strong in (
                ({each.reliability for each in offered}, "best_effort", "reliable"),
                ({each.durability for each in offered}, "volatile", "transient_local"),
            )
        ]
        return cls(weakest[0], weakest[1], next((each.depth for each in offered if each.depth), None))


@dataclass(frozen=True)
class Stream:
    """One topic, or one pose of the transforms, that carries some of the contract's scalars.

    Attributes:
        topic: as the contract has it, relative or absolute; "" of transforms.
        type: `pkg/msg/Name`, or TF.
        names: the scalars that it carries, a vector's one by one.
        indices: their places in the observation or command vector.
        fields: the message fields that carry them; that of a vector carries all of its scalars.
        frame_id: of the header; None: any.
        stale_after_s: observations only; judged on the steady clock.
        stamp: of an observation "header" or "arrival"; of a command "observation", "now" or "zero".
        qos: what its subscription or publisher asks for.
        constants: commands only; fields that carry one value always, by path.
        frame: of transforms, the frame whose pose it is.
        within: of transforms, the frame in which it is.
        label: what it is called in sentences; no two streams of a binding have one.
        joint_prefix: what the names in its paths were given in front.
    """

    topic: str
    type: str
    names: tuple[str, ...]
    indices: tuple[int, ...]
    fields: tuple[Field, ...]
    frame_id: str | None = None
    stale_after_s: float = 0.0
    stamp: str = "header"
    qos: Qos = Qos()
    constants: Mapping[str, Any] = field(default_factory=dict)
    frame: str = ""
    within: str = ""
    label: str = ""
    joint_prefix: str = ""

    @property
    def entries(self) -> list[tuple[str, tuple[int, ...], Field]]:
        """What it carries, a vector as one: its name in the contract, its places in the vector, its field."""
        result, first = [], 0
        for each in self.fields:
            name, last = self.names[first], first + each.places
            name = name if each.size is None else name.rpartition("[")[0]
            result.append((name, self.indices[first:last], each))
            first = last
        return result

    @classmethod
    def observation(cls, item: Section, contract, carried: tuple[str, ...], prefix: str) -> "Stream":
        """Read one observation stream of a contract file; `carried` are the scalars that may be bound."""
        if item.text("type") == TF:
            return cls._of_transforms(item, contract, carried)
        item.only("topic", "type", "frame_id", "stale_after_s", "stamp", "qos", "fields")
        names, indices, fields = _fields(item, contract, carried, prefix)
        return cls(
            topic_of(item),
            type_of(item),
            names,
            indices,
            fields,
            frame_id=item.plain("frame_id"),
            stale_after_s=item.number("stale_after_s", above=0),
            stamp=item.text("stamp", _OBSERVATION_STAMPS) if "stamp" in item.value else _OBSERVATION_STAMPS[0],
            qos=Qos.from_section(item),
            joint_prefix=prefix,
        )

    @classmethod
    def _of_transforms(cls, item: Section, contract, carried: tuple[str, ...]) -> "Stream":
        item.only("type", "frame", "in", "stale_after_s", "fields")
        names, indices, fields = _fields(item, contract, carried, "")
        for name, each in zip(item.section("fields").value, fields, strict=True):
            if each.path.partition(".")[0] not in ("translation", "rotation"):
                expected = "translation.x, y, z, rotation.x, y, z, w, or a function of rotation"
                fail(item.where, f"{item.path('fields')}.{name}", each.path, expected)
        frame, within = item.text("frame"), item.text("in")
        if frame == within:
            fail(item.where, item.path("in"), within, "another frame than the one whose pose it is")
        return cls(
            "",
            TF,
            names,
            indices,
            fields,
            stale_after_s=item.number("stale_after_s", above=0),
            frame=frame,
            within=within,
        )

    @classmethod
    def command(cls, item: Section, contract, prefix: str) -> "Stream":
        """Read one command stream of a contract file."""
        item.only("topic", "type", "frame_id", "stamp", "qos", "constants", "fields")
        names, indices, fields = _fields(item, contract, contract.command_names, prefix, command=True)
        constants = item.section("constants").value if "constants" in item.value else {}
        return cls(
            topic_of(item),
            type_of(item),
            names,
            indices,
            fields,
            frame_id=item.plain("frame_id"),
            stamp=item.text("stamp", _COMMAND_STAMPS) if "stamp" in item.value else _COMMAND_STAMPS[0],
            qos=Qos.from_section(item),
            constants=_prefixed(constants, prefix),
            joint_prefix=prefix,
        )


def _prefixed(constants: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Constants for joints whose names have a prefix: lists of joints' names get it, and names in paths."""
    if not prefix:
        return dict(constants)
    result = {}
    for path, value in constants.items():
        is_names = isinstance(value, list) and str(path).rpartition(".")[2] in _JOINT_NAMES
        renamed = str(Path.parse(path).with_prefix(prefix))
        result[renamed] = [f"{prefix}{name}" for name in value] if is_names else value
    return result


def topic_of(item: Section) -> str:
    """The key `topic`, a relative or absolute ROS topic name."""
    topic = item.text("topic")
    if not _TOPIC.fullmatch(topic):
        fail(item.where, item.path("topic"), topic, "a ROS topic name such as hand/pose or /joint_states")
    return topic


def type_of(item: Section) -> str:
    """The key `type`, the name of any message type."""
    name = item.text("type")
    if not _TYPE.fullmatch(name):
        fail(item.where, item.path("type"), name, "a message type such as sensor_msgs/msg/JointState")
    return name


def _fields(item: Section, contract, carried: tuple[str, ...], prefix: str, command: bool = False):
    """(names, indices, fields) of the key `fields`."""
    section = item.section("fields")
    section.names()
    scalars = contract.command if command else contract.observation
    names: list[str] = []
    indices: list[int] = []
    fields: list[Field] = []
    for name, value in section.value.items():
        places = tuple(p for p, each in enumerate(scalars) if each.name == name) if command else contract.places(name)
        if not places or scalars[places[0]].name not in carried:
            fail(item.where, section.path(name), name, "one of " + ", ".join(carried))
        scalar = scalars[places[0]]
        parsed = Field.parse(
            value,
            item.where,
            section.path(name),
            command=command,
            size=None if scalar.name == name else len(places),
            minimum=scalar.minimum,
            maximum=scalar.maximum,
        ).with_prefix(prefix)
        if any((parsed.path, parsed.functions) == (each.path, each.functions) for each in fields):
            fail(item.where, section.path(name), parsed.path, "a field that carries one scalar only")
        names += [scalars[place].name for place in places]
        indices += places
        fields.append(parsed)
    return tuple(names), tuple(indices), tuple(fields)


def labelled(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """The streams with a `label` each: the topic, and where several share it also what they carry first."""
    topics = [stream.topic for stream in streams]

    def label(stream: Stream) -> str:
        if stream.type == TF:
            return f"tf {stream.frame} in {stream.within}"
        return stream.topic if topics.count(stream.topic) == 1 else f"{stream.topic} ({stream.names[0]})"

    return tuple(replace(stream, label=label(stream)) for stream in streams)

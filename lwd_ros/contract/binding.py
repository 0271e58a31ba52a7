"""How a contract's scalars travel: topics, message fields, staleness, what is sent on a fault."""

import re
from dataclasses import dataclass, field

from lwd_ros.contract.errors import Section, fail
from lwd_ros.contract.fields import Field

_TYPE = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")
_TOPIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class Stream:
    """One topic that carries some of the contract's scalars.

    `names` are the scalars, `indices` their places in the observation or command vector, `fields` say where messages
    carry them, all of one length. `stale_after_s` (observations only) is judged on the steady clock.
    """

    topic: str
    type: str
    frame_id: str
    names: tuple[str, ...]
    indices: tuple[int, ...]
    fields: tuple[Field, ...]
    stale_after_s: float = 0.0


@dataclass(frozen=True)
class Binding:
    """Where a contract's scalars come from and go to on one robot. It may tighten limits, never widen them."""

    observation_streams: tuple[Stream, ...]
    command_streams: tuple[Stream, ...]
    sync: str
    on_fault: str
    keep_on_hold: tuple[str, ...]
    command_limits: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def from_section(cls, section: Section, contract) -> "Binding":
        """Read the `binding` key of a contract file whose other keys make `contract`.

        Raises:
            ContractError: a key is wrong, a scalar is bound twice or not at all, or a limit is widened.
        """
        section.only("observation", "command")
        observation, command = section.section("observation"), section.section("command")
        observation.only("sync", "streams")
        command.only("on_fault", "keep_on_hold", "limits", "streams")
        limits = {}
        if "limits" in command.value:
            limits = _tightened(command.section("limits"), contract)
        binding = cls(
            observation_streams=_streams(observation, contract.observation, stale=True, unbound=contract.age_place),
            command_streams=_streams(command, contract.command, stale=False),
            sync=observation.text("sync", ("same_stamp", "latest")),
            on_fault=command.text("on_fault", ("hold", "zero")),
            keep_on_hold=command.texts("keep_on_hold", contract.command_names),
            command_limits=limits,
        )
        topics = [stream.topic for stream in binding.observation_streams + binding.command_streams]
        for topic in topics:
            if topics.count(topic) > 1:
                fail(section.where, section.key, f"topic {topic!r} twice", "every topic once")
        return binding


def _tightened(section: Section, contract) -> dict[str, tuple[float, float]]:
    limits = {}
    section.only(*contract.command_names)
    for name in section.value:
        scalar = contract.command[contract.command_names.index(name)]
        minimum, maximum = section.limits(name)
        if minimum < scalar.minimum or maximum > scalar.maximum or minimum > 0 or maximum < 0:
            expected = f"limits around 0 inside the contract's [{scalar.minimum:g}, {scalar.maximum:g}]"
            fail(section.where, section.path(name), [minimum, maximum], expected)
        limits[name] = (minimum, maximum)
    return limits


def _streams(section: Section, scalars, stale: bool, unbound: int | None = None) -> tuple[Stream, ...]:
    """The streams that carry all scalars of a vector but the one at the place `unbound`."""
    names = tuple(scalar.name for scalar in scalars)
    limits = [(scalar.minimum, scalar.maximum) for scalar in scalars]
    carried = tuple(name for place, name in enumerate(names) if place != unbound)
    streams, bound = [], []
    for item in section.sections("streams"):
        item.only("topic", "type", "frame_id", "fields", *(["stale_after_s"] if stale else []))
        topic = item.text("topic")
        if not _TOPIC.fullmatch(topic):
            fail(item.where, item.path("topic"), topic, "a relative ROS topic name such as hand/pose")
        message = item.text("type")
        if not _TYPE.fullmatch(message):
            fail(item.where, item.path("type"), message, "a message type such as sensor_msgs/msg/JointState")
        fields = item.section("fields")
        fields.only(*carried)
        parsed = []
        for name in fields.names():
            minimum, maximum = limits[names.index(name)]
            value, key = fields.value[name], fields.path(name)
            parsed.append(Field.parse(value, item.where, key, command=not stale, minimum=minimum, maximum=maximum))
            if list(fields.value.values()).count(value) > 1:
                fail(item.where, key, value, "a field that carries one scalar only")
        streams.append(
            Stream(
                topic=topic,
                type=message,
                frame_id=item.text("frame_id"),
                names=tuple(fields.value),
                indices=tuple(names.index(name) for name in fields.value),
                fields=tuple(parsed),
                stale_after_s=item.number("stale_after_s", above=0) if stale else 0.0,
            )
        )
        bound += fields.value
    for name in carried:
        if bound.count(name) != 1:
            fail(section.where, section.path("streams"), f"'{name}' bound {bound.count(name)} times", "once")
    return tuple(streams)

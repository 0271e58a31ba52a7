"""How a contract's scalars travel: topics, message fields, staleness, permission, what is sent on a fault."""

from dataclasses import dataclass, field

from lwd_ros.contract.errors import Section, fail
from lwd_ros.contract.fields import Field
from lwd_ros.contract.rest import is_position
from lwd_ros.contract.streams import Qos, Stream, labelled, topic_of, type_of

_CONDITIONS = ("equals", "above", "below")


@dataclass(frozen=True)
class PermissionStream:
    """One topic that must say that the robot may move.

    `condition` is "equals", "above" or "below", and `threshold` what the field is compared with (of booleans 0 or 1).
    `stale_after_s` is None where the message is latched: it counts until its publisher goes.
    """

    topic: str
    type: str
    field: Field
    comparison: str
    threshold: float
    stale_after_s: float | None
    qos: Qos

    def permits(self, value: float) -> bool:
        """Whether the field's value says yes."""
        if self.comparison == "equals":
            return value == self.threshold
        return value > self.threshold if self.comparison == "above" else value < self.threshold

    @property
    def condition(self) -> str:
        """In words: "above 0.5"."""
        return f"{self.threshold:g}" if self.comparison == "equals" else f"{self.comparison} {self.threshold:g}"

    @classmethod
    def from_section(cls, item: Section, prefix: str = "") -> "PermissionStream":
        """Read one permission stream of a contract file; raises ContractError."""
        item.only("topic", "type", "field", *_CONDITIONS, "stale_after_s", "latched", "qos")
        chosen = [key for key in _CONDITIONS if key in item.value]
        if len(chosen) != 1:
            fail(
                item.where, item.path(_CONDITIONS[0]), " and ".join(chosen) or "nothing", "one of equals, above, below"
            )
        key = chosen[0]
        truth = key == "equals" and isinstance(item.value[key], bool)
        latched = item.truth("latched")
        if latched == ("stale_after_s" in item.value):
            found = "latched: true and stale_after_s" if latched else "neither"
            fail(
                item.where,
                item.path("stale_after_s"),
                found,
                "stale_after_s, or latched: true for what is sent on change",
            )
        qos = Qos.from_section(item)
        if latched:
            qos = Qos(qos.reliability or "reliable", qos.durability or "transient_local", qos.depth)
        return cls(
            topic_of(item),
            type_of(item),
            Field.parse(item.value.get("field", ""), item.where, item.path("field")).with_prefix(prefix),
            key,
            float(item.value[key]) if truth else item.number(key),
            None if latched else item.number("stale_after_s", above=0),
            qos,
        )


@dataclass(frozen=True)
class Binding:
    """Where a contract's scalars come from and go to on one robot. It may tighten limits, never widen them."""

    observation_streams: tuple[Stream, ...]
    command_streams: tuple[Stream, ...]
    sync: str
    on_fault: str
    keep_on_hold: tuple[str, ...]
    command_limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    permission_streams: tuple[PermissionStream, ...] = ()
    after_loss: str = "request"
    joint_prefix: str = ""

    @classmethod
    def from_section(cls, section: Section, contract, joint_prefix: str | None = None) -> "Binding":
        """Read the `binding` key of a contract file whose other keys make `contract`.

        `joint_prefix`, where given, replaces that of the file.

        Raises:
            ContractError: a key is wrong, a scalar is bound twice or not at all, or a limit is widened.
        """
        section.only("joint_prefix", "observation", "command", "permission")
        prefix = (section.plain("joint_prefix") or "") if joint_prefix is None else joint_prefix
        observation, command = section.section("observation"), section.section("command")
        observation.only("sync", "streams")
        command.only("on_fault", "keep_on_hold", "limits", "streams")
        permission: tuple[PermissionStream, ...] = ()
        after_loss = "request"
        if "permission" in section.value:
            given = section.section("permission")
            given.only("after_loss", "streams")
            permission = tuple(PermissionStream.from_section(item, prefix) for item in given.sections("streams"))
            after_loss = given.text("after_loss", ("request", "resume")) if "after_loss" in given.value else after_loss
        carried = tuple(name for place, name in enumerate(contract.observation_names) if place != contract.age_place)
        binding = cls(
            observation_streams=_complete(
                observation,
                tuple(Stream.observation(item, contract, carried, prefix) for item in observation.sections("streams")),
                carried,
            ),
            command_streams=_complete(
                command,
                tuple(Stream.command(item, contract, prefix) for item in command.sections("streams")),
                contract.command_names,
            ),
            sync=observation.text("sync", ("same_stamp", "latest")),
            on_fault=command.text("on_fault", ("hold", "zero")),
            keep_on_hold=command.texts("keep_on_hold", contract.command_names),
            command_limits=_tightened(command.section("limits"), contract) if "limits" in command.value else {},
            permission_streams=permission,
            after_loss=after_loss,
            joint_prefix=prefix,
        )
        binding._require_topics(section)
        binding._require_rest(command, contract)
        binding._require_stamps(observation)
        return binding

    def _require_topics(self, section: Section) -> None:
        """Observation streams may share a topic, of one type and QoS; a command's topic is its own."""
        observed = [stream for stream in self.observation_streams if stream.topic]
        for stream in observed:
            first = next(each for each in observed if each.topic == stream.topic)
            if (stream.type, stream.qos) != (first.type, first.qos):
                fail(section.where, section.key, f"topic {stream.topic!r} with two types or QoS", "one of each")
        topics = [stream.topic for stream in self.command_streams] + [*{stream.topic for stream in observed}]
        for topic in topics:
            if topics.count(topic) > 1:
                fail(section.where, section.key, f"topic {topic!r} twice", "every topic of a command once")

    def _require_rest(self, command: Section, contract) -> None:
        """What a command is at rest is said once, and 0 is never sent to a position."""
        for scalar in contract.command:
            if scalar.rest is not None and scalar.name in self.keep_on_hold:
                expected = f"'{scalar.name}' without it, for the command says rest: {scalar.rest}"
                fail(command.where, command.path("keep_on_hold"), scalar.name, expected)
            if self.on_fault == "zero" and is_position(scalar.rest):
                expected = f"hold, for '{scalar.name}' is a position (rest: {scalar.rest}) and 0 is no place to go to"
                fail(command.where, command.path("on_fault"), "zero", expected)

    def _require_stamps(self, observation: Section) -> None:
        arrivals = [stream.label for stream in self.observation_streams if stream.stamp == "arrival"]
        if self.sync == "same_stamp" and arrivals and len(self.observation_streams) > 1:
            expected = f"latest, for {arrivals[0]} has stamp: arrival, and no two messages arrive at the same time"
            fail(observation.where, observation.path("sync"), self.sync, expected)


def _tightened(section: Section, contract) -> dict[str, tuple[float, float]]:
    limits = {}
    section.only(*contract.command_names)
    for name in section.value:
        scalar = contract.command[contract.command_names.index(name)]
        minimum, maximum = section.limits(name)
        if minimum < scalar.minimum or maximum > scalar.maximum:
            expected = f"limits inside the contract's [{scalar.minimum:g}, {scalar.maximum:g}]"
            fail(section.where, section.path(name), [minimum, maximum], expected)
        limits[name] = (minimum, maximum)
    return limits


def _complete(section: Section, streams: tuple[Stream, ...], carried: tuple[str, ...]) -> tuple[Stream, ...]:
    """The streams, which must carry each scalar of `carried` once."""
    bound = [name for stream in streams for name in stream.names]
    for name in carried:
        if bound.count(name) != 1:
            fail(section.where, section.path("streams"), f"'{name}' bound {bound.count(name)} times", "once")
    return labelled(streams)

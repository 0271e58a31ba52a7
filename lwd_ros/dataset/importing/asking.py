"""What an import reads from a recording: which topics, as what, and who learns from them where episodes are."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from lwd_ros.contract import Contract, Stream
from lwd_ros.dataset.bags.axes import MARKER
from lwd_ros.dataset.demonstrations import DatasetError
from lwd_ros.dataset.importing import episodes as marks
from lwd_ros.dataset.importing.extraction import COMMAND_HELD_S, Handler, Wanted, with_fields
from lwd_ros.dataset.importing.names import Names, require_topic
from lwd_ros.dataset.importing.ticks import TICK, Ticks

BOUND, OBSERVED, TICK_ACTIONS = "bound", "observed", "tick"
CUT, DROP, REFUSE = "cut", "drop", "refuse"
GAPS, MARKS, SERVICES, WHOLE = "gaps", "marks", "services", "whole"


@dataclass(frozen=True)
class Settings:
    """How recordings become episodes; the options of `lwd import-bag` say what each means."""

    task: str = ""
    task_from_folder: bool = False
    episodes: str | Path = ""
    marker: str = ""
    keep_failed: bool = False
    actions: str = BOUND
    observed: dict[str, str] = field(default_factory=dict)
    command_topics: dict[str, str] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    holes: str = CUT
    least_s: float = 1.0
    rest_s: float = 1.0
    rest_threshold: float = 0.02
    held_s: float = COMMAND_HELD_S
    any_rate: bool = False
    clip: bool = False
    joined: bool = False

    def as_dict(self) -> dict:
        """What stands in the dataset: nothing of where the recordings lie or how they are stored."""
        keys = ("actions", "holes", "least_s", "held_s", "keep_failed", "clip")
        return {"made_by": "import-bag", **{key: getattr(self, key) for key in keys}}


def method_of(bag, settings: Settings, task: str) -> str:
    """How episodes are found: as `settings` say, else by marks where the recording has some; DatasetError."""
    if settings.episodes:
        return str(settings.episodes)
    if settings.marker:
        topic = settings.names.recorded(bag, settings.marker)
        kind = bag.topics[topic].type if topic in bag.topics else ""
        return MARKS if kind == MARKER else SERVICES if topic in marks.event_topics(bag) else ""
    if marks.of_type(bag, MARKER):
        return MARKS
    if marks.event_topics(bag):
        return SERVICES
    if task:
        return WHOLE
    raise DatasetError(
        f"{bag.name}: found no marks of episodes, expected --task NAME for the whole recording, --episodes gaps, "
        "--episodes FILE.csv, or --marker TOPIC"
    )


def ticks_of(bag, contract: Contract, settings: Settings) -> tuple[str, Ticks]:
    """The topic of the controller's ticks, and what gathers them; raises DatasetError where there is no one topic."""
    topics = marks.of_type(bag, TICK)
    if not topics:
        raise DatasetError(f"{bag.name}: found no topic of ticks, expected one of type {TICK} for --actions tick")
    topic = one_of(bag, {each: [each] for each in topics}, settings, "controllers' ticks", "--namespace")[0]
    stale = min(stream.stale_after_s for stream in contract.require_binding().observation_streams)
    return topic, Ticks(contract, topic, stale)


def one_of(bag, groups: dict[str, list[str]], settings: Settings, what: str, ways: str) -> list[str]:
    """The topics of the one node that is meant, of all that said something: by --marker, else by --namespace.

    Args:
        bag: the recording.
        groups: topics by what the node's topics begin with, or by the one topic.
        settings: with the names that were asked for.
        what: is several, for the sentence; `ways` what chooses.

    Raises:
        DatasetError: several nodes are left: names them.
    """
    spoken = {key: topics for key, topics in groups.items() if any(bag.topics[each].count != 0 for each in topics)}
    spoken = spoken or groups
    if settings.marker and "--marker" in ways:
        topic = settings.names.recorded(bag, settings.marker)
        return next((topics for topics in groups.values() if topic in topics), [topic])
    space = f"/{settings.names.namespace.strip('/')}/"
    if len(spoken) > 1 and space != "//":
        spoken = {key: topics for key, topics in spoken.items() if f"/{key.lstrip('/')}".startswith(space)} or spoken
    if len(spoken) > 1:
        found = " and ".join(sorted(topics[0] for topics in spoken.values()))
        raise DatasetError(f"{bag.name}: found {what} of several: {found}; expected one of them, chosen by {ways}")
    return next(iter(spoken.values()))


def wanted(bag, contract: Contract, settings: Settings, task: str, method: str, ticks: tuple[str, Ticks] | None):
    """(what to read, who learns from it where episodes are or None); raises DatasetError."""
    handlers: dict[str, Handler] = {}
    marking: marks.Switch | marks.Markers | None = None
    if settings.marker and not method:
        topic = settings.names.recorded(bag, settings.marker)
        if topic not in bag.topics:
            require_topic(bag, topic, "std_msgs/msg/String, Bool or Int", "--marker")
        marking = marks.Switch(topic, bag.topics[topic].type, task)
        handlers[topic] = marking.take
    elif method in (MARKS, SERVICES):
        marking = marker = marks.Markers(task)
        topics = marks.of_type(bag, MARKER) if method == MARKS else marks.event_topics(bag)
        if not topics:
            expected = MARKER if method == MARKS else "events of lwd_msgs/srv/StartEpisode"
            raise DatasetError(f"{bag.name}: found no {method} of episodes, expected a topic of {expected}")
        groups: dict[str, list[str]] = {}
        for topic in topics:
            groups.setdefault(topic if method == MARKS else topic.rsplit("/", 2)[0], []).append(topic)
        topics = one_of(bag, groups, settings, "marks of episodes", "--marker TOPIC or --namespace")
        handlers.update(dict.fromkeys(topics, marker.take if method == MARKS else marker.take_event))
    if ticks is not None:
        handlers[ticks[0]] = ticks[1].take
    commands: list[Stream] = []
    others: dict[str, str] = {}
    if settings.actions == BOUND:
        commands, others = command_streams(bag, contract, settings)
    return Wanted(settings.names, ticks is None, commands, others, settings.held_s, handlers), marking


def command_streams(bag, contract: Contract, settings: Settings) -> tuple[list[Stream], dict[str, str]]:
    """The streams to read as commands, and topics that replace theirs.

    Another topic of the bound type is read by the bound fields. One of the type in which the robot tells the scalars
    that the commands target is read as that: a leader arm tells its joints as the follower does.
    """
    binding, streams, topics = contract.require_binding(), [], {}
    bound = {stream.topic: stream for stream in binding.command_streams}
    for name in settings.command_topics:
        if name not in bound:
            raise DatasetError(f"--command-topic: found '{name}', expected a command topic: {', '.join(bound)}")
    for stream in binding.command_streams:
        if stream.topic not in settings.command_topics:
            streams.append(stream)
            continue
        topic = settings.names.recorded(bag, settings.command_topics[stream.topic])
        kind = bag.topics[topic].type if topic in bag.topics else ""
        if kind in ("", stream.type):
            streams.append(stream)
            topics[stream.topic] = topic
            continue
        streams.append(_leader(contract, stream, topic, kind))
    return streams, topics


def _leader(contract: Contract, stream: Stream, topic: str, kind: str) -> Stream:
    """A command stream read from a topic that tells places as the robot's own does; raises DatasetError."""
    sources = marks.sources_of(replace(contract, command=tuple(contract.command[i] for i in stream.indices)), {})
    targets = [contract.observation_names[sources[place]] for place in range(len(stream.indices))]
    for observed in contract.require_binding().observation_streams:
        if observed.type == kind and all(target in observed.names for target in targets):
            by_name = {name: each for name, _, each in observed.entries}
            fields = tuple(by_name[target] for target in targets if target in by_name)
            if len(fields) == len(targets):
                return with_fields(observed, topic, names=stream.names, indices=stream.indices, fields=fields)
    raise DatasetError(
        f"--command-topic: {topic} was recorded as {kind}, expected {stream.type}, or the type of the one observation "
        f"stream that carries {', '.join(targets)}"
    )

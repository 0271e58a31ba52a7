"""What a recording consists of, whatever file it is in."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lwd_ros.contract.streams import Qos
from lwd_ros.errors import LwdError

if TYPE_CHECKING:
    from lwd_ros.dataset.bags.restarts import Order, Stretch


class BagError(LwdError):
    """A recording, or a message of it, cannot be read: says which, what was found and what was expected."""


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    Attributes:
        name: as recorded.
        type: "pkg/msg/Name", of ROS 1 as well; "pkg/srv/Name_Event" of a service's events.
        count: messages in the files; None where only reading can tell.
        latched: whether late subscribers got the last messages of any publisher: transient local, or latched in ROS 1.
        qos: what all of its publishers offered; None where the files do not say.
        encoding: "cdr" or "ros1"; anything else cannot be decoded here.
        publishers: how many offered it at once, as far as the files say; 0 where they do not.
    """

    name: str
    type: str
    count: int | None = None
    latched: bool = False
    qos: Qos | None = None
    encoding: str = "cdr"
    publishers: int = 0


class Message:
    """One recorded message.

    Attributes:
        topic: its topic's name.
        type: its topic's type.
        log_ns: when it was recorded, ns of the recorder's clock.
        publish_ns: when it was published, ns of the publisher's clock; None where the file does not say.
        raw: its serialised bytes, decompressed.
    """

    __slots__ = ("_decode", "_message", "log_ns", "publish_ns", "raw", "topic", "type")

    def __init__(
        self,
        topic: str,
        kind: str,
        log_ns: int,
        publish_ns: int | None,
        raw: bytes,
        decode: "Callable[[Message], Any] | None" = None,
    ):
        self.topic, self.type, self.log_ns, self.publish_ns, self.raw = topic, kind, log_ns, publish_ns, raw
        self._decode, self._message = decode, None

    @property
    def message(self) -> Any:
        """The message with ROS's attributes, decoded when it is first asked for; None where it was read undecoded.

        Raises:
            BagError: the bytes are not those of the type, or nobody here knows the type.
        """
        if self._message is None and self._decode is not None:
            self._message = self._decode(self)
        return self._message

    def __repr__(self) -> str:
        return f"Message({self.topic}, {self.type}, log_ns={self.log_ns}, {len(self.raw)} bytes)"


class Definition(NamedTuple):
    """A type as a file defines it: `form` is "ros2msg", "ros2idl", "ros1msg" or "" (nothing)."""

    form: str = ""
    text: str = ""


@dataclass(frozen=True)
class Channel:
    """What one file says of one topic, or of one publisher's part of it.

    ROS 1 has a channel for each publisher, rosbag2 one for all: then `latched` says whether any latched, for nobody
    knows whose message is whose.
    """

    topic: str
    type: str
    encoding: str
    definition: Definition = field(default_factory=Definition)
    qos: Qos | None = None
    latched: bool = False
    count: int | None = None
    publishers: int = 0


class Stored(NamedTuple):
    """A message as a file has it; `channel` is the place in the file's `channels`."""

    log_ns: int
    publish_ns: int | None
    channel: int
    data: bytes


class Storage(Protocol):
    """One file of a recording, called `name` in sentences.

    `problems` are sentences, known after opening or after reading; `start_ns` and `end_ns` the times of the first and
    the last message, None where there is none.
    """

    name: str
    channels: list[Channel]
    start_ns: int | None
    end_ns: int | None
    problems: list[str]

    def read(self, chosen: Set[int]) -> Iterator[Stored]:
        """Messages of some channels, by their places, in the order of their log times; equal times in file order."""
        ...

    def order(self) -> "Order | None":
        """All messages as they are stored; None where none is older than one before it by more than queues explain."""
        ...

    def taken(self, stretch: "Stretch") -> "Storage":
        """The same file with the messages of one stretch alone."""
        ...


def counted(channels: Sequence[Channel], stretch: "Stretch") -> list[Channel]:
    """Channels of a file with the counts of a stretch of it."""
    return [replace(channel, count=stretch.counts.get(place, 0)) for place, channel in enumerate(channels)]


def count_text(number: int, noun: str = "message") -> str:
    """A number of things: "1 message", "2,000 messages"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

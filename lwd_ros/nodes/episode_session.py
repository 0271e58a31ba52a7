"""The open episode of a recorder: which messages belong to it, its markers, what latched topics said before it."""

from collections.abc import Mapping

from rclpy.serialization import serialize_message

from lwd_msgs.msg import EpisodeMarker
from lwd_ros.dataset.recording import (
    Episode,
    EpisodeWriter,
    OfferedQos,
    RecordedTopic,
    Recording,
    RecordingError,
    schema_of,
)
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.followed import offered_qos
from lwd_ros.nodes.latched import LatchedMessages

_MARKER = "lwd_msgs/msg/EpisodeMarker"
_DISORDER_NS = 100_000_000  # so late may a message be read, by the system's clock, that came before another one


class EpisodeSession:
    """The episodes of one recording, one after another.

    Log times are when a message arrived by the node's clock, publish times when the middleware sent it; with simulated
    time, which the middleware does not know, both are the node's.
    """

    def __init__(self, node, recording: Recording, limit: int):
        """`limit` bytes may wait for the disk."""
        self.recording, self._node, self._limit = recording, node, limit
        self._simulated = node.get_parameter("use_sim_time").value
        self._topics: dict[str, RecordedTopic] = {}
        self._latched = LatchedMessages(node.count_publishers)
        self._writer: EpisodeWriter | None = None
        self._began_ns = self._newest_ns = 0
        self.task, self.discarded = "", 0
        self._set_back_s = 0.0
        self.last = Episode(0, recording.folder, 0.0, 0)
        """The episode that was kept last."""

    @property
    def is_open(self) -> bool:
        """Whether an episode is being recorded."""
        return self._writer is not None

    @property
    def number(self) -> int:
        """Of the open or the next episode."""
        return self.recording.next_number

    @property
    def duration_s(self) -> float:
        """Of the open episode, by the node's clock; 0 without one."""
        return max(0.0, 1e-9 * (self._now_ns() - self._began_ns)) if self.is_open else 0.0

    @property
    def messages(self) -> int:
        """Accepted in the open episode."""
        return self._writer.accepted if self._writer is not None else 0

    @property
    def dropped(self) -> int:
        """Of the open episode, because the disk is slower than the topics."""
        return self._writer.dropped if self._writer is not None else 0

    @property
    def set_back_s(self) -> float:
        """How far the clock went back in the open episode, which takes nothing any more then; 0: it did not."""
        return self._set_back_s if self.is_open else 0.0

    @property
    def failure(self) -> Exception | None:
        """What ended the writing of the open episode."""
        return self._writer.failure if self._writer is not None else None

    def _now_ns(self) -> int:
        return self._node.clock_ns()

    def take(self, topic: str, message_type: str, content: bytes, info: Mapping, latched: bool) -> None:
        """One message of a topic, in CDR, with the middleware's info; `latched`: it holds until the next one."""
        if self._simulated:
            log_ns = publish_ns = self._now_ns()
        else:
            log_ns = info["received_timestamp"] or self._now_ns()
            publish_ns = info["source_timestamp"] or log_ns
        if latched:
            self._latched.take(topic, message_type, content, publish_ns)
        if self._writer is None:
            return
        if log_ns < self._newest_ns:
            self.look_at_clock()
            if self.set_back_s or log_ns < self._began_ns:  # what waited when the episode began is none of it
                return
        try:
            described = self._topic(topic, message_type)
        except RecordingError as error:
            self._node.warn(str(error))
            return
        self._newest_ns = max(self._newest_ns, log_ns)
        self._writer.put(described, content, log_ns, publish_ns)

    def look_at_clock(self) -> None:
        """Find out whether the clock went back since the episode began: no message is newer than now."""
        back_ns = self._newest_ns - self._now_ns()
        if self._writer is not None and back_ns > (0 if self._simulated else _DISORDER_NS):
            self._set_back_s = 1e-9 * back_ns

    def _topic(self, name: str, message_type: str) -> RecordedTopic:
        topic = self._topics.get(name)
        if topic is None:
            offered = offered_qos(self._node, name)
            topic = self.recording.topic(RecordedTopic.of(name, schema_of(message_type), offered))
            self._topics[name] = topic
        return topic

    def begin(self, task: str, latched: set[str]) -> EpisodeMarker:
        """Open an episode, which begins with what the `latched` topics said last and its marker; returns that.

        Raises:
            OSError: its file cannot be made.
            RecordingError: a topic has another type than in the earlier episodes.
        """
        heads = [(self._topic(name, kind), messages) for name, kind, messages in self._latched.of(latched)]
        writer = EpisodeWriter(self.recording.begin(), self._limit)
        self._began_ns = self._newest_ns = self._now_ns()
        self.task, self._set_back_s = task, 0.0
        for topic, messages in heads:
            for content, publish_ns in messages:
                writer.put(topic, content, self._began_ns, min(publish_ns, self._began_ns), whatever_waits=True)
        self._writer = writer
        return self._mark(EpisodeMarker.START, self._began_ns)

    @property
    def is_before_others(self) -> bool:
        """Whether the episode began before the end of an earlier one: by a clock that was set back, or began anew."""
        return self._began_ns < self.recording.end_ns

    def _mark(self, event: int, now_ns: int, success: bool = False) -> EpisodeMarker:
        marker = EpisodeMarker(
            stamp=to_stamp(now_ns), event=event, episode=self.number, task=self.task, success=success
        )
        if event != EpisodeMarker.DISCARD:
            name = self._node.resolve_topic_name("~/episode")
            offered = [OfferedQos(history="keep_last", depth=10)]
            topic = self.recording.topic(RecordedTopic.of(name, schema_of(_MARKER), offered))
            assert self._writer is not None
            self._writer.put(topic, serialize_message(marker), now_ns, now_ns, whatever_waits=True)
        return marker

    def keep(self, success: bool) -> tuple[EpisodeMarker, int]:
        """End the episode with its marker; returns that, and how many messages were dropped.

        Raises:
            OSError: the disk is full; what was written stays as it is, unlisted.
        """
        assert self._writer is not None
        writer = self._writer
        marker = self._mark(EpisodeMarker.STOP, max(self._now_ns(), self._newest_ns), success)
        self._writer = None
        try:
            writer.finish()
        except Exception:
            self.recording.leave(writer.file)
            raise
        self.last = self.recording.keep(writer.file)
        return marker, writer.dropped

    def discard(self) -> EpisodeMarker:
        """Throw the episode away; returns its marker, which is not recorded."""
        assert self._writer is not None
        marker = self._mark(EpisodeMarker.DISCARD, self._now_ns())
        writer, self._writer = self._writer, None
        writer.stop()
        self.recording.discard(writer.file)
        self.discarded += 1
        return marker

    def leave(self) -> None:
        """Give the episode up, whose writing failed; its file stays as it is."""
        assert self._writer is not None
        writer, self._writer = self._writer, None
        writer.stop()
        self.recording.leave(writer.file)

"""One episode's MCAP file: chunks with zstd, the summary that tools open it by, all of it on the disk when it ends."""

import contextlib
import os
import time
from pathlib import Path

from lwd_ros import __version__
from lwd_ros.dataset.recording.metadata import FileSummary, serialized_metadata
from lwd_ros.dataset.recording.schemas import schema_of
from lwd_ros.dataset.recording.topics import RecordedTopic

_FLUSH_S = 0.5  # a process that is killed loses so much of the open episode
_CHUNK = 1 << 20  # bytes


class EpisodeFile:
    """A file that is being written. Methods raise OSError where the disk is full or may not be written."""

    def __init__(self, path: Path):
        """Make the file, which must not exist."""
        from mcap.writer import CompressionType, Writer

        self.path, self.summary = path, FileSummary(path.name)
        self._file = path.open("xb")
        self._writer = Writer(self._file, chunk_size=_CHUNK, compression=CompressionType.ZSTD)
        try:
            self._writer.start("ros2", f"lwd_ros {__version__}")
            self._file.flush()
        except OSError:
            self.abandon()
            path.unlink(missing_ok=True)
            raise
        self._schemas: dict[str, int] = {}
        self._channels: dict[RecordedTopic, int] = {}
        self._flushed = time.monotonic()

    def write(self, topic: RecordedTopic, content: bytes, log_ns: int, publish_ns: int) -> None:
        """Add one message, in CDR as it was received; times in ns."""
        summary = self.summary
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = self._register(topic)
        count = summary.topics[topic] = summary.topics.get(topic, 0) + 1
        self._writer.add_message(channel, log_ns, content, publish_ns, count)
        summary.start_ns, summary.end_ns = min(summary.start_ns, log_ns), max(summary.end_ns, log_ns)
        summary.messages += 1

    def _register(self, topic: RecordedTopic) -> int:
        if topic.type not in self._schemas:
            text = schema_of(topic.type).text.encode()
            self._schemas[topic.type] = self._writer.register_schema(topic.type, "ros2msg", text)
        return self._writer.register_channel(topic.name, "cdr", self._schemas[topic.type], topic.channel_metadata)

    def flush_if_due(self) -> None:
        """Hand what was written to the system now and then: what it has survives the end of this process."""
        now = time.monotonic()
        if now - self._flushed > _FLUSH_S:
            self._writer.flush()
            self._flushed = now

    def finish(self) -> None:
        """Write the summary and wait until the disk has all of it."""
        self._writer.add_metadata("rosbag2", {"serialized_metadata": serialized_metadata(self.summary)})
        self._writer.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):
            self._file.close()


def summary_of(path: Path) -> FileSummary | None:
    """What a whole file holds, by its own summary; None of a file that was not finished or is no MCAP."""
    from mcap.reader import make_reader

    try:
        with open(path, "rb") as file:
            summary = make_reader(file).get_summary()
    except Exception:  # mcap raises its own errors, struct's and zstandard's
        return None
    if summary is None or summary.statistics is None:
        return None
    statistics = summary.statistics
    result = FileSummary(path.name, messages=statistics.message_count)
    if statistics.message_count:
        result.start_ns, result.end_ns = statistics.message_start_time, statistics.message_end_time
    for number, channel in summary.channels.items():
        qos = channel.metadata.get("offered_qos_profiles", "[]")
        kind = summary.schemas[channel.schema_id].name
        topic = RecordedTopic(channel.topic, kind, channel.metadata.get("topic_type_hash", ""), qos)
        result.topics[topic] = result.topics.get(topic, 0) + statistics.channel_message_counts.get(number, 0)
    return result

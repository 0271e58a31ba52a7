"""Recordings on disk, without a node: what other tools read, what is left when something goes wrong."""

import contextlib
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rclpy", reason="rclpy is not installed")

from builtin_interfaces.msg import Time
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader

from lwd_msgs.msg import EpisodeMarker
from lwd_ros.dataset.recording import (
    EpisodeWriter,
    OfferedQos,
    RecordedTopic,
    Recording,
    RecordingError,
    schema_of,
)

MARKER, TICK = "lwd_msgs/msg/EpisodeMarker", "lwd_msgs/msg/ControllerTick"
TOPIC = RecordedTopic.of("/recorder/episode", schema_of(MARKER), [OfferedQos(depth=10, history="keep_last")])
SECOND = 10**9


def marker(number: int, event: int = 0) -> bytes:
    return serialize_message(EpisodeMarker(stamp=Time(sec=number), event=event, episode=number, task="pick"))


def record(recording: Recording, count: int = 5, topic: RecordedTopic = TOPIC):
    """One more episode of `count` messages, a second apart."""
    writer = EpisodeWriter(recording.begin(), 10**7)
    start = 100 * (recording.next_number + 1)
    for place in range(count):
        at = (start + place) * SECOND
        writer.put(recording.topic(topic), marker(start + place), at, at - 5)
    writer.finish()
    return recording.keep(writer.file)


def read(folder: Path) -> list[tuple[int, int]]:
    """(log time, number) of all messages, by rosbags."""
    with AnyReader([folder]) as reader:
        return [(stamp, reader.deserialize(raw, c.msgtype).episode) for c, stamp, raw in reader.messages()]


def torn_messages(path: Path) -> list[tuple[int, bytes]]:
    """(log time, content) of what a file without an end holds."""
    result = []
    with open(path, "rb") as file, contextlib.suppress(EndOfFile):
        for each in StreamReader(file).records:
            if isinstance(each, Message):
                result.append((each.log_time, each.data))
    return result


def test_rosbags_reads_all_episodes_and_each_file_alone(tmp_path):
    recording = Recording(tmp_path / "demo")
    episodes = [record(recording), record(recording, 3)]
    assert [(each.number, each.messages, each.duration_s) for each in episodes] == [(0, 5, 4.0), (1, 3, 2.0)]
    numbers = [100, 101, 102, 103, 104, 200, 201, 202]
    assert read(tmp_path / "demo") == [(number * SECOND, number) for number in numbers]
    assert [number for _, number in read(episodes[1].path)] == numbers[5:]


def test_a_file_has_what_foxglove_and_rosbag2_open_it_by(tmp_path):
    """Summary, statistics, an index of chunks, whole definitions, the QoS that was offered."""
    path = record(Recording(tmp_path / "demo")).path
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        assert len(list(reader.iter_messages())) == summary.statistics.message_count == 5
    (channel,), (schema,) = summary.channels.values(), summary.schemas.values()
    assert (schema.name, schema.encoding, channel.message_encoding) == (MARKER, "ros2msg", "cdr")
    assert summary.chunk_indexes[0].compression == "zstd"
    assert yaml.safe_load(channel.metadata["offered_qos_profiles"])[0]["history"] == "keep_last"
    assert channel.metadata["topic_type_hash"].startswith("RIHS01_")
    assert "MSG: builtin_interfaces/Time\n" in schema.data.decode()


def test_metadata_is_that_of_rosbag2_9(tmp_path):
    recording = Recording(tmp_path / "demo")
    record(recording)
    content = yaml.safe_load((tmp_path / "demo/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    (topic,) = content.pop("topics_with_message_count")
    assert topic["topic_metadata"].pop("offered_qos_profiles")[0]["deadline"] == {"sec": 9223372036, "nsec": 854775807}
    assert topic["topic_metadata"].pop("type_description_hash") == schema_of(MARKER).type_hash
    expected = {"name": "/recorder/episode", "type": MARKER, "serialization_format": "cdr"}
    assert topic == {"topic_metadata": expected, "message_count": 5}
    span = {"starting_time": {"nanoseconds_since_epoch": 100 * SECOND}, "duration": {"nanoseconds": 4 * SECOND}}
    assert content.pop("ros_distro")
    assert content == {
        "version": 9,
        "storage_identifier": "mcap",
        **span,
        "message_count": 5,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": ["demo_0.mcap"],
        "files": [{"path": "demo_0.mcap", **span, "message_count": 5}],
        "custom_data": None,
    }


def test_definitions_hold_all_types_inside_each_once():
    text = schema_of("sensor_msgs/msg/JointState").text
    parts = [part.partition("\n")[0] for part in text.split("=" * 80 + "\n")[1:]]
    assert parts == ["MSG: std_msgs/Header", "MSG: builtin_interfaces/Time"]
    with pytest.raises(RecordingError, match="found no package 'nowhere_msgs'"):
        schema_of("nowhere_msgs/msg/Thing")


def test_an_open_episode_is_not_listed_and_gives_what_was_flushed(tmp_path):
    recording = Recording(tmp_path / "demo")
    record(recording)
    file = recording.begin()
    file.write(TOPIC, marker(7), SECOND, SECOND)
    time.sleep(0.55)
    file.flush_if_due()
    assert [number for _, number in read(tmp_path / "demo")] == [100, 101, 102, 103, 104]
    assert torn_messages(file.path) == [(SECOND, marker(7))]
    again = Recording(tmp_path / "demo", append=True)
    assert again.torn == [file.path] and again.next_number == 2 and again.kept == 1


def test_the_number_of_a_discarded_episode_is_used_again(tmp_path):
    recording = Recording(tmp_path / "demo")
    writer = EpisodeWriter(recording.begin(), 10**7)
    writer.put(TOPIC, marker(1), SECOND, SECOND)
    writer.stop()
    recording.discard(writer.file)
    assert record(recording).number == 0
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["demo_0.mcap", "metadata.yaml"]


def test_a_recording_is_continued_or_gets_another_name(tmp_path):
    record(Recording(tmp_path / "demo"))
    other = Recording(tmp_path / "demo")
    assert other.folder != tmp_path / "demo" and other.folder.name.startswith("demo_20")
    (tmp_path / "demo/metadata.yaml").unlink()  # the files themselves tell
    again = Recording(tmp_path / "demo", append=True)
    assert (again.kept, record(again).number) == (1, 1)
    assert len(read(tmp_path / "demo")) == 10


def test_a_recording_without_an_episode_leaves_its_name_free(tmp_path):
    Recording(tmp_path / "demo")
    assert Recording(tmp_path / "demo").folder == tmp_path / "demo"


def test_a_topic_keeps_the_qos_of_its_first_message(tmp_path):
    """rosbags and rosbag2 take a topic of two QoS for two: one of them would be read without its messages."""
    record(Recording(tmp_path / "demo"))
    again = Recording(tmp_path / "demo", append=True)
    record(again, topic=RecordedTopic.of("/recorder/episode", schema_of(MARKER), [OfferedQos("best_effort")]))
    assert len(read(tmp_path / "demo")) == 10
    with pytest.raises(RecordingError, match=f"found messages of {TICK}, expected {MARKER} as before"):
        again.topic(RecordedTopic.of("/recorder/episode", schema_of(TICK), []))


@pytest.mark.parametrize("name", ["notes.txt", "other_0.mcap", "demo_0.db3"])
def test_what_is_no_recording_of_ours_is_not_continued(tmp_path, name):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / name).write_text("x")
    with pytest.raises(RecordingError, match=r"demo: found .*, expected files demo_NUMBER.mcap"):
        Recording(tmp_path / "demo", append=True)
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [name]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "demo").write_text("x")
    with pytest.raises(RecordingError, match="found a file, expected a folder"):
        Recording(tmp_path / "demo")


def test_what_the_disk_is_too_slow_for_is_dropped_and_counted(tmp_path):
    recording = Recording(tmp_path / "demo")
    writer = EpisodeWriter(recording.begin(), limit=1000)
    writer.put(TOPIC, bytes(1001), SECOND, SECOND)
    writer.put(TOPIC, marker(1), SECOND, SECOND)
    writer.finish()
    assert (writer.dropped, recording.keep(writer.file).messages) == (1, 1)


FULL = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_recording import TOPIC, Recording, EpisodeWriter, record
recording = Recording(Path(sys.argv[1]))
record(recording)
writer = EpisodeWriter(recording.begin(), 10**8)
for place in range(40):
    writer.put(TOPIC, os.urandom(50_000), 10**9, 10**9)
try:
    writer.finish()
except OSError as error:
    recording.leave(writer.file)
    print(error.strerror)
print(record(recording).number)
"""


def test_a_full_disk_costs_the_open_episode_alone(tmp_path):
    """The largest file that the system allows this process stands for the disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    command = [sys.executable, "-c", FULL, str(tmp_path / "demo"), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=60)
    assert done.stdout.splitlines() == ["File too large", "2"], done.stderr
    assert len(read(tmp_path / "demo")) == 10
    assert sorted(path.name for path in (tmp_path / "demo").glob("*.mcap")) == [f"demo_{i}.mcap" for i in range(3)]


def test_a_marker_is_written_whatever_waits_for_the_disk(tmp_path):
    """An episode without its end would be imported as one that was cut off."""
    recording = Recording(tmp_path / "demo")
    writer = EpisodeWriter(recording.begin(), limit=10)
    writer.put(TOPIC, marker(1), SECOND, SECOND)
    writer.put(TOPIC, marker(2, EpisodeMarker.STOP), SECOND, SECOND, whatever_waits=True)
    writer.finish()
    recording.keep(writer.file)
    assert writer.dropped == 1 and read(tmp_path / "demo") == [(SECOND, 2)]


def test_each_file_may_have_a_time_axis_of_its_own(tmp_path):
    """A simulator that starts again begins its time anew: the metadata spans all files, each with its own times."""
    first = Recording(tmp_path / "demo")
    file = first.begin()
    for at in (900, 901, 902):
        file.write(TOPIC, marker(at), at * SECOND, at * SECOND)
    first.keep(file)
    again = Recording(tmp_path / "demo", append=True)
    assert again.end_ns == 902 * SECOND
    record(again, 3)  # from 200 s on
    content = yaml.safe_load((tmp_path / "demo/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    spans = [(each["starting_time"], each["duration"]) for each in (content, *content["files"])]
    assert [(start["nanoseconds_since_epoch"], length["nanoseconds"]) for start, length in spans] == [
        (200 * SECOND, 702 * SECOND),
        (900 * SECOND, 2 * SECOND),
        (200 * SECOND, 2 * SECOND),
    ]
    assert again.end_ns == 902 * SECOND and len(read(tmp_path / "demo")) == 6


def test_a_type_without_a_hash_has_an_empty_one(tmp_path):
    """As rosbag2 writes it: null would be no text to its reader."""
    recording = Recording(tmp_path / "demo")
    record(recording, topic=RecordedTopic("/a", MARKER, "", "[]"))
    content = yaml.safe_load((tmp_path / "demo/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["topics_with_message_count"][0]["topic_metadata"]["type_description_hash"] == ""


def test_events_of_services_have_the_services_definition():
    schema = schema_of("lwd_msgs/srv/StopEpisode_Event")
    request, response = schema.text.split("---\n")
    assert "bool success" in request and "uint64 messages" in response
    with pytest.raises(RecordingError, match="found no definition of the service std_srvs/srv/Nope"):
        schema_of("std_srvs/srv/Nope_Event")

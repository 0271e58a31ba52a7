"""What `ros2 bag` of Jazzy and Kilted requires of a recording: each key with its type, as its reader takes it.

Sources: rosbag2_storage/yaml.hpp and qos.cpp (BagMetadata version 9 in both), rosbag2_storage_mcap/mcap_storage.cpp.
The YAML is read without types, as yaml-cpp does, and each scalar is turned into what the reader asks for.
"""

import re

import pytest
import yaml

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rclpy", reason="rclpy is not installed")

from mcap.reader import make_reader
from mcap.records import Message, Metadata
from mcap.stream_reader import StreamReader
from rosbags.highlevel import AnyReader

from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.recording import OfferedQos, RecordedTopic, Recording, schema_of

TEXT, TRIGGER = "std_msgs/msg/String", "std_srvs/srv/Trigger_Event"
PLAIN = RecordedTopic.of(
    "/note", schema_of(TEXT), [OfferedQos(), OfferedQos("best_effort", history="keep_last", depth=1)]
)
LATCHED = RecordedTopic.of("/said", schema_of(TEXT), [OfferedQos(durability="transient_local", lease_ns=5 * 10**9)])
NOBODYS = RecordedTopic("/nobodys", TEXT, "", "[]")
EVENTS = RecordedTopic.of("/home/_service_event", schema_of(TRIGGER), [OfferedQos()])
CONTENT = b"\x00\x01\x00\x00\x01\x00\x00\x00\x00"


def text(node) -> None:
    assert isinstance(node, str)


def whole(bits: int):
    def check(node) -> None:
        assert re.fullmatch(r"\d+", node) and int(node) < 2**bits

    return check


def one_of(*words: str):
    def check(node) -> None:
        assert node in words

    return check


def sequence(spec):
    def check(node) -> None:
        assert isinstance(node, list)
        for each in node:
            decode(each, spec)

    return check


def map_or_nothing(node) -> None:
    assert node in ("~", {})


def decode(node, spec) -> None:
    """As YAML::convert<T>::decode: every key of `spec` is there and can be turned into its type; no other is."""
    if callable(spec):
        spec(node)
        return
    assert isinstance(node, dict)
    assert list(node) == list(spec)
    for key, inner in spec.items():
        decode(node[key], inner)


TIME = {"sec": whole(63), "nsec": whole(63)}
POLICIES = ("system_default", "unknown")
QOS = {
    "history": one_of("keep_last", "keep_all", *POLICIES),
    "depth": whole(31),
    "reliability": one_of("reliable", "best_effort", *POLICIES),
    "durability": one_of("transient_local", "volatile", *POLICIES),
    "deadline": TIME,
    "lifespan": TIME,
    "liveliness": one_of("automatic", "manual_by_topic", *POLICIES),
    "liveliness_lease_duration": TIME,
    "avoid_ros_namespace_conventions": one_of("true", "false"),
}
SPAN = {"starting_time": {"nanoseconds_since_epoch": whole(63)}, "duration": {"nanoseconds": whole(63)}}
BAG = {
    "version": one_of("9"),
    "storage_identifier": one_of("mcap"),
    "duration": SPAN["duration"],
    "starting_time": SPAN["starting_time"],
    "message_count": whole(64),
    "topics_with_message_count": sequence(
        {
            "topic_metadata": {
                "name": text,
                "type": text,
                "serialization_format": one_of("cdr"),
                "offered_qos_profiles": sequence(QOS),
                "type_description_hash": text,
            },
            "message_count": whole(64),
        }
    ),
    "compression_format": one_of(""),
    "compression_mode": one_of(""),
    "relative_file_paths": sequence(text),
    "files": sequence({"path": text, **SPAN, "message_count": whole(64)}),
    "custom_data": map_or_nothing,
    "ros_distro": text,
}


TOPICS = (PLAIN, LATCHED, NOBODYS, EVENTS, PLAIN)


def record(folder, topics=TOPICS, episodes: int = 2) -> Recording:
    """Topics with two publishers, one that is latched, one that nobody offers, and events of a service."""
    recording = Recording(folder)
    for number in range(episodes):
        file = recording.begin()
        for place, topic in enumerate(topics):
            at_ns = (100 * number + place) * 10**9
            file.write(recording.topic(topic), CONTENT, at_ns, at_ns)
        recording.keep(file)
    return recording


def untyped(content: str):
    return yaml.load(content, yaml.BaseLoader)


NAMES = ["demo", "a: b #1", "50%", "17", "on", "Zoë's demo", '"quoted"', "- x", "back\\slash", "~home"]


@pytest.mark.parametrize(
    ("name", "distribution"), [*((name, "jazzy") for name in NAMES), ("demo", "kilted"), ("demo", "")]
)
def test_each_key_of_the_metadata_is_what_the_reader_asks_for(tmp_path, monkeypatch, name, distribution):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    record(tmp_path / name)
    root = untyped((tmp_path / name / "metadata.yaml").read_text())
    assert list(root) == ["rosbag2_bagfile_information"]
    content = root["rosbag2_bagfile_information"]
    decode(content, BAG)
    assert content["relative_file_paths"] == [f"{name}_0.mcap", f"{name}_1.mcap"]
    assert [each["path"] for each in content["files"]] == content["relative_file_paths"]
    assert all((tmp_path / name / each).is_file() for each in content["relative_file_paths"])
    assert content["ros_distro"] == (distribution or "jazzy")
    assert (content["message_count"], content["duration"]["nanoseconds"]) == ("10", str(104 * 10**9))
    counts = {each["topic_metadata"]["name"]: each["message_count"] for each in content["topics_with_message_count"]}
    assert counts == {"/note": "4", "/said": "2", "/nobodys": "2", "/home/_service_event": "2"}


def test_a_recording_without_an_episode_can_be_asked_too(tmp_path):
    Recording(tmp_path / "demo")
    content = untyped((tmp_path / "demo/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    decode(content, BAG)
    assert content["starting_time"]["nanoseconds_since_epoch"] == str(2**63 - 1)  # as rosbag2 writes it


@pytest.mark.parametrize("name", ["a: b #1", "50%"])
def test_folders_of_any_name_are_read_and_continued(tmp_path, name):
    record(tmp_path / name, (PLAIN, LATCHED))  # rosbags reads no service's events
    assert Recording(tmp_path / name, append=True).kept == 2
    with open_bags(tmp_path / name) as bag:
        assert len(list(bag.messages(decode=False))) == 4
        assert bag.problems == []
    with AnyReader([tmp_path / name]) as reader:
        assert reader.message_count == 4


def test_each_file_has_the_fields_that_the_storage_plugin_reads(tmp_path):
    record(tmp_path / "demo")
    path = tmp_path / "demo" / "demo_1.mcap"
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
    statistics = summary.statistics
    assert (statistics.message_count, statistics.message_start_time) == (5, 100 * 10**9)
    assert len(summary.channels) == 4  # one of each topic: the plugin lists channels as topics
    assert sorted(schema.name for schema in summary.schemas.values()) == sorted([TEXT, TRIGGER])
    for channel in summary.channels.values():
        assert channel.message_encoding == "cdr"
        assert list(channel.metadata) == ["offered_qos_profiles", "topic_type_hash"]
        decode(untyped(channel.metadata["offered_qos_profiles"]), sequence(QOS))
        schema = summary.schemas[channel.schema_id]
        assert schema.encoding == "ros2msg"
        assert re.fullmatch(r"RIHS01_[0-9a-f]{64}|", channel.metadata["topic_type_hash"])
    with path.open("rb") as file:
        records = list(StreamReader(file).records)
    assert [each.sequence for each in records if isinstance(each, Message)] == [1, 1, 1, 1, 2]
    (own,) = [each for each in records if isinstance(each, Metadata)]
    assert own.name == "rosbag2"
    content = untyped(own.metadata["serialized_metadata"])
    decode(content, BAG)
    assert (content["relative_file_paths"], content["message_count"]) == (["demo_1.mcap"], "5")


def test_events_of_a_service_have_the_names_by_which_rosbag2_knows_them(tmp_path):
    """is_service_event_topic: the topic's end, and a type of a service that ends with _Event."""
    assert EVENTS.name.endswith("/_service_event")
    assert re.fullmatch(r"[a-z0-9_]+/srv/[A-Za-z0-9]+_Event", EVENTS.type)
    assert "\n---\n" in "\n" + schema_of(TRIGGER).text

"""Pins reading recordings: one sequence whatever the encoding, what damage leaves, and a sentence where nothing is."""

import hashlib

import pytest
import yaml

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
import zstandard
from bags_support import (
    JOINTS,
    PERIOD_NS,
    START_NS,
    WITHOUT_INDEX,
    arm,
    entry,
    joints,
    twist,
    write_mcap,
    write_ros1,
    write_rosbag2,
)
from mcap.writer import CompressionType
from rosbags.rosbag2 import StoragePlugin

from lwd_ros.contract.definitions import FieldType
from lwd_ros.dataset.bags import BagError, open_bags

ENTRIES = arm()


def sequence(paths) -> list:
    """Topic, time and payload of each message."""
    with open_bags(paths) as bag:
        return [(each.topic, each.log_ns, each.raw) for each in bag.messages(decode=False)]


def digest(paths) -> str:
    return hashlib.sha256(repr(sequence(paths)).encode()).hexdigest()


EXPECTED = [(topic, ns, data) for topic, _, ns, data in ENTRIES]


def _zstd(path, target):
    target.write_bytes(zstandard.compress(path.read_bytes()))
    return target


ENCODINGS = {
    "mcap": lambda at: write_mcap(at / "a.mcap", ENTRIES),
    "mcap_zstd": lambda at: write_mcap(at / "a.mcap", ENTRIES, compression=CompressionType.ZSTD),
    "mcap_lz4": lambda at: write_mcap(at / "a.mcap", ENTRIES, compression=CompressionType.LZ4),
    "mcap_unchunked": lambda at: write_mcap(at / "a.mcap", ENTRIES, use_chunking=False),
    "mcap_no_index": lambda at: write_mcap(at / "a.mcap", ENTRIES, **WITHOUT_INDEX),
    "mcap_bare_zstd": lambda at: _zstd(write_mcap(at / "a.mcap", ENTRIES), at / "b.mcap.zstd"),
    "folder_mcap": lambda at: write_rosbag2(at / "bag", ENTRIES),
    "folder_mcap_file": lambda at: write_rosbag2(at / "bag", ENTRIES, mode="FILE"),
    "folder_mcap_message": lambda at: write_rosbag2(at / "bag", ENTRIES, mode="MESSAGE"),
    "folder_sqlite": lambda at: write_rosbag2(at / "bag", ENTRIES, StoragePlugin.SQLITE3),
    "folder_sqlite_file": lambda at: write_rosbag2(at / "bag", ENTRIES, StoragePlugin.SQLITE3, mode="FILE"),
    "folder_sqlite_message": lambda at: write_rosbag2(at / "bag", ENTRIES, StoragePlugin.SQLITE3, mode="MESSAGE"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_one_sequence(encoding, tmp_path):
    path = ENCODINGS[encoding](tmp_path)
    assert sequence(path) == EXPECTED
    with open_bags(path) as bag:
        assert bag.problems == []
        assert {name: topic.count for name, topic in bag.topics.items()} == {"/joint_states": 100, "/cmd_vel": 50}
        assert bag.topics["/joint_states"].type == JOINTS
        message = next(bag.messages(["/joint_states"])).message
        assert message.name == ["elbow", "wrist"] and list(message.position) == [0.0, 1.0]
        assert (bag.start_ns, bag.end_ns) == (START_NS, START_NS + 99 * PERIOD_NS)


def test_a_ros1_bag_has_the_same_times_topics_and_numbers(tmp_path):
    with open_bags(write_ros1(tmp_path / "old.bag", ENTRIES)) as bag:
        messages = list(bag.messages())
        assert [(each.topic, each.type, each.log_ns) for each in messages] == [entry[:3] for entry in ENTRIES]
        assert messages[2].message.position[0] == pytest.approx(0.0998334)
        assert bag.definitions(JOINTS)["position"] == FieldType("float64", "sequence")


def test_unindexed_and_torn_ros1_bags_are_scanned(tmp_path):
    path = write_ros1(tmp_path / "old.bag", ENTRIES)
    content = path.read_bytes()
    place = content.index(b"index_pos=") + len(b"index_pos=")
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
    with open_bags(path) as bag:
        assert len(list(bag.messages())) == 150
        assert "without an index; 150 messages read" in bag.problems[0]
    path.write_bytes(content[: len(content) // 2])
    with open_bags(path) as bag:
        read = [each.log_ns for each in bag.messages()]
        assert 30 < len(read) < 150 and read == sorted(read)
        assert "torn: its end is missing" in bag.problems[0]


def test_messages_out_of_order_come_in_order_without_holding_all(tmp_path):
    shuffled = [
        ENTRIES[place]
        for block in range(0, 150, 10)
        for place in (*range(block + 5, block + 10), *range(block, block + 5))
    ]
    expected = sorted(((topic, ns, data) for topic, _, ns, data in shuffled), key=lambda each: each[1])
    for options in ({}, WITHOUT_INDEX, {"use_chunking": False}):
        assert sequence(write_mcap(tmp_path / "a.mcap", shuffled, **options)) == expected


def test_a_torn_file_gives_what_it_holds_and_says_what_is_lost(tmp_path):
    path = write_mcap(tmp_path / "a.mcap", ENTRIES)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with open_bags(path) as bag:
        read = [(each.topic, each.log_ns, each.raw) for each in bag.messages(decode=False)]
        assert 50 < len(read) < 150 and read == EXPECTED[: len(read)]
        (sentence,) = bag.problems
        assert (
            f"its end is missing: {len(read)} messages read" in sentence
            and "s that it has a sign of are lost" in sentence
        )
    path.write_bytes(content[:-30])
    with open_bags(path) as bag:
        assert len(list(bag.messages())) == 150
        assert "its footer is missing; nothing else is: 150 messages read" in bag.problems[0]


def test_metadata_tells_how_much_a_torn_file_lost(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", ENTRIES)
    (file,) = folder.glob("*.mcap")
    write_mcap(file, ENTRIES)
    file.write_bytes(file.read_bytes()[:12_000])
    with open_bags(folder) as bag:
        lost = 150 - len(list(bag.messages()))
        assert any(f"{lost} lost" in each and "s at the end" in each for each in bag.problems)


def test_a_flipped_bit_costs_its_chunk_and_is_said(tmp_path):
    path = write_mcap(tmp_path / "a.mcap", ENTRIES)
    content = bytearray(path.read_bytes())
    place = content.index(ENTRIES[60][3]) + 40
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with open_bags(path) as bag:
        read = [(each.topic, each.log_ns, each.raw) for each in bag.messages(decode=False)]
        assert set(read) < set(EXPECTED) and len(read) > 100
        (sentence,) = bag.problems
        assert "is damaged (its checksum is wrong); its messages are left out" in sentence and "s are lost" in sentence


def test_split_files_are_one_recording(tmp_path):
    folder = tmp_path / "bag"
    folder.mkdir()
    for number, first in enumerate(range(0, 150, 14)):  # bag_10 comes behind bag_9
        write_mcap(folder / f"bag_{number}.mcap", ENTRIES[first : first + 14])
    assert sequence(folder) == EXPECTED
    assert sequence(sorted(folder.iterdir())) == EXPECTED


@pytest.mark.parametrize("change", ["identifier", "renamed", "broken", "qos"])
def test_metadata_that_do_not_fit_do_not_matter(change, tmp_path):
    folder = write_rosbag2(tmp_path / "x.bag", ENTRIES, StoragePlugin.SQLITE3)
    metadata = folder / "metadata.yaml"
    content = yaml.safe_load(metadata.read_text())
    root = content["rosbag2_bagfile_information"]
    if change == "identifier":
        root["storage_identifier"] = ""
    if change == "renamed":
        next(folder.glob("*.db3")).rename(folder / "other.db3")
    if change == "qos":
        for topic in root["topics_with_message_count"]:
            topic["topic_metadata"]["offered_qos_profiles"] = []
    metadata.write_text("a: [" if change == "broken" else yaml.safe_dump(content))
    assert sequence(folder) == EXPECTED
    said = {"renamed": "which is not there; read instead: other.db3", "broken": "the recording is read without it"}
    with open_bags(folder) as bag:
        assert said.get(change, "") in " ".join(bag.problems)
        assert bool(bag.problems) == (change in said)


def test_a_file_that_a_killed_recorder_left_is_read_and_said(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", ENTRIES[:50])
    next(folder.glob("*.mcap")).rename(folder / "bag_0.mcap")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("bag.mcap", "bag_0.mcap"))
    torn = write_mcap(folder / "bag_1.mcap", ENTRIES[50:])
    torn.write_bytes(torn.read_bytes()[:9000])
    with open_bags(folder) as bag:
        read = [(each.topic, each.log_ns, each.raw) for each in bag.messages(decode=False)]
        assert len(read) > 60 and read == EXPECTED[: len(read)]
        assert any("does not list it, as after a killed recorder" in each for each in bag.problems)


def test_a_latched_topic_and_its_qos(tmp_path):
    with open_bags(write_rosbag2(tmp_path / "bag", ENTRIES, latched=("/cmd_vel",))) as bag:
        assert bag.topics["/cmd_vel"].latched and not bag.topics["/joint_states"].latched
        assert bag.topics["/cmd_vel"].qos.durability == "transient_local"
        assert bag.topics["/joint_states"].qos.reliability == "reliable"


def test_payload_or_format_that_does_not_fit_is_one_sentence(tmp_path):
    topic, kind, ns, _ = ENTRIES[0]
    messages = open_bags(write_mcap(tmp_path / "a.mcap", [(topic, kind, ns, b"\x00\x01\x00\x00")])).messages()
    with pytest.raises(BagError, match=r"/joint_states: found 4 bytes at .* s that are no sensor_msgs/msg/JointState"):
        _ = next(messages).message
    messages = open_bags(write_mcap(tmp_path / "b.mcap", ENTRIES, encoding="json")).messages()
    with pytest.raises(BagError, match="/joint_states: found messages in the format 'json', expected cdr"):
        _ = next(messages).message


def test_unknown_types_matter_where_they_are_asked_for_alone(tmp_path):
    entries = [*ENTRIES, ("/odd", "odd_msgs/msg/Odd", START_NS, b"\x00\x01\x00\x00\x00\x00\x00\x00")]
    with open_bags(write_mcap(tmp_path / "a.mcap", entries)) as bag:
        assert len([each.message for each in bag.messages(["/joint_states"])]) == 100
        with pytest.raises(BagError, match="/odd: found"):
            _ = next(bag.messages(["/odd"])).message


def test_clocks_apart_are_said(tmp_path):
    from mcap.writer import Writer

    path = tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "test")
        schema = writer.register_schema(JOINTS, "ros2msg", b"")
        channel = writer.register_channel("/joint_states", "cdr", schema)
        writer.add_message(channel, START_NS + 10**9, ENTRIES[0][3], START_NS)
        writer.finish()
    with open_bags(path) as bag:
        assert [each.publish_ns for each in bag.messages()] == [START_NS]
        assert any("recorded 1 s after it was published" in each for each in bag.problems)


def test_an_empty_recording_has_topics_and_no_message(tmp_path):
    with open_bags(write_mcap(tmp_path / "a.mcap", [])) as bag:
        assert list(bag.messages()) == [] and bag.start_ns is None


def _folder(at, *names):
    folder = at / "folder"
    folder.mkdir()
    for name in names:
        write_mcap(folder / name, ENTRIES[:3])
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda at: at / "no.mcap", "found nothing there, expected a recording"),
        (lambda at: _written(at / "a.mcap", b""), r"an empty file \(0 bytes\)"),
        (lambda at: _written(at / "a.mcap", b"hello"), "5 bytes that are no recording"),
        (lambda at: _written(at / "a.db3", b"SQLite format 3\x00" + bytes(500)), "a damaged database"),
        (lambda at: _written(at / "a.bag", b"#ROSBAG V2.0\n"), "a damaged ROS 1 bag"),
        (lambda at: _written(at / "a.zstd", zstandard.compress(b"hello")), "a compressed file that is no recording"),
        (lambda at: _folder(at), "found no storage file"),
        (lambda at: _folder(at).parent, "found the folders folder, expected the files of one recording"),
        (lambda at: [], "found no recording, expected at least one"),
    ],
)
def test_what_is_no_recording_is_one_sentence(make, sentence, tmp_path):
    with pytest.raises(BagError, match=sentence) as error:
        open_bags(make(tmp_path))
    assert "\n" not in str(error.value)


def _written(path, content):
    path.write_bytes(content)
    return path


def test_two_kinds_of_storage_in_one_folder_are_refused(tmp_path):
    folder = _folder(tmp_path, "a.mcap")
    write_ros1(folder / "a.bag", ENTRIES[:3])
    with pytest.raises(BagError, match="expected files of one kind; name those to read"):
        open_bags(folder)


def test_a_topic_that_is_not_there_has_the_closest_name(tmp_path):
    with (
        open_bags(write_mcap(tmp_path / "a.mcap", ENTRIES)) as bag,
        pytest.raises(BagError, match=r"found no topic '/joint_state'.*/joint_states"),
    ):
        bag.messages(["/joint_state"])


def test_one_topic_of_two_types_is_said(tmp_path):
    first = write_mcap(tmp_path / "a.mcap", [entry("/x", twist(0.1, 0.2), START_NS)])
    second = write_mcap(tmp_path / "b.mcap", [entry("/x", joints(START_NS, [0.1, 0.2]), START_NS + PERIOD_NS)])
    with open_bags([second, first]) as bag:
        assert [each.type for each in bag.messages()] == ["geometry_msgs/msg/Twist", JOINTS]
        assert any("/x: recorded with the types" in each for each in bag.problems)
        assert [path.name for path in bag.files] == ["a.mcap", "b.mcap"]


def test_what_stands_in_the_log_of_a_database_counts(tmp_path):
    """A killed recorder leaves its last messages in the write-ahead log; nothing is written beside the file."""
    import shutil
    import sqlite3

    folder = write_rosbag2(tmp_path / "bag", ENTRIES, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=wal")
    first = database.execute("SELECT topic_id, data FROM messages ORDER BY id LIMIT 1").fetchone()
    database.execute(
        "INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", (first[0], START_NS - 1, first[1])
    )
    database.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for each in (file, file.with_name(f"{file.name}-wal")):
        shutil.copyfile(each, killed / each.name)
    database.close()
    before = sorted(each.name for each in killed.iterdir())
    assert sequence(killed)[0][1] == START_NS - 1 and len(sequence(killed)) == 151
    assert sorted(each.name for each in killed.iterdir()) == before


def test_a_file_that_is_named_twice_is_read_once(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", ENTRIES)
    assert sequence([folder, *sorted(folder.iterdir())]) == EXPECTED  # as a shell writes BAG BAG/*
    assert sequence(folder / "metadata.yaml") == EXPECTED

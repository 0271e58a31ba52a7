"""Topics that some publishers latch and others do not: told apart where the recording tells whose message is whose."""

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from bags_support import JOINTS, START_NS, STORE, entry, joints, write_mcap, write_rosbag2
from mcap.writer import Writer
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from lwd_ros.contract.streams import Qos
from lwd_ros.dataset.bags import BagError, open_bags
from lwd_ros.dataset.bags.looking import sightings

SECOND = 1_000_000_000
LATCHED = "- {history: keep_last, depth: 1, reliability: reliable, durability: transient_local}\n"
VOLATILE = "- {history: keep_last, depth: 10, reliability: best_effort, durability: volatile}\n"


def two(folder, profiles: list[str]):
    """Two files of the same five seconds, with a channel of each of these profiles, all of one topic."""
    folder.mkdir()
    kind_text = STORE.generate_msgdef(JOINTS, ros_version=2)[0].encode()
    for number in range(2):
        with (folder / f"bag_{number}.mcap").open("wb") as file:
            writer = Writer(file)
            writer.start("ros2", "test")
            schema = writer.register_schema(JOINTS, "ros2msg", kind_text)
            channels = [
                writer.register_channel("/joint_states", "cdr", schema, {"offered_qos_profiles": text})
                for text in profiles
            ]
            for step in range(6):
                ns = START_NS + step * SECOND + number
                for channel in channels:
                    writer.add_message(channel, ns, entry("/joint_states", joints(ns, [1.0, 2.0]), ns)[3], ns)
            writer.finish()
    return folder


@pytest.mark.parametrize("profiles", [LATCHED + VOLATILE, VOLATILE + LATCHED])
def test_one_who_listens_to_all_publishers_asks_for_what_each_of_them_offers(tmp_path, profiles):
    """Latched and reliable, as the first one offered it, a subscription would hear one of the two."""
    path = write_mcap(tmp_path / "a.mcap", [entry("/joint_states", joints(1, [0.0, 0.0]), 1)], profiles=profiles)
    with open_bags(path) as bag:
        topic = bag.topics["/joint_states"]
        assert (topic.latched, topic.publishers) == (True, 2)
        assert (topic.qos.reliability, topic.qos.durability) == ("best_effort", "volatile")
        (sighting,) = sightings(bag)
        assert (sighting.qos, sighting.latched) == (topic.qos, True)


@pytest.mark.parametrize("order", [(LATCHED, VOLATILE), (VOLATILE, LATCHED)])
def test_a_channel_of_each_publisher_tells_too(tmp_path, order):
    with open_bags(two(tmp_path / "bag", list(order)) / "bag_0.mcap") as bag:
        qos = bag.topics["/joint_states"].qos
        assert (qos.reliability, qos.durability) == ("best_effort", "volatile")


def test_what_some_publisher_did_not_latch_is_no_repetition(tmp_path):
    """Files repeat what is latched; what is not, in two files of one time, is of two recordings."""
    with open_bags(two(tmp_path / "latched", [LATCHED])) as bag:
        assert len(list(bag.messages(decode=False))) == 12
    with open_bags(two(tmp_path / "mixed", [LATCHED, VOLATILE])) as bag, pytest.raises(BagError) as error:
        bag.messages()
    assert "found /joint_states in both" in str(error.value)
    with open_bags(two(tmp_path / "unknown", [LATCHED + VOLATILE])) as bag:  # whose is whose, nobody knows
        assert len(list(bag.messages(decode=False))) == 12


def test_ros_1_has_a_connection_of_each_publisher(tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    text = store.types["std_msgs/msg/String"]
    for number in range(2):
        with Ros1Writer(tmp_path / f"bag_{number}.bag") as writer:
            for name, latching in (("/first", 1), ("/second", None)):
                connection = writer.add_connection("/task", text.__msgtype__, typestore=store, callerid=name,
                                                   latching=latching)  # fmt: skip
                for step in range(6):
                    ns = START_NS + step * SECOND + number
                    writer.write(connection, ns, store.serialize_ros1(text("pick"), text.__msgtype__))
    with open_bags(sorted(tmp_path.glob("*.bag"))) as bag:
        assert bag.topics["/task"].latched
        with pytest.raises(BagError, match="found /task in both"):
            bag.messages()


def test_metadata_count_where_files_say_nothing(tmp_path):
    folder = write_rosbag2(
        tmp_path / "bag", [entry("/joint_states", joints(1, [0.0, 0.0]), 1)], latched=("/joint_states",)
    )
    (file,) = folder.glob("*.mcap")
    write_mcap(file, [entry("/joint_states", joints(1, [0.0, 0.0]), 1)])
    with open_bags(folder) as bag:
        assert bag.topics["/joint_states"].latched
        assert bag.topics["/joint_states"].qos == Qos("reliable", "transient_local", 10)


def test_what_all_of_no_publisher_is_unknown():
    assert Qos.heard([]) is None
    assert Qos.heard([Qos(), Qos("reliable")]) == Qos("reliable")
    assert Qos.heard([Qos("reliable", "transient_local", 1)] * 2) == Qos("reliable", "transient_local", 1)

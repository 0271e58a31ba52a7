"""What is kept of latched topics: each publisher's last word, in the order in which they said it."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed")

from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from tf2_msgs.msg import TFMessage

from lwd_ros.nodes.latched import LatchedMessages

TRANSFORMS, TEXT = "tf2_msgs/msg/TFMessage", "std_msgs/msg/String"


def transforms(*children: str, x: float = 0.0) -> bytes:
    result = [TransformStamped(child_frame_id=child) for child in children]
    for each in result:
        each.header.frame_id, each.transform.translation.x = "base", x
    return serialize_message(TFMessage(transforms=result))


def kept(messages, publishers: int, kind: str) -> list[bytes]:
    latched = LatchedMessages(lambda topic: publishers)
    for number, content in enumerate(messages):
        latched.take("/robot1/tf_static", kind, content, number)
    ((_, _, found),) = latched.of({"/robot1/tf_static"})
    assert latched.of(set()) == []
    return [content for content, _ in found]


def test_the_last_transform_of_each_pair_of_frames_is_kept():
    """Whatever the topic is called, and whoever published it."""
    camera, lidar, both = transforms("camera"), transforms("lidar"), transforms("camera", "lidar", x=1.0)
    moved = transforms("camera", x=2.0)
    assert kept([camera, lidar], 1, TRANSFORMS) == [camera, lidar]
    assert kept([camera, lidar, moved], 2, TRANSFORMS) == [lidar, moved]
    assert kept([camera, lidar, both], 1, TRANSFORMS) == [both]
    assert kept([both, moved], 1, TRANSFORMS) == [both, moved]
    assert kept([camera, b"\x00\x01", transforms()], 1, TRANSFORMS) == [camera]


def test_of_other_topics_as_many_messages_as_there_may_be_publishers():
    assert kept([b"a", b"b"], 1, TEXT) == [b"b"]
    assert kept([b"a", b"b"], 2, TEXT) == [b"a", b"b"]
    assert len(kept([b"%d" % number for number in range(300)], 2, TEXT)) == 100


def test_what_comes_again_is_kept_once():
    latched = LatchedMessages(lambda topic: 2)
    for _ in range(2):
        latched.take("/a", TEXT, b"a", 1)
        latched.take("/a", TEXT, b"b", 2)
    assert latched.of({"/a"}) == [("/a", TEXT, [(b"a", 1), (b"b", 2)])]

"""Pins what a recorder does with clocks that go back, with several who latch one topic, and with events of services."""

import pytest

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rosbags", reason="rosbags is not installed")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed")

import yaml
from geometry_msgs.msg import TransformStamped
from nodes_support import Cell, driver
from rclpy.qos import qos_profile_system_default
from rclpy.service_introspection import ServiceIntrospectionState
from recording_support import Demonstrator, messages
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from lwd_msgs.msg import EpisodeMarker, RecorderStatus
from lwd_ros.dataset.bags import open_bags
from lwd_ros.nodes.streams import LATCHED


@pytest.fixture
def person(tmp_path):
    with Cell(tmp_path) as cell:
        yield Demonstrator(cell)


def test_a_clock_that_goes_back_ends_the_episode_and_the_next_file_is_a_time_axis_of_its_own(person):
    """A simulator that is reset, and one that was started again before a recording is continued."""
    folder = person.record(use_sim_time=True)
    person.wait_ready()
    assert person.start().success
    person.cell.spin(0.6)
    person.ahead_s -= 100.0
    person.cell.wait("its end", lambda: person.states[-1].state == RecorderStatus.IDLE and person.states[-1].kept == 1)
    answer = person.stop()
    assert not answer.kept
    assert "episode 0 of 'pick' is kept as failed, for the clock went back by 99." in answer.message
    found = messages(folder / "demo_0.mcap")
    assert [(each.event, each.success) for each in found["episode"]] == [(0, False), (EpisodeMarker.STOP, False)]
    assert len(found["command"]) > 40
    person.wait_ready()
    begun = person.start()
    assert begun.success and "each file has a time axis of its own" in begun.message
    assert person.stop().kept
    person.cell.processes["recorder"].terminate()
    person.cell.processes["recorder"].wait(20)
    person.ahead_s -= 100.0
    person.states.clear()
    person.record(use_sim_time=True, append=True)
    person.wait_ready()
    begun = person.start()
    assert begun.episode == 2 and "each file has a time axis of its own" in begun.message
    assert person.stop().kept
    content = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    starts = [each["starting_time"]["nanoseconds_since_epoch"] for each in content["files"]]
    ends = [start + each["duration"]["nanoseconds"] for start, each in zip(starts, content["files"], strict=True)]
    assert starts == sorted(starts, reverse=True) and len(starts) == 3
    assert content["starting_time"]["nanoseconds_since_epoch"] == min(starts)
    assert content["duration"]["nanoseconds"] == max(ends) - min(starts)


def test_every_publishers_latched_transforms_are_at_the_head_wherever_the_topic_is(person):
    publishers = []
    for child in ("camera", "lidar", "gripper"):
        transform = TransformStamped(child_frame_id=child)
        transform.header.frame_id, transform.transform.rotation.w = "base", 1.0
        publishers.append(person.cell.node.create_publisher(TFMessage, "/robot1/tf_static", LATCHED))
        publishers[-1].publish(TFMessage(transforms=[transform]))
    # One that does not latch: a subscription to all of them would lose what the others said before it.
    volatile = person.cell.node.create_publisher(TFMessage, "/robot1/tf_static", 10)
    volatile.publish(TFMessage(transforms=[TransformStamped(child_frame_id="stray")]))
    folder = person.record(remappings=["/tf_static:=/robot1/tf_static"])
    person.wait_ready()
    for number in range(2):
        assert person.start().success and person.stop().kept
        found = messages(folder / f"demo_{number}.mcap")["tf_static"]
        assert sorted(each.transforms[0].child_frame_id for each in found) == ["camera", "gripper", "lidar"]


def test_events_of_a_service_are_recorded_as_rosbag2_does(person):
    topic = f"{person.cell.namespace}/home/_service_event"
    with driver(person.cell) as node:
        service = node.create_service(Trigger, "home", lambda request, response: response)
        contents = ServiceIntrospectionState.CONTENTS
        service.configure_introspection(node.get_clock(), qos_profile_system_default, contents)
        client = node.create_client(Trigger, "home")
        folder = person.record(topics=topic)
        person.wait_ready()
        assert person.start().success
        executor = person.cell._executor
        executor.add_node(node)
        future = client.call_async(Trigger.Request())
        person.cell.wait("the answer", future.done)
        person.cell.spin(0.3)
        executor.remove_node(node)
        assert person.stop().kept
    with open_bags([folder]) as bag:
        assert bag.topics[topic].type == "std_srvs/srv/Trigger_Event"
        events = [each.message for each in bag.messages([topic])]
    assert {each.info.event_type for each in events} == {1, 2}  # received, answered
    assert any(len(each.response) == 1 for each in events)

"""Pins what a recorder leaves on the disk: in its own process, over DDS, ended in every way."""

import resource

import pytest

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rosbags", reason="rosbags is not installed")

import numpy as np
import yaml
from nodes_support import Cell
from recording_support import CONTRACT, Demonstrator, messages, torn_counts
from rig_support import JOINTS, PERIOD_S, Rig, array_out, contract_of, joints
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from lwd_msgs.msg import EpisodeMarker, RecorderStatus
from lwd_msgs.srv import StopEpisode
from lwd_ros.nodes.streams import LATCHED


@pytest.fixture
def person(tmp_path):
    with Cell(tmp_path) as cell:
        yield Demonstrator(cell)


def test_episodes_are_whole_and_refused_while_a_stream_is_missing(person):
    person.shows = False
    folder = person.record(topics="note")
    person.cell.wait("a status", lambda: person.states)
    refused = person.start()
    assert not refused.success
    for topic in ("joint_states", "note"):  # a person may rest before the first command
        assert f"{topic}: nothing received" in refused.message
    person.cell.node.create_publisher(String, "note", LATCHED).publish(String(data="said once"))
    person.shows = True
    person.wait_ready()
    for success in (True, False):
        first = person.sent
        assert person.start().success
        person.cell.spin(0.5)
        last, answer = person.sent, person.stop(success)
        assert answer.kept and answer.messages > 60 and answer.duration_s > 0.4
        found = messages(folder / f"demo_{answer.episode}.mcap")
        for numbers in (
            [message.data[0] for message in found["command"]],
            [message.position[0] for message in found["joint_states"]],
        ):
            assert numbers == sorted(set(numbers)) and first <= numbers[0] and numbers[-1] >= last - 3
            lost = numbers[-1] - numbers[0] + 1 - len(numbers)
            assert lost == 0 or (lost < 5 and "the middleware lost" in answer.message)  # on a machine that is too busy
        assert [message.data for message in found["note"]] == ["said once"]  # latched: in every file
        begun, ended = found["episode"]
        assert (begun.event, begun.task, ended.event, ended.success) == (
            EpisodeMarker.START,
            "pick",
            EpisodeMarker.STOP,
            success,
        )
    assert person.start("place").success
    person.shows = False  # and it says what is lost meanwhile
    person.cell.wait("the sentence", lambda: "joint_states: silent for" in " ".join(person.states[-1].missing))
    assert person.states[-1].state == RecorderStatus.RECORDING and person.states[-1].task == "place"
    discarded = person.cell.call(Trigger, "recorder/discard")
    assert discarded.success and "episode 2 of 'place' is thrown away" in discarded.message
    assert sorted(path.name for path in folder.iterdir()) == ["demo_0.mcap", "demo_1.mcap", "metadata.yaml"]
    assert not person.stop().kept
    assert "recording without it: joint_states" in person.cell.tail("recorder", 100)


def test_kill_9_costs_the_open_episode_alone(person):
    """Three whole episodes, and of the torn one all but the last half second."""
    person.cell.environment["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"  # who is killed may hold shared memory's locks
    folder = person.record()
    person.wait_ready()
    for _ in range(3):
        assert person.start().success
        person.cell.spin(0.2)
        assert person.stop().kept
    assert person.start().success
    person.cell.spin(1.5)
    person.cell.processes["recorder"].kill()
    person.cell.processes["recorder"].wait()
    found = messages(folder)
    assert [marker.event for marker in found["episode"]] == [EpisodeMarker.START, EpisodeMarker.STOP] * 3
    torn = torn_counts(folder / "demo_3.mcap")
    assert torn["episode"] == 1 and torn["command"] > 50
    person.states.clear()
    assert person.record(append=True) == folder
    person.wait_ready()
    assert "demo_3.mcap: found no end" in person.cell.tail("recorder", 100)
    assert person.start().episode == 4
    assert person.stop().kept
    assert len(messages(folder)["episode"]) == 8


def test_a_full_disk_is_one_sentence_and_the_whole_episodes_stay(person):
    """The largest file that the system allows the recorder stands for the disk."""
    folder = person.record()
    person.wait_ready()
    process = person.cell.processes["recorder"]
    assert person.start().success and person.stop().kept
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
    assert person.start().success
    person.cell.wait("the end of it", lambda: "is cut off" in person.cell.tail("recorder", 100))
    answer = person.stop()
    assert not answer.kept
    assert "demo: episode 1 is cut off and not listed (File too large); 1 whole episodes stay" in answer.message
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert person.start().episode == 2
    assert person.stop().kept
    assert len(messages(folder)["episode"]) == 4 and "Traceback" not in person.cell.tail("recorder", 1000)


def test_a_joysticks_buttons_start_and_end_episodes(person):
    folder = person.record(joy_start=2, joy_fail=0, joy_discard=1)
    person.wait_ready()
    stick = person.cell.node.create_publisher(Joy, "joy", 10)
    person.cell.wait("the recorder", lambda: stick.get_subscription_count() > 0)

    def press(button: int, then) -> None:
        for pressed in (False, True, False, True, False):  # it bounces
            stick.publish(Joy(buttons=[int(pressed and place == button) for place in range(3)]))
        person.states.clear()
        person.cell.wait("the button", lambda: person.states and then(person.states[-1]))
        person.cell.spin(0.35)

    def recording(status) -> bool:
        return status.state == RecorderStatus.RECORDING

    press(2, recording)
    press(2, lambda status: status.kept == 1)
    press(2, recording)
    press(0, lambda status: status.kept == 2)
    press(2, recording)
    press(1, lambda status: status.discarded == 1 and not recording(status))
    successes = [marker.success for marker in messages(folder)["episode"] if marker.event == EpisodeMarker.STOP]
    assert successes == [True, False]


def test_what_was_sent_is_recorded_with_the_policys_own_output_beside_it(tmp_path):
    """A command of another size than the policy wants: slew and limits stand between them."""
    content = contract_of(
        [{"topic": "joint_states", "type": JOINTS, "fields": {"a": "position[a]", "b": "position[b]"}}],
        [array_out("command", "u", "v")],
        scalars={"u": {"unit": "rad/s", "limits": [-3.0, 3.0], "slew_per_s": 5.0}},
    )
    with Cell(tmp_path) as cell:
        rig = Rig(cell, content)
        counter = iter(range(10**6))
        send = rig.publish(JointState, "joint_states")
        rig.robot = lambda: send(joints(["a", "b"], [np.sin(0.3 * next(counter)), 1.5]))
        sent = rig.listen(Float64MultiArray, "command")
        person = Demonstrator(cell)
        person.shows, person.sent = False, 10
        path = tmp_path / "contract.yaml"
        cell.start_node("recorder", {"contract_file": path, "folder": tmp_path / "bag", "task": "rows"})
        cell.wait("the recorder", lambda: person.states)
        rig.run([[4.0, 0.0], [0.0, 2.0]])
        person.wait_ready()
        assert person.start().success
        cell.spin(1.0)
        answer = cell.call(StopEpisode, "recorder/stop", StopEpisode.Request(success=True))
        assert answer.kept, answer.message
    found = messages(tmp_path / "bag" / "bag_0.mcap")
    ticks, commands = found["tick"], [list(message.data) for message in found["command"]]
    assert len(ticks) > 10 and len(found["policy"]) == 1 and found["status"]
    assert [tick.tick for tick in ticks] == list(range(ticks[0].tick, ticks[0].tick + len(ticks)))
    of_ticks = [list(tick.command) for tick in ticks]
    shared = [command for command in commands if command in of_ticks]
    assert len(shared) >= 0.9 * len(ticks) and all(command in [list(each.data) for each in sent] for command in shared)
    seen = {(each.header.stamp.sec, each.header.stamp.nanosec): each.position for each in found["joint_states"]}
    for tick in ticks[1:]:
        observed = seen[tick.stamp.sec, tick.stamp.nanosec]
        assert list(tick.observation) == list(observed)
        np.testing.assert_allclose(tick.output, [4.0 * observed[0], 3.0], rtol=1e-6)
        assert tick.task == "rows" and tick.policy_id == found["policy"][0].policy_id
    outputs, commanded = np.array([tick.output for tick in ticks]), np.array(of_ticks)
    assert np.abs(outputs[:, 0]).max() > 3.1 and np.abs(commanded[:, 0]).max() <= 3.0
    stamps = np.array([tick.stamp.sec + 1e-9 * tick.stamp.nanosec for tick in ticks])
    allowed = 5.0 * (np.diff(stamps) + PERIOD_S) + 1e-6  # one period may be saved up
    assert (np.abs(np.diff(commanded[:, 0])) <= allowed).all()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"folder": "''"}, "parameter 'folder': found nothing, expected the folder of the recording"),
        ({"contract_file": "nope.yaml"}, "nope.yaml: cannot be read"),
        ({"folder": "/proc/nothing/here"}, "No such file or directory"),
        (
            {"topics": "'/no such'"},
            "parameter 'topics': found '/no such', expected the name of a topic",
        ),
        ({"contract_file": "unknown_type.yaml"}, "activate failed: command: type: found no package 'nowhere_msgs'"),
    ],
)
def test_what_cannot_be_recorded_ends_with_one_sentence(person, parameters, sentence):
    unknown = yaml.safe_dump(CONTRACT).replace("std_msgs/msg/Float64MultiArray", "nowhere_msgs/msg/Thing")
    path = person.cell.log_folder / "unknown_type.yaml"
    path.write_text(unknown, encoding="utf-8")
    given = {key: path if value == path.name else value for key, value in parameters.items()}
    person.record(**given)
    assert person.cell.processes["recorder"].wait(20) == 1
    log = person.cell.tail("recorder", 100)
    assert sentence in log and "Traceback" not in log

"""A recorder process beside a robot of plain publishers, and what its recordings hold."""

import contextlib
import time
from pathlib import Path

import yaml
from mcap.exceptions import EndOfFile
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
from nodes_support import Cell
from rig_support import JOINTS, array_out, contract_of, joints, numbers
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from lwd_msgs.msg import RecorderStatus
from lwd_msgs.srv import StartEpisode, StopEpisode
from lwd_ros.nodes.conversions import to_stamp

CONTRACT = contract_of(
    [{"topic": "joint_states", "type": JOINTS, "fields": {"a": "position[a]", "b": "position[b]"}}],
    [array_out("command", "u", "v")],
)


class Demonstrator:
    """A robot and who drives it: joints and commands at 100 Hz while `shows`, each message with the next number.

    The cell's clock and the joints' stamps are `ahead_s` of this computer's clock.
    """

    def __init__(self, cell: Cell):
        self.cell, self.shows, self.sent, self.ahead_s = cell, True, 0, 0.0
        self._clock = cell.node.create_publisher(Clock, "clock", 10)  # a cell has its own
        self._joints = cell.node.create_publisher(JointState, "joint_states", 100)
        self._commands = cell.node.create_publisher(Float64MultiArray, "command", 100)
        cell.node.create_timer(0.01, self._show)
        self.states: list[RecorderStatus] = []
        cell.subscribe(RecorderStatus, "recorder/status", self.states.append)

    def _show(self) -> None:
        if self.shows:
            self.sent += 1
            now_ns = time.time_ns() + int(1e9 * self.ahead_s)
            self._clock.publish(Clock(clock=to_stamp(now_ns)))
            self._joints.publish(joints(["a", "b"], [float(self.sent), 0.0], [0.0, 0.0], [0.0, 0.0], now_ns))
            self._commands.publish(numbers(float(self.sent), 1.0))

    def record(self, remappings=(), **parameters) -> Path:
        """Start a recorder; returns the folder that it records into."""
        cell, folder = self.cell, self.cell.log_folder / "demo"
        path = cell.log_folder / "contract.yaml"
        path.write_text(yaml.safe_dump(CONTRACT, sort_keys=False), encoding="utf-8")
        given = {"contract_file": path, "folder": folder, "task": "pick", **parameters}
        arguments = cell.ros_arguments(given)
        for remapping in remappings:
            arguments += ["-r", remapping]
        cell.start("recorder", "lwd_ros.nodes.recorder", arguments)
        return folder

    def wait_ready(self) -> None:
        """Wait until the recorder misses nothing."""
        self.cell.wait("the recorder", lambda: self.states and not self.states[-1].missing and self.sent > 5)
        self.states.clear()
        self.cell.wait("all streams", lambda: self.states and not self.states[-1].missing)

    def start(self, task: str = "") -> StartEpisode.Response:
        """Ask for the next episode."""
        return self.cell.call(StartEpisode, "recorder/start", StartEpisode.Request(task=task))

    def stop(self, success: bool = True) -> StopEpisode.Response:
        """End the episode."""
        return self.cell.call(StopEpisode, "recorder/stop", StopEpisode.Request(success=success))


def messages(path: Path) -> dict[str, list]:
    """All messages by the last part of their topic, read by rosbags."""
    result: dict[str, list] = {}
    with AnyReader([path]) as reader:
        for connection, _, raw in reader.messages():
            name = connection.topic.rpartition("/")[2]
            result.setdefault(name, []).append(reader.deserialize(raw, connection.msgtype))
    return result


def torn_counts(path: Path) -> dict[str, int]:
    """Messages that a file without an end holds, by the last part of their topic."""
    channels: dict[int, str] = {}
    counts: dict[str, int] = {}
    with open(path, "rb") as file, contextlib.suppress(EndOfFile):
        for each in StreamReader(file).records:
            if isinstance(each, Channel):
                channels[each.id] = each.topic.rpartition("/")[2]
            elif isinstance(each, Message):
                name = channels[each.channel_id]
                counts[name] = counts.get(name, 0) + 1
    return counts

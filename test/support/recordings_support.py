"""Recordings of a small robot for tests of the import: two joints, a command, marks; each test spoils them its way."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as FolderWriter
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import lwd_ros
from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.dataset.importing import Settings, import_bags
from lwd_ros.errors import LwdError

START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 20_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)
for _name in ("EpisodeMarker", "ControllerTick"):
    _text = (Path(lwd_ros.__file__).parents[1] / "lwd_msgs" / "msg" / f"{_name}.msg").read_text()
    STORE.register(get_types_from_msg(_text, f"lwd_msgs/msg/{_name}"))
_TYPES = STORE.types

JOINTS, TWIST, TF = "sensor_msgs/msg/JointState", "geometry_msgs/msg/Twist", "tf2_msgs/msg/TFMessage"
COMMANDS, MARKER, TICK = (
    "std_msgs/msg/Float64MultiArray",
    "lwd_msgs/msg/EpisodeMarker",
    "lwd_msgs/msg/ControllerTick",
)


def arm(**changes) -> dict:
    """A contract of two joints that are commanded to places by arrays, 50 Hz, as a file has it."""
    content = {
        "name": "arm",
        "period_s": 0.02,
        "history": 1,
        "observation": {
            "elbow": {"unit": "rad", "limits": [-3.2, 3.2]},
            "wrist": {"unit": "rad", "limits": [-3.2, 3.2]},
        },
        "command": {
            "elbow_to": {"unit": "rad", "limits": [-2.0, 2.0], "slew_per_s": 10.0, "rest": "elbow"},
            "wrist_to": {"unit": "rad", "limits": [-2.0, 2.0], "slew_per_s": 10.0, "rest": "wrist"},
        },
        "binding": {
            "observation": {
                "sync": "latest",
                "streams": [
                    {
                        "topic": "joint_states", "type": JOINTS, "stale_after_s": 0.2,
                        "fields": {"elbow": "position[elbow]", "wrist": "position[wrist]"},
                    }
                ],
            },
            "command": {
                "on_fault": "hold",
                "streams": [
                    {"topic": "commands", "type": COMMANDS, "fields": {"elbow_to": "data[0]", "wrist_to": "data[1]"}}
                ],
            },
        },
    }  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        place[int(last) if last.isdigit() else last] = value
    return content


def contract(**changes) -> Contract:
    """`arm` with some keys changed: `binding__observation__sync="same_stamp"`."""
    return Contract.from_dict(arm(**changes))


def stamp(ns: int):
    """A time."""
    return _TYPES["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)


def header(ns: int, frame: str = ""):
    """A header."""
    return _TYPES["std_msgs/msg/Header"](stamp=stamp(ns), frame_id=frame)


def joints(ns: int, positions, names=("elbow", "wrist")):
    """A JointState."""
    none = np.zeros(0)
    return _TYPES[JOINTS](header(ns), list(names), np.array(positions, float), none, none)


def commands(values):
    """An array of commands."""
    layout = _TYPES["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return _TYPES[COMMANDS](layout, np.array(values, float))


def text(value: str):
    """A String."""
    return _TYPES["std_msgs/msg/String"](value)


def mark(event: int, task: str = "", episode: int = 0, success: bool = True):
    """The recorder's mark: 0 begins an episode, 1 ends and 2 discards it."""
    return _TYPES[MARKER](stamp(0), event, episode, task, success, START=0, STOP=1, DISCARD=2)


def tick(ns: int, number: int, observation, output, command):
    """What the controller saw, what the policy said and what was sent."""
    arrays = (np.array(each, float) for each in (observation, output, command))
    return _TYPES[TICK](stamp(ns), stamp(ns), number, "id", "reach", *arrays)


def transform(ns: int, parent: str, child: str, x: float = 0.0):
    """A TFMessage of one transform without a turn."""
    pose = _TYPES["geometry_msgs/msg/Transform"](
        _TYPES["geometry_msgs/msg/Vector3"](x, 0.0, 0.0), _TYPES["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    )
    return _TYPES[TF]([_TYPES["geometry_msgs/msg/TransformStamped"](header(ns, parent), child, pose)])


@dataclass
class Recording:
    """Messages by the time when they were recorded, ns after START_NS."""

    entries: list[tuple[int, str, object]] = field(default_factory=list)

    def add(self, after_ns: int, topic: str, message) -> "Recording":
        """One message more."""
        self.entries.append((after_ns, topic, message))
        return self

    def without(self, topic: str, begin_s: float, end_s: float) -> "Recording":
        """Without what was recorded on a topic in this time."""
        kept = [each for each in self.entries if each[1] != topic or not begin_s <= 1e-9 * each[0] < end_s]
        return Recording(kept)

    def _serialised(self):
        for after_ns, topic, message in sorted(self.entries, key=lambda each: each[0]):
            kind = message.__msgtype__
            yield topic, kind, START_NS + after_ns, bytes(STORE.serialize_cdr(message, kind))

    def mcap(self, path: Path, compression=CompressionType.ZSTD, kinds=None, also=None) -> Path:
        """As one MCAP file; `kinds` gives some topics a type of another name, which nobody knows.

        `also` adds what it wants to the writer.
        """
        with path.open("wb") as file:
            writer = Writer(file, compression=compression, chunk_size=4096)
            writer.start("ros2", "test")
            channels = {}
            for topic, kind, at_ns, data in self._serialised():
                if topic not in channels:
                    strange = (kinds or {}).get(topic)
                    definition = "" if strange else STORE.generate_msgdef(kind, ros_version=2)[0]
                    schema = writer.register_schema(strange or kind, "ros2msg", definition.encode())
                    channels[topic] = writer.register_channel(topic, "cdr", schema)
                writer.add_message(channels[topic], at_ns, data, at_ns)
            if also is not None:
                also(writer)
            writer.finish()
        return path

    def folder(self, path: Path, storage=StoragePlugin.MCAP, mode: str = "") -> Path:
        """As a folder of rosbag2."""
        writer = FolderWriter(path, version=9, storage_plugin=storage)
        if mode:
            writer.set_compression(getattr(CompressionMode, mode), CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, kind, at_ns, data in self._serialised():
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic], at_ns, data)
        return path


def position(step: int) -> tuple[float, float]:
    """Where both joints are at a step."""
    return float(np.sin(0.05 * step)), float(np.cos(0.03 * step))


def recording(steps: int = 100, names=("elbow", "wrist")) -> Recording:
    """Joints every 20 ms, each answered 5 ms later by a command to go 0.1 rad further."""
    result = Recording()
    for step in range(steps):
        after_ns, places = step * PERIOD_NS, position(step)
        result.add(after_ns + 1_000_000, "/joint_states", joints(START_NS + after_ns, places, names))
        result.add(after_ns + 5_000_000, "/commands", commands([each + 0.1 for each in places]))
    return result


def with_rest() -> Recording:
    """Moves from 1 to 3 s and from 5 to 7 s of 8 s."""
    made = Recording()
    for step in range(400):
        moves = 50 <= step < 150 or 250 <= step < 350
        place = 0.5 * np.sin(0.2 * step) if moves else 0.0
        made.add(step * PERIOD_NS, "/joint_states", joints(START_NS + step * PERIOD_NS, [place, 0.0]))
        made.add(step * PERIOD_NS + 1, "/commands", commands([place, 0.0]))
    return made


def service_event(kind: int, sequence: int, request: bytes | None, response: bytes | None) -> bytes:
    """A service's event in CDR; `request` and `response` begin at a multiple of 4."""
    body = struct.pack("<B3xiI16s", kind, 7, 8, bytes(16))
    body += bytes(-len(body) % 8) + struct.pack("<q", sequence)
    for part in (request, response):
        body += struct.pack("<I", part is not None) + (part or b"")
        body += bytes(-len(body) % 4)
    return b"\x00\x01\x00\x00" + body


def expected(steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Observations and actions of `recording`."""
    places = np.array([position(step) for step in range(steps)])
    return places, places + 0.1


REACH = Settings(task="reach")


def imported(tmp_path, bag, settings=REACH, of=None, name="data"):
    """(report, episodes by task) of one import."""
    report = import_bags([bag], of or contract(), tmp_path / name, settings)
    return report, Demonstrations(tmp_path / name).episodes


def refused(tmp_path, bag, settings=REACH, of=None) -> str:
    """The sentence of an import that ends without a dataset, which it must."""
    with pytest.raises(LwdError) as error:
        import_bags([bag], of or contract(), tmp_path / "data", settings)
    assert not (tmp_path / "data").exists()
    assert "\n" not in str(error.value)
    return str(error.value)

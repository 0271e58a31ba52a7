"""Small recordings for tests: one sequence of messages in every encoding that there is."""

from pathlib import Path

import numpy as np
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS, TWIST, POINT = "sensor_msgs/msg/JointState", "geometry_msgs/msg/Twist", "geometry_msgs/msg/Point"
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 20_000_000
_MSG = STORE.types

Entry = tuple[str, str, int, bytes]  # topic, type, log time in ns, serialised


def time_of(ns: int):
    """A stamp."""
    return _MSG["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)


def header(ns: int, frame: str = "base_link"):
    """A header."""
    return _MSG["std_msgs/msg/Header"](stamp=time_of(ns), frame_id=frame)


def joints(ns: int, positions, names=("elbow", "wrist")):
    """A JointState."""
    empty = np.array([])
    values = np.array(positions, dtype=np.float64)
    return _MSG[JOINTS](header=header(ns), name=list(names), position=values, velocity=empty, effort=empty)


def vector(x: float, y: float = 0.0, z: float = 0.0):
    """A Vector3."""
    return _MSG["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)


def twist(forward: float, turn: float):
    """A Twist."""
    return _MSG[TWIST](linear=vector(forward), angular=vector(0.0, 0.0, turn))


def entry(topic: str, message, ns: int) -> Entry:
    """A message as the writers below take it."""
    kind = message.__msgtype__
    return topic, kind, ns, bytes(STORE.serialize_cdr(message, kind))


def arm(steps: int = 100) -> list[Entry]:
    """Joints at 50 Hz and a velocity command at 25 Hz, by log time; the third twist has the joints' time."""
    result = []
    for step in range(steps):
        ns, phase = START_NS + step * PERIOD_NS, 0.1 * step
        result.append(entry("/joint_states", joints(ns - 1_000_000, [np.sin(phase), np.cos(phase)]), ns))
        if step % 2 == 0:
            result.append(entry("/cmd_vel", twist(0.3 * np.sin(phase), np.cos(phase)), ns))
    return result


def write_mcap(path: Path, entries: list[Entry], encoding: str = "cdr", profiles: str = "", **options) -> Path:
    """An MCAP file as rosbag2 writes it; `options` are those of mcap's writer."""
    options = {"compression": CompressionType.NONE, "chunk_size": 2048, **options}
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start("ros2", "test")
        channels = {}
        for topic, kind, ns, data in entries:
            if topic not in channels:
                text = STORE.generate_msgdef(kind, ros_version=2)[0] if kind in STORE.fielddefs else ""
                schema = writer.register_schema(kind, "ros2msg", text.encode())
                channels[topic] = writer.register_channel(topic, encoding, schema, {"offered_qos_profiles": profiles})
            writer.add_message(channels[topic], ns, data, ns)
        writer.finish()
    return path


WITHOUT_INDEX = {"index_types": IndexType.NONE, "use_statistics": False, "use_summary_offsets": False,
                 "repeat_channels": False, "repeat_schemas": False}  # fmt: skip


def write_rosbag2(folder: Path, entries: list[Entry], storage=StoragePlugin.MCAP, mode=None, latched=()) -> Path:
    """A folder of rosbag2, by rosbags."""
    writer = Ros2Writer(folder, version=9, storage_plugin=storage)
    if mode is not None:
        writer.set_compression(getattr(CompressionMode, mode), CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, ns, data in entries:
            if topic not in connections:
                qos = [_qos(topic in latched)]
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=qos)
            writer.write(connections[topic], ns, data)
    return folder


def _qos(latched: bool) -> Qos:
    endless = QosTime(0, 0)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability,
        endless, endless, QosLiveliness.AUTOMATIC, endless, False,
    )  # fmt: skip


def write_ros1(path: Path, entries: list[Entry]) -> Path:
    """A ROS 1 bag of the same messages."""
    store = get_typestore(Stores.ROS1_NOETIC)
    with Ros1Writer(path) as writer:
        connections = {}
        for topic, kind, ns, data in entries:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            message = STORE.deserialize_cdr(data, kind)
            if kind == JOINTS:
                old = store.types["std_msgs/msg/Header"](seq=0, stamp=message.header.stamp, frame_id="base_link")
                message = store.types[kind](old, message.name, message.position, message.velocity, message.effort)
            writer.write(connections[topic], ns, store.serialize_ros1(message, kind))
    return path

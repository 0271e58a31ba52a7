"""A recording of a made-up robot, written with rosbags: a base with an arm and a lidar, five streams."""

from pathlib import Path

import numpy as np

CONTRACT = {
    "name": "recorded_base",
    "period_s": 0.02,
    "history": 1,
    "observation": {
        **{f"joint_{i}": {"unit": "rad", "limits": [-3.2, 3.2]} for i in range(1, 8)},
        **{f"hand_{axis}": {"unit": "m", "limits": [-10.0, 10.0]} for axis in "xyz"},
        "forward_velocity": {"unit": "m/s", "limits": [-1.0, 1.0]},
        "turn_velocity": {"unit": "rad/s", "limits": [-2.0, 2.0]},
        "scan": {"unit": "m", "limits": [0.0, 12.0], "size": 36},
    },
    "command": {
        "forward": {"unit": "m/s", "limits": [-1.0, 1.0], "slew_per_s": 2.0, "rest": "zero"},
        "turn": {"unit": "rad/s", "limits": [-2.0, 2.0], "slew_per_s": 6.0, "rest": "zero"},
    },
    "binding": {
        "observation": {
            "sync": "latest",
            "streams": [
                {
                    "topic": "/odom", "type": "nav_msgs/msg/Odometry", "frame_id": "odom", "stale_after_s": 0.2,
                    "fields": {"forward_velocity": "twist.twist.linear.x", "turn_velocity": "twist.twist.angular.z"},
                },
                {
                    "topic": "/joint_states", "type": "sensor_msgs/msg/JointState", "stale_after_s": 0.2,
                    "fields": {f"joint_{i}": f"position[joint_{i}]" for i in range(1, 8)},
                },
                {
                    "topic": "/hand", "type": "geometry_msgs/msg/PoseStamped", "stale_after_s": 0.2,
                    "fields": {f"hand_{axis}": f"pose.position.{axis}" for axis in "xyz"},
                },
                {
                    "topic": "/scan", "type": "sensor_msgs/msg/LaserScan", "stale_after_s": 0.2,
                    "fields": {"scan": "ranges[0:360:10]"},
                },
            ],
        },
        "command": {
            "on_fault": "hold",
            "streams": [
                {
                    "topic": "/cmd_vel", "type": "geometry_msgs/msg/TwistStamped", "frame_id": "base_link",
                    "stamp": "now", "fields": {"forward": "twist.linear.x", "turn": "twist.angular.z"},
                }
            ],
        },
    },
}  # fmt: skip
"""A contract of all five streams, at 50 Hz, as its file would have it."""

RATES_HZ = {"/joint_states": 100, "/hand": 100, "/odom": 50, "/scan": 50, "/cmd_vel": 50}
_BEGIN_NS = 1_700_000_000_000_000_000


def write_recording(folder: Path, seconds: float, seed: int = 0) -> int:
    """Write a bag of MCAP, chunks compressed with zstd as `ros2 bag` does by its preset; returns its messages."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = store.types
    rng = np.random.default_rng(seed)
    time, header = kinds["builtin_interfaces/msg/Time"], kinds["std_msgs/msg/Header"]
    point, quaternion = kinds["geometry_msgs/msg/Point"], kinds["geometry_msgs/msg/Quaternion"]
    vector, twist = kinds["geometry_msgs/msg/Vector3"], kinds["geometry_msgs/msg/Twist"]
    pose = kinds["geometry_msgs/msg/Pose"]
    names, none = [f"joint_{i}" for i in range(1, 8)], np.zeros(0)

    def moving(forward: float, turn: float):
        return twist(vector(forward, 0.0, 0.0), vector(0.0, 0.0, turn))

    def message(topic: str, at_s: float, head):
        wave = np.sin(at_s + np.arange(7))
        place = pose(point(*wave[:3].tolist()), quaternion(0.0, 0.0, 0.0, 1.0))
        if topic == "/joint_states":
            return kinds["sensor_msgs/msg/JointState"](head, names, wave, 0.1 * wave, none)
        if topic == "/hand":
            return kinds["geometry_msgs/msg/PoseStamped"](head, place)
        if topic == "/odom":
            covered = kinds["geometry_msgs/msg/PoseWithCovariance"](place, np.zeros(36))
            speed = kinds["geometry_msgs/msg/TwistWithCovariance"](moving(0.5 * wave[0], wave[1]), np.zeros(36))
            return kinds["nav_msgs/msg/Odometry"](head, "base_link", covered, speed)
        if topic == "/scan":
            ranges = rng.uniform(0.2, 11.0, 360).astype(np.float32)
            return kinds["sensor_msgs/msg/LaserScan"](
                head, 0.0, 6.28, 0.01745, 0.0, 0.02, 0.1, 12.0, ranges, none.astype(np.float32)
            )
        return kinds["geometry_msgs/msg/TwistStamped"](head, moving(0.5 * wave[0], wave[1]))

    frames = {"/odom": "odom", "/scan": "base_scan", "/cmd_vel": "base_link"}
    types = {"/joint_states": "sensor_msgs/msg/JointState", "/hand": "geometry_msgs/msg/PoseStamped"}
    types |= {"/odom": "nav_msgs/msg/Odometry", "/scan": "sensor_msgs/msg/LaserScan"}
    types |= {"/cmd_vel": "geometry_msgs/msg/TwistStamped"}
    moments = sorted(
        (round(1e9 * (k + 0.1 * place) / rate), topic)
        for place, (topic, rate) in enumerate(RATES_HZ.items())
        for k in range(round(seconds * rate))
    )
    bag = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag as writer:
        connections = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in types.items()}
        for after_ns, topic in moments:
            stamp = _BEGIN_NS + after_ns
            head = header(time(stamp // 10**9, stamp % 10**9), frames.get(topic, ""))
            data = store.serialize_cdr(message(topic, 1e-9 * after_ns, head), types[topic])
            writer.write(connections[topic], stamp + 300_000, data)  # recorded 0.3 ms later
    return len(moments)

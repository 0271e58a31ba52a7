"""First contracts that are guessed in tests, and recordings of robots to guess them from."""

import numpy as np
from bags_support import PERIOD_NS, START_NS, STORE, entry, header, joints, twist
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.contract import Contract
from lwd_ros.contract.guess import guess
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.bags.looking import sightings

T = STORE.types


def guessed(path, **options):
    with open_bags(path) as bag:
        return guess(sightings(bag), "robot", "the recording", **options)


def confirmed(path, written) -> Contract:
    """The contract after a person has removed every mark."""
    path.write_text(written.text.replace("!guess ", ""), encoding="utf-8")
    return Contract.load(path)


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def steps(make, count=60, period_ns=PERIOD_NS):
    """Messages of functions of the step and its time: topic to function."""
    result = []
    for step in range(count):
        ns = START_NS + step * period_ns
        result += [entry(topic, function(step, ns), ns) for topic, function in make.items()]
    return result


def wave(step: int) -> float:
    return float(np.sin(0.1 * step))


def positions(step, ns):
    return joints(ns, [wave(step), 0.5 * wave(step)])


def array_of(*values):
    layout = T["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return T["std_msgs/msg/Float64MultiArray"](layout=layout, data=np.array(values, dtype=np.float64))


def trajectory(step, ns):
    empty, point = np.array([]), T["trajectory_msgs/msg/JointTrajectoryPoint"]
    duration = T["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
    goal = point(
        positions=np.array([wave(step), 0.5 * wave(step)]), velocities=empty, accelerations=empty, effort=empty,
        time_from_start=duration,
    )  # fmt: skip
    return T["trajectory_msgs/msg/JointTrajectory"](header=header(0), joint_names=["elbow", "wrist"], points=[goal])


def scan(step, ns):
    ranges = np.array([2.0 + 0.1 * wave(step)] * 359 + [np.inf], dtype=np.float32)
    numbers = dict.fromkeys(("angle_min", "angle_max", "angle_increment", "time_increment", "scan_time"), 0.0)
    return T["sensor_msgs/msg/LaserScan"](
        header=header(ns), **numbers, range_min=0.1, range_max=8.0, ranges=ranges, intensities=np.array([], np.float32)
    )


def odometry(step, ns):
    pose, half = T["geometry_msgs/msg/Pose"], 0.5 * wave(step)
    turned = T["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=float(np.sin(half)), w=float(np.cos(half)))
    place = pose(position=T["geometry_msgs/msg/Point"](x=wave(step), y=0.0, z=0.0), orientation=turned)
    covariance = np.zeros(36)
    return T["nav_msgs/msg/Odometry"](
        header=header(0), child_frame_id="base",
        pose=T["geometry_msgs/msg/PoseWithCovariance"](pose=place, covariance=covariance),
        twist=T["geometry_msgs/msg/TwistWithCovariance"](twist=twist(wave(step), 0.0), covariance=covariance),
    )  # fmt: skip


def stamped(step, ns):
    return T["geometry_msgs/msg/TwistStamped"](header=header(ns, "base_link"), twist=twist(wave(step), 0.0))

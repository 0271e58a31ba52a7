"""What came on a topic, live or recorded, as far as a first contract can be guessed from it."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.functions import ANGLE, ANGLES
from lwd_ros.contract.streams import Qos

_S = 1e-9
_OTHER_CLOCK_S = 0.5  # stamps that are further from the arrival are of another clock
_NORM = 0.01  # a quaternion's norm may differ from 1 by so much
_STILL = 1e-6  # a number that changes by less, in shares of itself, does not change
_XYZ, _QUATERNION = ("x", "y", "z"), ("x", "y", "z", "w")
_POSE = (("position", "m", _XYZ), ("orientation", "1", _QUATERNION))
_TWIST = (("linear", "m/s", _XYZ), ("angular", "rad/s", _XYZ))
_WRENCH = (("force", "N", _XYZ), ("torque", "N*m", _XYZ))
_ACKERMANN = (("", "m/s", ("speed",)), ("", "rad", ("steering_angle",)))

JOINTS, TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
SCAN, TRANSFORMS = "sensor_msgs/msg/LaserScan", "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
ARRAYS = ("std_msgs/msg/Float64MultiArray", "std_msgs/msg/Float32MultiArray")
NUMBERS = ("Float64", "Float32", "Int64", "Int32", "Int16", "Int8", "UInt32", "UInt16", "UInt8", "Bool")

PARTS: dict[str, tuple] = {  # path, unit, attributes below it
    "geometry_msgs/msg/Twist": _TWIST,
    "geometry_msgs/msg/Accel": (("linear", "m/s^2", _XYZ), ("angular", "rad/s^2", _XYZ)),
    "geometry_msgs/msg/Pose": _POSE,
    "geometry_msgs/msg/Point": (("", "m", _XYZ),),
    "geometry_msgs/msg/Vector3": (("", "1", _XYZ),),
    "geometry_msgs/msg/Wrench": _WRENCH,
    "geometry_msgs/msg/PoseWithCovarianceStamped": tuple((f"pose.pose.{path}", *rest) for path, *rest in _POSE),
    ODOMETRY: (
        *((f"pose.pose.{path}", *rest) for path, *rest in _POSE),
        *((f"twist.twist.{path}", *rest) for path, *rest in _TWIST),
    ),
    "sensor_msgs/msg/Imu": (
        ("orientation", "1", _QUATERNION),
        ("angular_velocity", "rad/s", _XYZ),
        ("linear_acceleration", "m/s^2", _XYZ),
    ),
    "sensor_msgs/msg/Range": (("", "m", ("range",)),),
    "ackermann_msgs/msg/AckermannDrive": _ACKERMANN,
    "ackermann_msgs/msg/AckermannDriveStamped": tuple((f"drive{path}", *rest) for path, *rest in _ACKERMANN),
    **{f"std_msgs/msg/{name}": (("", "1", ("data",)),) for name in NUMBERS},
}
for _kind, _inner in (("Twist", "twist"), ("Accel", "accel"), ("Pose", "pose"), ("Wrench", "wrench")):
    _parts = PARTS[f"geometry_msgs/msg/{_kind}"]
    PARTS[f"geometry_msgs/msg/{_kind}Stamped"] = tuple((f"{_inner}.{path}", *rest) for path, *rest in _parts)
for _kind, _inner in (("Point", "point"), ("Vector3", "vector")):
    _parts = PARTS[f"geometry_msgs/msg/{_kind}"]
    PARTS[f"geometry_msgs/msg/{_kind}Stamped"] = tuple((_inner, *rest) for _, *rest in _parts)

KNOWN = (*PARTS, JOINTS, TRAJECTORY, SCAN, TRANSFORMS, *ARRAYS)
"""Message types whose fields a contract can be guessed from."""


class Place(NamedTuple):
    """One number of a topic: what it would be called, its unit and field path; `function` of a rotation."""

    name: str
    unit: str
    path: str
    function: str = ""
    frames: tuple[str, str] = ("", "")  # of transforms: the frame and the one it is in


class Series:
    """The values of one place as they came."""

    def __init__(self) -> None:
        self.values, self.times = array("d"), array("d")

    def add(self, value: float, at_s: float) -> None:
        if math.isfinite(value):
            self.values.append(value)
            self.times.append(at_s)

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest; (nan, nan) without any."""
        return (min(self.values), max(self.values)) if self.values else (math.nan, math.nan)

    @property
    def varies(self) -> bool:
        low, high = self.range
        return high - low > _STILL * max(1.0, abs(low), abs(high))

    def fastest(self, period_s: float) -> float:
        """The 99th percentile of the change in a period, per second; 0 without two values."""
        if len(self.values) < 2:
            return 0.0
        steps, spans = np.abs(np.diff(self.values)), np.diff(self.times)
        steps, spans = steps[spans >= 0.0], spans[spans >= 0.0]  # time goes back where a simulator was started again
        rates = steps / np.maximum(spans, period_s)
        moving = rates[rates > 0.0]
        return float(np.percentile(moving, 99)) if len(moving) else 0.0


@dataclass
class Scan:
    """What the scans of a topic were: how many beams, and how far they reach, m."""

    beams: int = 0
    least: float = 0.0
    most: float = 0.0
    several: bool = False


class Sighting:
    """What came on one topic.

    `add` takes its messages, by duck typing. `series` are the values by place; `frame_id` the last header's. Of
    trajectories, `points` is the most that one had and `reach_s` the time of the last one's first point. `no_rotations`
    are the paths of quaternions that were none. `listeners` are the nodes that subscribe to a topic which nobody
    publishes; `qos` is what they ask for then. `child_frame_id` is the last of an odometry, "" without any.
    """

    def __init__(self, topic: str, kind: str, qos: Qos | None = None, latched: bool = False, listeners: str = ""):
        self.topic, self.type, self.qos, self.latched, self.listeners = topic, kind, qos, latched, listeners
        self.child_frame_id = ""
        self.series: dict[Place, Series] = {}
        self.arrivals, self._apart = array("d"), array("d")
        self._begins = [0]  # of each axis of time: its first message
        self.frame_id: str | None = None
        self.is_headed, self.zero_stamps = False, 0
        self.scan = Scan()
        self.reach_s, self.points = 0.0, 0
        self.problem = ""
        self.no_rotations: set[str] = set()

    def add(self, message: Any, arrival_ns: int) -> None:
        """Take a message that arrived, or was recorded, at `arrival_ns`."""
        at_s = arrival_ns * _S
        self.arrivals.append(at_s)
        header = getattr(message, "header", None)
        if header is not None:
            self.is_headed, self.frame_id = True, header.frame_id
            self.child_frame_id = getattr(message, "child_frame_id", "")
            stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
            self.zero_stamps += stamp_ns == 0
            self._apart.append((arrival_ns - stamp_ns) * _S)
        try:
            for place, value in self._numbers(message):
                if place.function and math.isnan(value):  # zeros, or an error's quaternion: not read as an angle then
                    self.no_rotations.add(place.path)
                self.series.setdefault(place, Series()).add(value, at_s)
        except (ContractError, AttributeError, IndexError, TypeError) as error:
            self.problem = self.problem or str(error)

    def pause(self) -> None:
        """Another axis of time begins, as of a simulator that was started again: the time to it is no interval."""
        if self.count > self._begins[-1]:
            self._begins.append(self.count)

    @property
    def count(self) -> int:
        return len(self.arrivals)

    @property
    def _intervals(self) -> np.ndarray:
        """float64: between messages that follow each other in time, s."""
        axes = np.split(np.array(self.arrivals), self._begins[1:])
        return np.concatenate([np.diff(np.sort(axis)) for axis in axes])

    @property
    def interval_s(self) -> float | None:
        """The median time between messages; None where fewer than three came."""
        intervals = self._intervals
        if self.count < 3 or not len(intervals):
            return None
        median = float(np.median(intervals))
        return median if median > 0.0 else None

    @property
    def longest_gap_s(self) -> float:
        return float(self._intervals.max(initial=0.0))

    @property
    def stamp_problem(self) -> str:
        """Why its header stamps cannot be used; "" where they can."""
        if not self.is_headed:
            return "no header"
        if self.zero_stamps:
            return "its stamps are 0"
        apart = float(np.median(np.frombuffer(self._apart)))
        return f"its stamps are {apart:.3g} s from their arrival: another clock" if abs(apart) > _OTHER_CLOCK_S else ""

    def moving(self) -> dict[Place, Series]:
        """The places whose values change."""
        return {
            place: series
            for place, series in self.series.items()
            if series.varies and not self.no_rotations & {place.path, place.path.rpartition(".")[0]}
        }

    def resting(self) -> dict[Place, Series]:
        """The places whose values are one number."""
        return {place: series for place, series in self.series.items() if not series.varies and series.values}

    # Numbers of a message

    def _numbers(self, message: Any) -> Iterator[tuple[Place, float]]:
        if self.type == JOINTS:
            yield from _named(message.name, message, "", ("position", "velocity", "effort"))
        elif self.type == TRAJECTORY:
            self.points = max(self.points, len(message.points))
            for number, point in enumerate(message.points[:1]):
                self.reach_s = point.time_from_start.sec + point.time_from_start.nanosec * _S
                parts = ("positions", "velocities", "accelerations", "effort")
                yield from _named(message.joint_names, point, f"points[{number}].", parts)
        elif self.type in ARRAYS:
            for number, value in enumerate(message.data):
                yield Place(f"data_{number}", "1", f"data[{number}]"), float(value)
        elif self.type == SCAN:
            yield from self._beams(message)
        elif self.type == TRANSFORMS:
            for each in message.transforms:
                yield from _pose(each.transform, (each.child_frame_id.lstrip("/"), each.header.frame_id.lstrip("/")))
        else:
            yield from self._parts(message)

    def _parts(self, message: Any) -> Iterator[tuple[Place, float]]:
        for path, unit, names in PARTS.get(self.type, ()):
            owner = message
            for attribute in path.split(".") if path else ():
                owner = getattr(owner, attribute)
            base = path.rpartition(".")[2]
            for name in names:
                called = name if not base else f"{base}_{name}"
                yield Place(called, unit, f"{path}.{name}".lstrip(".")), float(getattr(owner, name))
            if names is _QUATERNION:
                yield from _angles(owner, path, base)

    def _beams(self, message: Any) -> Iterator[tuple[Place, float]]:
        count = len(message.ranges)
        self.scan.several |= self.scan.beams not in (0, count)
        self.scan.beams, self.scan.least, self.scan.most = count, float(message.range_min), float(message.range_max)
        values = np.asarray(message.ranges, dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            yield Place("scan", "m", "ranges"), float(values.min())
            yield Place("scan", "m", "ranges"), float(values.max())


UNITS = {
    "position": "rad",
    "positions": "rad",
    "velocity": "rad/s",
    "velocities": "rad/s",
    "accelerations": "rad/s^2",
    "effort": "N*m",
}
"""Units of joints' numbers, for joints that turn."""


def _named(names: Sequence[str], owner: Any, before: str, parts: Sequence[str]) -> Iterator[tuple[Place, float]]:
    for part in parts:
        values = getattr(owner, part, ())
        if len(values) == len(names):
            suffix = "" if part.startswith("position") else f"_{part}"
            for name, value in zip(names, values, strict=True):
                yield Place(f"{name}{suffix}", UNITS[part], f"{before}{part}[{name}]"), float(value)


def _angles(rotation: Any, path: str, base: str) -> Iterator[tuple[Place, float]]:
    """Yaw, pitch and roll of a rotation; NaN of what is none."""
    parts = [float(getattr(rotation, name)) for name in _QUATERNION]
    is_rotation = abs(math.hypot(*parts) - 1.0) < _NORM
    for function in ANGLES:
        name = function if base == "orientation" else f"{base}_{function}"
        yield Place(name, "rad", path, function), ANGLE[function](*parts) if is_rotation else math.nan


def _pose(transform: Any, frames: tuple[str, str]) -> Iterator[tuple[Place, float]]:
    frame = frames[0].replace("/", "_")
    for name in _XYZ:
        value = float(getattr(transform.translation, name))
        yield Place(f"{frame}_{name}", "m", f"translation.{name}", "", frames), value
    for place, value in _angles(transform.rotation, "rotation", frame):
        yield place._replace(frames=frames), value

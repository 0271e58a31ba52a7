"""Commands of a first contract where nobody was seen to command: the robot listens, or somebody sent zeros."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lwd_ros.contract.drafts import Header, Part, Scalar, rounded
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.rest import KEEP, ZERO, is_motion
from lwd_ros.contract.sightings import ARRAYS, JOINTS, TRAJECTORY, Sighting

UNKNOWN_TOPIC = "/forward_position_controller/commands"
"""Of ros2_controllers; where joints were led by hand and nobody listens."""

SLOW = {"m/s": (0.1, 0.1), "rad/s": (0.3, 0.3), "rad": (0.2, 0.2)}
"""By unit: the limit on both sides, and the slew per second, of what nobody commanded. Rad is a steering angle."""

_SLOWLY = "nobody commanded: slow on purpose"
_SLOW_JOINT = (0.1, 0.1)  # rad/s: an arm is longer than a base is wide
_BASES = {
    "geometry_msgs/msg/Twist": ("", "linear.x", "angular.z"),
    "geometry_msgs/msg/TwistStamped": ("twist.", "linear.x", "angular.z"),
    "ackermann_msgs/msg/AckermannDrive": ("", "speed", "steering_angle"),
    "ackermann_msgs/msg/AckermannDriveStamped": ("drive.", "speed", "steering_angle"),
}
_JOINT_TYPES = (TRAJECTORY, ARRAYS[0], ARRAYS[1], JOINTS)  # where several are there: those that name joints first
USABLE = (*_BASES, *_JOINT_TYPES)
"""Types whose commands can be guessed without having seen one."""

_EFFORT = re.compile(r"effort|torque")


class Wanted(NamedTuple):
    """An observed joint that may be commanded: `fastest` in rad/s as it was seen."""

    scalar: Scalar
    joint: str
    fastest: float


def why_not(each: Sighting, joints_moved: bool) -> str:
    """Why no command can be guessed on a topic where none was seen; "" where one can."""
    if each.problem:
        return each.problem
    if each.type not in USABLE:
        return f"{_nobody(each)}, and nothing is guessed of its type without commands that move"
    if each.type in ARRAYS and _EFFORT.search(each.topic):
        return f"{_nobody(each)}, and no effort is guessed"
    if each.type in _JOINT_TYPES and not joints_moved:
        return f"{_nobody(each)}, and no joint moved: move the joints meanwhile"
    return ""


def choose(still: Sequence[Sighting], joints_moved: bool) -> tuple[list[Sighting], list[str]]:
    """Of topics that look like commands and on which nothing moved: one for the base, one for the joints.

    Returns:
        the topics, and a sentence on each of the others.
    """
    chosen: list[Sighting] = []
    left: list[str] = []
    bases: list[Sighting] = []
    joints: list[Sighting] = []
    for each in still:
        reason = why_not(each, joints_moved)
        if reason:
            left.append(f"{each.topic} ({each.type}): {reason}")
        else:
            (bases if each.type in _BASES else joints).append(each)
    for same in (bases, joints):
        # The plainest name is the robot's own: /cmd_vel, not /cmd_vel_joy.
        same.sort(key=lambda each: (USABLE.index(each.type) if each.type in _JOINT_TYPES else 0, len(each.topic)))
        chosen += same[:1]
        left += [
            f"{other.topic} ({other.type}): {_nobody(other)}; --command {other.topic} takes it instead of "
            f"{same[0].topic}"
            for other in same[1:]
        ]
    return chosen, left


def unseen(
    each: Sighting,
    joints: Sequence[Wanted],
    period_s: float,
    base_frame: tuple[str, str],
    named: Callable[[str], str],
    doubts: list[str],
) -> Part:
    """The commands on a topic where none was seen; what is doubtful is added to `doubts`.

    Args:
        each: the topic, of a type in USABLE.
        joints: observed joints that moved.
        period_s: of the contract, s.
        base_frame: the frame of the base, for headers, and what it rests on.
        named: makes a scalar's name unique.

    Raises:
        ContractError: joints are commanded on it, and none is to be had.
    """
    if each.type in _BASES:
        return _base(each, base_frame, named, doubts)
    names = {place.path.rpartition("[")[2].rstrip("]") for place in each.series if each.type not in ARRAYS}
    joints = [wanted for wanted in joints if not names or wanted.joint in names]
    if not joints:
        expected = "joints that move: move them meanwhile, by hand or with the robot's own tool"
        raise ContractError(f"{each.topic}: found no joint that moved, expected {expected}")
    if each.type in ARRAYS and each.count and len(each.series) != len(joints):
        doubts.append(f"{each.topic}: its messages had {len(each.series)} numbers, and {len(joints)} joints moved")
    if each.type in ARRAYS and "velocit" in each.topic:
        return _joint_speeds(each, joints, named, doubts)
    return _joints(each, joints, period_s, base_frame, named, doubts)


def taught(joints: Sequence[Wanted], period_s: float, named: Callable[[str], str], doubts: list[str]) -> Part:
    """Positions of the joints, where no topic is known: as of an arm that was led by hand."""
    doubts.append(
        f"no command was seen: positions of the joints are commanded on {UNKNOWN_TOPIC}, which is a guess, in the "
        "order of the joints' names; import with --actions observed"
    )
    return Part(Sighting(UNKNOWN_TOPIC, ARRAYS[0]), _positions(joints, "data[{number}]", period_s, named))


def steady(name: str, unit: str, field: str, value: float, motion: bool, doubtful_unit: bool) -> Scalar:
    """A command that was one number throughout, while others moved: never a constant of the message."""
    most, slew = SLOW.get(unit, (0.1, 0.1))
    if value:
        limits = (rounded(min(1.1 * value, 0.0), 3), rounded(max(1.1 * value, 0.0), 3))
        seen = f"{value:.4g} throughout: slow slew on purpose"
    else:
        limits, seen = (-most, most), "0 throughout: slow on purpose"
    return Scalar(name, unit, limits, field, seen, doubtful_unit, slew, ZERO if motion else KEEP)


def _base(each: Sighting, base_frame: tuple[str, str], named: Callable[[str], str], doubts: list[str]) -> Part:
    before, *paths = _BASES[each.type]
    scalars = []
    for path in paths:
        unit = "rad" if path == "steering_angle" else "rad/s" if path.startswith("angular") else "m/s"
        most, slew = SLOW[unit]
        rest = ZERO if is_motion(unit) else KEEP
        seen = f"{_SLOWLY}, {'rad is the angle of the wheels' if rest == KEEP else 'the manual says what is safe'}"
        name = named(path.replace(".", "_"))
        scalars.append(Scalar(name, unit, (-most, most), before + path, seen, False, slew, rest))
    said = ", ".join(f"{scalar.name} {scalar.limits[1]:g} {scalar.unit}" for scalar in scalars)
    doubts.append(f"{each.topic}: {_nobody(each)}: limits and slew are slow on purpose ({said})")
    notes = [f"a holonomic base has {before}linear.y too"] if "Twist" in each.type else []
    return Part(each, scalars, header=_header(each, base_frame, "now", "receivers drop old commands"), notes=notes)


def _joint_speeds(each: Sighting, joints: Sequence[Wanted], named: Callable[[str], str], doubts: list[str]) -> Part:
    most, slew = _SLOW_JOINT
    scalars = [
        Scalar(
            named(f"{wanted.scalar.name}_velocity"),
            "rad/s",
            (-most, most),
            f'"data[{number}]"',
            _SLOWLY,
            True,
            slew,
            ZERO,
        )
        for number, wanted in enumerate(joints)
    ]
    doubts.append(
        f"{each.topic}: {_nobody(each)}: velocities of the joints by its name, slow on purpose, in the order of the "
        f"joints' names, which is a guess ({_find_order(each)})"
    )
    return Part(each, scalars, notes=[f"the order of the joints: {_find_order(each)}"])


def _joints(
    each, joints: Sequence[Wanted], period_s: float, base_frame: tuple[str, str], named, doubts: list[str]
) -> Part:
    if each.type in ARRAYS:
        path = "data[{number}]"
        order = f"in the order of the joints' names, which is a guess ({_find_order(each)})"
        notes = [f"the order of the joints: {_find_order(each)}"]
    else:
        path = "points[0].positions[{joint}]" if each.type == TRAJECTORY else "position[{joint}]"
        order = "which joints it takes is a guess"
        notes = [f"the joints that it takes: {_find_order(each)}"]
    doubts.append(
        f"{each.topic}: {_nobody(each)}: positions of the joints that moved are commanded, {order}; import with "
        "--actions observed"
    )
    constants = {"points[0].time_from_start": each.reach_s or 2 * period_s} if each.type == TRAJECTORY else {}
    stamp = ("zero", "start now") if each.type == TRAJECTORY else ("now", "the time of sending")
    return Part(
        each,
        _positions(joints, path, period_s, named),
        {key: rounded(value, 3) for key, value in constants.items()},
        header=None if each.type in ARRAYS else _header(each, base_frame, *stamp),
        notes=notes,
    )


def _positions(joints: Sequence[Wanted], path: str, period_s: float, named: Callable[[str], str]) -> list[Scalar]:
    scalars = []
    for number, (observed, joint, fastest) in enumerate(joints):
        width = observed.limits[1] - observed.limits[0]
        slew = rounded(min(1.5 * fastest or width, 0.99 * width / period_s), 2)
        text = f'"{path.format(number=number, joint=joint)}"'
        name, seen = named(f"{observed.name}_target"), f"as {observed.name} was seen"
        scalars.append(Scalar(name, "rad", observed.limits, text, seen, True, slew, observed.name))
    return scalars


def _header(each: Sighting, base_frame: tuple[str, str], stamp: str, why: str) -> Header | None:
    if each.type in ("geometry_msgs/msg/Twist", "ackermann_msgs/msg/AckermannDrive"):
        return None
    if each.is_headed and each.frame_id:
        return Header(each.frame_id, "as seen", stamp, why)
    frame, seen = base_frame
    return Header(frame, f"nobody commanded: the base's frame, {seen}", stamp, why)


def _find_order(each: Sighting) -> str:
    """A controller of ros2_control is a node: the one that subscribes, or the one that names the topic."""
    one = each.listeners if " " not in each.listeners else ""
    controller = one or each.topic.rpartition("/")[0] or "/CONTROLLER"
    return f"ros2 param get {controller} joints"


def _nobody(each: Sighting) -> str:
    """What was seen instead of commands, as the start of a sentence."""
    if each.count:
        return "nobody commanded (nothing in it changed)"
    return f"nobody commanded ({f'subscribed by {each.listeners}' if each.listeners else 'no message came'})"

"""A first contract from what came on a robot's topics. What is a guess is marked as one, and says what it rests on."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lwd_ros.contract.contract import AGE
from lwd_ros.contract.drafts import Draft, Part, Scalar, rounded
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.functions import ANGLES
from lwd_ros.contract.picking import closest
from lwd_ros.contract.rest import KEEP, LAST_COMMAND, ZERO, is_motion
from lwd_ros.contract.sightings import ARRAYS, JOINTS, KNOWN, SCAN, TRAJECTORY, TRANSFORMS, Place, Series, Sighting

COMMANDING = re.compile(
    r"(^|[/_])(cmd|commands?|controll?|ctrl|goal|target|setpoint|desired|reference|joint_trajectory)($|[/_])"
)
"""What a topic's name says where it is a command; whole words between slashes and underscores."""

_COMMANDS = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped", TRAJECTORY, ARRAYS[0])
_SENSED = re.compile(r"Odometry|Imu|LaserScan|Range|TFMessage|WithCovariance")  # types that nobody is commanded with
_MACHINERY = re.compile(r"/(rosout|parameter_events|clock|diagnostics(_agg)?|tf_static)$|/_service_event$|^/events/")
_BEAMS = 24  # numbers of a scan: enough for a wall and a door
_MARGIN = 0.1  # of what was seen, on each side of the limits
_MOST_RAD = 4 * math.pi  # joints that turn further are probably in degrees
_HALF_TURN, _QUARTER_TURN = 3.15, 1.58
_SLEW_MARGIN = 1.5
_UNSEEN = "/forward_position_controller/commands"  # of ros2_controllers; where joints were led by hand
_RESERVED = (ZERO, KEEP, LAST_COMMAND, AGE, "on", "off", "yes", "no", "y", "n", "true", "false", "null")


@dataclass(frozen=True)
class Guess:
    """The contract's text, and sentences on what in it is doubtful."""

    text: str
    doubts: list[str]


def looks_like_command(topic: str, kind: str) -> bool:
    """Whether a topic is probably one that a robot is commanded on."""
    by_type = kind in _COMMANDS and not re.search(r"odom|measured|state|feedback", topic)
    return by_type or (kind in KNOWN and not _SENSED.search(kind) and bool(COMMANDING.search(topic)))


def is_usable(topic: str, kind: str) -> bool:
    """Whether a contract can be guessed from a topic."""
    return kind in KNOWN and not _MACHINERY.search(topic)


def guess(
    sightings: Sequence[Sighting],
    name: str,
    source: str,
    observe: Sequence[str] = (),
    command: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Guess:
    """Write a first contract.

    Args:
        sightings: what came, by topic.
        name: of the contract.
        source: what was looked at, for the first comment: "the recording flybag".
        observe: topics to observe; without them all that look like observations.
        command: topics to command; without them those that look like commands.
        leave_out: topics that are neither.

    Raises:
        ContractError: a topic is not there or cannot be used; nothing looks like an observation, or like a command.
    """
    return _Guesser(sightings, observe, command, leave_out).guess(name, source)


class _Guesser:
    def __init__(self, sightings, observe, command, leave_out):
        self._all = {each.topic: each for each in sightings if each.topic not in leave_out}
        self._doubts: list[str] = []
        self._left: list[str] = []
        self._taken: set[str] = set()
        for topic in (*observe, *command, *leave_out):
            if topic not in {each.topic for each in sightings}:
                known = [each.topic for each in sightings]
                raise ContractError(f"found no topic {topic!r}, expected one that is there{closest(topic, known)}")
        for topic in (*observe, *command):
            self._require_usable(self._all[topic])
        self._commanded = [self._all[topic] for topic in command] or self._likely_commands(observe)
        self._observed = [self._all[topic] for topic in observe] or self._likely_observations()

    @staticmethod
    def _require_usable(each: Sighting) -> None:
        if each.type not in KNOWN:
            expected = f"a type that it can be guessed from ({', '.join(sorted(KNOWN)[:4])}, ...); write it by hand"
            raise ContractError(f"{each.topic}: found {each.type}, expected {expected}")
        if not each.count:
            raise ContractError(f"{each.topic}: found no message, expected some to guess from")

    # Which topics

    def _likely_commands(self, observe: Sequence[str]) -> list[Sighting]:
        likely = [
            each
            for topic, each in self._all.items()
            if topic not in observe and is_usable(topic, each.type) and looks_like_command(topic, each.type)
        ]
        groups: dict[tuple, list[Sighting]] = {}
        for each in likely:
            if each.moving():
                groups.setdefault(tuple(sorted(place.path for place in each.moving())), []).append(each)
            else:
                self._left.append(f"{each.topic} ({each.type}): looks like a command, nothing in it changed")
        chosen = []
        for same in groups.values():
            same.sort(key=lambda each: -each.count)
            chosen.append(same[0])
            for other in same[1:]:
                self._left.append(f"{other.topic} ({other.type}): commands the same as {same[0].topic}, less often")
        return chosen

    def _likely_observations(self) -> list[Sighting]:
        commands = {each.topic for each in self._commanded}
        chosen, transforms = [], []
        for topic, each in self._all.items():
            if topic in commands or any(left.startswith(f"{topic} ") for left in self._left):
                continue
            if not is_usable(topic, each.type):
                if not _MACHINERY.search(topic):
                    self._left.append(f"{topic} ({each.type}): a type that nothing is guessed from")
            elif not each.count:
                self._left.append(f"{topic} ({each.type}): no message came")
            elif each.type == TRANSFORMS:
                transforms.append(each)
            elif not each.moving():
                self._left.append(
                    f"{topic} ({each.type}): nothing in it changed{f' ({each.problem})' * bool(each.problem)}"
                )
            else:
                chosen.append(each)
        if chosen:
            self._left += [f"{each.topic} ({each.type}): poses of frames; --observe takes it" for each in transforms]
        return chosen or [each for each in transforms if each.moving()]

    # What of them

    def guess(self, name: str, source: str) -> Guess:
        if not self._observed:
            raise ContractError(
                f"found no topic to observe{self._listed()}, expected one that changes: --observe TOPIC"
            )
        period_s, why = self._period()
        observed = [part for each in self._in_pace(period_s) for part in self._observation(each)]
        commanded = [self._command(each, observed, period_s) for each in self._commanded]
        if not self._commanded:
            commanded = [self._taught(observed, period_s)]
        commanded = [part for part in commanded if part.scalars]
        if not commanded:
            topics = ", ".join(each.topic for each in self._commanded)
            raise ContractError(f"{topics}: found no number that changes, expected a command that moved")
        text = "\n".join(Draft(name, source, period_s, why, observed, commanded, self._left, self._doubts).lines())
        return Guess(text + "\n", self._doubts)

    def _listed(self) -> str:
        topics = [
            f"{topic} ({each.type.rpartition('/')[2]}{f', {each.count}' * bool(each.count)})"
            for topic, each in self._all.items()
        ]
        return f" among {', '.join(topics[:12])}{', ...' * (len(topics) > 12)}" if topics else ""

    def _period(self) -> tuple[float, str]:
        """The control period, s: that of the commands, or of the observation that comes about as often.

        Where all observations come less often than commands, that of the most frequent: it is what is answered.
        """
        paces = [each for each in self._commanded if each.interval_s] or [
            each for each in self._observed if each.interval_s
        ]
        if not paces:
            return 0.1, "too few messages came to tell a rate"
        first = min(paces, key=lambda each: each.interval_s or 1.0)
        period_s = first.interval_s or 0.1
        timed = [each for each in self._observed if each.interval_s]
        nearest = min(timed, key=lambda each: abs(math.log((each.interval_s or 1.0) / period_s)), default=first)
        if (nearest.interval_s or 0.0) > 0.75 * period_s:
            first, period_s = nearest, nearest.interval_s or period_s
        return rounded(min(max(period_s, 0.001), 1.0), 2), f"{first.topic} came every {period_s * 1e3:.3g} ms"

    def _in_pace(self, period_s: float) -> list[Sighting]:
        """First the observation whose rate is nearest the contract's: it sets the pace."""
        return sorted(self._observed, key=lambda each: abs(math.log((each.interval_s or 1e3) / period_s)))

    def _observation(self, each: Sighting) -> Iterator[Part]:
        if each.type == SCAN:
            yield Part(each, [self._scan(each)])
            return
        for path in each.no_rotations:
            self._doubts.append(f"{each.topic}: {path} is no rotation in some messages (its norm is not 1): left out")
        places = {place: series for place, series in each.moving().items() if not self._redundant(place, each)}
        if each.type == JOINTS:  # velocities and efforts are mostly noise: positions say where the robot is
            positions = {place: series for place, series in places.items() if place.unit == "rad"}
            places = positions or places
        groups: dict[tuple[str, str], dict[Place, Series]] = {}
        for place, series in places.items():
            groups.setdefault(place.frames, {})[place] = series
        for frames, members in groups.items():
            scalars = [self._scalar(place, series, each) for place, series in members.items()]
            if scalars:
                yield Part(each, scalars, frames=frames)

    @staticmethod
    def _redundant(place: Place, each: Sighting) -> bool:
        """A rotation is observed by its angles that change, not by its quaternion."""
        if not re.search(r"(orientation|rotation)\.[xyzw]$", place.path):
            return False
        path = place.path.rpartition(".")[0]
        return any(other.path == path and other.function for other in each.moving())

    def _scan(self, each: Sighting) -> Scalar:
        beams, most = each.scan.beams, rounded(each.scan.most, 4)
        step = max(1, beams // _BEAMS)
        size = len(range(0, beams, step))
        text = f'{{field: "ranges[::{step}]", replace: {{.inf: {most:g}, .nan: {most:g}}}, clip: true}}'
        seen = f"every {step}th of {beams} beams, range_max {most:g} m"
        if each.scan.several:
            self._doubts.append(f"{each.topic}: its scans have several numbers of beams; a contract reads one number")
        return Scalar(self._named("scan", each), "m", (0.0, most), text, seen, size=size)

    def _scalar(self, place: Place, series: Series, each: Sighting, command: bool = False) -> Scalar:
        low, high = series.range
        limits = _limits(low, high)
        if place.function in ANGLES:
            half = _QUARTER_TURN if place.function == "pitch" else _HALF_TURN
            limits = (-half, half)
        elif re.search(r"(orientation|rotation)\.[xyzw]$", place.path):
            limits = (-1.0, 1.0)
        name = self._named(place.name + "_target" * (command and place.unit in ("m", "rad")), each)
        path = f'"{place.path}"' if "[" in place.path else place.path
        text = f"{{field: {path}, function: {place.function}}}" if place.function else path
        seen = f"{len(series.values):,} values, {low:.4g} to {high:.4g}"
        joints = each.type in (JOINTS, TRAJECTORY, *ARRAYS)
        if joints and place.unit == "rad" and max(abs(low), abs(high)) > _MOST_RAD:
            self._doubts.append(
                f"{name}: seen {low:.4g} to {high:.4g} in rad, more than two turns; degrees? Then give its field "
                "scale: 0.017453292519943295 and its limits in rad"
            )
        return Scalar(name, place.unit, limits, text, seen, joints)

    def _named(self, name: str, each: Sighting) -> str:
        plain = re.sub(r"\W+", "_", name).strip("_") or "value"
        plain = f"j{plain}" if plain[0].isdigit() else plain
        if plain in self._taken or plain.lower() in _RESERVED:
            plain = f"{re.sub(r'[^A-Za-z0-9_]+', '_', each.topic).strip('_')}_{plain}"
        number, first = 2, plain
        while plain in self._taken:
            plain, number = f"{first}_{number}", number + 1
        self._taken.add(plain)
        return plain

    def _command(self, each: Sighting, observed: Sequence[Part], period_s: float) -> Part:
        places = {place: series for place, series in each.moving().items() if not place.function}
        constants = {place.path: series.values[-1] for place, series in each.resting().items() if not place.function}
        if each.type == JOINTS:
            constants = {}
        if each.type == TRAJECTORY:
            constants = {"points[0].time_from_start": rounded(each.reach_s or 2 * period_s, 3)}
            if each.points > 1:
                self._doubts.append(
                    f"{each.topic}: trajectories of up to {each.points} points were seen; a policy commands one point "
                    "each period, so the first of them is taken: is this a planner's topic?"
                )
        joints = [scalar for part in observed if part.sighting.type == JOINTS for scalar in part.scalars]
        scalars = []
        for number, (place, series) in enumerate(places.items()):
            place = place._replace(
                unit=_unit_of_array(each, joints, len(places)) if each.type in ARRAYS else place.unit
            )
            target = None if is_motion(place.unit) else _target(place, number, observed, joints, len(places))
            scalar = self._scalar(place, series, each, command=True)
            scalar.rest = ZERO if is_motion(place.unit) else target or KEEP
            if target is None:  # rests at 0, or at what was commanded last, which begins at 0
                scalar.limits = (min(scalar.limits[0], 0.0), max(scalar.limits[1], 0.0))
            width = scalar.limits[1] - scalar.limits[0]
            slew = series.fastest(each.interval_s or period_s) * _SLEW_MARGIN or width
            scalar.slew_per_s = rounded(min(slew, 0.99 * width / period_s), 2)
            scalars.append(scalar)
        return Part(each, scalars, constants)

    def _taught(self, observed: Sequence[Part], period_s: float) -> Part:
        """Commands where none was recorded, as of an arm that was led by hand: positions of the joints."""
        moved = [(part, scalar) for part in observed if part.sighting.type == JOINTS for scalar in part.scalars]
        moved = [(part, scalar) for part, scalar in moved if scalar.unit == "rad"]
        if not moved:
            expected = "one (--command TOPIC names it), or joints whose positions are to be commanded"
            raise ContractError(f"found no topic that looks like a command{self._listed()}, expected {expected}")
        self._doubts.append(
            f"no command was seen: positions of the joints are commanded on {_UNSEEN}, which is a guess, in the order "
            "of the joints' names; import with --actions observed"
        )
        scalars = []
        for number, (part, scalar) in enumerate(moved):
            fastest = max(
                series.fastest(part.sighting.interval_s or period_s)
                for place, series in part.sighting.series.items()
                if scalar.field.strip('"') == place.path
            )
            width = scalar.limits[1] - scalar.limits[0]
            slew = rounded(min(fastest * _SLEW_MARGIN or width, 0.99 * width / period_s), 2)
            name = self._named(f"{scalar.name}_target", part.sighting)
            text = f'"data[{number}]"'
            seen = f"as {scalar.name} was seen"
            scalars.append(Scalar(name, "rad", scalar.limits, text, seen, True, slew, scalar.name))
        return Part(Sighting(_UNSEEN, ARRAYS[0]), scalars)


def _unit_of_array(each: Sighting, joints: Sequence[Scalar], count: int) -> str:
    for word, unit in (("velocit", "rad/s"), ("effort", "N*m"), ("torque", "N*m"), ("position", "rad")):
        if word in each.topic:
            return unit
    return "rad" if joints and len(joints) == count else "1"


def _target(place: Place, number: int, observed: Sequence[Part], joints: Sequence[Scalar], count: int) -> str | None:
    """The observed scalar that a position targets: of that joint or axis, or in that place; None where none is."""
    same = [scalar for part in observed for scalar in part.scalars if scalar.unit == place.unit and not scalar.size]
    last = re.search(r"(\[[^\]]+\]|[xyzw])$", place.path)
    named = [scalar for scalar in same if last and scalar.field.strip('"').endswith(last[0])]
    if named and "data[" not in place.path:
        return named[0].name
    return joints[number].name if len(joints) == count and joints[number] in same else None


def _limits(low: float, high: float) -> tuple[float, float]:
    """Limits around what was seen, with a margin, in few digits."""
    margin = _MARGIN * (high - low) or 0.1 * abs(high) or 1.0
    digits = 1 - math.floor(math.log10(high - low + 2 * margin))
    unit = 10.0**-digits
    least, most = math.floor((low - margin) / unit) * unit, math.ceil((high + margin) / unit) * unit
    return round(least, max(digits, 0)), round(most, max(digits, 0))

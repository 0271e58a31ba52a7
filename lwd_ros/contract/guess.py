"""A first contract from what came on a robot's topics. What is a guess is marked as one, and says what it rests on."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lwd_ros.contract.drafts import Draft, Part, Scalar, rounded
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.picking import closest
from lwd_ros.contract.scalars import Scalars
from lwd_ros.contract.seen import ALL_JOINTS, held, seen
from lwd_ros.contract.sightings import (
    ARRAYS,
    JOINTS,
    KNOWN,
    ODOMETRY,
    SCAN,
    TRAJECTORY,
    TRANSFORMS,
    Place,
    Series,
    Sighting,
)
from lwd_ros.contract.unseen import Wanted, choose, taught, unseen, why_not

COMMANDING = re.compile(
    r"(^|[/_])(cmd|commands?|controll?|ctrl|goal|target|setpoint|desired|reference|joint_trajectory)($|[/_])"
)
"""What a topic's name says where it is a command; whole words between slashes and underscores."""

_COMMANDS = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped", TRAJECTORY, ARRAYS[0])
_SENSED = re.compile(r"Odometry|Imu|LaserScan|Range|TFMessage|WithCovariance")  # types that nobody is commanded with
_MACHINERY = re.compile(r"/(rosout|parameter_events|clock|diagnostics(_agg)?|tf_static)$|/_service_event$|^/events/")
_BEAMS = 24  # numbers of a scan: enough for a wall and a door
_MOVE_IT = "move the robot meanwhile, by hand or with its remote control"


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
        self._make = Scalars()
        self._doubts = self._make.doubts
        self._left: list[str] = []
        for topic in (*observe, *command, *leave_out):
            if topic not in {each.topic for each in sightings}:
                known = [each.topic for each in sightings]
                raise ContractError(f"found no topic {topic!r}, expected one that is there{closest(topic, known)}")
        for topic in (*observe, *command):
            self._require_usable(self._all[topic])
        for topic in observe:
            self._require_observable(self._all[topic])
        self._joints_moved = any(
            place.unit == "rad"
            for topic, each in self._all.items()
            if each.type == JOINTS and (topic in observe or not (observe or looks_like_command(topic, each.type)))
            for place in each.moving()
        )
        for topic in command:
            each = self._all[topic]
            reason = "" if each.moving() else why_not(each, self._joints_moved)
            if reason:
                raise ContractError(f"{topic} ({each.type}): found no command that moved, expected one: {reason}")
        self._commanded = [self._all[topic] for topic in command] or self._likely_commands(observe)
        self._observed = [self._all[topic] for topic in observe] or self._likely_observations()

    @staticmethod
    def _require_usable(each: Sighting) -> None:
        if each.type not in KNOWN:
            expected = f"a type that it can be guessed from ({', '.join(sorted(KNOWN)[:4])}, ...); write it by hand"
            raise ContractError(f"{each.topic}: found {each.type}, expected {expected}")

    @staticmethod
    def _require_observable(each: Sighting) -> None:
        if not each.count:
            raise ContractError(f"{each.topic}: found no message, expected some to guess from")
        if not each.moving() and each.type != SCAN:
            raise ContractError(f"{each.topic}: found nothing in it that changed, expected some: {_MOVE_IT}")

    # Which topics

    def _likely_commands(self, observe: Sequence[str]) -> list[Sighting]:
        likely = [
            each
            for topic, each in self._all.items()
            if topic not in observe and is_usable(topic, each.type) and looks_like_command(topic, each.type)
        ]
        groups: dict[tuple, list[Sighting]] = {}
        still = [each for each in likely if not each.moving()]
        for each in likely:
            if each.moving():
                groups.setdefault(tuple(sorted(place.path for place in each.moving())), []).append(each)
        if not groups:
            chosen, left = choose(still, self._joints_moved)
            self._left += left
            return chosen
        for each in still:
            why = "nothing in it changed" if each.count else "nobody commanded on it"
            self._left.append(f"{each.topic} ({each.type}): looks like a command, {why}")
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
                if each.type in (JOINTS, ODOMETRY):
                    self._doubts.append(f"{topic}: nothing in it changed, so it is left out: {_MOVE_IT}")
            else:
                chosen.append(each)
        if chosen:
            self._left += [f"{each.topic} ({each.type}): poses of frames; --observe takes it" for each in transforms]
        return chosen or [each for each in transforms if each.moving()]

    # What of them

    def guess(self, name: str, source: str) -> Guess:
        if not self._observed:
            still = [each.topic for each in self._all.values() if each.count and is_usable(each.topic, each.type)]
            expected = f"one that changes: {_MOVE_IT}" if still else "one that changes: --observe TOPIC"
            nothing = f"; nothing changed on {', '.join(sorted(still)[:8])}" if still else ""
            raise ContractError(f"found no topic to observe{self._listed()}{nothing}, expected {expected}")
        period_s, why = self._period()
        observed = [part for each in self._in_pace(period_s) for part in self._observation(each)]
        commanded = [
            seen(each, observed, period_s, self._make) if each.moving() else self._unseen(each, observed, period_s)
            for each in self._commanded
        ]
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
            places = self._joint_positions(each) or places
        groups: dict[tuple[str, str], dict[Place, Series]] = {}
        for place, series in places.items():
            groups.setdefault(place.frames, {})[place] = series
        for frames, members in groups.items():
            scalars = [self._make.scalar(place, series, each) for place, series in members.items()]
            if scalars:
                yield Part(each, scalars, frames=frames)
        still = [place.name for place in each.resting() if place.unit == "rad" and place not in places]
        if each.type == JOINTS and still and not any(other.moving() for other in self._commanded):
            self._doubts.append(f"{each.topic}: these did not move, and are left out: {', '.join(still)}; {_MOVE_IT}")

    def _joint_positions(self, each: Sighting) -> dict[Place, Series]:
        """The positions of joints that moved, and of those that a command held where they are: that rests there."""
        positions = {place: series for place, series in each.series.items() if place.unit == "rad" and series.values}
        moving = [place for place in each.moving() if place.unit == "rad"]
        if not moving:
            return {}
        holding = {joint for other in self._commanded for joint in held(other, len(positions))}
        return {
            place: series
            for place, series in positions.items()
            if place in moving or holding & {place.path.rpartition("[")[2].rstrip("]"), ALL_JOINTS}
        }

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
        return Scalar(self._make.named("scan", each), "m", (0.0, most), text, seen, size=size)

    def _unseen(self, each: Sighting, observed: Sequence[Part], period_s: float) -> Part:
        moving = [other for other in self._all.values() if other.child_frame_id]
        frame = (
            (moving[0].child_frame_id, f"child_frame_id of {moving[0].topic}") if moving else ("base_link", "not seen")
        )
        joints = self._wanted(observed, period_s)
        return unseen(each, joints, period_s, frame, lambda name: self._make.named(name, each), self._doubts)

    def _taught(self, observed: Sequence[Part], period_s: float) -> Part:
        """Commands where none was recorded and nobody listens, as of an arm that was led by hand."""
        joints = self._wanted(observed, period_s)
        if not joints:
            expected = "one (--command TOPIC names it), or joints whose positions are to be commanded"
            silent = "".join(f"; {left}" for left in self._left if "nobody commanded" in left)
            raise ContractError(
                f"found no topic that looks like a command{self._listed()}{silent}, expected {expected}"
            )
        source = next(part.sighting for part in observed if part.sighting.type == JOINTS)
        return taught(joints, period_s, lambda name: self._make.named(name, source), self._doubts)

    @staticmethod
    def _wanted(observed: Sequence[Part], period_s: float) -> list[Wanted]:
        """The observed joints whose positions moved."""
        result = []
        for part in observed:
            moving = {place.path: series for place, series in part.sighting.moving().items() if place.unit == "rad"}
            for scalar in part.scalars if part.sighting.type == JOINTS else ():
                path = scalar.field.strip('"')
                if path in moving:
                    fastest = moving[path].fastest(part.sighting.interval_s or period_s)
                    result.append(Wanted(scalar, path.rpartition("[")[2].rstrip("]"), fastest))
        return result

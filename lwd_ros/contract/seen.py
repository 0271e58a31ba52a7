"""Commands of a first contract on a topic where some moved: which numbers, where they rest, how fast they change."""

import re
from collections.abc import Sequence

from lwd_ros.contract.drafts import Part, Scalar, rounded
from lwd_ros.contract.rest import KEEP, ZERO, is_motion
from lwd_ros.contract.scalars import NAMED, Scalars, field_text
from lwd_ros.contract.sightings import ARRAYS, JOINTS, TRAJECTORY, Place, Series, Sighting
from lwd_ros.contract.unseen import SLOW, steady

ALL_JOINTS = "*"
"""Instead of a joint's name."""

_NOTHING = 1e-6
_SLEW_MARGIN = 1.5
_MOTION = re.compile(r"veloc|speed|twist|accel|effort|torque|force|(^|[/_])vel($|[/_])")  # of numbers without a unit


def seen(each: Sighting, observed: Sequence[Part], period_s: float, make: Scalars) -> Part:
    """The commands on a topic where some moved; what is doubtful is added to `make.doubts`."""
    resting = {place: series for place, series in each.resting().items() if not place.function}
    steadies = {place for place in resting if _is_commanded(place, _last(resting[place]), each)}
    places = {
        place: series
        for place, series in each.series.items()
        if place in steadies or (place in each.moving() and not place.function)
    }
    constants = {
        place.path: series.values[-1] for place, series in resting.items() if place not in steadies and _last(series)
    }
    if each.type == JOINTS:
        constants = {}
    if each.type == TRAJECTORY:
        constants = {"points[0].time_from_start": rounded(each.reach_s or 2 * period_s, 3)}
        if each.points > 1:
            make.doubts.append(
                f"{each.topic}: trajectories of up to {each.points} points were seen; a policy commands one point "
                "each period, so the first of them is taken: is this a planner's topic?"
            )
    joints = [scalar for part in observed if part.sighting.type == JOINTS for scalar in part.scalars]
    scalars = []
    for number, (place, series) in enumerate(places.items()):
        is_steady = place in steadies
        unit = _unit_of_array(each, joints, len(places)) if each.type in ARRAYS else place.unit
        place = place._replace(unit=unit)
        motion = _moves(place, each)
        target = None if motion else _target(place, number, observed, joints, len(places))
        if is_steady and target is None:
            scalars.append(_steady(make, place, _last(series), each, motion, period_s))
            continue
        scalar = make.scalar(place, series, each, command=True)
        scalar.rest = ZERO if motion else target or KEEP
        if target is None:  # rests at 0, or at what was commanded last, which begins at 0
            scalar.limits = (min(scalar.limits[0], 0.0), max(scalar.limits[1], 0.0))
        width = scalar.limits[1] - scalar.limits[0]
        slew = series.fastest(each.interval_s or period_s) * _SLEW_MARGIN or min(width, SLOW["rad"][1])
        scalar.slew_per_s = rounded(min(slew, 0.99 * width / period_s), 2)
        scalars.append(scalar)
    return Part(each, scalars, constants)


def _steady(make: Scalars, place: Place, value: float, each: Sighting, motion: bool, period_s) -> Scalar:
    """A number of a command that was the same throughout."""
    name = make.named(place.name + "_target" * (place.unit in ("m", "rad")), each)
    make.doubts.append(
        f"{name}: {value:.4g} throughout, commanded with a slow slew and no constant, which would be sent at once"
        + ("" if motion else "; no observed joint is known for it, so it begins at 0")
    )
    scalar = steady(name, place.unit, field_text(place), value, motion, each.type in NAMED)
    width = scalar.limits[1] - scalar.limits[0]
    scalar.slew_per_s = rounded(min(scalar.slew_per_s, 0.99 * width / period_s), 2)
    return scalar


def _last(series: Series) -> float:
    """A number that did not change; what is next to 0 is 0."""
    return series.values[-1] if abs(series.values[-1]) > _NOTHING else 0.0


def _moves(place: Place, each: Sighting) -> bool:
    """Whether a command moves the robot for as long as it stands, by its unit, or by the topic's name without one."""
    return is_motion(place.unit) or (place.unit == "1" and bool(_MOTION.search(each.topic)))


def _array(place: Place) -> str:
    return place.path.rpartition("[")[0]


def _is_commanded(place: Place, value: float, each: Sighting) -> bool:
    """Whether a number that did not change is commanded all the same: a constant is sent at once, and for good.

    An array is commanded whole, for its receiver takes no part of it, and a joint goes to a constant without a slew.
    """
    if each.type in NAMED:
        return any(_array(place) == _array(other) for other in each.moving())
    return value != 0.0 and (_moves(place, each) or place.path.endswith("steering_angle"))


def held(each: Sighting, joints: int) -> set[str]:
    """The joints that a moving command held in one position; ALL_JOINTS for an array as long as there are joints."""
    if each.type not in NAMED or not each.moving():
        return set()
    places = [place for place, series in each.resting().items() if _is_commanded(place, _last(series), each)]
    if each.type in ARRAYS:
        return {ALL_JOINTS} if places and len(each.series) == joints and not _MOTION.search(each.topic) else set()
    return {place.path.rpartition("[")[2].rstrip("]") for place in places if place.unit == "rad"}


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

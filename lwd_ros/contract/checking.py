"""A whole contract against the definitions of its message types: what is wrong with it, before any message comes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lwd_ros.contract.binding import PermissionStream
from lwd_ros.contract.contract import CommandScalar, Contract, ObservationScalar
from lwd_ros.contract.definitions import Definitions, UnknownPackage, check_fields, has_header
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.stand_ins import stand_ins
from lwd_ros.contract.streams import TF, Stream
from lwd_ros.contract.writing import writer

_POSE = "geometry_msgs/msg/Transform"  # what the fields of a pose of the transforms are those of


class HeaderProblem(NamedTuple):
    """A key of a stream that does not fit the header of its messages, or the lack of one."""

    key: str
    found: object
    expected: str

    def __str__(self) -> str:
        return f"found {self.found}, expected {self.expected}"


def header_problem(stream: Stream, headed: bool, command: bool) -> HeaderProblem | None:
    """What is wrong between a stream and its type, which is `headed` or not; None where nothing is."""
    if command and headed and stream.frame_id is None:
        return HeaderProblem("frame_id", "nothing", f"a frame: {stream.type} has a header")
    if not headed and stream.frame_id is not None:
        return HeaderProblem("frame_id", repr(stream.frame_id), f"none: {stream.type} has no header")
    if not headed and not command and stream.stamp == "header":
        return HeaderProblem("stamp", "header", f"arrival: {stream.type} has no header")
    if command and not headed and stream.stamp != "observation":
        return HeaderProblem("stamp", stream.stamp, f"none: {stream.type} has no header")
    return None


_MOST_RAD = 4 * math.pi


@dataclass
class Findings:
    """`problems` are sentences that name file and key; `unchecked` are the types that nobody here knows, in order."""

    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def doubts(contract: Contract) -> list[str]:
    """Sentences on what is allowed and probably not meant: units, periods, and who may let the robot move."""
    found = []
    scalars: list[ObservationScalar | CommandScalar] = [*contract.observation, *contract.command]
    for scalar in scalars:
        if scalar.unit == "rad" and max(abs(scalar.minimum), abs(scalar.maximum)) > _MOST_RAD:
            limits = f"[{scalar.minimum:g}, {scalar.maximum:g}]"
            found.append(f"{scalar.name}: limits {limits} in rad are more than two turns; degrees? `scale` mends them")
    for scalar in contract.command:
        if scalar.slew_per_s * contract.period_s > scalar.maximum - scalar.minimum:
            slew = f"slew_per_s {scalar.slew_per_s:g}"
            found.append(f"{scalar.name}: {slew} crosses the whole range in one period: it limits nothing")
    if contract.period_s > 1.0:
        found.append(f"period_s {contract.period_s:g} is longer than a second; it is a time, not a rate")
    binding = contract.require_binding()
    for stream in binding.observation_streams:
        if stream.stale_after_s < contract.period_s:
            periods = f"stale_after_s {stream.stale_after_s:g} is less than the period, {contract.period_s:g} s"
            found.append(f"{stream.label}: {periods}: the robot would hold again and again")
    if not binding.permission_streams:
        found.append("no binding.permission: a policy moves the robot as soon as it arrives")
    return found


def check(contract: Contract, where: str, definitions: Definitions) -> Findings:
    """Check each stream of a contract's binding; `where` names the file.

    Raises:
        ContractError: the contract has no binding.
    """
    binding, findings = contract.require_binding(), Findings()
    parts: list[tuple[str, tuple[Stream | PermissionStream, ...]]]
    parts = [("observation", binding.observation_streams), ("command", binding.command_streams)]
    parts.append(("permission", binding.permission_streams))
    for part, streams in parts:
        for place, stream in enumerate(streams):
            key = f"binding.{part}.streams[{place}]"
            try:
                problems = list(_problems(stream, part, definitions))
            except UnknownPackage:
                if stream.type not in findings.unchecked:
                    findings.unchecked.append(stream.type)
                continue
            findings.problems += [f"{where}: key '{key}{below}': {text}" for below, text in problems]
    return findings


def _problems(stream, part: str, definitions: Definitions) -> Iterator[tuple[str, str]]:
    """Key below the stream's, and sentence."""
    kind = _POSE if stream.type == TF else stream.type
    try:
        headed = has_header(kind, definitions)
    except UnknownPackage:
        raise
    except ContractError as error:
        yield ".type", str(error)
        return
    fields = [(".field", stream.field)] if part == "permission" else []
    fields = fields or [(f".fields.{name}", each) for name, _, each in stream.entries]
    is_whole = True
    for below, each in fields:
        try:
            check_fields(kind, (each,), definitions, part == "command")
        except UnknownPackage:
            raise
        except ContractError as error:
            is_whole = False
            yield below, str(error)
    if part == "permission" or stream.type == TF:
        return
    problem = header_problem(stream, headed, part == "command")
    if problem is not None:
        yield f".{problem.key}", str(problem)
    if part == "command" and is_whole:
        classes = stand_ins(definitions)
        try:
            writer(classes(kind), stream.fields, stream.constants, classes)
        except UnknownPackage:
            raise
        except ContractError as error:
            yield "", str(error)

"""What the controller is doing: one frozen value at a time, with what belongs to it, and the table of transitions."""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple

from lwd_ros.control.age import ToldAge
from lwd_ros.policy import Policy


class Outcome(IntEnum):
    """What is commanded; the values are those of lwd_msgs/msg/ControllerStatus."""

    WAITING = 0
    CONTINUE = 1
    HOLD = 2
    ZERO = 3
    STOPPED = 4


@dataclass(frozen=True, slots=True)
class WaitingForPolicy:
    """Nothing is commanded, and nothing was since the activation."""

    outcome: ClassVar[Outcome] = Outcome.WAITING
    repeat_until_s: ClassVar[None] = None
    reason: str = "no policy yet"


@dataclass(frozen=True, slots=True)
class WaitingForObservation:
    """A policy was accepted and has not answered anything; nothing but the safe command after a stop is commanded.

    `repeat_until_s` (s of the steady clock) is until when a stop before repeats the safe command; None where nothing
    was commanded since the activation.
    """

    outcome: ClassVar[Outcome] = Outcome.WAITING
    repeat_until_s: float | None
    reason: str = "no complete observation yet"


@dataclass(frozen=True, slots=True)
class Running:
    """`policy` commands, since `since_s` (steady clock), when it answered the observation stamped `first_stamp_ns`.

    `age` tells it how old observations are, None where it does not read that.
    """

    outcome: ClassVar[Outcome] = Outcome.CONTINUE
    reason: ClassVar[str] = ""
    policy: Policy
    age: ToldAge | None
    since_s: float
    first_stamp_ns: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Observations cannot be trusted since `since_s`: the safe command is sent, and `before` goes on when they can."""

    outcome: Outcome  # HOLD or ZERO, as the contract says
    reason: str
    since_s: float
    before: Running


@dataclass(frozen=True, slots=True)
class Stopped:
    """The safe command is repeated until `repeat_until_s` (None: nothing was commanded), then nothing is commanded."""

    outcome: ClassVar[Outcome] = Outcome.STOPPED
    repeat_until_s: float | None
    reason: str


Mode = WaitingForPolicy | WaitingForObservation | Running | Holding | Stopped


class Transition(NamedTuple):
    """`event` leads from `before` to `after`; what is commanded at that moment is `command`."""

    before: type
    event: str
    after: type
    command: str


_NONE, _POLICY, _SAFE, _SAFE_AGAIN = "none", "the policy's", "safe", "safe, if anything was commanded before"

TRANSITIONS = (
    Transition(WaitingForPolicy, "a policy is accepted", WaitingForObservation, _NONE),
    Transition(WaitingForObservation, "a complete observation, fresh", Running, _POLICY),
    Transition(WaitingForObservation, "a complete observation beside dead streams", WaitingForObservation, _NONE),
    Transition(WaitingForObservation, "the policy's first command must not run", Stopped, _SAFE_AGAIN),
    Transition(Running, "the first observation after another policy was accepted: the swap", Running, _POLICY),
    Transition(Running, "observations are stale, frozen or incomplete, or no tick comes", Holding, _SAFE),
    Transition(Running, "policy_timeout_s, a non-finite command, far outside the training range", Stopped, _SAFE),
    Transition(Holding, "observations are fresh again", Running, _POLICY),
    Transition(Holding, "they are not", Holding, _SAFE),
    Transition(Holding, "policy_timeout_s, a non-finite command, far outside the training range", Stopped, _SAFE),
    Transition(WaitingForPolicy, "~/stop, deactivation", Stopped, _NONE),
    Transition(WaitingForObservation, "~/stop, deactivation", Stopped, _SAFE_AGAIN),
    Transition(Running, "~/stop, deactivation", Stopped, _SAFE),
    Transition(Holding, "~/stop, deactivation", Stopped, _SAFE),
    Transition(Stopped, "~/stop, deactivation", Stopped, _SAFE_AGAIN),
    Transition(Stopped, "a policy is accepted", WaitingForObservation, _NONE),
    Transition(Stopped, "activation", WaitingForPolicy, _NONE),
)
"""Every change of mode that there is. docs/safety.md shows this table, and tests compare both with what the core does.

What happens in a mode and changes nothing of it is not here: a tick of the running policy, or a policy that is accepted
while another one runs.
"""

"""What the controller is doing: one frozen value at a time, with what belongs to it, and the table of transitions."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
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
    FORBIDDEN = 5


@dataclass(frozen=True, slots=True)
class WaitingForPolicy:
    """Nothing is commanded, and nothing was since the activation."""

    outcome: ClassVar[Outcome] = Outcome.WAITING
    repeat_until_s: ClassVar[None] = None
    reason: str = "no policy yet"


@dataclass(frozen=True, slots=True)
class WaitingForObservation:
    """A policy was accepted and has not answered anything. Nothing is commanded, but the safe command after a stop.

    `repeat_until_s` (s of the steady clock) is until when a stop before repeats the safe command; None where nothing
    was commanded since the activation. `denied_since_s` is since when it waits for permission; None: it does not.
    """

    outcome: ClassVar[Outcome] = Outcome.WAITING
    repeat_until_s: float | None
    reason: str = "no complete observation yet"
    denied_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """`policy` commands, since `since_s` (steady clock), when it answered the observation stamped `first_stamp_ns`.

    `age` tells it how old observations are, None where it does not read that.
    """

    outcome: ClassVar[Outcome] = Outcome.CONTINUE
    repeat_until_s: ClassVar[None] = None
    reason: ClassVar[str] = ""
    policy: Policy
    age: ToldAge | None
    since_s: float
    first_stamp_ns: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Observations cannot be trusted since `since_s`: the safe command is sent, and `before` goes on when they can."""

    repeat_until_s: ClassVar[None] = None
    outcome: Outcome  # HOLD or ZERO, as the contract says
    reason: str
    since_s: float
    before: Running


@dataclass(frozen=True, slots=True)
class Stopped:
    """The safe command is repeated until `repeat_until_s` (None: nothing was commanded), then nothing is commanded.

    `planned`: the policy's time was over, which is no fault.
    """

    outcome: ClassVar[Outcome] = Outcome.STOPPED
    repeat_until_s: float | None
    reason: str
    planned: bool = False


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A permission stream says no since `since_s`: the safe command is repeated until `repeat_until_s`, then nothing.

    `resumes`: the policy goes on when the permission returns; else a new one must be asked for.
    """

    outcome: ClassVar[Outcome] = Outcome.FORBIDDEN
    repeat_until_s: float
    reason: str
    resumes: bool
    since_s: float


Mode = WaitingForPolicy | WaitingForObservation | Running | Holding | Stopped | Forbidden


class Event(StrEnum):
    """What makes the controller change its mode."""

    ACCEPTED = "a policy is accepted"
    ANSWERED = "a complete, fresh observation is answered"
    SWAPPED = "the first such observation after another policy was accepted: the swap"
    UNTRUSTED = "observations are stale, frozen or incomplete, or no tick comes"
    REFUSED = "`policy_timeout_s`, a non-finite command, far outside the training range, no permission for 10 s"
    STOPPED = "`~/stop`, deactivation"
    ACTIVATED = "activation"
    FORBIDDEN = "a permission stream says no, or nothing any more"
    RESUMED = "all permission streams say yes again, with `after_loss: resume`"
    RELEASED = "all permission streams say yes again, with `after_loss: request`"


class Sent(StrEnum):
    """What is commanded at a change of mode."""

    NOTHING = "nothing"
    POLICY = "the policy's command"
    SAFE = "the safe command"
    SAFE_AGAIN = "the safe command, if anything was commanded before"


class Transition(NamedTuple):
    """`event` leads from `before` to `after`, and `sent` is commanded."""

    before: type
    event: Event
    after: type
    sent: Sent


TRANSITIONS = (
    Transition(WaitingForPolicy, Event.ACCEPTED, WaitingForObservation, Sent.NOTHING),
    Transition(WaitingForPolicy, Event.STOPPED, Stopped, Sent.NOTHING),
    Transition(WaitingForObservation, Event.ANSWERED, Running, Sent.POLICY),
    Transition(WaitingForObservation, Event.UNTRUSTED, WaitingForObservation, Sent.NOTHING),
    Transition(WaitingForObservation, Event.REFUSED, Stopped, Sent.SAFE_AGAIN),
    Transition(WaitingForObservation, Event.STOPPED, Stopped, Sent.SAFE_AGAIN),
    Transition(Running, Event.SWAPPED, Running, Sent.POLICY),
    Transition(Running, Event.UNTRUSTED, Holding, Sent.SAFE),
    Transition(Running, Event.REFUSED, Stopped, Sent.SAFE),
    Transition(Running, Event.STOPPED, Stopped, Sent.SAFE),
    Transition(Holding, Event.ANSWERED, Running, Sent.POLICY),
    Transition(Holding, Event.SWAPPED, Running, Sent.POLICY),
    Transition(Holding, Event.UNTRUSTED, Holding, Sent.SAFE),
    Transition(Holding, Event.REFUSED, Stopped, Sent.SAFE),
    Transition(Holding, Event.STOPPED, Stopped, Sent.SAFE),
    Transition(Stopped, Event.ACCEPTED, WaitingForObservation, Sent.NOTHING),
    Transition(Stopped, Event.STOPPED, Stopped, Sent.SAFE_AGAIN),
    Transition(Stopped, Event.ACTIVATED, WaitingForPolicy, Sent.NOTHING),
    Transition(Running, Event.FORBIDDEN, Forbidden, Sent.SAFE),
    Transition(Holding, Event.FORBIDDEN, Forbidden, Sent.SAFE),
    Transition(WaitingForObservation, Event.FORBIDDEN, WaitingForObservation, Sent.NOTHING),
    Transition(Forbidden, Event.FORBIDDEN, Forbidden, Sent.NOTHING),
    Transition(Forbidden, Event.RESUMED, WaitingForObservation, Sent.NOTHING),
    Transition(Forbidden, Event.RELEASED, Stopped, Sent.NOTHING),
    Transition(Forbidden, Event.ACCEPTED, WaitingForObservation, Sent.NOTHING),
    Transition(Forbidden, Event.STOPPED, Stopped, Sent.SAFE),
)
"""Every change of mode that there is. docs/explanation/safety.md shows this table, and tests
compare both with what the core does.

What happens in a mode and changes nothing of it is not here: a tick of the running policy, the repetition of the safe
command after a stop, or a policy that is accepted while another one runs.
"""

"""Which commands move a simulated robot: the rules of the bridge, without ROS."""

from typing import NamedTuple

import numpy as np

from lwd_ros.contract import ZERO, Contract

_STATUS_LASTS_S = 1.5  # a controller repeats its status every half second
_EXPLAINED_AFTER_S = 0.5  # a policy's first command may come before the status that names the policy
_RECENT_S = 1.0  # a refusal older than this does not explain why no command counts now


class Refusal(NamedTuple):
    """Why a command does not count: one sentence that begins with the topic.

    `to_log` is false for what ordinary operation brings, such as an answer that was under way when a task was loaded.
    """

    sentence: str
    to_log: bool


class RunningPolicy(NamedTuple):
    """The active policy of a controller, as its status tells.

    `generated_ns` is when it was generated, by the generator's system clock. `first_stamp_ns` is the stamp of the first
    observation that it answered, 0 before that.
    """

    policy_id: str
    task: str
    generated_ns: int
    first_stamp_ns: int


class Wait(NamedTuple):
    """What a held arm waits for: a policy for `task` that was generated and began after the load.

    The load was at `loaded_ns` of this computer's system clock; the first observation that shows the task has the stamp
    `stamp_ns`.
    """

    task: str
    stamp_ns: int
    loaded_ns: int


class CommandGate:
    """Takes the commands of a contract's command streams and gives what the next step is commanded.

    A command counts when it answers an observation that this simulation has sent, and none of a layout before. Stamp 0
    marks a command that answers no observation, as a controller's safe command does. In real time the newest command
    counts, in lock step the first answer to the pending observation.

    With `asked_only` every load holds the arm: no command counts until a status says that a policy for the loaded task
    runs, that it was generated after the load, and that it began in this scene.

    A held arm is commanded 0 where that is rest. Grippers and positions stay as they were commanded last.

    Stamps are simulation time in ns, `now` is the steady clock in s.
    """

    def __init__(self, contract: Contract, lockstep: bool, timeout_s: float, asked_only: bool):
        """A gate for `contract`, which has a binding; `timeout_s`: how old the newest command may be in real time."""
        binding = contract.require_binding()
        self._streams = binding.command_streams
        self._lockstep, self._timeout_s, self._asked_only = lockstep, timeout_s, asked_only
        self._zero = np.array([rest == ZERO for rest in contract.rests])
        self._vector = np.zeros(len(contract.command))
        self._stamps = [-1] * len(self._streams)
        self._arrivals = [-np.inf] * len(self._streams)
        self._earliest_ns = 0
        self._ignores_safe = [False] * len(self._streams)  # until the controller of the layout before answers this one
        self.sent_ns = 0
        """Stamp of the last observation that was sent."""
        self.wait: Wait | None = None
        """What the arm is held for since the load; None: commands count."""
        self.holding = False
        """Whether the last step followed no command."""
        self.missed = 0
        """Steps since the load that no fresh command answered, once one had come, while a policy commands."""
        self._answered = False
        self._resting = False  # the last command was a safe one: a hold, or the end of a policy; what follows tells
        self._unanswered = 0  # steps since
        self._offers: list[tuple[int, np.ndarray, float] | None] = [None] * len(self._streams)  # newest, while held
        self._running: RunningPolicy | None = None
        self._told_s = -np.inf  # when a status arrived last
        self._elsewhere: RunningPolicy | None = None  # began in a simulation that this one is not
        self._unexplained: tuple[str, float] | None = None
        self._refused: tuple[str, float] = ("", -np.inf)

    def begin(self, task: str, stamp_ns: int, loaded_ns: int, start: np.ndarray | None) -> None:
        """A task was loaded. `start`, float64 [commands], is commanded after a reset; None: the state was kept.

        After a reset nothing of the layout before is commanded any more.
        """
        if start is not None:
            self._vector[:] = start
            # What still answers the layout before must not move this one.
            self._earliest_ns = stamp_ns
            each = zip(self._ignores_safe, self._stamps, strict=True)
            self._ignores_safe = [ignores or stamp > 0 for ignores, stamp in each]
            self._stamps = [-1] * len(self._streams)
        if self._asked_only:
            self.wait = Wait(task, stamp_ns, loaded_ns)
        self.missed, self._answered, self.holding = 0, False, self.wait is not None
        self._resting, self._unanswered = False, 0

    def take(self, place: int, stamp_ns: int, frame_id: str | None, values: np.ndarray, now: float) -> Refusal | None:
        """Take one command of stream number `place`; returns why it does not count, None where it does."""
        refusal = self._judge(place, stamp_ns, frame_id, values, now)
        if refusal is None:
            self._accept(place, stamp_ns, values, now)
        elif refusal.sentence:
            self._refused = (refusal.sentence, now)
        return refusal

    def _judge(self, place: int, stamp_ns: int, frame_id: str | None, values: np.ndarray, now: float) -> Refusal | None:
        topic, expected_frame = self._streams[place].topic, self._streams[place].frame_id
        if frame_id != expected_frame:
            return Refusal(f"{topic}: found frame_id {frame_id!r}, expected {expected_frame!r}; ignored", True)
        if not np.isfinite(values).all():
            return Refusal(f"{topic}: found a non-finite command, expected a finite one; ignored", True)
        if not 0 <= stamp_ns <= self.sent_ns:
            # Taken as the newest, a stamp from the future would shut out all that is commanded until that time.
            latest = f"the stamp of an observation, at most {1e-9 * self.sent_ns:.4f} s"
            return Refusal(f"{topic}: found stamp {1e-9 * stamp_ns:.4f} s, expected 0 or {latest}; ignored", True)
        if self.wait is not None:
            if stamp_ns:
                self._offers[place] = (stamp_ns, values.copy(), now)
            if not self._told(now) and self._unexplained is None and values[self._zero_of(place)].any():
                self._unexplained = (topic, now)
            return Refusal("", False)  # `why_held` says it
        if self._lockstep:
            if stamp_ns == self.sent_ns and self._stamps[place] != stamp_ns:
                return None
            repeated = stamp_ns in (0, self.sent_ns)
            text = f"found stamp {1e-9 * stamp_ns:.4f} s, expected {1e-9 * self.sent_ns:.4f} s; ignored"
            return Refusal("" if repeated else f"{topic}: {text}", False)
        if stamp_ns == 0:
            text = "found stamp 0, expected an answer to an observation of the new layout first; ignored"
            return Refusal(f"{topic}: {text}", False) if self._ignores_safe[place] else None
        earliest = max(self._stamps[place], self._earliest_ns)
        if stamp_ns < earliest:
            text = f"found stamp {1e-9 * stamp_ns:.4f} s, expected at least {1e-9 * earliest:.4f} s, that of"
            newer = "the last command" if earliest == self._stamps[place] else "the task's first observation"
            return Refusal(f"{topic}: {text} {newer}; ignored", False)
        return None

    def _zero_of(self, place: int) -> np.ndarray:
        return self._zero[list(self._streams[place].indices)]

    def _accept(self, place: int, stamp_ns: int, values: np.ndarray, now: float) -> None:
        self._resting = stamp_ns == 0
        if stamp_ns:
            self._ignores_safe[place], self._answered = False, True
            self.missed += self._unanswered  # it was a hold
            self._unanswered = 0
        self._vector[list(self._streams[place].indices)] = values
        self._stamps[place] = max(stamp_ns, self._stamps[place])
        self._arrivals[place] = now

    def tell(self, running: RunningPolicy | None, now: float) -> bool:
        """Take a controller's status, None where it has no active policy; returns whether it ends the hold.

        The policy's commands that came before its status count from then on.
        """
        self._running, self._told_s = running, now
        wait = self.wait
        if wait is None:
            return False
        if running is not None:
            self._unexplained = None
            if running.first_stamp_ns > self.sent_ns:
                self._elsewhere = running
        if running is None or self._objection(wait):
            return False
        self.wait = None
        self._earliest_ns = max(running.first_stamp_ns, wait.stamp_ns)
        for place, offer in enumerate(self._offers):
            if offer is not None and offer[0] >= self._earliest_ns:
                self._accept(place, *offer)
        return True

    def _objection(self, wait: Wait) -> str:
        """Why the running policy is not the one that is waited for, '' where it is."""
        running = self._running
        if running is None:
            return "no policy runs"
        if running.task != wait.task:
            return f"the policy that runs is for '{running.task}'"
        early_s = 1e-9 * (wait.loaded_ns - running.generated_ns)
        if early_s > 0.0:
            return (
                f"a policy for '{wait.task}' runs that was generated {early_s:.3f} s before the load, by its "
                "generator's clock, so it does not count; where a new one does not either, the clocks of generator and "
                "bridge are apart: synchronise them (NTP, PTP)"
            )
        if running.first_stamp_ns < wait.stamp_ns or running == self._elsewhere:
            return f"a policy for '{wait.task}' runs that has not answered an observation of this scene first"
        return ""

    def _told(self, now: float) -> bool:
        """Whether a controller has said lately that it runs a policy."""
        return self._running is not None and now - self._told_s <= _STATUS_LASTS_S

    def why_held(self, now: float) -> str:
        """One sentence on what the arm is held for since the load, '' where it is not."""
        if self.wait is None:
            return ""
        objection = self._objection(self.wait) if self._told(now) else "no policy runs"
        return f"'{self.wait.task}' is loaded, and the arm is held until a policy for it commands: {objection}"

    def refused(self) -> RunningPolicy | None:
        """The running policy where it began after the load and yet does not count: somebody asked for it in vain.

        It is for another task, or by its generator's clock it is older than the load.
        """
        wait, running = self.wait, self._running
        if wait is None or running is None or not wait.stamp_ns <= running.first_stamp_ns <= self.sent_ns:
            return None
        return running if running.task != wait.task or running.generated_ns < wait.loaded_ns else None

    def unexplained(self, now: float) -> str:
        """The topic on which somebody commands a held arm though no controller says that a policy runs; '' if none.

        Each such command is named once.
        """
        if self._unexplained is None or now - self._unexplained[1] < _EXPLAINED_AFTER_S:
            return ""
        (topic, _), self._unexplained = self._unexplained, None
        return topic if self.wait is not None else ""

    @property
    def fresh(self) -> bool:
        """Whether every stream has answered the last observation that was sent."""
        return all(stamp == self.sent_ns for stamp in self._stamps)

    @property
    def answered_while_held(self) -> bool:
        """Whether the last observation was answered on every stream by commands that do not count."""
        offers = self._offers if self.wait is not None else []
        return bool(offers) and all(offer is not None and offer[0] == self.sent_ns for offer in offers)

    def next(self, now: float) -> np.ndarray:
        """float64 [commands]: what the step that begins now is commanded, in the contract's order and units."""
        # The oldest stream counts: a hand whose velocity is no longer sent must not go on because the gripper's is.
        late = not self._lockstep and now - min(self._arrivals) > self._timeout_s
        if late and self._resting:  # no policy commands any more, so there is nothing to miss
            self._answered, self._unanswered = False, 0
        if self._answered and not self.fresh:
            self._unanswered += self._resting
            self.missed += not self._resting
        self.holding = self.wait is not None or late
        if self.holding:
            self._vector[self._zero] = 0.0
        return self._vector

    def why_no_command(self, now: float) -> str:
        """One sentence on why no command counts now, though the arm is not held since a load."""
        sentence, refused_s = self._refused
        if now - refused_s < _RECENT_S:
            return f"commands are refused: {sentence}"
        pending = [stamp != self.sent_ns for stamp in self._stamps]
        late = [now - arrived > self._timeout_s for arrived in self._arrivals]
        silent = [s.topic for s, each in zip(self._streams, pending if self._lockstep else late, strict=True) if each]
        return "no commands arrive" + (f" on {', '.join(silent)}" if len(silent) < len(self._streams) else "")

    def disagreement(self, now: float) -> str:
        """One sentence where streams that all deliver answer observations far apart, '' where they do not."""
        if self.wait is not None or now - min(self._arrivals) > self._timeout_s or min(self._stamps) <= 0:
            return ""
        oldest, newest = (function(range(len(self._stamps)), key=self._stamps.__getitem__) for function in (min, max))
        apart_s = 1e-9 * (self._stamps[newest] - self._stamps[oldest])
        if apart_s <= self._timeout_s:
            return ""
        topics = [self._streams[place].topic for place in (oldest, newest)]
        return f"{topics[0]} answers an observation {apart_s:.2f} s older than that of {topics[1]}"

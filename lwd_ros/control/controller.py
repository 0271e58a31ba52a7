"""The controller's decisions, without ROS: which policy, which command, which mode."""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np

from lwd_ros.contract import AGE, Contract, Frames
from lwd_ros.control.age import ToldAge
from lwd_ros.control.command import SAFE_STAMP_NS, Answer, Command
from lwd_ros.control.controller_view import ControllerView
from lwd_ros.control.mode import (
    Forbidden,
    Holding,
    Mode,
    Outcome,
    Running,
    Stopped,
    WaitingForObservation,
    WaitingForPolicy,
)
from lwd_ros.control.observation import Observation, ObservationAssembler
from lwd_ros.control.permission import Permission
from lwd_ros.control.slew import SlewBudget
from lwd_ros.control.statistics import TickStatistics
from lwd_ros.policy import Policy, PolicySlot

_REPEAT_STOP_S = 1.0
_APPROACH_S = 4.0  # for so much longer where positions are not at rest yet
_PERMISSION_PATIENCE_S = 10.0  # a policy that was asked for without permission waits for it this long
_IDLE = (WaitingForPolicy, Stopped, Forbidden)  # no policy answers observations


class ControllerCore(ControllerView):
    """One controller: observations in, commands out, one mode at a time (see `lwd_ros.control.mode`).

    All times are seconds of the steady clock. Nothing is commanded before a policy has answered an observation that
    arrived after `activate`. `check` alone may be called by another thread.
    """

    def __init__(
        self,
        contract: Contract,
        policy_timeout_s: float = 0.0,
        stop_outside_training_range: bool = False,
        simulated_time: bool = False,
        stamp_clock_ns: Callable[[], int] | None = None,
    ):
        """Make a controller that has no policy.

        Args:
            contract: with its binding.
            policy_timeout_s: stops a policy that has run this long without a successor; 0 lets it run for ever.
            stop_outside_training_range: stops a policy that observes what lies far outside its training range.
            simulated_time: time passes as the observations' stamps say, however fast they come. Otherwise it passes
                no faster than the steady clock: what comes in a bunch does not move a robot faster.
            stamp_clock_ns: the time that stamps should be of; needed where the contract has the observations' age.
        """
        binding = contract.require_binding()
        self.contract, self._policy_timeout_s = contract, policy_timeout_s
        self._stop_outside_training_range, self.simulated_time = stop_outside_training_range, simulated_time
        self._answered_at_ns: Callable[[], int] = lambda: 0  # ages are not told
        if contract.age_place is not None:
            if stamp_clock_ns is None:
                raise ValueError(f"stamp_clock_ns: found None, expected a clock, for the contract has '{AGE}'")
            self._answered_at_ns = stamp_clock_ns
        self._assembler = ObservationAssembler(contract, simulated_time, stamp_clock_ns)
        self._slot, self._frames = PolicySlot(contract), Frames(contract)
        self._slew = SlewBudget(contract, simulated_time)
        self._permission, self._resumes = Permission(binding.permission_streams), binding.after_loss == "resume"
        self._fault_outcome = Outcome.HOLD if binding.on_fault == "hold" else Outcome.ZERO
        self.activate()

    def activate(self) -> None:
        """Start afresh: no policy, observation, permission or statistics.

        Slew goes on from what the robot was told last; of positions, from where a policy's first observation has them.
        """
        self._assembler.reset()
        self._permission.reset()
        self._frames.reset()
        self._slot.clear()
        self._slew.release()
        self.mode: Mode = WaitingForPolicy()
        self._statistics = TickStatistics()
        self._last: Answer | None = None
        self._newest: Observation | None = None  # what ticks at deadlines answer, and where a hold measures positions

    # Policies

    def check(self, policy: Policy) -> Policy:
        """Check `policy` and warm it up; changes nothing, so any thread may call it. Raises PolicyError."""
        return self._slot.check(policy)

    def accept(self, policy: Policy) -> None:
        """Make a policy that `check` has passed the next tick's policy."""
        self._slot.replace(policy)
        if isinstance(self.mode, _IDLE):
            self.mode = WaitingForObservation(self.mode.repeat_until_s)

    # Ticks

    def receive(self, stream: int, stamp_ns: int, frame_id: str | None, values, now: float) -> Observation | None:
        """Take one message of an observation stream, as `ObservationAssembler.add`; the observation it completes."""
        return self._assembler.add(stream, stamp_ns, frame_id, values, now)

    def tick(self, observation: Observation, now: float) -> Command | None:
        """Answer one complete observation; None while there is nothing to command, or it comes too soon."""
        if isinstance(self.mode, _IDLE):
            return None
        self._newest = observation
        if self._last is None:
            return self._answer(observation, 1.0, now, starved=0)
        stamps_ns, elapsed_s = observation.stamp_ns - self._last.command.stamp_ns, now - self._last.at_s
        if stamps_ns == 0:
            return self._repeat(now)
        periods = self._slew.between(stamps_ns, elapsed_s)
        if periods is None:
            return None
        in_lock_step = self.simulated_time and not self.has_positions  # others execute what a hold tells positions
        goes_on = in_lock_step and isinstance(self.mode, Holding) and self._slew.follows(stamps_ns)
        if goes_on:
            self._slew.resume(self._last.command.vector)  # in lock step the answer was executed, and no hold since
        starved = max(0, int(elapsed_s / self.contract.period_s - 0.5))
        return self._answer(observation, periods, now, starved, goes_on)

    def _repeat(self, now: float) -> Command | None:
        """The last stamp is asked for again: the command was lost on the way, not the tick."""
        denied = self._permission.denied(now)
        if denied:
            return self._forbid(denied, now)
        fault = self._assembler.fault(now)
        if fault:
            return self._fail(fault, now)
        if isinstance(self.mode, Holding):
            if not self.simulated_time or self.has_positions:
                return None  # the robot has been told to stand still since; the next stamp moves it on, slew-limited
            self.mode = self.mode.before
        assert self._last is not None
        self._slew.resume(self._last.command.vector)
        return replace(self._last.command, is_tick=False)

    def observe(self, observation: Observation) -> None:
        """Keep a complete observation for the next `tick_on_time`."""
        self._newest = observation

    def tick_on_time(self, now: float, periods: float | None = None) -> Command | None:
        """Answer the newest observation at a deadline, whether it is new or was answered before.

        The slew is for `periods` control periods, by default for the time since the last tick.
        """
        if isinstance(self.mode, _IDLE) or self._newest is None:
            return None
        if periods is None:
            periods = 1.0 if self._last is None else (now - self._last.at_s) / self.contract.period_s
        again = self._last is not None and self._newest is self._last.observation
        return self._answer(self._newest, periods, now, starved=int(again))

    def _answer(
        self, observation: Observation, periods: float, now: float, starved: int, goes_on: bool = False
    ) -> Command | None:
        denied = self._permission.denied(now)
        if denied:
            return self._forbid(denied, now)
        fault = self._assembler.fault(now)  # with `latest`, an observation is complete though other streams are dead
        if fault:
            return self._fail(fault, now)
        policy = self._slot.newest
        assert policy is not None
        began = self._running(policy, observation, now)
        seen = self._see(observation, goes_on)
        if began.age is not None:
            began.age.hear(self._frames.age_s)
        if self._stop_outside_training_range:
            names = self._outside(began)
            if names:
                return self.stop(f"far outside what '{began.policy.task}' was trained on: {', '.join(names)}", now)
        start = perf_counter()
        vector = began.policy.forward(seen, np.empty(len(self.contract.command)))
        inference_s = perf_counter() - start
        if not np.isfinite(vector).all():
            return self.stop("the policy computed a non-finite command", now)
        was, self.mode = self.mode, began
        if isinstance(was, WaitingForObservation):
            self._slew.start(observation.vector, now)
        statistics = self._statistics
        statistics.inference.add(inference_s)
        statistics.starved_ticks += starved
        statistics.swaps += self._before(was) is not began
        if self._last is not None and was.outcome is Outcome.CONTINUE:
            statistics.interval.add(now - self._last.at_s)
        self._assembler.ticked()
        output = vector.copy() if self.keeps_output else None  # the next line changes it in place
        limited = self._slew.limit(vector, periods, observation.vector, now)
        command = Command(limited, observation.stamp_ns, is_tick=True, output=output)
        self._last = Answer(observation, command, now)
        return command

    def _see(self, observation: Observation, goes_on: bool) -> np.ndarray:
        """What a policy reads at this tick; a swap changes nothing of it, a hold or a stop before begins it anew."""
        if not isinstance(self.mode, Running) and not goes_on:
            self._frames.reset()
        self._frames.push(observation.vector, observation.stamp_ns)
        return self._frames.vector(self._answered_at_ns())

    def _running(self, policy: Policy, observation: Observation, now: float) -> Running:
        """The mode in which `policy` answers: the present one, or, at a swap, a new one."""
        present = self._before(self.mode)
        if present is not None and present.policy is policy:
            return present
        age = None
        if any(place in policy.observation_indices for place in self.contract.age_places):
            age = ToldAge(self.contract, self._assembler.patience_s, present.age if present else None)
        return Running(policy, age, now, observation.stamp_ns)

    def count_tick(self, start: float, sent: float, late_s: float) -> None:
        """Count the tick whose command was sent at `sent`; it began at `start`, `late_s` after it was due."""
        self._statistics.tick(sent - start, self.contract.period_s, late_s)
        assert self._last is not None
        self._statistics.answered_age.add(max(0.0, sent - self._last.observation.arrived))

    def count_missed(self, deadlines: int) -> None:
        """Count deadlines that no tick kept."""
        self._statistics.overruns += deadlines

    # Faults

    def watch(self, now: float) -> Command | None:
        """Judge the observations' age and the policy's, apart from the ticks; returns the safe command if needed.

        A stop repeats the safe command for a second, because its receiver may listen best effort.
        """
        command = self._follow_permission(now)
        if command is not None:
            return command
        mode = self.mode
        if not isinstance(mode, (Running, Holding)):
            return self._safe(now) if self._repeats(mode, now) else None
        running = self._before(mode)
        assert running is not None and self._last is not None
        succeeded = self._slot.newest is not running.policy  # its successor waits for an observation
        if self._policy_timeout_s and not succeeded and now - running.since_s > self._policy_timeout_s:
            return self.stop(f"the policy ran for policy_timeout_s = {self._policy_timeout_s:g} s", now, planned=True)
        fault = self._assembler.fault(now)
        idle_s = now - self._last.at_s
        if not fault and idle_s > self._assembler.patience_s + self.contract.period_s:
            fault = f"no tick for {idle_s:.2f} s, though observations arrive: does the clock stand still?"
        return self._fail(fault, now) if fault else None

    def stop(self, reason: str, now: float, planned: bool = False) -> Command | None:
        """Stop until a new policy arrives; returns the safe command, None if nothing was ever commanded.

        None as well where a stop before has told positions where to rest: since then a hand may have moved them.
        """
        mode = self.mode
        commanded = isinstance(mode, (Running, Holding))
        if not commanded and mode.repeat_until_s is not None:
            commanded = not self._slew.has_positions or self._repeats(mode, now)
        self._slot.clear()
        self._end()
        self.mode = Stopped(now + _REPEAT_STOP_S if commanded else None, reason, planned)
        return self._safe(now) if commanded else None

    def _end(self) -> None:
        """The policy ends. The next one answers for itself, and periods without one are not starved."""
        self._latch()
        self._slew.begin()
        self._newest = self._last = None

    def _latch(self) -> None:
        """Positions rest where they were measured last, unless they rest already."""
        if isinstance(self.mode, Running):
            assert self._newest is not None
            self._slew.latch(self._newest.vector)

    def _fail(self, fault: str, now: float) -> Command | None:
        running = self._before(self.mode)
        if running is None:
            self.mode = replace(self.mode, reason=fault)  # type: ignore[arg-type] # Running alone has no such field
            return None
        self._latch()
        since_s = self.mode.since_s if isinstance(self.mode, Holding) else now
        self.mode = Holding(self._fault_outcome, fault, since_s, running)
        return self._safe(now)

    def _safe(self, now: float) -> Command:
        """Every command at rest; the next policy's slew starts from here."""
        return Command(self._slew.rest(now), SAFE_STAMP_NS)

    def _repeats(self, mode: Mode, now: float) -> bool:
        """Whether the safe command of a stop is still being repeated.

        Positions that were told to go far need longer. Not so without permission, for a hand may guide the robot then.
        """
        if mode.repeat_until_s is None or now < mode.repeat_until_s:
            return mode.repeat_until_s is not None
        approaches = isinstance(mode, Stopped) and not self._slew.at_rest
        return approaches and now < mode.repeat_until_s + _APPROACH_S

    # Permission

    def permit(self, place: int, value: float, now: float, late_s: float = 0.0) -> Command | None:
        """Take one message of permission stream number `place`; returns the safe command where it says no.

        It arrived `late_s` ago, and is as old as that.
        """
        self._permission.receive(place, value, now - late_s)
        return self._follow_permission(now)

    def revoke(self, place: int, now: float) -> Command | None:
        """The publishers of permission stream number `place` are gone; returns the safe command if needed."""
        self._permission.gone(place)
        return self._follow_permission(now)

    def _follow_permission(self, now: float) -> Command | None:
        denied = self._permission.denied(now)
        if denied:
            return self._forbid(denied, now)
        mode = self.mode
        if isinstance(mode, WaitingForObservation) and mode.denied_since_s is not None:
            self.mode = replace(mode, denied_since_s=None)
        elif isinstance(mode, Forbidden) and mode.resumes:
            self.mode = WaitingForObservation(mode.repeat_until_s)
        elif isinstance(mode, Forbidden):
            self.mode = Stopped(mode.repeat_until_s, "the permission is back; a new policy must be asked for")
        return None

    def _forbid(self, denied: str, now: float) -> Command | None:
        if isinstance(self.mode, (Running, Holding)):
            self._end()
            if not self._resumes:
                self._slot.clear()
            self.mode = Forbidden(now + _REPEAT_STOP_S, denied, self._resumes, now)
            return self._safe(now)
        mode = self.mode
        if isinstance(mode, WaitingForObservation):
            since_s = now if mode.denied_since_s is None else mode.denied_since_s
            if not self._resumes and now - since_s > _PERMISSION_PATIENCE_S:
                return self.stop(f"no permission for {_PERMISSION_PATIENCE_S:g} s ({denied}); ask again with it", now)
            if (mode.reason, mode.denied_since_s) != (denied, since_s):
                self.mode = replace(mode, reason=denied, denied_since_s=since_s)
        elif isinstance(mode, Forbidden) and mode.reason != denied:
            self.mode = replace(mode, reason=denied)
        return None

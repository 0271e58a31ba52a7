"""The controller's decisions, without ROS: which policy, which command, which outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter

import numpy as np

from lwd_ros.contract import AGE, CommandLimiter, Contract
from lwd_ros.control.observation import Observation, ObservationAssembler
from lwd_ros.control.statistics import TickStatistics
from lwd_ros.policy import Policy, PolicySlot

SAFE_STAMP_NS = 0
"""The stamp of safe commands, which answer no observation."""

_SHORTEST_PERIOD = 0.75  # an observation sooner than this after the answered one, in control periods, is left out
_REPEAT_STOP_S = 1.0


class Outcome(IntEnum):
    """What the controller is doing; the values are those of lwd_msgs/msg/ControllerStatus."""

    WAITING = 0
    CONTINUE = 1
    HOLD = 2
    ZERO = 3
    STOPPED = 4


@dataclass(slots=True)
class Command:
    """A command to send: float64 [commands] in the contract's order and units, and the stamp that it answers.

    Safe commands answer nothing: their stamp is 0.
    """

    vector: np.ndarray
    stamp_ns: int


class ControllerCore:
    """One controller: a slot for the policy, the limits, the assembly of observations, the outcome of each fault.

    All times are seconds of the steady clock. Nothing is commanded before a policy has answered an observation that
    arrived after `activate`.
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
            stamp_clock_ns: the time that observations are stamped with; needed where the contract has their age.
        """
        binding = contract.require_binding()
        self.contract, self.policy_timeout_s = contract, policy_timeout_s
        self.stop_outside_training_range = stop_outside_training_range
        self.simulated_time = simulated_time
        if contract.age_place is not None and stamp_clock_ns is None:
            raise ValueError(f"stamp_clock_ns: found None, expected a clock, for the contract has '{AGE}'")
        self._stamp_clock_ns = stamp_clock_ns
        self.assembler = ObservationAssembler(contract, simulated_time)
        self.slot = PolicySlot(contract)
        self._limiter = CommandLimiter(contract)
        self._fault_outcome = Outcome.HOLD if binding.on_fault == "hold" else Outcome.ZERO
        self._kept = np.array([name in binding.keep_on_hold for name in contract.command_names])
        self.activate()

    def activate(self) -> None:
        """Start afresh: no policy, no observation, no last command."""
        self.assembler.reset()
        self.slot.clear()
        self.slot.swaps = 0
        self._limiter.reset()
        self.outcome, self.reason = Outcome.WAITING, "no policy yet"
        self.first_stamp_ns = 0
        self.statistics = TickStatistics()  # since the caller took them last
        self.observation: Observation | None = None
        self._commanded = False
        self._policy_since = 0.0
        self._stopped_at = 0.0
        self._answer: Command | None = None
        self._last_tick: float | None = None
        self._waiting: Observation | None = None
        self._failed = False
        self._told_age = self._age_is_cut_off = False
        self._unknown_ages = 0  # ticks since it was last within what policies may be told
        self.told_age_s: float | None = None  # the last one, before it is cut off
        self._saved_periods = 1.0  # by which observations may come early: jitter, not a bunch

    def offer(self, policy: Policy) -> None:
        """Check `policy` and accept it; raises PolicyError, and changes nothing, where it must not run."""
        self.accept(self.slot.check(policy))

    def accept(self, policy: Policy) -> None:
        """Make a policy that `slot.check` has passed the next tick's policy."""
        self.slot.replace(policy)
        if self.outcome in (Outcome.WAITING, Outcome.STOPPED):
            self.outcome, self.reason = Outcome.WAITING, "no complete observation yet"

    def tick(self, observation: Observation, now: float) -> Command | None:
        """Answer one complete observation; None while there is nothing to command.

        Observations that are stamped faster than the control period are left out, and the slew of one is for the time
        since the one answered before, by its stamp and by the steady clock: a fast sensor, or a bunch of observations
        that waited somewhere, must not make a fast arm.
        """
        if self.outcome is Outcome.STOPPED:
            return None
        periods, saved = 1.0, 1.0
        if self._answer is not None:
            elapsed_ns = observation.stamp_ns - self._answer.stamp_ns
            if elapsed_ns == 0:
                return self._repeat(now)
            periods = elapsed_ns * 1e-9 / self.contract.period_s
            if 0.0 <= periods < _SHORTEST_PERIOD:
                return None
            if periods < 0.0:  # a clock that jumped back says nothing about the time since: one period, as at the start
                periods = 1.0
            elif abs(periods - 1.0) < 1e-6:
                periods = 1.0
                if self._failed and self.simulated_time:  # in lock step the answer was executed, and no hold since
                    self._limiter.reset(self._answer.vector)
            if not self.simulated_time:
                available = self._saved_periods + (now - self._last_tick) / self.contract.period_s
                periods = min(periods, available)
                saved = min(1.0, available - periods)
        gap = 0.0 if self._last_tick is None else (now - self._last_tick) / self.contract.period_s
        command = self._command(observation, periods, now, starved=max(0, int(gap - 0.5)))
        self._saved_periods = saved
        return command

    def _repeat(self, now: float) -> Command | None:
        """The last stamp is asked for again: the command was lost on the way, not the tick."""
        fault = self.assembler.fault(now)
        if fault:
            return self._fail(fault)
        if self._failed:
            if not self.simulated_time:
                return None  # the robot has been told to stand still since; the next stamp moves it on, slew-limited
            self._failed, self.outcome, self.reason = False, Outcome.CONTINUE, ""
        self._limiter.reset(self._answer.vector)
        return self._answer

    def observe(self, observation: Observation) -> None:
        """Keep a complete observation for the next `tick_on_time`."""
        self._waiting = observation

    def tick_on_time(self, now: float, periods: float | None = None) -> Command | None:
        """Answer the newest observation at a deadline, whether it is new or was answered before.

        The slew is for `periods` control periods, by default for the time since the last tick.
        """
        if self.outcome is Outcome.STOPPED or self._waiting is None:
            return None
        if periods is None:
            periods = 1.0 if self._last_tick is None else (now - self._last_tick) / self.contract.period_s
        again = self._last_tick is not None and self._waiting is self.observation
        return self._command(self._waiting, periods, now, starved=int(again))

    def _command(self, observation: Observation, periods: float, now: float, starved: int) -> Command | None:
        fault = self.assembler.fault(now)  # with `latest`, an observation is complete though other streams are dead
        if fault:
            return self._fail(fault)
        previous = self.slot.active
        policy = self.slot.take()
        if policy is None:
            return None
        if policy is not previous:
            self._told_age = self.contract.age_place in policy.observation_indices
        if self._told_age:
            self._tell_age(observation)
        if self.stop_outside_training_range and (
            self._age_is_cut_off or policy.outside_training_range(observation.vector).any()
        ):
            self.observation = observation
            names = ", ".join(self.outside_training_range())
            return self._stop(f"far outside what '{policy.task}' was trained on: {names}", now)
        began = perf_counter()
        command = policy.forward(observation.vector, np.empty(len(self.contract.command)))
        inference_s = perf_counter() - began
        if not np.isfinite(command).all():
            return self._stop("the policy computed a non-finite command", now)
        if policy is not previous:
            self.first_stamp_ns, self._policy_since = observation.stamp_ns, now
        self.outcome, self.reason = Outcome.CONTINUE, ""
        statistics = self.statistics
        statistics.inference.add(inference_s)
        statistics.starved_ticks += starved
        if self._last_tick is not None and not self._failed:
            statistics.interval.add(now - self._last_tick)
        self._failed = False
        self._last_tick = now
        self.assembler.ticked()
        self._answer = Command(self._limiter.apply(command, periods), observation.stamp_ns)
        self.observation, self._commanded = observation, True
        return self._answer

    def _tell_age(self, observation: Observation) -> None:
        """Write the observation's age into it, cut off at the contract's limit.

        A late tick makes one observation older, and a burst many; clocks that are apart do so for good.
        """
        place, period_s = self.contract.age_place, self.contract.period_s
        longest_s = self.contract.observation[place].maximum
        self.told_age_s = age_s = 1e-9 * (self._stamp_clock_ns() - observation.stamp_ns)
        known = -period_s <= age_s <= longest_s + period_s
        self._unknown_ages = 0 if known else self._unknown_ages + 1
        self._age_is_cut_off = self._unknown_ages * period_s > self.assembler.patience_s
        observation.vector[place] = min(max(age_s, 0.0), longest_s)

    def watch(self, now: float) -> Command | None:
        """Judge the observations' age and the policy's, apart from the ticks; returns the safe command if needed.

        A stop repeats the safe command for a second, because its receiver may listen best effort.
        """
        if self.outcome is Outcome.STOPPED:
            return self._safe_command() if self._commanded and now - self._stopped_at < _REPEAT_STOP_S else None
        if self.slot.active is None or self.outcome is Outcome.WAITING:
            return None
        period_s = self.contract.period_s
        succeeded = self.slot.newest is not self.slot.active  # its successor waits for an observation
        if self.policy_timeout_s and not succeeded and now - self._policy_since > self.policy_timeout_s:
            return self._stop(f"the policy ran for policy_timeout_s = {self.policy_timeout_s:g} s", now)
        fault = self.assembler.fault(now)
        if not fault and self._last_tick is not None and now - self._last_tick > self.assembler.patience_s + period_s:
            fault = (
                f"no tick for {now - self._last_tick:.2f} s, though observations arrive: does the clock stand still?"
            )
        return self._fail(fault) if fault else None

    def stop(self, reason: str, now: float) -> Command | None:
        """Stop until a new policy arrives; returns the safe command, None if nothing was ever commanded."""
        return self._stop(reason, now)

    def outside_training_range(self) -> list[str]:
        """Names of scalars that lie far outside what the active policy was trained on, at the last tick."""
        if self.slot.active is None or self.observation is None:
            return []
        policy = self.slot.active
        outside = policy.outside_training_range(self.observation.vector)
        names = [self.contract.observation_names[place] for place in policy.observation_indices[outside]]
        return names + [AGE] * self._age_is_cut_off

    def _fail(self, fault: str) -> Command | None:
        if not self._commanded:
            self.reason = fault
            return None
        self._failed = True
        self.outcome, self.reason = self._fault_outcome, fault
        return self._safe_command()

    def _stop(self, reason: str, now: float) -> Command | None:
        self.slot.clear()
        self.outcome, self.reason, self._stopped_at = Outcome.STOPPED, reason, now
        self._last_tick = None  # periods without a policy are not starved
        self._waiting = self._answer = None  # the next policy answers for itself
        return self._safe_command() if self._commanded else None

    def _safe_command(self) -> Command:
        """Hold (every command 0 but those kept) or zero; the next policy's slew starts from here."""
        keep = self._kept if self._fault_outcome is Outcome.HOLD else np.zeros_like(self._kept)
        vector = np.where(keep, self._limiter.previous, 0.0)
        self._limiter.reset(vector)
        return Command(vector, SAFE_STAMP_NS)

"""The controller's decisions, without ROS: which policy, which command, which outcome."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.control.observation import Observation, ObservationAssembler
from lwd_ros.control.statistics import TickStatistics
from lwd_ros.policy import Policy, PolicySlot


class Outcome(IntEnum):
    """What the controller is doing; the values are those of lwd_msgs/msg/ControllerStatus."""

    WAITING = 0
    CONTINUE = 1
    HOLD = 2
    ZERO = 3
    STOPPED = 4


@dataclass(frozen=True)
class Command:
    """A command to send: float64 [commands] in the contract's order and units, and the stamp that it answers."""

    vector: np.ndarray
    stamp_ns: int


class ControllerCore:
    """One controller: a slot for the policy, the limits, the assembly of observations, the outcome of each fault.

    All times are seconds of the steady clock. Nothing is commanded before a policy has answered an observation that
    arrived after `activate`.
    """

    def __init__(self, contract: Contract, policy_timeout_s: float = 0.0):
        """`policy_timeout_s` stops a policy that has run this long without a successor; 0 lets it run for ever."""
        binding = contract.require_binding()
        self.contract, self.policy_timeout_s = contract, policy_timeout_s
        self.assembler = ObservationAssembler(contract)
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
        self.statistics = TickStatistics()
        self._policy_since = 0.0
        self._last: Command | None = None
        self._last_tick: float | None = None

    def offer(self, policy: Policy) -> None:
        """Make `policy` the next tick's policy; raises PolicyError, and changes nothing, where it must not run."""
        self.slot.offer(policy)
        if self.outcome in (Outcome.WAITING, Outcome.STOPPED):
            self.outcome, self.reason = Outcome.WAITING, "no complete observation yet"

    def tick(self, observation: Observation, now: float) -> Command | None:
        """Answer one complete observation; None while there is nothing to command."""
        if self._last is not None and observation.stamp_ns == self._last.stamp_ns:
            return self._last  # asked again: the command was lost on the way, not the tick
        if self.outcome is Outcome.STOPPED:
            return None
        previous = self.slot.active
        policy = self.slot.take()
        if policy is None:
            return None
        command = policy.forward(observation.vector, np.empty(len(self.contract.command)))
        if not np.isfinite(command).all():
            self._stop("the policy computed a non-finite command")
            return self._safe_command(observation.stamp_ns)
        if policy is not previous:
            self.first_stamp_ns, self._policy_since = observation.stamp_ns, now
        self.outcome, self.reason = Outcome.CONTINUE, ""
        self._last = Command(self._limiter.apply(command), observation.stamp_ns)
        if self._last_tick is not None:
            self.statistics.starved_ticks += max(0, int((now - self._last_tick) / self.contract.period_s - 0.5))
        self._last_tick = now
        return self._last

    def watch(self, now: float) -> Command | None:
        """Judge the observations' age and the policy's, apart from the ticks; returns the safe command if needed."""
        if self.slot.active is None or self.outcome in (Outcome.WAITING, Outcome.STOPPED):
            return None
        succeeded = self.slot.newest is not self.slot.active  # its successor waits for an observation
        if self.policy_timeout_s and not succeeded and now - self._policy_since > self.policy_timeout_s:
            self._stop(f"the policy ran for policy_timeout_s = {self.policy_timeout_s:g} s without a successor")
            return self._safe_command(self._last.stamp_ns)
        fault = self.assembler.fault(now)
        if not fault:
            return None
        self.outcome, self.reason = self._fault_outcome, fault
        return self._safe_command(self._last.stamp_ns)

    def stop(self, reason: str) -> Command | None:
        """Stop until a new policy arrives; returns the safe command, None if nothing was ever commanded."""
        stamp = None if self._last is None else self._last.stamp_ns
        self._stop(reason)
        return None if stamp is None else self._safe_command(stamp)

    def _stop(self, reason: str) -> None:
        self.slot.clear()
        self.outcome, self.reason = Outcome.STOPPED, reason
        self._last_tick = None  # periods without a policy are not starved

    def _safe_command(self, stamp_ns: int) -> Command:
        """Hold (every command 0 but those kept) or zero; the next policy's slew starts from here."""
        keep = self._kept if self._fault_outcome is Outcome.HOLD else np.zeros_like(self._kept)
        vector = np.where(keep, self._limiter.previous, 0.0)
        self._limiter.reset(vector)
        self._last = Command(vector, stamp_ns)
        return self._last

"""How far commands may move, and how often: limits, slew limits, and the time that they are counted by."""

import math

import numpy as np

from lwd_ros.contract import CommandLimiter, Contract

_ON_ITS_WAY_S = 0.2  # after a command, a robot follows that one still; no hand moves it so soon
_SHORTEST_PERIOD = 0.75  # an observation sooner than this after the answered one, in control periods, is left out


class SlewBudget:
    """What the robot was told last, and how many control periods of slew the next command may spend.

    It outlives policies, stops and activations, so none of them can make a command jump. Time passes as the
    observations' stamps say and, unless `simulated_time`, no faster than the steady clock: what comes in a bunch does
    not move a robot faster. One period may be saved up, for jitter. A stamp that is behind is another clock's, and says
    nothing about the time since: it counts for one period, as at the start.
    """

    def __init__(self, contract: Contract, simulated_time: bool):
        self._limiter, self._period_s, self._simulated = CommandLimiter(contract), contract.period_s, simulated_time
        self._keeps = contract.require_binding().on_fault == "hold"
        self._saved = 1.0
        self._sent_s = -math.inf

    @property
    def has_positions(self) -> bool:
        """Whether some command is a place to go to."""
        return self._limiter.has_positions

    def release(self) -> None:
        """Nothing commands the robot any more, as `CommandLimiter.release`."""
        self._limiter.release()
        self._saved = 1.0

    @property
    def at_rest(self) -> bool:
        """Whether every position was told where it rests."""
        return self._limiter.at_rest

    def begin(self) -> None:
        """A policy starts from rest: one period of slew, whatever was saved before."""
        self._saved = 1.0

    def start(self, measured: np.ndarray, now: float) -> None:
        """A policy starts; the robot is where `measured` (float64 [observations]) says, or on its way to what was sent.

        It is on its way where something was sent just now. Else a hand may have moved it.
        """
        if now - self._sent_s > _ON_ITS_WAY_S:
            self._limiter.start(measured)

    def between(self, stamps_ns: int, elapsed_s: float) -> float | None:
        """Control periods of slew for an observation stamped `stamps_ns` after the answered one, None: leave it out.

        `elapsed_s` is the time since that answer by the steady clock.
        """
        periods = 1e-9 * stamps_ns / self._period_s
        elapsed = elapsed_s / self._period_s
        if 0.0 <= periods < _SHORTEST_PERIOD:
            return None
        if periods < 0.0 or self.follows(stamps_ns):
            periods = 1.0
        if not self._simulated:
            available = self._saved + elapsed
            periods = min(periods, available)
            self._saved = min(1.0, available - periods)
        return periods

    def follows(self, stamps_ns: int) -> bool:
        """Whether a stamp so far after the answered one is the next one, but for rounding."""
        return abs(1e-9 * stamps_ns / self._period_s - 1.0) < 1e-6

    def limit(self, output: np.ndarray, periods: float, observed: np.ndarray, now: float) -> np.ndarray:
        """Turn a policy's output (float64 [commands]) into a command in place, as `CommandLimiter.apply`; returns it.

        `periods` is the time since the last command, in control periods; `observed` the frame it answers.
        """
        self._sent_s = now
        return self._limiter.apply(output, periods, observed)

    def latch(self, measured: np.ndarray) -> None:
        """From now on positions rest where `measured` (float64 [observations]) says, as `CommandLimiter.latch`."""
        self._limiter.latch(measured)

    def rest(self, now: float) -> np.ndarray:
        """float64 [commands] of the safe command, to be sent at `now`; slew goes on from here."""
        periods = (now - self._sent_s) / self._period_s
        self._sent_s = now
        return self._limiter.rest(periods, self._keeps)

    def resume(self, vector: np.ndarray) -> None:
        """The robot was told `vector` after all: slew goes on from there."""
        self._limiter.resume(vector)

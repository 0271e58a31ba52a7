"""When a control process waits for its control path alone, and when it may rest from it."""

from lwd_ros.control.pacing import Pacer

_REST_EVERY_S = 0.05  # services, status and diagnostics wait this long at most for a gap between two ticks ...
_REST_AT_LAST_S = 0.1  # ... and this long where there is none
_GAP_S = 0.001  # what such a gap needs before a tick is due, unless the control period is shorter than twice that


class Turns:
    """The turns of one activation's loop. All times are s of the steady clock.

    The control path (observations, policies, stop, watchdog) is waited for all the time. Everything else (services,
    status, diagnostics: a "rest") has its turn in a gap between two ticks. With a `pacer` ticks are due at its
    deadlines, else a period after the last one. `incomplete` says whether an observation has begun to arrive.
    """

    def __init__(self, period_s: float, pacer: Pacer | None = None):
        self._period_s, self._pacer = period_s, pacer
        self._ticked_s = float("-inf")
        self._rest_at_s = 0.0

    def ticked(self, now: float) -> None:
        """A tick was due and is done."""
        self._ticked_s = now

    def late_s(self, now: float) -> float | None:
        """How late the pacer's deadline is, None where there is none or it has not come."""
        return None if self._pacer is None else self._pacer.due(now)

    @property
    def missed(self) -> int:
        """Deadlines of the pacer that no tick kept."""
        return 0 if self._pacer is None else self._pacer.missed

    def _due_s(self) -> float:
        return self._ticked_s + self._period_s if self._pacer is None else self._pacer.deadline

    def gap_until_s(self, now: float, incomplete: bool) -> float | None:
        """Until when no tick is expected, None where one is due soon; without ticks for a while, none is expected."""
        due_s = self._due_s()
        if now >= due_s + self._period_s:
            return now + _GAP_S
        ends_s = due_s - min(_GAP_S, 0.5 * self._period_s)
        return ends_s if now < ends_s and not incomplete else None

    def in_a_gap(self, now: float, incomplete: bool) -> bool:
        """Whether no tick is expected soon."""
        return self.gap_until_s(now, incomplete) is not None

    def wait_s(self, now: float, incomplete: bool, checks_wait: bool) -> float:
        """How long to wait for the control path alone; less where policies wait for a gap to be checked in.

        The next gap begins with the next tick, which ends the wait anyway, or where that tick does not come.
        """
        until, idle_at_s = self._rest_at_s, self._due_s() + self._period_s
        if now >= until and not self.in_a_gap(now, incomplete):
            until = min(until + _REST_AT_LAST_S, idle_at_s)
        if checks_wait:
            until = min(until, max(idle_at_s, now + _GAP_S))
        if self._pacer is not None:
            until = min(until, self._pacer.deadline)
        return max(0.0, until - now)

    def rest_is_due(self, now: float, incomplete: bool) -> bool:
        """Whether everything else has its turn now."""
        if now < self._rest_at_s:
            return False
        return self.in_a_gap(now, incomplete) or now >= self._rest_at_s + _REST_AT_LAST_S

    def rested(self, now: float, served: bool) -> None:
        """Everything else had its turn; where something was `served`, it has another one at the next gap."""
        self._rest_at_s = now + (0.0 if served else _REST_EVERY_S)

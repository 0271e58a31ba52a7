"""When a loop of fixed rate is due: deadlines on an absolute grid, so that no lateness adds up."""


class Pacer:
    """Deadlines start + k * period. All times are seconds of the steady clock.

    A loop that comes too late for several deadlines runs once and is back on the grid; the others are counted in
    `missed`, for a robot is not helped by commands of the past.
    """

    def __init__(self, period_s: float, now: float):
        self.period_s = period_s
        self._start, self._next, self.missed = now, 1, 0

    @property
    def deadline(self) -> float:
        """When the loop is due next."""
        return self._start + self._next * self.period_s

    def due(self, now: float) -> float | None:
        """Seconds since the first deadline that was not kept, if there is one at `now`, else None."""
        late = now - self.deadline
        if late < 0.0:
            return None
        last = int((now - self._start) / self.period_s)
        last = max(last, self._next)  # rounding must not bring a deadline back
        self.missed += last - self._next
        self._next = last + 1
        return late

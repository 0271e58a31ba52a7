"""What a control loop reports of itself: additive, so that windows fold into runs."""

from dataclasses import dataclass


@dataclass
class TickStatistics:
    """Counts and seconds of a stretch of ticks; `a + b` is the statistics of both stretches."""

    ticks: int = 0
    starved_ticks: int = 0
    overruns: int = 0
    work_total_s: float = 0.0
    work_max_s: float = 0.0

    def tick(self, work_s: float, period_s: float) -> None:
        """Count one tick whose work, observation complete to command sent, took `work_s`."""
        self.ticks += 1
        self.work_total_s += work_s
        self.work_max_s = max(self.work_max_s, work_s)
        self.overruns += work_s > period_s

    @property
    def work_mean_s(self) -> float:
        """Mean work of a tick, s; 0 without ticks."""
        return self.work_total_s / self.ticks if self.ticks else 0.0

    def __add__(self, other: "TickStatistics") -> "TickStatistics":
        return TickStatistics(
            self.ticks + other.ticks,
            self.starved_ticks + other.starved_ticks,
            self.overruns + other.overruns,
            self.work_total_s + other.work_total_s,
            max(self.work_max_s, other.work_max_s),
        )

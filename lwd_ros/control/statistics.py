"""What a control loop reports of itself: additive, so that windows fold into runs. Pacing lives elsewhere."""

from dataclasses import dataclass, field


@dataclass
class Moments:
    """Count, sum, sum of squares and maximum of a quantity; `a + b` describes both stretches together."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    maximum: float = 0.0

    def add(self, value: float) -> None:
        """Take one value, which is not negative."""
        self.count += 1
        self.total += value
        self.squares += value * value
        if value > self.maximum:
            self.maximum = value

    @property
    def mean(self) -> float:
        """Mean, 0 without values."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation (of the values themselves, not an estimate for more), 0 without values."""
        return max(0.0, self.squares / self.count - self.mean**2) ** 0.5 if self.count else 0.0

    def __iadd__(self, other: "Moments") -> "Moments":
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        if other.maximum > self.maximum:
            self.maximum = other.maximum
        return self

    def __add__(self, other: "Moments") -> "Moments":
        result = Moments(self.count, self.total, self.squares, self.maximum)
        result += other
        return result


@dataclass
class TickStatistics:
    """Counts, and seconds as `Moments`, of a stretch of ticks; `a + b` is the statistics of both stretches.

    Attributes:
        swaps: policies that began to command.
        starved_ticks: periods without a new complete observation.
        overruns: ticks whose lateness and work together took longer than the control period, and deadlines missed.
        work: from the tick's start (observation complete, or deadline come) to the command sent.
        lateness: from when the tick was due to its start. It is due when the last message of its observation reached
            the middleware (`observation` trigger), or at its deadline (`timer` trigger).
        inference: of the policy's network alone.
        answered_age: of the answered observation when its command was sent.
        interval: between the starts of two ticks that followed each other.
    """

    swaps: int = 0
    starved_ticks: int = 0
    overruns: int = 0
    work: Moments = field(default_factory=Moments)
    lateness: Moments = field(default_factory=Moments)
    inference: Moments = field(default_factory=Moments)
    answered_age: Moments = field(default_factory=Moments)
    interval: Moments = field(default_factory=Moments)

    @property
    def ticks(self) -> int:
        """Ticks that a policy answered."""
        return self.work.count

    def tick(self, work_s: float, period_s: float, lateness_s: float = 0.0) -> None:
        """Count one tick."""
        self.work.add(work_s)
        self.lateness.add(lateness_s)
        self.overruns += lateness_s + work_s > period_s

    def __iadd__(self, other: "TickStatistics") -> "TickStatistics":
        self.swaps += other.swaps
        self.starved_ticks += other.starved_ticks
        self.overruns += other.overruns
        self.work += other.work
        self.lateness += other.lateness
        self.inference += other.inference
        self.answered_age += other.answered_age
        self.interval += other.interval
        return self

    def __add__(self, other: "TickStatistics") -> "TickStatistics":
        result = TickStatistics()
        result += self
        result += other
        return result

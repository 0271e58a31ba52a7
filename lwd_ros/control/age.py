"""Whether what a policy is told of its observations' age can be right."""

from lwd_ros.contract import Contract


class ToldAge:
    """Whether the ages of observations can be right, for one policy that reads them; each policy has one of its own.

    A late tick makes one observation older, and a burst many; clocks that are apart do so for good. `is_unknown` says
    the latter: for longer than `patience_s` every age was beyond what policies may be told.
    """

    def __init__(self, contract: Contract, patience_s: float, before: "ToldAge | None" = None):
        """Make one.

        Args:
            contract: with an age.
            patience_s: how long ages may be unknown.
            before: that of the policy that this one replaces while it runs. Clocks that are apart do not come together
                at a swap, so its count goes on.
        """
        assert contract.age_place is not None
        self._longest_s = contract.observation[contract.age_place].maximum
        self._period_s, self._patience_s = contract.period_s, patience_s
        # Ticks since the age was last within what policies may be told.
        self._unknown: int = before._unknown if before else 0
        self.newest_s: float | None = None
        """The last age, s, before it was cut off; None before the first."""

    @property
    def is_unknown(self) -> bool:
        """Whether the clocks of sensors and controller are apart."""
        return self._unknown * self._period_s > self._patience_s

    def hear(self, age_s: float) -> None:
        """Take the age of the observation that a tick answers, s, not cut off (`Frames.age_s`)."""
        self.newest_s = age_s
        known = -self._period_s <= age_s <= self._longest_s + self._period_s
        self._unknown = 0 if known else self._unknown + 1

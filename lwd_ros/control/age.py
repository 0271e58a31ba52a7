"""What a policy is told of how old its observation is."""

from collections.abc import Callable

import numpy as np

from lwd_ros.contract import Contract


class ToldAge:
    """Writes an observation's age into it, for one policy that reads it; each policy has one of its own.

    A late tick makes one observation older, and a burst many; clocks that are apart do so for good. `is_unknown` says
    the latter: for longer than `patience_s` every age was beyond what policies may be told.
    """

    def __init__(
        self, contract: Contract, patience_s: float, clock_ns: Callable[[], int], before: "ToldAge | None" = None
    ):
        """Make one.

        Args:
            contract: with an age.
            patience_s: how long ages may be unknown.
            clock_ns: the time that observations are stamped with.
            before: that of the policy that this one replaces while it runs. Clocks that are apart do not come together
                at a swap, so its count goes on.
        """
        assert contract.age_place is not None
        self._place = contract.age_place
        self._longest_s = contract.observation[self._place].maximum
        self._period_s, self._patience_s, self._clock_ns = contract.period_s, patience_s, clock_ns
        # Ticks since the age was last within what policies may be told.
        self._unknown: int = before._unknown if before else 0
        self.newest_s: float | None = None
        """The last age, s, before it was cut off; None before the first."""

    @property
    def is_unknown(self) -> bool:
        """Whether the clocks of sensors and controller are apart."""
        return self._unknown * self._period_s > self._patience_s

    def write(self, vector: np.ndarray, stamp_ns: int) -> None:
        """Put the age of an observation of `stamp_ns` in its place in `vector`, cut off at the contract's limit."""
        self.newest_s = age_s = 1e-9 * (self._clock_ns() - stamp_ns)
        known = -self._period_s <= age_s <= self._longest_s + self._period_s
        self._unknown = 0 if known else self._unknown + 1
        vector[self._place] = min(max(age_s, 0.0), self._longest_s)

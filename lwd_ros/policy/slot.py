"""The one place where a running policy is replaced."""

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.policy.policy import Policy


class PolicySlot:
    """Holds the active policy; a swap replaces one reference between two ticks.

    All the work of a swap (checks, warm-up) is done in `check`, which another thread may call; `replace` only puts a
    reference in place, and a policy that failed its check never gets there. `take`, called at the start of a tick,
    returns the policy for the whole tick.
    """

    def __init__(self, contract: Contract):
        self._contract = contract
        self._middle = _middle(contract)
        self._next: Policy | None = None
        self._active: Policy | None = None
        self.swaps = 0

    @property
    def active(self) -> Policy | None:
        """The policy that made the last tick's command."""
        return self._active

    @property
    def newest(self) -> Policy | None:
        """The policy accepted last, active from the next tick on."""
        return self._next

    def check(self, policy: Policy) -> Policy:
        """Check `policy` and warm it up; changes nothing here, so any thread may call it.

        Raises:
            PolicyError: it was trained for another contract or computes non-finite commands.
        """
        policy.require_contract(self._contract)
        policy.warm_up(self._middle)
        return policy

    def replace(self, policy: Policy) -> None:
        """Make a checked `policy` the next tick's policy; the last one wins."""
        self._next = policy

    def take(self) -> Policy | None:
        """The policy of this tick, None while there is none."""
        policy = self._next
        if policy is not self._active:
            self._active = policy
            self.swaps += policy is not None
        return policy

    def clear(self) -> None:
        """Forget all policies."""
        self._next = self._active = None


def _middle(contract: Contract) -> np.ndarray:
    return np.array([0.5 * (scalar.minimum + scalar.maximum) for scalar in contract.observation])

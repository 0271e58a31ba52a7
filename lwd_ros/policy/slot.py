"""The one place where a running policy is replaced."""

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.policy.policy import Policy


class PolicySlot:
    """Holds the policy of the next tick; a swap replaces one reference between two ticks.

    All the work of a swap (checks, warm-up) is done in `check`, which another thread may call; `replace` only puts a
    reference in place, and a policy that failed its check never gets there.
    """

    def __init__(self, contract: Contract):
        self._contract = contract
        self._middle = _middle(contract)
        self._next: Policy | None = None

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

    def clear(self) -> None:
        """Forget the policy."""
        self._next = None


def _middle(contract: Contract) -> np.ndarray:
    """float64 [contract.vector_size]: every scalar of every frame in the middle of its limits."""
    frame = [0.5 * (scalar.minimum + scalar.maximum) for scalar in contract.observation]
    return np.tile(frame, contract.history)

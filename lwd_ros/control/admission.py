"""Which publication of a policy may be taken: each once, the newest, and none from before a stop."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from lwd_ros.policy import PolicyError

_REMEMBERED = 64
"""Publications that are known again; far more than a subscription keeps unread."""


class Publication(NamedTuple):
    """What tells two publications apart: the policy, and when it was generated, ns of the generator's system clock.

    `requested_ns` is when the request for it reached the generator, by the same clock; 0: unknown.
    """

    policy_id: str
    stamp_ns: int
    requested_ns: int = 0


class Admission:
    """Decides about publications in the order in which they arrive.

    A volatile subscription receives what is published from the activation on (`admits`), a latched one and the
    generator's `get_policy` also what was published before (`admits_older`). `wants_older` says whether that may run:
    as `run_latched` says, and never after a stop.
    """

    def __init__(self, run_latched: bool):
        self.wants_older = run_latched
        self._newest = Publication("", 0)
        self._seen: deque[Publication] = deque(maxlen=_REMEMBERED)
        self._called_ns = self._stopped_ns = 0

    def admits(self, publication: Publication, sent_ns: int, received_ns: int = 0) -> bool:
        """Whether to take a publication; False where it was taken before, by whichever subscription.

        Args:
            publication: what arrived.
            sent_ns: when it left its publisher, ns of that computer's system clock; 0: the middleware does not tell.
            received_ns: when it arrived here, ns of this computer's system clock.

        Raises:
            PolicyError: it left before ~/stop was called (it was lost on its way and sent again), or it was requested
                before the last stop, whoever made that. The time since the request is measured by the generator's
                clock alone, so clocks that are apart do not matter.
        """
        if publication == self._newest:
            return False
        self._take(publication)
        if 0 < sent_ns < self._called_ns:
            early_s = 1e-9 * (self._called_ns - sent_ns)
            raise PolicyError(f"it was published {early_s:.3f} s before ~/stop was called, by its sender's clock")
        if publication.requested_ns and sent_ns and received_ns:
            requested_ns = received_ns - (sent_ns - publication.requested_ns)
            if requested_ns < self._stopped_ns:
                early_s = 1e-9 * (self._stopped_ns - requested_ns)
                raise PolicyError(f"it was requested {early_s:.3f} s before the last stop; ask again if it is wanted")
        return True

    def admits_older(self, publication: Publication) -> bool:
        """Whether to take what may be older than the activation.

        Of two generators, each latches its own: the older one's must not win because it was delivered last. Nor must
        one that was replaced since, whatever the two generators' clocks say.
        """
        if not self.wants_older or publication.stamp_ns <= self._newest.stamp_ns or publication in self._seen:
            return False
        self._take(publication)
        return True

    def _take(self, publication: Publication) -> None:
        self._newest = publication
        self._seen.append(publication)

    def stop(self, waiting: Iterable[Publication], now_ns: int = 0, called: bool = False) -> int:
        """Nothing older than this may run; returns how many of those that `waiting` holds unread were not known yet.

        `now_ns` is the present time, ns of the system clock; `called` says that ~/stop was called.
        """
        self.wants_older = False
        self._stopped_ns = max(now_ns, self._stopped_ns)
        if called:
            self._called_ns = now_ns
        unread = set(waiting).difference(self._seen)
        if unread:
            self._newest = max((self._newest, *unread), key=lambda publication: publication.stamp_ns)
            self._seen.extend(unread)
        return len(unread)

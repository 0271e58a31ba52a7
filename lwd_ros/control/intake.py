"""Policies are checked and warmed up on a thread of their own, off the control path."""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from lwd_ros.policy import Policy

LONGEST_QUEUE = 64
"""Policies that may wait for their check; of more, the oldest go unchecked."""

LONGEST_HOLD_S = 0.1
"""A check waits this long at most for `go`."""

_END = object()


class PolicyIntake:
    """Takes what arrives on the control thread, judges it on a worker thread, and hands the verdicts back.

    One interpreter runs one thread at a time, so a check slows down a tick that falls into it. Each check therefore
    waits for `go`, which the control loop calls when no observation is expected for a while, with the end of that gap:
    a policy that arrives within it does not wait for another call.

    Verdicts come in the order of arrival, so the last valid policy wins whatever raced. `forget` makes everything that
    is under way meaningless: what arrived before a stop must not start the robot after it.
    """

    def __init__(self, judge: Callable[[Any], Policy], wake: Callable[[], None]):
        """`judge` turns what arrived into a checked policy or raises; `wake` is called after each verdict.

        Both run on the worker thread.
        """
        self._judge, self._wake = judge, wake
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        self._verdicts: deque = deque()
        self._gate = threading.Event()
        self._at_gate = False
        self._open_until_s = -math.inf  # of the steady clock
        self._taken = self._put = 0
        self._epoch = 0
        self._worker = threading.Thread(target=self._work, name="policy intake", daemon=True)
        self._worker.start()

    @property
    def pending(self) -> int:
        """Policies that have arrived and whose verdicts have not been taken."""
        return self._put - self._taken

    def put(self, arrived: Any) -> Any | None:
        """Queue what arrived; returns what had to leave the queue unchecked for it, None mostly."""
        dropped = None
        if self._waiting.qsize() >= LONGEST_QUEUE:
            try:
                dropped = self._waiting.get_nowait()[1]
                self._taken += 1
            except queue.Empty:  # the worker was faster
                dropped = None
        self._waiting.put((self._epoch, arrived))
        self._put += 1
        return dropped

    def go(self, until_s: float = -math.inf) -> None:
        """Let the check that waits begin, and those that arrive before `until_s`, s of the steady clock."""
        self._open_until_s = until_s
        if self._at_gate:
            self._gate.set()

    def verdicts(self) -> list[tuple[Any, Policy | Exception]]:
        """What has been judged since the last call: (what arrived, its policy or what is wrong with it)."""
        result = []
        while self._verdicts:
            epoch, arrived, verdict = self._verdicts.popleft()
            self._taken += 1
            if epoch == self._epoch:
                result.append((arrived, verdict))
        return result

    def forget(self) -> None:
        """Nothing that arrived before this call will be in the verdicts."""
        self._epoch += 1

    def close(self) -> None:
        """End the worker."""
        self._epoch += 1
        self._waiting.put((self._epoch, _END))
        self._worker.join()

    def _work(self) -> None:
        while True:
            epoch, arrived = self._waiting.get()
            if arrived is _END:
                return
            verdict: Any = None
            if epoch == self._epoch:
                self._wait_for_gap()
                try:
                    verdict = self._judge(arrived)
                except Exception as error:  # whatever it is, it is this policy's, and the next one is to be judged
                    verdict = error
            self._verdicts.append((epoch, arrived, verdict))
            self._wake()

    def _wait_for_gap(self) -> None:
        if time.monotonic() < self._open_until_s:
            return
        self._gate.clear()
        self._at_gate = True
        if time.monotonic() >= self._open_until_s:  # `go` may have been called between the two lines above
            self._gate.wait(LONGEST_HOLD_S)
        self._at_gate = False

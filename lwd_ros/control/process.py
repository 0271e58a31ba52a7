"""What a control process asks of its interpreter and of the operating system."""

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence

SWITCH_INTERVAL_S = 0.00001
"""How long another thread may keep the interpreter from the control thread; Python's default is 0.005.

Every call that releases the interpreter, as most of NumPy and the middleware do, gives it to a thread that waits for
it, and a tick has about ten of them.
"""


class InterpreterGuard:
    """Keeps the interpreter's own work off the ticks while a robot is driven, and measures what is left of it.

    What was imported and configured until `settle` is taken out of the garbage collector's sight (`gc.freeze`): a full
    collection then looks at what the loop itself made, and takes microseconds instead of tens of milliseconds. The
    collector stays on, because rclpy makes reference cycles.
    """

    def __init__(self):
        self.longest_collection_s = 0.0
        self._began = 0.0
        self._interval_s = sys.getswitchinterval()

    def settle(self) -> None:
        """Call when everything is loaded."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()
        self.longest_collection_s = 0.0
        gc.callbacks.append(self._collecting)

    def release(self) -> None:
        """Undo `settle`."""
        gc.callbacks.remove(self._collecting)
        gc.unfreeze()
        sys.setswitchinterval(self._interval_s)

    def _collecting(self, phase: str, _info: dict) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest_collection_s = max(self.longest_collection_s, time.perf_counter() - self._began)


def request_scheduling(priority: int, cores: Sequence[int]) -> list[str]:
    """Ask for real-time priority and for CPU cores, for every thread of this process; returns what was refused.

    Args:
        priority: of SCHED_FIFO, 1 to 99; 0 asks for nothing.
        cores: numbers of the cores to run on; none asks for nothing.

    Returns:
        One sentence for each refusal, with what would allow it; empty when all was granted.
    """
    refused = []
    if cores:
        try:
            _of_all_threads(lambda thread: os.sched_setaffinity(thread, cores))
            missing = sorted(set(cores) - os.sched_getaffinity(0))  # Linux leaves out those that do not exist
            if missing:
                refused.append(
                    f"cpu_affinity {list(cores)}: the system refused cores {missing}; running on {_allowed()}"
                )
        except (AttributeError, OSError, OverflowError) as error:
            refused.append(
                f"cpu_affinity {list(cores)}: the system refused ({_reason(error)}); this process may run on cores "
                f"{_allowed()}"
            )
    if priority:
        try:
            _of_all_threads(lambda thread: os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority)))
        except (AttributeError, OSError) as error:
            refused.append(
                f"realtime_priority {priority}: the system refused ({_reason(error)}); allow it with "
                f"'rtprio {priority}' for this user in /etc/security/limits.conf, or CAP_SYS_NICE; "
                "running at normal priority"
            )
    return refused


def yield_to_others(nice: int) -> None:
    """Lower the priority of every thread of this process by `nice` (0 to 19) steps: it computes when others wait."""

    def lower(thread: int) -> None:
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + nice))

    _of_all_threads(lower)


def _of_all_threads(call: Callable[[int], None]) -> None:
    for thread in _threads():
        try:
            call(thread)
        except ProcessLookupError:
            continue  # it ended since it was listed


def _threads() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")] if sys.platform == "linux" else [0]


def _allowed() -> str:
    return str(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else "that it cannot choose"


def _reason(error: Exception) -> str:
    if isinstance(error, AttributeError):
        return f"not on {sys.platform}"
    return getattr(error, "strerror", None) or str(error)

"""A slower machine made of this one: every core held to a share of its time, or all processes to a CPU quota."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SLICE_S = 0.0002
"""A core that is held is taken and given back once in this time: a tick of 2 ms sees a slower core, not a pause."""

_PRIORITY = 98  # of SCHED_FIFO: above every process that is measured
_GROUPS = Path("/sys/fs/cgroup")

_TAKER = """
import os, sys, time
core, period, share, priority = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
os.sched_setaffinity(0, [core])
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
print(flush=True)
end = time.perf_counter()
while True:
    end += period
    while time.perf_counter() < end - period * share:
        pass
    left = end - time.perf_counter()
    if left > 0:
        time.sleep(left)
    else:
        end -= left
"""


@contextlib.contextmanager
def cores_held(share: float) -> Iterator[None]:
    """Leave `share` (0 to 1) of every core's time: a process of high real-time priority per core takes the rest.

    It takes the core anew every 0.2 ms, so that the cores look slower. Needs the right to real-time priority. Where
    the share is 1, nothing is held.
    """
    takers = []
    try:
        if share < 1.0:
            for core in sorted(os.sched_getaffinity(0)):
                arguments = [str(core), str(SLICE_S), str(share), str(_PRIORITY)]
                taker = subprocess.Popen([sys.executable, "-S", "-c", _TAKER, *arguments], stdout=subprocess.PIPE)
                takers.append(taker)
                if taker.stdout is None or not taker.stdout.readline():
                    raise PermissionError("cores cannot be held: real-time priority is refused")
        yield
    finally:
        for taker in takers:
            taker.kill()
            taker.communicate()  # waits, and closes the pipe


@contextlib.contextmanager
def quota(share: float, period_s: float = 0.002) -> Iterator[None]:
    """Give this process and all that it starts meanwhile `share` of all cores' time, by the kernel's CPU quota.

    The kernel stops every process of the group when the time of a period is used up, and lets them go on in the next
    one: with a scheduler that looks every 4 ms, such a pause lasts that long. Needs a control group that this process
    may make (v1 or v2). Where the share is 1, nothing is limited.
    """
    if share >= 1.0:
        yield
        return
    amount = max(1000, round(share * len(os.sched_getaffinity(0)) * period_s * 1e6))
    v1 = (_GROUPS / "cpu" / "cpu.cfs_quota_us").parent
    parent = v1 if (v1 / "tasks").exists() else _GROUPS
    group = Path(tempfile.mkdtemp(prefix="lwd_bench_", dir=parent))
    try:
        if parent == v1:
            (group / "cpu.cfs_period_us").write_text(str(round(period_s * 1e6)))
            (group / "cpu.cfs_quota_us").write_text(str(amount))
        else:
            (group / "cpu.max").write_text(f"{amount} {round(period_s * 1e6)}")
        home = _move(os.getpid(), group)
        try:
            yield
        finally:
            home()
    finally:
        _remove(group)


def _move(process: int, group: Path):
    """Put a process into a group; returns what puts it back."""
    parent = group.parent
    (group / "cgroup.procs").write_text(str(process))
    return lambda: (parent / "cgroup.procs").write_text(str(process))


def _remove(group: Path) -> None:
    """Remove a group, which the kernel refuses for a moment after its last process ended."""
    for _ in range(100):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.05)

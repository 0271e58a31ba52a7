"""What a process's threads used of the cores, and how long they waited for one, by the kernel's own books."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Usage:
    """Nanoseconds by kind of thread: on a core, and ready to run without one."""

    used_ns: Counter = field(default_factory=Counter)
    waited_ns: Counter = field(default_factory=Counter)

    def __sub__(self, other: "Usage") -> "Usage":
        used, waited = Counter(self.used_ns), Counter(self.waited_ns)
        used.subtract(other.used_ns)
        waited.subtract(other.waited_ns)
        return Usage(used, waited)


def usage(process: int) -> Usage:
    """What the threads of a process have used since they began; a thread that ended meanwhile is left out.

    The kinds are `main`, `middleware` (Fast DDS names its threads) and `other` (a worker, logging).
    """
    result = Usage()
    for thread in Path(f"/proc/{process}/task").iterdir():
        try:
            used, waited, _ = (thread / "schedstat").read_text().split()
            name = (thread / "comm").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kind = "middleware" if name.startswith("dds.") else "other"
        if thread.name == str(process):
            kind = "main"
        result.used_ns[kind] += int(used)
        result.waited_ns[kind] += int(waited)
    return result


def of_neighbours() -> Counter:
    """Processor time in ns by process, of all that are neither this one nor started by it."""
    parents: dict[int, int] = {}
    used_ns: Counter[int] = Counter()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            process = int(folder.name)
            parents[process] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            for thread in (folder / "task").iterdir():
                used_ns[process] += int((thread / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # it ended
            continue

    def is_ours(process: int) -> bool:
        while process not in (os.getpid(), 0, 1):
            process = parents.get(process, 0)
        return process == os.getpid()

    return Counter({process: used for process, used in used_ns.items() if not is_ours(process)})


def used_since(before: Counter) -> float:
    """Processor time that neighbours have used since, s; it tells whether a machine was idle beside a benchmark.

    What a process used that has ended meanwhile is not known.
    """
    return 1e-9 * sum(max(0, used - before[process]) for process, used in of_neighbours().items())

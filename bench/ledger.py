"""What a process's threads used of the cores, and how long they waited for one, by the kernel's own books."""

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

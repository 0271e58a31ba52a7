"""Starting the nodes where there is no `ros2 launch`: one process each, logs in files, a clean end."""

import contextlib
import ctypes
import functools
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_GRACE_S = 10.0
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it
_PR_SET_PDEATHSIG = 1


class ProcessDied(RuntimeError):
    """A supervised process ended although nobody asked it to; says which, how, and where its log is."""


def isolated_environment() -> dict[str, str]:
    """This process's environment on a ROS domain of its own, so that no other robot or demo is touched.

    A domain that the user chose (ROS_DOMAIN_ID) is kept. Domains up to 101 are safe on Linux.
    """
    environment = dict(os.environ)
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    environment.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randrange(1, 102)))
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """A context that SIGTERM and SIGHUP leave by SystemExit, in order; a second signal does not disturb that.

    Signals that the caller ignores (nohup) or handles stay as they are.
    """
    handled = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]

    def end(number, _frame):
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _tie(parent: int) -> None:
    assert _PRCTL is not None
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def tied_to_this_process() -> Callable[[], None] | None:
    """A `preexec_fn`: SIGTERM ends the child when the thread that started it ends in any way, kill -9 included."""
    return functools.partial(_tie, os.getpid()) if _PRCTL else None


class Supervisor:
    """A context in which processes run; leaving it interrupts them all and waits for their end.

    All nodes live in one namespace, whose name nobody else has: even on the ROS domain of a robot, their topics are not
    the robot's.
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]):
        self.log_folder, self.environment = log_folder, dict(environment)
        self.namespace = f"/cell_{secrets.token_hex(3)}"
        self.processes: dict[str, subprocess.Popen] = {}
        log_folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self, name: str, module: str, arguments: Sequence[str] = (), output=None) -> subprocess.Popen:
        """Run `python -m module arguments`; its output goes to `<name>.log` unless `output` takes it."""
        command = [sys.executable, "-m", module, *arguments]
        with contextlib.ExitStack() as stack:
            if output is None:
                output = stack.enter_context(open(self.log_folder / f"{name}.log", "w", encoding="utf-8"))
            self.processes[name] = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                preexec_fn=tied_to_this_process(),
            )
        return self.processes[name]

    def ros_arguments(self, parameters: Mapping[str, object] | None = None) -> list[str]:
        """Command-line arguments that put a node, and the simulation's clock, into the namespace and set parameters."""
        arguments = ["--ros-args", "-r", f"__ns:={self.namespace}", "-r", f"/clock:={self.namespace}/clock"]
        for key, value in (parameters or {}).items():
            text = str(value).lower() if isinstance(value, bool) else value
            arguments += ["-p", f"{key}:={text}"]
        return arguments

    def start_node(self, executable: str, parameters: Mapping[str, object] | None = None) -> subprocess.Popen:
        """Run one of our nodes with ROS parameters."""
        return self.start(executable, f"lwd_ros.nodes.{executable}", self.ros_arguments(parameters))

    def check(self) -> None:
        """Raise ProcessDied if a process ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise ProcessDied(
                    f"{name} ended with status {process.returncode}; its last lines are\n{self.tail(name)}\n"
                    f"(log: {self.log_folder / f'{name}.log'})"
                )

    def tail(self, name: str, lines: int = 8) -> str:
        """The last lines of a process's log."""
        path = self.log_folder / f"{name}.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self) -> dict[str, int]:
        """Interrupt what still runs, kill what does not end in time; returns every exit status."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE_S
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return {name: process.returncode for name, process in self.processes.items()}

"""A recorder at a terminal: keys that start and end episodes, and one line that says what is going on."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator, Sequence

from lwd_ros.nodes.recorder import Recorder

_LOOK_S = 0.05
_LINE_S = 0.5
_WIDTH = 200  # of a terminal that does not tell
HELP = "space: start, end as successful | f: end as failed | d: throw away | n, 1 to 9: task | q: quit"


@contextlib.contextmanager
def keys_at_once() -> Iterator[None]:
    """A terminal that gives each key when it is pressed and does not show it; Ctrl-C stays what it is."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        print()


class Keyboard:
    """Keys of the terminal for one recorder; call inside `keys_at_once`."""

    def __init__(self, recorder: Recorder, tasks: Sequence[str]):
        """`tasks` are those that n and the numbers choose from."""
        self._recorder, self._tasks = recorder, list(tasks)
        recorder.create_timer(_LOOK_S, self._look, clock=recorder.steady)
        recorder.create_timer(_LINE_S, self.show, clock=recorder.steady)
        print(HELP, flush=True)
        if len(self._tasks) > 1:
            print("tasks: " + ", ".join(f"{place} {task}" for place, task in enumerate(self._tasks, 1)), flush=True)

    def _look(self) -> None:
        while select.select([sys.stdin], [], [], 0.0)[0]:
            keys = os.read(sys.stdin.fileno(), 64).decode(errors="ignore")
            if not keys:  # the terminal is gone
                self._recorder.done = True
                return
            if keys.startswith("\x1b"):  # an arrow or a function key is several characters, of which none is meant
                continue
            for key in keys:
                self._press(key)

    def _press(self, key: str) -> None:
        recorder = self._recorder
        print("\r\x1b[K", end="", flush=True)  # what is logged now takes the line
        if not recorder.is_active:
            self._tell(f"the recorder is {recorder.state}")
        elif key in " rR":
            self._act(recorder.stop(True) if recorder.session.is_open else recorder.start())
        elif key in "fF":
            self._act(recorder.stop(False))
        elif key in "dD\x7f\x08":
            self._act(recorder.discard())
        elif key in "nN" or key.isdecimal():
            self._choose(key)
        elif key in "qQ":
            recorder.done = True
        else:
            self._tell(HELP)

    def _act(self, result: tuple[bool, str]) -> None:
        done, sentence = result
        if done:  # it was logged
            self.show()
        else:
            self._tell(sentence)

    def _choose(self, key: str) -> None:
        recorder = self._recorder
        if recorder.session.is_open:
            self._tell("the task is chosen between two episodes")
        elif not self._tasks:
            self._tell("found no tasks to choose from, expected --tasks")
        elif key.isdecimal():
            place = int(key) - 1
            if not 0 <= place < len(self._tasks):
                self._tell(f"found task {key}, expected 1 to {len(self._tasks)}")
                return
            recorder.task = self._tasks[place]
        else:
            place = self._tasks.index(recorder.task) + 1 if recorder.task in self._tasks else 0
            recorder.task = self._tasks[place % len(self._tasks)]
        self.show()

    def _tell(self, sentence: str) -> None:
        """A line of its own, above the status."""
        print(f"\r\x1b[K{sentence}", flush=True)
        self.show()

    def show(self) -> None:
        """Write the status line anew."""
        recorder = self._recorder
        if not recorder.is_active:
            return
        width = (os.get_terminal_size().columns if sys.stdout.isatty() else 0) or _WIDTH
        print(f"\r\x1b[K{self.line()[: width - 1]}", end="", flush=True)

    def line(self) -> str:
        """The status: task, episode, seconds, messages, what is missing."""
        recorder, session = self._recorder, self._recorder.session
        if session.is_open:
            text = f"RECORDING '{session.task}' | episode {session.number} | {session.duration_s:.1f} s"
            text += f" | {session.messages} messages"
            text += f" | {session.dropped} DROPPED" if session.dropped else ""
        else:
            task = f"'{recorder.task}'" if recorder.task else "no task"
            text = f"ready: {task} | next: episode {session.number} | {session.recording.kept} kept"
            text += f", {session.discarded} thrown away"
        return text + (f" | missing: {'; '.join(recorder.missing)}" if recorder.missing else "")

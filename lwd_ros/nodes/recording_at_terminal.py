"""The recorder as a command of a terminal."""

import contextlib
import signal
from collections.abc import Sequence

from lwd_ros.nodes.keyboard import Keyboard, keys_at_once
from lwd_ros.nodes.managed import run
from lwd_ros.nodes.recorder import Recorder

_INTERRUPTED = 128 + signal.SIGINT


def record_at_terminal(arguments: list[str], tasks: Sequence[str] | None) -> int:
    """Run a recorder with ROS `arguments`; the exit status.

    `tasks` are those that the keyboard chooses from; None: without a keyboard. 130 where Ctrl-C ended an open episode.
    """
    nodes: list[Recorder] = []

    def recorder() -> Recorder:
        node = Recorder()
        nodes.append(node)
        if tasks is not None:
            Keyboard(node, tasks)
        return node

    with keys_at_once() if tasks is not None else contextlib.nullcontext():
        status = run(recorder, arguments)
    interrupted = any(node.interrupted and not node.done for node in nodes)
    return status or (_INTERRUPTED if interrupted else 0)

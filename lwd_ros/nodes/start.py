"""The nodes' executables: quiet from their first moment on.

Python imports for a second before a node can handle signals; Ctrl-C would end that with a traceback. Nothing has been
commanded then, so there is nothing to do but to end.
"""

import importlib.util
import os
import signal
from collections.abc import Callable
from functools import partial


def _start(name: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # not an exception: an import that is broken off may swallow it
    return importlib.import_module(f"lwd_ros.nodes.{name}").main()


def __getattr__(name: str) -> Callable[[], int]:
    """`start.NAME` runs the node of the module NAME beside this one; the exit status of `managed.run`."""
    if name.startswith("_") or importlib.util.find_spec(f"lwd_ros.nodes.{name}") is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return partial(_start, name)

"""The nodes' executables: quiet from their first moment on.

Python imports for a second before a node can handle signals; Ctrl-C would end that with a traceback. Nothing has been
commanded then, so there is nothing to do but to end.
"""

import importlib
import os
import signal


def _start(name: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # not an exception: an import that is broken off may swallow it
    return importlib.import_module(f"lwd_ros.nodes.{name}").main()


def policy_generator() -> int:
    """Run the policy generator; the exit status of `managed.run`."""
    return _start("policy_generator")


def policy_controller() -> int:
    """Run the policy controller; the exit status of `managed.run`."""
    return _start("policy_controller")


def metaworld_bridge() -> int:
    """Run the Metaworld bridge; the exit status of `managed.run`."""
    return _start("metaworld_bridge")

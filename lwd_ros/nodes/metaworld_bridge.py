"""The simulator bridge of Metaworld's cell."""

import sys

from lwd_ros.nodes.managed import run
from lwd_ros.nodes.simulator_bridge import SimulatorBridge


class MetaworldBridge(SimulatorBridge):
    """The simulator bridge with Metaworld as its environment."""

    def __init__(self):
        super().__init__("metaworld_bridge", "metaworld")


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(MetaworldBridge, args)


if __name__ == "__main__":
    sys.exit(main())

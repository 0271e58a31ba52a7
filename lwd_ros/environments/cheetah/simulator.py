"""The cheetah in the registry; its physics are imported when a gait is built."""

from pathlib import Path

from lwd_ros.environments.gaits.simulators import GaitSimulator

SIMULATOR = GaitSimulator(Path(__file__).parent, joints=("thigh", "calf"), is_planar=True)

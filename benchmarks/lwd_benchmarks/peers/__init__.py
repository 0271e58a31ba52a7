"""Beside LeRobot: what lerobot itself reads and trains of our demonstrations.

What is in `inside` is executed by the Python of an environment of lerobot's own, where nothing of ours is installed.
"""

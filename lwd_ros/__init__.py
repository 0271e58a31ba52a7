"""Latent Weight Diffusion for ROS 2: policies generated on request, swapped while the robot moves."""

__version__ = "0.1.0"

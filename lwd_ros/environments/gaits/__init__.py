"""Legged robots in MuJoCo whose tasks are gaits; the environments `cheetah` and `quadruped` are made of it."""

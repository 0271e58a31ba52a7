"""Metaworld scenes behind a contract, their scripted experts, and collecting demonstrations."""

from lwd_ros.environments import gl  # noqa: F401, before anything here imports MuJoCo

"""A rod among six cylinders, after D3IL's Avoiding: one task that can be done in 24 ways."""

from lwd_ros.environments import gl  # noqa: F401, before anything here imports MuJoCo

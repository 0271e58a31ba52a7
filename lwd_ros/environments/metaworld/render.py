"""Where pictures of Metaworld's scenes are seen from."""

import mujoco

from lwd_ros.environments.rendering import MujocoRenderer


def renderer(model: mujoco.MjModel, height: int = 480, width: int = 640) -> MujocoRenderer:
    """Draws a scene's model; raises RenderError where no off-screen GL is available."""
    # Metaworld's own cameras stand far off or upside down; this one looks over the arm's shoulder at the table.
    camera = mujoco.MjvCamera()
    camera.lookat[:] = (0.0, 0.7, 0.15)
    camera.distance, camera.azimuth, camera.elevation = 1.2, 150.0, -28.0
    return MujocoRenderer(model, height, width, camera)

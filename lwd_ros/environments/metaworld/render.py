"""Pictures of scenes, drawn from recorded positions, with one clear sentence where the machine cannot draw."""

import os

import mujoco
import numpy as np

from lwd_ros.environments.metaworld import NO_GL
from lwd_ros.errors import LwdError

PACKAGES = "libegl1 libgl1 libosmesa6"


class RenderError(LwdError):
    """This machine cannot draw; says which Debian packages would help."""


class SceneRenderer:
    """Draws one MuJoCo model off screen. Make and use it in one thread: a GL context belongs to its thread."""

    def __init__(self, model: mujoco.MjModel, height: int = 480, width: int = 640):
        """Raise RenderError where no off-screen GL is available."""
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # each GL backend raises its own kind
            reason = NO_GL or f"MUJOCO_GL={os.environ.get('MUJOCO_GL', 'unset')}: {error}"
            text = f"cannot draw off screen ({reason}); on Debian or Ubuntu: apt install {PACKAGES}"
            raise RenderError(text) from error
        self._model, self._data = model, mujoco.MjData(model)
        # Metaworld's own cameras stand far off or upside down; this one looks over the arm's shoulder at the table.
        self._camera = mujoco.MjvCamera()
        self._camera.lookat[:] = (0.0, 0.7, 0.15)
        self._camera.distance, self._camera.azimuth, self._camera.elevation = 1.2, 150.0, -28.0

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] RGB of the model at generalised positions `qpos` [nq]."""
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()

"""Pictures of MuJoCo models, with one clear sentence where the machine cannot draw."""

import os

import numpy as np

from lwd_ros.environments.gl import NO_GL
from lwd_ros.errors import LwdError

PACKAGES = "libegl1 libgl1 libosmesa6"


class RenderError(LwdError):
    """This machine cannot draw; says which Debian packages would help."""


def cannot_draw(error: Exception) -> RenderError:
    """What to raise where a GL backend raised `error`, each its own kind."""
    reason = NO_GL or f"MUJOCO_GL={os.environ.get('MUJOCO_GL', 'unset')}: {error}"
    return RenderError(f"cannot draw off screen ({reason}); on Debian or Ubuntu: apt install {PACKAGES}")


class MujocoRenderer:
    """Draws one MuJoCo model off screen. Make and use it in one thread: a GL context belongs to its thread."""

    def __init__(self, model, height: int = 480, width: int = 640, camera=None):
        """Of a `mujoco.MjModel`, seen by a `mujoco.MjvCamera` or by the model's default.

        Raises:
            RenderError: no off-screen GL is available.
        """
        import mujoco

        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:
            raise cannot_draw(error) from error
        self._forward, self._model, self._data = mujoco.mj_forward, model, mujoco.MjData(model)
        if camera is None:
            camera = mujoco.MjvCamera()
            mujoco.mjv_defaultFreeCamera(model, camera)
        self._camera = camera

    def draw(self, state: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] RGB of the model at generalised positions `state` [nq]."""
        self._data.qpos[:] = state
        self._forward(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()

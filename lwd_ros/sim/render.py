"""Pictures of scenes, drawn from recorded positions, with one clear sentence where the machine cannot draw."""

import os

import mujoco
import numpy as np

CAMERA = "corner2"
PACKAGES = "libegl1 libgl1 libosmesa6"


class RenderError(RuntimeError):
    """This machine cannot draw; says which Debian packages would help."""


class SceneRenderer:
    """Draws one MuJoCo model off screen. Make and use it in one thread: a GL context belongs to its thread."""

    def __init__(self, model: mujoco.MjModel, height: int = 480, width: int = 480):
        """Raise RenderError where no off-screen GL is available."""
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # each GL backend raises its own kind
            backend = os.environ.get("MUJOCO_GL", "unset")
            raise RenderError(
                f"cannot draw off screen (MUJOCO_GL={backend}: {error}); on Debian or Ubuntu: apt install {PACKAGES}"
            ) from error
        self._model, self._data = model, mujoco.MjData(model)

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] RGB of the model at generalised positions `qpos` [nq]."""
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, CAMERA)
        # Metaworld mounts this camera upside down.
        return self._renderer.render()[::-1, ::-1]

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()


def choose_backend() -> str:
    """Set MUJOCO_GL, unless the user did, to an off-screen backend whose library is there; '' where none is.

    MuJoCo reads it when it is imported, so this must run before and in the process's environment.
    """
    from ctypes.util import find_library

    if "MUJOCO_GL" not in os.environ:
        for backend, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
            if find_library(library):
                os.environ["MUJOCO_GL"] = backend
                break
    return os.environ.get("MUJOCO_GL", "")

"""Metaworld scenes behind a contract, their scripted experts, and collecting demonstrations."""

import os
from ctypes.util import find_library

# MuJoCo chooses its GL when it is imported, and its own default needs a display: take an off-screen one that is there.
if "MUJOCO_GL" not in os.environ and "DISPLAY" not in os.environ:
    for _backend, _library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if find_library(_library):
            os.environ["MUJOCO_GL"] = _backend
            break

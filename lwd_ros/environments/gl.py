"""How MuJoCo draws off screen: chosen when this module is imported, which must be before MuJoCo is."""

import os
from ctypes.util import find_library

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}


def _choose_gl() -> str:
    """Choose how MuJoCo draws, before it is imported, and return why it cannot draw at all, '' where it can.

    MuJoCo's own default needs a display, and a backend whose library is missing ends the import: then nothing could be
    simulated either, though simulating draws nothing.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    platform = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    if not wanted and "DISPLAY" in os.environ:
        return ""
    if wanted and wanted not in _LIBRARIES:
        if wanted in ("glfw", "disable", "disabled", "off", "false", "0"):
            return ""
        problem = f"found MUJOCO_GL={wanted}, expected egl, osmesa or glfw"
    else:
        choices = [wanted] if wanted else list(_LIBRARIES)
        usable = [choice for choice in choices if find_library(_LIBRARIES[choice]) and platform in ("", choice)]
        if usable:
            os.environ["MUJOCO_GL"] = usable[0]
            return ""
        problem = f"no library for MUJOCO_GL={' or '.join(choices)}"
        problem += f" that fits PYOPENGL_PLATFORM={platform}" if platform else ""
    os.environ["MUJOCO_GL"] = "disabled"
    return problem


NO_GL = _choose_gl()
"""Why this process cannot draw, '' where it may."""

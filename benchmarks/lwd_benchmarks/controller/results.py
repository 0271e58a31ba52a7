"""What every benchmark's JSON states beside its figures."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lwd_benchmarks.results import ControllerResult, checked
from lwd_ros.files import written_whole

_PACKAGES = ("numpy", "ros-rclpy", "onnxruntime")


def machine() -> dict:
    """The machine and the versions that a figure depends on."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not from PyPI"


def write_result(path: Path | None, result: dict) -> None:
    """Write a benchmark's result, whole or not at all; without a path, nothing."""
    if path is None:
        return
    checked(ControllerResult, result, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")

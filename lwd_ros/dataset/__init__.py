"""Demonstrations on disk: schema, Parquet files, statistics. Recordings, which need no Parquet, in a package of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwd_ros.dataset.demonstrations import META, DatasetError, Demonstrations, Episode, TaskFile, write_meta
    from lwd_ros.dataset.writing import require_room, write_dataset

__all__ = [
    "META",
    "DatasetError",
    "Demonstrations",
    "Episode",
    "TaskFile",
    "require_room",
    "write_dataset",
    "write_meta",
]
_OF_WRITING = ("require_room", "write_dataset")


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: a recorder on a robot has no pyarrow."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = "writing" if name in _OF_WRITING else "demonstrations"
    return getattr(import_module(f"lwd_ros.dataset.{module}"), name)

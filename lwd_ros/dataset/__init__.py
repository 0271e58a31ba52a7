"""Demonstrations on disk: schema, Parquet files, statistics."""

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

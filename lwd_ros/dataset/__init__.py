"""Demonstrations on disk: schema, Parquet files, statistics."""

from lwd_ros.dataset.demonstrations import DatasetError, Demonstrations, Episode, TaskFile, write_meta

__all__ = ["DatasetError", "Demonstrations", "Episode", "TaskFile", "write_meta"]

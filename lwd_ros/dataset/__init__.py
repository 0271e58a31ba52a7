"""Demonstrations on disk: schema, Parquet files, statistics."""

from lwd_ros.dataset.demonstrations import META, DatasetError, Demonstrations, Episode, TaskFile, write_meta

__all__ = ["META", "DatasetError", "Demonstrations", "Episode", "TaskFile", "write_meta"]

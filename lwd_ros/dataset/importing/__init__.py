"""Recordings of robots to datasets."""

from lwd_ros.dataset.importing.asking import Settings
from lwd_ros.dataset.importing.importer import import_bags
from lwd_ros.dataset.importing.names import Names
from lwd_ros.dataset.importing.report import Report

__all__ = ["Names", "Report", "Settings", "import_bags"]

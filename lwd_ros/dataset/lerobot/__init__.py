"""LeRobot datasets: v2.0, v2.1 and v3.0 in, v3.0 out, with pyarrow alone; lerobot itself is not needed."""

from lwd_ros.dataset.lerobot.errors import LeRobotError
from lwd_ros.dataset.lerobot.exporting import ExportSettings, export
from lwd_ros.dataset.lerobot.folder import LeRobotFolder, Recorded
from lwd_ros.dataset.lerobot.importing import Imported, read
from lwd_ros.dataset.lerobot.mapping import Mapping, Source

__all__ = [
    "ExportSettings",
    "Imported",
    "LeRobotError",
    "LeRobotFolder",
    "Mapping",
    "Recorded",
    "Source",
    "export",
    "read",
]

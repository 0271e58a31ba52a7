"""The error of everything that reads or writes LeRobot datasets."""

from lwd_ros.dataset.demonstrations import DatasetError


class LeRobotError(DatasetError):
    """A LeRobot dataset cannot be used as it is; says what was found, what was expected, and where."""

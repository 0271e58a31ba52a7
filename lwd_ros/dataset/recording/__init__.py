"""Writing recordings that rosbag2, rosbags and Foxglove open: one MCAP file for each episode. Needs mcap, not ROS."""

from lwd_ros.dataset.recording.errors import RecordingError
from lwd_ros.dataset.recording.folder import Episode, Recording
from lwd_ros.dataset.recording.schemas import Schema, schema_of
from lwd_ros.dataset.recording.topics import OfferedQos, RecordedTopic
from lwd_ros.dataset.recording.writer import EpisodeWriter

__all__ = [
    "Episode",
    "EpisodeWriter",
    "OfferedQos",
    "RecordedTopic",
    "Recording",
    "RecordingError",
    "Schema",
    "schema_of",
]

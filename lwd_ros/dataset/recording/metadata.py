"""rosbag2's metadata, version 9, as Jazzy and Kilted write it: beside the files, and inside each."""

import json
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from lwd_ros.dataset.recording.topics import RecordedTopic

_NO_START_NS = 2**63 - 1  # what rosbag2 writes of a file without messages
_DISTRO = "jazzy"  # whose format this is; where no ROS says its name


@dataclass
class FileSummary:
    """What a whole file of a recording holds: its name, log times in ns, messages by topic."""

    path: str
    start_ns: int = _NO_START_NS
    end_ns: int = 0
    messages: int = 0
    topics: dict[RecordedTopic, int] = field(default_factory=dict)

    @property
    def duration_ns(self) -> int:
        """From the first message to the last."""
        return max(0, self.end_ns - self.start_ns)


_PLAIN = re.compile(r"[A-Za-z0-9_./~+-]*[A-Za-z_/][A-Za-z0-9_./~+-]*")  # what YAML reads as the text that it is
_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def _text(value: str) -> str:
    """A text as YAML: file names may have blanks, colons and signs of comments."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not value.startswith(("-", "~"))
    return value if plain else json.dumps(value, ensure_ascii=False)


def _indented(text: str, spaces: int) -> str:
    return text.replace("\n", "\n" + " " * spaces)


def _topic(topic: RecordedTopic, count: int) -> str:
    qos = " []" if topic.qos == "[]" else "\n          " + _indented(topic.qos, 10)
    hashed = topic.type_hash or '""'
    return (
        f"    - topic_metadata:\n        name: {topic.name}\n        type: {topic.type}\n"
        f"        serialization_format: cdr\n        offered_qos_profiles:{qos}\n"
        f"        type_description_hash: {hashed}\n      message_count: {count}\n"
    )


def _file(file: FileSummary) -> str:
    return (
        f"    - path: {_text(file.path)}\n      starting_time:\n        nanoseconds_since_epoch: {file.start_ns}\n"
        f"      duration:\n        nanoseconds: {file.duration_ns}\n      message_count: {file.messages}\n"
    )


def metadata_yaml(files: Sequence[FileSummary]) -> str:
    """The content of metadata.yaml for these files."""
    return "rosbag2_bagfile_information:\n" + _content(files)


def serialized_metadata(file: FileSummary) -> str:
    """What rosbag2 puts into a file of its own metadata: by it `ros2 bag info FILE` knows the distribution."""
    return textwrap.dedent(_content([file]))


def _content(files: Sequence[FileSummary]) -> str:
    filled = [file for file in files if file.messages]
    start_ns = min((file.start_ns for file in filled), default=_NO_START_NS)
    end_ns = max((file.end_ns for file in filled), default=start_ns)
    counts: dict[str, int] = {}
    topics: dict[str, RecordedTopic] = {}
    for file in files:
        for topic, count in file.topics.items():
            topics.setdefault(topic.name, topic)
            counts[topic.name] = counts.get(topic.name, 0) + count
    listed = "\n" + "".join(_topic(topic, counts[name]) for name, topic in topics.items()) if topics else "\n    []\n"
    paths = "\n" + "".join(f"    - {_text(file.path)}\n" for file in files) if files else "\n    []\n"
    described = "\n" + "".join(_file(file) for file in files) if files else "\n    []\n"
    return (
        "  version: 9\n  storage_identifier: mcap\n"
        f"  duration:\n    nanoseconds: {end_ns - start_ns}\n"
        f"  starting_time:\n    nanoseconds_since_epoch: {start_ns}\n"
        f"  message_count: {sum(file.messages for file in files)}\n"
        f"  topics_with_message_count:{listed}"
        f'  compression_format: ""\n  compression_mode: ""\n  relative_file_paths:{paths}  files:{described}'
        f"  custom_data: ~\n  ros_distro: {_text(os.environ.get('ROS_DISTRO') or _DISTRO)}\n"
    )

"""A recording: a folder that rosbag2 takes for one bag, with one file for each episode that was kept."""

import contextlib
import importlib.util
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lwd_ros.dataset.recording.episode_file import EpisodeFile, summary_of
from lwd_ros.dataset.recording.errors import RecordingError
from lwd_ros.dataset.recording.metadata import FileSummary, metadata_yaml
from lwd_ros.dataset.recording.topics import RecordedTopic
from lwd_ros.files import written_whole

METADATA = "metadata.yaml"


@dataclass(frozen=True)
class Episode:
    """An episode that was kept: its number within the recording, its file, length in s, messages."""

    number: int
    path: Path
    duration_s: float
    messages: int


class Recording:
    """A bag folder NAME with NAME_0.mcap, NAME_1.mcap, ... and a metadata.yaml that lists whole files alone.

    The file of an open episode is there and not listed, so that the end of the process loses no other episode.
    """

    def __init__(self, folder: Path, append: bool = False):
        """Make the folder, or continue it.

        Where it holds something and is not continued, a new name is chosen beside it; `folder` says which.

        Raises:
            RecordingError: what is continued is no recording; `folder` is a file; or mcap is not installed.
            OSError: naming the folder, where it cannot be made.
        """
        if importlib.util.find_spec("mcap") is None:
            raise RecordingError("found no library 'mcap', expected it to record: pip install 'lwd_ros[record]'")
        folder = Path(os.path.abspath(folder))
        if folder.exists() and not folder.is_dir():
            raise RecordingError(f"{folder}: found a file, expected a folder or a new name")
        taken = folder.is_dir() and any(folder.iterdir()) and not _is_empty(folder)
        self.folder = folder if append or not taken else _beside(folder)
        self._name = re.compile(re.escape(self.folder.name) + r"_(\d+)\.mcap")
        self._files: dict[int, FileSummary] = {}
        self.torn: list[Path] = []
        if append and taken:
            self._continue()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._topics = {topic.name: topic for file in self._files.values() for topic in file.topics}
        self.next_number = max([*self._files, *map(self._number, self.torn)], default=-1) + 1
        self._write_metadata()  # an empty recording is one already, and what cannot be written shows now

    def _number(self, path: Path) -> int:
        match = self._name.fullmatch(path.name)
        assert match is not None, "only such files are asked for"
        return int(match[1])

    def _continue(self) -> None:
        """Take over what is there, by the files themselves: a metadata.yaml may be older than they are."""
        paths = sorted((path for path in self.folder.iterdir() if self._name.fullmatch(path.name)), key=self._number)
        bags = [path for path in self.folder.rglob("*") if path.suffix in (".mcap", ".db3", ".bag", ".zstd")]
        foreign = sorted(set(bags) - set(paths))
        if foreign or (not paths and not (self.folder / METADATA).is_file()):
            found = f"{foreign[0].name}" if foreign else "files that are no recording"
            expected = f"files {self.folder.name}_NUMBER.mcap of an earlier recording"
            raise RecordingError(f"{self.folder}: found {found}, expected {expected} to continue")
        for path in paths:
            summary = summary_of(path)
            if summary is None:
                self.torn.append(path)
            else:
                self._files[self._number(path)] = summary

    @property
    def kept(self) -> int:
        """Whole episodes in the folder."""
        return len(self._files)

    @property
    def end_ns(self) -> int:
        """The latest time in whole episodes, ns of their clock; 0 without one.

        Not that of the last one: a simulator that starts again begins its time anew, so each file has its own.
        """
        return max((file.end_ns for file in self._files.values()), default=0)

    def topic(self, topic: RecordedTopic) -> RecordedTopic:
        """The topic as this recording has it: its QoS is that of its first message, in every file.

        Readers take a topic whose QoS differs between metadata.yaml and a file for another one.

        Raises:
            RecordingError: the recording has the topic with another type.
        """
        known = self._topics.setdefault(topic.name, topic)
        if known.type != topic.type:
            raise RecordingError(f"{topic.name}: found messages of {topic.type}, expected {known.type} as before")
        return known

    def begin(self) -> EpisodeFile:
        """The file of the next episode. Raises OSError where it cannot be made."""
        return EpisodeFile(self.folder / f"{self.folder.name}_{self.next_number}.mcap")

    def keep(self, file: EpisodeFile) -> Episode:
        """Finish an episode and list it.

        Raises:
            OSError: the disk is full; the file stays as it is, unlisted.
        """
        number = self.next_number
        try:
            file.finish()
            self._files[number] = file.summary
            self._write_metadata()
            _sync(self.folder)
        except OSError:
            self.leave(file)
            raise
        self.next_number += 1
        summary = file.summary
        return Episode(number, file.path, summary.duration_ns * 1e-9, summary.messages)

    def discard(self, file: EpisodeFile) -> None:
        """Delete an episode; its number is used again."""
        file.abandon()
        file.path.unlink(missing_ok=True)

    def leave(self, file: EpisodeFile) -> None:
        """Leave an episode that cannot be written further as it is on the disk, unlisted."""
        file.abandon()
        self._files.pop(self.next_number, None)
        self.torn.append(file.path)
        self.next_number += 1

    def _write_metadata(self) -> None:
        with written_whole(self.folder / METADATA) as path, open(path, "w", encoding="utf-8") as file:
            file.write(metadata_yaml([self._files[number] for number in sorted(self._files)]))
            file.flush()
            os.fsync(file.fileno())


def _is_empty(folder: Path) -> bool:
    """Whether a folder is a recording without an episode, as one leaves it that was started and ended."""
    if [path.name for path in folder.iterdir()] != [METADATA]:
        return False
    return (folder / METADATA).read_text(encoding="utf-8", errors="replace") == metadata_yaml([])


def _beside(folder: Path) -> Path:
    """A new name beside a folder that is taken: the time of now, and a count where that is taken too."""
    stamped = folder.with_name(f"{folder.name}_{datetime.now():%Y-%m-%dT%H-%M-%S}")
    result, count = stamped, 1
    while result.exists():
        count += 1
        result = stamped.with_name(f"{stamped.name}-{count}")
    return result


def _sync(folder: Path) -> None:
    """Let the disk have the folder's entries too."""
    with contextlib.suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

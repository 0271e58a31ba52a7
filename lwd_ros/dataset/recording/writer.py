"""Writing beside receiving: a thread with a bounded queue, whose overflow is counted and not waited for."""

import contextlib
import threading
from collections import deque

from lwd_ros.dataset.recording.episode_file import EpisodeFile
from lwd_ros.dataset.recording.topics import RecordedTopic

_LOOK_S = 0.5


class EpisodeWriter:
    """Writes one episode's messages on a thread of its own, from `put` to `finish`.

    `dropped` counts messages that found the queue full; `failure` is what ended the writing early.
    """

    def __init__(self, file: EpisodeFile, limit: int):
        """Start the thread; the queue holds `limit` bytes at most."""
        self.file, self._limit = file, limit
        self.dropped = 0
        self.accepted = 0
        self.failure: Exception | None = None
        self._queue: deque[tuple[RecordedTopic, bytes, int, int]] = deque()
        self._bytes, self._ending = 0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="episode writer", daemon=True)
        self._thread.start()

    def put(
        self, topic: RecordedTopic, content: bytes, log_ns: int, publish_ns: int, whatever_waits: bool = False
    ) -> None:
        """Queue one message; never waits. Times in ns.

        `whatever_waits`: a full queue takes it too, as it does a marker, without which the episode is worth nothing.
        """
        with self._changed:
            full = self._bytes + len(content) > self._limit and not whatever_waits
            if full or self.failure is not None:
                self.dropped += 1
                return
            self._bytes += len(content)
            self.accepted += 1
            self._queue.append((topic, content, log_ns, publish_ns))
            self._changed.notify()

    def finish(self) -> None:
        """Wait until all that was queued is written. Raises what ended the writing, OSError as a rule."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """End the thread; what it had written stays, and what was queued does not matter."""
        with self._changed:
            self._queue.clear()
        with contextlib.suppress(Exception):  # it was told as `failure`
            self.finish()

    def _run(self) -> None:
        try:
            while self._write_waiting():
                self.file.flush_if_due()
        except Exception as error:  # nobody else would hear of it
            with self._changed:
                self.failure = error
                self.dropped += len(self._queue)
                self._queue.clear()

    def _write_waiting(self) -> bool:
        """Write what is queued; False when nothing more will come."""
        with self._changed:
            if not self._queue and not self._ending:
                self._changed.wait(_LOOK_S)
            waiting, self._queue = self._queue, deque()
            ending = self._ending
        for topic, content, log_ns, publish_ns in waiting:
            self.file.write(topic, content, log_ns, publish_ns)
            with self._changed:
                self._bytes -= len(content)
        return bool(waiting) or not ending

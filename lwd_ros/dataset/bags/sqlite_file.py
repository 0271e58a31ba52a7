"""SQLite3 files of rosbag2, of every version of its tables."""

import shutil
import sqlite3
from collections.abc import Iterator, Set
from contextlib import closing
from copy import copy
from pathlib import Path

import numpy as np

from lwd_ros.dataset.bags.qos import offered
from lwd_ros.dataset.bags.records import BagError, Channel, Definition, Stored, counted
from lwd_ros.dataset.bags.restarts import Order, Stretch, goes_back

MAGIC = b"SQLite format 3\x00"


class SqliteFile:
    """One SQLite3 file. Nothing is written to it nor beside it.

    What a killed recorder left in the write-ahead log (`-wal`) counts as recorded: file and log are copied to
    `scratch` then, for SQLite changes both when it reads them.

    Raises:
        BagError: it is no recording, or is damaged.
    """

    def __init__(self, path: Path, name: str, scratch: Path):
        self.path, self.name = path, name
        self.problems: list[str] = []
        self._stretch: Stretch | None = None
        log = path.with_name(path.name + "-wal")
        self._uri = f"{path.absolute().as_uri()}?immutable=1"
        if log.is_file() and log.stat().st_size:
            copied = scratch / path.name
            shutil.copyfile(path, copied)
            shutil.copyfile(log, scratch / log.name)
            self._uri = copied.as_uri()
        try:
            with closing(self._connect()) as database:
                self._look(database)
        except (sqlite3.Error, TypeError, ValueError) as error:  # a damaged page has numbers where texts should be
            raise self._damaged(error) from error

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._uri, uri=True, check_same_thread=False)

    def _damaged(self, error: Exception | str) -> BagError:
        mend = f"sqlite3 {self.name} '.recover' | sqlite3 mended.db3 may save some of it"
        return BagError(f"{self.name}: found a damaged database ({error}), expected a recording of rosbag2; {mend}")

    def _look(self, database: sqlite3.Connection) -> None:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise BagError(f"{self.name}: found no tables 'topics' and 'messages', expected a recording of rosbag2")
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        profiles = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        definitions = {}
        if "message_definitions" in tables:
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {kind: Definition(form, text) for kind, form, text in database.execute(query)}
        counts = dict(database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        query = f"SELECT id, name, type, serialization_format, {profiles} FROM topics ORDER BY id"
        self._ids, self.channels = [], []
        for number, topic, kind, form, text in database.execute(query):
            qos, latched, publishers = offered(text or "")
            self._ids.append(number)
            known = definitions.get(kind) or definitions.get(kind.removesuffix("_Event"), Definition())
            self.channels.append(Channel(topic, kind, form, known, qos, latched, counts.get(number, 0), publishers))
        texts = [text for each in self.channels for text in (each.topic, each.type, each.encoding)]
        times = database.execute("SELECT min(timestamp), max(timestamp) FROM messages").fetchone()
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(at, int | None) for at in times):
            raise TypeError("topics or times are no such")
        self.start_ns, self.end_ns = times

    def read(self, chosen: Set[int]) -> Iterator[Stored]:
        """See `Storage`."""
        places = {self._ids[place]: place for place in chosen}
        marks = ", ".join("?" * len(places))
        query = f"SELECT id, timestamp, topic_id, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp, id"
        try:
            with closing(self._connect()) as database:
                for row, log_ns, number, data in database.execute(query, list(places)):
                    if self._stretch is not None and (0, row) not in self._stretch:
                        continue
                    if not isinstance(log_ns, int) or not isinstance(data, bytes):
                        raise self._damaged("a message is none")
                    yield Stored(log_ns, None, places[number], data)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def order(self) -> Order | None:
        """See `Storage`: in the order of row numbers."""
        try:
            with closing(self._connect()) as database:
                times = np.array(database.execute("SELECT id, timestamp FROM messages").fetchall(), dtype=np.int64)
                if not len(times) or not goes_back(times[np.argsort(times[:, 0]), 1]):
                    return None
                query = "SELECT id, timestamp, topic_id FROM messages ORDER BY id"
                rows = np.array(database.execute(query).fetchall(), dtype=np.int64)
        except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
            raise self._damaged(error) from error
        known = np.isin(rows[:, 2], self._ids)
        rows = rows[known]
        channels = np.array([self._ids.index(number) for number in rows[:, 2].tolist()], dtype=np.int64)
        return Order(rows[:, 1], channels, np.column_stack((np.zeros(len(rows), np.int64), rows[:, 0])))

    def taken(self, stretch: Stretch) -> "SqliteFile":
        """See `Storage`."""
        result = copy(self)
        result._stretch, result.channels = stretch, counted(self.channels, stretch)
        result.start_ns, result.end_ns = stretch.start_ns, stretch.end_ns
        return result

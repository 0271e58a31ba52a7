"""ROS 1 bags, indexed or not, whole or torn."""

import struct
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import closing
from copy import copy
from io import BytesIO
from pathlib import Path

import numpy as np
from rosbags.interfaces import Connection, ConnectionExtRosbag1
from rosbags.rosbag1 import Reader, ReaderError
from rosbags.rosbag1.reader import Chunk, ChunkInfo, Header, IndexData, RecordType, decompressors, read_uint32

from lwd_ros.dataset.bags.records import BagError, Channel, Definition, Stored, count_text, counted
from lwd_ros.dataset.bags.restarts import Order, Stretch, goes_back

MAGIC = b"#ROSBAG V2.0\n"

_BROKEN = (ReaderError, struct.error, AssertionError, ValueError, EOFError, RuntimeError, OSError, KeyError, IndexError)


class Ros1File:
    """One ROS 1 bag. A bag without an index, or a torn one, is scanned from its start as far as it goes.

    Raises:
        BagError: it is no bag, or nothing can be read.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name
        self.problems: list[str] = []
        self._scan = False
        self._stretch: Stretch | None = None
        try:
            reader = self._opened()
        except _BROKEN as error:
            self._scan = True
            try:
                reader = self._opened()
            except _BROKEN:
                raise BagError(f"{name}: found a damaged ROS 1 bag ({_text(error)}), expected a whole one") from error
            assert isinstance(reader, _Scanned)
            found = "torn: its end is missing" if reader.torn else "without an index"
            read = count_text(sum(each.msgcount for each in reader.connections))
            self.problems.append(f"{name}: {found}; {read} read by scanning it")
        with closing(reader):
            self._ids = [connection.id for connection in reader.connections]
            self.channels = [
                Channel(
                    each.topic,
                    each.msgtype,
                    "ros1",
                    Definition("ros1msg", each.msgdef.data),
                    latched=isinstance(each.ext, ConnectionExtRosbag1) and bool(each.ext.latching),
                    count=each.msgcount,
                )
                for each in reader.connections
            ]
            self._order = self._stored(reader)
        times = self._order.log_ns
        self.start_ns: int | None = int(times.min()) if len(times) else None
        self.end_ns: int | None = int(times.max()) if len(times) else None

    def _opened(self) -> Reader:
        reader = _Scanned(self.path) if self._scan else Reader(self.path)
        reader.open()
        return reader

    def _stored(self, reader: Reader) -> Order:
        rows = np.array(
            [
                (entry.chunk_pos, entry.offset, entry.time, place)
                for place, number in enumerate(self._ids)
                for entry in reader.indexes.get(number, ())
            ],
            dtype=np.int64,
        ).reshape(-1, 4)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return Order(rows[:, 2], rows[:, 3], rows[:, :2])

    def order(self) -> Order | None:
        """See `Storage`: in the order of chunks and of messages in them."""
        return self._order if goes_back(self._order.log_ns) else None

    def taken(self, stretch: Stretch) -> "Ros1File":
        """See `Storage`."""
        result = copy(self)
        result._stretch, result.channels = stretch, counted(self.channels, stretch)
        result.start_ns, result.end_ns = stretch.start_ns, stretch.end_ns
        return result

    def read(self, chosen: Set[int]) -> Iterator[Stored]:
        """See `Storage`."""
        places = {self._ids[place]: place for place in chosen}
        with closing(self._opened()) as reader:
            if self._stretch is not None:
                reader.indexes = {
                    number: [each for each in entries if (each.chunk_pos, each.offset) in self._stretch]
                    for number, entries in reader.indexes.items()
                }
            connections = [each for each in reader.connections if each.id in places]
            try:
                for connection, log_ns, data in reader.messages(connections) if connections else ():
                    yield Stored(log_ns, None, places[connection.id], data)
            except _BROKEN as error:
                text = f"{self.name}: damaged ({_text(error)}); the messages behind that are lost"
                if text not in self.problems:
                    self.problems.append(text)


class _Scanned(Reader):
    """rosbags' reader with an index that is made by reading all chunks, where the bag has none."""

    torn = False
    connections: list[Connection]
    indexes: dict[int, list[IndexData]]

    def open(self) -> None:
        """Scan the bag; raises ReaderError where it has no connection."""
        indexes: dict[int, list[IndexData]] = defaultdict(list)
        self.bio = self.path.open("rb")
        size = self.path.stat().st_size
        if self.bio.readline() != MAGIC:
            raise ReaderError("no ROS 1 bag")
        while (position := self.bio.tell()) < size:
            try:
                header = Header.read(self.bio)
                code, length = header.get_uint8("op"), read_uint32(self.bio)
                if code == RecordType.CHUNK:
                    self._take_chunk(header, position, min(length, size - self.bio.tell()), indexes)
                    self.chunk_infos.append(ChunkInfo(position, 0, 0, {}))
                elif code == RecordType.CONNECTION:
                    self.bio.seek(position)
                    self._know(self.read_connection())
                    continue
                if self.bio.tell() + length > size and code != RecordType.CHUNK:
                    raise ReaderError("torn")
                self.torn |= code == RecordType.CHUNK and self.bio.tell() + length > size
                self.bio.seek(length, 1)
            except _BROKEN:
                self.torn = True
                break
        self.indexes = {each.id: sorted(indexes[each.id]) for each in self.connections}
        self.connections = [each._replace(msgcount=len(self.indexes[each.id])) for each in self.connections]
        if not self.connections:
            raise ReaderError("no connection in it")

    def _know(self, connection: Connection) -> None:
        if all(connection.id != each.id for each in self.connections):
            self.connections.append(connection)

    def _take_chunk(self, header: Header, position: int, length: int, indexes: dict[int, list[IndexData]]) -> None:
        """Index one chunk; leaves the file at its data. A torn one gives what is whole in it if it is uncompressed."""
        assert self.bio is not None
        place, unpack = self.bio.tell(), decompressors[header.get_string("compression")]
        file, data = self.bio, unpack(self.bio.read(length))
        self.chunks[position] = Chunk(length, place, unpack)
        inner = BytesIO(data)
        try:
            while (offset := inner.tell()) < len(data):
                record = Header.read(inner)
                code, size = record.get_uint8("op"), read_uint32(inner)
                if inner.tell() + size > len(data):
                    break
                if code == RecordType.CONNECTION:
                    inner.seek(offset)
                    self.bio = inner
                    self._know(self.read_connection())
                    continue
                if code == RecordType.MSGDATA:
                    number = record.get_uint32("conn")
                    indexes[number].append(IndexData(record.get_time("time"), position, offset))
                inner.seek(size, 1)
        except ReaderError:  # the torn record
            pass
        finally:
            self.bio = file
            self.bio.seek(place)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

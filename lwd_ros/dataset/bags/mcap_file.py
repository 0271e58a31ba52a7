"""MCAP files: with and without chunks, index and summary, whole or torn, in the order of log times."""

import bisect
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Set
from copy import copy
from dataclasses import dataclass, field
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError, UnsupportedCompressionError
from mcap.reader import SeekingReader
from mcap.records import Channel as McapChannel
from mcap.records import Chunk, DataEnd, Footer, McapRecord, Schema
from mcap.records import Message as McapMessage
from mcap.stream_reader import CRCValidationError, StreamReader, get_chunk_data_stream

from lwd_ros.dataset.bags.qos import offered
from lwd_ros.dataset.bags.records import BagError, Channel, Definition, Stored, count_text, counted
from lwd_ros.dataset.bags.restarts import REORDERED_NS, Order, Stretch

MAGIC = b"\x89MCAP0\r\n"

_HEAD, _MESSAGE, _SPAN = struct.Struct("<BQ"), struct.Struct("<HIQQ"), struct.Struct("<QQ")
_SCHEMA_CODE, _CHANNEL_CODE, _MESSAGE_CODE, _CHUNK_CODE, _INDEX_CODE = 3, 4, 5, 6, 7
_INDEX = np.dtype([("log_ns", "<u8"), ("offset", "<u8")])
_CHUNK_HEAD = 8 + 8 + 8 + 4 + 4 + 8  # bytes of a chunk's fields beside its compression's name and its data
_FOOTER = 9 + 20 + len(MAGIC)
_RUN = 2**20  # bytes of messages outside of chunks that are read together
_BROKEN = (McapError, CRCValidationError, zstandard.ZstdError, struct.error, ValueError, RuntimeError, MemoryError)
_S = 1e-9
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class _Block:
    """A chunk, or a run of messages outside of chunks: the log times in it, and where it stands in the file."""

    start_ns: int
    end_ns: int
    offset: int
    size: int
    is_chunk: bool
    channels: frozenset[int] | None  # None: not known


@dataclass
class _Content:
    """What a file holds, from its summary or from a scan."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, McapChannel] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)
    counts: Counter | None = None  # messages by channel; None: not known


class McapFile:
    """One MCAP file.

    The summary at its end says where the chunks are. Without one, or with a damaged one, the file is scanned once.
    A chunk whose checksum is wrong is left out, and said: its messages may have been changed.

    Raises:
        BagError: it is no MCAP file, or cannot be read.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name
        self.problems: list[str] = []
        self._bad: set[int] = set()  # offsets of blocks that were said to be damaged
        self._stretch: Stretch | None = None
        with self._open() as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(f"{name}: found no MCAP file, expected one that begins with its eight magic bytes")
            content = self._summary(file) or self._scan(file)
        self._blocks = sorted(content.blocks, key=lambda block: (block.start_ns, block.offset))
        self._ids = list(content.channels)
        self.channels = [_channel(content, number) for number in self._ids]
        self.start_ns = min((block.start_ns for block in self._blocks), default=None)
        self.end_ns = max((block.end_ns for block in self._blocks), default=None)

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as cause:
            raise BagError(f"{self.name}: cannot be read ({cause.strerror}); expected an MCAP file") from cause

    # What is in the file

    def _summary(self, file: IO[bytes]) -> _Content | None:
        """From the summary; None where there is none, or where it is damaged or does not name all messages."""
        try:
            if not _summary_is_whole(file):
                self.problems.append(f"{self.name}: the checksum of its summary is wrong; it was scanned instead")
                return None
            file.seek(len(MAGIC))
            file.seek(0)
            summary = SeekingReader(file).get_summary()
        except (*_BROKEN, OSError):
            return None
        if summary is None or not summary.channels:
            return None
        statistics, indexes = summary.statistics, summary.chunk_indexes
        if statistics is None and not indexes:
            return None
        if statistics is not None and (
            statistics.chunk_count != len(indexes) or (statistics.message_count and not indexes)
        ):
            return None
        blocks = [
            _Block(
                index.message_start_time,
                index.message_end_time,
                index.chunk_start_offset,
                index.chunk_length,
                True,
                frozenset(index.message_index_offsets) or None,
            )
            for index in indexes
            if index.message_end_time or index.message_index_offsets  # a chunk of schemas alone has no time
        ]
        counts = None if statistics is None else Counter(statistics.channel_message_counts)
        if statistics is not None and counts is not None and sum(counts.values()) != statistics.message_count:
            counts = None
        return _Content(summary.schemas, summary.channels, blocks, counts)

    def _scan(self, file: IO[bytes]) -> _Content:
        """By reading every record from the start, as far as it goes."""
        content, run = _Content(counts=Counter()), _Run()
        file.seek(0)
        size = file.seek(0, 2)
        file.seek(0)
        reader = StreamReader(file, emit_chunks=True, validate_crcs=True)
        whole = data_ended = 0  # bytes of whole records
        try:
            for record in reader.records:
                whole = file.tell()
                data_ended = data_ended or isinstance(record, DataEnd)
                self._take(record, whole, content, run)
        except CRCValidationError:
            if not self._bad:
                self.problems.append(
                    f"{self.name}: found data that do not match the file's checksum; some of its messages were changed"
                )
        except (*_BROKEN, OSError) as error:
            if isinstance(error, OSError):
                raise BagError(f"{self.name}: cannot be read ({error.strerror}); expected an MCAP file") from error
            run.close(content)
            self.problems.append(self._loss(file, content, max(whole, len(MAGIC)), size, bool(data_ended)))
        run.close(content)
        return content

    def _take(self, record: McapRecord, end: int, content: _Content, run: "_Run") -> None:
        if isinstance(record, Schema):
            content.schemas[record.id] = record
        elif isinstance(record, McapChannel):
            content.channels[record.id] = record
        elif isinstance(record, McapMessage):
            assert content.counts is not None
            content.counts[record.channel_id] += 1
            run.add(record, end, content)
        elif isinstance(record, Chunk):
            run.close(content)
            offset = end - _HEAD.size - _CHUNK_HEAD - len(record.compression.encode()) - len(record.data)
            self._take_chunk(record, offset, end - offset, content)
        elif isinstance(record, (DataEnd, Footer)):
            run.close(content)

    def _take_chunk(self, chunk: Chunk, offset: int, size: int, content: _Content) -> None:
        block = _Block(chunk.message_start_time, chunk.message_end_time, offset, size, True, None)
        data = self._unpacked(chunk, block)
        if data is None:
            return
        counts: Counter[int] = Counter()
        times: list[int] = []  # a chunk's own head may be wrong about them
        for code, at, end in _records(data):
            if code == _MESSAGE_CODE:
                number, _, log_ns, _ = _MESSAGE.unpack_from(data, at)
                counts[number] += 1
                times.append(log_ns)
            elif code == _SCHEMA_CODE:
                schema = Schema.read(_stream(data[at:end]))
                content.schemas[schema.id] = schema
            elif code == _CHANNEL_CODE:
                channel = McapChannel.read(_stream(data[at:end]))
                content.channels[channel.id] = channel
        assert content.counts is not None
        content.counts += counts
        if counts:
            content.blocks.append(_Block(min(times), max(times), offset, size, True, frozenset(counts)))

    def _loss(self, file: IO[bytes], content: _Content, whole: int, size: int, data_ended: bool) -> str:
        """The sentence of a torn file."""
        assert content.counts is not None
        read = count_text(sum(content.counts.values()))
        if data_ended:
            return f"{self.name}: its footer is missing; nothing else is: {read} read"
        end_ns = max((block.end_ns for block in content.blocks), default=None)
        where = f"{self.name}: torn at byte {whole:,} of {size:,}, its end is missing: {read} read"
        file.seek(whole)
        head = file.read(_HEAD.size + _SPAN.size)
        if len(head) == _HEAD.size + _SPAN.size and head[0] == _CHUNK_CODE:
            start, stop = _SPAN.unpack_from(head, _HEAD.size)
            since = stop - (start if end_ns is None else max(end_ns, 0))
            if 0 < since < 10**15:
                return f"{where}, the last {since * _S:.3g} s that it has a sign of are lost, and whatever followed"
        if whole == size:
            return f"{where}; no message of it is cut, how many followed is not known"
        return f"{where}, {size - whole:,} bytes of it are lost, and whatever followed"

    # Messages

    def read(self, chosen: Set[int]) -> Iterator[Stored]:
        """See `Storage`. No more blocks are held than overlap in time."""
        places = {self._ids[place]: place for place in chosen}
        blocks = [block for block in self._blocks if block.channels is None or not block.channels.isdisjoint(places)]
        waiting: list[tuple[int, int, int, int, int, bytes]] = []
        with self._open() as file:
            for number, block in enumerate(blocks):
                waiting += self._messages(file, block, places)
                waiting.sort(key=itemgetter(0, 1, 2))
                after = blocks[number + 1].start_ns if number + 1 < len(blocks) else None
                ready = len(waiting) if after is None else bisect.bisect_left(waiting, after, key=itemgetter(0))
                for log_ns, _, _, publish_ns, place, data in waiting[:ready]:
                    yield Stored(log_ns, publish_ns or None, place, data)
                del waiting[:ready]

    def _messages(self, file: IO[bytes], block: _Block, places: dict[int, int]) -> list:
        data = self._data(file, block)
        if data is None:
            return []
        result, offset = [], block.offset
        for code, at, end in _records(data):
            if code == _MESSAGE_CODE:
                number, _, log_ns, publish_ns = _MESSAGE.unpack_from(data, at)
                if number in places and (self._stretch is None or (offset, at) in self._stretch):
                    result.append((log_ns, offset, at, publish_ns, places[number], data[at + _MESSAGE.size : end]))
        return result

    def order(self) -> Order | None:
        """See `Storage`: in the order of chunks and of messages in them."""
        blocks = sorted(self._blocks, key=lambda block: block.offset)
        newest = 0
        for block in blocks:
            if block.end_ns - block.start_ns > REORDERED_NS or newest - block.start_ns > REORDERED_NS:
                break
            newest = max(newest, block.end_ns)
        else:
            return None
        places = {number: place for place, number in enumerate(self._ids)}
        parts = []
        with self._open() as file:
            for block in blocks:
                rows = self._indexed(file, block, places)
                rows = self._looked_up(file, block, places) if rows is None else rows
                parts.append(rows[np.argsort(rows[:, 3], kind="stable")])
        rows = np.concatenate(parts)
        return Order(rows[:, 0], rows[:, 1], rows[:, 2:])

    def _indexed(self, file: IO[bytes], block: _Block, places: dict[int, int]) -> np.ndarray | None:
        """int64 [N, 4]: log time, channel, block and offset of its messages, by the index behind a chunk; or None."""
        if not block.is_chunk or block.offset in self._bad:
            return None
        file.seek(block.offset + block.size)
        parts = []
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            code, length = _HEAD.unpack(head)
            if code != _INDEX_CODE:
                break
            content = file.read(length)
            number, size = struct.unpack_from("<HI", content)
            if number not in places or size % _INDEX.itemsize or len(content) < 6 + size:
                return None
            entries = np.frombuffer(content, _INDEX, size // _INDEX.itemsize, 6)
            rows = np.empty((len(entries), 4), np.int64)
            rows[:, 0], rows[:, 1], rows[:, 2] = entries["log_ns"], places[number], block.offset
            rows[:, 3] = entries["offset"] + _HEAD.size
            parts.append(rows)
        return np.concatenate(parts) if parts else None

    def _looked_up(self, file: IO[bytes], block: _Block, places: dict[int, int]) -> np.ndarray:
        """As `_indexed`, from the messages themselves."""
        found = self._messages(file, block, places)
        rows = [(min(log_ns, _LARGEST), place, offset, at) for log_ns, offset, at, _, place, _ in found]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    def taken(self, stretch: Stretch) -> "McapFile":
        """See `Storage`."""
        result = copy(self)
        result._stretch, result.channels = stretch, counted(self.channels, stretch)
        result.start_ns, result.end_ns = stretch.start_ns, stretch.end_ns
        first = stretch.first[0] if stretch.first is not None else 0
        end = stretch.end[0] if stretch.end is not None else _LARGEST
        also = {offset for offset, _ in stretch.also}
        result._blocks = [each for each in self._blocks if first <= each.offset <= end or each.offset in also]
        return result

    def _data(self, file: IO[bytes], block: _Block) -> bytes | None:
        if not block.is_chunk:
            file.seek(block.offset)
            return file.read(block.size)
        if block.offset in self._bad:
            return None
        file.seek(block.offset + _HEAD.size)
        try:
            chunk = Chunk.read(ReadDataStream(file))
        except _BROKEN as error:
            self._damaged(block, str(error) or "the chunk cannot be read")
            return None
        return self._unpacked(chunk, block)

    def _unpacked(self, chunk: Chunk, block: _Block) -> bytes | None:
        """A chunk's records; None, and a sentence, where it is damaged."""
        try:
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            return stream.read(length)
        except UnsupportedCompressionError as error:
            raise BagError(f"{self.name}: {error}; expected the library of that compression installed") from error
        except CRCValidationError:
            self._damaged(block, "its checksum is wrong")
        except _BROKEN as error:
            self._damaged(block, f"it cannot be unpacked: {' '.join(str(error).split())}")
        return None

    def _damaged(self, block: _Block, why: str) -> None:
        if block.offset not in self._bad:
            self._bad.add(block.offset)
            lasts = f"{(block.end_ns - block.start_ns) * _S:.3g} s"
            at = f"from {block.start_ns * _S:.3f} s to {block.end_ns * _S:.3f} s of the recorder's clock"
            self.problems.append(
                f"{self.name}: the chunk at byte {block.offset:,} is damaged ({why}); its messages are left out: "
                f"{lasts} are lost, {at}"
            )


class _Run:
    """Messages outside of chunks that stand one after another."""

    def __init__(self) -> None:
        self._begin: int | None = None
        self._end = self._low = self._high = 0
        self._channels: set[int] = set()

    def add(self, message: McapMessage, end: int, content: _Content) -> None:
        begin = end - len(message.data) - _MESSAGE.size - _HEAD.size
        if self._begin is not None and end - self._begin > _RUN:
            self.close(content)
        if self._begin is None:
            self._begin, self._low, self._high, self._channels = begin, message.log_time, message.log_time, set()
        self._low, self._high = min(self._low, message.log_time), max(self._high, message.log_time)
        self._channels.add(message.channel_id)
        self._end = end

    def close(self, content: _Content) -> None:
        if self._begin is not None:
            size, channels = self._end - self._begin, frozenset(self._channels)
            content.blocks.append(_Block(self._low, self._high, self._begin, size, False, channels))
            self._begin = None


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Records in a chunk: the kind, where the content begins and where it ends."""
    at, size, head = 0, len(data), _HEAD
    while at + head.size <= size:
        code, length = head.unpack_from(data, at)
        at += head.size
        end = at + length
        if end > size:
            return
        yield code, at, end
        at = end


def _stream(data: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(data))


def _summary_is_whole(file: IO[bytes]) -> bool:
    """Whether the checksum of the summary, where there is one, is right; raises a library's error without a footer."""
    size = file.seek(0, 2)
    if size < _FOOTER:
        raise ValueError("no room for a footer")
    file.seek(size - _FOOTER)
    tail = file.read(_FOOTER)
    code, length = _HEAD.unpack_from(tail)
    if code != 2 or length != 20 or tail[-len(MAGIC) :] != MAGIC:
        raise ValueError("no footer")
    start, _, crc = struct.unpack_from("<QQI", tail, _HEAD.size)
    if not start or not crc:
        return True
    if start > size - _FOOTER:
        return False
    file.seek(start)
    return zlib.crc32(file.read(size - start - len(MAGIC) - 4)) == crc


def _channel(content: _Content, number: int) -> Channel:
    channel = content.channels[number]
    schema = content.schemas.get(channel.schema_id)
    qos, latched, publishers = offered(channel.metadata.get("offered_qos_profiles", ""))
    return Channel(
        channel.topic,
        schema.name if schema else "",
        channel.message_encoding,
        Definition(schema.encoding, schema.data.decode("utf-8", "replace")) if schema else Definition(),
        qos,
        latched or channel.metadata.get("latching") == "1",
        None if content.counts is None else content.counts[number],
        publishers,
    )

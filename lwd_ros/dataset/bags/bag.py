"""One recording of one or several files."""

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import zstandard

from lwd_ros.contract.definitions import Definitions, FieldType
from lwd_ros.contract.picking import closest
from lwd_ros.contract.streams import Qos
from lwd_ros.dataset.bags.axes import MARKER, Mark, axes_of, overlap, own_axis, require_apart
from lwd_ros.dataset.bags.folder import ZSTD_MAGIC, Metadata, files_of, kind_of
from lwd_ros.dataset.bags.mcap_file import McapFile
from lwd_ros.dataset.bags.records import BagError, Channel, Message, Storage, Stored, Topic, count_text
from lwd_ros.dataset.bags.restarts import stretches
from lwd_ros.dataset.bags.ros1_file import Ros1File
from lwd_ros.dataset.bags.sqlite_file import SqliteFile
from lwd_ros.dataset.bags.types import Types

_S = 1e-9
_APART_NS = 500_000_000  # between publishing and recording: more than a network or a busy recorder makes
_PART = 2**22  # bytes that are decompressed at once


def open_bags(paths: str | Path | Sequence[str | Path]) -> "Bag":
    """Open one recording: a folder of rosbag2, one file, or several of either that follow one another.

    Storage is told by content, not by name: MCAP, SQLite3 and ROS 1, each also compressed with zstd, as a file or
    message by message. Damaged files give what they hold; `Bag.problems` says what is lost.

    Raises:
        BagError: nothing can be read: says which path, what was found, what was expected.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise BagError("found no recording, expected at least one file or folder")
    return Bag([Path(path) for path in given])


class Bag:
    """One recording. Its files stay where they are and are read as they are needed; nothing is written to them.

    Attributes:
        name: of the first path.
        files: the storage files, in the order of their times.
        origin_ns: the log time from which seconds of this recording count; None of an empty one.
        earlier: of a part that begins where times go back inside a file, the parts before it: what was latched then
            still holds.
    """

    def __init__(self, paths: Sequence[Path]):
        self.name = paths[0].resolve().name or str(paths[0])
        self._scratch: tempfile.TemporaryDirectory | None = None
        self._said: dict[str, None] = {}
        self._apart: dict[str, int] = {}
        metadata: list[Metadata] = []
        storages: list[tuple[Storage, Path]] = []
        refused: list[BagError] = []
        given: set[Path] = set()
        for path in paths:
            files, known, sentences = files_of(path)
            self._said.update(dict.fromkeys(sentences))
            metadata += [known] if known else []
            for file in files:
                if file.resolve() in given:  # BAG/* names the folder's metadata and its files
                    continue
                given.add(file.resolve())
                try:
                    storages.append((self._storage(file), file))
                except BagError as error:
                    refused.append(error)
        if not storages:
            raise refused[0]
        self._said.update(dict.fromkeys(str(error) for error in refused))
        self._given = [storage for storage, _ in storages]
        storages.sort(key=lambda each: (each[0].start_ns is None, each[0].start_ns or 0))
        self._storages = [storage for storage, _ in storages]
        self.origin_ns = self.start_ns
        self.earlier: tuple[Bag, ...] = ()
        self._metadata = metadata
        self._types = Types(next((each.distribution for each in metadata if each.distribution), ""))
        self.files = [file for _, file in storages]
        if refused and not any(self._counts.values()):
            raise refused[0]
        self._compare()

    def close(self) -> None:
        """Remove what was decompressed. Nothing can be read afterwards of files that were compressed as a whole."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def __enter__(self) -> "Bag":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Files

    def _storage(self, path: Path) -> Storage:
        name, kind = str(path), kind_of(path)
        inner = path
        if kind == "zstd":
            inner = self._decompressed(path)
            kind = kind_of(inner)
        if kind == "MCAP":
            storage: Storage = McapFile(inner, name)
        elif kind == "SQLite3":
            storage = SqliteFile(inner, name, self._folder(path))
        elif kind == "ROS 1":
            storage = Ros1File(inner, name)
        else:
            raise BagError(f"{path}: found a compressed file that is no recording, expected MCAP, SQLite3 or ROS 1")
        return storage

    def _folder(self, path: Path) -> Path:
        """A folder of its own for what is made of a file; it goes with this object."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="lwd_bag_")
        return Path(tempfile.mkdtemp(dir=self._scratch.name))

    def _decompressed(self, path: Path) -> Path:
        result = self._folder(path) / path.name.removesuffix(".zstd").removesuffix(".zst")
        try:
            with path.open("rb") as source, result.open("wb") as target:
                reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
                try:
                    while part := reader.read(_PART):
                        target.write(part)
                except zstandard.ZstdError as error:
                    self._say(f"{path}: its compression is damaged ({error}); what can be unpacked is read")
        except OSError as error:
            where = f"{error.strerror}; {result.parent.parent} needs room for its content, TMPDIR names another place"
            raise BagError(f"{path}: cannot be decompressed ({where})") from error
        if result.stat().st_size == 0:
            raise BagError(f"{path}: found nothing that can be decompressed, expected a whole zstd file")
        return result

    # What is in it

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """Topics by name, in the order of the files."""
        result: dict[str, Topic] = {}
        said = {name: channel for each in self._metadata for name, channel in each.channels.items()}
        for storage in self._storages:
            for channel in storage.channels:
                if channel.topic not in result:
                    first, known = channel, said.get(channel.topic)
                    parts = [each for each in self._channels if each.topic == channel.topic]
                    qos = Qos.heard([each.qos for each in parts if each.qos]) or (known.qos if known else None)
                    latched = any(each.latched for each in parts) or bool(known and known.latched)
                    count = self._counts[channel.topic]
                    publishers = max([each.publishers for each in parts] + [known.publishers if known else 0])
                    kind, form = first.type, first.encoding
                    result[channel.topic] = Topic(channel.topic, kind, count, latched, qos, form, publishers)
        return result

    def _is_latched(self, channel: Channel) -> bool:
        """Whether messages of a channel may have been said before, as far as the file, else the metadata, says."""
        return channel.latched or (
            channel.qos is None and self.topics[channel.topic].latched and channel.encoding != "ros1"
        )

    @cached_property
    def _channels(self) -> list[Channel]:
        return [channel for storage in self._storages for channel in storage.channels]

    @cached_property
    def _counts(self) -> dict[str, int | None]:
        """Messages of each topic; None where only reading can tell."""
        counts: dict[str, int | None] = {}
        for channel in self._channels:
            known = counts.get(channel.topic, 0)
            counts[channel.topic] = None if known is None or channel.count is None else known + channel.count
        return counts

    @property
    def start_ns(self) -> int | None:
        """Log time of the first message; None of an empty recording."""
        return min((each.start_ns for each in self._storages if each.start_ns is not None), default=None)

    @property
    def end_ns(self) -> int | None:
        """Log time of the last message; None of an empty recording."""
        return max((each.end_ns for each in self._storages if each.end_ns is not None), default=None)

    @cached_property
    def parts(self) -> "list[Bag]":
        """This recording by axes of time: each episode's file of a recorder is one, all other files are one together.

        A simulator that restarts between episodes sets the time back, so that two of them may be of the same seconds;
        they are then named after their files. Where times begin anew inside a file, a new part begins, and the files
        that follow go on from its last one: such parts are numbered. Topics are those of the whole recording.
        """
        pieces = {id(each): self._pieces(each) for each in self._given}
        marks = {id(each): self._marks(each) for each in self._storages}
        own = [each for each in self._storages if own_axis(each, marks[id(each)]) and len(pieces[id(each)]) == 1]
        others = [each for each in self._given if each not in own]
        if any(found and found[0].event for each in others if (found := marks[id(each)])):
            torn = [each for each in own if len(marks[id(each)]) == 1]  # split by rosbag2: its end is in another file
            own = [each for each in own if each not in torn]
            others = [each for each in self._given if each in torn or each in others]
        axes = axes_of([pieces[id(each)] for each in others])
        if not own and len(axes) < 2:
            return [self]
        mixed = len(axes) > 1 or overlap(own)
        result = [
            self._part([each], Path(each.name).name if mixed else "")
            for each in (self._given if mixed else self._storages)
            if each in own
        ]
        later: list[Bag] = []
        for number, files in enumerate(axes, 1):
            later.append(self._part(files, f"{self.name} part {number}" if len(axes) > 1 else ""))
            later[-1].earlier = tuple(later[:-1])
        return result + later

    def _pieces(self, storage: Storage) -> list[Storage]:
        order = storage.order()
        if order is None:
            return [storage]
        latched = {place for place, channel in enumerate(storage.channels) if self._is_latched(channel)}
        found = stretches(order, latched)
        for each in found[1:]:
            at_s = (each.after_ns - (self.origin_ns or 0)) * _S
            self._say(
                f"{storage.name}: its times go back by {each.back_ns * _S:.3g} s after {at_s:.2f} s, as where a "
                "simulator is restarted or a clock is set back; it is read in parts"
            )
        return [storage.taken(each) for each in found] or [storage]

    def _part(self, storages: list[Storage], name: str) -> "Bag":
        """Some files as a recording; one with a name counts its seconds from its own first message."""
        _ = self.topics, self._channels, self._counts
        part = copy(self)
        part._storages = part._given = storages
        part.__dict__["parts"] = [part]
        if name:
            part.name, part.origin_ns = name, part.start_ns
        return part

    def _marks(self, storage: Storage) -> list[Mark]:
        topics = {channel.topic for channel in storage.channels if channel.type == MARKER}
        found = (Mark.of(message.log_ns, message.raw) for message in self._of(storage, topics, False))
        return [mark for mark in found if mark is not None]

    @property
    def problems(self) -> list[str]:
        """Sentences on what is damaged, lost or odd, known until now; reading all messages makes them complete."""
        for storage in self._storages:
            self._said.update(dict.fromkeys(storage.problems))
        clocks = [
            f"{topic}: recorded {ns * _S:.3g} s after it was published: the clocks of publisher and recorder differ, "
            "or the recorder was late"
            for topic, ns in self._apart.items()
        ]
        return [*self._said, *clocks]

    def _say(self, sentence: str) -> None:
        self._said.setdefault(sentence)

    def _compare(self) -> None:
        """Say where metadata and files differ, and where topics do."""
        for known in self._metadata:
            theirs = sum(count or 0 for topic, count in self._counts.items())
            if len(self._metadata) == 1 and known.count is not None and None not in self._counts.values():
                self._compare_counts(known, theirs)
        for name in self._counts:
            kinds = list(dict.fromkeys(each.type for each in self._channels if each.topic == name))
            if len(kinds) > 1:
                self._say(f"{name}: recorded with the types {' and '.join(kinds)}, expected one")

    def _compare_counts(self, known: Metadata, read: int) -> None:
        assert known.count is not None
        if read < known.count:
            lost = [
                f"{topic} {count - (self._counts.get(topic) or 0):,}"
                for topic, count in known.counts.items()
                if (self._counts.get(topic) or 0) < count
            ]
            text = (
                f"{known.path}: counts {count_text(known.count)}, the files hold {read:,}: {known.count - read:,} lost"
            )
            seconds = (known.end_ns - (self.end_ns or 0)) * _S if known.end_ns and self.end_ns else 0.0
            text += f", {seconds:.3g} s at the end" if seconds > 0.0005 else ""
            self._say(f"{text} ({', '.join(lost[:5])}{', …' if len(lost) > 5 else ''})" if lost else text)
        elif read > known.count:
            self._say(f"{known.path}: counts {count_text(known.count)}, the files hold {read:,}; all are read")

    @property
    def definitions(self) -> Definitions:
        """What fields message types have, the recording's own types first (see lwd_ros.contract.definitions)."""
        for channel in self._channels:
            try:
                self._types.decoder(channel)
            except BagError:  # said when one of its messages is decoded
                continue

        def definitions(message_type: str) -> Mapping[str, FieldType]:
            return self._types.definitions(message_type)

        return definitions

    # Messages

    def messages(self, topics: Iterable[str] | None = None, decode: bool = True) -> Iterator[Message]:
        """Messages in the order of their log times; those of equal times in the order of the files; part after part.

        Args:
            topics: names; None: all.
            decode: whether `message` of each gives the message, decoded when it is asked for.

        Raises:
            BagError: the recording has no such topic; files that share topics share a time, too; or, while reading, a
                file cannot be read on.
        """
        wanted = set(self.topics if topics is None else [topics] if isinstance(topics, str) else topics)
        for name in sorted(wanted - set(self.topics)):
            known = list(self.topics)
            raise BagError(f"{self.name}: found no topic {name!r}, expected one that it has{closest(name, known)}")
        for part in self.parts:
            require_apart(part._storages, wanted, self._is_latched)
        return chain.from_iterable(part._merged(wanted, decode) for part in self.parts)

    def _merged(self, wanted: set[str], decode: bool) -> Iterator[Message]:
        """Files that overlap in time are read side by side, others one after another."""
        group: list[Storage] = []
        latest = -1
        for storage in self._storages:
            if storage.start_ns is None or storage.end_ns is None:
                continue
            if group and storage.start_ns > latest:
                yield from self._side_by_side(group, wanted, decode)
                group = []
            group.append(storage)
            latest = max(latest if len(group) > 1 else -1, storage.end_ns)
        yield from self._side_by_side(group, wanted, decode)

    def _side_by_side(self, group: list[Storage], wanted: set[str], decode: bool) -> Iterator[Message]:
        parts = [self._of(storage, wanted, decode) for storage in group]
        return parts[0] if len(parts) == 1 else heapq.merge(*parts, key=attrgetter("log_ns"))

    def _of(self, storage: Storage, wanted: set[str], decode: bool) -> Iterator[Message]:
        """The messages of one file."""
        channels = storage.channels
        chosen = {place for place, channel in enumerate(channels) if channel.topic in wanted}
        if not chosen:
            return
        decoders = [
            self._decoder(channel) if decode and place in chosen else None for place, channel in enumerate(channels)
        ]
        unpack = zstandard.ZstdDecompressor().decompress
        last_ns = -(2**63)
        for stored in storage.read(chosen):
            log_ns, publish_ns, place, data = stored
            channel = channels[place]
            if data[:4] == ZSTD_MAGIC and channel.encoding == "cdr":  # cdr begins with a zero byte: it is compressed
                unpacked = self._unpacked(unpack, storage, channel, stored)
                if unpacked is None:
                    continue
                data = unpacked
            if publish_ns is not None and log_ns - publish_ns > _APART_NS and not channel.latched:
                self._apart[channel.topic] = max(self._apart.get(channel.topic, 0), log_ns - publish_ns)
            if log_ns < last_ns:
                self._say(f"{storage.name}: its index is not in the order of its messages' times")
            last_ns = log_ns
            yield Message(channel.topic, channel.type, log_ns, publish_ns, data, decoders[place])

    def _unpacked(self, unpack: Callable, storage: Storage, channel: Channel, stored: Stored) -> bytes | None:
        try:
            return unpack(stored.data)
        except zstandard.ZstdError:
            try:  # without its size in its head
                return zstandard.ZstdDecompressor().decompressobj().decompress(stored.data)
            except zstandard.ZstdError as error:
                at = f"{stored.log_ns * _S:.3f} s"
                self._say(f"{storage.name}: {channel.topic}: the message at {at} cannot be decompressed ({error})")
                return None

    def _decoder(self, channel: Channel) -> Callable[[Message], Any]:
        try:
            return self._types.decoder(channel)
        except BagError as error:
            sentence = str(error)

            def refuse(_: Message) -> Any:
                raise BagError(sentence)

            return refuse

"""Recorded bytes to messages, by the definitions that the recording brings along or that rosbags knows."""

from collections.abc import Callable, Mapping
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from lwd_ros.contract.definitions import Definitions, FieldType, UnknownPackage
from lwd_ros.contract.errors import ContractError
from lwd_ros.dataset.bags.records import BagError, Channel, Definition, Message
from lwd_ros.dataset.bags.services import LINE, event_types
from lwd_ros.dataset.definitions import offline

_EVENT = "_Event"
_EARLIER = (Stores.ROS2_HUMBLE, Stores.ROS2_FOXY, Stores.ROS2_DASHING)

Decode = Callable[[Message], Any]


class Types:
    """The types of one recording. Two publishers may use one name for two types: each message is read by its own."""

    def __init__(self, distribution: str = ""):
        known = Stores.__members__.get(f"ROS2_{distribution.upper()}", Stores.ROS2_JAZZY)
        self._standard = {"cdr": known, "ros1": Stores.ROS1_NOETIC}
        self._stores: list[Typestore] = []
        self._known: dict[Stores, Typestore] = {}
        self._decoders: dict[tuple[str, str, Definition], Decode] = {}
        self._by_type: dict[str, tuple[Typestore, str]] = {}
        self._offline: dict[int, Definitions] = {}

    def decoder(self, channel: Channel) -> Decode:
        """What makes messages of a channel's bytes; raises BagError where nobody knows how."""
        key = (channel.type, channel.encoding, channel.definition)
        if key not in self._decoders:
            self._decoders[key] = self._made(channel)
        return self._decoders[key]

    def _made(self, channel: Channel) -> Decode:
        if channel.encoding not in self._standard:
            found = f"messages in the format {channel.encoding!r}" if channel.encoding else "messages in no format"
            raise BagError(f"{channel.topic}: found {found}, expected cdr")
        store, name = self._store(channel)
        read = store.deserialize_ros1 if channel.encoding == "ros1" else store.deserialize_cdr
        others = self._other(store, name) if channel.encoding == "cdr" else []

        def decode(message: Message) -> Any:
            nonlocal read
            try:
                return read(message.raw, name)
            except Exception as error:  # random bytes raise anything: SerdeError, struct.error, UnicodeDecodeError
                while others:
                    try:
                        result = others[0].deserialize_cdr(message.raw, name)
                    except Exception:
                        others.pop(0)
                    else:
                        read = others[0].deserialize_cdr
                        return result
                why = f" ({' '.join(str(error).split())})" if str(error) else ""
                found = f"{len(message.raw)} bytes at {message.log_ns * 1e-9:.3f} s that are no {channel.type}{why}"
                raise BagError(f"{channel.topic}: found {found}, expected messages of the topic's type") from error

        return decode

    @staticmethod
    def _is_undefined(channel: Channel) -> bool:
        """Whether the recording does not define the type; an empty definition is one of a message without fields."""
        return not channel.definition.text.strip() and not channel.type.endswith("Empty")

    def _other(self, store: Typestore, name: str) -> list[Typestore]:
        """Stores of distributions where the type has other fields, for bytes that do not fit.

        Old recordings do not define their types, and converters have written wrong definitions.
        """
        return [
            other
            for distribution in (self._standard["cdr"], *_EARLIER)
            if name in (other := self._standard_store(distribution)).fielddefs
            and other.fielddefs[name] != store.fielddefs[name]
        ]

    def _standard_store(self, name: Stores) -> Typestore:
        if name not in self._known:
            self._known[name] = get_typestore(name)
        return self._known[name]

    def _store(self, channel: Channel) -> tuple[Typestore, str]:
        """The store that knows the channel's type, and what the type is called there."""
        kind, why = _named_in_full(channel.type), "the recording has no definition of it"
        if not self._is_undefined(channel):
            try:
                parsed, name = _parsed(channel.definition, kind)
                store = self._registered(self._completed(parsed, channel.encoding))
                store.get_msgdef(name)
                self._by_type.setdefault(channel.type, (store, name))
                return store, name
            except Exception as error:  # rosbags' parser asserts, among others, on what it does not know
                why = f"its definition in the recording cannot be read: {' '.join(str(error).split())[:200]}"
        store = self._standard_store(self._standard[channel.encoding])
        if kind not in store.fielddefs:
            raise BagError(f"{channel.topic}: found the type {kind!r}, expected one that is known here ({why})")
        self._by_type.setdefault(channel.type, (store, kind))
        return store, kind

    def _completed(self, parsed: dict, encoding: str) -> dict:
        """Types that a definition names and does not define, from the standard ones."""
        standard = self._standard_store(self._standard[encoding]).fielddefs
        open_names = list(parsed)
        while open_names:
            for _, description in parsed[open_names.pop()][1]:
                name = _named(description)
                if name and name not in parsed:
                    if name not in standard:
                        raise BagError(f"{name} is not defined")
                    parsed[name] = standard[name]
                    open_names.append(name)
        return parsed

    def _registered(self, parsed: dict) -> Typestore:
        for store in self._stores:
            if all(store.fielddefs.get(name, content) == content for name, content in parsed.items()):
                break
        else:
            store = get_typestore(Stores.EMPTY)
            self._stores.append(store)
        store.register({name: content for name, content in parsed.items() if name not in store.fielddefs})
        return store

    def definitions(self, message_type: str) -> Mapping[str, FieldType]:
        """A Definitions: the recording's own types, and where it has none of that name the standard ones."""
        known = self._by_type.get(message_type)
        stores = [known[0]] if known else []
        for store in [*stores, *self._stores]:
            name = known[1] if known else message_type
            if name in store.fielddefs:
                return self._of(store)(name)
        try:
            return self._of(None)(message_type)
        except UnknownPackage:
            raise
        except ContractError as error:
            raise ContractError(str(error)) from None

    def _of(self, store: Typestore | None) -> Definitions:
        if id(store) not in self._offline:
            self._offline[id(store)] = offline(store or self._standard_store(self._standard["cdr"]))
        return self._offline[id(store)]


def _named_in_full(kind: str) -> str:
    """Early recordings, and those of ROS 1, write "pkg/Name"."""
    return kind.replace("/", "/msg/") if kind.count("/") == 1 else kind


def _named(description) -> str | None:
    """The message type that a field's description names."""
    kind, content = description
    while kind in (3, 4):  # array and sequence: of what
        kind, content = content[0]
    return content if kind == 2 else None


def _parsed(definition: Definition, kind: str) -> tuple[dict, str]:
    """The types of a definition, and what `kind` is called among them."""
    package, _, name = kind.rpartition("/")
    if package.endswith("/srv") and name.endswith(_EVENT):
        return event_types(definition.text, package.removesuffix("/srv"), name.removesuffix(_EVENT))
    if definition.form == "ros2idl":
        parsed: dict = {}
        text = definition.text
        for part in text.split(LINE)[1:] if text.startswith(f"{LINE}IDL: ") else [f"\n{text}"]:
            parsed.update(get_types_from_idl(part.partition("\n")[2]))
        return parsed, kind
    return get_types_from_msg(definition.text, kind), kind

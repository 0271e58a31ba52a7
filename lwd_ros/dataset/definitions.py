"""What fields message types have, where ROS is not installed: from the definitions that `rosbags` brings along."""

from collections.abc import Mapping
from typing import Any

from lwd_ros.contract.definitions import Definitions, FieldType, UnknownPackage, closest, live
from lwd_ros.contract.errors import ContractError

_BYTES = {"octet": "byte", "char": "uint8"}


def offline(store: Any = None) -> Definitions:
    """Definitions from one of rosbags' type stores; without one, from that of ROS 2 Jazzy.

    A store that has been given a recording's own definitions knows its types as well.

    Raises:
        ContractError: rosbags is not installed; or, from what is returned, the store has no such type, which is an
            UnknownPackage where it has none of that package.
    """
    try:
        from rosbags.interfaces import Nodetype
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise ContractError(
            "found no library 'rosbags', expected it for message types without ROS: pip install 'lwd_ros[bags]'"
        ) from error
    store = store or get_typestore(Stores.ROS2_JAZZY)
    known: dict[str, dict[str, FieldType]] = {}

    def field_type(node) -> FieldType:
        kind, content = node
        if kind == Nodetype.BASE:
            return FieldType(_BYTES.get(content[0], content[0]))
        if kind == Nodetype.NAME:
            return FieldType(content)
        (_, inner), length = content
        base = inner if isinstance(inner, str) else inner[0]
        return FieldType(_BYTES.get(base, base), "sequence" if kind == Nodetype.SEQUENCE else length)

    def definitions(message_type: str) -> Mapping[str, FieldType]:
        if message_type not in known:
            if message_type not in store.fielddefs:
                near = closest(message_type, list(store.fielddefs))
                package = message_type.partition("/")[0] + "/"
                kind = ContractError if any(each.startswith(package) for each in store.fielddefs) else UnknownPackage
                raise kind(f"found the message type {message_type!r}, expected one that is known here{near}")
            _, fields = store.fielddefs[message_type]
            known[message_type] = {name: field_type(node) for name, node in fields}
        return known[message_type]

    return definitions


def at_hand() -> Definitions:
    """Definitions of what rosbags knows and, where it does not, of the message classes that are installed.

    Without rosbags, of the classes alone. What is returned raises ContractError for a type that neither knows.
    """
    try:
        recorded = offline()
    except ContractError:
        return live

    def definitions(message_type: str) -> Mapping[str, FieldType]:
        try:
            return recorded(message_type)
        except ContractError as error:
            try:
                return live(message_type)
            except UnknownPackage:
                raise error from None
            except ContractError:
                raise ContractError(str(error)) from None

    return definitions

"""Message classes made from definitions, where none are installed: to see whether commands can be written into them."""

from collections.abc import Callable

from lwd_ros.contract.definitions import TEXTS, Definitions, FieldType


def stand_ins(definitions: Definitions) -> Callable[[str], type]:
    """From a message type ("pkg/msg/Name") to a class with its fields, as `writer` needs them.

    What is returned raises ContractError for a type that is not known.
    """
    known: dict[str, type] = {}

    def class_of(message_type: str) -> type:
        if message_type not in known:
            known[message_type] = _made(message_type, definitions(message_type), class_of)
        return known[message_type]

    return class_of


def _made(message_type: str, fields, class_of: Callable[[str], type]) -> type:
    def value_of(kind: FieldType) -> object:
        if kind.is_message:
            return class_of(kind.base)()
        return "" if kind.base in TEXTS else 0

    def __init__(self) -> None:
        for name, kind in fields.items():
            if kind.array is None:
                setattr(self, name, value_of(kind))
            else:
                length = kind.array if isinstance(kind.array, int) else 0
                setattr(self, name, [value_of(kind) for _ in range(length)])

    def get_fields_and_field_types(cls) -> dict[str, str]:
        return {name: str(kind) for name, kind in fields.items()}

    members = {"__init__": __init__, "get_fields_and_field_types": classmethod(get_fields_and_field_types)}
    return type(message_type.rpartition("/")[2], (), members)

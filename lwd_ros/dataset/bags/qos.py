"""The quality of service that a recording says its publishers offered."""

import functools

from lwd_ros.contract.streams import Qos
from lwd_ros.errors import LwdError
from lwd_ros.reading import parse_yaml

_RELIABILITY = {1: "reliable", 2: "best_effort"}  # rmw's numbers, which rosbag2 wrote before version 9
_DURABILITY = {1: "transient_local", 2: "volatile"}
_DEEPEST = 10_000  # a depth beyond is rmw's "unlimited" or "default"


@functools.lru_cache(maxsize=1024)
def offered(text: str) -> tuple[Qos | None, bool, int]:
    """What the text `offered_qos_profiles` says: what all publishers offer, whether any latched, how many there were.

    What cannot be read says nothing: no payload hangs on it.
    """
    try:
        return from_profiles(parse_yaml(text, "offered_qos_profiles"))
    except LwdError:
        return None, False, 0


def from_profiles(profiles: object) -> tuple[Qos | None, bool, int]:
    """As `offered`, of what YAML made of the text."""
    entries = [each for each in profiles if isinstance(each, dict)] if isinstance(profiles, list) else []
    found = [_qos(entry) for entry in entries]
    return Qos.heard(found), any(each.durability == "transient_local" for each in found), len(found)


def _qos(entry: dict) -> Qos:
    depth = entry.get("depth")
    return Qos(
        _word(entry.get("reliability"), _RELIABILITY),
        _word(entry.get("durability"), _DURABILITY),
        depth if isinstance(depth, int) and 0 < depth < _DEEPEST else None,
    )


def _word(value: object, words: dict[int, str]) -> str | None:
    if isinstance(value, int):
        return words.get(value)
    return value if value in words.values() else None  # type: ignore[return-value]

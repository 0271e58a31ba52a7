"""Types of service events: recordings define the service, and bring messages that its introspection makes of it.

That is the service's own file, and the types that it needs. rosbag2 of Jazzy and Kilted writes a head before it
("SRV: pkg/srv/Name"), calls its encoding "unknown" where it needs no types (Jazzy), and may add types as IDL.
"""

import re

from rosbags.typesys import get_types_from_idl, get_types_from_msg

LINE = "=" * 80 + "\n"

_HEAD = re.compile(r"(SRV|MSG|IDL): *(\S+) *\n")
_BETWEEN = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)  # a line of its own: comments are ruled with dashes, too
_INFO = """MSG: service_msgs/msg/ServiceEventInfo
uint8 event_type
builtin_interfaces/Time stamp
uint8[16] client_gid
int64 sequence_number
"""


def event_types(text: str, package: str, name: str) -> tuple[dict, str]:
    """The types of the events of service NAME in PACKAGE, and what the event is called among them.

    Raises:
        ValueError: the text defines no service.
        rosbags' own errors: a type cannot be read.
    """
    request, response, nested = _taken_apart(text.replace("\r\n", "\n"))
    base = f"{package}/msg/{name}"
    event = f"service_msgs/ServiceEventInfo info\n{base}_Request[<=1] request\n{base}_Response[<=1] response\n"
    parts = [event, f"MSG: {base}_Request\n{request}", f"MSG: {base}_Response\n{response}", _INFO]
    parts += [content for kind, content in nested if kind != "IDL"]
    whole = LINE.join(part if part.endswith("\n") else part + "\n" for part in parts)
    parsed = dict(get_types_from_msg(whole, f"{base}_Event"))
    for kind, content in nested:
        if kind == "IDL":
            parsed |= get_types_from_idl(content.partition("\n")[2])
    return parsed, f"{base}_Event"


def _taken_apart(text: str) -> tuple[str, str, list[tuple[str, str]]]:
    """(request, response, what they need as kind and text with its head)."""
    own, nested = None, []
    for section in text.split(LINE):
        head = _HEAD.match(section)
        if head is not None and head[1] != "SRV":
            nested.append((head[1], section))
        elif head is not None or section.strip():
            if own is not None:
                raise ValueError("found two definitions without a head, expected one service")
            own = section[head.end() :] if head is not None else section
    sides = _BETWEEN.split(own or "")
    if len(sides) != 2:
        raise ValueError(f"found {len(sides) - 1} lines '---', expected one between request and response")
    return sides[0], sides[1], nested

"""Events of services as rosbag2 has defined them over time: what was asked and answered is read from each."""

import sqlite3
import struct

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from bags_support import START_NS, arm, write_rosbag2
from mcap.writer import Writer
from recordings_support import service_event
from rosbags.rosbag2 import StoragePlugin

from lwd_ros.dataset.bags import BagError, open_bags

LINE = "=" * 80
PLAIN = "int64 a\n---\nint64 sum\n"
HEADED = f"{LINE}\nSRV: demo/srv/Add\n{PLAIN}"
RULED = """# Adds
# ----
int64 MOST=100
int64 a  # the number
---
#---
int64 sum
"""
NESTED = f"demo/Pair pair\n---\nint64 sum\n\n{LINE}\nMSG: demo/Pair\nint64 a\nint64 b\n"
IDL = f"""demo/Pair pair
---
int64 sum

{LINE}
IDL: demo/msg/Pair
module demo {{
  module msg {{
    struct Pair {{
      int64 a;
      int64 b;
    }};
  }};
}};
"""

FORMS = {
    "plain": ("ros2msg", PLAIN),
    "jazzy_without_types": ("unknown", HEADED),
    "kilted": ("ros2msg", HEADED),
    "without_a_last_line_end": ("ros2msg", HEADED.rstrip("\n")),
    "windows": ("ros2msg", HEADED.replace("\n", "\r\n").replace(f"{LINE}\r\n", f"{LINE}\n")),
    "comments": ("ros2msg", f"{LINE}\nSRV: demo/srv/Add\n{RULED}"),
    "nested": ("ros2msg", NESTED),
    "headed_nested": ("ros2msg", f"{LINE}\nSRV: demo/srv/Add\n{NESTED}"),
    "idl": ("ros2idl", f"{LINE}\nSRV: demo/srv/Add\n{IDL}"),
}


def events(pair: bool) -> list[bytes]:
    """41 (and 2) were asked for; 43 was the answer."""
    request = struct.pack("<4xqq", 41, 2) if pair else struct.pack("<4xq", 41)
    return [service_event(1, 5, request, None), service_event(2, 5, None, struct.pack("<q", 43))]


def write(path, definition, contents, kind: str = "demo/srv/Add_Event"):
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "test")
        schema = writer.register_schema(kind, definition[0], definition[1].encode())
        channel = writer.register_channel("/add/_service_event", "cdr", schema)
        for content in contents:
            writer.add_message(channel, START_NS, content, START_NS)
        writer.finish()
    return path


@pytest.mark.parametrize("form", FORMS)
def test_what_was_asked_and_answered_is_read(tmp_path, form):
    definition = FORMS[form]
    pair = "Pair" in definition[1]
    with open_bags(write(tmp_path / "a.mcap", definition, events(pair))) as bag:
        asked, answered = (each.message for each in bag.messages())
    assert (asked.info.event_type, asked.info.sequence_number) == (1, 5)
    (request,) = asked.request
    assert (request.pair.a, request.pair.b) == (41, 2) if pair else request.a == 41
    assert [each.sum for each in answered.response] == [43]
    assert not len(asked.response) and not len(answered.request)


@pytest.mark.parametrize("named", ["demo/srv/Add", "demo/srv/Add_Event"])
def test_sqlite_defines_the_service_or_its_event(tmp_path, named):
    folder = write_rosbag2(tmp_path / "bag", arm(4), StoragePlugin.SQLITE3)
    (path,) = folder.glob("*.db3")
    with sqlite3.connect(path) as database:
        row = (9, "/add/_service_event", "demo/srv/Add_Event", "cdr", "", "")
        database.execute("INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO message_definitions VALUES (9, ?, 'ros2msg', ?, '')", (named, HEADED))
        for content in events(False):
            database.execute("INSERT INTO messages VALUES (NULL, 9, ?, ?)", (START_NS, content))
    with open_bags(path) as bag:
        asked, answered = (each.message for each in bag.messages(["/add/_service_event"]))
    assert (asked.request[0].a, answered.response[0].sum) == (41, 43)


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (f"{LINE}\nSRV: demo/srv/Add\nint64 a\n", "found 0 lines '---', expected one between request and response"),
        ("int64 a\n---\nint64 b\n---\nint64 c\n", "found 2 lines '---'"),
        (f"{PLAIN}{LINE}\n{PLAIN}", "found two definitions without a head"),
        (f"{LINE}\nSRV: demo/srv/Add\nodd_msgs/Odd a\n---\nint64 sum\n", "odd_msgs/msg/Odd is not defined"),
    ],
)
def test_a_definition_that_is_none_is_one_sentence_with_the_topic(tmp_path, definition, why):
    path = write(tmp_path / "a.mcap", ("ros2msg", definition), events(False))
    with open_bags(path) as bag, pytest.raises(BagError) as error:
        _ = next(bag.messages()).message
    assert str(error.value).startswith("/add/_service_event: found the type 'demo/srv/Add_Event', expected one that")
    assert why in str(error.value)
    assert "\n" not in str(error.value)

"""Pins that docs/reference/contracts.md and docs/tutorial/your_robot.md say what the code does.

Every whole contract on the pages loads and gives messages; every key that the code accepts stands in the table of its
section, and no other; every path and every sentence of the tables is one of the code's.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rosbags.typesys import Stores, get_typestore

from lwd_ros.contract import TF, Contract, ContractError
from lwd_ros.contract.definitions import FieldType, check_fields, class_of, has_header
from lwd_ros.contract.fields import Field, writer
from lwd_ros.contract.functions import REDUCING, SHAPING
from lwd_ros.contract.paths import NAMES

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/contracts.md").read_text(encoding="utf-8")
HOWTO = (ROOT / "docs/tutorial/your_robot.md").read_text(encoding="utf-8")
MISSPELT = "misspelt"


def contracts_of(text: str) -> list[dict]:
    """The yaml blocks of a page that are whole contracts."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
    return [block for block in blocks if isinstance(block, dict) and "period_s" in block]


EXAMPLES = [*contracts_of(REFERENCE), *contracts_of(HOWTO)]
STORE = get_typestore(Stores.ROS2_JAZZY)


def definitions(name: str) -> dict[str, FieldType]:
    """Fields of the standard message types, without ROS."""
    result = {}
    for field, (kind, inner) in STORE.fielddefs[name][1]:
        array = None
        if kind.name in ("ARRAY", "SEQUENCE"):
            (kind, inner), length = inner
            array = length if length else "sequence"
        result[field] = FieldType(inner[0] if kind.name == "BASE" else inner, array)
    return result


def walk(value, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all mappings and of all values in parsed YAML, outermost first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, (*path, key))


def at(value, path: tuple):
    for step in path:
        value = value[step]
    return value


def section_of(content: dict, path: tuple) -> str:
    """What the page calls the section at a path; "" for mappings whose keys are a contract's own names."""
    text = ".".join("[]" if isinstance(step, int) else step for step in path).replace(".[]", "[]")
    if path and path[-1] == "qos":
        return "qos"
    if re.fullmatch(r"(observation|command)\.[^.]+", text):
        return text.split(".")[0] + ".NAME"
    if re.fullmatch(r"binding\.\w+\.streams\[\]\.fields\.[^.]+(\[\d+\])?", text):
        return text.rpartition(".")[0] + ".NAME"
    own = ("observation", "command", "binding.command.limits")
    if text in own or path[-1:] in (("fields",), ("constants",), ("replace",)) or "constants" in path:
        return ""
    if text == "binding.observation.streams[]" and at(content, path).get("type") == TF:
        return f"{text} of tf"
    return text or "Top level"


def refusal(content: dict) -> str:
    try:
        Contract.from_dict(content)
    except ContractError as error:
        return str(error)
    return ""


def accepted() -> dict[str, set[str]]:
    """By section the keys that the code accepts, as it says them where it finds another."""
    result: dict[str, set[str]] = {}
    for example in EXAMPLES:
        for path in walk(example):
            if not isinstance(at(example, path), dict) or not (section := section_of(example, path)):
                continue
            content = copy.deepcopy(example)
            at(content, path)[MISSPELT] = MISSPELT
            known = re.search(rf"found '{MISSPELT}', expected one of (.*)", refusal(content))
            assert known, f"{section}: a misspelt key is not refused by name: {refusal(content)!r}"
            result.setdefault(section, set()).update(known[1].split(", "))
    return result


def used() -> dict[str, set[str]]:
    """By section the keys that the examples have."""
    result: dict[str, set[str]] = {}
    for example in EXAMPLES:
        for path in walk(example):
            if isinstance(at(example, path), dict) and (section := section_of(example, path)):
                result.setdefault(section, set()).update(at(example, path))
    return result


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    _, _, below = REFERENCE.partition(f"{heading}\n")
    assert below, f"no heading {heading!r}"
    lines = re.search(r"^\|.*?(?=\n\n|\Z)", below.split("\n#")[0], re.DOTALL | re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def documented() -> dict[str, set[str]]:
    """By section the keys in the first column of its table."""
    result = {}
    for heading in re.findall(r"^### .*$", REFERENCE, re.MULTILINE):
        if heading == "### Top level" or heading.startswith("### `"):
            section = heading.removeprefix("### ").replace("`", "")
            result[section] = {row[0].strip("`") for row in rows(heading)}
    return result


@pytest.mark.parametrize("content", EXAMPLES, ids=lambda content: content["name"])
def test_every_contract_on_the_pages_loads_and_can_be_sent(content):
    """Types and fields too, by the message definitions; and the command messages are made."""
    pytest.importorskip("sensor_msgs.msg")
    binding = Contract.from_dict(content).require_binding()
    for stream in binding.observation_streams:
        if stream.type != TF:
            check_fields(stream.type, stream.fields, definitions)
            assert has_header(stream.type, definitions) or (stream.stamp == "arrival" and stream.frame_id is None)
    for stream in binding.command_streams:
        check_fields(stream.type, stream.fields, definitions, command=True)
        assert has_header(stream.type, definitions) == (stream.frame_id is not None)
        writer(class_of(stream.type), stream.fields, stream.constants)
    for stream in binding.permission_streams:
        check_fields(stream.type, (stream.field,), definitions)


def test_both_pages_have_whole_contracts():
    assert len(contracts_of(REFERENCE)) >= 2 and len(contracts_of(HOWTO)) >= 1


def test_the_page_names_every_key_that_the_code_accepts_and_no_other():
    assert documented() == accepted()


def test_the_examples_use_every_key():
    """A section that no example has would escape the test above."""
    assert used() == accepted()


def test_the_page_names_every_word_that_the_code_accepts():
    """Values that are one of several words, functions, and lists of names."""
    words = {*REDUCING, *SHAPING, *NAMES}
    for example in EXAMPLES:
        for path in walk(example):
            if isinstance(at(example, path), str) and path[-1] not in ("name", "topic", "unit"):
                content = copy.deepcopy(example)
                at(content, path[:-1])[path[-1]] = MISSPELT
                known = re.search(rf"found '{MISSPELT}', expected one of ([\w, ]+)$", refusal(content))
                if known and "fields" not in path:
                    words.update(known[1].split(", "))
    assert words > {"same_stamp", "arrival", "now", "resume", "best_effort", "transient_local", "hold"}
    assert [word for word in sorted(words) if f"`{word}`" not in REFERENCE] == []


@pytest.mark.parametrize("row", rows("## Paths"), ids=lambda row: row[0])
def test_every_path_of_the_table_is_one_of_its_message(row):
    path, kind = row[0].strip("`"), row[1].strip("`")
    functions = {"ranges": ("min",), "pose.pose.orientation": ("yaw",)}.get(path.partition("[")[0], ())
    field = Field(path, functions)
    check_fields(kind, (field,), definitions)


ARM, TOOL = "arm_with_lidar", "tool_down"
STREAMS = ("binding", "observation", "streams")
COMMANDS = ("binding", "command", "streams")
LIFT = (*STREAMS, 0, "fields", "lift")
NOTHING = object()
REFUSED = (  # which example, where, what is put there; the sentence is the row of the page with the same place
    (ARM, (*STREAMS, 0, "stale_afters"), 1.0),
    (ARM, (*STREAMS, 0, "fields", "elbow"), NOTHING),
    (ARM, (*STREAMS, 0, "fields", "elbow"), "position[lift_joint]"),
    (ARM, (*STREAMS, 1, "fields", "obstacle"), "ranges[0:40]"),
    (ARM, LIFT, "position[-1]"),
    (ARM, ("command", "elbow_target", "rest"), "zero"),
    (ARM, ("command", "lift_target", "rest"), "obstacle"),
    (ARM, ("binding", "command", "on_fault"), "zero"),
    (ARM, ("binding", "command", "keep_on_hold"), ["grip"]),
    (ARM, ("binding", "command", "limits", "lift_target"), [-3.0, 3.0]),
    (ARM, (*COMMANDS, 1, "fields", "grip"), {"field": "data", "function": "sin"}),
    (ARM, LIFT, {"field": "position[lift_joint]", "function": ["min", "yaw"]}),
    (ARM, (*STREAMS, 1, "stamp"), "arrival"),
    (ARM, ("binding", "permission", "streams", 0, "equals"), NOTHING),
    (ARM, ("binding", "permission", "streams", 0, "stale_after_s"), NOTHING),
    (ARM, (*COMMANDS, 0, "topic"), "/joint_states"),
)


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_every_sentence_of_the_table_is_what_the_code_says(place):
    example, path, value = REFUSED[place]
    content = copy.deepcopy(next(each for each in EXAMPLES if each["name"] == example))
    content["binding"]["observation"]["sync"] = "same_stamp"
    if value is NOTHING:
        del at(content, path[:-1])[path[-1]]
    else:
        at(content, path[:-1])[path[-1]] = value
    assert rows("## What is refused")[place][0].strip("`") in refusal(content)


def test_every_sentence_of_the_table_is_tried():
    assert len(rows("## What is refused")) == len(REFUSED)

"""Pins the grammar of a field's path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import ContractError
from lwd_ros.contract.paths import Element, Index, Key, Name, Path, Slice


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("data", [Element("data")]),
        ("pose.position.x", [Element("pose"), Element("position"), Element("x")]),
        ("position[3]", [Element("position", (Index(3),))]),
        ("position[elbow]", [Element("position", (Name("elbow"),))]),
        ("position[arm 1]", [Element("position", (Name("arm 1"),))]),
        ("effort[x/y.z]", [Element("effort", (Name("x/y.z"),))]),
        ("ranges[0:360:10]", [Element("ranges", (Slice(0, 360, 10),))]),
        ("ranges[5:]", [Element("ranges", (Slice(5, None, 1),))]),
        ("ranges[:7]", [Element("ranges", (Slice(0, 7, 1),))]),
        ("ranges[::2]", [Element("ranges", (Slice(0, None, 2),))]),
        ("ranges[a:b]", [Element("ranges", (Name("a:b"),))]),
        ("points[0].positions[elbow]", [Element("points", (Index(0),)), Element("positions", (Name("elbow"),))]),
        (
            "transforms[child_frame_id=arm/tool0].transform.rotation.w",
            [
                Element("transforms", (Key("child_frame_id", "arm/tool0"),)),
                *(Element(attribute) for attribute in ("transform", "rotation", "w")),
            ],
        ),
        ("poses[header.frame_id=a=b].x", [Element("poses", (Key("header.frame_id", "a=b"),)), Element("x")]),
        ("matrix[1][2]", [Element("matrix", (Index(1), Index(2)))]),
    ],
)
def test_a_path_is_its_elements(text, elements):
    path = Path.parse(text)
    assert path == Path(tuple(elements))
    assert Path.parse(str(path)) == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a message field such as pose.position.x"),
        (None, "found None, expected a message field"),
        (3, "found 3, expected a message field"),
        (".x", "attribute's name where it says '.x'"),
        ("x.", "attribute's name where it says nothing"),
        ("x..y", "attribute's name where it says '.y'"),
        ("[3]", r"attribute's name where it says '\[3\]'"),
        ("3x", "attribute's name where it says '3x'"),
        ("x y", r"a dot or \[...\] where it says ' y'"),
        ("x[", r"a dot or \[...\] where it says '\['"),
        ("x[3", r"where it says '\[3'"),
        ("x]", "where it says ']'"),
        ("x[a[b]]", r"where it says '\[a\[b\]\]'"),
        ("x[]", r"an index, a name, key=value or a slice in '\[\]'"),
        ("x[ a]", r"in '\[ a\]'"),
        ("x[-1]", "an index from 0 up where it says -1"),
        ("x[-3:]", "an index from 0 up where it says -3"),
        ("x[0:-1]", "an index from 0 up where it says -1"),
        ("x[9999999999]", "an index from 0 up where it says 9999999999"),
        ("x[0:4:0]", "a slice's step above 0"),
        ("x[4:4]", "a slice that ends after its start"),
        ("x[5:2]", "a slice that ends after its start"),
        ("x[0:3].y", "a slice at the end of the path only"),
        ("x[0:3][1]", "a slice at the end of the path only"),
        ("x\n", "where it says"),
    ],
)
def test_what_is_no_path_is_refused_in_one_sentence(text, expected):
    with pytest.raises(ContractError, match=expected) as caught:
        Path.parse(text)
    assert str(caught.value).startswith("found ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "prefixed"),
    [
        ("position[elbow]", "position[left_elbow]"),
        ("points[0].positions[elbow]", "points[0].positions[left_elbow]"),
        ("interface_values[elbow].values[position]", "interface_values[left_elbow].values[position]"),
        ("position[3]", "position[3]"),
        ("transforms[child_frame_id=tool0].transform.rotation.w",) * 2,
        ("ranges[0:3]", "ranges[0:3]"),
    ],
)
def test_a_prefix_stands_before_the_joint_alone(text, prefixed):
    assert str(Path.parse(text).with_prefix("left_")) == prefixed
    assert Path.parse(text).with_prefix("") == Path.parse(text)


_ATTRIBUTES = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
_SELECTORS = (
    st.builds(Index, st.integers(0, 999))
    | st.builds(Name, st.from_regex(r"[a-z][a-z /.]{0,4}[a-z]", fullmatch=True))
    | st.builds(Key, _ATTRIBUTES, st.from_regex(r"[a-z0-9=/.]{1,5}", fullmatch=True))
)
_ELEMENTS = st.builds(Element, _ATTRIBUTES, st.lists(_SELECTORS, max_size=2).map(tuple))


@given(st.lists(_ELEMENTS, min_size=1, max_size=4))
def test_a_path_that_is_written_is_parsed_to_itself(elements):
    path = Path(tuple(elements))
    assert Path.parse(str(path)) == path


@given(st.text(alphabet="ab1.[]=:- ", max_size=12))
def test_any_text_is_a_path_or_a_contract_error(text):
    try:
        path = Path.parse(text)
    except ContractError:
        return
    assert Path.parse(str(path)) == path

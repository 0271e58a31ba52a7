"""Pins the one reader of YAML: no key twice, safe types alone, one sentence that names file, line and key."""

import ast
from pathlib import Path

import pytest

import lwd_ros
from lwd_ros.errors import LwdError
from lwd_ros.reading import read_json, read_yaml

ROOT = Path(lwd_ros.__file__).parents[1]


class OtherError(LwdError):
    """Stands for that of a caller."""


def _yaml(folder: Path, text: str):
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, "a robot in YAML", OtherError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a': found 2 times, in lines 1 and 3; expected once"),
        ("x:\n  a: 1\n  'a': 1\n  a: 2\n", "key 'a': found 3 times, in lines 2, 3 and 4; expected once"),
        ("- {a: 1, a: 1}\n", "key 'a': found 2 times, in lines 1 and 1; expected once"),
        ("1: a\n0x1: b\n", "key '1': found 2 times, in lines 1 and 2; expected once"),
        ("on: a\nyes: b\n", "key 'true': found 2 times, in lines 1 and 2; expected once"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", "key '<<': found 2 times, in lines 2 and 2; expected once"),
        ("a: &a {x: 1, x: 2}\nb: {<<: *a}\n", "key 'x': found 2 times, in lines 1 and 1; expected once"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text, expected):
    with pytest.raises(OtherError) as caught:
        _yaml(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'my.yaml'}: {expected}"


def test_anchors_and_merges_still_work(tmp_path):
    text = """
    base: &base {a: 1, b: 2}
    more: &more {<<: *base, b: 3}
    most: {<<: [*more, {c: 4}], a: 5}
    same: *more
    on: {1: x, 2.5: y, null: z}
    """
    assert _yaml(tmp_path, text) == {
        "base": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3},
        "most": {"a": 5, "b": 3, "c": 4},
        "same": {"a": 1, "b": 3},
        True: {1: "x", 2.5: "y", None: "z"},
    }


@pytest.mark.parametrize("text", ["a: [", "a: 2020-13-45", "[" * 20_000, "{[a]: 1}", "!!python/name:os.getcwd x: 1"])
def test_what_is_no_yaml_is_one_sentence(tmp_path, text):
    with pytest.raises(OtherError, match=r"^.*my\.yaml: is not YAML: ") as caught:
        _yaml(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_what_cannot_be_read_is_one_sentence(tmp_path, read):
    for path in (tmp_path, tmp_path / "nothing", "\0"):
        with pytest.raises(OtherError, match=r"cannot be read .*; expected a robot$"):
            read(path, "a robot", OtherError)
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(OtherError, match=r"bytes: is not (YAML|JSON)"):
        read(path, "a robot", OtherError)


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000])
def test_what_is_no_json_is_one_sentence(tmp_path, text):
    (tmp_path / "my.json").write_text(text)
    with pytest.raises(OtherError, match=r"my\.json: is not JSON \(.*\); expected a robot$"):
        read_json(tmp_path / "my.json", "a robot", OtherError)


def _readers(source: str) -> set[str]:
    """What of the module `yaml` reads YAML, used anywhere in a source, under whatever name."""
    writers = {"safe_dump", "dump", "safe_dump_all", "YAMLError"}
    tree, names, found = ast.parse(source), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "yaml"}
        elif isinstance(node, ast.ImportFrom) and node.module == "yaml":
            found |= {alias.name for alias in node.names} - writers
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            found |= {node.attr} - writers
    return found


def test_yaml_is_read_in_one_place():
    assert _readers("import yaml as y\ny.safe_load(1)") == {"safe_load"} and _readers("from yaml import load") == {
        "load"
    }
    folders = ("lwd_ros", "benchmarks/lwd_benchmarks", "launch", "scripts")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in sources if _readers(path.read_text(encoding="utf-8"))}
    assert found == {"lwd_ros/reading.py"}


@pytest.mark.parametrize(("text", "value"), [
    ("1e-3", 1e-3), ("-2E5", -2e5), ("+1e3", 1e3), ("1.5e-3", 1.5e-3), ("'1e-3'", "1e-3"), ("1e", "1e"),
    ("0x1e3", 0x1E3), ("1e1234", "1e1234"), ("e5", "e5"), ("3", 3),
])  # fmt: skip
def test_numbers_with_an_exponent_need_no_point(tmp_path, text, value):
    found = _yaml(tmp_path, f"rate: {text}\n")["rate"]
    assert found == value and type(found) is type(value)

"""Pins the contract: its digest, and every error that its author can make."""

import copy
import math
import re

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_ros.contract import AGE, CommandLimiter, Contract, ContractError
from lwd_ros.resources import share_path

SHIPPED = yaml.safe_load(share_path("config", "metaworld.yaml").read_text(encoding="utf-8"))
DELETE = object()


def _changed(path: str, value) -> dict:
    """The shipped contract with the key at `path` ("a.b.0.c") set, or removed for DELETE."""
    content = copy.deepcopy(SHIPPED)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = content
    for part in parents:
        place = place[part]
    if value is DELETE:
        del place[last]
    else:
        place[last] = value
    return content


# Digest


def test_digest_is_that_of_the_shipped_models():
    # Changing this number orphans every policy and model file that exists.
    assert Contract.from_dict(SHIPPED).digest == "580b105cd0b3ebc00369aa9c8e9219641a1de78ab444828517cf889ae3c0b7c7"


def test_the_contract_with_an_age_is_the_other_and_one_scalar_no_topic_carries():
    aged = yaml.safe_load(share_path("config", "metaworld_age.yaml").read_text(encoding="utf-8"))
    contract, plain = Contract.from_dict(aged), Contract.from_dict(SHIPPED)
    assert contract.digest == plain.with_age(0.1).digest != plain.digest
    assert (plain.age_place, contract.age_place, contract.observation_names[21]) == (None, 21, AGE)
    del aged["observation"][AGE]
    assert aged == SHIPPED
    # Wherever it stands, the others keep their places.
    first = _changed("observation", {AGE: {"unit": "s", "limits": [0, 0.2]}, **SHIPPED["observation"]})
    moved = Contract.from_dict(first)
    assert moved.age_place == 0 and moved.observation[0].maximum == 0.2
    assert moved.binding.observation_streams[0].indices == (1, 2, 3)


def test_contracts_tell_what_they_differ_in():
    plain = Contract.from_dict(SHIPPED)
    assert plain.differences(plain) == []
    assert plain.differences(plain.with_age(0.1)) == plain.with_age(0.1).differences(plain) == [f"observation.{AGE}"]
    assert plain.differences(Contract.from_dict(_changed("command.gripper_effort.slew_per_s", 1.0))) == [
        "command.gripper_effort"
    ]
    assert plain.differences(Contract.from_dict(_changed("period_s", 1.0))) == ["period_s"]
    turned = _changed("observation", dict(reversed(SHIPPED["observation"].items())))
    assert plain.differences(Contract.from_dict(turned)) == ["the order of observation"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (f"observation.{AGE}", {"unit": "ms", "limits": [0, 100]}, "found 'from 0 ms', expected 'from 0 s"),
        (f"observation.{AGE}", {"unit": "s", "limits": [-1, 1]}, "found 'from -1 s', expected 'from 0 s"),
    ],
)
def test_an_age_that_is_none_is_refused(path, value, sentence):
    with pytest.raises(ContractError, match=sentence.replace("'from 0 s", "from 0 s")):
        Contract.from_dict(_changed(path, value))


def test_no_topic_may_carry_the_age():
    content = _changed(f"observation.{AGE}", {"unit": "s", "limits": [0, 0.1]})
    content["binding"]["observation"]["streams"][0]["fields"][AGE] = "pose.orientation.x"
    with pytest.raises(ContractError, match=rf"fields\.{AGE}'"):
        Contract.from_dict(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "another"),
        ("period_s", 0.02),
        ("observation.hand_x.unit", "mm"),
        ("observation.hand_x.limits", [-0.6, 0.7]),
        ("observation.goal_x", DELETE),
        ("observation.extra", {"unit": "m", "limits": [0, 1]}),
        ("command.hand_velocity_x.unit", "mm/s"),
        ("command.hand_velocity_x.limits", [-0.8, 0.7]),
        ("command.gripper_effort.slew_per_s", 79.0),
        ("command.gripper_effort", DELETE),
    ],
)
def test_digest_changes_with_every_meaningful_key(path, value):
    content = _changed(path, value)
    del content["binding"]
    assert Contract.from_dict(content).digest != Contract.from_dict(SHIPPED).digest


@pytest.mark.parametrize("key", ["observation", "command"])
def test_digest_changes_with_the_order(key):
    content = copy.deepcopy(SHIPPED)
    content[key] = dict(reversed(content[key].items()))
    contract = Contract.from_dict(content)
    assert contract.digest != Contract.from_dict(SHIPPED).digest
    assert contract.observation_names == tuple(content["observation"])
    assert contract.command_names == tuple(content["command"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("binding", DELETE),
        ("binding.observation.sync", "latest"),
        ("binding.observation.streams.0.topic", "arm/tip"),
        ("binding.observation.streams.0.stale_after_s", 1),
        ("binding.command.on_fault", "zero"),
        ("binding.command.limits", {"hand_velocity_x": [-0.1, 0.1]}),
    ],
)
def test_digest_does_not_cover_the_binding(path, value):
    assert Contract.from_dict(_changed(path, value)).digest == Contract.from_dict(SHIPPED).digest


def test_whole_numbers_and_decimals_mean_the_same():
    content = _changed("observation.gripper_opening.limits", [0, 1])
    assert Contract.from_dict(content).digest == Contract.from_dict(SHIPPED).digest


def test_meaning_reads_back():
    contract = Contract.from_dict(SHIPPED)
    again = Contract.from_dict(contract.meaning())
    assert again.binding is None
    assert again.meaning() == contract.meaning()
    assert (again.digest, again.observation, again.command) == (contract.digest, contract.observation, contract.command)
    with pytest.raises(ContractError, match=r"'metaworld_sawyer'.*'binding'.*found nothing"):
        again.require_binding()


def test_a_binding_knows_where_its_scalars_stand():
    content = _changed("binding.observation.streams", list(reversed(SHIPPED["binding"]["observation"]["streams"])))
    contract = Contract.from_dict(content)
    for stream in contract.binding.observation_streams:
        assert tuple(contract.observation_names[i] for i in stream.indices) == stream.names


# What its author can get wrong: (path, value, what was found, what was expected[, the key named if not that at path])

BAD = {
    "missing": ("period_s", DELETE, "'nothing'", "a finite number above 0"),
    "missing section": ("command", DELETE, "'nothing'", "a mapping"),
    "missing in a scalar": ("observation.hand_x.unit", DELETE, "'nothing'", "a text"),
    "misspelt": ("perod_s", 0.1, "'perod_s'", "one of name, period_s"),
    "misspelt in a scalar": ("command.gripper_effort.slew", 1, "'slew'", "slew_per_s"),
    "misspelt in the binding": (
        "binding.comand",
        {},
        "'comand'",
        "one of joint_prefix, observation, command, permission",
    ),
    "misspelt in a stream": ("binding.observation.streams.0.colour", 1, "'colour'", "topic"),
    "NaN": ("period_s", math.nan, "nan", "a finite number above 0"),
    "infinite": ("command.gripper_effort.slew_per_s", math.inf, "inf", "finite"),
    "beyond float64": ("period_s", 10**400, "1000", "a finite number above 0"),
    "zero period": ("period_s", 0, "0", "above 0"),
    "a truth value": ("period_s", True, "True", "a finite number"),
    "a text for a number": ("period_s", "0.0125", "'0.0125'", "a finite number"),
    "nine frames": ("history", 9, "9", "1 to 8 frames"),
    "no frame": ("history", 0, "0", "1 to 8 frames"),
    "half a frame": ("history", 1.5, "1.5", "1 to 8 frames"),
    "a name of an earlier frame": (
        "observation.hand_x@-1",
        {"unit": "m", "limits": [-1, 1]},
        "'hand_x@-1'",
        "a scalar of an earlier frame is called so",
    ),
    "history true": ("history", True, "True", "a finite number"),
    "empty name": ("name", "", "''", "a text"),
    "reversed": ("observation.hand_x.limits", [1, -1], "[1, -1]", "the first the smaller"),
    "equal limits": ("observation.hand_x.limits", [1, 1], "[1, 1]", "the first the smaller"),
    "equal as float64": ("observation.hand_x.limits", [2**60, 2**60 + 1], "1152", "smaller"),
    "three limits": ("observation.hand_x.limits", [0, 1, 2], "[0, 1, 2]", "two finite"),
    "NaN limit": ("observation.hand_x.limits", [0, math.nan], "nan", "two finite"),
    "huge limit": ("observation.hand_x.limits", [0, 10**400], "[0, 1000", "two finite"),
    "limits not around 0": ("command.gripper_effort.limits", [0.1, 1], "[0.1", "around 0"),
    "a list for a mapping": ("observation", [1], "[1]", "a mapping"),
    "no scalars": ("observation", {}, "'nothing'", "at least one scalar"),
    "a name that YAML read as true": (
        "observation",
        {True: {"unit": "m", "limits": [0, 1]}},
        "True",
        "a text",
        "observation.True",
    ),
    "unknown sync": ("binding.observation.sync", "newest", "'newest'", "same_stamp, latest"),
    "unknown outcome": ("binding.command.on_fault", "go", "'go'", "one of hold, zero"),
    "unknown kept": ("binding.command.keep_on_hold", ["x"], "['x']", "gripper_effort"),
    "no streams": ("binding.command.streams", [], "[]", "not empty"),
    "a topic that ends in a slash": ("binding.observation.streams.0.topic", "/hand/", "'/hand/'", "a ROS topic"),
    "topic with a newline": ("binding.observation.streams.0.topic", "hand\n", "'hand\\n'", "a ROS topic"),
    "one topic twice": (
        "binding.observation.streams.0.topic",
        "goal",
        "topic 'goal' with two types or QoS",
        "one of each",
        "binding",
    ),
    "a command on an observation's topic": (
        "binding.command.streams.0.topic",
        "goal",
        "'goal' twice",
        "once",
        "binding",
    ),
    "no type": ("binding.observation.streams.0.type", "PoseStamped", "'PoseStamped'", "a message type such as"),
    "no path": ("binding.observation.streams.0.fields.hand_x", "pose.", "'pose.'", "where it says nothing"),
    "a number as a field": ("binding.observation.streams.0.fields.hand_x", 3, "3", "a text"),
    "a joint without a name": (
        "binding.command.streams.1.fields.gripper_effort",
        "effort[]",
        "'effort[]'",
        "an index, a name",
    ),
    "one field for two scalars": (
        "binding.command.streams.0.fields.hand_velocity_y",
        "twist.linear.x",
        "'twist.linear.x'",
        "one scalar only",
        "binding.command.streams[0].fields.hand_velocity_y",
    ),
    "a stream of nothing": ("binding.observation.streams.0.fields", {}, "'nothing'", "at least one scalar"),
    "never stale": ("binding.observation.streams.0.stale_after_s", 0, "0", "above 0"),
    "unknown scalar": ("binding.observation.streams.0.fields.elbow", "pose.position.x", "'elbow'", "one of hand_x"),
    "bound never": (
        "binding.observation.streams.0.fields.hand_x",
        DELETE,
        "'hand_x' bound 0 times",
        "once",
        "binding.observation.streams",
    ),
    "bound twice": (
        "binding.observation.streams.4.fields",
        {"goal_x": "point.x", "goal_y": "point.y", "hand_x": "point.z"},
        "'hand_x' bound 2 times",
        "once",
        "binding.observation.streams",
    ),
    "widened": (
        "binding.command.limits",
        {"gripper_effort": [-1, 1.5]},
        "[-1.0, 1.5]",
        "inside the contract's [-1, 1]",
        "binding.command.limits.gripper_effort",
    ),
    "tightened away from 0": (
        "binding.command.limits",
        {"gripper_effort": [0.5, 0.9]},
        "[0.5, 0.9]",
        "limits around 0",
        "binding.command.limits.gripper_effort",
    ),
    "limits of an unknown command": (
        "binding.command.limits",
        {"elbow": [-1, 1]},
        "'elbow'",
        "one of hand_velocity_x",
        "binding.command.limits.elbow",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_error_names_the_key_what_was_found_and_what_was_expected(case):
    path, value, found, expected, *other = BAD[case]
    key = other[0] if other else re.sub(r"\.(\d+)", r"[\1]", path)
    with pytest.raises(ContractError) as caught:
        Contract.from_dict(_changed(path, value), where="my.yaml")
    head, _, rest = str(caught.value).partition(": found ")
    was, _, wanted = rest.partition(", expected ")
    assert head == f"my.yaml: key '{key}'"
    assert found in was
    assert expected in wanted
    assert "\n" not in str(caught.value)


def _load(tmp_path, content: bytes) -> str:
    path = tmp_path / "contract.yaml"
    path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        Contract.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name: [", "is not YAML"),
        (b"\x7fELF\x02\x01\xff\xfe\x00\x00", "is not YAML"),
        (b"PK\x03\x04\x00\x00", "is not YAML"),
        (b"name: 2020-13-45", "is not YAML"),
        (b"[" * 20_000, "is not YAML"),
        (b"", "found None, expected a mapping"),
        (b"- 1\n", "found [1], expected a mapping"),
        (b"name: a\nname: b\n", "key 'name': found 2 times"),
        (b"observation:\n  x: {unit: m}\n  x: {unit: m}\n", "key 'x': found 2 times"),
        (b"name: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_contract_is_refused_in_one_sentence(tmp_path, content, expected):
    assert expected in _load(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ContractError, match=r"nothing.yaml: cannot be read .*expected a contract in YAML"):
        Contract.load(tmp_path / "nothing.yaml")
    with pytest.raises(ContractError, match="cannot be read"):
        Contract.load(tmp_path)


_KEYS = st.sampled_from(
    ["name", "period_s", "history", "observation", "command", "binding", "unit", "limits", "slew_per_s", "streams", "x"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=4)
)
_PATHS = [path for path, *_ in BAD.values()]


@settings(max_examples=200)
@given(_JSON)
def test_arbitrary_data_raises_nothing_but_contract_errors(content):
    with pytest.raises(ContractError):
        Contract.from_dict(content)


@settings(max_examples=300)
@given(st.sampled_from(_PATHS), _JSON | st.just(DELETE))
def test_a_contract_with_one_arbitrary_value_is_read_or_refused_with_a_contract_error(path, value):
    try:
        contract = Contract.from_dict(_changed(path, value))
    except KeyError:
        assert value is DELETE  # _changed cannot delete what is not there
        return
    except ContractError:
        return
    assert Contract.from_dict(contract.meaning()).digest == contract.digest
    assert np.isfinite(contract.command_limits).all()


def test_tightened_limits_apply():
    contract = Contract.from_dict(_changed("binding.command.limits", {"hand_velocity_y": [-0.1, 0.0]}))
    assert contract.command_limits.T.tolist() == [[-0.8, 0.8], [-0.1, 0.0], [-0.8, 0.8], [-1.0, 1.0]]
    limiter = CommandLimiter(contract)
    for _ in range(5):
        command = limiter.apply(np.array([9.0, 9.0, -9.0, -9.0]))
    assert command.tolist() == [0.8, 0.0, -0.8, -1.0]
    assert limiter.apply(np.array([0.0, -9.0, 0.0, 0.0]))[1] == -0.1

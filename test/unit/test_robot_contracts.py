"""The contracts of config/robots: whole, named sources, and bound to the topics that the fake drivers speak."""

import re

import pytest
import yaml

from lwd_ros.contract import Contract
from lwd_ros.resources import share_path

FILES = sorted(share_path("config", "robots").glob("*.yaml"))


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key twice among {keys}"
        return super().construct_mapping(node, deep)


def read(path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)


def test_there_is_one_for_each_robot():
    """The robots that the documentation names."""
    names = {path.stem for path in FILES}
    assert names == {"drone", "franka_fr3", "so101", "turtlebot3", "turtlebot4", "unitree_go2"} | {
        f"ur5e_{way}" for way in ("positions", "servo", "trajectory")
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sources_and_what_is_unverified_are_named(path):
    """A reader can look every fact up, and knows that no robot was at hand."""
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = " ".join(line.lstrip("# ") for line in comments)
    assert "Facts, each from its project's public material" in text
    assert "Unverified:" in text
    assert len(text) > 800


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_scalar_is_bound_once_and_rests_somewhere(path):
    """Names on both sides agree, limits are in order, and rest is zero, keep, or a scalar of the same unit."""
    content = read(path)
    for kind in ("observation", "command"):
        scalars, streams = content[kind], content["binding"][kind]["streams"]
        bound = [name for stream in streams for name in stream["fields"]]
        assert sorted(bound) == sorted(scalars)
        for name, entry in scalars.items():
            minimum, maximum = entry["limits"]
            assert minimum < maximum, name
            assert re.fullmatch(r"[A-Za-z_]\w*", name)
    for name, entry in content["command"].items():
        assert entry["slew_per_s"] > 0
        if entry["rest"] in ("zero", "keep"):
            assert entry["limits"][0] <= 0 <= entry["limits"][1], name
        else:
            assert content["observation"][entry["rest"]]["unit"] == entry["unit"], name
        if "relative_to" in entry:
            assert content["observation"][entry["relative_to"]]["unit"] == entry["unit"], name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_fake_driver_speaks_the_contracts_topics(path):
    """Topics and types of the binding are those of the driver, both ways and for the permission."""
    pytest.importorskip("rclpy")
    from fake_robot_kinds import KINDS

    if path.stem not in KINDS:
        pytest.skip("tf2_msgs is not installed")
    kind, binding = KINDS[path.stem], read(path)["binding"]

    def spoken(entries) -> set:
        return {(e.topic, f"{e.type.__module__.split('.')[0]}/msg/{e.type.__name__}") for e in entries}

    observed = binding["observation"]["streams"] + binding.get("permission", {}).get("streams", [])
    topics = {(stream["topic"], stream["type"]) for stream in observed if stream["type"] != "tf"}
    assert topics <= spoken((*kind.outputs, *kind.latched))
    assert {(stream["topic"], stream["type"]) for stream in binding["command"]["streams"]} == spoken(kind.inputs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_contract_loads(path):
    """As the nodes load it; each observed vector has all its places."""
    contract, content = Contract.load(path), read(path)
    assert contract.name == content["name"]
    assert len(contract.observation_names) == sum(entry.get("size", 1) for entry in content["observation"].values())
    assert list(contract.command_names) == list(content["command"])
    assert len(contract.require_binding().command_streams) == len(content["binding"]["command"]["streams"])

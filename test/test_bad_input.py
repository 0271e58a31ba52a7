"""Pins that whatever a user gives, a file or a folder, ends in LwdError or OSError, which `lwd` and the nodes show."""

import copy
import importlib
import inspect
import json
import pkgutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import lwd_ros
from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.metaworld.collect import CollectSettings, collect
from lwd_ros.errors import LwdError
from lwd_ros.generator import PolicyGenerator
from lwd_ros.generator.model_file import METADATA_KEY, ModelDescription
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.run_folder import RUN, describe_run
from lwd_ros.learning.summary import FILE
from lwd_ros.learning.train import load, train
from lwd_ros.resources import share_path

MODEL = share_path("models", "metaworld_mt10_visible.onnx")
TINY = {
    "name": "tiny",
    "hidden_layers": [3],
    "autoencoder": {"steps": 1, "demonstrations": 2, "pairs": 2, "latent_size": 2, "encoder_layers": [2]},
    "diffusion": {"steps": 1, "batch": 2, "width": 2, "blocks": 1, "sampling_steps": 1},
}
RUNS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# Exceptions

OURS = {
    "lwd_ros.demo.client.DemoFailed": "of the client's process, which ends it with a sentence and a status of its own",
    "lwd_ros.demo.supervisor.ProcessDied": "a node's end, no user's input; the demo tells it in its summary",
    "lwd_ros.reading._Twice": "of the YAML loader, whose reader makes the caller's error of it",
}
"""Exceptions that are none of a user's to mend, and why."""


def _exceptions() -> dict[str, type]:
    """Every exception class that a module of the package defines."""
    found = {}
    for module in pkgutil.walk_packages(lwd_ros.__path__, "lwd_ros."):
        if module.name.endswith(".__main__"):  # importing it runs it
            continue
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__.partition(".")[0] == "lwd_ros":
                found[f"{kind.__module__}.{kind.__name__}"] = kind
    return found


def test_every_error_of_ours_is_one_that_lwd_and_the_nodes_show():
    pytest.importorskip("rclpy")
    found = _exceptions()
    assert {"lwd_ros.contract.errors.ContractError", "lwd_ros.nodes.managed.ParameterError"} <= found.keys()
    others = {name for name, kind in found.items() if not issubclass(kind, LwdError)}
    assert others == OURS.keys()


# Files with something wrong in them

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 1.5, 2**70, 10**400])
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["reach-v3", "/", "\0", "a/b", "x" * 300, "{", "{seed}", "{x}", "{0}"])
)
VALUES = st.recursive(
    LEAVES, lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=3), more, max_size=3)
)


def _places(content, path=()):
    """The paths of everything in parsed JSON."""
    yield path
    if isinstance(content, (dict, list)):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _places(value, (*path, key))


@st.composite
def spoilt(draw, content):
    """A copy of parsed JSON with one to three things replaced, taken away or added."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_places(content))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                content = draw(VALUES)
            elif isinstance(content, dict):
                content[draw(st.text(max_size=3))] = draw(VALUES)
            continue
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = draw(VALUES)
        else:
            del holder[path[-1]]
    return content


def _refused_in_one_sentence(call) -> None:
    """Whether `call` succeeds or raises LwdError is up to what was spoilt; nothing else may come out."""
    try:
        call()
    except LwdError as error:
        assert "\n" not in str(error) and str(error)


def _written(path: Path, content) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")  # which is YAML too, but for numbers such as NaN
    return path


@RUNS
@given(content=spoilt(yaml.safe_load(share_path("config", "metaworld.yaml").read_text())))
def test_spoilt_contracts(tmp_path, content):
    _refused_in_one_sentence(lambda: Contract.load(_written(tmp_path / "contract.yaml", content)))


@RUNS
@given(content=spoilt(json.loads(json.dumps(TrainConfig.from_dict(TINY).to_dict()))))
def test_spoilt_training_configs(tmp_path, content):
    def call():
        config = TrainConfig.load(_written(tmp_path / "config.yaml", content))
        assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config

    _refused_in_one_sentence(call)


FIRST = PolicyGenerator(MODEL).metadata  # of the first format
METADATA = json.loads(PolicyGenerator(MODEL).description.to_metadata()[METADATA_KEY])


@RUNS
@given(content=spoilt(METADATA) | spoilt(FIRST))
def test_spoilt_metadata_of_model_files(content):
    _refused_in_one_sentence(
        lambda: ModelDescription.from_metadata({METADATA_KEY: json.dumps(content)}, "my.onnx").to_metadata()
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, contract):
    """A finished run and its dataset."""
    folder = tmp_path_factory.mktemp("bad_input")
    collect(folder / "data", ("reach-v3",), contract, CollectSettings(episodes=2), workers=1)
    train(TrainConfig.from_dict(TINY), Demonstrations(folder / "data"), folder / "run")
    return folder


def _with_original(path: Path, call):
    """Run `call(text of the file)` and put the file back as it was."""
    whole = path.read_bytes()
    try:
        call(whole.decode())
    finally:
        path.write_bytes(whole)


@RUNS
@given(choice=st.data())
def test_spoilt_meta_of_datasets(run, choice):
    path = run / "data" / "meta.json"

    def call(text):
        _written(path, choice.draw(spoilt(json.loads(text))))
        _refused_in_one_sentence(lambda: Demonstrations(run / "data"))

    _with_original(path, call)


@RUNS
@given(choice=st.data())
def test_spoilt_run_folders(run, choice):
    path = run / "run" / RUN

    def call(text):
        _written(path, choice.draw(spoilt(json.loads(text))))
        _refused_in_one_sentence(lambda: load(run / "run"))
        _refused_in_one_sentence(lambda: describe_run(run / "run"))

    _with_original(path, call)


@RUNS
@given(choice=st.data())
def test_spoilt_summaries_of_datasets(run, choice):
    path = run / "run" / FILE
    whole, tensors = path.read_bytes(), load_file(path)
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["lwd_ros"])
    try:
        save_file(tensors, path, metadata={"lwd_ros": json.dumps(choice.draw(spoilt(content)))})
        _refused_in_one_sentence(lambda: load(run / "run"))
    finally:
        path.write_bytes(whole)

"""Pins that whatever a user gives, a file or a folder, ends in LwdError or OSError, which `lwd` and the nodes show."""

import importlib
import inspect
import json
import pkgutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from spoilt import RUNS, refused_in_one_sentence, spoilt, written

import lwd_ros
from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Demonstrations, TaskFile
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.errors import LwdError
from lwd_ros.generator import PolicyGenerator
from lwd_ros.generator.model_file import METADATA_KEY, ModelDescription
from lwd_ros.learning.config import ConfigError, TrainConfig
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


# Exceptions

OURS = {
    "lwd_ros.demo.calling.DemoFailed": "of the client's process, which ends it with a sentence and a status of its own",
    "lwd_ros.dataset.importing.layout._Unknown": "of a shortcut, whose caller takes the long way then",
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


@RUNS
@given(content=spoilt(yaml.safe_load(share_path("config", "metaworld.yaml").read_text())))
def test_spoilt_contracts(tmp_path, content):
    refused_in_one_sentence(lambda: Contract.load(written(tmp_path / "contract.yaml", content)))


@RUNS
@given(content=spoilt(json.loads(json.dumps(TrainConfig.from_dict(TINY).to_dict()))))
def test_spoilt_training_configs(tmp_path, content):
    def call():
        config = TrainConfig.load(written(tmp_path / "config.yaml", content))
        assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config

    refused_in_one_sentence(call)


FIRST = PolicyGenerator(MODEL).metadata  # of the first format
METADATA = json.loads(PolicyGenerator(MODEL).description.to_metadata()[METADATA_KEY])


@RUNS
@given(content=spoilt(METADATA) | spoilt(FIRST))
def test_spoilt_metadata_of_model_files(content):
    refused_in_one_sentence(
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
        call(whole)
    finally:
        path.write_bytes(whole)


@RUNS
@given(choice=st.data())
def test_spoilt_meta_of_datasets(run, choice):
    path = run / "data" / "meta.json"

    def call(text):
        written(path, choice.draw(spoilt(json.loads(text))))
        refused_in_one_sentence(lambda: Demonstrations(run / "data"))

    _with_original(path, call)


@RUNS
@given(choice=st.data())
def test_spoilt_run_folders(run, choice):
    path = run / "run" / RUN

    def call(text):
        written(path, choice.draw(spoilt(json.loads(text))))
        refused_in_one_sentence(lambda: load(run / "run"))
        refused_in_one_sentence(lambda: describe_run(run / "run"))

    _with_original(path, call)


# Datasets and checkpoints whose bytes are whole and whose content is not


def _column(name: str, values):
    def change(table):
        return table.set_column(table.column_names.index(name), name, values(table.num_rows))

    return change


@pytest.mark.parametrize(
    "change",
    [
        _column("episode_index", lambda rows: pa.array(["a"] * rows)),
        _column("episode_index", lambda rows: pa.array([None] * rows, pa.int64())),
        _column("layout", lambda rows: pa.array(["a"] * rows)),
        _column("layout", lambda rows: pa.array([None] * rows, pa.int64())),
        _column("after", lambda rows: pa.array([1] * rows)),
        _column("after", lambda rows: pa.array([None] * rows, pa.string())),
        _column("action", lambda rows: pa.array(["a"] * rows)),
        _column("action", lambda rows: pa.array([[None] * 4] * rows, pa.list_(pa.float64(), 4))),
        lambda table: table.drop_columns(["layout"]),
    ],
)
def test_columns_of_another_kind(run, change):
    path = run / "data" / "reach-v3.parquet"

    def call(_):
        pq.write_table(change(pq.read_table(path)), path)
        with pytest.raises(DatasetError, match=r"reach-v3\.parquet: cannot be read as demonstrations: "):
            TaskFile(path).read()

    _with_original(path, call)


def test_settings_of_a_task_that_are_no_json(run):
    path = run / "data" / "reach-v3.parquet"

    def call(_):
        pq.write_table(pq.read_table(path).replace_schema_metadata({"lwd_ros": "{"}), path)
        with pytest.raises(DatasetError, match=r"reach-v3\.parquet: found settings that are not JSON"):
            TaskFile(path).settings()

    _with_original(path, call)


def _weights(tensors: dict) -> str:
    return next(name for name in tensors if name.startswith("weights/"))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, metadata: metadata.pop("step"),
        lambda tensors, metadata: metadata.update(step="x"),
        lambda tensors, metadata: tensors.pop("random"),
        lambda tensors, metadata: tensors.update(random=tensors["random"][:10].clone()),
        lambda tensors, metadata: tensors.pop(_weights(tensors)),
        lambda tensors, metadata: tensors.update({_weights(tensors): torch.zeros(1, 2, 3)}),
    ],
)
def test_checkpoints_that_lack_something(run, change):
    path = run / "run" / "diffusion.safetensors"

    def call(_):
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata())
        tensors = load_file(path)
        change(tensors, metadata)
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(ConfigError, match=r"diffusion\.safetensors: is not a whole checkpoint .*; delete it"):
            train(TrainConfig.from_dict(TINY), Demonstrations(run / "data"), run / "run")

    _with_original(path, call)


@pytest.mark.parametrize("name", ["run.json", "autoencoder.safetensors"])
def test_a_folder_in_the_place_of_a_file_of_a_run(run, name):
    path = run / "run" / name
    whole = path.read_bytes()
    path.unlink()
    path.mkdir()
    try:
        with pytest.raises(ConfigError, match=name):
            load(run / "run")
    finally:
        path.rmdir()
        path.write_bytes(whole)


@pytest.mark.parametrize("depth", [1, 100_000])
def test_json_that_is_nested_without_end(tmp_path, depth):
    for name, call in (
        ("meta.json", lambda: Demonstrations(tmp_path)),
        ("run.json", lambda: load(tmp_path)),
        ("any", lambda: ModelDescription.from_metadata({METADATA_KEY: "[" * depth}, "my.onnx")),
    ):
        (tmp_path / name).write_text("[" * depth)
        with pytest.raises(LwdError):
            call()


@RUNS
@given(place=st.floats(0, 1), byte=st.integers(1, 255), cut=st.booleans())
def test_model_files_with_a_wrong_byte(tmp_path, place, byte, cut):
    content = bytearray(MODEL.read_bytes())
    at = int(place * 3000) if place < 0.5 else len(content) - 1 - int((1 - place) * 20_000)  # where the structure is
    content[at] ^= byte
    (tmp_path / "my.onnx").write_bytes(content[:at] if cut else content)
    refused_in_one_sentence(lambda: PolicyGenerator(tmp_path / "my.onnx"))


@pytest.mark.parametrize("noise", [("0.3", "0.1"), ("nan", "nan"), ("0", "inf")])
def test_a_range_of_noise_that_is_none(tmp_path, noise):
    with pytest.raises(DatasetError, match=r"noise: found .*, expected two numbers"):
        CollectSettings(noise=tuple(map(float, noise)))


@RUNS
@given(choice=st.data())
def test_spoilt_summaries_of_datasets(run, choice):
    path = run / "run" / FILE
    whole, tensors = path.read_bytes(), load_file(path)
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["lwd_ros"])
    try:
        save_file(tensors, path, metadata={"lwd_ros": json.dumps(choice.draw(spoilt(content)))})
        refused_in_one_sentence(lambda: load(run / "run"))
    finally:
        path.write_bytes(whole)

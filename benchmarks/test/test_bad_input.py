"""Pins that whatever stands in a file of the benchmarks ends in LwdError, which `lwd` shows."""

import json

import yaml
from hypothesis import given
from lwd_benchmarks.diffusion_policy.config import DiffusionPolicyConfig
from lwd_benchmarks.diffusion_policy.model_file import METADATA_KEY, ActionModelDescription
from lwd_benchmarks.studies.matrix import Study
from lwd_benchmarks.studies.methods import load_methods
from spoilt import RUNS, refused_in_one_sentence, spoilt, written

from lwd_ros.resources import share_path

CONFIG = json.loads(json.dumps(DiffusionPolicyConfig("x").to_dict()))
STUDY = {
    "data": {"mt10": "data"},
    "runs": "runs",
    "results": "results",
    "entries": [
        {"entry": "a", "set": "mt10", "method": "lwd", "config": "x.yaml", "seeds": [0], "groups": ["main"],
         "changes": {"autoencoder.steps": 3}, "episodes": 2, "layouts": "validation"},
        {"entry": "b", "set": "mt10", "method": "lwd", "run_of": "a", "chain": ["reach-v3"]},
    ],
}  # fmt: skip
MODEL = str(share_path("models", "metaworld_mt10_visible.onnx"))
METHODS = {"lwd": {"kind": "lwd", "models": [{"model": MODEL, "seeds": [0], "horizons": [8, 500]}]}}


@RUNS
@given(content=spoilt(CONFIG))
def test_spoilt_configs_of_diffusion_policy(tmp_path, content):
    refused_in_one_sentence(lambda: DiffusionPolicyConfig.load(written(tmp_path / "config.yaml", content)))


@RUNS
@given(content=spoilt(STUDY))
def test_spoilt_files_of_studies(tmp_path, content):
    refused_in_one_sentence(lambda: Study.load(written(tmp_path / "study.yaml", content)))


@RUNS
@given(content=spoilt(METHODS))
def test_spoilt_files_of_methods(tmp_path, content):
    refused_in_one_sentence(lambda: load_methods(written(tmp_path / "methods.yaml", content)))


def _metadata() -> dict:
    contract = yaml.safe_load(share_path("config", "metaworld.yaml").read_text())
    from lwd_ros.contract import Contract

    description = ActionModelDescription(Contract.from_dict(contract), ("reach-v3",), 16, 2, 10, 1, 1, 1, {"a": 1})
    return json.loads(description.to_metadata()[METADATA_KEY])


@RUNS
@given(content=spoilt(_metadata()))
def test_spoilt_metadata_of_models_of_diffusion_policy(content):
    refused_in_one_sentence(
        lambda: ActionModelDescription.from_metadata({METADATA_KEY: json.dumps(content)}, "my.onnx")
    )

"""Pins that configs read as they always did: what `to_dict` gives is part of runs' and model files' identities."""

import hashlib
import json
from dataclasses import FrozenInstanceError, replace

import pytest

from lwd_ros.learning.config import AutoencoderConfig, ConfigError, TrainConfig
from lwd_ros.resources import share_path

GOLDEN = {
    "metaworld_mt10_anywhere": "11a7a8c3a7afc7ee8eea9ad106420739681c1feb2b29c80c46e75fff0f7c4cab",
    "metaworld_mt10_hidden": "0cc3dbcd65b2343e11385f1a2f3b31c6c8548f4814a7c9c4e9ca30e15676e0fe",
    "metaworld_mt10_robust": "5a50d9ae7f0da824861bf2b51903f92eb91bd12f33a5909f5ac91d07a5a7203d",
    "metaworld_mt10_tiny": "da3161efa4bd55eb6074c277bb94fea09eab0747ddea03fb402f517bd708494d",
    "metaworld_mt10_visible": "4b04eb2214bc433614b950d1670c94c41db0ac628973d4d1c967ae58fb399aa4",
    "metaworld_mt50_anywhere": "adacdabd685cb00ef8b43e5372a2be8959369f00ef11265f28fa43012f03f469",
    "metaworld_mt50_hidden": "0648c862fdf7be6d64b8c728e64c53e79a42e71faa1609bc8690ed47b6b1e97f",
    "metaworld_mt50_visible": "a873ae39d3d8c828272c6366c84c5a7f395147242f0cd906b8461f7e92235a41",
}
"""SHA-256 of the JSON of every shipped training config."""


def test_every_shipped_config_gives_the_json_that_runs_and_model_files_hold():
    found = {}
    for path in sorted(share_path("config", "train").glob("*.yaml")):
        content = json.dumps(TrainConfig.load(path).to_dict())
        found[path.stem] = hashlib.sha256(content.encode()).hexdigest()
    assert found == GOLDEN


def test_numbers_are_kept_as_their_kind_says():
    config = TrainConfig.from_dict({"name": "x", "autoencoder": {"steps": 30.0, "learning_rate": 1}})
    assert json.dumps([config.autoencoder.steps, config.autoencoder.learning_rate]) == "[30, 1.0]"
    assert config.to_dict().keys() == TrainConfig("x").to_dict().keys() and "sensing" not in config.to_dict()
    assert config.hidden_layers == (16, 16) and TrainConfig.from_dict({"name": "x", "hidden_layers": []}) is not None


def test_a_config_is_frozen_and_changed_into_another():
    config = TrainConfig("x")
    with pytest.raises(FrozenInstanceError):
        config.seed = 1
    changed = config.changed({"autoencoder.steps": 3, "seed": 2, "hide": ["goal_x"]})
    assert changed == replace(config, seed=2, hide=("goal_x",), autoencoder=AutoencoderConfig(steps=3))
    for changes, expected in (
        ({"autoencoder.stepp": 3}, "x: key 'autoencoder.stepp': found 'stepp', expected one of steps"),
        ({"seed": -1}, "x: key 'seed': found -1"),
        ({"seed.x": 1}, "x: key 'seed.x': found a change below 'seed', which holds no keys"),
        ({1: 1}, "x: key '1': found '1', expected one of name"),
    ):
        with pytest.raises(ConfigError, match=f"^{expected}"):
            config.changed(changes)


def test_all_wrong_keys_are_named_at_once():
    content = {"nome": "x", "seed": 1.5, "diffusion": {"batch": 0, "width": "1"}, "translation": {"axes": "x"}}
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict(content, "my.yaml")
    text = str(caught.value)
    for key in ("name", "nome", "seed", "diffusion.batch", "diffusion.width", "translation.axes"):
        assert text.count(f"key '{key}'") == 1
    assert text.startswith("my.yaml: ") and "\n" not in text

"""Configs of training: what is refused, with the key, and how."""

import json

import pytest
from learning_support import CONFIG, HIDDEN

from lwd_ros.learning import devices
from lwd_ros.learning.config import ConfigError, TrainConfig


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "key 'name': found nothing, expected a text"),
        ([], r"key '\(the whole file\)': found \[\], expected a mapping"),
        ({"name": ""}, "key 'name': found '', expected a text"),
        ({"name": "x", "sead": 1}, "key 'sead': found 'sead', expected one of name, seed"),
        ({"name": "x", "seed": 1.5}, "key 'seed': found 1.5, expected a whole number"),
        ({"name": "x", "seed": True}, "key 'seed': found True, expected a whole number"),
        ({"name": "x", "seed": -1}, "key 'seed': found -1, expected a whole number, 0 or more"),
        ({"name": "x", "seed": float("inf")}, "key 'seed': found inf, expected a whole number"),
        ({"name": "x", "seed": 2**64}, "key 'seed': found 18446744073709551616, expected a whole number"),
        ({"name": "x", "hidden_layers": 16}, "key 'hidden_layers': found 16, expected a list of whole numbers"),
        ({"name": "x", "hidden_layers": [0]}, r"key 'hidden_layers': found \[0\], expected a list"),
        ({"name": "x", "hidden_layers": [-16]}, r"key 'hidden_layers': found \[-16\], expected a list"),
        ({"name": "x", "hidden_layers": [True]}, r"key 'hidden_layers': found \[True\], expected a list"),
        ({"name": "x", "hide": "goal_x"}, "key 'hide': found 'goal_x', expected a list of names"),
        ({"name": "x", "hide": [1]}, r"key 'hide': found \[1\], expected a list of names"),
        (
            {"name": "x", "condition_on_observation": 1},
            "key 'condition_on_observation': found 1, expected true or false",
        ),
        ({"name": "x", "smallest_std": 0}, "key 'smallest_std': found 0, expected a number above 0"),
        ({"name": "x", "smallest_std": float("nan")}, "key 'smallest_std': found nan, expected a number"),
        ({"name": "x", "autoencoder": 3}, "key 'autoencoder': found 3, expected a mapping"),
        ({"name": "x", "autoencoder": {"step": 3}}, "key 'autoencoder.step': found 'step', expected one of steps"),
        (
            {"name": "x", "autoencoder": {"encoder_layers": []}},
            r"key 'autoencoder.encoder_layers': found \[\], expected a list",
        ),
        (
            {"name": "x", "autoencoder": {"pairs": 0}},
            "key 'autoencoder.pairs': found 0, expected a whole number above 0",
        ),
        (
            {"name": "x", "autoencoder": {"own_share": 1.1}},
            "key 'autoencoder.own_share': found 1.1, expected a number from 0",
        ),
        (
            {"name": "x", "diffusion": {"ema_decay": 2}},
            "key 'diffusion.ema_decay': found 2, expected a number from 0 to 1",
        ),
        ({"name": "x", "diffusion": {"batch": "8"}}, "key 'diffusion.batch': found '8', expected a whole number"),
        ({"name": "x", 1: 2}, "key '1': found 1, expected one of name, seed"),
        ({"name": "x", "autoencoder": None}, "key 'autoencoder': found None, expected a mapping"),
        ({"name": "x", "translation": {"fixed": {"a": "x"}}}, "key 'translation.fixed.a': found 'x', expected a list"),
        ({"name": "x", "translation": {"fixed": {1: ["x"]}}}, "key 'translation.fixed.1': found"),
        (
            {"name": "x", "diffusion": {"batch": 0}, "seed": -1},
            "key 'seed': found -1, .*; key 'diffusion.batch': found 0, expected a whole number above 0$",
        ),
    ],
)
def test_a_config_error_names_the_key_what_was_found_and_what_was_expected(content, expected):
    with pytest.raises(ConfigError, match="^my.yaml: " + expected):
        TrainConfig.from_dict(content, "my.yaml")


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00\x80", b"name: 2020-13-45", b"[" * 20_000])
def test_a_config_file_that_is_not_yaml(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config.yaml: is not YAML"):
        TrainConfig.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainConfig.load(tmp_path / "nothing.yaml")


def test_a_config_reads_back():
    for content in (CONFIG, HIDDEN):
        config = TrainConfig.from_dict(content)
        assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("LWD_DEVICE", "abacus")
    with pytest.raises(ConfigError, match="LWD_DEVICE: found 'abacus', expected a device"):
        devices.choose_device()

"""Pins that several processes train as one does with the whole batch, and may be stopped and continued by one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lwd_ros
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.learning import devices
from lwd_ros.learning.config import ConfigError, TrainConfig
from lwd_ros.learning.devices import ALONE, WHOLE, Share
from lwd_ros.learning.train import train

ROOT = Path(lwd_ros.__file__).parents[1]
CONFIG = {  # batches that do not part evenly
    "name": "tiny",
    "hidden_layers": [6],
    "condition_on_observation": True,
    "autoencoder": {"steps": 200, "demonstrations": 5, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
    "diffusion": {"steps": 200, "batch": 9, "width": 16, "blocks": 1, "sampling_steps": 4},
}
TOLERANCE = 1e-4
"""On weights of about 1 and losses below 3, after 200 steps of AdamW: float32 sums in another order."""


def test_shares_make_up_the_batch_and_their_means_its_mean():
    values = torch.rand(11, 3)
    for count in (1, 2, 3, 11):
        shares = [Share(rank, count) for rank in range(count)]
        assert torch.cat([share.of(values) for share in shares]).equal(values)
        mean = sum(share.weight(11) * share.of(values).mean() for share in shares) / count
        torch.testing.assert_close(mean, values.mean())
    assert WHOLE.of(values) is values and Share(1, 2).of(None) is None and WHOLE.weight(11) == 1.0


def test_a_share_of_a_batch_is_one_of_every_tensor():
    @dataclass(frozen=True)
    class Pair:
        first: torch.Tensor
        second: torch.Tensor

    part = Share(1, 2).of(Pair(torch.arange(4), torch.arange(5)))
    assert part.first.tolist() == [2, 3] and part.second.tolist() == [2, 3, 4]


def test_more_devices_than_there_are(monkeypatch):
    monkeypatch.setenv("LWD_DEVICE", "cpu")
    devices.require(1)
    with pytest.raises(ConfigError, match=r"^--devices: found 1000000, expected at most \d+: there are no more proc"):
        devices.require(1_000_000)


def test_one_process_needs_no_other_library():
    code = "import sys, lwd_ros.learning.train; print('accelerate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    assert devices.team() is ALONE and ALONE.share is WHOLE and ALONE.first


# Two processes. The first stops in the midst of each stage after a checkpoint, as a machine that goes down.

STOPPED = """
import sys
from pathlib import Path
from lwd_ros.learning import devices, trainer
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.diffusion import LatentDiffusion
from lwd_ros.learning.train import train
from lwd_ros.dataset import Demonstrations

config, data, *folders = sys.argv[1:]
trainer.CHECKPOINT_EVERY = 50
team = devices.team()
assert team.share.count == 2
for kind, folder in zip((Autoencoder, LatentDiffusion), folders, strict=True):
    whole, calls = kind.loss, []

    def loss(*arguments):
        calls.append(None)
        if len(calls) > 120:
            raise KeyboardInterrupt
        return whole(*arguments)

    kind.loss = loss
    try:
        train(TrainConfig.load(config), Demonstrations(data), Path(folder), team)
    except KeyboardInterrupt:
        kind.loss = whole
    else:
        sys.exit("was not stopped")
team.end()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, contract):
    """One process' run, that of two, and two that two processes began."""
    folder = tmp_path_factory.mktemp("devices")
    data = folder / "data"
    collect(data, ("reach-v3", "button-press-topdown-v3"), contract, CollectSettings(episodes=3), workers=1)
    config = folder / "config.json"  # JSON is YAML
    config.write_text(json.dumps(CONFIG))
    (folder / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, "LWD_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    arguments = ["--config", config, "--data", data, "--out", folder / "two", "--devices", "2"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", folder / "stopped.py"]
    for command in (
        ["-m", "lwd_ros.cli", "train", *arguments],
        [*torchrun, config, data, folder / "first", folder / "second"],
    ):
        done = subprocess.run([sys.executable, *map(str, command)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LWD_DEVICE", "cpu")
        train(TrainConfig.load(config), Demonstrations(data), folder / "one")
    return folder


def _checkpoint(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(folder / f"{stage}.safetensors")


def _curves(folder: Path) -> dict[str, list[float]]:
    log = EventAccumulator(str(folder / "logs"))
    log.Reload()
    return {tag: [event.value for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def _assert_alike(first: Path, second: Path) -> None:
    for stage in ("autoencoder", "diffusion"):
        one, other = _checkpoint(first, stage), _checkpoint(second, stage)
        assert one.keys() == other.keys() and one["random"].equal(other["random"])
        for name, values in one.items():
            if name.startswith(("weights", "average")):
                np.testing.assert_allclose(other[name], values, atol=TOLERANCE, err_msg=name)


def test_two_processes_train_as_one_does_with_the_whole_batch(runs):
    _assert_alike(runs / "one", runs / "two")
    one, two = _curves(runs / "one"), _curves(runs / "two")
    assert one.keys() == two.keys() >= {"autoencoder/loss", "autoencoder/kl_divergence", "diffusion/loss"}
    for tag, values in one.items():
        assert len(values) == 2
        np.testing.assert_allclose(two[tag], values, rtol=TOLERANCE, err_msg=tag)


def test_one_process_alone_writes(runs):
    names = {path.name for path in (runs / "two").iterdir()}
    assert names == {"run.json", "data.safetensors", "autoencoder.safetensors", "diffusion.safetensors", "logs"}
    assert len(list((runs / "two" / "logs").iterdir())) == len(list((runs / "one" / "logs").iterdir())) == 2


@pytest.mark.parametrize(("folder", "stage"), [("first", "autoencoder"), ("second", "diffusion")])
def test_what_two_processes_began_one_ends(runs, folder, stage, monkeypatch):
    monkeypatch.setenv("LWD_DEVICE", "cpu")
    before = _checkpoint(runs / folder, stage)
    assert not before["random"].equal(_checkpoint(runs / "one", stage)["random"])  # it had not ended
    train(TrainConfig.load(runs / "config.json"), Demonstrations(runs / "data"), runs / folder)
    _assert_alike(runs / "one", runs / folder)

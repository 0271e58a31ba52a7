"""`lwd import-bag` as a process: what stops it half way leaves nothing, and the dataset that it writes trains."""

import resource
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

import yaml
from recordings_support import PERIOD_NS, START_NS, Recording, arm, commands, joints, mark, recording


def _command(tmp_path, bags, *options) -> list[str]:
    file = tmp_path / "arm.yaml"
    file.write_text(yaml.safe_dump(arm(), sort_keys=False))
    bag = ["import-bag", *map(str, bags), "--contract", str(file), "--out", str(tmp_path / "data")]
    return [sys.executable, "-m", "lwd_ros.cli", *bag, *options]


def test_a_full_disk_is_one_sentence_and_nothing_is_left(tmp_path):
    command = _command(tmp_path, [recording().mcap(tmp_path / "a.mcap")], "--task", "reach")
    limit = (1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "data: cannot be written" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a.mcap", "arm.yaml"}


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path):
    command = _command(tmp_path, [recording().mcap(tmp_path / "a.mcap")] * 2000, "--task", "reach")
    # A shell starts what it runs in the background, as these tests may be, deaf to Ctrl-C.
    heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    time.sleep(3.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1].strip() == "lwd: stopped"
    # Where it arrived while a library ran generated code, Python ends by the signal itself; shells show 130 for both.
    assert process.returncode in (130, -signal.SIGINT)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mcap", "arm.yaml"}


def test_twenty_recorded_demonstrations_of_tasks_that_a_person_named_train_and_export(tmp_path):
    pytest.importorskip("torch")
    from click.testing import CliRunner

    from lwd_ros.cli.commands import cli
    from lwd_ros.generator import PolicyGenerator

    made = Recording()
    for number in range(20):
        first, task = 100 * number, ("pick up", "place-left")[number % 2]
        made.add(first * PERIOD_NS - 1, "/recorder/episode", mark(0, task, number))
        place, goal = 0.01 * number, (1.0, -1.0)[number % 2]
        for step in range(first, first + 50):
            target = place + max(-0.05, min(0.05, goal - place))
            made.add(step * PERIOD_NS, "/joint_states", joints(START_NS + step * PERIOD_NS, [place, 0.0]))
            made.add(step * PERIOD_NS + 1, "/commands", commands([target, 0.0]))
            place = target
        made.add((first + 50) * PERIOD_NS, "/recorder/episode", mark(1, task, number))
    small = {
        "name": "recorded",
        "hidden_layers": [4],
        "autoencoder": {"steps": 20, "demonstrations": 4, "latent_size": 4, "encoder_layers": [16],
                        "hypernetwork_layers": [16]},
        "diffusion": {"steps": 20, "width": 16, "blocks": 1, "sampling_steps": 2},
    }  # fmt: skip
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    imported = _command(tmp_path, [made.mcap(tmp_path / "a.mcap")], "--no-plot")[3:]
    run, model = str(tmp_path / "run"), str(tmp_path / "m.onnx")
    config, data = str(tmp_path / "small.yaml"), str(tmp_path / "data")
    for arguments in (
        imported,
        ["train", "--config", config, "--data", data, "--out", run],
        ["export", "--run", run, "--out", model],
    ):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
    assert PolicyGenerator(model).tasks == ("pick up", "place-left")

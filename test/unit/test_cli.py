"""Pins what `lwd` says of what others give it: commands that cannot be loaded, environments that cannot be used."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from lwd_ros.cli import main, plugins
from lwd_ros.resources import share_path

PENDULUM = Path(__file__).resolve().parents[2] / "examples" / "inverted_pendulum"


@pytest.fixture
def lwd(monkeypatch, capsys):
    """A function that runs `lwd` in this process; its exit status, what it printed, what it printed as an error."""

    def run(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lwd", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_a_command_that_cannot_be_loaded_is_named_and_harms_no_other(lwd, monkeypatch):
    entries = EntryPoints([EntryPoint("gone", "nowhere.at_all:command", plugins.GROUP)])
    monkeypatch.setattr(plugins, "entry_points", lambda **which: entries.select(**which))
    status, printed, _ = lwd("--help")
    assert status == 0 and "collect" in printed and "gone" in printed
    for words in ((), ("--help",), ("part", "--fast", "3")):
        status, printed, said = lwd("gone", *words)
        assert status == 2 and not printed and len(said.splitlines()) == 1
        assert said.startswith("lwd: 'lwd gone': nowhere.at_all:command cannot be loaded (ModuleNotFoundError: ")


def test_a_command_whose_error_has_several_lines_is_one_sentence(lwd, monkeypatch, tmp_path):
    (tmp_path / "talkative_command.py").write_text("raise RuntimeError('first\\nsecond')")
    monkeypatch.syspath_prepend(tmp_path)
    entries = EntryPoints([EntryPoint("gone", "talkative_command:command", plugins.GROUP)])
    monkeypatch.setattr(plugins, "entry_points", lambda **which: entries.select(**which))
    status, printed, said = lwd("gone")
    assert (status, printed) == (2, "")
    assert said == "lwd: 'lwd gone': talkative_command:command cannot be loaded (RuntimeError: first second)\n"


def test_an_environment_that_was_asked_for_and_cannot_be_used_is_an_error(lwd, tmp_path):
    """One that is merely registered is listed with what is wrong with it."""
    for name in ("environment.yaml", "contract.yaml"):
        (tmp_path / name).write_text((PENDULUM / name).read_text())
    file = tmp_path / "environment.yaml"
    file.write_text(file.read_text() + "id: Moon-v0\n")
    status, printed, said = lwd("environments", "--environment", file)
    assert status == 1 and not printed
    assert said.startswith(f"lwd: {file}: key 'id': found 2 times") and len(said.splitlines()) == 1


def test_an_environment_without_its_packages_harms_no_other(lwd, monkeypatch):
    from lwd_ros.environments import registry

    class Bare:
        spec = registry.simulator("metaworld").spec

        def make(self, task, contract):
            raise ModuleNotFoundError("No module named 'physics'", name="physics")

    monkeypatch.setattr(registry, "names", lambda: ("first", "second"))
    monkeypatch.setattr(registry, "simulator", lambda name: Bare())
    status, printed, _ = lwd("environments")
    hint = "cannot be used: needs the package 'physics': pip install 'lwd_ros[sim]'"
    assert status == 0 and printed.splitlines() == [f"first: {hint}", f"second: {hint}"]
    status, printed, said = lwd("environments", "--environment", "first")
    assert status == 2 and not printed and said.startswith("lwd: 'lwd environments' needs the package 'physics': ")


@pytest.mark.parametrize("key", ["lwd_ros", "lwd_ros_of_another_method"])
@pytest.mark.parametrize("text", ["{broken", "[" * 100_000, "[1]"])
def test_a_model_file_whose_metadata_are_broken_is_one_sentence(lwd, tmp_path, key, text):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(share_path("models", "metaworld_mt10_tiny.onnx"))
    del model.metadata_props[:]
    model.metadata_props.add(key=key, value=text)
    onnx.save(model, tmp_path / "m.onnx")
    status, printed, said = lwd("describe", "--model", tmp_path / "m.onnx")
    assert status == 1 and not printed and len(said.splitlines()) == 1
    assert said.startswith(f"lwd: {tmp_path / 'm.onnx'}: its metadata is broken (")

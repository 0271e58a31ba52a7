"""`lwd record` at a terminal that is a real one: keys, the line that it writes, how it ends."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rosbags", reason="rosbags is not installed")

import yaml
from nodes_support import CONTRACT_FILE, Cell
from recording_support import CONTRACT, Demonstrator, messages

ENDS = {"quit": (b"q", 0), "interrupted": (b"\x03", 130), "terminal closed": (None, None)}


class Terminal:
    """A process at a pseudo-terminal of its own, which sends it signals for keys as any terminal does."""

    def __init__(self, arguments: list[str], environment: dict[str, str]):
        program = [sys.executable, "-m", "lwd_ros.cli", *arguments]
        self._main, end = pty.openpty()
        termios.tcsetwinsize(end, (24, 200))
        environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        helper = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", helper, *program],
            stdin=end,
            stdout=end,
            stderr=end,
            env=environment,
            start_new_session=True,
        )
        os.close(end)
        self.text = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while content := os.read(self._main, 4096):
                self.text += content.decode(errors="replace")
        except OSError:  # the other end is closed
            return

    def press(self, keys: bytes) -> None:
        os.write(self._main, keys)

    def close(self) -> None:
        """As a window is closed or a connection is lost."""
        os.killpg(self.process.pid, signal.SIGHUP)  # the system does so where nobody reads from the terminal any more
        os.close(self._main)


@pytest.mark.parametrize("end", ENDS)
def test_keys_start_and_end_episodes(tmp_path, end):
    with Cell(tmp_path) as cell:
        person = Demonstrator(cell)
        path, folder = tmp_path / "contract.yaml", tmp_path / "demo"
        path.write_text(yaml.safe_dump(CONTRACT, sort_keys=False), encoding="utf-8")
        arguments = ["record", "--contract", str(path), "--out", str(folder), "--tasks", "pick it,place"]
        terminal = Terminal([*arguments, "--namespace", cell.namespace], cell.environment)

        def press(keys: bytes, sentence: str) -> None:
            before = len(terminal.text)
            terminal.press(keys)
            cell.wait(sentence, lambda: re.search(sentence, terminal.text[before:]), 10.0)

        try:
            person.shows = False
            cell.wait("the line", lambda: "missing: joint_states: nothing received" in terminal.text)
            press(b" ", "not started: joint_states: nothing received")
            person.shows = True
            cell.wait("all streams", lambda: terminal.text.endswith("0 thrown away"))
            press(b" ", r"RECORDING 'pick it' \| episode 0 \| [1-9]\.\d s \| \d+ messages")
            press(b" ", "episode 0 of 'pick it' is kept as successful")
            press(b"2", "ready: 'place'")
            press(b"r", "RECORDING 'place'")
            press(b"f", "episode 1 of 'place' is kept as failed")
            press(b"n", "ready: 'pick it'")
            press(b"\x1b[A", "ready")  # an arrow is no key of ours
            press(b" ", "RECORDING 'pick it'")
            press(b"\x7f", "episode 2 of 'pick it' is thrown away")
            press(b"x", "space: start, end as successful")
            press(b" ", r"RECORDING 'pick it' \| episode 2")
            keys, status = ENDS[end]
            terminal.press(keys) if keys else terminal.close()
            ended = terminal.process.wait(15)
            assert status is None or ended == status
        finally:
            terminal.process.kill()
        assert "Traceback" not in terminal.text
        assert keys is None or "kept as failed" in terminal.text[-900:]
        stops = [(each.task, each.success) for each in messages(folder)["episode"] if each.event == 1]
        assert stops == [("pick it", True), ("place", False), ("pick it", False)]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--contract", "nope.yaml"], 1, "lwd: nope.yaml: cannot be read"),
        ([], 2, "Missing option '--contract'"),
        (
            ["--contract", CONTRACT_FILE, "--topic", "/no such"],
            1,
            "lwd: --topic: found '/no such', expected the name of a",
        ),
        (
            ["--contract", CONTRACT_FILE, "--namespace", "a b"],
            1,
            "lwd: --namespace: found '/a b', expected a namespace",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence(tmp_path, arguments, status, sentence):
    command = [sys.executable, "-m", "lwd_ros.cli", "record", "--out", str(Path(tmp_path) / "demo"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == status and sentence in done.stderr and "Traceback" not in done.stderr

"""Pins `lwd demo` as a user meets it: where nothing can be drawn, where it is killed, where it cannot write."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lwd_ros.demo.supervisor import isolated_environment

COMMAND = [sys.executable, "-m", "lwd_ros.cli", "demo", "--out"]


def test_where_nothing_can_be_drawn_all_but_the_film_is_made(tmp_path):
    environment = isolated_environment() | {"MUJOCO_GL": "nonsense"}  # fails like a missing libOSMesa: on import
    done = subprocess.run([*COMMAND, tmp_path], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (sentence,) = [line for line in done.stdout.splitlines() if line.startswith("no film: ")]
    assert "MUJOCO_GL=nonsense" in sentence and "apt install libegl1" in sentence
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["success"] and len(summary["requests"]) == 3
    assert set(summary["exit_statuses"].values()) == {0}
    assert (tmp_path / "timeline.png").stat().st_size > 10_000
    assert not (tmp_path / "demo.mp4").exists()


def _children(pid: int) -> set[int]:
    return {int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _runs(pid: int) -> bool:
    """Whether a process is there and more than an entry that nobody waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(what: str, condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_demo(tmp_path, number):
    logs = [tmp_path / "logs" / f"{node}.log" for node in ("metaworld_bridge", "policy_generator", "policy_controller")]
    with open(tmp_path / "output", "w") as output:
        demo = subprocess.Popen(
            [*COMMAND, tmp_path, "--no-video"],
            env=isolated_environment(),
            stdout=output,
            stderr=output,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # tests may run under nohup
        )
    try:
        _wait("the nodes to talk", lambda: all(log.exists() and log.stat().st_size for log in logs))
        children = _children(demo.pid)
        assert len(children) == 4
        demo.send_signal(number)
        assert demo.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
        if number == signal.SIGKILL:  # nobody is left to wait for them
            _wait("the children's end", lambda: not any(map(_runs, children)))
        assert not any(map(_runs, children))
        assert all("shutdown done" in log.read_text() for log in logs)
    finally:
        demo.kill()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run([*COMMAND, tmp_path / "file" / "out"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"lwd: {tmp_path / 'file' / 'out'}: cannot be written (Not a directory)\n"


def test_demo_touches_nothing_but_its_own_results(tmp_path):
    """`--out` may be any folder, the user's home too; only results of an earlier demo there are replaced."""
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "summary.json").write_text("of an earlier run")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mine.log").write_text("mine")
    code = "from pathlib import Path; from lwd_ros.demo.stage import claimed\n"
    code += f"with claimed(Path({str(tmp_path)!r})): print('claimed')"
    command = [sys.executable, "-c", code]
    first = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, check=True)
    assert "claimed" in first.stdout
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "logs" / "mine.log").read_text() == "mine"
    assert not (tmp_path / "summary.json").exists()


def test_one_request_many_ways_and_one_seed_one_way(tmp_path):
    environment = isolated_environment()
    command = [*COMMAND[:-1], "ways", "--requests", "4", "--seed", "1", "--no-video", "--out", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [request["seed"] for request in summary["requests"]] == [1, 2, 3, 4]
    went = [request["way"] for request in summary["requests"] if request["success"]]
    assert len(went) == summary["reached"] >= 3 and len(set(went)) == summary["different_ways"] > 1
    # In lock step there is no other difference between two runs of one seed than another way.
    again = summary["repeated"]
    assert again["same_path"] and summary["requests"][again["request"] - 1]["way"] == again["way"]
    assert set(summary["exit_statuses"].values()) == {0}
    assert (tmp_path / "ways.png").stat().st_size > 10_000


def test_an_option_of_another_story_is_refused(tmp_path):
    done = subprocess.run([*COMMAND, tmp_path, "--seed", "3"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "lwd: --seed: found with the story 'drawer', expected it with 'ways' alone\n"

"""Runs docs/tutorial/thirty_minutes.md word for word: real nodes, a real recording, training, and a policy that drives.

Where no ROS 2 is sourced, `ros2` is test/support/bin/ros2: the tutorial's few commands of it over the same rclpy.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from nodes_support import claim_domain

from lwd_ros.demo.supervisor import isolated_environment

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "thirty_minutes.md"
BACKGROUND = re.compile(r"# terminal \d+\n")
_PATIENCE_S = 120.0
_TICKS = 20  # commands of the policy, 2 s of driving


class Reader:
    """Somebody who copies commands from the tutorial into terminals."""

    def __init__(self, folder: Path):
        shutil.copytree(ROOT / "examples" / "mobile_base", folder / "examples" / "mobile_base")
        self.folder, self.output, self._terminals = folder, {}, []
        found = [] if shutil.which("ros2") else [str(ROOT / "test" / "support" / "bin")]
        path = os.pathsep.join([*found, str(Path(sys.executable).parent), os.environ["PATH"]])
        site = folder / "site"  # what the reader installs must not stay in the environment of the tests
        modules = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
        domain, self._claim = claim_domain()
        own = {"PATH": path, "PIP_TARGET": str(site), "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}
        ros = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": str(domain)}
        self.environment = {**isolated_environment(), **own, **ros}

    def run(self, block: str) -> str:
        """What a block of commands prints; it must succeed."""
        if BACKGROUND.match(block):
            log = (self.folder / f"terminal_{len(self._terminals)}.log").open("w")
            arguments = {"cwd": self.folder, "env": self.environment, "stdout": log, "stderr": subprocess.STDOUT}
            command = ["bash", "-c", f"exec {BACKGROUND.sub('', block)}"]
            self._terminals.append(subprocess.Popen(command, **arguments, start_new_session=True))
            return ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """The ends of the terminals in the background."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("terminal_*.log")))

    def close(self) -> None:
        """Ctrl-C in every terminal."""
        for terminal in reversed(self._terminals):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGINT)
        for terminal in self._terminals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                terminal.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGKILL)
        self._claim.close()


def _blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.S | re.M)


def _field(text: str, name: str) -> str:
    return re.search(rf"^{name}: (.*)$", text, re.M)[1].strip()


def _drives(status: str) -> bool:
    """Whether a controller's status tells of commands enough of the policy that was asked for."""
    return bool(status) and _field(status, "task") == "follow_wall" and int(_field(status, "ticks")) >= _TICKS


def test_the_tutorial_goes_from_the_list_of_topics_to_a_policy_that_drives(tmp_path):
    reader = Reader(tmp_path)
    printed = {}
    try:
        for block in _blocks():
            end = time.monotonic() + _PATIENCE_S
            if "generate_policy lwd" in block:  # what is asked for before a controller listens never runs
                asked = "ros2 topic echo --once /policy_controller/status"
                while "no policy yet" not in reader.run(asked):
                    assert time.monotonic() < end, reader.logs()
            printed[block] = reader.run(block)
            while block == "ros2 topic list\n" and "/scan" not in printed[block] and time.monotonic() < end:
                printed[block] = reader.run(block)  # the simulator is still starting

        def of(command: str) -> str:
            return next(text for block, text in printed.items() if command in block)

        assert {"/scan", "/odom", "/cmd_vel"} <= set(of("topic list").split())
        first, mine = (tmp_path / name for name in ("first_contract.yaml", "my_base.yaml"))
        assert "!guess" in first.read_text() and mine.exists()
        counts = json.loads((tmp_path / "data" / "base" / "meta.json").read_text())["counts"]
        assert {task: count["episodes"] for task, count in counts.items()} == {"follow_wall": 20}
        assert (tmp_path / "data" / "base.png").exists() and (tmp_path / "runs" / "base" / "validation.png").exists()
        assert re.search(r"success(=|: )True", of("generate_policy lwd"))

        # The block's first message is the controller's, which may not have taken the policy yet; the second is the
        # simulator's.
        assert of("task_status").rpartition("\ntask: ")[2].startswith("follow_wall\n")
        # Whether it gets there depends on what a minute of training is worth on this machine; that it drives does not.
        end, status = time.monotonic() + _PATIENCE_S, ""
        while not _drives(status) and time.monotonic() < end:
            status = reader.run("ros2 topic echo --once /policy_controller/status")
        assert _drives(status) and int(_field(status, "policy_parameters")) <= 1000, f"{status}\n{reader.logs()}"
    finally:
        reader.close()

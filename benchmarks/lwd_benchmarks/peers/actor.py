"""A policy that lerobot trained as an actor of our episode loop; it runs in a process of lerobot's environment."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwd_benchmarks.peers.roundtrip import INSIDE, LeRobotCheckError, clean_environment
from lwd_ros.contract import Contract


class LeRobotActor:
    """Asks the process for every step: lerobot's own queue decides when the network makes new actions.

    `step_ms` and `query_ms` have the processor time of every step without and with the network, as the process says.
    """

    due = False

    def __init__(self, python: Path, checkpoint: Path, action_steps: int, tasks: Sequence[str], contract: Contract):
        """Start the process; `tasks` in the order of the dataset, `action_steps` between queries."""
        self.contract, self.tasks, self.queries = contract, tuple(tasks), 0
        self.step_ms: list[float] = []
        self.query_ms: list[float] = []
        self._process = subprocess.Popen(
            [python, INSIDE / "serve.py", checkpoint, str(action_steps)],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "LeRobotActor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()

    def about(self) -> dict[str, Any]:
        """Parameters, bytes of the weights, and MB of memory that the process used at most."""
        return self._ask({"about": True})

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`; the task is told as a vector that is 1 at its place."""
        self.queries = 0
        self._task = [float(task == each) for each in self.tasks]
        self._ask({"seed": seed})

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._seen = observation.tolist()

    def query(self) -> None:
        """Never due: lerobot asks its network within a step."""

    def adopt(self, stood_still: bool = False) -> None:
        """There is no answer that waits."""

    def command(self) -> np.ndarray:
        """As `Actor.command`."""
        answer = self._ask({"state": self._seen, "environment_state": self._task})
        self.queries += answer["asked"]
        (self.query_ms if answer["asked"] else self.step_ms).append(answer["ms"])
        return np.array(answer["action"])

    def _ask(self, question: dict) -> dict:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            stderr = self._process.stderr
            said = "; ".join(stderr.read().strip().splitlines()[-3:]) if stderr else ""
            raise LeRobotCheckError(f"serve.py: ended before its answer: {said}")
        return json.loads(answer)

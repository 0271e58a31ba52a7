"""The two roads, as the commands that a user types; each of them is timed."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.paths import in_checkout
from lwd_ros.errors import LwdError

LWD = (sys.executable, "-m", "lwd_ros.cli")


class RoadError(LwdError):
    """A step of a road failed; says which, and where its output is."""


def run(name: str, command: Sequence[object], logs: Path) -> float:
    """Run a step; its output goes to `logs/NAME.log`. Returns the seconds that it took; raises RoadError."""
    logs.mkdir(parents=True, exist_ok=True)
    path = logs / f"{name}.log"
    begin = time.monotonic()
    with open(path, "w", encoding="utf-8") as output:
        status = subprocess.run([str(word) for word in command], stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        words = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RoadError(f"{name}: ended with status {status} ({words[-1] if words else 'no output'}); see {path}")
    return time.monotonic() - begin


@dataclass(frozen=True)
class Road:
    """One example.

    Attributes:
        name: what its result is called.
        environment: its name, or its YAML file.
        contract: its file.
        tasks: names, in the order of demonstrations.
        demonstrations: what they are made by and stored as, in words.
        recorded: (episodes a task, folder) to the commands that record so many, by the name of the step.
        imported: (episodes a task, folder, dataset) to the command that makes a dataset of them.
    """

    name: str
    environment: str
    contract: Path
    tasks: tuple[str, ...]
    demonstrations: str
    recorded: Callable[[int, Path], dict[str, list]]
    imported: Callable[[int, Path, Path], list]


FEW = 20
"""Demonstrations a task of the timed run; more of them are recorded in addition, where a road allows it."""


def base() -> Road:
    """The mobile base: bags of `lwd record`."""
    from mobile_base.simulator import SIMULATOR  # type: ignore[import-untyped, import-not-found, unused-ignore]

    contract = SIMULATOR.spec.contract_file
    parts = {FEW: 1, 50 - FEW: 1001}  # so many drives a task in a bag, and its first layout

    def bags(episodes: int, folder: Path) -> dict[int, Path]:
        return {count: folder / f"bag_{count}" for count in parts if count <= episodes}

    def recorded(episodes: int, folder: Path) -> dict[str, list]:
        drive = [sys.executable, "-m", "mobile_base.drive"]
        return {
            bag.name: [*drive, "--episodes", count, "--first-layout", parts[count], "--out", bag]
            for count, bag in bags(episodes, folder).items()
            if not (bag / "metadata.yaml").exists()
        }

    def imported(episodes: int, folder: Path, data: Path) -> list:
        found = [bag for count, bag in bags(episodes, folder).items() if episodes > FEW or count == FEW]
        return [*LWD, "import-bag", *found, "--contract", contract, "--out", data, "--no-plot"]

    words = "a scripted driver by the robot's topics, recorded as bags by the recorder of lwd record"
    return Road("base", "mobile_base", contract, SIMULATOR.spec.tasks, words, recorded, imported)


def arm() -> Road:
    """The SO-101: a LeRobot dataset v3.0."""
    from so101_cell.arm import TASKS  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from so101_cell.demonstrate import TEXTS  # type: ignore[import-untyped, import-not-found, unused-ignore]

    folder_of_example = in_checkout("examples/so101")

    def recorded(episodes: int, folder: Path) -> dict[str, list]:
        out = folder / f"lerobot_{episodes}"
        guide = [sys.executable, "-m", "so101_cell.demonstrate", "--episodes", episodes, "--out", out]
        return {} if out.exists() else {out.name: guide}

    def imported(episodes: int, folder: Path, data: Path) -> list:
        texts = [word for task, text in TEXTS.items() for word in ("--task", f"{text}={task}")]
        source, contract = folder / f"lerobot_{episodes}", folder_of_example / "contract.yaml"
        return [*LWD, "import-lerobot", source, "--contract", contract, "--out", data, *texts]

    environment, contract = folder_of_example / "environment.yaml", folder_of_example / "contract.yaml"
    words = "the scripted hand of lerobot-env-so101 guides the arm, measured joints recorded as LeRobot v3.0"
    return Road("arm", str(environment), contract, TASKS, words, recorded, imported)


ROADS: dict[str, Callable[[], Road]] = {"base": base, "arm": arm}

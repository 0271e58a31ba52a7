"""A robot that changes its gait by service calls while it goes, through the real nodes, as a film and a picture.

python -m lwd_benchmarks.gaits.film cheetah MODEL --out film
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lwd_benchmarks.own.nodes import Cell
from lwd_benchmarks.own.roads import RoadError
from lwd_benchmarks.study_file import simulator_named
from lwd_msgs.srv import GeneratePolicy, LoadTask
from lwd_ros.environments.recording import read_recording
from lwd_ros.generator import PolicyGenerator

SECONDS = 3.0
"""Of each gait."""

LAYOUT = 100_001
_FRAMES_PER_SECOND = 25
_COLUMNS = 5  # pictures of each gait, a tenth of a second apart


class Switching(Cell):
    """Bridge, generator and controller of a robot on legs; the bridge records."""

    def __init__(self, robot: str, model: Path, folder: Path):
        contract = simulator_named(robot).spec.contract_file
        road: Any = SimpleNamespace(contract=contract, environment=robot, tasks=PolicyGenerator(model).tasks)
        super().__init__(road, model, folder / "logs")
        self.recording = folder / "film.npz"
        self._nodes["simulator_bridge"] |= {
            "record_file": self.recording, "hold_until_asked": False, "layout": LAYOUT,
        }  # fmt: skip

    def go(self, task: str, steps: int, keep_state: bool) -> float:
        """Load a gait, ask for its policy, wait for so many steps; the simulation time of the load, s."""
        request = LoadTask.Request(task=task, layout=0 if keep_state else LAYOUT, keep_state=keep_state)
        episode = self.task.episode
        for kind, name, words in (
            (LoadTask, "simulator_bridge/load_task", request),
            (GeneratePolicy, "policy_generator/generate_policy", GeneratePolicy.Request(task=task, seed=1)),
        ):
            answer = self.call(kind, name, words)
            if not answer.success:
                raise RoadError(f"nodes: {answer.message}")
        self.wait("the gait", lambda: self.task.episode > episode and self.task.task == task)
        stamp = self.task.header.stamp
        begin = stamp.sec + 1e-9 * stamp.nanosec - 0.02 * self.task.step
        self.wait(f"{steps} steps of {task}", lambda: self.task.step >= steps, 240.0)
        return begin


def film(robot: str, model: Path, tasks: list[str], out: Path) -> None:
    """Write `out`.mp4 and `out`.png; raises RoadError where the nodes do not answer, RenderError."""
    simulator = simulator_named(robot)
    contract = simulator.spec.contract()
    steps = round(SECONDS / contract.period_s)
    with tempfile.TemporaryDirectory() as folder:
        cell = Switching(robot, model, Path(folder))
        with cell:
            cell.wait("the controller", lambda: bool(cell.controller.contract_digest), 300.0)
            begins = [cell.go(task, steps, keep_state=place > 0) for place, task in enumerate(tasks)]
        part = max(read_recording(cell.recording), key=lambda each: len(each.state))
    environment: Any = simulator.make(tasks[0], contract)
    renderer = environment.renderer(240, 360)
    font = ImageFont.load_default(size=14)

    def frame(index: int) -> np.ndarray:
        place = max(0, int(np.searchsorted(begins, part.time_s[index] + 1e-6)) - 1)
        picture = Image.fromarray(renderer.draw(part.state[index]))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 0, picture.width, 22), fill=(20, 20, 20))
        draw.text((6, 3), f"{tasks[place]}   {part.time_s[index] - begins[0]:.2f} s", fill=(255, 255, 255), font=font)
        return np.asarray(picture)

    try:
        lines = []
        for begin in begins:
            times = begin + 0.6 * SECONDS + 0.1 * np.arange(_COLUMNS)
            lines.append(np.concatenate([frame(int(np.argmin(np.abs(part.time_s - time)))) for time in times], axis=1))
        imageio.imwrite(out.with_suffix(".png"), np.concatenate(lines, axis=0))
        shown = np.flatnonzero(part.time_s >= begins[0])
        writer: Any = imageio.get_writer(out.with_suffix(".mp4"), fps=_FRAMES_PER_SECOND, macro_block_size=8)
        with writer:
            for index in shown[:: round(1.0 / (_FRAMES_PER_SECOND * contract.period_s))]:
                writer.append_data(frame(index))
    finally:
        renderer.close()


def main(arguments: list[str] | None = None) -> int:
    """Film a robot whose gaits a model file knows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("robot", choices=("cheetah", "quadruped"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--tasks", default="", help="gaits, comma-separated; default: every gait that the model knows")
    parser.add_argument("--out", type=Path, default=Path("film"), help="without its ending")
    given = parser.parse_args(arguments)
    tasks = [task for task in given.tasks.split(",") if task] or list(PolicyGenerator(given.model).tasks)
    film(given.robot, given.model.absolute(), tasks, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

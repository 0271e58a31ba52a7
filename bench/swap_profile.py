"""Where the time of a swap goes, in the controller and in the generator: `python bench/swap_profile.py --json F`."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from cells import NODES, Cell
from hold import cores_held, quota
from results import machine, write_result
from traced import DECODE, PIECES

TRACED = str(Path(__file__).with_name("traced.py"))


class TracedCell(Cell):
    """A cell whose nodes run under stop watches; what they saw is in `<node>.json` of the cell's folder."""

    def __init__(self, folder: Path, *arguments):
        self.folder = folder
        super().__init__(*arguments)

    def start_node(self, name: str, parameters: dict) -> None:
        cell = self.supervisor
        command = [sys.executable, TRACED, name, str(self.folder / f"{name}.json"), *cell.ros_arguments(parameters)]
        with open(cell.log_folder / f"{name}.log", "w", encoding="utf-8") as log:
            cell.processes[name] = subprocess.Popen(command, env=cell.environment, stdout=log, stderr=log)


def profile(rate_hz: float, every: int, swaps: int, limit, share: float, tree: Path | None) -> dict:
    """One block without swaps and one with, both nodes under stop watches."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(limit(share))
        with TracedCell(folder, rate_hz, every, 0, folder, tree) as cell:
            cell.warm_up()
            seconds = swaps * every / rate_hz
            windows, blocks = {}, {}
            for kind in ("quiet", "busy"):
                began = time.perf_counter()  # the same clock in all processes
                blocks[kind] = getattr(cell, kind)(seconds)
                windows[kind] = (began, time.perf_counter())
            cell.check()
        result = {"rate_hz": rate_hz, "share": share, "swaps": blocks["busy"]["swaps"]}
        for name in NODES:
            spent = blocks["busy"]["usage"][name] - blocks["quiet"]["usage"][name]
            waited = {kind: round(value * 1e-3 / swaps, 1) for kind, value in spent.waited_ns.items()}
            result[name] = {
                "a_swap_uses_us": round(sum(spent.used_ns.values()) * 1e-3 / swaps, 1),
                "by_thread_us": {kind: round(value * 1e-3 / swaps, 1) for kind, value in spent.used_ns.items()},
                "waits_for_a_core_us": waited,
                "pieces": _pieces(name, json.loads((folder / f"{name}.json").read_text()), windows, swaps),
            }
    return result


def _pieces(node: str, calls: list, windows: dict, swaps: int) -> list[dict]:
    """What a swap adds of each piece; and of a call while there are swaps: median times, 99th percentile by the clock.

    Processor time is without the pieces inside a piece. What the block without swaps had as well is taken off.
    """
    result = []
    for piece in dict.fromkeys([DECODE, *(piece for piece, *_ in PIECES[node])]):
        found = {
            kind: [call for call in calls if call[0] == piece and began < call[2] < ended]
            for kind, (began, ended) in windows.items()
        }
        if not found["busy"]:
            continue
        wall, used = (np.array([call[place] for call in found["busy"]]) * 1e6 for place in (3, 4))
        without = sum(call[4] for call in found["quiet"]) * 1e6
        result.append(
            {
                "piece": piece,
                "thread": "main" if found["busy"][0][1] == "MainThread" else "worker",
                "calls": round((len(found["busy"]) - len(found["quiet"])) / swaps, 2),
                "used_us": round(float(np.median(used)), 1),
                "wall_us": round(float(np.median(wall)), 1),
                "wall_p99_us": round(float(np.percentile(wall, 99, method="higher")), 1),
                "used_us_a_swap": round((float(used.sum()) - without) / swaps, 1),
            }
        )
    return result


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate-hz", default=200.0, show_default=True)
@click.option("--every", default=25, show_default=True, help="observations from one request to the next")
@click.option("--swaps", default=100, show_default=True)
@click.option(
    "--share",
    "shares",
    multiple=True,
    type=click.FloatRange(0.05, 1.0),
    default=(1.0, 0.5),
    show_default=True,
    help="of each core's time that is left to all that is measured",
)
@click.option("--quota", "by_quota", is_flag=True, help="hold by the kernel's CPU quota, which pauses for milliseconds")
@click.option("--tree", type=click.Path(path_type=Path), help="another checkout, to profile its nodes")
def main(path: Path | None, rate_hz: float, every: int, swaps: int, shares, by_quota: bool, tree: Path | None) -> None:
    """Times of a swap's pieces inside the two real nodes, and what their threads used by the kernel's books."""
    runs = []
    for share in shares:
        run = profile(rate_hz, every, swaps, quota if by_quota else cores_held, share, tree)
        runs.append(run)
        for name in NODES:
            node = run[name]
            click.echo(
                f"{name}, {share:g} of each core: a swap uses {node['a_swap_uses_us']:.0f} µs {node['by_thread_us']}"
            )
            for row in node["pieces"]:
                click.echo(
                    f"  {row['piece']:45} {row['thread']:7} {row['calls']:5.2f} x {row['used_us']:7.1f} µs used, "
                    f"{row['wall_us']:7.1f} µs by the clock (p99 {row['wall_p99_us']:.0f}) = "
                    f"{row['used_us_a_swap']:7.1f} µs a swap"
                )
    write_result(path, {"benchmark": "swap_profile", **machine(), "by_quota": by_quota, "every": every, "runs": runs})


if __name__ == "__main__":
    main()

"""Where the time of a swap goes in both nodes, of two checkouts: `lwd bench swap_profile --before TREE`."""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import click
import numpy as np

from lwd_benchmarks.controller.cells import NODES, Cell, alternate
from lwd_benchmarks.controller.hold import cores_held, quota
from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.controller.traced import DECODE, PIECES, TICKS

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


def profile(rate_hz, every: int, swaps: int, pairs: int, limit, share: float, before: Path, neighbours: float) -> dict:
    """Pairs of blocks without swaps and with, of both checkouts, their nodes under stop watches.

    A tick beside a swap takes longer too, caches being cold. That is in no piece: it drowns in the scatter of ticks.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(limit(share))

        def cell(side: str, tree: Path | None, place: int) -> TracedCell:
            place_folder = folder / f"{side}_{place}"
            return TracedCell(place_folder, rate_hz, every, 0, place_folder, tree)

        cells = {"before": partial(cell, "before", before), "after": partial(cell, "after", None)}
        blocks = alternate(cells, pairs, swaps, neighbours)
        result = {"rate_hz": rate_hz, "share": share, "swaps": pairs * swaps}
        for side in cells:
            windows = {kind: [pair[kind]["window"] for pair in blocks[side]] for kind in ("quiet", "busy")}
            result[side] = {}
            for name in NODES:
                calls = []
                for place in range(pairs):
                    calls += json.loads((folder / f"{side}_{place}" / f"{name}.json").read_text())
                result[side][name] = _pieces(name, calls, windows, pairs * swaps)
    return result


def _pieces(node: str, calls: list, windows: dict, swaps: int) -> list[dict]:
    """What a swap adds of each piece; and of a call while there are swaps: median times, 99th percentile by the clock.

    Processor time is without the pieces inside a piece. What the blocks without swaps had as well is taken off.
    """
    result = []
    for piece in dict.fromkeys([DECODE, *(piece for piece, *_ in PIECES[node] if piece != TICKS)]):
        found = {
            kind: [call for call in calls if call[0] == piece and any(began < call[2] < ended for began, ended in each)]
            for kind, each in windows.items()
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
@click.option("--before", type=click.Path(path_type=Path), required=True, help="a checkout to compare with")
@click.option("--rate-hz", default=200.0, show_default=True)
@click.option("--every", default=25, show_default=True, help="observations from one request to the next")
@click.option("--swaps", default=50, show_default=True, help="swaps of a block")
@click.option("--pairs", default=4, show_default=True, help="blocks without and with swaps")
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
@click.option(
    "--neighbours",
    default=math.inf,
    help="measure a block again beside which other processes used more of a core than this; without it, none",
)
def main(path, before, rate_hz, every, swaps, pairs, shares, by_quota, neighbours) -> None:
    """Processor time of a swap's pieces inside the real nodes; what the middleware's threads use is not in it."""
    runs = []
    for share in shares:
        limit = quota if by_quota else cores_held
        run = profile(rate_hz, every, swaps, pairs, limit, share, before, neighbours)
        runs.append(run)
        for name in NODES:
            for side in ("before", "after"):
                rows = run[side][name]
                for row in rows:
                    click.echo(
                        f"  {row['piece']:45} {row['thread']:7} {row['calls']:5.2f} x {row['used_us']:7.1f} µs used, "
                        f"{row['wall_us']:7.1f} µs by the clock (p99 {row['wall_p99_us']:.0f}) = "
                        f"{row['used_us_a_swap']:7.1f} µs a swap"
                    )
                for thread in dict.fromkeys(row["thread"] for row in rows):
                    total = sum(row["used_us_a_swap"] for row in rows if row["thread"] == thread)
                    click.echo(f"{name}, {share:g} of each core, {side}: {total:.0f} µs a swap on the {thread} thread")
    write_result(path, {"benchmark": "swap_profile", **machine(), "by_quota": by_quota, "every": every, "runs": runs})


if __name__ == "__main__":
    main()

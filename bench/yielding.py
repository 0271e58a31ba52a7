"""How a generator steps back behind the controller, by scheduling class: `python bench/yielding.py --json F`."""

import contextlib
import math
import os
import tempfile
from pathlib import Path

import click
import numpy as np
from cells import NODES, Cell, loaded
from hold import cores_held
from results import machine, write_result

from lwd_ros.control.process import set_slice

DEFAULT_S, SHORT_S, LONG_S = 0.0, 0.0001, 0.1
CLASSES = {
    "nice 10": (os.SCHED_OTHER, 10, DEFAULT_S, DEFAULT_S),
    "nice 19": (os.SCHED_OTHER, 19, DEFAULT_S, DEFAULT_S),
    "idle": (os.SCHED_IDLE, 0, DEFAULT_S, DEFAULT_S),
    "nice 10, long slices": (os.SCHED_OTHER, 10, LONG_S, DEFAULT_S),
    "nice 10, the controller's slices short": (os.SCHED_OTHER, 10, DEFAULT_S, SHORT_S),
    "nice 10, long slices, the controller's short": (os.SCHED_OTHER, 10, LONG_S, SHORT_S),
}
"""Class and niceness of the generator's threads, their slices, and those of the controller's threads, in s."""


def schedule(generator: int, controller: int, kind: str) -> None:
    """Put every thread of a generator into a class. Needs the right to raise priorities again."""
    policy, nice, *slices = CLASSES[kind]
    for process, slice_s in zip((generator, controller), slices, strict=True):
        for name in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(ProcessLookupError):  # it ended since it was listed
                if process == generator:
                    os.sched_setscheduler(int(name), policy, os.sched_param(0))
                    os.setpriority(os.PRIO_PROCESS, int(name), nice)
                set_slice(int(name), slice_s)


def measure(rate_hz: float, every: int, swaps: int, blocks: int, share: float, cores: int, neighbours: float) -> dict:
    """Blocks with swaps in each class, in turns, with so many cores loaded by other processes."""
    kinds, found, quiet = list(CLASSES), {kind: [] for kind in CLASSES}, []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(cores_held(share))
        cell = stack.enter_context(Cell(rate_hz, every, 0, folder))
        cell.warm_up()
        stack.enter_context(loaded(cores))
        nodes = [cell.supervisor.processes[name].pid for name in NODES]
        for block in range(blocks):
            quiet.append(cell.undisturbed("quiet", swaps * every / rate_hz, neighbours)["lost"])
            for kind in kinds[block % len(kinds) :] + kinds[: block % len(kinds)]:
                schedule(*nodes, kind)
                found[kind].append(cell.undisturbed("busy", swaps * every / rate_hz, neighbours))
                click.echo(f"block {block + 1} of {blocks}, {kind}: {found[kind][-1]['lost']} ticks lost", err=True)
    return {
        "rate_hz": rate_hz,
        "share": share,
        "loaded_cores": cores,
        "every": every,
        "blocks": blocks,
        "lost_without_swaps": sum(quiet),
        "classes": {kind: summary(found[kind]) for kind in kinds},
    }


def summary(blocks: list[dict]) -> dict:
    """Ticks lost, and the times from a request to its response and to the first command, ms."""
    result = {
        "swaps": sum(block["swaps"] for block in blocks),
        "requested": sum(len(block["to_response_ms"]) for block in blocks),
        "lost": sum(block["lost"] for block in blocks),
    }
    for name in ("to_response_ms", "to_command_ms"):
        values = np.concatenate([block[name] for block in blocks])
        for percent in (50, 99):
            value = float(np.percentile(values, percent, method="higher"))
            result[f"{name}_p{percent}"] = _rounded(value)
    values = np.concatenate([block["latencies"] for block in blocks])
    result["around_ms_p99"] = _rounded(1e3 * float(np.percentile(values, 99, method="higher")))
    return result


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate-hz", default=500.0, show_default=True)
@click.option("--every", default=100, show_default=True, help="observations from one request to the next")
@click.option("--swaps", default=20, show_default=True, help="swaps of a block")
@click.option("--blocks", default=5, show_default=True, help="blocks of each class")
@click.option("--share", default=1.0, show_default=True, help="of each core's time that is left to what is measured")
@click.option("--load", "loads", multiple=True, default=(0, 2), show_default=True, help="cores that compute beside it")
@click.option(
    "--neighbours",
    default=math.inf,
    help="measure a block again beside which other processes used more of a core than this; without it, none",
)
def main(
    path: Path | None, rate_hz: float, every: int, swaps: int, blocks: int, share: float, loads, neighbours: float
) -> None:
    """Ticks lost while policies are generated, and how soon a request is answered, with the generator in each class."""
    runs = []
    for cores in loads:
        run = measure(rate_hz, every, swaps, blocks, share, cores, neighbours)
        runs.append(run)
        for kind, row in run["classes"].items():
            click.echo(f"{cores} cores loaded, {kind}: {row}")
    write_result(path, {"benchmark": "yielding", **machine(), "runs": runs})


if __name__ == "__main__":
    main()

"""Policies swapped while a 500 Hz loop runs, against the same loop without swaps: `lwd bench swap --json F`.

Two checkouts in one run, on this machine and on a slower one:
`lwd bench swap --before TREE --share 1 --share 0.5`.
"""

import contextlib
import math
import tempfile
from functools import partial
from pathlib import Path

import click
import numpy as np

from lwd_benchmarks.controller.cells import NODES, Cell, alternate, cost_us
from lwd_benchmarks.controller.hold import cores_held, quota
from lwd_benchmarks.controller.results import machine, write_result


def summary(blocks: list[dict], swaps: int, every: int) -> dict:
    """The figures of one cell's pairs of blocks."""
    tails = [[_percentile(both[kind]["latencies"], 99.9) for kind in ("quiet", "busy")] for both in blocks]
    ratios = sorted(math.inf if math.isinf(busy) else busy / quiet for quiet, busy in tails)
    lost_without, lost_with = (sum(both[kind]["lost"] for both in blocks) for kind in ("quiet", "busy"))
    to_command = np.concatenate([both["busy"]["to_command_ms"] for both in blocks])
    pairs = len(blocks)
    return {
        "neighbours": round(max(both[kind]["neighbours"] for both in blocks for kind in both), 3),
        "swaps": sum(both["busy"]["swaps"] for both in blocks),
        "requested": pairs * swaps,
        "ticks": pairs * swaps * every,
        "ticks_lost": max(0, lost_with - lost_without),
        "lost_with_swaps": lost_with,
        "lost_without_swaps": lost_without,
        "worst_tick_ratio": _rounded(_percentile(ratios, 50)),
        "worst_tick_ratio_worst_pair": _rounded(ratios[-1]),
        "worst_tick_ratios": [_rounded(ratio) for ratio in ratios],
        "p999_without_ms": _rounded(1e3 * _percentile([quiet for quiet, _ in tails], 50)),
        "p999_around_ms": _rounded(1e3 * _percentile([busy for _, busy in tails], 50)),
        "request_to_command_ms_p50": _rounded(_percentile(to_command, 50)),
        "request_to_command_ms_p99": _rounded(_percentile(to_command, 99)),
        "a_swap_costs": {name: cost_us(blocks, name, pairs * swaps) for name in NODES},
    }


def _percentile(values, percent: float) -> float:
    """A value that is there, for between two of them may be infinity."""
    return float(np.percentile(values, percent, method="higher"))


def _rounded(value: float) -> float | None:
    """None where it is infinite: JSON knows no infinity."""
    return round(value, 3) if math.isfinite(value) else None


def _line(run: dict) -> str:
    controller, generator = (run["a_swap_costs"][name]["used_us"] for name in NODES[::-1])
    return (
        f"{run['swaps']} swaps of {run['requested']}: {run['ticks_lost']} ticks lost ({run['lost_with_swaps']} with "
        f"swaps, {run['lost_without_swaps']} without, of {run['ticks']}); p99.9 around swaps {run['p999_around_ms']} "
        f"ms, without {run['p999_without_ms']} ms; request to command {run['request_to_command_ms_p50']} ms p50; a "
        f"swap costs the controller {controller:.0f} µs, the generator {generator:.0f} µs"
    )


def two_checkouts(rate_hz, share, limit, before: Path, pairs: int, swaps: int, every: int, neighbours: float) -> dict:
    """Both checkouts at normal priority, a pair of blocks each in turn, on cores held to `share` by `limit`."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(limit(share))

        def cell(side: str, tree: Path | None, place: int) -> Cell:
            return Cell(rate_hz, every, 0, folder / f"{side}_{place}", tree)

        cells = {"before": partial(cell, "before", before), "after": partial(cell, "after", None)}
        blocks = alternate(cells, pairs, swaps, neighbours)
    return {side: summary(blocks[side], swaps, every) for side in cells}


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate-hz", "rates", multiple=True, type=float, default=(500.0,), show_default=True)
@click.option("--pairs", default=10, show_default=True, help="blocks without and with swaps")
@click.option("--swaps", default=100, show_default=True, help="swaps of a block")
@click.option("--every", default=50, show_default=True, help="observations from one request to the next")
@click.option("--realtime-priority", default=20, show_default=True, help="of the controller; measured beside normal")
@click.option("--before", type=click.Path(path_type=Path), help="a checkout to compare with, both at normal priority")
@click.option(
    "--share",
    "shares",
    multiple=True,
    type=click.FloatRange(0.05, 1.0),
    default=(1.0,),
    show_default=True,
    help="of each core's time that is left to all that is measured; needs --before",
)
@click.option("--quota", "by_quota", is_flag=True, help="hold by the kernel's CPU quota, which pauses for milliseconds")
@click.option(
    "--neighbours",
    default=math.inf,
    help="measure a block again beside which other processes used more of a core than this; without it, none",
)
def main(path, rates, pairs, swaps, every, realtime_priority, before, shares, by_quota, neighbours) -> None:
    """Swaps by the real generator, asked for by service calls, under a robot that waits for no one.

    Measured twice: with the controller's parameter `realtime_priority`, and with everything at normal priority. With
    --before, two checkouts are measured instead, at normal priority.
    """
    if before is not None:
        runs = []
        for rate_hz in rates:
            for share in shares:
                limit = quota if by_quota else cores_held
                both = two_checkouts(rate_hz, share, limit, before, pairs, swaps, every, neighbours)
                runs.append({"rate_hz": rate_hz, "share": share, "by_quota": by_quota, **both})
                for name, run in both.items():
                    click.echo(f"{rate_hz:g} Hz, {share:g} of each core, {name}: {_line(run)}")
        write_result(path, {"benchmark": "swap_before_after", **machine(), "every": every, "runs": runs})
        return
    if len(rates) > 1 or shares != (1.0,):
        raise click.UsageError("several rates, and --share, need --before")
    found = {}
    # Normal first: real-time priority stays with this process, and the nodes that it starts afterwards inherit it.
    for priority in dict.fromkeys((0, realtime_priority)):
        with tempfile.TemporaryDirectory() as folder, Cell(rates[0], every, priority, Path(folder)) as cell:
            cell.warm_up()
            blocks = [cell.pair(swaps, neighbours, busy_first=bool(place % 2)) for place in range(pairs)]
            run = summary(blocks, swaps, every)
        found[priority] = {"realtime_priority": priority, **run}
        click.echo(f"priority {priority}, {rates[0]:g} Hz: {_line(run)}")
    result = {"benchmark": "swap", **machine(), "rate_hz": rates[0], **found[realtime_priority]}
    write_result(path, {**result, "at_normal_priority": found[0]})


if __name__ == "__main__":
    main()

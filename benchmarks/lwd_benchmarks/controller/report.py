"""Writes docs/benchmarks/controller.md from the benchmarks' JSON: `lwd bench report`."""

import json
import math
from pathlib import Path

import click

from lwd_benchmarks.report.page import fill
from lwd_benchmarks.report.text import NONE, table

ROOT = Path(__file__).resolve().parents[3]
RESULTS, DOCUMENT = ROOT / "benchmarks/results/controller", ROOT / "docs/benchmarks/controller.md"
TEMPLATE = ROOT / "benchmarks/lwd_benchmarks/templates/controller.template.md"
HEAD = "<!-- Made by 'lwd bench report' of controller.template.md and benchmarks/results/controller: edit those -->\n"


def _goal(value: float | None, most: float, digits: int = 2) -> str:
    """A figure, bold where it is beyond its goal; None is infinite."""
    if value is None:
        return "**∞**"
    text = f"{value:.{digits}f}"
    return text if value <= most else f"**{text}**"


def _milliseconds(value: float | None) -> str:
    """A time; None is more observations without a command than the percentile leaves over: infinitely late."""
    return "∞" if value is None else f"{value:.2f}"


def _ratio(run: dict, name: str, percentile: int, most: float) -> str:
    """The controller's latency over an echo's, either of which may be infinite."""
    ratio = run[f"{'stripped_' if name == 'stripped_echo' else ''}ratio_p{percentile}"]
    if ratio is not None:
        return _goal(ratio, most)
    return NONE if run[f"{name}_p{percentile}_ms"] is None else "**∞**"


def latency(result: dict) -> dict[str, str]:
    """Observation to command over the bare echo, by rate and load."""
    header = ["rate, load", "", "controller, ms", "echo, ms", "ratio", "stripped, ms", "ratio", "answered"]
    rows = []
    for run in result["runs"]:
        for percentile, goal in ((50, 1.15), (99, 1.3)):
            rows.append(
                [
                    f"{run['rate_hz']:g} Hz, {run['load']}",
                    f"p{percentile}",
                    _milliseconds(run[f"controller_p{percentile}_ms"]),
                    _milliseconds(run[f"echo_p{percentile}_ms"]),
                    _ratio(run, "echo", percentile, goal if run["rate_hz"] <= 500 else math.inf),
                    _milliseconds(run[f"stripped_echo_p{percentile}_ms"]),
                    _ratio(run, "stripped_echo", percentile, math.inf),
                    f"{run['controller_answered']:,} of {run['controller_sent']:,}",
                ]
            )
    return {"table:latency": table(header, rows)}


def latency_idle(result: dict) -> dict[str, str]:
    """The same on an idle machine, measured later."""
    return {"table:latency_idle": latency(result)["table:latency"]}


def swap(result: dict) -> dict[str, str]:
    """Swaps at real-time and at normal priority, a column each."""
    sides = (result, result["at_normal_priority"])
    rows = {
        "swaps": lambda run: f"{run['swaps']:,} of {run['requested']:,} asked for",
        "observations, with swaps and without": lambda run: f"{run['ticks']:,} each",
        "unanswered before the next, with swaps": lambda run: f"{run['lost_with_swaps']:,}",
        "unanswered before the next, without": lambda run: f"{run['lost_without_swaps']:,}",
        "ticks lost to swaps (goal: 0)": lambda run: _goal(run["ticks_lost"], 0, 0),
        "p99.9 of a tick without swaps, ms": lambda run: _milliseconds(run["p999_without_ms"]),
        "p99.9 of a tick around a swap, ms": lambda run: _milliseconds(run["p999_around_ms"]),
        "ratio, median of the pairs (goal: ≤ 1.2)": lambda run: _goal(run["worst_tick_ratio"], 1.2),
        "ratio, worst pair": lambda run: _milliseconds(run["worst_tick_ratio_worst_pair"]),
        "request to first command p50, ms (goal: ≤ 15)": lambda run: _goal(run["request_to_command_ms_p50"], 15, 1),
        "request to first command p99, ms": lambda run: _milliseconds(run["request_to_command_ms_p99"]),
    }
    header = ["", f"`realtime_priority: {result['realtime_priority']}`", "normal priority"]
    return {
        "table:swap": table(header, [[name, *(cell(run) for run in sides)] for name, cell in rows.items()]),
        "value:swap.rate": f"{result['rate_hz']:g}",
        "value:swap.pairs": str(len(result["worst_tick_ratios"])),
    }


def swap_before_after(result: dict) -> dict[str, str]:
    """Two checkouts at normal priority in one run: a pair of columns for each speed of the cores."""
    sides = [(run, side) for run in result["runs"] for side in ("before", "after")]
    header = ["", *(f"{run['rate_hz']:g} Hz, {_speed(run)}, {side}" for run, side in sides)]

    def lost(run: dict, side: str) -> str:
        return _goal(run[side]["ticks_lost"], run["before"]["ticks_lost"] / 4 if side == "after" else math.inf, 0)

    rows = {
        "swaps": lambda run, side: f"{run[side]['swaps']:,} of {run[side]['requested']:,}",
        "observations, with swaps and without": lambda run, side: f"{run[side]['ticks']:,} each",
        "unanswered before the next, with swaps": lambda run, side: f"{run[side]['lost_with_swaps']:,}",
        "unanswered before the next, without": lambda run, side: f"{run[side]['lost_without_swaps']:,}",
        "ticks lost to swaps (goal: a quarter)": lost,
        "p99.9 of a tick without swaps, ms": lambda run, side: _milliseconds(run[side]["p999_without_ms"]),
        "p99.9 of a tick around a swap, ms": lambda run, side: _milliseconds(run[side]["p999_around_ms"]),
        "request to first command p50, ms": lambda run, side: _milliseconds(run[side]["request_to_command_ms_p50"]),
    }
    body = [[name, *(cell(run, side) for run, side in sides)] for name, cell in rows.items()]
    return {"table:swap_before_after": table(header, body)}


def swap_profile(result: dict) -> dict[str, str]:
    """What a swap costs the threads of both processes, by stop watches, of two checkouts."""
    (run,) = result["runs"]

    def cost(side: str, node: str, *threads: str) -> float:
        return sum(piece["used_us_a_swap"] for piece in run[side][node] if piece["thread"] in threads)

    rows = []
    for name, node, *threads in (
        ("control process, control thread", "policy_controller", "main"),
        ("control process, thread that checks policies", "policy_controller", "worker"),
        ("control process (goal: half)", "policy_controller", "main", "worker"),
        ("generator", "policy_generator", "main"),
    ):
        before, after = (cost(side, node, *threads) for side in ("before", "after"))
        rows.append([name, f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.2f}"])
    return {
        "table:swap_profile": table(["processor time of a swap", "before, µs", "after, µs", "ratio"], rows),
        "value:swap_profile.swaps": str(run["swaps"]),
    }


def _speed(run: dict) -> str:
    return "full speed" if run["share"] == 1 else f"{run['share']:g} of each core"


def step(result: dict) -> dict[str, str]:
    """A policy's step by size."""
    header = ["parameters", "a step, µs", "over `np.dot`", "over bound `dot`", "onnxruntime, µs"]
    rows = [
        [
            f"{run['parameters']:,}",
            f"{run['numpy_us']:.1f}",
            f"{run['ratio']:.2f}",
            f"{run['ratio_to_bound_products']:.2f}",
            f"{run['onnxruntime_us']:.1f}",
        ]
        for run in result["runs"]
    ]
    return {"table:step": table(header, rows)}


def fields(result: dict) -> dict[str, str]:
    """Reading one message by its fields, by kind of path."""
    header = ["fields", "numbers", "ours, µs", "compared with", "that, µs", "ratio"]
    rows = [
        [
            run["fields"],
            str(run["values"]),
            f"{run['ours_us']:.2f}",
            run["reference"],
            f"{run['reference_us']:.2f}",
            _goal(run["ratio"], 2.0 if run["reference"] == "by hand" else 1.0),
        ]
        for run in result["runs"]
    ]
    return {"table:fields": table(header, rows)}


def soak(result: dict) -> dict[str, str]:
    """Memory and processor time over long runs."""
    names = [
        "",
        "memory at a fifth of the run, MB",
        "at half",
        "at its end",
        "fitted growth, MB",
        "scatter about it, MB",
    ]
    rows = [
        [
            f"{run['minutes']:g} min at {run['rate_hz']:g} Hz, {run['swaps']:,} swaps",
            f"{run['memory_first_mb']:.2f}",
            f"{run['memory_mb'][len(run['memory_mb']) // 2]:.2f}",
            f"{run['memory_last_mb']:.2f}",
            f"{run['memory_growth_mb']:.3f}",
            f"{run['memory_noise_mb']:.3f}",
            f"{100 * run['processor_share']:.0f} %",
            f"{run['unanswered']:,} of {run['ticks']:,}",
        ]
        for run in (result, result["many_swaps"])
    ]
    return {"table:soak": table([*names, "of a core", "unanswered"], rows)}


def handover(result: dict) -> dict[str, str]:
    """Second skills that succeeded, by pause and by what the bridge does meanwhile."""
    counts = {}
    for trial in result["trials"]:
        key = ("the arm is held" if trial["hold"] else "the policy before drives on", trial["pause_s"])
        counts.setdefault(key, []).append(trial.get("steps", 0))
    rows = [
        [meanwhile, f"{pause_s:g} s", f"{sum(map(bool, steps))} of {len(steps)}", str(max(steps))]
        for (meanwhile, pause_s), steps in counts.items()
    ]
    return {
        "table:handover": table(["meanwhile", "pause", "succeeded", "steps of the longest"], rows),
        "value:handover.model": result["model"],
        "value:handover.chains": str(len({(t["first"], t["second"]) for t in result["trials"]})),
        "value:handover.layouts": str(len({t["layout"] for t in result["trials"]})),
    }


def document() -> str:
    """The whole page."""
    contents = {}
    for content in (latency, latency_idle, swap, swap_before_after, swap_profile, step, fields, soak, handover):
        name = content.__name__
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        versions = ", ".join(f"{key} {value}" for key, value in result["versions"].items())
        contents |= content(result)
        contents[f"value:{name}.machine"] = f"{result['machine']}; Python {result['python']}, {versions}"
    return HEAD + fill(TEMPLATE.read_text(encoding="utf-8"), contents, str(TEMPLATE))


@click.command()
def main() -> None:
    """Write the page."""
    DOCUMENT.write_text(document(), encoding="utf-8")
    click.echo(f"written to {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

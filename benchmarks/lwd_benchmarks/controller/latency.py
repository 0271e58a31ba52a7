"""From observation to command through the controller, against bare rclpy echoes: `lwd bench latency --json F`."""

import contextlib
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from lwd_benchmarks.controller.cells import loaded, paused
from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.controller.robot import Robot, benchmark_environment, contract_at, random_policy
from lwd_ros.contract import Contract
from lwd_ros.demo.supervisor import Supervisor

_SETTLE_S = 0.3  # after a pause, before the clock runs
ECHO = str(Path(__file__).with_name("echo.py"))


def measure(rate_hz: float, cores: int, blocks: int, block_s: float, folder: Path) -> dict:
    """Latencies through both echoes and through the controller in alternating blocks of one run.

    An observation without a command counts as infinitely late.
    """
    contract_file = contract_at(rate_hz, folder)
    contract = Contract.load(contract_file)
    environment, domain = benchmark_environment()
    with contextlib.ExitStack() as stack:
        robots, processes = {}, {}
        for name in ("echo", "stripped_echo", "controller"):
            cell = stack.enter_context(Supervisor(folder / name, environment))
            arguments = cell.ros_arguments({"contract_file": contract_file})
            if name != "controller":
                command = [sys.executable, ECHO, *["stripped"] * (name == "stripped_echo"), *arguments]
                processes[name] = subprocess.Popen(command, env=cell.environment)
                cell.processes[name] = processes[name]
            else:
                processes[name] = cell.start_node("policy_controller", {"contract_file": contract_file})
            robots[name] = Robot(contract, cell.namespace, domain)
            stack.callback(robots[name].close)
        robots["controller"].offer(random_policy(contract, seed=0))
        for robot in robots.values():
            robot.connect()
            robot.run(1.0)
        latencies: dict[str, list[np.ndarray]] = {name: [] for name in robots}
        sent, answered = dict.fromkeys(robots, 0), dict.fromkeys(robots, 0)
        with loaded(cores):
            for block in range(blocks):
                order = list(robots)[block % 3 :] + list(robots)[: block % 3]
                for name in order:
                    with paused(processes[other] for other in robots if other != name):
                        robots[name].run(_SETTLE_S)
                        exchange = robots[name].run(block_s)
                    if not exchange.answered:
                        raise click.ClickException(f"{name} answers nothing (exit status {processes[name].poll()})")
                    latencies[name].append(exchange.latencies_s())
                    sent[name] += len(exchange.sent)
                    answered[name] += len(exchange.answered)
    result: dict[str, Any] = {"rate_hz": rate_hz, "load": "loaded" if cores else "idle", "loaded_cores": cores}
    for name, parts in latencies.items():
        whole = np.concatenate(parts)
        for percentile in (50, 99):
            found = np.percentile(whole, percentile, method="higher")  # others would compute with infinities
            result[f"{name}_p{percentile}_ms"] = _rounded(float(found) * 1e3)
        result[f"{name}_answered"], result[f"{name}_sent"] = answered[name], sent[name]
    for percentile in (50, 99):
        ours = result[f"controller_p{percentile}_ms"]
        for name, ratio in (("echo", "ratio"), ("stripped_echo", "stripped_ratio")):
            theirs = result[f"{name}_p{percentile}_ms"]
            result[f"{ratio}_p{percentile}"] = ours and theirs and _rounded(ours / theirs)
    return result


def _rounded(value: float) -> float | None:
    """None where more observations had no command than the percentile leaves over: JSON knows no infinity."""
    return round(value, 4) if math.isfinite(value) else None


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate", "rates", multiple=True, default=(80.0, 200.0, 500.0, 1000.0), show_default=True, help="Hz")
@click.option("--blocks", default=10, show_default=True, help="blocks of each of the three")
@click.option("--block-s", default=2.0, show_default=True, help="seconds of a block")
@click.option("--load", "loads", multiple=True, default=(0, 1), show_default=True, help="cores that compute beside it")
def main(path: Path | None, rates, blocks: int, block_s: float, loads) -> None:
    """Observation to command, through the controller and through bare echoes in the same run."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for cores in loads:
            for rate_hz in rates:
                run = measure(rate_hz, cores, blocks, block_s, Path(folder))
                runs.append(run)
                click.echo(
                    f"{rate_hz:g} Hz, {run['load']}: p50 {run['controller_p50_ms']} ms, {run['ratio_p50']} of the "
                    f"echo's ({run['stripped_ratio_p50']} of the stripped one's); p99 {run['controller_p99_ms']} ms, "
                    f"{run['ratio_p99']} ({run['stripped_ratio_p99']})"
                )
    write_result(path, {"benchmark": "latency", **machine(), "runs": runs})


if __name__ == "__main__":
    main()

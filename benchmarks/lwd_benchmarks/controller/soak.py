"""Memory and processor time of the controller over a long run with a swap a second: `lwd bench soak --json F`."""

import os
import tempfile
from collections import deque
from pathlib import Path

import click
import numpy as np

from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.controller.robot import Robot, benchmark_environment, contract_at, random_policy
from lwd_msgs.msg import ControllerStatus
from lwd_ros.contract import Contract
from lwd_ros.demo.supervisor import Supervisor

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WARM_UP = 0.2  # of the run: caches fill, and that is no growth


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE * 1e-6


def processor_s(pid: int) -> float:
    """Processor time that a process has used, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def measure(rate_hz: float, minutes: float, swap_every_s: float) -> dict:
    """A controller at a steady rate, offered a new policy every so often."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contract_file = contract_at(rate_hz, folder)
        contract = Contract.load(contract_file)
        environment, domain = benchmark_environment()
        with Supervisor(folder / "logs", environment) as cell:
            pid = cell.start_node("policy_controller", {"contract_file": contract_file}).pid
            robot = Robot(contract, cell.namespace, domain)
            statuses: deque[ControllerStatus] = deque(maxlen=1)
            robot.node.create_subscription(
                ControllerStatus, "policy_controller/status", lambda m: statuses.append(m), 10
            )
            robot.offer(random_policy(contract, 0))
            robot.connect()
            robot.spin_for(1.0)
            swaps_before = statuses[-1].swaps
            memory, offered, every = [], 0, round(rate_hz * swap_every_s)

            def swap(place: int) -> None:
                nonlocal offered
                if place % every == every // 2:
                    offered += 1
                    robot.offer(random_policy(contract, offered))
                    memory.append(resident_mb(pid))

            used = processor_s(pid)
            exchange = robot.run(60 * minutes, swap)
            used = processor_s(pid) - used
            robot.spin_for(1.0)
            swaps = statuses[-1].swaps - swaps_before
            robot.close()
    if swaps < offered:
        raise click.ClickException(f"{offered} policies offered, {swaps} ran, {statuses[-1].rejections} refused")
    kept = np.array(memory[int(_WARM_UP * len(memory)) :])
    slope, _ = np.polyfit(np.arange(len(kept)), kept, 1)
    # What a straight line leaves over is the noise that a growth must rise above.
    noise = float(np.std(kept - np.polyval((slope, 0), np.arange(len(kept)))))
    result = {
        "rate_hz": rate_hz,
        "minutes": minutes,
        "swaps": swaps,
        "ticks": len(exchange.sent),
        "unanswered": len(exchange.sent) - len(exchange.answered),
        "memory_first_mb": round(float(kept[0]), 3),
        "memory_last_mb": round(float(kept[-1]), 3),
        "memory_growth_mb": round(float(slope * len(kept)), 3),
        "memory_noise_mb": round(noise, 3),
        "processor_share": round(used / (60 * minutes), 4),
        "memory_mb": [round(value, 2) for value in memory[:: max(1, len(memory) // 100)]],
    }
    click.echo(
        f"{minutes:g} min at {rate_hz:g} Hz, {swaps} swaps: memory {kept[0]:.1f} to {kept[-1]:.1f} MB (fitted growth "
        f"{result['memory_growth_mb']:.2f} MB, noise {noise:.2f} MB), {100 * result['processor_share']:.1f} % of a "
        f"core, {result['unanswered']} of {result['ticks']} observations unanswered"
    )
    return result


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate-hz", default=200.0, show_default=True)
@click.option("--minutes", default=10.0, show_default=True, help="of each of the two runs")
def main(path: Path | None, rate_hz: float, minutes: float) -> None:
    """A new policy every second; then one ten times a second, which tells a leak of each swap from a slow start."""
    result, many = (measure(rate_hz, minutes, swap_every_s) for swap_every_s in (1.0, 0.1))
    write_result(path, {"benchmark": "soak", **machine(), **result, "many_swaps": many})


if __name__ == "__main__":
    main()

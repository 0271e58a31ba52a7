"""Policies swapped while a 500 Hz loop runs, against the same loop without swaps: `python bench/swap.py --json F`."""

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import click
import numpy as np
import onnx
from results import machine, write_result
from robot import Robot, benchmark_environment, contract_at

from lwd_msgs.msg import ControllerStatus
from lwd_msgs.srv import GeneratePolicy
from lwd_ros.contract import Contract
from lwd_ros.demo.supervisor import Supervisor
from lwd_ros.generator.model_file import METADATA_KEY
from lwd_ros.nodes.conversions import to_nanoseconds
from lwd_ros.resources import share_path

AROUND = 10
"""A tick is around a swap from its request to this many ticks after the new policy's first command."""


def model_for(contract: Contract, folder: Path) -> Path:
    """The shipped MT10 model, relabelled for a contract of another period: the same graph, weights and cost.

    Its policies were not trained for that rate; this benchmark looks at times, not at motion.
    """
    model = onnx.load(share_path("models", "metaworld_mt10_visible.onnx"))
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            content = json.loads(entry.value)
            content |= {"contract": contract.meaning(), "contract_digest": contract.digest}
            entry.value = json.dumps(content)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


class Requests:
    """Asks for a policy every so many observations, and finds out when each began to command."""

    def __init__(self, robot: Robot, every: int):
        self._robot, self.every = robot, every
        self._client = robot.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
        self.asked: list[tuple[int, int]] = []  # stamp of the observation sent last, system clock in ns
        self.answers: list[GeneratePolicy.Response] = []
        self.first_stamps: dict[str, int] = {}  # by policy: the first observation that it answered
        self.failed = Counter()
        robot.node.create_subscription(ControllerStatus, "policy_controller/status", self._on_status, 1000)

    def wait_for_service(self) -> None:
        """Wait until the generator is there."""
        if not self._client.wait_for_service(30.0):
            raise TimeoutError("the generator did not come up within 30 s")

    def ask(self) -> None:
        """Ask for another policy."""
        self._client.call_async(GeneratePolicy.Request(task="drawer-open-v3")).add_done_callback(self._on_answer)

    def between(self, place: int) -> None:
        """To be called after each observation."""
        if place % self.every == self.every // 2:
            self.asked.append((self._robot.newest_stamp_ns, self._robot.now_ns()))
            self.ask()

    def _on_answer(self, future) -> None:
        response = future.result()
        self.answers.append(response)
        if not response.success:
            self.failed[response.message] += 1

    def _on_status(self, message: ControllerStatus) -> None:
        if message.policy_id:
            self.first_stamps.setdefault(message.policy_id, to_nanoseconds(message.policy_first_stamp))


def pair(robot: Robot, requests: Requests, seconds: float, busy_first: bool) -> tuple[dict, dict]:
    """One block without swaps and one with: tick latencies, ticks lost, and request to first command."""
    quiet = None if busy_first else robot.run(seconds)
    requests.asked, requests.answers = [], []
    busy = robot.run(seconds, requests.between)
    robot.spin_for(0.5)
    quiet = quiet or robot.run(seconds)
    if len(requests.answers) < len(requests.asked):
        raise click.ClickException(f"{len(requests.asked)} requests, {len(requests.answers)} answers within 0.5 s")
    around, to_command, swaps = np.zeros(len(busy.sent), bool), [], 0
    places = {stamp: place for place, stamp in enumerate(busy.sent)}
    for (asked_at, asked_ns), answer in zip(requests.asked, requests.answers, strict=True):
        first = requests.first_stamps.get(answer.policy_id)
        swaps += first in places
        to_command.append((busy.answered.get(first, math.inf) - asked_ns) * 1e-6)
        # Where no first command is known, everything up to the next request may have to do with the swap.
        end = places[first] + AROUND if first in places else places[asked_at] + requests.every
        around[places[asked_at] : end] = True
    return (
        {"latencies": quiet.latencies_s(), "lost": quiet.lost()},
        {"latencies": busy.latencies_s()[around], "lost": busy.lost(), "swaps": swaps, "to_command_ms": to_command},
    )


def measure(rate_hz: float, pairs: int, swaps: int, every: int, priority: int, folder: Path) -> dict:
    """All pairs, by one controller that runs at this real-time priority (0: normal), one robot above it."""
    contract_file = contract_at(rate_hz, folder)
    contract = Contract.load(contract_file)
    environment, domain = benchmark_environment()
    with Supervisor(folder / f"logs_{priority}", environment) as cell:
        model_file = model_for(contract, folder)
        cell.start_node("policy_generator", {"contract_file": contract_file, "model_file": model_file})
        cell.start_node("policy_controller", {"contract_file": contract_file, "realtime_priority": priority})
        robot = Robot(contract, cell.namespace, domain, priority and priority + 1)
        if robot.refusals:
            raise click.ClickException("; ".join(robot.refusals))
        requests = Requests(robot, every)
        requests.wait_for_service()
        requests.ask()
        robot.connect()
        robot.run(2.0, requests.between)
        robot.spin_for(0.5)
        blocks = []
        for place in range(pairs):
            blocks.append(pair(robot, requests, swaps * every / rate_hz, busy_first=bool(place % 2)))
            cell.check()
        robot.close()
    if requests.failed:
        raise click.ClickException(f"requests failed: {dict(requests.failed)}")
    tails = [[float(np.percentile(side["latencies"], 99.9, method="higher")) for side in both] for both in blocks]
    if not np.isfinite(tails).all():
        raise click.ClickException("so many observations had no command that a 99.9th percentile is infinite")
    ratios = sorted(busy / quiet for quiet, busy in tails)
    lost_without, lost_with = (sum(both[side]["lost"] for both in blocks) for side in (0, 1))
    to_command = np.concatenate([both[1]["to_command_ms"] for both in blocks])
    return {
        "realtime_priority": priority,
        "swaps": sum(both[1]["swaps"] for both in blocks),
        "requested": pairs * swaps,
        "ticks": pairs * swaps * every,
        "ticks_lost": max(0, lost_with - lost_without),
        "lost_with_swaps": lost_with,
        "lost_without_swaps": lost_without,
        "worst_tick_ratio": round(float(np.median(ratios)), 3),
        "worst_tick_ratio_worst_pair": round(ratios[-1], 3),
        "worst_tick_ratios": [round(ratio, 3) for ratio in ratios],
        "p999_without_ms": round(float(np.median([quiet for quiet, _ in tails])) * 1e3, 3),
        "p999_around_ms": round(float(np.median([busy for _, busy in tails])) * 1e3, 3),
        "request_to_command_ms_p50": round(float(np.percentile(to_command, 50, method="higher")), 3),
        "request_to_command_ms_p99": _rounded(float(np.percentile(to_command, 99, method="higher"))),
    }


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rate-hz", default=500.0, show_default=True)
@click.option("--pairs", default=10, show_default=True, help="blocks without and with swaps")
@click.option("--swaps", default=100, show_default=True, help="swaps of a block")
@click.option("--every", default=50, show_default=True, help="observations from one request to the next")
@click.option("--realtime-priority", default=20, show_default=True, help="of the controller; measured beside normal")
def main(path: Path | None, rate_hz: float, pairs: int, swaps: int, every: int, realtime_priority: int) -> None:
    """Swaps by the real generator, asked for by service calls, under a robot that waits for no one.

    Measured twice: with the controller's parameter `realtime_priority`, and with everything at normal priority.
    """
    found = {}
    # Normal first: real-time priority stays with this process, and the nodes that it starts afterwards inherit it.
    for priority in dict.fromkeys((0, realtime_priority)):
        with tempfile.TemporaryDirectory() as folder:
            found[priority] = run = measure(rate_hz, pairs, swaps, every, priority, Path(folder))
        click.echo(
            f"priority {priority}: {run['swaps']} swaps of {run['requested']} at {rate_hz:g} Hz: {run['ticks_lost']} "
            f"ticks lost ({run['lost_with_swaps']} with swaps, {run['lost_without_swaps']} without); p99.9 around "
            f"swaps {run['worst_tick_ratio']:.3f} of that without (worst {run['worst_tick_ratio_worst_pair']:.3f}); "
            f"request to command {run['request_to_command_ms_p50']:.2f} ms p50"
        )
    result = {"benchmark": "swap", **machine(), "rate_hz": rate_hz, **found[realtime_priority]}
    write_result(path, {**result, "at_normal_priority": found[0]})


if __name__ == "__main__":
    main()

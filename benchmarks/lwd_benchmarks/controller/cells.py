"""A robot, a generator and a controller in a cell of their own, and swaps asked for while the robot drives."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import numpy as np
import onnx
from rclpy.task import Future

from lwd_benchmarks.controller.ledger import of_neighbours, usage, used_since
from lwd_benchmarks.controller.robot import Exchange, Robot, benchmark_environment, contract_at
from lwd_msgs.msg import ControllerStatus
from lwd_msgs.srv import GeneratePolicy
from lwd_ros.contract import Contract
from lwd_ros.demo.supervisor import Supervisor
from lwd_ros.generator.model_file import METADATA_KEY
from lwd_ros.nodes.conversions import to_nanoseconds
from lwd_ros.resources import share_path

AROUND = 10
"""A tick is around a swap from its request to this many ticks after the new policy's first command."""

SETTLE_S = 0.5
"""Driven before each block, so that what stood still until then is awake."""

NODES = ("policy_generator", "policy_controller")
_TRIES = 40  # of a block that other processes disturbed
_ANSWER_S = 30.0  # for the answers that are still under way when a block ends


@contextlib.contextmanager
def loaded(cores: int):
    """So many processes that do nothing but compute."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextlib.contextmanager
def paused(processes):
    """Processes that stand still meanwhile: what is not measured must not compute beside what is."""
    stopped = list(processes)
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)


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
        self.answered_ns: list[int] = []  # when each response came, system clock
        self.first_stamps: dict[str, int] = {}  # by policy: the first observation that it answered
        self.failed: Counter[str] = Counter()
        self._pending: list[Future] = []
        robot.on_answer.append(self._collect)
        robot.node.create_subscription(ControllerStatus, "policy_controller/status", self._on_status, 1000)

    def wait_for_service(self) -> None:
        """Wait until the generator is there."""
        if not self._client.wait_for_service(30.0):
            raise TimeoutError("the generator did not come up within 30 s")

    def ask(self) -> None:
        """Ask for another policy."""
        self._pending.append(self._client.call_async(GeneratePolicy.Request(task="drawer-open-v3")))

    def between(self, place: int) -> None:
        """To be called after each observation."""
        if place % self.every == self.every // 2:
            self.asked.append((self._robot.newest_stamp_ns, self._robot.now_ns()))
            self.ask()

    def wait_for_answers(self) -> None:
        """Serve the robot until every request is answered, and the statuses of the last swap are in."""
        self._robot.spin_for(0.5)
        for _ in range(round(_ANSWER_S / 0.1)):
            if len(self.answers) == len(self.asked):
                return
            self._robot.spin_for(0.1)
        raise click.ClickException(f"{len(self.asked)} requests, {len(self.answers)} answers {_ANSWER_S:g} s later")

    def _collect(self) -> None:
        for future in [each for each in self._pending if each.done()]:
            self._pending.remove(future)
            response = future.result()
            self.answers.append(response)
            self.answered_ns.append(self._robot.now_ns())
            if not response.success:
                self.failed[response.message] += 1

    def _on_status(self, message: ControllerStatus) -> None:
        if message.policy_id:
            self.first_stamps.setdefault(message.policy_id, to_nanoseconds(message.policy_first_stamp))


class Cell:
    """One robot with its nodes, on a ROS domain of its own; a context, which ends them all.

    The nodes are those of this checkout, or of the checkout in folder `tree`.
    """

    def __init__(self, rate_hz: float, every: int, priority: int, folder: Path, tree: Path | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.rate_hz, contract_file = rate_hz, contract_at(rate_hz, folder)
        contract = Contract.load(contract_file)
        environment, domain = benchmark_environment()
        if tree is not None:
            if not (tree / "lwd_ros" / "nodes").is_dir():
                raise click.ClickException(f"{tree}: found no lwd_ros/nodes, expected a checkout of this package")
            # Without the working directory on Python's path, PYTHONPATH alone says whose nodes these are.
            path = os.pathsep.join([str(tree.resolve()), *environment.get("PYTHONPATH", "").split(os.pathsep)])
            environment |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": path.rstrip(os.pathsep)}
        with contextlib.ExitStack() as undo:
            self.supervisor = undo.enter_context(Supervisor(folder / "logs", environment))
            generator = {"contract_file": contract_file, "model_file": model_for(contract, folder)}
            controller = {"contract_file": contract_file, "realtime_priority": priority}
            self.start_node("policy_generator", generator)
            self.start_node("policy_controller", controller)
            self.robot = Robot(contract, self.supervisor.namespace, domain, priority and priority + 1)
            undo.callback(self.robot.close)
            if self.robot.refusals:
                raise click.ClickException("; ".join(self.robot.refusals))
            self.requests = Requests(self.robot, every)
            self.requests.wait_for_service()
            self.requests.ask()
            try:
                self.robot.connect()
            except TimeoutError as error:
                logs = "\n".join(self.supervisor.tail(name) for name in NODES)
                raise click.ClickException(f"{error}; the nodes' last lines are\n{logs}") from error
            self._undo = undo.pop_all()

    def start_node(self, name: str, parameters: dict) -> None:
        """Run one of our nodes; a profile runs it otherwise."""
        self.supervisor.start_node(name, parameters)

    def __enter__(self) -> "Cell":
        return self

    def __exit__(self, *_) -> None:
        self._undo.close()

    @property
    def processes(self) -> list:
        """The nodes' processes."""
        return list(self.supervisor.processes.values())

    def warm_up(self, seconds: float = 2.0) -> None:
        """Drive, and swap, until what is slow once has been."""
        self.robot.run(seconds, self.requests.between)
        self.robot.spin_for(0.5)

    def check(self) -> None:
        """Raise where a node has died or a request has failed."""
        self.supervisor.check()
        if self.requests.failed:
            raise click.ClickException(f"requests failed: {dict(self.requests.failed)}")

    def pair(self, swaps: int, neighbours: float, busy_first: bool) -> dict[str, dict]:
        """One block without swaps (`quiet`) and one with so many (`busy`), of equal length."""
        kinds = ("busy", "quiet") if busy_first else ("quiet", "busy")
        return {kind: self.undisturbed(kind, swaps * self.requests.every / self.rate_hz, neighbours) for kind in kinds}

    def undisturbed(self, kind: str, seconds: float, most: float) -> dict:
        """A block of a kind (`quiet`, `busy`) beside which other processes used at most so much of a core.

        The result is not looked at: a block that was disturbed is measured again, whatever came of it.
        """
        for _ in range(_TRIES):
            block = getattr(self, kind)(seconds)
            self.check()
            share = block["neighbours"]
            if share <= most:
                return block
            click.echo(f"other processes used {share:.2f} of a core: the block is measured again", err=True)
            time.sleep(1.0)
        raise click.ClickException(f"other processes used {share:.2f} of a core beside each of {_TRIES} blocks")

    def quiet(self, seconds: float) -> dict:
        """One block without swaps: tick latencies in s, ticks lost, what the processes used."""
        self.robot.run(SETTLE_S)
        exchange, books = self._run(seconds)
        return {"latencies": exchange.latencies_s(), "lost": exchange.lost(), **books}

    def busy(self, seconds: float) -> dict:
        """One block with swaps: latencies around them, ticks lost, request to first command in ms, usage."""
        requests = self.requests
        self.robot.run(SETTLE_S)
        requests.asked, requests.answers, requests.answered_ns = [], [], []
        exchange, books = self._run(seconds, requests.between)
        requests.wait_for_answers()
        around, to_command, swaps = np.zeros(len(exchange.sent), bool), [], 0
        places = {stamp: place for place, stamp in enumerate(exchange.sent)}
        for (asked_at, asked_ns), answer in zip(requests.asked, requests.answers, strict=True):
            first = requests.first_stamps.get(answer.policy_id)
            swaps += first in places
            commanded_ns = math.inf if first is None else exchange.answered.get(first, math.inf)
            to_command.append((commanded_ns - asked_ns) * 1e-6)
            # Where no first command is known, everything up to the next request may have to do with the swap.
            end = places[first] + AROUND if first in places else places[asked_at] + requests.every
            around[places[asked_at] : end] = True
        return {
            "latencies": exchange.latencies_s()[around],
            "lost": exchange.lost(),
            "swaps": swaps,
            "to_command_ms": to_command,
            "to_response_ms": [
                (answered - asked) * 1e-6
                for (_, asked), answered in zip(requests.asked, requests.answered_ns, strict=True)
            ],
            **books,
        }

    def _run(self, seconds: float, between=None) -> tuple[Exchange, dict]:
        """Drive; beside what was exchanged, what was used meanwhile.

        `usage` is that of the nodes, `neighbours` cores that all other processes used, `window` from when to when, s of
        a clock that all processes share.
        """
        others, before, began = of_neighbours(), self._usage(), time.perf_counter()
        exchange = self.robot.run(seconds, between)
        ended, after = time.perf_counter(), self._usage()
        return exchange, {
            "usage": {name: after[name] - before[name] for name in NODES},
            "neighbours": used_since(others) / (ended - began),
            "window": (began, ended),
        }

    def _usage(self) -> dict:
        return {name: usage(self.supervisor.processes[name].pid) for name in NODES}


def alternate(
    cells: Mapping[str, Callable[[int], Cell]], pairs: int, swaps: int, neighbours: float
) -> dict[str, list[dict]]:
    """Pairs of a block without swaps (`quiet`) and one with (`busy`) of several cells, in alternating order.

    Each pair has a cell of its own, made by `cells[name](place)` and ended after it, so that nothing else runs beside
    it. (Cells that stand still by SIGSTOP meanwhile are cut off from Fast DDS's shared memory at times.)
    """
    blocks: dict[str, list[dict]] = {name: [] for name in cells}
    for place in range(pairs):
        for name in [*cells] if place % 2 == 0 else [*cells][::-1]:
            with cells[name](place) as cell:
                cell.warm_up()
                blocks[name].append(cell.pair(swaps, neighbours, busy_first=place % 4 > 1))
    return blocks


def cost_us(blocks: list[dict], name: str, swaps: int) -> dict:
    """What a swap adds to a node: µs on a core and µs of waiting for one, by kind of thread."""
    spent = [both["busy"]["usage"][name] - both["quiet"]["usage"][name] for both in blocks]
    kinds = sorted({kind for each in spent for kind in each.used_ns})
    used = {kind: sum(each.used_ns[kind] for each in spent) * 1e-3 / swaps for kind in kinds}
    waited = {kind: sum(each.waited_ns[kind] for each in spent) * 1e-3 / swaps for kind in kinds}
    return {
        "used_us": round(sum(used.values()), 1),
        "used_us_by_thread": {kind: round(value, 1) for kind, value in used.items()},
        "waited_us_by_thread": {kind: round(value, 1) for kind, value in waited.items()},
    }

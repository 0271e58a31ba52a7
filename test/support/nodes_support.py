"""What the node tests share: real node processes on a ROS domain of their own, and a client to talk to them."""

import contextlib
import fcntl
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import GeneratePolicy, LoadTask
from lwd_ros.demo.story import DEFAULT_MODEL
from lwd_ros.demo.supervisor import Supervisor, isolated_environment
from lwd_ros.resources import share_path

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
_DOMAINS = itertools.cycle([(os.getpid() + place) % 101 + 1 for place in range(101)])  # those that Linux has ports for

CONTRACT_FILE = share_path("config", "metaworld.yaml")
SHIPPED = {  # of nodes that have no robot's default, what these tests start them with where they name nothing else
    "policy_controller": {"contract_file": CONTRACT_FILE},
    "policy_generator": {"contract_file": CONTRACT_FILE, "model_file": share_path("models", DEFAULT_MODEL)},
}
PATIENCE_S = 30.0 if os.nice(0) <= 0 else 120.0
"""At a low priority, where `make test` runs all but the tests of nodes, everything takes longer."""
_ASK_AGAIN_S = 10.0


def claim_domain() -> tuple[int, IO]:
    """A ROS domain that no other test on this machine has until the file is closed.

    Tests run beside each other, and some of their topics are absolute, as a robot's are.
    """
    while True:
        domain = next(_DOMAINS)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):  # taken, or another user's
            claim = stack.enter_context(open(Path(tempfile.gettempdir(), f"lwd_ros_domain_{domain}"), "a"))
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.pop_all()
            return domain, claim


class Cell(Supervisor):
    """Node processes and a client on one ROS domain; `bridge` is the simulator's."""

    def __init__(self, folder: Path, bridge: str = "metaworld_bridge"):
        self.bridge = bridge
        self.domain, self._claim = claim_domain()
        super().__init__(folder, {**isolated_environment(), "ROS_DOMAIN_ID": str(self.domain)})
        self.context = Context()
        rclpy.init(context=self.context, domain_id=self.domain, args=[])
        self.node = Node("test_client", context=self.context, namespace=self.namespace)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.controller: ControllerStatus | None = None
        self.task: TaskStatus | None = None
        self.subscribe(ControllerStatus, "policy_controller/status", lambda m: setattr(self, "controller", m))
        self.subscribe(TaskStatus, f"{bridge}/task_status", lambda m: setattr(self, "task", m))

    def __exit__(self, *exception) -> None:
        super().__exit__(*exception)
        self.node.destroy_node()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self.context)
        self._claim.close()

    def start_node(self, executable: str, parameters=None):
        """Run one of our nodes with ROS parameters, on top of those of SHIPPED."""
        return super().start_node(executable, {**SHIPPED.get(executable, {}), **(parameters or {})})

    def subscribe(self, kind, topic: str, callback, qos=100):
        """A subscription of the client's."""
        return self.node.create_subscription(kind, topic, callback, qos)

    def spin(self, seconds: float) -> None:
        """Serve the client's callbacks for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)

    def wait(self, what: str, condition, seconds: float = PATIENCE_S) -> None:
        """Serve callbacks until `condition()`; fails the test, with the nodes' last words, when it never holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                words = "\n".join(f"--- {name}\n{self.tail(name)}" for name in self.processes)
                raise AssertionError(f"waited {seconds:g} s for {what}\n{words}\n{self.controller}\n{self.task}")
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, kind, service: str, request=None, seconds: float = PATIENCE_S):
        """Call a service and return its response.

        Asked again after a while: DDS drops the response to a client that the server has not discovered yet.
        """
        client = self.node.create_client(kind, service)
        try:
            self.wait(f"service {service}", client.service_is_ready, seconds)
            futures, asked = [], time.monotonic()

            def answered() -> bool:
                nonlocal asked
                if not futures or time.monotonic() - asked > _ASK_AGAIN_S:
                    futures.append(client.call_async(request or kind.Request()))
                    asked = time.monotonic()
                return any(future.done() for future in futures)

            self.wait(f"an answer of {service}", answered, seconds)
            return next(future.result() for future in futures if future.done())
        finally:
            self.node.destroy_client(client)

    def load(self, task: str, layout: int, keep_state: bool = False) -> LoadTask.Response:
        """Load a task, which must work."""
        request = LoadTask.Request(task=task, layout=layout, keep_state=keep_state)
        response = self.call(LoadTask, f"{self.bridge}/load_task", request)
        assert response.success, response.message
        self.wait("the task's status", lambda: self.task is not None and self.task.task == task)
        return response

    def generate(self, task: str, seed: int = 0) -> GeneratePolicy.Response:
        """Ask for a policy, whatever comes of it."""
        return self.call(
            GeneratePolicy, "policy_generator/generate_policy", GeneratePolicy.Request(task=task, seed=seed)
        )

    def wait_for_policy(self, policy_id: str) -> None:
        """Wait until the controller runs this policy."""
        self.wait(
            f"policy {policy_id} to run",
            lambda: (
                self.controller is not None
                and self.controller.policy_id == policy_id
                and self.controller.outcome == ControllerStatus.OUTCOME_CONTINUE
            ),
        )

    def assert_still_runs(self, policy_id: str) -> None:
        """The controller goes on commanding with this policy.

        On a busy machine the simulator may pause for longer than observations may be old, and the controller hold
        meanwhile; that is not what is asked here.
        """
        self.controller = None
        self.wait_for_policy(policy_id)
        before = self.controller
        self.wait("more ticks", lambda: self.controller.ticks > before.ticks + 20)
        assert self.controller.policy_id == policy_id


@contextlib.contextmanager
def running_cell(
    folder: Path, bridge: dict | None = None, generator: dict | None = None, controller: dict | None = None
) -> Iterator[Cell]:
    """A cell with all three nodes up and known to each other."""
    with Cell(folder) as cell:
        cell.start_node("metaworld_bridge", bridge)
        cell.start_node("policy_generator", generator)
        cell.start_node("policy_controller", controller)
        cell.wait("the controller", lambda: cell.controller is not None)
        if "task" in (bridge or {}):
            cell.wait("the bridge", lambda: cell.task is not None)
        yield cell


@contextlib.contextmanager
def driver(cell: Cell, name: str = "driver") -> Iterator[Node]:
    """Another node of the cell, a DDS participant of its own: one participant has one type a topic."""
    context = Context()
    rclpy.init(context=context, domain_id=cell.domain, args=[])
    node = Node(name, context=context, namespace=cell.namespace)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)

"""The nodes that `robot.launch.py` starts, beside the simulator bridge: a model's first command, and what it can do."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lwd_benchmarks.own.roads import Road, RoadError
from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import GeneratePolicy, LoadTask
from lwd_ros.contract import Contract
from lwd_ros.demo.supervisor import Supervisor, isolated_environment
from lwd_ros.environments import registry
from lwd_ros.nodes.conversions import message_class

_PATIENCE_S = 60.0


class Cell:
    """Nodes in processes of their own and a client; `with` ends them."""

    def __init__(self, road: Road, model: Path, logs: Path):
        self._processes = Supervisor(logs, isolated_environment())
        settings: dict[str, object] = {"contract_file": road.contract, "model_file": model}
        bridge = {"environment": road.environment, "contract_file": road.contract, "mode": "lockstep"}
        self._nodes: dict[str, dict[str, object]] = {
            "simulator_bridge": {**bridge, "task": road.tasks[0], "layout": 1, "hold_until_asked": True},
            "policy_generator": settings,
            "policy_controller": {"contract_file": road.contract, "run_latched": False, "use_sim_time": True},
        }
        self._contract = Contract.load(road.contract)
        self.commanded = False
        """Whether a command came that answers an observation."""
        self.task, self.controller = TaskStatus(), ControllerStatus()

    def __enter__(self) -> "Cell":
        processes = self._processes
        for name, parameters in self._nodes.items():
            processes.start_node(name, parameters)
        self._context = Context()
        domain = int(processes.environment["ROS_DOMAIN_ID"])
        rclpy.init(context=self._context, domain_id=domain, args=[])
        self._node = Node("own_client", context=self._context, namespace=processes.namespace)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        subscribe = self._node.create_subscription
        subscribe(TaskStatus, "simulator_bridge/task_status", lambda m: setattr(self, "task", m), 10)
        subscribe(ControllerStatus, "policy_controller/status", lambda m: setattr(self, "controller", m), 10)
        stream = self._contract.require_binding().command_streams[0]
        subscribe(message_class(stream.type, stream.topic), stream.topic, self._on_command, 10)
        return self

    def __exit__(self, *exception) -> None:
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)
        self._processes.stop()

    def _on_command(self, message) -> None:
        self.commanded = self.commanded or bool(message.header.stamp.sec or message.header.stamp.nanosec)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = _PATIENCE_S) -> None:
        """Serve callbacks until a condition holds; raises RoadError, ProcessDied."""
        end = time.monotonic() + seconds
        while not condition():
            self._executor.spin_once(timeout_sec=0.02)
            if time.monotonic() > end:
                self._processes.check()
                raise RoadError(f"nodes: waited {seconds:g} s for {what}; see {self._processes.log_folder}")

    def call(self, kind, name: str, request):
        """A service's answer."""
        client = self._node.create_client(kind, name)
        try:
            self.wait(f"service {name}", client.service_is_ready)
            future = client.call_async(request)
            self.wait(f"an answer of {name}", future.done)
            return future.result()
        finally:
            self._node.destroy_client(client)

    def episode(self, task: str, layout: int, steps: int) -> bool:
        """Load a layout, ask for the skill, and wait; whether it succeeded."""
        loaded = self.call(LoadTask, "simulator_bridge/load_task", LoadTask.Request(task=task, layout=layout))
        if not loaded.success:
            raise RoadError(f"nodes: {loaded.message}")
        self.wait("the layout", lambda: (self.task.task, self.task.layout) == (task, layout))
        request = GeneratePolicy.Request(task=task, seed=layout + 1)
        answer = self.call(GeneratePolicy, "policy_generator/generate_policy", request)
        if not answer.success:
            raise RoadError(f"nodes: {answer.message}")
        begin = self.task.episode

        def over() -> bool:
            status = self.task
            return status.episode == begin and (status.succeeded or status.step >= steps or self._stands())

        self.wait("the end of the episode", over, 240.0)
        return bool(self.task.succeeded)

    def _stands(self) -> bool:
        """After an episode that ended, as at a wall, nothing moves any more."""
        key = (self.task.episode, self.task.step)
        if key != getattr(self, "_last", None):
            self._last, self._since = key, time.monotonic()
        return self.task.step > 0 and time.monotonic() - self._since > 5.0


def first_command(road: Road, model: Path, logs: Path) -> float:
    """Seconds from starting the nodes to the first command of a policy that was asked for by name."""
    begin = time.monotonic()
    with Cell(road, model, logs) as cell:
        request = GeneratePolicy.Request(task=road.tasks[0], seed=1)
        cell.wait("the controller", lambda: bool(cell.controller.contract_digest))
        cell.wait("the bridge", lambda: bool(cell.task.task))
        answer = cell.call(GeneratePolicy, "policy_generator/generate_policy", request)
        if not answer.success:
            raise RoadError(f"nodes: {answer.message}")
        cell.wait("the first command", lambda: cell.commanded)
        return time.monotonic() - begin


def deployed(road: Road, model: Path, layouts: Sequence[int], logs: Path) -> dict[str, int]:
    """Successes on `layouts` by task, through the nodes."""
    steps = registry.simulator(road.environment).spec.episode_steps
    with Cell(road, model, logs) as cell:
        cell.wait("the controller", lambda: bool(cell.controller.contract_digest))
        return {task: sum(cell.episode(task, layout, steps) for layout in layouts) for task in road.tasks}

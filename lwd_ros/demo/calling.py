"""What the demo's clients share: calls of services that are waited for, and what bridge and controller say."""

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import GeneratePolicy, LoadTask

_PATIENCE_S = 60.0  # a busy computer loads simulator and model for long


class DemoFailed(RuntimeError):
    """A step of the story did not happen; says which and what was seen instead."""


class Caller(Node):
    """Talks to bridge, generator and controller by their public topics and services alone.

    Attributes:
        task_status, controller_status: the last that came; None before.
    """

    def __init__(self, name: str, bridge: str):
        """A node called `name`; `bridge` is the simulator bridge's name."""
        super().__init__(name)
        self._bridge = bridge
        self._load = self.create_client(LoadTask, f"{bridge}/load_task")
        self._generate = self.create_client(GeneratePolicy, "policy_generator/generate_policy")
        self.task_status: TaskStatus | None = None
        self.controller_status: ControllerStatus | None = None
        self.create_subscription(TaskStatus, f"{bridge}/task_status", self._on_task, 50)
        self.create_subscription(ControllerStatus, "policy_controller/status", self._on_controller, 50)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def _on_task(self, message: TaskStatus) -> None:
        self.task_status = message

    def _on_controller(self, message: ControllerStatus) -> None:
        self.controller_status = message

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None:
        """Serve callbacks until `condition()`; raises DemoFailed after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {timeout_s:g} s for {what}")
            self._executor.spin_once(timeout_sec=0.05)

    def wait_for_nodes(self, timeout_s: float = 30.0) -> None:
        """Wait until services and streams of all three nodes are there."""
        self.wait(f"{self._bridge}'s load_task", self._load.service_is_ready, timeout_s)
        self.wait("policy_generator's generate_policy", self._generate.service_is_ready, timeout_s)
        self.wait("policy_controller's status", lambda: self.controller_status is not None, timeout_s)

    def call(self, client, request, timeout_s: float = _PATIENCE_S):
        """A service's response; raises DemoFailed where there is none, or no success."""
        future = client.call_async(request)
        self.wait(f"an answer of {client.srv_name}", future.done, timeout_s)
        response = future.result()
        if not response.success:
            raise DemoFailed(f"{client.srv_name}: {response.message}")
        return response

    def load(self, task: str, layout: int, keep_state: bool = False) -> LoadTask.Response:
        """Put a task into the simulator."""
        return self.call(self._load, LoadTask.Request(task=task, layout=layout, keep_state=keep_state))

    def generate(self, task: str, seed: int = 0) -> GeneratePolicy.Response:
        """Ask for a policy; seed 0 draws one. The first answer waits until the model is loaded."""
        return self.call(self._generate, GeneratePolicy.Request(task=task, seed=seed))

    def require_taken(self, response: GeneratePolicy.Response) -> bool:
        """Whether the controller runs a policy that was asked for; raises DemoFailed where it refused it."""
        status = self.controller_status
        if status is None:
            return False
        if status.rejected_stamp == response.stamp:
            raise DemoFailed(f"the controller refused the policy: {status.rejected_reason}")
        return status.policy_stamp == response.stamp

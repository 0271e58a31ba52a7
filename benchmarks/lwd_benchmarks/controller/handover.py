"""A second skill asked for some seconds after its task, through the real nodes: `lwd bench handover --json F`.

What a person types into two terminals, in real time: a task and its skill, success, then the next task with the state
kept, a pause, and the skill for it. `lwd study handover` does the same in process for many layouts; this shows that the
nodes do as the study says.
"""

import tempfile
import time
from pathlib import Path

import click
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.controller.robot import benchmark_environment
from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import GeneratePolicy, LoadTask
from lwd_ros.demo.supervisor import Supervisor
from lwd_ros.resources import share_path

CHAINS = (("drawer-open-v3", "drawer-close-v3"), ("drawer-close-v3", "drawer-open-v3"),
          ("window-open-v3", "window-close-v3"), ("window-close-v3", "window-open-v3"))  # fmt: skip
EPISODE_STEPS = 500


class Person:
    """Types service calls and reads the task's status."""

    def __init__(self, cell: Supervisor, domain: int):
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain, args=[])
        self.node = Node("person", context=self.context, namespace=cell.namespace)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._load = self.node.create_client(LoadTask, "metaworld_bridge/load_task")
        self._generate = self.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
        self.task: TaskStatus | None = None
        self.controller: ControllerStatus | None = None
        self.node.create_subscription(TaskStatus, "metaworld_bridge/task_status", self._on_task, 100)
        self.node.create_subscription(ControllerStatus, "policy_controller/status", self._on_controller, 100)

    def _on_task(self, message: TaskStatus) -> None:
        self.task = message

    def _on_controller(self, message: ControllerStatus) -> None:
        self.controller = message

    @property
    def status(self) -> TaskStatus:
        """The newest of the task: there is one once a task was loaded."""
        if self.task is None:
            raise RuntimeError("no task was loaded")
        return self.task

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def wait(self, what: str, condition, seconds: float) -> None:
        """Serve callbacks until `condition()`; TimeoutError after so long."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s for {what}")
            self._executor.spin_once(timeout_sec=0.02)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def _call(self, client, request):
        self.wait(client.srv_name, client.service_is_ready, 30.0)
        future = client.call_async(request)
        self.wait(f"an answer of {client.srv_name}", future.done, 30.0)
        if not future.result().success:
            raise click.ClickException(f"{client.srv_name}: {future.result().message}")
        return future.result()

    def load(self, task: str, layout: int, keep_state: bool) -> None:
        """Load a task and wait until its status shows it."""
        episode = self.task.episode if self.task else 0
        self._call(self._load, LoadTask.Request(task=task, layout=layout, keep_state=keep_state))
        self.wait("the task's status", lambda: self.task is not None and self.task.episode > episode, 10.0)

    def succeed(self, task: str, seed: int) -> int:
        """Ask for the loaded task's skill; control steps from its first command to a success, 0 without one in 500.

        A success that is there already counts where it lasts until the skill has commanded.
        """
        answer = self._call(self._generate, GeneratePolicy.Request(task=task, seed=seed))
        self.wait(
            "the policy", lambda: self.controller is not None and self.controller.policy_stamp == answer.stamp, 10.0
        )
        self.wait("a free arm", lambda: not self.status.holding, 10.0)
        began = self.status.step
        steps: list[int] = []

        def over() -> bool:
            steps.append(self.status.step - began)
            return self.status.success or steps[-1] >= EPISODE_STEPS

        self.wait("the end of the episode", over, 60.0)
        return max(1, steps[-1]) if self.status.success else 0


def trials(model: Path, hold: bool, pauses, layouts, folder: Path):
    """One row for each chain, pause and layout."""
    environment, domain = benchmark_environment()
    with Supervisor(folder / f"logs_{hold}", environment) as cell:
        cell.start_node("metaworld_bridge", {"hold_until_asked": hold})
        contract = {"contract_file": share_path("config", "metaworld.yaml")}
        cell.start_node("policy_generator", {"model_file": model, **contract})
        cell.start_node("policy_controller", {"use_sim_time": True, **contract})
        person = Person(cell, domain)
        person.wait("the controller", lambda: person.controller is not None, 30.0)
        for first, second in CHAINS:
            for pause_s in pauses:
                for layout in layouts:
                    cell.check()
                    person.load(first, layout, keep_state=False)
                    began = person.succeed(first, layout + 1)
                    row = {"first": first, "second": second, "pause_s": pause_s, "hold": hold, "layout": layout}
                    if began:
                        person.load(second, layout, keep_state=True)
                        person.rest(pause_s)
                        row["steps"] = person.succeed(second, layout + 2)
                    yield row | {"first_steps": began}
        person.close()


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--model", type=click.Path(path_type=Path, exists=True), help="model file; default: the shipped one")
@click.option("--layouts", default=5, show_default=True, help="layouts of each chain and pause, from --first-layout")
@click.option("--first-layout", default=200_000, show_default=True, help="seed of the first layout")
@click.option("--pause", "pauses", multiple=True, default=(0.0, 3.0, 8.0), show_default=True, help="s")
def main(path: Path | None, model: Path | None, layouts: int, first_layout: int, pauses) -> None:
    """Counts of second skills that succeeded, by pause, the bridge's holding off and on."""
    model = model or share_path("models", "metaworld_mt10_anywhere.onnx")
    seeds, rows = range(first_layout, first_layout + layouts), []
    with tempfile.TemporaryDirectory() as folder:
        for hold in (False, True):
            for row in trials(model.resolve(), hold, pauses, seeds, Path(folder)):
                rows.append(row)
    counts: dict[tuple[str, float], tuple[int, int, int]] = {}
    for row in rows:
        key = ("holding" if row["hold"] else "no holding", row["pause_s"])
        tried, done, unborn = counts.get(key, (0, 0, 0))
        counts[key] = (tried + 1, done + bool(row.get("steps")), unborn + (not row["first_steps"]))
    for (name, pause_s), (tried, done, unborn) in counts.items():
        click.echo(
            f"{name}, asked {pause_s:g} s after the load: {done} of {tried}"
            + f" ({unborn} first skills failed)" * bool(unborn)
        )
    write_result(path, {"benchmark": "handover", **machine(), "model": model.name, "trials": rows})


if __name__ == "__main__":
    main()

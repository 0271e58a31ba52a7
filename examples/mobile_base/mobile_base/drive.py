"""Demonstrations through the nodes: drives the base by its topics, and records every drive as an episode of a bag.

    python -m mobile_base.drive --episodes 20 --out demonstrations

Starts the simulator bridge and the recorder of `lwd record`, each a process of its own. The driver is a node like any
teleoperation: it subscribes to `scan` and `odom`, publishes `cmd_vel`, and calls the recorder's services. The bridge
runs in lock step, so that a drive of 12 s takes one or two.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import LaserScan
from tqdm import tqdm

from lwd_msgs.msg import RecorderStatus, TaskStatus
from lwd_msgs.srv import LoadTask, StartEpisode, StopEpisode
from lwd_ros.demo.supervisor import ProcessDied, Supervisor, isolated_environment
from lwd_ros.environments.layouts import TRAINING_LAYOUTS
from mobile_base.driver import Driver
from mobile_base.layouts import TASKS
from mobile_base.simulator import SIMULATOR

STEPS_AFTER_SUCCESS = 10
"""A drive is recorded on for so many periods: a policy must learn to stay."""
_PATIENCE_S = 30.0


class Processes(Supervisor):
    """Nodes without a namespace, as on a robot, on a ROS domain of their own."""

    def ros_arguments(self, parameters=None) -> list[str]:
        """As `Supervisor.ros_arguments`."""
        given = [
            f"{key}:={str(value).lower() if isinstance(value, bool) else value}" for key, value in parameters.items()
        ]
        return ["--ros-args", *(word for each in given for word in ("-p", each))]


class DriverNode(Node):
    """Somebody at the controls, who answers each observation while driving, and lets go of them in between."""

    def __init__(self, context: Context, check):
        super().__init__("driver", context=context)
        self._executor, self._check = SingleThreadedExecutor(context=context), check
        self._executor.add_node(self)
        self._publisher = self.create_publisher(TwistStamped, "cmd_vel", 10)
        self.create_subscription(LaserScan, "scan", self._on_scan, 10)
        self.create_subscription(Odometry, "odom", self._on_odometry, 10)
        self.create_subscription(TaskStatus, "simulator_bridge/task_status", self._on_task, 10)
        self.create_subscription(RecorderStatus, "recorder/status", self._on_recorder, 10)
        self._scan: LaserScan | None = None
        self._odometry: Odometry | None = None
        self._driver: Driver | None = None
        self._answered, self._last = None, TwistStamped()
        self.task, self.recorder = TaskStatus(), RecorderStatus(missing=["the recorder"])

    def _on_scan(self, message: LaserScan) -> None:
        self._scan = message
        self._drive()

    def _on_odometry(self, message: Odometry) -> None:
        self._odometry = message
        self._drive()

    def _on_task(self, message: TaskStatus) -> None:
        self.task = message

    def _on_recorder(self, message: RecorderStatus) -> None:
        self.recorder = message

    def _drive(self) -> None:
        scan, odometry = self._scan, self._odometry
        if self._driver is None or scan is None or odometry is None or scan.header.stamp != odometry.header.stamp:
            return
        stamp = scan.header.stamp
        if stamp != self._answered:  # else the bridge has not heard the answer, and asks again
            rotation, place = odometry.pose.pose.orientation, odometry.pose.pose.position
            pose = np.array([place.x, place.y, 2.0 * np.arctan2(rotation.z, rotation.w)])
            forward, turn = self._driver.command(pose, np.asarray(scan.ranges))
            self._answered, self._last = stamp, TwistStamped()
            self._last.header.stamp, self._last.header.frame_id = stamp, "base_link"
            self._last.twist.linear.x, self._last.twist.angular.z = float(forward), float(turn)
        self._publisher.publish(self._last)

    def wait(self, what: str, condition, seconds: float = _PATIENCE_S) -> None:
        """Serve callbacks until a condition holds; raises TimeoutError, ProcessDied."""
        end = time.monotonic() + seconds
        while not condition():
            self._executor.spin_once(timeout_sec=0.02)
            if time.monotonic() > end:
                self._check()
                raise TimeoutError(f"waited {seconds:g} s for {what}")

    def call(self, kind, name: str, request):
        """Call a service; raises TimeoutError."""
        client = self.create_client(kind, name)
        try:
            self.wait(f"service {name}", client.service_is_ready)
            future = client.call_async(request)
            self.wait(f"an answer of {name}", future.done)
            return future.result()
        finally:
            self.destroy_client(client)

    def demonstrate(self, task: str, layout: int) -> bool:
        """Drive one layout and record it; whether the task was done. A failed drive is kept, marked as failed."""
        loaded = self.call(LoadTask, "simulator_bridge/load_task", LoadTask.Request(task=task, layout=layout))
        if not loaded.success:
            raise RuntimeError(loaded.message)
        self.wait("the layout", lambda: (self.task.task, self.task.layout, self.task.step) == (task, layout, 0))
        self.wait("all streams", lambda: not self.recorder.missing)
        begun = self.call(StartEpisode, "recorder/start", StartEpisode.Request(task=task))
        if not begun.success:
            raise RuntimeError(begun.message)
        self._driver = Driver(task, layout)

        def over() -> bool:
            first = self.task.first_success_step
            return self.task.step >= (first + STEPS_AFTER_SUCCESS if first else SIMULATOR.spec.episode_steps)

        try:
            self.wait("the end of the drive", lambda: over() or (self.task.holding and self.task.step > 0), 120.0)
        finally:
            self._driver = None
        success = bool(self.task.first_success_step)
        ended = self.call(StopEpisode, "recorder/stop", StopEpisode.Request(success=success))
        if not ended.kept:
            raise RuntimeError(ended.message)
        return success


def record(tasks: list[str], episodes: int, first_layout: int, out: Path, contract: Path, logs: Path) -> dict[str, int]:
    """Record so many successful demonstrations of each task; returns how many drives failed, by task."""
    # Of its own, whatever the user has chosen: a robot, or another simulator, must not hear these commands.
    others = [str(domain) for domain in range(1, 102) if str(domain) != os.environ.get("ROS_DOMAIN_ID")]
    domain = {"ROS_DOMAIN_ID": random.SystemRandom().choice(others)}
    with Processes(logs, {**isolated_environment(), **domain}) as processes:
        parameters = {"environment": "mobile_base", "contract_file": contract, "mode": "lockstep"}
        processes.start_node("simulator_bridge", parameters)
        # Nobody commands before the drive begins: the recorder must not miss it.
        recording = {"contract_file": contract, "folder": out, "use_sim_time": True, "optional_topics": "cmd_vel"}
        processes.start_node("recorder", recording)
        context = Context()
        rclpy.init(context=context, domain_id=int(processes.environment["ROS_DOMAIN_ID"]), args=[])
        node = DriverNode(context, processes.check)
        failed = dict.fromkeys(tasks, 0)
        try:
            for task in tasks:
                layout, good = first_layout, 0
                progress = tqdm(total=episodes, desc=task, unit="drive")
                while good < episodes:
                    done = node.demonstrate(task, layout)
                    good, layout = good + done, layout + 1
                    failed[task] += not done
                    progress.update(int(done))
                    if failed[task] > episodes + 10:
                        raise RuntimeError(f"task '{task}': the driver failed {failed[task]} times")
                progress.close()
        finally:
            node.destroy_node()
            rclpy.try_shutdown(context=context)
        return failed


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated (%(default)s)")
    parser.add_argument("--episodes", type=int, default=20, help="successful drives a task (%(default)s)")
    parser.add_argument("--first-layout", type=int, default=1, help="seed of the first layout, above 0 (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bag")
    parser.add_argument("--contract", type=Path, default=SIMULATOR.spec.contract_file, help="(the package's)")
    arguments = parser.parse_args()
    tasks = [task.strip() for task in arguments.tasks.split(",")]
    SIMULATOR.spec.require_tasks(tasks)
    if arguments.first_layout < 1 or arguments.first_layout + 2 * arguments.episodes + 10 not in TRAINING_LAYOUTS:
        parser.error(f"--first-layout: demonstrations use layouts from 1 to {TRAINING_LAYOUTS.stop - 1}")
    out, logs = arguments.out.resolve(), Path(tempfile.mkdtemp(prefix="mobile_base_logs_"))
    try:
        failed = record(tasks, arguments.episodes, arguments.first_layout, out, arguments.contract.resolve(), logs)
    except (ProcessDied, TimeoutError, RuntimeError) as error:
        print(f"{error}\nlogs: {logs}", file=sys.stderr)
        return 1
    print(f"{arguments.episodes} drives a task in {out}; failed beside: {failed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The demo's client: asks for one skill after the other in a running simulation, and notes what happens."""

import argparse
import functools
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import rclpy
from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import JointState

from lwd_ros.demo.calling import Caller, DemoFailed

STORY = ("drawer-open-v3", "drawer-close-v3", "drawer-open-v3")
_SUCCESS_TIMEOUT_S = 20.0


@dataclass
class Request:
    """What one request led to; times in ms by the client's clock, stamps in s of simulation time."""

    task: str
    seed: int = 0
    policy_id: str = ""
    parameters: int = 0
    request_to_response_ms: float = 0.0
    response_to_first_command_ms: float = 0.0
    generation_ms: float = 0.0
    ticks_missed: int = 0
    steps_to_success: int = 0
    success: bool = False
    swap_time_s: float = 0.0
    success_time_s: float = 0.0


@dataclass
class Series:
    """What the topics said over the whole run; times in s of simulation time."""

    handle_time_s: list[float] = field(default_factory=list)
    handle_y_m: list[float] = field(default_factory=list)
    command_time_s: list[float] = field(default_factory=list)
    command_m_s: list[list[float]] = field(default_factory=list)
    gripper_time_s: list[float] = field(default_factory=list)
    gripper_effort: list[float] = field(default_factory=list)


def _seconds(stamp) -> float:
    return stamp.sec + 1e-9 * stamp.nanosec


class DemoClient(Caller):
    """Asks for one skill after the other, and notes what the handle, the hand and the gripper do."""

    def __init__(self):
        super().__init__("demo_client", "metaworld_bridge")
        self.series = Series()
        self._command_arrivals: dict[tuple[int, int], float] = {}
        self.create_subscription(PoseStamped, "object_1/pose", self._on_handle, 50)
        self.create_subscription(TwistStamped, "hand/velocity_command", self._on_command, 50)
        self.create_subscription(JointState, "gripper/command", self._on_gripper, 50)

    def _on_handle(self, message: PoseStamped) -> None:
        self.series.handle_time_s.append(_seconds(message.header.stamp))
        self.series.handle_y_m.append(message.pose.position.y)

    def _on_command(self, message: TwistStamped) -> None:
        stamp, linear = message.header.stamp, message.twist.linear
        if not _seconds(stamp):
            return  # a safe command answers no observation and has no place in simulation time
        self._command_arrivals.setdefault((stamp.sec, stamp.nanosec), time.monotonic())
        self.series.command_time_s.append(_seconds(stamp))
        self.series.command_m_s.append([linear.x, linear.y, linear.z])

    def _on_gripper(self, message: JointState) -> None:
        if _seconds(message.header.stamp):
            self.series.gripper_time_s.append(_seconds(message.header.stamp))
            self.series.gripper_effort.append(message.effort[0])

    def wait_for_nodes(self, timeout_s: float = 30.0) -> None:
        """As `Caller.wait_for_nodes`; and for the streams that are noted."""
        super().wait_for_nodes(timeout_s)
        for topic in ("object_1/pose", "hand/velocity_command", "gripper/command"):
            self.wait(topic, functools.partial(self._published, topic), timeout_s)

    def _published(self, topic: str) -> bool:
        return self.count_publishers(topic) > 0

    def _arrivals_from(self, stamp) -> list[float]:
        """When the commands that answer observations from `stamp` on arrived here."""
        return [t for key, t in self._command_arrivals.items() if key >= (stamp.sec, stamp.nanosec)]

    def _forget_task(self) -> None:
        self.task_status = None

    def perform(self, task: str) -> Request:
        """Ask for a policy for the loaded task and wait for its success."""
        result = Request(task)
        self._forget_task()
        asked = time.monotonic()
        response = self.generate(task)
        answered = time.monotonic()
        result.seed, result.policy_id = response.seed, response.policy_id
        result.parameters, result.generation_ms = response.policy_parameters, 1e3 * response.generation_s
        result.request_to_response_ms = 1e3 * (answered - asked)

        def running() -> bool:
            status = self.controller_status
            return self.require_taken(response) and bool(status and self._arrivals_from(status.policy_first_stamp))

        self.wait(f"the first command of policy {result.policy_id}", running, 10.0)
        assert self.controller_status is not None
        stamp = self.controller_status.policy_first_stamp
        first = min(self._arrivals_from(stamp))
        result.response_to_first_command_ms = 1e3 * (first - answered)
        result.swap_time_s = _seconds(stamp)
        delay = result.response_to_first_command_ms
        print(
            f"   policy {result.policy_id}: {result.parameters} parameters, answered in "
            f"{result.request_to_response_ms:.1f} ms, first command {delay:+.1f} ms after",
            flush=True,
        )

        def succeeded() -> bool:
            return self.task_status is not None and self.task_status.task == task and self.task_status.succeeded

        try:
            self.wait("success", succeeded, _SUCCESS_TIMEOUT_S)
        except DemoFailed:
            status = self.task_status
            print(f"   no success in {_SUCCESS_TIMEOUT_S:g} s (step {status.step if status else '?'})", flush=True)
        else:
            assert self.task_status is not None
            result.success, result.steps_to_success = True, self.task_status.first_success_step
            result.success_time_s = _seconds(self.task_status.header.stamp)
            print(
                f"   done after {result.steps_to_success} steps ({result.success_time_s - result.swap_time_s:.2f} s), "
                f"{self.task_status.missed_ticks} ticks missed",
                flush=True,
            )
        result.ticks_missed = self.task_status.missed_ticks if self.task_status else 0
        return result


def main(arguments: list[str] | None = None) -> int:
    """Play the story; exit status 0 only if every request succeeded."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for requests and series")
    parser.add_argument("--layout", type=int, default=0, help="seed of the start layout; 0 draws one")
    options, ros_arguments = parser.parse_known_args(arguments)
    rclpy.init(args=ros_arguments)
    client = DemoClient()
    requests, layout = [], 0
    try:
        client.wait_for_nodes()
        for place, task in enumerate(STORY):
            loaded = client.load(task, options.layout, keep_state=place > 0)
            layout = loaded.layout
            kept = "the simulation runs on" if place else f"layout {layout}"
            print(f"{place + 1}. {task} ({kept})", flush=True)
            requests.append(client.perform(task))
            if not requests[-1].success:
                break
    except DemoFailed as error:
        print(f"   failed: {error}", flush=True)
    except KeyboardInterrupt:
        print("   interrupted", flush=True)
    finally:
        content = {"layout": layout, "requests": [asdict(r) for r in requests], "series": asdict(client.series)}
        options.out.write_text(json.dumps(content), encoding="utf-8")
        client.destroy_node()
        rclpy.try_shutdown()
    return 0 if len(requests) == len(STORY) and all(request.success for request in requests) else 1


if __name__ == "__main__":
    sys.exit(main())

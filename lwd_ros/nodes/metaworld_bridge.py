"""The Metaworld bridge: a simulated robot that speaks a contract's topics, in real time or in lock step."""

import sys
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from lwd_msgs.msg import TaskStatus
from lwd_msgs.srv import LoadTask
from lwd_ros.contract import Contract, ContractError
from lwd_ros.nodes.camera import Camera
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.managed import ManagedNode, ParameterError, run
from lwd_ros.nodes.streams import RELIABLE, StreamPublisher, StreamSubscriber
from lwd_ros.resources import share_path
from lwd_ros.sim.recording import Recorder
from lwd_ros.sim.scene import Scene, SceneError, require_contract, require_shared_scene, sharing

MODES = ("realtime", "lockstep")
_REPUBLISH_S = 0.04  # lock step: an observation that nobody answered is sent again this often, before it goes stale
_SERVED_WHEN_LATE = 8  # callbacks between two steps where there is no time to wait for any
_GRIPPER_OPEN = -1.0  # Metaworld's own command while it resets the hand


class MetaworldBridge(ManagedNode):
    """Steps Metaworld and publishes what a robot would. See docs/nodes.md for parameters, topics and services."""

    fatal = (ContractError, ParameterError, SceneError, OSError)

    def __init__(self):
        super().__init__("metaworld_bridge")
        self.declare("contract_file", "", "contract whose topics the simulated robot speaks; empty: metaworld.yaml")
        self.declare("mode", "realtime", "realtime: steps by the wall clock; lockstep: steps when a command arrives")
        self.declare("task", "", "task loaded at start-up, e.g. drawer-open-v3; empty: wait for ~/load_task")
        self.declare("layout", 0, "seed of the first layout; 0 draws one", 0, 2**62)
        self.declare("command_timeout_s", 0.1, "realtime: hold the arm when no command came for this long, s", 0.0)
        self.declare("observation_delay_s", 0.0, "realtime: observations leave so long after their stamp, s", 0.0, 1.0)
        self.declare("image_rate_hz", 10.0, "highest rate of ~/image while somebody listens, Hz", 0.1, 100.0)
        self.declare("record_file", "", "write all states here (.npz) when the node ends; empty: off")
        self._scenes: dict[str, Scene] = {}
        self._scene: Scene | None = None
        self._recorder: Recorder | None = None
        self._episode = 0

    def configure(self) -> None:
        path = self.get_parameter("contract_file").value or share_path("config", "metaworld.yaml")
        self._contract = contract = Contract.load(path)
        binding = contract.require_binding()
        require_contract(contract)
        self._lockstep = self.one_of("mode", MODES) == "lockstep"
        self._delay = round(self.get_parameter("observation_delay_s").value / contract.period_s)
        if self._delay and self._lockstep:
            text = "found a delay in mode 'lockstep', expected 0: each step waits for the answer to its observation"
            raise ParameterError(f"parameter 'observation_delay_s': {text}")
        self._taken: deque[tuple[np.ndarray, int]] = deque()  # observations that have not left yet, with their stamps
        self._command = np.zeros(len(contract.command))
        self._kept = np.array([name in binding.keep_on_hold for name in contract.command_names])
        self._streams = binding.command_streams
        self._command_stamps = [-1] * len(self._streams)
        self._command_arrivals = [-np.inf] * len(self._streams)
        self._earliest_stamp_ns = 0
        self._ignores_safe = [False] * len(self._streams)  # until the controller of the layout before answers this one
        self._period_ns = round(contract.period_s * 1e9)
        self._command_timeout_s = self.get_parameter("command_timeout_s").value
        self._stamp_ns = self._sent_ns = 0
        if self.get_parameter("record_file").value:
            self._recorder = Recorder(Path(self.get_parameter("record_file").value))
        task = self.get_parameter("task").value
        if task:
            self._load(task, self.get_parameter("layout").value, keep_state=False)
        self._observations = StreamPublisher(self, binding.observation_streams, self.warn)
        self._clock_publisher = self.create_publisher(ClockMessage, "/clock", 10)
        self._status = self.create_publisher(TaskStatus, "~/task_status", 10)
        self._services_of_bridge = [
            self.create_service(LoadTask, "~/load_task", self._on_load),
            self.create_service(Trigger, "~/reset", self._on_reset),
        ]

    def activate(self) -> None:
        binding = self._contract.require_binding()
        self._commands = StreamSubscriber(self, binding.command_streams, self._on_command, self.warn, RELIABLE)
        self._camera = Camera(self, self.get_parameter("image_rate_hz").value)
        self._published_s = -np.inf
        self._taken.clear()
        self._deadline = time.monotonic()
        if self._scene is not None:
            self._publish()

    def deactivate(self) -> None:
        self._commands.destroy()
        self._camera.close()

    def cleanup(self) -> None:
        if self._recorder is not None:
            self._recorder.save()
            self.get_logger().info(f"states recorded in {self._recorder.path}")
        self._observations.destroy()
        for publisher in (self._clock_publisher, self._status):
            self.destroy_publisher(publisher)
        for service in self._services_of_bridge:
            self.destroy_service(service)
        self._scenes, self._scene, self._recorder = {}, None, None

    def _build(self, task: str) -> Scene:
        if task not in self._scenes:
            start = time.monotonic()
            self._scenes[task] = Scene(task, self._contract)
            self.get_logger().info(f"built '{task}' in {time.monotonic() - start:.1f} s")
        return self._scenes[task]

    def _load(self, task: str, layout: int, keep_state: bool) -> None:
        """Put `task` in place; raises SceneError, and leaves the present one running, where that cannot be."""
        previous = self._scene
        if keep_state:
            if previous is None:
                raise SceneError("keep_state needs a loaded task; load one without it first")
            require_shared_scene(task, previous.task)
            scene = self._build(task)
            if scene is not previous:
                scene.take_over(previous)
        else:
            scene = self._build(task)
            for other in sharing(task):
                self._build(other)  # now, and not while an arm moves that must not pause
            scene.reset(layout or int(np.random.default_rng().integers(1_000_000, 2**31)))
            self._command[:] = np.where(self._kept, _GRIPPER_OPEN, 0.0)
            self._deadline = time.monotonic()  # building took time that the new layout has not missed
            # What still answers the layout before must not move this one.
            self._earliest_stamp_ns = self._stamp_ns + self._period_ns
            each = zip(self._ignores_safe, self._command_stamps, strict=True)
            self._ignores_safe = [ignores or stamp > 0 for ignores, stamp in each]
            self._command_stamps = [-1] * len(self._streams)
        self._scene = scene
        self._episode += 1
        self._step_count = self._first_success = self._missed = 0
        self._success, self._answered, self._holding = False, False, False
        self._stamp_ns += self._period_ns
        if self._recorder is not None and not keep_state:
            self._recorder.begin(scene)
        self._record()
        self.get_logger().info(f"task '{task}', layout {scene.layout}" + (", state kept" if keep_state else ""))

    def _on_load(self, request: LoadTask.Request, response: LoadTask.Response):
        try:
            if not self.is_active:
                raise SceneError(f"the bridge is {self.state}, not active")
            self._load(request.task, request.layout, request.keep_state)
        except (SceneError, ContractError) as error:
            response.message = str(error)
            self.get_logger().error(f"load_task: {error}")
            return response
        self._publish()
        response.success, response.layout = True, self._scene.layout
        response.message = f"loaded '{request.task}', layout {self._scene.layout}"
        response.stamp = to_stamp(self._stamp_ns)
        return response

    def _on_reset(self, request, response):
        if self._scene is None or not self.is_active:
            response.message = f"no task to reset: the bridge is {self.state} and " + (
                "no task is loaded" if self._scene is None else f"'{self._scene.task}' is loaded"
            )
            return response
        self._load(self._scene.task, self._scene.layout, keep_state=False)
        self._publish()
        response.success, response.message = True, f"'{self._scene.task}', layout {self._scene.layout}, from the start"
        return response

    def _on_command(self, place: int, stamp_ns: int, frame_id: str, values, _received_ns: int) -> None:
        """Take one command: in lock step the first answer to the pending observation, else the newest there is.

        Stamp 0 marks a command that answers no observation, as a controller's safe command does: in lock step it moves
        nothing, nor does it in a layout that the controller has not answered yet, for what it holds on to is the layout
        before.
        """
        stream = self._streams[place]
        if frame_id != stream.frame_id:
            self.warn(f"{stream.topic}: found frame_id {frame_id!r}, expected {stream.frame_id!r}; ignored")
            return
        if not np.isfinite(values).all():
            self.warn(f"{stream.topic}: found a non-finite command, expected a finite one; ignored")
            return
        earliest = max(self._command_stamps[place], self._earliest_stamp_ns)
        if self._lockstep:
            if stamp_ns != self._sent_ns or self._command_stamps[place] == stamp_ns:
                return
        elif self._ignores_safe[place] if stamp_ns == 0 else stamp_ns < earliest:
            return
        if stamp_ns:
            self._ignores_safe[place], self._answered = False, True
        self._command[list(stream.indices)] = values
        self._command_stamps[place] = max(stamp_ns, self._command_stamps[place])
        self._command_arrivals[place] = time.monotonic()
        if self._lockstep and self._scene is not None and self._fresh():
            self._step()

    def _fresh(self) -> bool:
        return all(stamp == self._sent_ns for stamp in self._command_stamps)

    def _step(self) -> None:
        """Advance one control period under the present command and publish what comes of it."""
        fresh = self._fresh()
        self._missed += self._answered and not fresh
        # The oldest stream counts: a hand whose velocity is no longer sent must not go on because the gripper's is.
        self._holding = not self._lockstep and time.monotonic() - min(self._command_arrivals) > self._command_timeout_s
        if self._holding:
            self._command[~self._kept] = 0.0
        self._success = self._scene.step(self._command)
        self._step_count += 1
        if self._success and not self._first_success:
            self._first_success = self._step_count
        self._stamp_ns += self._period_ns
        self._record()
        self._publish()

    def _record(self) -> None:
        if self._recorder is not None:
            self._recorder.add(self._scene, self._stamp_ns * 1e-9)

    def _publish(self) -> None:
        """Send the clock and the task's status of now, and the observation that is due."""
        scene, stamp = self._scene, to_stamp(self._stamp_ns)
        self._clock_publisher.publish(ClockMessage(clock=stamp))
        self._taken.append((scene.observe(), self._stamp_ns))
        if len(self._taken) > self._delay:
            observation, self._sent_ns = self._taken.popleft()
            self._observations.send(observation, self._sent_ns)
        status = TaskStatus(
            task=scene.task,
            layout=scene.layout,
            episode=self._episode,
            step=self._step_count,
            success=self._success,
            succeeded=bool(self._first_success),
            first_success_step=self._first_success,
            missed_ticks=self._missed,
            holding=self._holding,
        )
        status.header.stamp = stamp
        self._status.publish(status)
        if self._camera.wanted:
            self._camera.show(scene, self._stamp_ns)
        self._published_s = time.monotonic()

    def spin(self, executor: SingleThreadedExecutor, stop: threading.Event) -> None:
        """Serve callbacks between the deadlines of the simulation's steps."""
        behind = False
        while not stop.is_set():
            if not self.is_active or self._scene is None:
                executor.spin_once(timeout_sec=0.1)
                self._deadline = time.monotonic()
            elif self._lockstep:
                executor.spin_once(timeout_sec=_REPUBLISH_S)
                if self.is_active and time.monotonic() - self._published_s > _REPUBLISH_S:
                    self._publish()
            else:
                left = self._deadline - time.monotonic()
                if left > 0:
                    executor.spin_once(timeout_sec=left)
                    continue
                # Even a simulation that is slower than the clock must hear its commands and services, and new ones.
                for _ in range(_SERVED_WHEN_LATE if behind or left < -0.5 * self._contract.period_s else 1):
                    executor.spin_once(timeout_sec=0.0)
                if self.is_active:
                    self._step()
                self._deadline += self._contract.period_s
                late = time.monotonic() - self._deadline
                behind = late > 0.0
                if late > 10 * self._contract.period_s:
                    self.warn(f"the simulation fell {late:.2f} s behind the wall clock and goes on from here")
                if late > self._contract.period_s:
                    self._deadline = time.monotonic()  # catching up would be steps that nobody could answer

    def diagnose(self):
        if self._scene is None:
            return DiagnosticStatus.WARN, "no task is loaded: call ~/load_task", {}
        values = {
            "task": self._scene.task,
            "layout": self._scene.layout,
            "episode": self._episode,
            "step": self._step_count,
            "succeeded": bool(self._first_success),
            "missed_ticks": self._missed,
        }
        if self._holding:
            return DiagnosticStatus.WARN, "no commands arrive: the arm is held", values
        return DiagnosticStatus.OK, f"'{self._scene.task}', step {self._step_count}", values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(MetaworldBridge, args)


if __name__ == "__main__":
    sys.exit(main())

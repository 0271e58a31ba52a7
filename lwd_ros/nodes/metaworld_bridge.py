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

from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import LoadTask
from lwd_ros.contract import Contract
from lwd_ros.environments.gate import CommandGate, RunningPolicy
from lwd_ros.environments.metaworld.recording import Recorder
from lwd_ros.environments.metaworld.scene import Scene, SceneError, require_contract, require_shared_scene, sharing
from lwd_ros.errors import LwdError
from lwd_ros.nodes.camera import Camera
from lwd_ros.nodes.conversions import to_nanoseconds, to_stamp
from lwd_ros.nodes.managed import ManagedNode, ParameterError, run
from lwd_ros.nodes.streams import RELIABLE, StreamPublisher, StreamSubscriber
from lwd_ros.resources import share_path

MODES = ("realtime", "lockstep")
_REPUBLISH_S = 0.04  # lock step: an observation that nobody answered is sent again this often, before it goes stale
_SERVED_WHEN_LATE = 8  # callbacks between two steps where there is no time to wait for any
_LOOK_S = 0.25  # how often to look for other simulators, and for commands of a held arm that no policy explains
_STUCK_S = 1.0  # lock step: diagnostics say what is missing when no step came for so long


class MetaworldBridge(ManagedNode):
    """Steps Metaworld and publishes what a robot would. See docs/nodes.md for parameters, topics and services."""

    def __init__(self):
        super().__init__("metaworld_bridge")
        self.declare("contract_file", "", "contract whose topics the simulated robot speaks; empty: metaworld.yaml")
        self.declare("mode", "realtime", "realtime: steps by the wall clock; lockstep: steps when a command arrives")
        self.declare("task", "", "task loaded at start-up, e.g. drawer-open-v3; empty: wait for ~/load_task")
        self.declare("layout", 0, "seed of the first layout; 0 draws one", 0, 2**62)
        self.declare("command_timeout_s", 0.1, "realtime: hold the arm when no command came for this long, s", 0.0)
        self.declare("hold_until_asked", False, "after each load hold the arm until a policy generated since commands")
        self.declare("controller_status_topic", "policy_controller/status", "where a controller tells what it runs")
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
        self._asked_only = self.get_parameter("hold_until_asked").value
        self._gate = CommandGate(
            contract, self._lockstep, self.get_parameter("command_timeout_s").value, self._asked_only
        )
        self._period_ns = round(contract.period_s * 1e9)
        self._stamp_ns = 0
        self._named: RunningPolicy | None = None  # the last policy that the log said does not count
        self._recorder = self._new_recorder()
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
        self._controllers = []
        if self._asked_only:
            topic = self.get_parameter("controller_status_topic").value
            self._controllers.append(self.create_subscription(ControllerStatus, topic, self._on_controller, RELIABLE))
        self._timer = self.create_timer(_LOOK_S, self._name_strangers, clock=self.steady)
        self._camera = Camera(self, self.get_parameter("image_rate_hz").value)
        self._published_s = -np.inf
        self._taken.clear()
        self._deadline = time.monotonic()
        if self._scene is not None:
            self._publish()
        else:
            service = self.resolve_service_name("~/load_task")
            text = f'ros2 service call {service} lwd_msgs/srv/LoadTask "{{task: drawer-open-v3}}"'
            self.get_logger().info(f"no task is loaded; load one: {text}")

    def deactivate(self) -> None:
        self._commands.destroy()
        self.destroy_timer(self._timer)
        for subscription in self._controllers:
            self.destroy_subscription(subscription)
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

    def _new_recorder(self) -> Recorder | None:
        path = self.get_parameter("record_file").value
        try:
            return Recorder(Path(path)) if path else None
        except OSError as error:
            reason = f"found '{path}' ({error.strerror}), expected a file in a folder that exists and can be written"
            raise ParameterError(f"parameter 'record_file': {reason}") from error

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
            self._deadline = time.monotonic()  # building took time that the new layout has not missed
        self._scene = scene
        self._episode += 1
        self._step_count = self._first_success = 0
        self._success = False
        self._stamp_ns += self._period_ns
        self._stepped_s = time.monotonic()
        self._gate.begin(task, self._stamp_ns, time.time_ns(), keep_state)
        if self._recorder is not None and not keep_state:
            self._recorder.begin(scene)
        self._record()
        self.get_logger().info(f"task '{task}', layout {scene.layout}" + (", state kept" if keep_state else ""))
        if self._gate.wait is not None:
            held = f"'{task}' is loaded: the arm is held until a policy for it commands"
            self.get_logger().info(f"{held}; ask for one: {self._how_to_ask()}")

    def _how_to_ask(self) -> str:
        service = self.resolve_service_name("policy_generator/generate_policy")
        return f'ros2 service call {service} lwd_msgs/srv/GeneratePolicy "{{task: {self._gate.wait.task}}}"'

    def _on_load(self, request: LoadTask.Request, response: LoadTask.Response):
        try:
            if not self.is_active:
                raise SceneError(f"the bridge is {self.state}, not active")
            self._load(request.task, request.layout, request.keep_state)
        except LwdError as error:
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
        refusal = self._gate.take(place, stamp_ns, frame_id, values, time.monotonic())
        if refusal is not None:
            if refusal.to_log:
                self.warn(refusal.sentence, lambda: self._who_publishes(place))
        elif self._lockstep and self._scene is not None and self._gate.fresh:
            self._step()

    def _who_publishes(self, place: int) -> str:
        """Who publishes command stream number `place`, where it is more than one."""
        count, names = self._commands.publishers(self._commands.topics[place])
        return f" (published by {names})" if count > 1 else ""

    def _name_strangers(self) -> None:
        if self.count_publishers("/clock") > 1:
            others = "another node publishes /clock: two simulators in one ROS domain mix their clocks and observations"
            self.warn(f"{others}; stop one, or give it another ROS_DOMAIN_ID")
        if topic := self._gate.unexplained(time.monotonic()):
            status = self.resolve_topic_name(self.get_parameter("controller_status_topic").value)
            found = f"nobody publishes {status}"
            if self.count_publishers(status):
                found = f"{status} shows no policy that runs"
            text = f"found a command, but {found}, expected one that does: ignored while the arm is held"
            self.warn(f"{topic}: {text} (parameter hold_until_asked)")

    def _on_controller(self, status: ControllerStatus) -> None:
        running = None
        if status.policy_id:
            stamps = (to_nanoseconds(status.policy_stamp), to_nanoseconds(status.policy_first_stamp))
            running = RunningPolicy(status.policy_id, status.task, *stamps)
        if self._gate.tell(running, time.monotonic()):
            self.get_logger().info(f"policy {running.policy_id} for '{running.task}' commands: the arm is held no more")
            if self._lockstep and self._gate.fresh:
                self._step()
        refused = self._gate.refused()
        if refused is not None and refused != self._named:
            self._named = refused
            held = self._gate.why_held(time.monotonic())
            self.get_logger().warning(f"{held}; ask for one: {self._how_to_ask()}")

    def _step(self) -> None:
        """Advance one control period under the present command and publish what comes of it."""
        now = time.monotonic()
        self._success = self._scene.step(self._gate.next(now))
        self._stepped_s = now
        self._step_count += 1
        if self._success and not self._first_success:
            self._first_success = self._step_count
            self.get_logger().info(f"'{self._scene.task}' succeeded at step {self._step_count} since its load")
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
            observation, self._gate.sent_ns = self._taken.popleft()
            self._observations.send(observation, self._gate.sent_ns)
        status = TaskStatus(
            task=scene.task,
            layout=scene.layout,
            episode=self._episode,
            step=self._step_count,
            success=self._success,
            succeeded=bool(self._first_success),
            first_success_step=self._first_success,
            missed_ticks=self._gate.missed,
            holding=self._gate.holding,
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
                    self._go_on()
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

    def _go_on(self) -> None:
        """Lock step: send the pending observation again, unless it was answered by a policy that must not command.

        Such an answer moves the simulation by one step of the held arm: to a controller the same stamp again is a
        command that was lost, and its next policy would never begin. It is not done at once, for the status that names
        the policy comes after the policy's first command.
        """
        if self._gate.answered_while_held:
            self._step()
        else:
            self._publish()

    def diagnose(self):
        if self._scene is None:
            return DiagnosticStatus.WARN, "no task is loaded: call ~/load_task", {}
        values = {
            "task": self._scene.task,
            "layout": self._scene.layout,
            "episode": self._episode,
            "step": self._step_count,
            "succeeded": bool(self._first_success),
            "missed_ticks": self._gate.missed,
        }
        now = time.monotonic()
        if self._gate.wait is not None:
            return DiagnosticStatus.WARN, f"{self._gate.why_held(now)}; ask for one: {self._how_to_ask()}", values
        if self._gate.holding:
            return DiagnosticStatus.WARN, f"{self._gate.why_no_command(now)}: the arm is held", values
        if self._lockstep and now - self._stepped_s > _STUCK_S:
            return DiagnosticStatus.WARN, f"{self._gate.why_no_command(now)}: the simulation waits", values
        if disagreement := self._gate.disagreement(now):
            return DiagnosticStatus.WARN, disagreement, values
        return DiagnosticStatus.OK, f"'{self._scene.task}', step {self._step_count}", values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(MetaworldBridge, args)


if __name__ == "__main__":
    sys.exit(main())

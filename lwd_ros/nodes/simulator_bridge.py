"""The simulator bridge: a simulated robot that speaks a contract's topics, in real time or in lock step."""

import sys
import threading
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, TaskStatus
from lwd_msgs.srv import LoadTask
from lwd_ros.contract import Contract
from lwd_ros.environments import registry
from lwd_ros.environments.environment import SimulationError, Speaks
from lwd_ros.environments.gate import RunningPolicy
from lwd_ros.environments.recording import Recorder
from lwd_ros.environments.robot import Moment, Settings, SimulatedRobot
from lwd_ros.errors import LwdError
from lwd_ros.nodes.camera import Camera
from lwd_ros.nodes.conversions import to_nanoseconds, to_stamp
from lwd_ros.nodes.managed import ManagedNode, ParameterError, run
from lwd_ros.nodes.messages import MessagePublisher
from lwd_ros.nodes.streams import RELIABLE, StreamPublisher, StreamSubscriber

MODES = ("realtime", "lockstep")
_LOOK_S = 0.25  # how often to look for other simulators, and for commands of a held arm that no policy explains


class SimulatorBridge(ManagedNode):
    """Steps an environment and publishes what a robot would. docs/reference/nodes.md has all of it."""

    _robot: SimulatedRobot  # from configure on

    def __init__(self, name: str = "simulator_bridge", environment: str = ""):
        """A node called `name`; of one `environment`, or of the one that its parameter names."""
        super().__init__(name)
        self._environment_name = environment or self.declare(
            "environment", "", "simulator: a registered name, or the path of an environment's YAML file; required"
        )
        self.declare("contract_file", "", "contract whose topics the simulated robot speaks; empty: the environment's")
        self.declare("mode", "realtime", "realtime: steps by the wall clock; lockstep: steps when a command arrives")
        self.declare("task", "", "task loaded at start-up; empty: wait for ~/load_task")
        self.declare("layout", 0, "seed of the first layout; 0 draws one", 0, 2**62)
        self.declare("command_timeout_s", 0.1, "realtime: hold the arm when no command came for this long, s", 0.0)
        self.declare("hold_until_asked", False, "after each load hold the arm until a policy generated since commands")
        self.declare("controller_status_topic", "policy_controller/status", "where a controller tells what it runs")
        self.declare("observation_delay_s", 0.0, "realtime: observations leave so long after their stamp, s", 0.0, 1.0)
        self.declare("image_rate_hz", 10.0, "highest rate of ~/image while somebody listens, Hz", 0.1, 100.0)
        self.declare("record_file", "", "write all states here (.npz) when the node ends; empty: off")

    def configure(self) -> None:
        if not self._environment_name:
            names = ", ".join(registry.names())
            self.required("environment", f"a registered name ({names}) or the path of an environment's YAML file")
        simulator = registry.simulator(self._environment_name)
        self._spec = simulator.spec
        path = self.get_parameter("contract_file").value
        self._contract = contract = Contract.load(path) if path else self._spec.contract()
        binding = contract.require_binding()
        self._asked_only = self.get_parameter("hold_until_asked").value
        lockstep = self.one_of("mode", MODES) == "lockstep"
        delay = round(self.get_parameter("observation_delay_s").value / contract.period_s)
        if delay and lockstep:
            text = "found a delay in mode 'lockstep', expected 0: each step waits for the answer to its observation"
            raise ParameterError(f"parameter 'observation_delay_s': {text}")
        settings = Settings(lockstep, self.get_parameter("command_timeout_s").value, self._asked_only, delay)
        recorder, task = self._new_recorder(), self.get_parameter("task").value
        try:
            self._robot = SimulatedRobot(simulator, contract, settings, self, recorder)
            if task:
                self._robot.load(task, self.get_parameter("layout").value)
        except ModuleNotFoundError as error:  # the physics are imported here first
            text = f"needs the package '{error.name}'; those of the environments here: pip install 'lwd_ros[sim]'"
            raise SimulationError(f"environment '{self._spec.name}': {text}") from error
        self._observations: StreamPublisher | MessagePublisher
        if isinstance(simulator, Speaks):
            self._observations = MessagePublisher(self, binding.observation_streams, simulator.topics, self.warn)
        else:
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
        self._robot.start()
        if self._robot.environment is None:
            service = self.resolve_service_name("~/load_task")
            task = self._spec.example or self._spec.tasks[0]
            text = f'ros2 service call {service} lwd_msgs/srv/LoadTask "{{task: {task}}}"'
            self.get_logger().info(f"no task is loaded; load one: {text}")

    def deactivate(self) -> None:
        self._robot.pause()
        self._commands.destroy()
        self.destroy_timer(self._timer)
        for subscription in self._controllers:
            self.destroy_subscription(subscription)
        self._camera.close()

    def cleanup(self) -> None:
        self._robot.close()
        self._observations.destroy()
        for publisher in (self._clock_publisher, self._status):
            self.destroy_publisher(publisher)
        for service in self._services_of_bridge:
            self.destroy_service(service)

    def _new_recorder(self) -> Recorder | None:
        path = self.get_parameter("record_file").value
        try:
            return Recorder(Path(path)) if path else None
        except OSError as error:
            reason = f"found '{path}' ({error.strerror}), expected a file in a folder that exists and can be written"
            raise ParameterError(f"parameter 'record_file': {reason}") from error

    def send(self, moment: Moment) -> None:
        """As `Listener.send`: publish the clock, the observation and the task's status."""
        stamp = to_stamp(moment.stamp_ns)
        self._clock_publisher.publish(ClockMessage(clock=stamp))
        if moment.observation is not None:
            sent = moment.observation if moment.messages is None else moment.messages
            self._observations.send(sent, moment.observation_stamp_ns)  # type: ignore[arg-type]
        status = TaskStatus(
            task=moment.task,
            layout=moment.layout,
            episode=moment.episode,
            step=moment.step,
            success=moment.success,
            succeeded=bool(moment.first_success_step),
            first_success_step=moment.first_success_step,
            missed_ticks=moment.missed,
            holding=moment.holding,
        )
        status.header.stamp = stamp
        self._status.publish(status)
        environment = self._robot.environment
        if environment is not None and self._camera.wanted:
            self._camera.show(environment, moment.stamp_ns)

    def info(self, sentence: str) -> None:
        """As `Listener.info`."""
        self.get_logger().info(sentence)

    def warn_once(self, sentence: str) -> None:
        """As `Listener.warn_once`."""
        self.get_logger().warning(sentence)

    def how_to_ask(self, task: str) -> str:
        """As `Listener.how_to_ask`."""
        service = self.resolve_service_name("policy_generator/generate_policy")
        return f'ros2 service call {service} lwd_msgs/srv/GeneratePolicy "{{task: {task}}}"'

    def _on_load(self, request: LoadTask.Request, response: LoadTask.Response):
        try:
            if not self.is_active:
                raise SimulationError(f"the bridge is {self.state}, not active")
            environment = self._robot.load(request.task, request.layout, request.keep_state)
        except LwdError as error:
            response.message = str(error)
            self.get_logger().error(f"load_task: {error}")
            return response
        response.success, response.layout = True, environment.layout
        response.message = f"loaded '{request.task}', layout {response.layout}"
        response.stamp = to_stamp(self._robot.stamp_ns)
        return response

    def _on_reset(self, request, response):
        environment = self._robot.environment
        if environment is None or not self.is_active:
            response.message = f"no task to reset: the bridge is {self.state} and " + (
                "no task is loaded" if environment is None else f"'{environment.task}' is loaded"
            )
            return response
        self._robot.load(environment.task, environment.layout)
        response.success, response.message = True, f"'{environment.task}', layout {environment.layout}, from the start"
        return response

    def _on_command(self, place: int, stamp_ns: int, frame_id: str | None, values, _received_ns: int) -> None:
        refusal = self._robot.take(place, stamp_ns, frame_id, values)
        if refusal is not None and refusal.to_log:
            self.warn(refusal.sentence, lambda: self._who_publishes(place))

    def _who_publishes(self, place: int) -> str:
        """Who publishes command stream number `place`, where it is more than one."""
        count, names = self._commands.publishers(self._commands.topics[place])
        return f" (published by {names})" if count > 1 else ""

    def _name_strangers(self) -> None:
        if self.count_publishers("/clock") > 1:
            others = "another node publishes /clock: two simulators in one ROS domain mix their clocks and observations"
            self.warn(f"{others}; stop one, or give it another ROS_DOMAIN_ID")
        if topic := self._robot.unexplained():
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
        self._robot.tell(running)

    def spin(self, executor: SingleThreadedExecutor, stop: threading.Event) -> None:
        """Serve callbacks between the simulation's steps."""

        def serve(timeout_s: float) -> None:
            executor.spin_once(timeout_sec=timeout_s)

        while not stop.is_set():
            if self.is_active:
                self._robot.turn(serve)
            else:
                serve(0.1)

    def diagnose(self):
        if self._robot.environment is None:
            return DiagnosticStatus.WARN, "no task is loaded: call ~/load_task", {}
        values = self._robot.values()
        if complaint := self._robot.complaint():
            return DiagnosticStatus.WARN, complaint, values
        return DiagnosticStatus.OK, f"'{values['task']}', step {values['step']}", values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(SimulatorBridge, args)


if __name__ == "__main__":
    sys.exit(main())

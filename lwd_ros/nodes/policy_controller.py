"""The policy controller: observations in, commands out, policies swapped between two ticks."""

import sys

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GetPolicy
from lwd_ros.contract import Contract
from lwd_ros.control import Command, ControllerCore, Outcome, StreamError, TickStatistics
from lwd_ros.nodes.conversions import message_to_policy, to_nanoseconds, to_stamp
from lwd_ros.nodes.managed import ManagedNode, run
from lwd_ros.nodes.streams import BEST_EFFORT, LATCHED, StreamPublisher, StreamSubscriber
from lwd_ros.policy import Policy, PolicyError
from lwd_ros.resources import share_path

_ASK_AFTER_S = 1.0  # without a latched policy for this long, ask the generator for its last one


class PolicyController(ManagedNode):
    """Runs the latest valid policy closed loop. See docs/nodes.md for parameters, topics and services."""

    def __init__(self):
        super().__init__("policy_controller")
        self.declare("contract_file", "", "contract between policy and robot; empty: the shipped metaworld.yaml")
        self.declare("policy_timeout_s", 0.0, "stop a policy that ran this long without a successor, s; 0: never", 0.0)
        self.declare("run_latched", True, "a policy published before this node was activated may move the robot")
        self.declare("get_policy_service", "policy_generator/get_policy", "where a late joiner asks for a policy")
        self._core: ControllerCore | None = None
        self._work: list = []
        self._reported = None
        self._rejected = ("", "")
        self._rejections = 0
        self._window, self._last_window, self._total = TickStatistics(), TickStatistics(), TickStatistics()

    def configure(self) -> None:
        path = self.get_parameter("contract_file").value or share_path("config", "metaworld.yaml")
        contract = Contract.load(path)
        self._core = ControllerCore(contract, self.get_parameter("policy_timeout_s").value)
        self._commands = StreamPublisher(self, contract.require_binding().command_streams, self._warn)
        self._status = self.create_publisher(ControllerStatus, "~/status", 10)
        self._stop_service = self.create_service(Trigger, "~/stop", self._on_stop)
        self.get_logger().info(f"contract '{contract.name}' {contract.digest[:12]}, {1 / contract.period_s:g} Hz")

    def activate(self) -> None:
        core = self._core
        core.activate()
        self._rejected, self._rejections, self._reported = ("", ""), 0, None
        self._window, self._last_window, self._total = TickStatistics(), TickStatistics(), TickStatistics()
        self._activated_s, self._activated_ns = self.now_s(), rclpy.clock.Clock().now().nanoseconds
        self._asked = not self.get_parameter("run_latched").value
        self._newest = ("", 0)
        # Subscribing here and not in configure gives each activation the latched policy anew, and no old observation.
        self._observations = StreamSubscriber(
            self, core.assembler.streams, self._on_observation, self._warn, BEST_EFFORT
        )
        self._policy = self.create_subscription(PolicyWeights, "policy", self._on_policy, LATCHED)
        self._get_policy = self.create_client(GetPolicy, self.get_parameter("get_policy_service").value)
        watch = min(stream.stale_after_s for stream in core.assembler.streams) / 4
        self._timers_of_activation = [
            self.create_timer(watch, self._watch, clock=self.steady),
            self.create_timer(0.5, self._publish_status, clock=self.steady),
        ]

    def deactivate(self) -> None:
        command = self._core.stop("the controller is being deactivated")
        if command is not None:
            self._send(command)
        for timer in self._timers_of_activation:
            self.destroy_timer(timer)
        self.destroy_subscription(self._policy)
        self._observations.destroy()
        self.destroy_client(self._get_policy)
        self._publish_status()

    def cleanup(self) -> None:
        self._commands.destroy()
        self.destroy_publisher(self._status)
        self.destroy_service(self._stop_service)
        self._core = None

    def _warn(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=2.0)

    def _on_observation(self, place: int, stamp_ns: int, frame_id: str, values) -> None:
        start = self.now_s()
        core = self._core
        try:
            observation = core.assembler.add(place, stamp_ns, frame_id, values, start)
        except StreamError as error:
            self._warn(str(error))
            return
        if observation is None:
            return
        command = core.tick(observation, start)
        if command is not None:
            self._send(command)
            self._window.tick(self.now_s() - start, core.contract.period_s)
        if self._reported != (core.slot.active, core.outcome):
            self._publish_status()

    def _send(self, command: Command) -> None:
        self._commands.send(command.vector, command.stamp_ns)

    def _watch(self) -> None:
        command = self._core.watch(self.now_s())
        if command is not None:
            self._send(command)
        if self._reported != (self._core.slot.active, self._core.outcome):
            if self._core.outcome in (Outcome.HOLD, Outcome.ZERO, Outcome.STOPPED):
                self.get_logger().warning(f"{self._core.outcome.name.lower()}: {self._core.reason}")
            self._publish_status()
        late = not self._asked and self._core.slot.newest is None and self.now_s() - self._activated_s > _ASK_AFTER_S
        if late and self._get_policy.service_is_ready():
            self._asked = True
            self._get_policy.call_async(GetPolicy.Request()).add_done_callback(self._on_get_policy)

    def _on_get_policy(self, future) -> None:
        response = future.result()
        if response is not None and response.success and self._core is not None and self._core.slot.newest is None:
            self.get_logger().info("no latched policy arrived; took the generator's last one from get_policy")
            self._on_policy(response.policy)

    def _on_policy(self, message: PolicyWeights) -> None:
        identity = (message.policy_id, to_nanoseconds(message.header.stamp))
        if identity == self._newest:
            return  # latched and asked for: one publication that came twice
        try:
            if not self.get_parameter("run_latched").value and identity[1] < self._activated_ns:
                raise PolicyError("it was published before this node was activated, and run_latched is false")
            policy = message_to_policy(message)
            self._core.offer(policy)
        except PolicyError as error:
            self._reject(message, str(error))
            return
        self._newest = identity
        accepted = f"policy {policy.policy_id} for '{policy.task}' accepted"
        self.get_logger().info(f"{accepted} ({policy.parameters} parameters)")

    def _reject(self, message: PolicyWeights, reason: str) -> None:
        active = self._core.slot.newest
        keeps = f"'{active.task}' keeps running" if active else "no policy is running"
        self._rejected, self._rejections = (message.policy_id, reason), self._rejections + 1
        self.get_logger().error(f"policy {message.policy_id or '(no id)'} refused: {reason}; {keeps}")
        self._publish_status()

    def _on_stop(self, request, response):
        if not self.is_active:
            response.message = f"the controller is {self.state}; nothing is commanded"
            return response
        command = self._core.stop("~/stop was called")
        if command is not None:
            self._send(command)
        self._publish_status()
        response.success, response.message = True, "stopped; a new policy starts it again"
        return response

    def _publish_status(self) -> None:
        core, now = self._core, self.now_s()
        policy: Policy | None = core.slot.active
        window, self._window = self._window, TickStatistics()
        self._total += window
        self._reported = (policy, core.outcome)
        age = -1.0 if core.assembler.last_complete is None else now - core.assembler.last_complete
        # Topics need a moment to be discovered; before that, "missing" would be noise.
        missing = core.assembler.missing(now) if now - self._activated_s > 1.0 else []
        message = ControllerStatus(
            outcome=int(core.outcome),
            reason=core.reason,
            rejected_policy_id=self._rejected[0],
            rejected_reason=self._rejected[1],
            swaps=core.slot.swaps,
            rejections=self._rejections,
            ticks=self._total.ticks,
            starved_ticks=core.statistics.starved_ticks,
            overruns=self._total.overruns,
            work_mean_s=window.work_mean_s,
            work_max_s=window.work_max_s,
            observation_age_s=age,
            control_period_s=core.contract.period_s,
            missing_streams=self._observations.explain(missing),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        if policy is not None:
            message.policy_id, message.task, message.seed = policy.policy_id, policy.task, policy.seed
            message.policy_parameters = policy.parameters
            message.policy_first_stamp = to_stamp(core.first_stamp_ns)
        for sentence in message.missing_streams:
            self._warn(sentence)
        self._last_window = window
        self._status.publish(message)

    def diagnose(self):
        core, now = self._core, self.now_s()
        values = {
            "outcome": core.outcome.name.lower(),
            "policy_id": core.slot.active.policy_id if core.slot.active else "",
            "task": core.slot.active.task if core.slot.active else "",
            "ticks": self._total.ticks,
            "overruns": self._total.overruns,
            "starved_ticks": core.statistics.starved_ticks,
            "work_mean_s": f"{self._last_window.work_mean_s:.6f}",
            "swaps": core.slot.swaps,
            "rejections": self._rejections,
        }
        if core.outcome is Outcome.CONTINUE:
            return DiagnosticStatus.OK, f"running '{values['task']}'", values
        missing = core.assembler.missing(now)
        level = DiagnosticStatus.WARN if core.outcome is Outcome.WAITING else DiagnosticStatus.ERROR
        return level, "; ".join([core.reason, *missing]), values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(PolicyController, args)


if __name__ == "__main__":
    sys.exit(main())

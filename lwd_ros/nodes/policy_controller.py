"""The policy controller: observations in, commands out, policies swapped between two ticks."""

import sys

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GetPolicy
from lwd_ros.contract import Contract
from lwd_ros.control import Command, ControllerCore, Outcome, StreamError, TickStatistics
from lwd_ros.nodes.conversions import message_to_policy, to_nanoseconds, to_stamp
from lwd_ros.nodes.managed import ManagedNode, run
from lwd_ros.nodes.streams import BEST_EFFORT, LATCHED, RELIABLE, StreamPublisher, StreamSubscriber
from lwd_ros.policy import Policy, PolicyError
from lwd_ros.resources import share_path

_ASK_EVERY_S = 1.0  # without a policy for this long, ask the generator for its last one
_SAFE_REPEATS = 3  # of the last command before the end, for receivers that listen best effort
_ACKNOWLEDGE = Duration(seconds=0.2)


class PolicyController(ManagedNode):
    """Runs the latest valid policy closed loop. See docs/nodes.md for parameters, topics and services."""

    def __init__(self):
        super().__init__("policy_controller")
        self.declare("contract_file", "", "contract between policy and robot; empty: the shipped metaworld.yaml")
        self.declare("policy_timeout_s", 0.0, "stop a policy that ran this long without a successor, s; 0: never", 0.0)
        self.declare("run_latched", True, "a policy published before this node was activated may move the robot")
        self.declare("get_policy_service", "policy_generator/get_policy", "where a late joiner asks for a policy")
        self._core: ControllerCore | None = None

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
        self._rejected, self._rejections, self._reported = (PolicyWeights(), ""), 0, None
        self._window = self._last_window = TickStatistics()
        self._activated_s = self._asked_s = self.now_s()
        self._newest, self._stamps = ("", 0), {}
        # Subscribing here and not in configure gives each activation the latched policy anew, and no old observation.
        self._observations = StreamSubscriber(
            self, core.assembler.streams, self._on_observation, self._warn, BEST_EFFORT
        )
        # A volatile subscription receives what is published from now on and nothing older, whatever the clocks of
        # generator and controller say; the latched one beside it receives the older one too, where it is wanted.
        self._live = self.create_subscription(PolicyWeights, "policy", self._on_policy, RELIABLE)
        self._accept_older = self.get_parameter("run_latched").value
        self._older = self.create_subscription(PolicyWeights, "policy", self._on_older_policy, LATCHED)
        self._get_policy = self.create_client(GetPolicy, self.get_parameter("get_policy_service").value)
        watch = min(stream.stale_after_s for stream in core.assembler.streams) / 4
        self._timers_of_activation = [
            self.create_timer(watch, self._watch, clock=self.steady),
            self.create_timer(0.5, self._publish_status, clock=self.steady),
            self.create_timer(_ASK_EVERY_S, self._ask_for_older_policy, clock=self.steady),
        ]

    def deactivate(self) -> None:
        command = self._core.stop("the controller is being deactivated", self.now_s())
        if command is not None:
            for _ in range(_SAFE_REPEATS):
                self._send(command)
            self._commands.wait_for_all_acknowledged(_ACKNOWLEDGE)
        for timer in self._timers_of_activation:
            self.destroy_timer(timer)
        for subscription in (self._live, self._older):
            self.destroy_subscription(subscription)
        self._publish_status()
        self._observations.destroy()
        self.destroy_client(self._get_policy)

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
        answered = core.observation
        command = core.tick(observation, start)
        if command is not None:
            self._send(command)
            if core.observation is not answered:
                self._window.tick(self.now_s() - start, core.contract.period_s)
        self._report_change()

    def _report_change(self) -> None:
        """One log line and a status at once for every change of outcome or policy, wherever it was decided."""
        core = self._core
        if self._reported == (core.slot.active, core.outcome):
            return
        changed = self._reported is None or self._reported[1] is not core.outcome
        if changed and core.outcome in (Outcome.HOLD, Outcome.ZERO, Outcome.STOPPED):
            self.get_logger().warning(f"{core.outcome.name.lower()}: {core.reason}")
        self._publish_status()

    def _send(self, command: Command) -> None:
        self._commands.send(command.vector, command.stamp_ns)

    def _watch(self) -> None:
        command = self._core.watch(self.now_s())
        if command is not None:
            self._send(command)
        self._report_change()
        if self._core.outcome is Outcome.STOPPED:
            self._accept_older = False

    def _ask_for_older_policy(self) -> None:
        wanted = self._accept_older and self._core.slot.newest is None
        if wanted and self.now_s() - self._asked_s > 0.9 * _ASK_EVERY_S and self._get_policy.service_is_ready():
            self._asked_s = self.now_s()
            self._get_policy.call_async(GetPolicy.Request()).add_done_callback(self._on_get_policy)

    def _on_get_policy(self, future) -> None:
        response = future.result()
        if not self.is_active or response is None or not response.success:
            return
        if self._accept_older and self._core.slot.newest is None:
            self.get_logger().info("no latched policy arrived; took the generator's last one from get_policy")
            self._on_policy(response.policy)

    def _on_older_policy(self, message: PolicyWeights) -> None:
        if self._accept_older:
            self._on_policy(message)

    def _on_policy(self, message: PolicyWeights) -> None:
        identity = (message.policy_id, to_nanoseconds(message.header.stamp))
        if identity == self._newest:
            return  # one publication that came on both subscriptions, or was asked for as well
        self._newest = identity
        try:
            policy = message_to_policy(message)
            self._core.offer(policy)
        except PolicyError as error:
            self._reject(message, str(error))
            return
        kept = {key: stamp for key, stamp in self._stamps.items() if key == self._active_id()}
        self._stamps = {**kept, policy.policy_id: message.header.stamp}
        accepted = f"policy {policy.policy_id} for '{policy.task}' accepted"
        self.get_logger().info(f"{accepted} ({policy.parameters} parameters)")

    def _active_id(self) -> str:
        active = self._core.slot.active
        return active.policy_id if active else ""

    def _reject(self, message: PolicyWeights, reason: str) -> None:
        active = self._core.slot.newest
        keeps = f"'{active.task}' keeps running" if active else "no policy is running"
        self._rejected, self._rejections = (message, reason), self._rejections + 1
        self.get_logger().error(f"policy {message.policy_id or '(no id)'} refused: {reason}; {keeps}")
        self._publish_status()

    def _on_stop(self, request, response):
        if not self.is_active:
            response.message = f"the controller is {self.state}; nothing is commanded"
            return response
        self._accept_older = False
        command = self._core.stop("~/stop was called", self.now_s())
        if command is not None:
            self._send(command)
        self._report_change()
        response.success, response.message = True, "stopped; a new policy starts it again"
        return response

    def _publish_status(self) -> None:
        core, now = self._core, self.now_s()
        policy: Policy | None = core.slot.active
        window, self._window = self._window, TickStatistics()
        core.statistics += window
        self._last_window = window
        self._reported = (policy, core.outcome)
        age = -1.0 if core.assembler.last_complete is None else now - core.assembler.last_complete
        # Topics need a moment to be discovered; before that, "missing" would be noise.
        missing = core.assembler.missing(now) if now - self._activated_s > 1.0 else []
        reasons = self._observations.explain(missing)
        message = ControllerStatus(
            contract_name=core.contract.name,
            contract_digest=core.contract.digest,
            outcome=int(core.outcome),
            reason=core.reason,
            rejected_policy_id=self._rejected[0].policy_id,
            rejected_stamp=self._rejected[0].header.stamp,
            rejected_reason=self._rejected[1],
            swaps=core.slot.swaps,
            rejections=self._rejections,
            ticks=core.statistics.ticks,
            starved_ticks=core.statistics.starved_ticks,
            overruns=core.statistics.overruns,
            work_mean_s=window.work_mean_s,
            work_max_s=window.work_max_s,
            observation_age_s=age,
            control_period_s=core.contract.period_s,
            missing_streams=[entry.partition(":")[0] for entry in missing],
            missing_reasons=reasons,
            outside_training_range=core.outside_training_range(),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        if policy is not None:
            message.policy_id, message.task, message.seed = policy.policy_id, policy.task, policy.seed
            message.policy_stamp = self._stamps[policy.policy_id]
            message.policy_parameters = policy.parameters
            message.policy_first_stamp = to_stamp(core.first_stamp_ns)
        if reasons:
            self._warn("; ".join(reasons))
        if message.outside_training_range:
            names = ", ".join(message.outside_training_range)
            self._warn(f"far outside what '{policy.task}' was trained on: {names}")
        self._status.publish(message)

    def diagnose(self):
        core, now = self._core, self.now_s()
        values = {
            "outcome": core.outcome.name.lower(),
            "policy_id": self._active_id(),
            "task": core.slot.active.task if core.slot.active else "",
            "ticks": core.statistics.ticks,
            "overruns": core.statistics.overruns,
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

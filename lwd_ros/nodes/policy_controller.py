"""The policy controller: observations in, commands out, policies swapped between two ticks."""

import contextlib
import math
import sys
import threading
import time

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GetPolicy
from lwd_ros.contract import Contract
from lwd_ros.control import (
    Command,
    ControllerCore,
    InterpreterGuard,
    Outcome,
    Pacer,
    PolicyIntake,
    StreamError,
    request_scheduling,
)
from lwd_ros.nodes.controller_report import ControllerReport, Thresholds
from lwd_ros.nodes.conversions import message_to_policy, to_nanoseconds
from lwd_ros.nodes.executor import ControlExecutor
from lwd_ros.nodes.managed import ManagedNode, ParameterError, run
from lwd_ros.nodes.streams import BEST_EFFORT, OF_ALL_LATCHED, RELIABLE, StreamPublisher, StreamSubscriber, take_one
from lwd_ros.policy import Policy
from lwd_ros.resources import share_path

_ASK_EVERY_S = 1.0  # without a policy for this long, ask the generator for its last one
_SAFE_REPEATS = 3  # of the last command before the end, for receivers that listen best effort
_ACKNOWLEDGE = Duration(seconds=0.2)
_REST_EVERY_S = 0.05  # services, status and diagnostics wait this long at most for a gap between two ticks ...
_REST_AT_LAST_S = 0.1  # ... and this long where there is none
_GAP_S = 0.001  # what such a gap needs before a tick is due, unless the control period is shorter than twice that


class PolicyController(ManagedNode):
    """Runs the latest valid policy closed loop. See docs/nodes.md for parameters, topics and services."""

    def __init__(self):
        super().__init__("policy_controller")
        self.declare("contract_file", "", "contract between policy and robot; empty: the shipped metaworld.yaml")
        self.declare("policy_timeout_s", 0.0, "stop a policy that ran this long without a successor, s; 0: never", 0.0)
        self.declare("run_latched", True, "a policy published before this node was activated may move the robot")
        self.declare("get_policy_service", "policy_generator/get_policy", "where a late joiner asks for a policy")
        self.declare("trigger", "observation", "observation: answer each as it completes; timer: fixed rate")
        self.declare("stop_outside_training_range", False, "stop a policy far outside what it was trained on")
        self.declare("realtime_priority", 0, "SCHED_FIFO priority of the control process; 0: normal priority", 0, 99)
        self.declare("cpu_affinity", "", "cores to run on, for instance 2 or 2,3; empty: any")
        self.thresholds = Thresholds(
            self.declare("rate_warn_hz", 5.0, "warn where the mean rate differs from the contract's by more, Hz", 0.0),
            self.declare("rate_error_hz", 10.0, "error where it differs by more, Hz", 0.0),
            self.declare("work_warn_s", 0.001, "warn where a tick's mean work is above this, s", 0.0),
            self.declare("work_error_s", 0.002, "error where it is above this, s", 0.0),
        )
        self._core: ControllerCore | None = None
        self._pacer: Pacer | None = None
        self._urgent = MutuallyExclusiveCallbackGroup()
        clock = self.resolve_topic_name("/clock")
        self._clocks = [each for each in self.subscriptions if each.topic_name == clock]  # there with `use_sim_time`
        self._activation = self._configuration = contextlib.ExitStack()

    def configure(self) -> None:
        path = self.get_parameter("contract_file").value or share_path("config", "metaworld.yaml")
        contract = Contract.load(path)
        self._timed = self.one_of("trigger", ("observation", "timer")) == "timer"
        cores = self._cores()
        self._core = core = ControllerCore(
            contract,
            self.get_parameter("policy_timeout_s").value,
            self.get_parameter("stop_outside_training_range").value,
            simulated_time=self.get_parameter("use_sim_time").value,
            stamp_clock_ns=self._clock_ns,
        )
        self._interpreter = InterpreterGuard()
        with contextlib.ExitStack() as undo:
            self._commands = StreamPublisher(self, contract.require_binding().command_streams, self.warn)
            undo.callback(self._commands.destroy)
            self._status = self.create_publisher(ControllerStatus, "~/status", 10)
            undo.callback(self.destroy_publisher, self._status)
            stop = self.create_service(Trigger, "~/stop", self._on_stop, callback_group=self._urgent)
            undo.callback(self.destroy_service, stop)
            judged = self.create_guard_condition(self._on_verdicts, callback_group=self._urgent)
            undo.callback(self.destroy_guard_condition, judged)
            self._intake = PolicyIntake(lambda message: core.slot.check(message_to_policy(message)), judged.trigger)
            undo.callback(self._intake.close)  # first of all, for its thread triggers the guard condition
            self.refusals = request_scheduling(self.get_parameter("realtime_priority").value, cores)
            self._configuration = undo.pop_all()
        for sentence in self.refusals:
            self.get_logger().warning(sentence)
        self.get_logger().info(f"contract '{contract.name}' {contract.digest[:12]}, {1 / contract.period_s:g} Hz")

    def _cores(self) -> list[int]:
        text = self.get_parameter("cpu_affinity").value
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        if not all(part.isdecimal() for part in parts):
            raise ParameterError(f"parameter 'cpu_affinity': found '{text}', expected core numbers as in 2,3")
        return [int(part) for part in parts]

    def activate(self) -> None:
        core = self._core
        core.activate()
        self._intake.forget()
        self._report = ControllerReport(core, self.now_s(), self.thresholds)
        self._asked_s = self.now_s()
        self._newest, self._answered, self._draining, self._ticked_s = ("", 0), None, False, -math.inf
        self._accept_older = self.get_parameter("run_latched").value
        self._stop_ns = 0  # when ~/stop was called last, ns of the system clock
        with contextlib.ExitStack() as undo:  # an activation that fails must leave nothing that could move the robot
            self._subscribe(undo)
            self._start_timers(undo)
            self._interpreter.settle()
            undo.callback(self._interpreter.release)
            self._activation = undo.pop_all()

    def _subscribe(self, undo: contextlib.ExitStack) -> None:
        # Subscribing here and not in configure gives each activation the latched policy anew, and no old observation.
        self._observations = StreamSubscriber(
            self, self._core.assembler.streams, self._on_observation, self.warn, BEST_EFFORT, self._urgent
        )
        undo.callback(self._observations.destroy)
        # A volatile subscription receives what is published from now on and nothing older, whatever the clocks of
        # generator and controller say; the latched one beside it receives the older one too, where it is wanted.
        self._policies = []
        for taken, qos in ((self._on_policy, RELIABLE), (self._on_older_policy, OF_ALL_LATCHED)):
            policies = self.create_subscription(PolicyWeights, "policy", taken, qos, callback_group=self._urgent)
            undo.callback(self.destroy_subscription, policies)
            self._policies.append(policies)
        self._get_policy = self.create_client(GetPolicy, self.get_parameter("get_policy_service").value)
        undo.callback(self.destroy_client, self._get_policy)

    def _start_timers(self, undo: contextlib.ExitStack) -> None:
        core = self._core
        watch_s = min(stream.stale_after_s for stream in core.assembler.streams) / 4
        timers = [
            self.create_timer(watch_s, self._watch, clock=self.steady, callback_group=self._urgent),
            self.create_timer(0.5, self._publish_status, clock=self.steady),
            self.create_timer(_ASK_EVERY_S, self._ask_for_older_policy, clock=self.steady),
        ]
        if self._timed and self.get_parameter("use_sim_time").value:
            timers.append(self.create_timer(core.contract.period_s, self._tick_by_clock, callback_group=self._urgent))
        elif self._timed:
            self._pacer, self._missed = Pacer(core.contract.period_s, self.now_s()), 0
        for timer in timers:
            undo.callback(self.destroy_timer, timer)

    def deactivate(self) -> None:
        self._stop("the controller is being deactivated", repeats=_SAFE_REPEATS)
        self._commands.wait_for_all_acknowledged(_ACKNOWLEDGE)
        self._publish_status()
        self._pacer = None
        self._activation.close()

    def cleanup(self) -> None:
        self._pacer = None
        self._activation.close()  # after a deactivation that failed
        self._configuration.close()
        self._core = None

    def _clock_ns(self) -> int:
        """The node's clock, with what waits unread in /clock: an observation may have been read before its time was."""
        for clock in self._clocks:
            while (taken := take_one(clock)) is not None:
                clock.callback(taken[0])
        return self.get_clock().now().nanoseconds

    def spin(self, executor: ControlExecutor, stop: threading.Event) -> None:
        """Serve the control path, and everything else in the gaps between two ticks."""
        executor.urgent = self._urgent
        executor.also_urgent = frozenset(self._clocks)  # they move the timers of `use_sim_time`
        rest_at = 0.0
        while not stop.is_set():
            if not self.is_active:
                executor.spin_once(timeout_sec=0.5)
                continue
            now = self.now_s()
            executor.serve(urgent_alone=True, timeout_s=max(0.0, self._next_look(now, rest_at) - now))
            if not self.is_active:
                continue
            late_s = None if self._pacer is None else self._pacer.due(self.now_s())
            if late_s is not None:
                self._tick_on_time(late_s)
            now = self.now_s()
            gap = self._in_a_gap(now)
            if gap:
                self._intake.go()
            if now >= rest_at and (gap or now >= rest_at + _REST_AT_LAST_S):
                found = executor.serve(urgent_alone=False, timeout_s=0.0)
                rest_at = self.now_s() + (0.0 if found else _REST_EVERY_S)

    def _next_look(self, now: float, rest_at: float) -> float:
        """Until when to wait for the control path alone."""
        if now >= rest_at and not self._in_a_gap(now):
            rest_at = min(rest_at + _REST_AT_LAST_S, self._due_s() + self._core.contract.period_s)
        if self._intake.pending:
            rest_at = min(rest_at, now + _GAP_S)
        return rest_at if self._pacer is None else min(rest_at, self._pacer.deadline)

    def _due_s(self) -> float:
        """When the next tick is expected."""
        return self._ticked_s + self._core.contract.period_s if self._pacer is None else self._pacer.deadline

    def _in_a_gap(self, now: float) -> bool:
        """Whether no tick is due soon; without ticks for a while, none is expected."""
        period_s, due_s = self._core.contract.period_s, self._due_s()
        if now >= due_s + period_s:
            return True
        return due_s - now > min(_GAP_S, 0.5 * period_s) and not self._core.assembler.incomplete

    def _on_observation(self, place: int, stamp_ns: int, frame_id: str, values, received_ns: int) -> None:
        start = self.now_s()
        late_s = max(0.0, (time.time_ns() - received_ns) * 1e-9) if received_ns else 0.0
        core = self._core
        try:
            # What waited before it was read, while this process stood still, is as old as it is.
            observation = core.assembler.add(place, stamp_ns, frame_id, values, start - late_s)
        except StreamError as error:
            self.warn(str(error))
            return
        if observation is None:
            if not self._draining:
                self._draining = True
                try:
                    self._observations.take_waiting()
                finally:
                    self._draining = False
        elif self._timed:
            core.observe(observation)
        else:
            self._finish(core.tick(observation, start), start, late_s)

    def _tick_on_time(self, late_s: float) -> None:
        start = self.now_s()
        self._core.statistics.overruns += self._pacer.missed - self._missed
        self._missed = self._pacer.missed
        self._finish(self._core.tick_on_time(start), start, late_s)

    def _tick_by_clock(self) -> None:
        """A period of simulated time has passed, however long that took."""
        start = self.now_s()
        self._finish(self._core.tick_on_time(start, periods=1.0), start, 0.0)

    def _finish(self, command: Command | None, start: float, late_s: float) -> None:
        core = self._core
        self._ticked_s = start
        if command is not None:
            self._send(command)
            if core.outcome is Outcome.CONTINUE and command is not self._answered:
                now = self.now_s()
                core.statistics.tick(now - start, core.contract.period_s, late_s)
                core.statistics.answered_age.add(max(0.0, now - core.observation.arrived))
                self._answered = command
        self._report_change()

    def _report_change(self) -> None:
        """One log line and a status at once for every change of outcome or policy, wherever it was decided."""
        core = self._core
        if not self._report.has_changed():
            return
        if self._report.outcome_has_changed() and core.outcome in (Outcome.HOLD, Outcome.ZERO, Outcome.STOPPED):
            self.get_logger().warning(f"{core.outcome.name.lower()}: {core.reason}")
        if core.outcome is Outcome.STOPPED:
            self._refuse_older()
        self._publish_status()

    def _refuse_older(self) -> None:
        """After a stop, nothing moves the robot that had arrived before it, read or not, checked or not."""
        self._accept_older = False
        dropped = set()
        for subscription in self._policies:
            while (taken := take_one(subscription)) is not None:
                dropped.add(_identity(taken[0]))
        dropped.discard(self._newest)
        count = len(dropped) + self._intake.pending
        self._intake.forget()
        if dropped:
            self._newest = max((self._newest, *dropped), key=_published)
        if count:
            self.get_logger().warning(f"{count} policies from before the stop are dropped")

    def _stop(self, reason: str, repeats: int = 1) -> None:
        command = self._core.stop(reason, self.now_s())
        for _ in range(repeats if command is not None else 0):
            self._send(command)
        self._report_change()

    def _send(self, command: Command) -> None:
        self._commands.send(command.vector, command.stamp_ns)

    def _watch(self) -> None:
        command = self._core.watch(self.now_s())
        if command is not None:
            self._send(command)
        self._report_change()

    def _ask_for_older_policy(self) -> None:
        wanted = self._accept_older and self._core.slot.newest is None
        if wanted and self.now_s() - self._asked_s > 0.9 * _ASK_EVERY_S and self._get_policy.service_is_ready():
            self._asked_s = self.now_s()
            self._get_policy.call_async(GetPolicy.Request()).add_done_callback(self._on_get_policy)

    def _on_get_policy(self, future) -> None:
        response = future.result()
        if not self.is_active or response is None or not response.success:
            return
        if self._accept_older and self._core.slot.newest is None and not self._intake.pending:
            self.get_logger().info("no latched policy arrived; took the generator's last one from get_policy")
            self._on_policy(response.policy, {"source_timestamp": time.time_ns()})

    def _on_older_policy(self, message: PolicyWeights, info: dict) -> None:
        # Of two generators, each latches its own: the older one's must not win because it was delivered last.
        if self._accept_older and _published(_identity(message)) > _published(self._newest):
            self._on_policy(message, info)

    def _on_policy(self, message: PolicyWeights, info: dict) -> None:
        identity = _identity(message)
        if identity == self._newest:
            return  # one publication that came on both subscriptions, or was asked for as well
        self._newest = identity
        if (
            0 < info["source_timestamp"] < self._stop_ns
        ):  # lost on its way and sent again; 0: the middleware does not tell
            early_s = 1e-9 * (self._stop_ns - info["source_timestamp"])
            self._reject(message, f"it was published {early_s:.3f} s before ~/stop was called, by its sender's clock")
            return
        dropped = self._intake.put(message)
        if dropped is not None:
            self._reject(dropped, "newer policies came faster than policies can be checked")

    def _on_verdicts(self) -> None:
        for message, verdict in self._intake.verdicts():
            if not isinstance(verdict, Policy):
                self._reject(message, str(verdict) or type(verdict).__name__)
                continue
            self._core.accept(verdict)
            self._report.accepted(verdict, message.header.stamp)
            self._report_change()
            self.get_logger().info(
                f"policy {verdict.policy_id} for '{verdict.task}' accepted ({verdict.parameters} parameters)"
            )

    def _reject(self, message: PolicyWeights, reason: str) -> None:
        active = self._core.slot.newest
        keeps = f"'{active.task}' keeps running" if active else "no policy is running"
        self._report.rejected(message.policy_id, message.header.stamp, reason)
        self.get_logger().error(f"policy {message.policy_id or '(no id)'} refused: {reason}; {keeps}")
        self._publish_status()

    def _on_stop(self, request, response):
        if not self.is_active:
            response.message = f"the controller is {self.state}; nothing is commanded"
            return response
        self._refuse_older()
        self._stop_ns = time.time_ns()
        self._stop("~/stop was called")
        response.success, response.message = True, "stopped; a new policy starts it again"
        return response

    def _publish_status(self) -> None:
        message = self._report.status(self.now_s(), self._observations)
        message.header.stamp = self.get_clock().now().to_msg()
        waiting = self._core.slot.newest if self._core.outcome is Outcome.WAITING else None
        if message.missing_reasons:
            self.warn("; ".join(message.missing_reasons))
        elif waiting is not None and (fault := self._core.assembler.fault(self.now_s())):
            self.warn(f"'{waiting.task}' waits: {fault}")
        if message.outside_training_range:
            names = ", ".join(message.outside_training_range)
            self.warn(f"far outside what '{message.task}' was trained on: {names}")
        self._status.publish(message)

    def diagnose(self):
        level, sentence, values = self._report.diagnose(self.now_s())
        values["longest_garbage_collection_s"] = f"{self._interpreter.longest_collection_s:.6f}"
        if self.refusals:
            values["refused"] = "; ".join(self.refusals)
        return level, sentence, values


def _identity(message: PolicyWeights) -> tuple[str, int]:
    """What tells two publications apart: the policy, and when it was published, ns of the generator's system clock."""
    return message.policy_id, to_nanoseconds(message.header.stamp)


def _published(identity: tuple[str, int]) -> int:
    return identity[1]


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(PolicyController, args)


if __name__ == "__main__":
    sys.exit(main())

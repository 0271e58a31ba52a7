"""The policy controller: observations in, commands out, policies swapped between two ticks."""

import contextlib
import sys
import threading
import time

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.logging import LoggingSeverity
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus
from lwd_ros.contract import Contract
from lwd_ros.control import (
    Admission,
    Command,
    ControllerCore,
    Forbidden,
    InterpreterGuard,
    Pacer,
    PolicyIntake,
    Publication,
    Stopped,
    Turns,
    request_scheduling,
)
from lwd_ros.nodes.controller_advice import ControllerAdvice
from lwd_ros.nodes.controller_report import ControllerReport, Thresholds
from lwd_ros.nodes.controller_tick import TickPublisher
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.executor import ControlExecutor
from lwd_ros.nodes.managed import ManagedNode, ParameterError, run
from lwd_ros.nodes.permission import PermissionSubscriber
from lwd_ros.nodes.policy_delivery import ASK_EVERY_S, PolicyDelivery
from lwd_ros.nodes.rclpy_private import take_message, write_log
from lwd_ros.nodes.streams import BEST_EFFORT, StreamPublisher, StreamSubscriber
from lwd_ros.policy import Policy

_SAFE_REPEATS = 3  # of the last command before the end, for receivers that listen best effort
_SETTLE_S = 1.0  # a deactivation lasts so much longer where positions are not at rest
_ACKNOWLEDGE = Duration(seconds=0.2)


class PolicyController(ManagedNode):
    """Runs the latest valid policy closed loop. See docs/reference/nodes.md for parameters, topics and services.

    What to command is the core's to decide (`lwd_ros.control`); this node connects it to topics, services and logs.
    """

    def __init__(self):
        super().__init__("policy_controller")
        self.declare("contract_file", "", "contract between policy and robot (YAML); required")
        self.declare("joint_prefix", "", "in front of the joints' names; empty: as the contract file says")
        self.declare("policy_timeout_s", 0.0, "stop a policy that ran this long without a successor, s; 0: never", 0.0)
        self.declare("run_latched", True, "a policy published before this node was activated may move the robot")
        self.declare("get_policy_service", "policy_generator/get_policy", "where a late joiner asks for a policy")
        self.declare("trigger", "observation", "observation: answer each as it completes; timer: fixed rate")
        self.declare("stop_outside_training_range", False, "stop a policy far outside what it was trained on")
        self.declare("realtime_priority", 0, "SCHED_FIFO priority of the control process; 0: normal priority", 0, 99)
        self.declare("cpu_affinity", "", "cores to run on, for instance 2 or 2,3; empty: any")
        self.thresholds = Thresholds(
            self.declare("work_warn_s", 0.001, "warn where a tick's mean work is above this, s", 0.0),
            self.declare("work_error_s", 0.002, "error where it is above this, s", 0.0),
        )
        self._core: ControllerCore = None  # there is one from configure to cleanup
        self._urgent = MutuallyExclusiveCallbackGroup()
        clock = self.resolve_topic_name("/clock")
        self._clocks = [each for each in self.subscriptions if each.topic_name == clock]  # there with `use_sim_time`
        self._activation = self._configuration = contextlib.ExitStack()

    def configure(self) -> None:
        path = self.required("contract_file", "the contract between policy and robot (YAML)")
        contract = Contract.load(path, self.get_parameter("joint_prefix").value or None)
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
            self._ticks = TickPublisher(self, core)
            undo.callback(self._ticks.destroy)
            stop = self.create_service(Trigger, "~/stop", self._on_stop, callback_group=self._urgent)
            undo.callback(self.destroy_service, stop)
            judged = self.create_guard_condition(self._on_verdicts, callback_group=self._urgent)
            undo.callback(self.destroy_guard_condition, judged)
            self._intake = PolicyIntake(lambda parcel: core.check(parcel.open()), judged.trigger)
            undo.callback(self._intake.close)  # first of all, for its thread triggers the guard condition
            self.refusals = request_scheduling(self.get_parameter("realtime_priority").value, cores)
            self._configuration = undo.pop_all()
        for sentence in self.refusals:
            self.get_logger().warning(sentence)
        self.tell_contract(contract)

    def _cores(self) -> list[int]:
        text = self.get_parameter("cpu_affinity").value
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        if not all(part.isdecimal() for part in parts):
            raise ParameterError(f"parameter 'cpu_affinity': found '{text}', expected core numbers as in 2,3")
        return [int(part) for part in parts]

    def activate(self) -> None:
        core, now = self._core, self.now_s()
        core.activate()
        self._intake.forget()
        self._admission = Admission(self.get_parameter("run_latched").value)
        steady_timer = self._timed and not core.simulated_time
        self._turns = Turns(core.contract.period_s, Pacer(core.contract.period_s, now) if steady_timer else None)
        self._report = ControllerReport(core, now, self.thresholds, answers_each=not self._timed)
        self._draining, self._ticks.count = False, 0
        with contextlib.ExitStack() as undo:  # an activation that fails must leave nothing that could move the robot
            self._subscribe(undo)
            self._start_timers(undo)
            self._advice = ControllerAdvice(self, core, self._observations, self._commands, self._permission, now)
            self._interpreter.settle()
            undo.callback(self._interpreter.release)
            self._activation = undo.pop_all()

    def _subscribe(self, undo: contextlib.ExitStack) -> None:
        # Subscribing here and not in configure gives each activation the latched policy anew, and no old observation.
        streams = self._core.contract.require_binding().observation_streams
        self._observations = StreamSubscriber(self, streams, self._on_observation, self.warn, BEST_EFFORT, self._urgent)
        undo.callback(self._observations.destroy)
        permissions = self._core.contract.require_binding().permission_streams
        self._permission = PermissionSubscriber(
            self, permissions, self._on_permission, self._on_permission_gone, self.warn, self._urgent
        )
        undo.callback(self._permission.destroy)
        self._delivery = PolicyDelivery(self, self._core, self._intake, self._admission, self._reject, self._urgent)
        undo.callback(self._delivery.destroy)

    def _start_timers(self, undo: contextlib.ExitStack) -> None:
        contract = self._core.contract
        binding = contract.require_binding()
        allowed_s = [stream.stale_after_s for stream in binding.observation_streams]
        allowed_s += [each.stale_after_s for each in binding.permission_streams if each.stale_after_s is not None]
        watch_s = min(allowed_s) / 4
        if self._core.has_positions:  # at rest they approach where they were measured, a period's slew each time
            watch_s = min(watch_s, contract.period_s)
        timers = [
            self.create_timer(watch_s, self._watch, clock=self.steady, callback_group=self._urgent),
            self.create_timer(0.5, self._on_status_timer, clock=self.steady),
            self.create_timer(ASK_EVERY_S, self._delivery.ask_for_older, clock=self.steady),
        ]
        if self._timed and self._core.simulated_time:
            timers.append(self.create_timer(contract.period_s, self._tick_by_clock, callback_group=self._urgent))
        for timer in timers:
            undo.callback(self.destroy_timer, timer)

    def deactivate(self) -> None:
        command = self._core.stop("the controller is being deactivated", self.now_s())
        if command is not None:  # otherwise nothing was commanded, and to warn of a stop would only alarm
            self._report_change()
            self._settle(command)
        self._delivery.refuse_older()
        self._commands.wait_for_all_acknowledged(_ACKNOWLEDGE)
        self._publish_status()
        self._activation.close()

    def _settle(self, command: Command) -> None:
        """Send the last commands: positions go on to where they rest for a while, and the end is repeated."""
        end_s = self.now_s() + _SETTLE_S
        while not self._core.at_rest and self.now_s() < end_s:
            self._send(command)
            time.sleep(self._core.contract.period_s)
            command = self._core.watch(self.now_s()) or command
        for _ in range(_SAFE_REPEATS):
            self._send(command)

    def cleanup(self) -> None:
        self._activation.close()  # after a deactivation that failed
        self._configuration.close()
        self._core = None  # type: ignore[assignment]

    def _clock_ns(self) -> int:
        """The node's clock, with what waits unread in /clock: an observation may have been read before its time was."""
        for clock in self._clocks:
            while (taken := take_message(clock)) is not None:
                clock.callback(taken[0])
        return self.get_clock().now().nanoseconds

    # The loop

    def spin(self, executor: ControlExecutor, stop: threading.Event) -> None:
        """Serve the control path, and everything else in the gaps between two ticks."""
        watched = None
        while not stop.is_set():
            if not self.is_active:
                executor.forget()
                watched = None
                executor.spin_once(timeout_sec=0.5)
                continue
            turns, core = self._turns, self._core
            if turns is not watched:  # another activation, with other subscriptions and timers
                executor.watch(self._urgent, self._clocks)  # the clocks move the timers of `use_sim_time`
                watched = turns
            wait_s = turns.wait_s(self.now_s(), core.incomplete, checks_wait=self._intake.pending > 0)
            executor.serve_urgent(wait_s)
            if not self.is_active:
                continue
            missed = turns.missed
            late_s = turns.late_s(self.now_s())
            if late_s is not None:
                core.count_missed(turns.missed - missed)
                start = self.now_s()
                self._finish(core.tick_on_time(start), start, late_s)
            now = self.now_s()
            gap_until_s = turns.gap_until_s(now, core.incomplete)
            if gap_until_s is not None:
                self._intake.go(gap_until_s)
            if turns.rest_is_due(now, core.incomplete):
                self._delivery.take_older()
                served = executor.serve_all(0.0)
                turns.rested(self.now_s(), served)

    def _on_observation(self, place: int, stamp_ns: int, frame_id: str | None, values, received_ns: int) -> None:
        start = self.now_s()
        late_s = max(0.0, (time.time_ns() - received_ns) * 1e-9) if received_ns else 0.0
        core = self._core
        # What waited before it was read, while this process stood still, is as old as it is.
        observation = core.receive(place, stamp_ns, frame_id, values, start - late_s)
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

    def _tick_by_clock(self) -> None:
        """A period of simulated time has passed, however long that took."""
        start = self.now_s()
        self._finish(self._core.tick_on_time(start, periods=1.0), start, 0.0)

    def _finish(self, command: Command | None, start: float, late_s: float) -> None:
        self._turns.ticked(start)
        if command is not None:
            self._send(command)
            if command.is_tick:
                self._core.count_tick(start, self.now_s(), late_s)
                self._ticks.count += 1
                if command.output is not None:  # somebody listens
                    self._ticks.tell(command)
        self._report_change()

    def _send(self, command: Command) -> None:
        self._commands.send(command.vector, command.stamp_ns)

    def _on_permission(self, place: int, value: float, received_ns: int) -> None:
        late_s = max(0.0, (time.time_ns() - received_ns) * 1e-9) if received_ns else 0.0
        self._send_safe(self._core.permit(place, value, self.now_s(), late_s))

    def _on_permission_gone(self, place: int) -> None:
        self._send_safe(self._core.revoke(place, self.now_s()))

    def _watch(self) -> None:
        self._send_safe(self._core.watch(self.now_s()))

    def _send_safe(self, command: Command | None) -> None:
        if command is not None:
            self._send(command)
        self._report_change()

    def _report_change(self) -> None:
        """One log line and a status at once for every change of outcome or policy, wherever it was decided."""
        if not self._report.has_changed():
            return
        after_loss = self._report.was_forbidden
        sentence, is_fault = self._report.change(self.now_s())
        if is_fault:  # two lines of code, for rclpy refuses another severity from the same one
            self.get_logger().warning(sentence)
        elif sentence:
            self.get_logger().info(sentence)
        mode = self._core.mode
        # Who asks while the permission is missing asks after its loss: its return refuses nobody.
        if (isinstance(mode, Stopped) and not after_loss) or (isinstance(mode, Forbidden) and not mode.resumes):
            self._delivery.refuse_older()
        self._publish_status()

    # Stopping

    def _on_stop(self, request, response):
        if not self.is_active:
            response.message = f"the controller is {self.state}; nothing is commanded"
            return response
        self._delivery.refuse_older(called=True)
        command = self._core.stop("~/stop was called", self.now_s())
        if command is not None:
            self._send(command)
        self._report_change()
        response.success, response.message = True, "stopped; a new policy starts it again"
        return response

    # Policies

    def _on_verdicts(self) -> None:
        for parcel, verdict in self._intake.verdicts():
            if not isinstance(verdict, Policy):
                self._reject(parcel.publication, str(verdict) or type(verdict).__name__)
                continue
            self._core.accept(verdict)
            self._report.accepted(verdict, to_stamp(parcel.publication.stamp_ns))
            self._report_change()
            sentence = f"policy {verdict.policy_id} for '{verdict.task}' accepted ({verdict.parameters} parameters)"
            write_log(self.get_logger(), LoggingSeverity.INFO, sentence)

    def _reject(self, publication: Publication, reason: str) -> None:
        running = self._core.accepted
        keeps = f"'{running.task}' keeps running" if running else "no policy is running"
        self._report.rejected(publication.policy_id, to_stamp(publication.stamp_ns), reason)
        self.get_logger().error(f"policy {publication.policy_id or '(no id)'} refused: {reason}; {keeps}")
        self._publish_status()

    # What it tells

    def _on_status_timer(self) -> None:
        clock_problems = self._report.look_at_timing(self.now_s())
        message = self._publish_status()
        outside = list(message.outside_training_range)
        self._advice.give(self.now_s(), self._missing, self._silent, outside, clock_problems)

    def _publish_status(self) -> ControllerStatus:
        now = self.now_s()
        self._missing = self._report.missing(now, self._observations)
        self._silent = self._report.silent_permissions(now, self._permission)
        message = self._report.status(now, self._missing + self._silent, self._advice.command_problems)
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)
        return message

    def diagnose(self):
        level, sentence, values = self._report.diagnose(self.now_s())
        values["longest_garbage_collection_s"] = f"{self._interpreter.longest_collection_s:.6f}"
        if self.refusals:
            values["refused"] = "; ".join(self.refusals)
        return level, sentence, values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(PolicyController, args)


if __name__ == "__main__":
    sys.exit(main())

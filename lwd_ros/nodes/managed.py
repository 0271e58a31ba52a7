"""What all our lifecycle nodes share: autostart, transitions that cannot kill, diagnostics, a clean end on signals."""

import math
import re
import signal
import sys
import threading
import time
import traceback
from array import array
from collections.abc import Callable

import rclpy
import rclpy.utilities
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.logging import LoggingSeverity
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from lwd_ros.contract import Contract
from lwd_ros.contract.table import rows, summary, table
from lwd_ros.errors import LwdError
from lwd_ros.nodes.executor import ControlExecutor
from lwd_ros.nodes.rclpy_private import guard_transitions, lifecycle_state, parameter_overrides, take_message

_WARN_EVERY_S = 2.0
_WARNINGS_KEPT = 100
_BUG = 70  # EX_SOFTWARE of sysexits.h; Python would end with 1, which says that the node cannot be used
_NUMBER = re.compile(r"(?<!\w)[-+]?\d[\d.e+-]*")


class ParameterError(LwdError):
    """A parameter that cannot be used; says what was found and what was expected."""


class ManagedNode(LifecycleNode):
    """A lifecycle node whose subclasses write `configure`, `activate`, `deactivate`, `cleanup` and `diagnose`.

    An exception in one of them fails the transition and is logged in one sentence; rclpy would swallow it.

    An error that a user can mend (LwdError, OSError: `fatal`) ends an autostarted node, for there is nothing that it
    could do, unless it is `mendable`: the node then waits to be configured again.
    """

    fatal: tuple[type[Exception], ...] = (LwdError, OSError)
    mendable: tuple[type[Exception], ...] = ()

    def __init__(self, name: str):
        super().__init__(name)
        self.failure: Exception | None = None
        self._warned: dict[str, float] = {}  # when each kind of sentence was logged last
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.declare("autostart", True, "configure and activate at start-up, without a lifecycle manager")
        guard_transitions(self, self._refuse_transition)
        clock = self.resolve_topic_name("/clock")
        self.clock_subscriptions = [each for each in self.subscriptions if each.topic_name == clock]
        """There with `use_sim_time`."""
        self._wall = Clock(clock_type=ClockType.SYSTEM_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics, clock=self.steady)

    def _refuse_transition(self, request, response, reason: str):
        wanted = request.transition.label or request.transition.id
        self.get_logger().error(f"refused transition {wanted} from state '{self.state}': {reason}")
        response.success = False
        return response

    def declare(self, name: str, default, description: str, minimum: float | None = None, maximum: float = 1e9):
        """Declare a parameter with its description, read-only after start-up, with a range where one is given.

        Raises ParameterError where the value that the node was started with is of another type or out of the range.
        """
        overrides = parameter_overrides(self)
        if name in overrides:
            value = _converted(name, overrides[name].value, default, minimum, maximum)
            overrides[name] = Parameter(name, value=value)
        descriptor = ParameterDescriptor(description=description, read_only=True)
        if minimum is not None and isinstance(default, float):
            limits = FloatingPointRange(from_value=float(minimum), to_value=float(maximum), step=0.0)
            descriptor.floating_point_range = [limits]
        elif minimum is not None:
            descriptor.integer_range = [IntegerRange(from_value=int(minimum), to_value=int(maximum), step=1)]
        return self.declare_parameter(name, default, descriptor).value

    def tell_contract(self, contract: Contract) -> None:
        """Log which contract this is and, at the level debug, its table with the topics as they are called here."""
        self.get_logger().info(f"contract '{contract.name}' {contract.digest[:12]}, {1 / contract.period_s:g} Hz")
        if self.get_logger().is_enabled_for(LoggingSeverity.DEBUG):
            text = table(rows(contract, self.resolve_topic_name))
            self.get_logger().debug(f"the contract's streams:\n{text}\n{summary(contract)}")

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """A text parameter that must be one of `choices`; raises ParameterError."""
        value = self.get_parameter(name).value
        if value not in choices:
            raise ParameterError(f"parameter '{name}': found '{value}', expected {' or '.join(choices)}")
        return value

    def required(self, name: str, expected: str) -> str:
        """A text parameter without a default that does; raises ParameterError, which says what was `expected`."""
        value = self.get_parameter(name).value
        if not value:
            raise ParameterError(f"parameter '{name}': found nothing, expected {expected}")
        return value

    @property
    def state(self) -> str:
        """The lifecycle state's name: unconfigured, inactive, active, finalized, or a transition's."""
        return lifecycle_state(self)[1]

    @property
    def is_active(self) -> bool:
        """Whether the node is in the state 'active'."""
        return lifecycle_state(self)[0] == State.PRIMARY_STATE_ACTIVE

    def now_s(self) -> float:
        """Seconds of the steady clock."""
        return time.monotonic()

    def clock_ns(self) -> int:
        """The node's clock, with what waits unread in /clock: a message may have been read before its time was."""
        for clock in self.clock_subscriptions:
            while (taken := take_message(clock)) is not None:
                clock.callback(taken[0])
        return self.get_clock().now().nanoseconds

    def warn(self, sentence: str, more: Callable[[], str] | None = None) -> None:
        """Log a warning, every two seconds at most; sentences that differ in more than their numbers count apart.

        `more` gives the sentence's end, where finding it takes long; it is asked when the sentence is logged.

        rclpy's own throttle counts by the line of code, so one stream that is wrong at 80 Hz would silence all others.
        """
        kind, now = _NUMBER.sub("", sentence), self.now_s()
        if now - self._warned.get(kind, -math.inf) < _WARN_EVERY_S:
            return
        if len(self._warned) >= _WARNINGS_KEPT:
            self._warned.clear()
        self._warned[kind] = now
        self.get_logger().warning(sentence + (more() if more is not None else ""))

    def configure(self) -> None:
        """Load what the node needs; raise to refuse."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; robots are told to stand still here."""

    def cleanup(self) -> None:
        """Undo `configure`."""

    def diagnose(self) -> tuple[bytes, str, dict]:
        """Level (DiagnosticStatus.OK, WARN, ERROR), a sentence, and values by name."""
        raise NotImplementedError(f"{type(self).__name__}.diagnose")

    def _transition(self, name: str, work, failure) -> TransitionCallbackReturn:
        try:
            work()
        except Exception as error:
            self.failure = error
            self.get_logger().error(f"{name} failed: {_sentence(error)}")
            return failure
        self.failure = None
        self.get_logger().info(f"{name} done")
        return TransitionCallbackReturn.SUCCESS

    def on_configure(self, state):
        return self._transition("configure", self.configure, TransitionCallbackReturn.FAILURE)

    def on_activate(self, state):
        return self._transition("activate", self.activate, TransitionCallbackReturn.FAILURE)

    def on_deactivate(self, state):
        return self._transition("deactivate", self.deactivate, TransitionCallbackReturn.ERROR)

    def on_cleanup(self, state):
        return self._transition("cleanup", self.cleanup, TransitionCallbackReturn.ERROR)

    def on_error(self, state):
        return self._transition("error handling", self.cleanup, TransitionCallbackReturn.ERROR)

    def on_shutdown(self, state):
        def work():
            if state.state_id == State.PRIMARY_STATE_ACTIVE:
                self.deactivate()
            if state.state_id in (State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_INACTIVE):
                self.cleanup()

        return self._transition("shutdown", work, TransitionCallbackReturn.ERROR)

    def _publish_diagnostics(self) -> None:
        if self.is_active:
            level, message, values = self.diagnose()
        elif self.failure is not None:
            level, message, values = DiagnosticStatus.ERROR, _sentence(self.failure), {}
        else:
            level, message, values = DiagnosticStatus.OK, self.state, {}
        status = DiagnosticStatus(level=level, name=self.get_fully_qualified_name().strip("/"), message=message)
        status.hardware_id = self.get_namespace()
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._wall.now().to_msg()  # whatever the nodes' clocks, /diagnostics has one
        self._diagnostics.publish(array)

    def spin(self, executor: ControlExecutor, stop: threading.Event) -> None:
        """Serve callbacks until `stop`; nodes with a loop of their own override this."""
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.5)


def _converted(name: str, value, default, minimum: float | None, maximum: float):
    """`value` as the type of `default`: a whole number does for any number, and for a text (`-p cpu_affinity:=2`).

    rclpy would refuse it in its own words, and would take nan for a number within any range.
    """
    if isinstance(default, bool):
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, str):
        expected, fits = "a text", isinstance(value, (str, int)) and not isinstance(value, bool)
    else:
        whole = isinstance(default, int)
        expected = "a whole number" if whole else "a number"
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if minimum is not None:
            expected += f" from {minimum:.12g} to {int(maximum) if maximum == int(maximum) else maximum}"
            fits = fits and minimum <= value <= maximum
        fits = fits and math.isfinite(value)
    if not fits:
        shown = (
            str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, array) else value)
        )
        raise ParameterError(f"parameter '{name}': found {shown}, expected {expected}")
    return type(default)(value)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, (LwdError, OSError)) and text else f"{type(error).__name__}: {text}"


def run(node_class, args=None) -> int:
    """Run one node until SIGINT or SIGTERM; returns the exit status.

    The node is shut down through its lifecycle, so a robot is told to stand still before the process ends. A contract
    or another file that is wrong ends an autostarted node with status 1, unless the node waits for it to be mended. So
    do ROS arguments and parameters that cannot be read. Status 1 says that starting the node again is no use; a bug
    ends it with status 70.
    """
    stop, executor = threading.Event(), None

    def end(signum, frame):
        stop.set()
        if executor is not None:
            executor.wake()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        stray = rclpy.utilities.remove_ros_args(sys.argv if args is None else args)[1:]
        if stray:
            print(f"found argument {stray[0]!r}; parameters go after --ros-args, e.g. --ros-args -p autostart:=false")
            rclpy.try_shutdown()
            return 2
        node = node_class()
    except (RuntimeError, ParameterException, NameValidationException, LwdError) as error:
        # RuntimeError is rcl's, for arguments that it cannot read
        rclpy.logging.get_logger(node_class.__name__).fatal(f"cannot start: {_sentence(error)}")
        rclpy.try_shutdown()
        return 1
    unknown = [name for name in parameter_overrides(node) if not node.has_parameter(name)]
    if unknown:  # rclpy is silent, and a misspelt policy_timeout_s would never stop a robot
        node.get_logger().warning(f"ignored, for this node has no such parameter: {', '.join(sorted(unknown))}")
    executor = ControlExecutor()
    executor.add_node(node)
    status = 0
    try:
        if node.get_parameter("autostart").value:
            for transition in (node.trigger_configure, node.trigger_activate):
                if node.failure is None:
                    transition()
            if isinstance(node.failure, node.fatal) and not isinstance(node.failure, node.mendable):
                return 1
        node.spin(executor, stop)
    except ExternalShutdownException:
        node.get_logger().info("the ROS context was shut down from outside")
    except LwdError as error:
        node.get_logger().fatal(f"ended: {_sentence(error)}")
        status = 1
    except Exception:
        node.get_logger().fatal(f"ended by an error that is ours: {traceback.format_exc()}")
        status = _BUG
    finally:
        if rclpy.ok() and node.state in ("unconfigured", "inactive", "active"):
            node.trigger_shutdown()
            status = status or int(node.failure is not None)
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return status

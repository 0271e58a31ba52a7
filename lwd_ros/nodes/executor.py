"""What needs rclpy's private members: an executor that serves the control path first, and log lines at little cost."""

import contextlib
import sys
from collections.abc import Callable, Collection

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import EventHandler
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import LoggingSeverity


def log(logger: RcutilsLogger, severity: LoggingSeverity, sentence: str) -> None:
    """One line, as `logger.info` and its like write it, to the console, the log file and /rosout.

    Those read the caller's source file to name its line, which takes ten times what the line itself takes: 0.3 ms of a
    fast computer, where a tick may wait.
    """
    if logger.is_enabled_for(severity):
        caller = sys._getframe(1)
        _rclpy.rclpy_logging_rcutils_log(
            severity, logger.name, sentence, caller.f_code.co_name, caller.f_code.co_filename, caller.f_lineno
        )


class Unwatched(CallbackGroup):
    """Of entities that no executor waits for: their owner looks into them."""

    def can_execute(self, entity) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity) -> None:
        """Nothing has begun."""


class ControlExecutor(SingleThreadedExecutor):
    """Serves a few urgent entities alone, or all; who calls `serve_urgent` or `serve_all` decides which.

    rclpy builds a wait set of all that a node has before every callback: some fifty entities of a lifecycle node, which
    takes longer than a policy's step. It does so twice, for each callback wakes the executor once more. And it serves
    them in a fixed order, in which a flood of service calls is no less urgent than an observation.

    `watch` makes one wait set of the urgent entities, which every `serve_urgent` uses again, and their callbacks run
    as they are, without a task for each.
    """

    def __init__(self, *, context=None):
        super().__init__(context=context)
        self._wait_set = None
        self._watched = contextlib.ExitStack()  # holds the handles of what is in the wait set

    def watch(self, group: CallbackGroup, also: Collection = ()) -> None:
        """Make urgent what is in `group`, but for QoS events, and what is in `also`, until `forget`.

        An entity that is destroyed meanwhile ends with `forget`. Their callbacks must not be coroutines.
        """
        self.forget()

        def urgent(entities) -> list:
            chosen = []
            for each in entities:
                if each in also or (each.callback_group is group and not isinstance(each, EventHandler)):
                    with contextlib.suppress(InvalidHandle):  # destroyed since
                        self._watched.enter_context(each.handle)
                        chosen.append(each)
            return chosen

        nodes = self.get_nodes()
        self._timers = urgent(each for node in nodes for each in node.timers)
        self._subscriptions = urgent(each for node in nodes for each in node.subscriptions)
        self._guards = urgent(each for node in nodes for each in node.guards)
        self._services = urgent(each for node in nodes for each in node.services)
        # What wakes an executor: another thread, and the end of the ROS context.
        self._wakers = [each for each in (self._guard, self._sigint_gc) if each is not None]
        for each in (*self._wakers, self._context):
            self._watched.enter_context(each.handle)
        counts = (len(each) for each in (self._subscriptions, self._guards, self._timers, (), self._services))
        subscriptions, guards, *others = counts
        self._wait_set = _rclpy.WaitSet(subscriptions, guards + len(self._wakers), *others, 0, self._context.handle)

    def forget(self) -> None:
        """Let go of what is watched."""
        self._wait_set = None
        self._watched.close()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """End the executor; what it watched can be destroyed then."""
        self.forget()
        return super().shutdown(timeout_sec)

    def serve_urgent(self, timeout_s: float) -> bool:
        """Run one callback of each urgent entity that is ready within `timeout_s`; returns whether there was any.

        All that was found ready is served before the next look, so no entity can keep another one waiting.
        """
        wait_set = self._wait_set
        wait_set.clear_entities()
        for each in self._subscriptions:
            wait_set.add_subscription(each.handle)
        for each in self._guards:
            wait_set.add_guard_condition(each.handle)
        for each in self._wakers:
            wait_set.add_guard_condition(each.handle)
        for each in self._timers:
            wait_set.add_timer(each.handle)
        for each in self._services:
            wait_set.add_service(each.handle)
        wait_set.wait(max(0, round(timeout_s * 1e9)))
        if not self._context.ok():
            raise ExternalShutdownException
        ready = []
        for kind, entities, take in (
            ("timer", self._timers, self._take_timer),
            ("subscription", self._subscriptions, self._take_subscription),
            ("guard_condition", self._guards, self._take_guard_condition),
            ("service", self._services, self._take_service),
        ):
            pointers = wait_set.get_ready_entities(kind)
            if pointers:
                ready += [(take, each) for each in entities if each.handle.pointer in pointers]
        for take, each in ready:
            _run(take(each))
        return bool(ready)

    def serve_all(self, timeout_s: float) -> bool:
        """Run one callback of each entity that is ready within `timeout_s`; returns whether there was any."""
        served = False
        try:
            for handler, _, _ in self._wait_for_ready_callbacks(timeout_s):
                handler()
                handler.result()  # raises what the callback raised
                served = True
        except (ShutdownException, TimeoutException):
            return served
        return served


def _run(execute: Callable | None) -> None:
    """Run what rclpy made of a callback: a coroutine that ends at once, None where there was nothing to take."""
    if execute is None:
        return
    coroutine = execute()
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise TypeError("found a coroutine as an urgent callback, expected a function")

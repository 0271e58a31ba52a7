"""What rclpy has and does not promise: its private members, each behind one function that a test watches.

rclpy has no public way to any of these in Jazzy and Kilted. Where a release changes one, `test_rclpy_private.py` names
the function to mend, and no other file of `nodes` knows of it.
"""

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.service import Service


def parameter_overrides(node: Node) -> dict[str, Parameter]:
    """The parameters that command line and parameter files give `node`, by name; declaring one reads it from here."""
    return node._parameter_overrides


def lifecycle_state(node: LifecycleNode) -> tuple[int, str]:
    """Id and label of the state that `node` is in, or of the transition that is under way."""
    return node._state_machine.current_state


def guard_transitions(node: LifecycleNode, refuse: Callable) -> None:
    """Let `refuse(request, response, reason)` answer a request for a transition that `node` cannot make now.

    On Jazzy an invalid transition raises out of the executor, which would end the process; Kilted answers it without a
    word in the log.
    """
    service = node._service_change_state
    change = service.callback

    def guarded(request, response):
        wanted, valid = request.transition, node._state_machine.available_transitions
        labels = {label for _, label, *_ in valid}
        known = wanted.label in labels if wanted.label else wanted.id in {number for number, *_ in valid}
        if not known:
            return refuse(request, response, f"expected {' or '.join(sorted(labels))}")
        try:
            return change(request, response)
        except Exception as error:
            return refuse(request, response, f"{type(error).__name__}: {error}")

    service.callback = guarded


def before_response(service: Service, act: Callable[[object, int], None]) -> None:
    """Call `act` with each response of `service`, just before it is sent, and when its request arrived.

    That is when the middleware had the request, ns of the system clock; 0: it does not tell. rclpy's callbacks are not
    told, and one that was called late, for another request took long, must not take its own beginning for it.
    """
    send = weakref.WeakMethod(service.send_response)  # a service that holds itself would keep its node in use

    def act_and_send(response, header) -> None:
        act(response, getattr(header, "received_timestamp", 0))
        bound = send()
        assert bound is not None, "it is called by its service"
        bound(response, header)

    service.send_response = act_and_send


def take_message(subscription) -> tuple | None:
    """What waits first in a subscription, (message, info), without its callback; None when nothing waits."""
    with subscription.handle:
        return subscription.handle.take_message(subscription.msg_type, subscription.raw)


def ready_callbacks(executor: SingleThreadedExecutor, timeout_s: float) -> Iterator[tuple]:
    """(handler, entity, node) of all that is found ready within `timeout_s`, in one look.

    Raises rclpy's TimeoutException where nothing is, and ShutdownException where the executor was shut down.
    """
    return executor._wait_for_ready_callbacks(timeout_s)


class Watch:
    """One wait set for chosen entities of an executor's nodes, used again for every look.

    rclpy makes a wait set anew for every look, wraps each callback in a task, and wakes the executor after each, which
    makes it look once more. What is watched stays in use until `close`: where it is destroyed, it ends then.
    """

    def __init__(self, executor: SingleThreadedExecutor, wanted: Callable[[object], bool]):
        """Watch those timers, subscriptions, guard conditions, clients and services that are `wanted`."""
        self._executor, self._context = executor, executor._context
        self._in_use = contextlib.ExitStack()
        nodes = executor.get_nodes()
        self._kinds = (
            ("timer", self._use(wanted, nodes, "timers"), executor._take_timer),
            ("subscription", self._use(wanted, nodes, "subscriptions"), executor._take_subscription),
            ("guard_condition", self._use(wanted, nodes, "guards"), executor._take_guard_condition),
            ("client", self._use(wanted, nodes, "clients"), executor._take_client),
            ("service", self._use(wanted, nodes, "services"), executor._take_service),
        )
        # What wakes an executor: other threads, and the end of the ROS context.
        self._wakers = [each for each in (executor._guard, executor._sigint_gc) if each is not None]
        for each in (*self._wakers, self._context):
            self._in_use.enter_context(each.handle)
        timers, subscriptions, guards, clients, services = (len(entities) for _, entities, _ in self._kinds)
        self._wait_set = rclpy_implementation.WaitSet(
            subscriptions, guards + len(self._wakers), timers, clients, services, 0, self._context.handle
        )

    def _use(self, wanted: Callable[[object], bool], nodes, kind: str) -> list:
        used = []
        for entity in (each for node in nodes for each in getattr(node, kind) if wanted(each)):
            with contextlib.suppress(InvalidHandle):  # destroyed since
                self._in_use.enter_context(entity.handle)
                used.append(entity)
        return used

    def close(self) -> None:
        """Let go of everything."""
        self._in_use.close()

    def look(self, timeout_s: float) -> list["Ready"]:
        """Wait `timeout_s` at most; returns one callback to run for each entity that is ready.

        A client's gives its answer to the future, whose own callbacks are tasks of the executor.

        Raises rclpy's ExternalShutdownException where the context has ended.
        """
        timers, subscriptions, guards, clients, services = (entities for _, entities, _ in self._kinds)
        wait_set = self._wait_set
        wait_set.clear_entities()
        for each in subscriptions:
            wait_set.add_subscription(each.handle)
        for each in (*guards, *self._wakers):
            wait_set.add_guard_condition(each.handle)
        for each in timers:
            wait_set.add_timer(each.handle)
        for each in clients:
            wait_set.add_client(each.handle)
        for each in services:
            wait_set.add_service(each.handle)
        wait_set.wait(max(0, round(timeout_s * 1e9)))
        if not self._context.ok():
            raise ExternalShutdownException
        ready = []
        for kind, entities, take in self._kinds:
            pointers = wait_set.get_ready_entities(kind)
            if pointers:
                ready += [Ready(each, take) for each in entities if each.handle.pointer in pointers]
        return ready


class Ready:
    """An entity that is ready; calling it takes what waits there and runs its callback, a function."""

    __slots__ = ("_take", "entity")

    def __init__(self, entity, take: Callable):
        self.entity, self._take = entity, take

    def __call__(self) -> None:
        execute = self._take(self.entity)
        if execute is None:  # nothing to take, or destroyed since
            return
        coroutine = execute()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()
        raise TypeError("found a coroutine as the callback of a watched entity, expected a function")


def write_log(logger: RcutilsLogger, severity: LoggingSeverity, sentence: str) -> None:
    """One line to console, log file and /rosout, as `logger.info` and its like write it.

    Those read the caller's source file to name its line, which takes ten times as long as the line itself: 0.3 ms of a
    fast computer, in which a tick may be due.
    """
    if logger.is_enabled_for(severity):
        caller = sys._getframe(1)
        place = caller.f_code.co_name, caller.f_code.co_filename, caller.f_lineno
        rclpy_implementation.rclpy_logging_rcutils_log(severity, logger.name, sentence, *place)

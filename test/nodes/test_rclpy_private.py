"""Pins what `rclpy_private.py` takes from rclpy: each function fails here, by its name, when a release changes it."""

import time

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import LoggingSeverity
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lwd_ros.nodes.rclpy_private import (
    Watch,
    before_response,
    guard_transitions,
    lifecycle_state,
    parameter_overrides,
    ready_callbacks,
    take_message,
    write_log,
)


@pytest.fixture
def context(monkeypatch):
    """A ROS context that talks to this process alone."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    context = Context()
    rclpy.init(context=context, args=["--ros-args", "-p", "speed:=1.5"], domain_id=90)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def node(context):
    """A lifecycle node, and what it was started with."""
    node = LifecycleNode("watched", context=context, use_global_arguments=True)
    yield node
    node.destroy_node()


@pytest.fixture
def executor(context, node):
    """An executor that has the node."""
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield executor
    executor.shutdown()


def _until(condition, act) -> None:
    for _ in range(200):
        if condition():
            return
        act()
    raise AssertionError("it never came")


def test_parameter_overrides_are_read_when_a_parameter_is_declared(node):
    overrides = parameter_overrides(node)
    assert overrides["speed"].value == 1.5
    overrides["speed"] = Parameter("speed", value=2.5)
    assert node.declare_parameter("speed", 0.0).value == 2.5


def test_lifecycle_state_follows_transitions(node):
    assert lifecycle_state(node) == (State.PRIMARY_STATE_UNCONFIGURED, "unconfigured")
    node.trigger_configure()
    assert lifecycle_state(node) == (State.PRIMARY_STATE_INACTIVE, "inactive")


def test_guard_transitions_answers_an_invalid_one_and_lets_valid_ones_through(node, executor):
    def refuse(request, response, reason):
        refused.append((request.transition.id, request.transition.label, reason))
        response.success = False
        return response

    refused, expected = [], "expected configure or shutdown"
    guard_transitions(node, refuse)
    client = node.create_client(ChangeState, "watched/change_state")

    def change(transition: int, label: str = "") -> bool:
        assert client.wait_for_service(timeout_sec=10.0)
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition, label=label)))
        _until(future.done, lambda: executor.spin_once(timeout_sec=0.05))
        return future.result().success

    assert not change(Transition.TRANSITION_ACTIVATE)
    assert not change(0, "activate")
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(0, "activate")
    assert refused == [(Transition.TRANSITION_ACTIVATE, "", expected), (0, "activate", expected)]


def test_take_message_takes_what_waits_without_the_callback(node):
    called, taken = [], []
    subscription = node.create_subscription(String, "words", called.append, 10)
    publisher = node.create_publisher(String, "words", 10)
    assert take_message(subscription) is None
    publisher.publish(String(data="a"))

    def take():
        message = take_message(subscription)
        taken.extend([] if message is None else [message])
        time.sleep(0.01)

    _until(lambda: taken, take)
    message, info = taken[0]
    assert message.data == "a" and info["source_timestamp"] > 0 and called == []


def test_ready_callbacks_gives_all_that_is_ready_in_one_look(node, executor):
    called = []
    for name in ("one", "two"):
        guard = node.create_guard_condition(lambda name=name: called.append(name))
        guard.trigger()
    for handler, entity, owner in ready_callbacks(executor, 1.0):
        assert owner is node and entity is not None
        handler()
        handler.result()
        if len(called) == 2:
            break
    assert sorted(called) == ["one", "two"]
    with pytest.raises(TimeoutException):
        for _ in range(100):
            list(ready_callbacks(executor, 0.0))
    executor.shutdown()
    with pytest.raises(ShutdownException):
        list(ready_callbacks(executor, 0.0))


def test_a_watch_gives_the_callbacks_of_what_is_watched_and_of_nothing_else(context, node, executor):
    called = []
    watched = [
        node.create_timer(0.001, lambda: called.append("timer")),
        node.create_subscription(String, "words", lambda message: called.append(message.data), 10),
        node.create_guard_condition(lambda: called.append("guard")),
        node.create_service(Trigger, "ask", lambda _, response: called.append("service") or response),
    ]
    node.create_timer(0.001, lambda: called.append("another timer"))
    node.create_subscription(String, "words", lambda _: called.append("another subscription"), 10)
    publisher, client = node.create_publisher(String, "words", 10), node.create_client(Trigger, "ask")
    watched.append(client)
    assert client.wait_for_service(timeout_sec=10.0)
    watch = Watch(executor, lambda entity: entity in watched)
    publisher.publish(String(data="word"))
    future = client.call_async(Trigger.Request())
    watched[2].trigger()

    def act():
        for callback in watch.look(0.05):
            callback()

    _until(lambda: set(called) == {"timer", "word", "guard", "service"} and future.done(), act)
    assert set(called) == {"timer", "word", "guard", "service"}
    node.destroy_subscription(watched[1])
    node.destroy_timer(watched[0])
    act()  # what is destroyed meanwhile does no harm
    rclpy.try_shutdown(context=context)
    with pytest.raises(ExternalShutdownException):
        watch.look(0.0)
    watch.close()


def test_a_watch_wakes_when_the_executor_is_woken(executor):
    watch = Watch(executor, lambda entity: False)
    executor.wake()
    assert watch.look(60.0) == []
    watch.close()


def test_a_watched_callback_is_no_coroutine(node, executor):
    async def wait():
        await Future()

    guard = node.create_guard_condition(wait)
    watch = Watch(executor, lambda entity: entity is guard)
    guard.trigger()
    (callback,) = watch.look(10.0)
    with pytest.raises(TypeError, match="found a coroutine"):
        callback()
    watch.close()


def test_write_log_writes_a_line_of_its_caller_and_none_below_the_level(node, executor):
    lines = []
    node.create_subscription(Log, "/rosout", lines.append, 10)
    for _ in range(200):  # a line from before both ends have met is lost
        write_log(node.get_logger(), LoggingSeverity.DEBUG, "not this")
        write_log(node.get_logger(), LoggingSeverity.INFO, "this")
        executor.spin_once(timeout_sec=0.05)
        if lines:
            break
    assert {line.msg for line in lines} == {"this"}
    assert (lines[0].name, lines[0].level) == ("watched", LoggingSeverity.INFO)
    assert lines[0].file == __file__ and lines[0].function.startswith("test_write_log")


def test_before_response_tells_when_the_request_arrived_however_late_it_is_served(node, executor):
    told = []

    def serve(request, response):
        response.message = "served"
        return response

    service = node.create_service(Trigger, "serve", serve)
    before_response(service, lambda response, arrived_ns: told.append((response.message, arrived_ns)))
    client = node.create_client(Trigger, "serve")
    _until(client.service_is_ready, lambda: time.sleep(0.02))
    asked_ns, answer = time.time_ns(), client.call_async(Trigger.Request())
    time.sleep(0.5)
    _until(answer.done, lambda: executor.spin_once(timeout_sec=0.05))
    assert answer.result().message == "served"
    ((message, arrived_ns),) = told
    assert message == "served" and 0 <= arrived_ns - asked_ns < 400_000_000

"""Pins what `rclpy_private.py` takes from rclpy: each function fails here, by its name, when a release changes it."""

import time

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from std_msgs.msg import String

from lwd_ros.nodes.rclpy_private import (
    guard_transitions,
    lifecycle_state,
    parameter_overrides,
    ready_callbacks,
    take_message,
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

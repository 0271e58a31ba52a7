"""What rclpy has and does not promise: its private members, each behind one function that a test watches.

rclpy has no public way to any of these in Jazzy and Kilted. Where a release changes one, `test_rclpy_private.py` names
the function to mend, and no other file of `nodes` knows of it.
"""

from collections.abc import Callable, Iterator

from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter


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


def take_message(subscription) -> tuple | None:
    """What waits first in a subscription, (message, info), without its callback; None when nothing waits."""
    with subscription.handle:
        return subscription.handle.take_message(subscription.msg_type, subscription.raw)


def ready_callbacks(executor: SingleThreadedExecutor, timeout_s: float) -> Iterator[tuple]:
    """(handler, entity, node) of all that is found ready within `timeout_s`, in one look.

    Raises rclpy's TimeoutException where nothing is, and ShutdownException where the executor was shut down.
    """
    return executor._wait_for_ready_callbacks(timeout_s)

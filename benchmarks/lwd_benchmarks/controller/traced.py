"""Runs one of our nodes with stop watches on the pieces of a swap: `lwd bench traced policy_controller OUT.json`.

Each piece is a function of the node or of what it uses, wrapped where it is; what a checkout does not have is left
out. Whoever ends the node finds every call in OUT.json: piece, thread, when it began, its wall and processor time
without the pieces inside it. A turn of the executor counts where a piece of a swap is inside it.
"""

import functools
import importlib
import json
import sys
import threading
import time
from pathlib import Path

import rclpy.executors
import rclpy.impl.rcutils_logger

from lwd_msgs.msg import PolicyWeights

DECODE = "take and decode the message"
TURN, TICKS = "turns of the executor for it", "observations and ticks"
_NOT_OF_A_SWAP = {TICKS, "diagnostics", "open the gate of the check"}

# Piece, module, path to the function in it. Pieces may nest; one piece may be several functions.
_POLICY = (
    ("build the policy: checks of every array", "lwd_ros.policy.policy", "Policy.__post_init__"),
    ("build the policy: prepare the step", "lwd_ros.policy.policy", "Policy._prepare"),
    ("policy_id (SHA-256)", "lwd_ros.policy.policy", "Policy.policy_id"),
)
PIECES = {
    "policy_controller": (
        *_POLICY,
        ("take in: identity, queue", "lwd_ros.nodes.policy_delivery", "PolicyDelivery._on_policy"),
        ("take in: identity, queue", "lwd_ros.nodes.policy_delivery", "PolicyDelivery._on_older_policy"),
        ("open the gate of the check", "lwd_ros.control.intake", "PolicyIntake.go"),
        ("decode on the worker", "lwd_ros.nodes.conversions", "_decode"),
        ("message to policy", "lwd_ros.nodes.policy_controller", "message_to_policy"),
        ("message to policy", "lwd_ros.nodes.conversions", "message_to_policy"),
        ("contract and warm-up", "lwd_ros.policy.slot", "PolicySlot.check"),
        ("take the verdict", "lwd_ros.nodes.policy_controller", "PolicyController._on_verdicts"),
        ("log line and /rosout", "rclpy.impl.rcutils_logger", "RcutilsLogger.log"),
        ("log line and /rosout", "lwd_ros.nodes.policy_controller", "write_log"),
        ("status: fill", "lwd_ros.nodes.controller_report", "ControllerReport.status"),
        ("status: publish", "lwd_ros.nodes.policy_controller", "PolicyController._publish_status"),
        ("diagnostics", "lwd_ros.nodes.managed", "ManagedNode._publish_diagnostics"),
        (TICKS, "lwd_ros.nodes.policy_controller", "PolicyController._on_observation"),
        (TURN, "lwd_ros.nodes.executor", "ControlExecutor.serve"),
        (TURN, "lwd_ros.nodes.executor", "ControlExecutor.serve_urgent"),
        (TURN, "lwd_ros.nodes.executor", "ControlExecutor.serve_all"),
    ),
    "policy_generator": (
        *_POLICY,
        ("service: answer", "lwd_ros.nodes.policy_generator", "PolicyGeneratorNode._on_generate"),
        ("sample: noise, digest, policy", "lwd_ros.generator.generator", "PolicyGenerator.generate"),
        ("sample: onnxruntime", "onnxruntime.capi.onnxruntime_inference_collection", "Session.run"),
        ("policy to message", "lwd_ros.nodes.policy_generator", "policy_to_message"),
        ("publish", "rclpy.publisher", "Publisher.publish"),
        ("log line and /rosout", "rclpy.impl.rcutils_logger", "RcutilsLogger.log"),
        ("log line and /rosout", "lwd_ros.nodes.policy_generator", "write_log"),
        ("diagnostics", "lwd_ros.nodes.managed", "ManagedNode._publish_diagnostics"),
        (TURN, "rclpy.executors", "SingleThreadedExecutor.spin_once"),
    ),
}

calls: list[tuple[str, str, float, float, float]] = []
_inside = threading.local()


def _watched(piece: str, function, wanted=lambda *_: True):
    """The function with a stop watch; `wanted` says which calls count."""

    def begin():
        stack = _inside.__dict__.setdefault("stack", [])
        stack.append([0.0, 0.0, False])
        return stack, time.perf_counter(), time.thread_time()

    def end(stack, wall, used):
        wall_s, used_s = time.perf_counter() - wall, time.thread_time() - used
        within = stack.pop()
        of_a_swap = piece not in _NOT_OF_A_SWAP and (piece != TURN or within[2])
        if stack:
            stack[-1][0] += wall_s
            stack[-1][1] += used_s
            stack[-1][2] = stack[-1][2] or of_a_swap
        if piece == TURN and not of_a_swap:
            return
        thread = threading.current_thread().name
        calls.append((piece, thread, wall, wall_s - within[0], used_s - within[1]))

    if function.__code__.co_flags & 0x80:  # a coroutine, which takes its steps elsewhere as well

        @functools.wraps(function)
        async def watched_steps(*args, **kwargs):
            state = begin()
            try:
                return await function(*args, **kwargs)
            finally:
                end(*state)

        return watched_steps

    @functools.wraps(function)
    def watched(*args, **kwargs):
        if not wanted(*args):
            return function(*args, **kwargs)
        state = begin()
        try:
            return function(*args, **kwargs)
        finally:
            end(*state)

    return watched


def _wrap(piece: str, module: str, path: str) -> None:
    owner = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    found = vars(owner).get(name)
    if isinstance(found, property):
        setattr(owner, name, property(_watched(piece, found.fget)))
    elif found is not None:
        setattr(owner, name, _watched(piece, found))


def main() -> int:
    """Run the node under stop watches; its exit status."""
    node, path, *arguments = sys.argv[1:]
    module = importlib.import_module(f"lwd_ros.nodes.{node}")
    rclpy.impl.rcutils_logger._internal_callers.append(__file__)  # a log line is its caller's, not the stop watch's
    for piece in PIECES[node]:
        _wrap(*piece)
    executor = rclpy.executors.Executor
    executor._take_subscription = _watched(
        DECODE, executor._take_subscription, lambda _, subscription: subscription.msg_type is PolicyWeights
    )
    try:
        return module.main([sys.argv[0], *arguments])
    finally:
        Path(path).write_text(json.dumps(calls))


if __name__ == "__main__":
    sys.exit(main())

"""Policies on their way to a controller: who brings them, which may be taken, what a stop drops."""

import contextlib
import time
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup

from lwd_msgs.msg import PolicyWeights
from lwd_msgs.srv import GetPolicy
from lwd_ros.control import Admission, ControllerCore, PolicyIntake, Publication
from lwd_ros.nodes.conversions import Parcel
from lwd_ros.nodes.executor import Unwatched
from lwd_ros.nodes.managed import ManagedNode
from lwd_ros.nodes.rclpy_private import take_message
from lwd_ros.nodes.streams import OF_ALL_LATCHED, RELIABLE
from lwd_ros.policy import PolicyError

ASK_EVERY_S = 1.0  # without a policy for this long, ask the generator for its last one


class PolicyDelivery:
    """The subscriptions to `policy` and the client of `get_policy` of one activation.

    What `admission` lets through goes to `intake`, which checks it; `reject` is told of what cannot be taken.
    """

    def __init__(
        self,
        node: ManagedNode,
        core: ControllerCore,
        intake: PolicyIntake,
        admission: Admission,
        reject: Callable[[Publication, str], None],
        group: CallbackGroup,
    ):
        """Subscribe; new policies are taken in `group`."""
        self._node, self._core, self._intake, self._admission, self._reject = node, core, intake, admission, reject
        self._asked_s = node.now_s()
        self._content = b""  # of the last policy that the volatile subscription brought
        # A volatile subscription receives what is published from now on and nothing older, whatever the clocks of
        # generator and controller say; the latched one beside it receives the older one too, where it is wanted.
        # Both give bytes, which are decoded once, on the worker; and the latched one brings again what the volatile one
        # has brought, so it is not waited for, but looked into now and then.
        self._new = node.create_subscription(
            PolicyWeights, "policy", self._on_policy, RELIABLE, callback_group=group, raw=True
        )
        self._latched = node.create_subscription(
            PolicyWeights, "policy", self._on_older_policy, OF_ALL_LATCHED, callback_group=Unwatched(), raw=True
        )
        self._get_policy = node.create_client(GetPolicy, node.get_parameter("get_policy_service").value)

    def destroy(self) -> None:
        """End subscriptions and client."""
        for subscription in (self._new, self._latched):
            self._node.destroy_subscription(subscription)
        self._node.destroy_client(self._get_policy)

    def refuse_older(self, called: bool = False) -> None:
        """After a stop, nothing moves the robot that had arrived before it, read or not, checked or not."""
        unread = set()
        for subscription in (self._new, self._latched):
            while (taken := take_message(subscription)) is not None:
                with contextlib.suppress(PolicyError):
                    unread.add(Parcel.of(taken[0]).publication)
        count = self._admission.stop(unread, time.time_ns(), called) + self._intake.pending
        self._intake.forget()
        if count:
            self._node.get_logger().warning(f"{count} policies from before the stop are dropped")

    def ask_for_older(self) -> None:
        """Ask the generator for its last policy, where one is wanted and none has come."""
        node, wanted = self._node, self._admission.wants_older and self._core.accepted is None
        if wanted and node.now_s() - self._asked_s > 0.9 * ASK_EVERY_S and self._get_policy.service_is_ready():
            self._asked_s = node.now_s()
            self._get_policy.call_async(GetPolicy.Request()).add_done_callback(self._on_get_policy)

    def _on_get_policy(self, future) -> None:
        response = future.result()
        if not self._node.is_active or response is None or not response.success:
            return
        if self._admission.wants_older and self._core.accepted is None and not self._intake.pending:
            self._node.get_logger().info("no latched policy arrived; took the generator's last one from get_policy")
            self._on_policy(response.policy, {"source_timestamp": 0})

    def take_older(self) -> None:
        """Read the latched subscription: what the volatile one has brought too must not wait there for a stop."""
        while (taken := take_message(self._latched)) is not None:
            if taken[0] != self._content:
                self._on_older_policy(taken[0])

    def _on_older_policy(self, content: bytes) -> None:
        if self._admit(content, lambda publication: self._admission.admits_older(publication)):
            self._node.get_logger().info("a policy from before this start is taken, for run_latched is true")

    def _on_policy(self, content: bytes | PolicyWeights, info: dict) -> None:
        self._content = content
        sent_ns, received_ns = info["source_timestamp"], info.get("received_timestamp") or time.time_ns()
        self._admit(content, lambda publication: self._admission.admits(publication, sent_ns, received_ns))

    def _admit(self, content: bytes | PolicyWeights, admits: Callable[[Publication], bool]) -> bool:
        """Hand a policy to its check if it may be taken; returns whether it may."""
        publication = Publication("", 0)
        try:
            publication, _ = parcel = Parcel.of(content)
            admitted = admits(publication)
            if admitted:
                self._judge(parcel)
        except PolicyError as error:
            self._reject(publication, str(error))
            return False
        return admitted

    def _judge(self, parcel: Parcel) -> None:
        dropped = self._intake.put(parcel)
        if dropped is not None:
            self._reject(dropped.publication, "newer policies came faster than policies can be checked")

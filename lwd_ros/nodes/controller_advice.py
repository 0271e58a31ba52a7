"""What the policy controller tells people to do: what it waits for, what cannot work as it is connected."""

from lwd_ros.control import ControllerCore, Outcome, Stopped, WaitingForPolicy
from lwd_ros.nodes.managed import ManagedNode
from lwd_ros.nodes.streams import MissingStream, StreamPublisher, StreamSubscriber

_HINT_S = 2.0  # a policy that was published before, or a generator that was asked for it, needs about a second
_MISMATCH_EVERY_S = 1.0  # the ROS graph is asked for every command topic
_LEFT_BEHIND_SHARE, _LEFT_BEHIND_LEAST = 0.2, 5  # of a stream's messages in half a second: more is no jitter


class ControllerAdvice:
    """The warnings and hints of one activation; `node.warn` keeps those that persist two seconds apart.

    A hint is what a person does next, and is logged once. A warning is what keeps a policy from running or a robot from
    receiving: a stream that is silent while nobody wants to run anything is none.
    """

    def __init__(
        self,
        node: ManagedNode,
        core: ControllerCore,
        observations: StreamSubscriber,
        commands: StreamPublisher,
        now: float,
    ):
        self._node, self._core, self._observations, self._commands = node, core, observations, commands
        self._began, self._looked_s = now, now
        self._given: set[str] = set()
        self.command_problems: list[str] = []
        """One sentence for each command topic that somebody cannot receive."""

    def give(self, now: float, missing: list[MissingStream], outside_training_range: list[str]) -> None:
        """Say what there is to say now; `missing` and `outside_training_range` are those of the status."""
        if isinstance(self._core.mode, WaitingForPolicy) and now - self._began > _HINT_S:
            self._hint_at_generator()
        self._tell_missing(now, missing)
        if outside_training_range:
            names, task = ", ".join(outside_training_range), self._core.active.task
            self._node.warn(f"far outside what '{task}' was trained on: {names}")
        for topic, (behind, received) in self._core.take_left_behind().items():
            if behind >= _LEFT_BEHIND_LEAST and behind > _LEFT_BEHIND_SHARE * received:
                self._node.warn(
                    f"{topic}: {behind} of {received} messages are left out, for their stamps are behind those of the "
                    f"others; it is published by {self._observations.publishers(topic)}, expected one clock"
                )
        if now - self._looked_s > _MISMATCH_EVERY_S:
            self._looked_s = now
            self.command_problems = self._commands.problems()
            for sentence in self.command_problems:
                self._node.warn(sentence)

    def _once(self, key: str, sentence: str) -> None:
        if key not in self._given:
            self._given.add(key)
            self._node.get_logger().info(sentence)

    def _hint_at_generator(self) -> None:
        name = self._node.get_parameter("get_policy_service").value
        service = self._node.resolve_service_name(name.removesuffix("get_policy") + "generate_policy")
        self._once(
            "generate",
            f'no policy yet; ask for one: ros2 service call {service} lwd_msgs/srv/GeneratePolicy "{{task: TASK}}"',
        )

    def _tell_missing(self, now: float, missing: list[MissingStream]) -> None:
        mode, reasons = self._core.mode, "; ".join(each.reason for each in missing)
        if isinstance(mode, (WaitingForPolicy, Stopped)):
            for each in missing:
                if each.is_fault:
                    self._node.warn(each.reason)
            waits = [each.reason for each in missing if not each.is_fault]
            if waits:
                self._once("streams", f"no observations yet: {'; '.join(waits)}")
        elif mode.outcome is not Outcome.WAITING:
            if missing:
                self._node.warn(reasons)
        elif reasons or (reasons := self._core.fault(now)):
            self._node.warn(f"'{self._core.accepted.task}' waits: {reasons}")

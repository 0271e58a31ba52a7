"""What the policy controller tells people to do: what it waits for, what cannot work as it is connected."""

from lwd_ros.control import ClockProblem, ControllerCore, Outcome, Stopped, WaitingForPolicy
from lwd_ros.nodes.managed import ManagedNode
from lwd_ros.nodes.permission import PermissionSubscriber
from lwd_ros.nodes.streams import MissingStream, StreamPublisher, StreamSubscriber

_HINT_S = 2.0  # a policy that was published before, or a generator that was asked for it, needs about a second
_LEFT_OUT_SHARE, _LEFT_OUT_LEAST = 0.2, 5  # of a stream's messages since the last look: more is no jitter
_CHANGED_S, _CHANGED_SHARE = 0.5, 0.1  # a distance between clocks that changes by more is told again


def _is_known(problem: ClockProblem, before: ClockProblem) -> bool:
    """Whether there is nothing new to say; where all stamps are 0, their distance from the time grows of itself."""
    if problem.kind != before.kind:
        return False
    change_s = abs(problem.ahead_s - before.ahead_s)
    return problem.kind == "zero" or change_s <= max(_CHANGED_S, _CHANGED_SHARE * abs(before.ahead_s))


class ControllerAdvice:
    """The warnings and hints of one activation; `node.warn` keeps those that persist two seconds apart.

    A hint is what a person does next, and is logged once. A warning is what keeps a policy from running or a robot from
    receiving: a stream that is silent while nobody wants to run anything is none. The ROS graph is asked about one
    observation topic, one command topic and one permission topic a call, for each may take a millisecond, and a robot
    is driven meanwhile.
    """

    def __init__(
        self,
        node: ManagedNode,
        core: ControllerCore,
        observations: StreamSubscriber,
        commands: StreamPublisher,
        permission: PermissionSubscriber,
        now: float,
    ):
        self._node, self._core, self._observations, self._commands = node, core, observations, commands
        self._permission = permission
        self._began, self._looks = now, 0
        self._given: set[str] = set()
        self._problems: dict[str, list[str]] = {}
        self._outside: set[tuple[str, str]] = set()  # (task, name) that were told
        self._clocks: dict[str, ClockProblem] = {}  # by topic, as it was told last

    @property
    def command_problems(self) -> list[str]:
        """One sentence for each receiver of a command topic that cannot receive, and for other nodes that publish."""
        return [sentence for sentences in self._problems.values() for sentence in sentences]

    def give(
        self,
        now: float,
        missing: list[MissingStream],
        silent: list[MissingStream],
        outside_training_range: list[str],
        clock_problems: list[ClockProblem],
    ) -> None:
        """Say what there is to say now; `missing` observations and `silent` permissions are those of the status."""
        if isinstance(self._core.mode, WaitingForPolicy) and not missing and now - self._began > _HINT_S:
            self._hint_at_generator()
        self._tell_missing(now, missing)
        for each in silent:
            if each.is_fault:
                self._node.warn(each.reason)
        active = self._core.active
        if outside_training_range and active is not None:
            self._tell_outside(active.task, outside_training_range)
        self._tell_clocks(clock_problems)
        for topic, (left_out, received) in self._core.take_left_out().items():
            if left_out >= _LEFT_OUT_LEAST and left_out > _LEFT_OUT_SHARE * received:
                self._node.warn(
                    f"{topic}: {left_out} of {received} messages are left out, for their stamps are of another clock "
                    f"or late; it is published by {self._observations.publishers(topic)[1]}, expected one clock"
                )
        self._look_at_graph()

    def _tell_outside(self, task: str, names: list[str]) -> None:
        """Each name once for each task, however many are outside with it; the status has them all, all the time."""
        new = [name for name in names if (task, name) not in self._outside]
        self._outside.update((task, name) for name in new)
        if new:
            self._node.get_logger().warning(f"far outside what '{task}' was trained on: {', '.join(new)}")

    def _tell_clocks(self, problems: list[ClockProblem]) -> None:
        """Clocks that are apart once, and again where they are apart by something else."""
        for problem in problems:
            before = [self._clocks.get(topic) for topic in problem.topics]
            if not all(each is not None and _is_known(problem, each) for each in before):
                self._clocks.update(dict.fromkeys(problem.topics, problem))
                self._node.get_logger().warning(problem.sentence)
        apart = {topic for problem in problems for topic in problem.topics}
        self._clocks = {topic: problem for topic, problem in self._clocks.items() if topic in apart}

    def _look_at_graph(self) -> None:
        topic = self._commands.topics[self._looks % len(self._commands.topics)]
        self._problems[topic] = self._commands.problems(topic)
        others = self._commands.others(topic)
        if others:
            self._problems[topic].append(f"{topic}: {others} publishes on it too, expected this node alone")
        for sentence in self._problems[topic]:
            self._node.warn(sentence)
        if self._observations.topics:  # none of a contract that observes transforms alone
            topic = self._observations.topics[self._looks % len(self._observations.topics)]
            count, names = self._observations.publishers(topic)
            if count > 1:
                sentence = f"{topic} has {count} publishers, {names}: is one of them meant?"
                self._once(f"publishers of {topic} {names}", sentence)
        if self._permission.topics:
            crowd = self._permission.crowd(self._permission.topics[self._looks % len(self._permission.topics)])
            if crowd:
                self._once(crowd, crowd)
        self._looks += 1

    def _once(self, key: str, sentence: str) -> None:
        if key not in self._given:
            self._given.add(key)
            self._node.get_logger().info(sentence)

    def _hint_at_generator(self) -> None:
        name = self._node.get_parameter("get_policy_service").value
        if not name.endswith("get_policy"):
            return  # not our generator's; its owner knows how it is asked
        generate, tasks = (
            self._node.resolve_service_name(name.removesuffix("get_policy") + each)
            for each in ("generate_policy", "list_tasks")
        )
        self._once(
            "generate",
            f'no policy yet; ask for one: ros2 service call {generate} lwd_msgs/srv/GeneratePolicy "{{task: NAME}}" '
            f"(names: ros2 service call {tasks} lwd_msgs/srv/ListTasks)",
        )

    def _tell_missing(self, now: float, missing: list[MissingStream]) -> None:
        mode, reasons = self._core.mode, "; ".join(each.reason for each in missing)
        if isinstance(mode, (WaitingForPolicy, Stopped)):
            for each in missing:
                if each.is_fault:
                    self._node.warn(each.reason)
            waits = "; ".join(each.reason for each in missing if not each.is_fault)
            if waits:
                when = "yet" if isinstance(mode, WaitingForPolicy) else "since the stop"
                self._once(f"streams {when}", f"no complete observations {when}: {waits}")
        elif mode.outcome is not Outcome.WAITING:
            if missing:
                self._node.warn(reasons)
        else:
            accepted, reasons = self._core.accepted, self._core.denied(now) or reasons or self._core.fault(now)
            if reasons and accepted is not None:
                self._node.warn(f"'{accepted.task}' waits: {reasons}")

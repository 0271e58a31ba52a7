"""A robot without a simulator, for tests that decide themselves what is observed and when."""

import numpy as np
from geometry_msgs.msg import TwistStamped
from nodes_support import Cell

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_ros.nodes.conversions import policy_to_message, to_nanoseconds
from lwd_ros.nodes.streams import LATCHED, StreamPublisher
from lwd_ros.policy import PolicyLayout

PERIOD_NS = 12_500_000
HOUR_NS = 3_600_000_000_000


class Robot:
    """A robot without a simulator: sends observations as a test wants them and keeps the commands.

    Its policy commands hand_x - goal_x in x, and every observation has both at the same number: another command than 0
    would mix two observations. In y it commands hand_y.
    """

    def __init__(self, cell: Cell, contract, make_policy, parameters=None):
        self.cell, self.contract, self.problems = cell, contract, []
        streams = contract.require_binding().observation_streams
        self.publisher = StreamPublisher(cell.node, streams, self.problems.append)
        self.single = [StreamPublisher(cell.node, (stream,), self.problems.append) for stream in streams]
        self.commands: list[tuple[int, float, float]] = []
        cell.subscribe(TwistStamped, "hand/velocity_command", self._on_command, 1000)
        self.stamp_ns = HOUR_NS
        self.wrong: dict[int, float] = {}  # what is observed instead, by place in the vector
        self.policies = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        names = list(contract.observation_names)
        self.policy = make_policy(0, **difference(names))
        cell.start_node("policy_controller", parameters)
        cell.wait("the controller", lambda: cell.controller is not None)
        self.offer()
        self.run_until_commanded()

    def offer(self, policy=None) -> str:
        """Publish a policy, by default the robot's own; returns its id."""
        policy = policy or self.policy
        self.policies.publish(policy_to_message(policy, self.cell.node.get_clock().now().to_msg()))
        return policy.policy_id

    def _on_command(self, message) -> None:
        self.commands.append((to_nanoseconds(message.header.stamp), message.twist.linear.x, message.twist.linear.y))

    def vector(self) -> np.ndarray:
        """The observation of the present stamp, float64 [21]."""
        number = 0.001 * (self.stamp_ns // PERIOD_NS % 400)
        vector = at_rest(self.contract)
        vector[[0, 18]] = number
        vector[1] = 0.5
        for place, value in self.wrong.items():
            vector[place] = value
        return vector

    def observe(self, order=None) -> None:
        """One observation at the next stamp; `order` are the streams to send, all of them by default."""
        self.stamp_ns += PERIOD_NS
        for place in range(len(self.single)) if order is None else order:
            self.single[place].send(self.vector(), self.stamp_ns)

    def run(self, observations: int, send=None) -> None:
        """So many observations, one a control period, by `send`, which is `observe` by default."""
        for _ in range(observations):
            (send or self.observe)()
            self.cell.spin(0.0125)

    def run_until_commanded(self) -> None:
        """Observations until the first command; fails the test where none comes."""
        for _ in range(800):
            self.run(1)
            if self.commands:
                return
        raise AssertionError(f"no command\n{self.cell.tail('policy_controller')}")

    def wait_safe(self) -> None:
        """The newest command is the safe one; it comes on another topic than the status that tells of it."""
        self.cell.wait("the safe command", lambda: self.commands[-1] == (0, 0.0, 0.0), 5.0)

    def wait_commanded(self) -> None:
        """The newest command answers an observation; the status that tells of the policy may come before it."""
        self.cell.wait("a command", lambda: self.commands[-1][0] > 0, 5.0)

    def assert_runs(self) -> None:
        """New observations are answered, by the policy, and none was ever mixed of two."""
        before = len(self.commands)
        self.run(40)
        assert len(self.commands) > before + 20
        self.cell.wait("continue", lambda: self.cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE, 2.0)
        assert all(abs(x) < 1e-6 for _, x, _ in self.commands)


def at_rest(contract) -> np.ndarray:
    """An observation with everything at 0 and nothing turned, float64 [21]."""
    return np.array([float(name.endswith("_qw")) for name in contract.observation_names])


def difference(names) -> dict:
    """What makes a policy command hand_x - goal_x in x and hand_y in y."""
    layout = PolicyLayout((21, 4))
    matrix = np.zeros((4, 21))
    matrix[0, names.index("hand_x")], matrix[0, names.index("goal_x")] = 1.0, -1.0
    matrix[1, names.index("hand_y")] = 1.0
    return {
        "layout": layout,
        "weights": np.concatenate([matrix.ravel(), np.zeros(4)]),
        "observation_mean": np.zeros(21),
        "observation_std": np.ones(21),
        "action_offset": np.zeros(4),
        "action_scale": np.ones(4),
    }

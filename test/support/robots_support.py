"""A fake robot and the policy controller, and what went between them."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import yaml
from fake_robot import CONTROL
from nodes_support import Cell
from std_msgs.msg import String

from lwd_msgs.msg import PolicyWeights
from lwd_ros.contract import Contract
from lwd_ros.nodes.conversions import policy_to_message
from lwd_ros.nodes.streams import LATCHED
from lwd_ros.policy import Policy, PolicyLayout
from lwd_ros.resources import share_path

CONTRACTS = share_path("config", "robots")
BY_STREAM = ("drone", "ur5e_servo")  # their observations come at the contract's rate
RECENT_NS = 600_000_000


class Description:
    """A contract as its file says it, read as plain YAML."""

    def __init__(self, name: str):
        self.path = CONTRACTS / f"{name}.yaml"
        content = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        self.period_s = content["period_s"]
        self.observation, self.command = content["observation"], content["command"]
        binding = content["binding"]
        self.observed, self.commanded = binding["observation"]["streams"], binding["command"]["streams"]
        self.permission, self.prefix = binding.get("permission"), binding.get("joint_prefix", "")
        limits = [limits for entry in self.observation.values() for limits in [entry["limits"]] * entry.get("size", 1)]
        self.minimum, self.maximum = np.array(limits, dtype=float).T
        self.slew = np.array([entry["slew_per_s"] for entry in self.command.values()]) * self.period_s
        self.limits = np.array([entry["limits"] for entry in self.command.values()], dtype=float).T

    def vector(self, seen: dict) -> np.ndarray:
        """The observation vector from what a driver's messages say."""
        return np.concatenate([np.atleast_1d(np.asarray(seen[name], dtype=float)) for name in self.observation])


def small_policy(contract: Contract, description: Description, start: dict, draw: int) -> Policy:
    """A policy that stays near the robot's pose, or near a third of its velocities, and depends on all that it sees."""
    rng = np.random.default_rng(draw)
    inputs, outputs = len(description.minimum), len(description.command)
    layout = PolicyLayout((inputs, 16, 16, outputs))
    offset = []
    for entry in description.command.values():
        if "relative_to" in entry:
            offset.append(0.0)
        elif entry["rest"] in ("zero", "keep"):
            offset.append(0.3 * entry["limits"][1])
        else:
            offset.append(start[entry["rest"]] + rng.choice([-0.1, 0.1]))
    return Policy(
        layout=layout,
        weights=0.3 * rng.standard_normal(layout.parameters),
        observation_indices=np.arange(inputs),
        observation_mean=(description.minimum + description.maximum) / 2,
        observation_std=(description.maximum - description.minimum) / 4,
        observation_minimum=description.minimum,
        observation_maximum=description.maximum,
        action_offset=np.array(offset),
        action_scale=0.2 * description.slew,
        contract_digest=contract.digest,
        model_digest="a" * 64,
        latent_digest="b" * 64,
        task="anything",
        seed=draw,
    )


class FakeRobot:
    """A fake driver process and a policy controller on one domain."""

    def __init__(self, cell: Cell, name: str, start: dict):
        self.cell, self.start = cell, start
        self.description, self.contract = Description(name), Contract.load(CONTRACTS / f"{name}.yaml")
        self.file = cell.log_folder / "robot.jsonl"
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        cell.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        cell.start("driver", "fake_robot", [name, str(self.file)])
        trigger = "observation" if name in BY_STREAM else "timer"
        cell.start_node("policy_controller", {"contract_file": self.description.path, "trigger": trigger})
        self.policies = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        self.control = cell.node.create_publisher(String, CONTROL, 10)
        cell.wait("the controller", lambda: cell.controller is not None)
        self.policy: Policy | None = None
        self.read, self.known = 0, []

    def offer(self, draw: int) -> None:
        """Publish a policy and wait until it runs."""
        self.policy = small_policy(self.contract, self.description, self.start, draw)
        self.policies.publish(policy_to_message(self.policy, self.cell.node.get_clock().now().to_msg()))
        self.cell.wait_for_policy(self.policy.policy_id)

    def tell(self, text: str) -> None:
        """Have the driver do something, and wait until it does."""
        # What is published before both ends have met is lost.
        self.cell.wait("the driver to listen", lambda: self.control.get_subscription_count() > 0)
        before = sum("control" in entry for entry in self.entries())
        self.control.publish(String(data=text))
        self.cell.wait(text, lambda: sum("control" in entry for entry in self.entries()) > before)

    def entries(self) -> list[dict]:
        """All that the driver wrote, a last line that is not whole left out."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self.read)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self.read += len(whole)
            self.known += [json.loads(line) for line in whole.splitlines()]
        return self.known

    def received(self, topic: str) -> list[dict]:
        """The commands on a topic."""
        return [entry for entry in self.entries() if entry.get("received") == topic]

    def seen_before(self, t: int) -> list[dict]:
        """What the controller may have seen when it commanded at `t`: combinations of each stream's last messages."""
        recent: dict[tuple, list[dict]] = {}
        for entry in self.entries():
            if entry.get("seen") and t - RECENT_NS < entry["t"] < t:
                recent.setdefault(tuple(sorted(entry["seen"])), []).append(entry["seen"])
        choices = [messages[-12:] for messages in recent.values()]
        return [
            dict(itertools.chain.from_iterable(m.items() for m in choice)) for choice in itertools.product(*choices)
        ]

    def expected(self, seen: dict) -> dict[str, float]:
        """What the policy commands for an observation, within limits, without slew limits."""
        out = self.policy.forward(self.description.vector(seen), np.empty(len(self.description.command)))
        for place, entry in enumerate(self.description.command.values()):
            if "relative_to" in entry:
                out[place] += seen[entry["relative_to"]]
        return dict(zip(self.description.command, np.clip(out, *self.description.limits).tolist(), strict=True))

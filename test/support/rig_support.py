"""A controller of a contract that the test makes, and a robot of plain publishers and subscribers around it."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import yaml
from nodes_support import Cell
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_ros.contract import Contract
from lwd_ros.nodes.conversions import policy_to_message, to_stamp
from lwd_ros.nodes.streams import LATCHED
from lwd_ros.policy import Policy, PolicyLayout

PERIOD_S = 0.02
ARRAY = "std_msgs/msg/Float64MultiArray"
JOINTS = "sensor_msgs/msg/JointState"


def contract_of(observed: Sequence[dict], commanded: Sequence[dict], **parts) -> dict:
    """A contract in which all that streams bind is in rad, and what is commanded in rad/s, both within 3 of 0.

    `parts` replace: `scalars` by name, `sync`, and keys of the binding.
    """
    scalars = parts.pop("scalars", {})

    def listed(streams: Sequence[dict], usual: dict) -> dict:
        return {name: usual | scalars.get(name, {}) for stream in streams for name in stream["fields"]}

    streams = [{"stale_after_s": 0.5} | stream for stream in observed]
    return {
        "name": "rig",
        "period_s": PERIOD_S,
        "history": 1,
        "observation": listed(observed, {"unit": "rad", "limits": [-3.0, 3.0]}),
        "command": listed(commanded, {"unit": "rad/s", "limits": [-3.0, 3.0], "slew_per_s": 1000.0}),
        "binding": {
            "observation": {"sync": parts.pop("sync", "latest"), "streams": streams},
            "command": {"on_fault": "hold", "streams": list(commanded)},
            **parts,
        },
    }


def array_in(topic: str, name: str, **more) -> dict:
    """An observation stream of one number, without a header."""
    return {"topic": topic, "type": ARRAY, "stamp": "arrival", "fields": {name: "data[0]"}, **more}


def array_out(topic: str, *names: str, **more) -> dict:
    """A command stream of plain numbers."""
    return {"topic": topic, "type": ARRAY, "fields": {name: f"data[{i}]" for i, name in enumerate(names)}, **more}


def joints(names: Sequence[str], position=(), velocity=(), effort=(), stamp_ns: int | None = None) -> JointState:
    """Joints stamped by this computer's clock."""
    message = JointState(name=list(names), position=list(position), velocity=list(velocity), effort=list(effort))
    message.header.stamp = to_stamp(time.time_ns() if stamp_ns is None else stamp_ns)
    return message


def numbers(*values: float) -> Float64MultiArray:
    """Plain numbers."""
    return Float64MultiArray(data=list(values))


class Rig:
    """One controller process; `robot`, called once a control period, publishes what the test wants observed."""

    def __init__(self, cell: Cell, content: dict, parameters: Mapping[str, object] | None = None, remappings=()):
        self.cell, self.robot = cell, lambda: None
        parameters = dict(parameters or {})
        self.contract = Contract.from_dict(content, joint_prefix=parameters.get("joint_prefix"))
        path = cell.log_folder / "contract.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        arguments = cell.ros_arguments({"contract_file": path, **parameters})
        for remapping in remappings:
            arguments += ["-r", remapping]
        self.process = cell.start("policy_controller", "lwd_ros.nodes.policy_controller", arguments)
        self.policies = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        self.timer = cell.node.create_timer(PERIOD_S, lambda: self.robot())
        cell.wait("the controller", lambda: cell.controller is not None)

    def publish(self, kind, topic: str, qos=10) -> Callable:
        """A function that publishes a message on a topic."""
        return self.cell.node.create_publisher(kind, topic, qos).publish

    def listen(self, kind, topic: str, qos=100) -> list:
        """A list that fills with the messages of a topic."""
        messages: list = []
        self.cell.subscribe(kind, topic, messages.append, qos)
        return messages

    def offer(self, matrix, bias=None, requested=None) -> str:
        """Publish the policy `matrix · observation + bias` (float [commands, observations]); returns its id.

        `requested` is when it was asked for, a Time; None: nobody says.
        """
        matrix = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
        outputs, inputs = matrix.shape
        policy = Policy(
            layout=PolicyLayout((inputs, outputs)),
            weights=np.concatenate([matrix.ravel(), np.zeros(outputs) if bias is None else np.asarray(bias)]),
            observation_indices=np.arange(inputs),
            observation_mean=np.zeros(inputs),
            observation_std=np.ones(inputs),
            observation_minimum=np.full(inputs, -10.0),
            observation_maximum=np.full(inputs, 10.0),
            action_offset=np.zeros(outputs),
            action_scale=np.ones(outputs),
            contract_digest=self.contract.digest,
            model_digest="a" * 64,
            latent_digest="b" * 64,
            task="rows",
            seed=1,
        )
        self.policies.publish(policy_to_message(policy, self.cell.node.get_clock().now().to_msg(), requested))
        return policy.policy_id

    def run(self, matrix, bias=None) -> None:
        """Offer a policy and wait until it commands."""
        self.cell.wait_for_policy(self.offer(matrix, bias))

    def wait_outcome(self, outcome: int, seconds: float = 10.0) -> ControllerStatus:
        """Wait for an outcome; returns the status."""
        self.cell.wait(f"outcome {outcome}", lambda: self.cell.controller.outcome == outcome, seconds)
        return self.cell.controller

    def wait_reason(self, sentence: str, seconds: float = 10.0) -> None:
        """Wait until the status has a sentence among the reasons of what is missing."""
        self.cell.wait(sentence, lambda: sentence in "\n".join(self.cell.controller.missing_reasons), seconds)

    def wait_problem(self, sentence: str, seconds: float = 10.0) -> None:
        """Wait until the status has a sentence among the problems of commands."""
        self.cell.wait(sentence, lambda: sentence in "\n".join(self.cell.controller.command_problems), seconds)

    def log(self) -> str:
        """All that the controller logged."""
        return self.cell.tail("policy_controller", 10_000)

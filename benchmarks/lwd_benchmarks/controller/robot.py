"""The benchmarks' robot: sends whole observations at a fixed rate and notes when their commands arrive."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import rclpy
import yaml
from rclpy.client import Client
from rclpy.context import Context
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lwd_msgs.msg import PolicyWeights
from lwd_ros.contract import Contract
from lwd_ros.contract.fields import writer
from lwd_ros.control import request_scheduling
from lwd_ros.demo.supervisor import isolated_environment
from lwd_ros.nodes.conversions import message_class, policy_to_message, to_nanoseconds, to_stamp
from lwd_ros.nodes.rclpy_private import Watch
from lwd_ros.nodes.streams import LATCHED, RELIABLE
from lwd_ros.policy import Policy, PolicyLayout
from lwd_ros.reading import read_yaml
from lwd_ros.resources import share_path

DISCOVERY_S = 30.0


def contract_at(rate_hz: float, folder: Path) -> Path:
    """The shipped contract with another control period, as a file."""
    content = read_yaml(share_path("config", "metaworld.yaml"), "a contract in YAML")
    content["period_s"] = 1.0 / rate_hz
    path = folder / f"contract_{rate_hz:g}hz.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def random_policy(contract: Contract, seed: int, hidden: tuple[int, ...] = (16, 16)) -> Policy:
    """A policy of the shipped ones' shape that reads every scalar; its weights are drawn, its commands are small."""
    rng = np.random.default_rng(seed)
    inputs, outputs = len(contract.observation), len(contract.command)
    layout = PolicyLayout((inputs, *hidden, outputs))
    return Policy(
        layout=layout,
        weights=rng.normal(scale=0.1, size=layout.parameters).astype(np.float32),
        observation_indices=np.arange(inputs),
        observation_mean=np.zeros(inputs),
        observation_std=np.ones(inputs),
        observation_minimum=np.full(inputs, -2.0),
        observation_maximum=np.full(inputs, 2.0),
        action_offset=np.zeros(outputs),
        action_scale=np.full(outputs, 0.1),
        contract_digest=contract.digest,
        model_digest="0" * 64,
        latent_digest="0" * 64,
        task="benchmark",
        seed=seed,
    )


@dataclass
class Exchange:
    """By stamp, the system clock in ns: when an observation's last message left, and when its last command came."""

    sent: dict[int, int] = field(default_factory=dict)
    answered: dict[int, int] = field(default_factory=dict)

    def latencies_s(self) -> np.ndarray:
        """Seconds from an observation's last message to its last command, in the order sent; infinite without one."""
        return np.array([(self.answered.get(stamp, np.inf) - sent) * 1e-9 for stamp, sent in self.sent.items()])

    def lost(self) -> int:
        """Observations that had no command before the next observation was sent."""
        order = list(self.sent.items())
        return sum(self.answered.get(stamp, np.inf) > after for (stamp, _), (_, after) in pairwise(order))


class Robot:
    """One cell's robot: the observation streams out, the command streams in, both timed by the middleware.

    `priority` is that of SCHED_FIFO for this process, 0 for none; `refusals` says where the system refused it. A
    command's time is the reception timestamp of DDS, so that this process's own Python is not measured.
    """

    def __init__(self, contract: Contract, namespace: str, domain: int, priority: int = 0):
        self.contract, self.period_ns = contract, round(contract.period_s * 1e9)
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain, args=[])
        self.node = Node(
            "robot",
            context=self.context,
            namespace=namespace,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        # With rclpy's own turns, two wait sets for every message, the robot would be what is late at 500 Hz.
        self._watch: Watch | None = None  # of all that the node has when it is first served
        self.on_answer: list[Callable[[], None]] = []
        """Called when a service has answered: a future's own callbacks would wait for a turn of rclpy's executor."""
        binding = contract.require_binding()
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self._observations = []
        for stream in binding.observation_streams:
            message, write = writer(message_class(stream.type, stream.topic), stream.fields)
            message.header.frame_id = stream.frame_id
            publisher = self.node.create_publisher(type(message), stream.topic, RELIABLE, event_callbacks=quiet)
            self._observations.append((publisher, message, write, stream.indices))
        self._parts: dict[int, int] = {}
        self._command_streams = len(binding.command_streams)
        self.exchange = Exchange()
        deaf = SubscriptionEventCallbacks(use_default_callbacks=False)
        for stream in binding.command_streams:
            self.node.create_subscription(
                message_class(stream.type, stream.topic), stream.topic, self._arrived, RELIABLE, event_callbacks=deaf
            )
        self._policy = self.node.create_publisher(PolicyWeights, "policy", LATCHED)
        self._stamp_ns = 1_000_000_000
        self._middle = np.array([0.5 * (s.minimum + s.maximum) for s in contract.observation])
        turned = [name[:-1].endswith("_q") for name in contract.observation_names]  # quaternions: all say no rotation
        self._middle[turned] = [float(name.endswith("w")) for name in np.array(contract.observation_names)[turned]]
        self._scatter = np.where(turned, 0.0, 0.01)
        self._rng = np.random.default_rng(0)
        self.refusals = request_scheduling(priority, ())

    @property
    def newest_stamp_ns(self) -> int:
        """Stamp of the observation sent last."""
        return self._stamp_ns

    @staticmethod
    def now_ns() -> int:
        """The system clock, which the middleware stamps receptions by."""
        return time.time_ns()

    def close(self) -> None:
        """Leave the domain."""
        if self._watch is not None:
            self._watch.close()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def offer(self, policy: Policy) -> None:
        """Publish a policy."""
        self._policy.publish(policy_to_message(policy, self.node.get_clock().now().to_msg()))

    def _arrived(self, message, info) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        parts = self._parts.pop(stamp, 0) + 1
        if parts < self._command_streams:
            self._parts[stamp] = parts
        elif stamp in self.exchange.sent:
            self.exchange.answered.setdefault(stamp, info["received_timestamp"])

    def observe(self) -> int:
        """Send one whole observation under the next stamp, which is returned."""
        self._stamp_ns += self.period_ns
        vector = self._middle + self._rng.normal(scale=self._scatter)
        stamp = to_stamp(self._stamp_ns)
        for _, message, write, places in self._observations:
            message.header.stamp = stamp
            write([vector[place] for place in places])
        for publisher, message, *_ in self._observations[:-1]:
            publisher.publish(message)
        publisher, message, *_ = self._observations[-1]
        self.exchange.sent[self._stamp_ns] = self.now_ns()
        publisher.publish(message)
        return self._stamp_ns

    def connect(self) -> None:
        """Send observations until one is answered; TimeoutError when nobody answers."""
        end = time.monotonic() + DISCOVERY_S
        self.exchange = Exchange()
        while not self.exchange.answered:
            if time.monotonic() > end:
                raise TimeoutError(f"no command for any observation within {DISCOVERY_S:g} s")
            self.observe()
            self.spin_until(time.monotonic() + 0.05)

    def spin_until(self, end: float) -> None:
        """Serve callbacks until `end`, s of the monotonic clock."""
        if self._watch is None:
            self._watch = Watch(self.executor, lambda entity: True)
        while (left := end - time.monotonic()) > 0:
            for ready in self._watch.look(left):
                ready()
                if isinstance(ready.entity, Client):
                    for look in self.on_answer:
                        look()

    def spin_for(self, seconds: float) -> None:
        """Serve callbacks for a while."""
        self.spin_until(time.monotonic() + seconds)

    def run(self, seconds: float, between=None) -> Exchange:
        """Send observations at the contract's rate, on absolute deadlines, for so many seconds.

        `between(i)` is called after observation number i has been sent.
        """
        self.exchange = exchange = Exchange()
        start, count = time.monotonic(), round(seconds / self.contract.period_s)
        for i in range(count):
            self.spin_until(start + i * self.contract.period_s)
            self.observe()
            if between is not None:
                between(i)
        self.spin_until(time.monotonic() + 0.1)
        return exchange


def benchmark_environment() -> tuple[dict[str, str], int]:
    """The environment of a benchmark's nodes, and its ROS domain, which this process keeps to as well."""
    environment = isolated_environment()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = environment["ROS_AUTOMATIC_DISCOVERY_RANGE"]
    return environment, int(environment["ROS_DOMAIN_ID"])

"""A robot's driver without the robot: `python -m fake_robot KIND FILE` speaks the topics of one kind of robot.

It publishes what the real driver publishes, with its quality of service, and follows commands in a small simulation.
All that it sends and receives goes to FILE, one JSON object a line, with the time of the steady clock in ns:

    {"t": ..., "sent": TOPIC, "stamp": ns, "seen": {NAME: number or list}}     what a contract should read from it
    {"t": ..., "received": TOPIC, "values": {NAME: number}, "stamp": ns, ...}  what the driver understood

Messages are filled and read by plain code, without the contract and without lwd_ros: a fault there shows here. Texts on
/fake_robot/control change what it does: `silent` and `speak` (observations), `forbid` and `permit` (permission).
"""

import contextlib
import json
import sys
import time
from typing import TextIO

import rclpy
from fake_robot_kinds import KINDS
from fake_robot_parts import RELIABLE, Input, Kind, Output, State
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

CONTROL = "/fake_robot/control"


def stamps_of(message) -> list:
    """The places of the stamps of a message."""
    if hasattr(message, "transforms"):
        return [transform.header for transform in message.transforms]
    return [message.header] if hasattr(message, "header") else []


class Driver(Node):
    """The node that runs a kind."""

    def __init__(self, kind: Kind, file: TextIO):
        super().__init__("driver")
        self.kind, self.state, self.silent = kind, State(dict(kind.start)), False
        self.file = file
        self.publishers_ = {o: self.create_publisher(o.type, o.topic, o.qos) for o in (*kind.outputs, *kind.latched)}
        self.due = dict.fromkeys(kind.outputs, 0.0)
        for entry in kind.inputs:
            self.create_subscription(entry.type, entry.topic, lambda m, e=entry: self.on_command(e, m), entry.qos)
        self.create_subscription(String, CONTROL, self.on_control, RELIABLE)
        for output in kind.latched:
            self.send(output)

    def write(self, **entry) -> None:
        print(json.dumps({"t": time.monotonic_ns(), **entry}), file=self.file)

    def on_control(self, message: String) -> None:
        if message.data in ("silent", "speak"):
            self.silent = message.data == "silent"
        else:
            self.state.permitted = message.data == "permit"
            for output in self.kind.latched:
                self.send(output)
        self.write(control=message.data)

    def on_command(self, entry: Input, message) -> None:
        values, details = entry.read(message)
        for header in stamps_of(message):
            details |= {"stamp": header.stamp.sec * 10**9 + header.stamp.nanosec, "frame": header.frame_id}
        self.write(received=entry.topic, values=values, now=time.time_ns(), **details)
        self.state.commands |= values

    def send(self, output: Output) -> None:
        message, seen = output.fill(self.state)
        stamp = time.time_ns()
        for header in stamps_of(message):
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        self.write(sent=output.topic, stamp=stamp, seen=seen)
        self.publishers_[output].publish(message)

    def tick(self, now: float, dt: float) -> None:
        self.kind.step(self.state, dt)
        for output, due in self.due.items():
            if now >= due:
                self.due[output] = max(due + 1.0 / output.rate_hz, now)
                if not self.silent:
                    self.send(output)


def main() -> None:
    rclpy.init()
    with open(sys.argv[2], "w", encoding="utf-8", buffering=1) as file:
        driver = Driver(KINDS[sys.argv[1]], file)
        executor = SingleThreadedExecutor()
        executor.add_node(driver)
        before = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
            while rclpy.ok():
                executor.spin_once(timeout_sec=max(0.0, min(driver.due.values()) - time.monotonic()))
                now = time.monotonic()
                driver.tick(now, now - before)
                before = now


if __name__ == "__main__":
    main()

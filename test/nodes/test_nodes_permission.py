"""Pins in real processes that a robot moves while its permission streams say so, and what is told where they do not."""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes_support import Cell, driver
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig_support import Rig, array_in, array_out, contract_of, numbers
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool, Float64MultiArray

from lwd_msgs.msg import ControllerStatus

WAITING, CONTINUE = ControllerStatus.OUTCOME_WAITING, ControllerStatus.OUTCOME_CONTINUE
STOPPED, FORBIDDEN = ControllerStatus.OUTCOME_STOPPED, ControllerStatus.OUTCOME_FORBIDDEN
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DEADMAN = {"topic": "/joy", "type": "sensor_msgs/msg/Joy", "field": "buttons[4]", "equals": 1, "stale_after_s": 0.3}
RELEASED = {"topic": "/released", "type": "std_msgs/msg/Bool", "field": "data", "equals": True, "latched": True}


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as cell:
        yield cell


class Guarded:
    """A robot that observes all the time and has a deadman button, pressed or not or silent (None)."""

    def __init__(self, cell: Cell, *streams: dict, **more):
        permission = {"streams": list(streams), **more}
        content = contract_of([array_in("state", "a")], [array_out("command", "u")], permission=permission)
        self.cell, self.rig, self.button = cell, Rig(cell, content), None
        self.state, self.joy = self.rig.publish(Float64MultiArray, "state"), self.rig.publish(Joy, "/joy")
        self.commands: list[tuple[float, float]] = []  # when it came, s of the steady clock, and what it says
        cell.subscribe(Float64MultiArray, "command", self.on_command)
        self.diagnostics: list[DiagnosticStatus] = []
        cell.subscribe(DiagnosticArray, "/diagnostics", lambda message: self.diagnostics.extend(message.status))
        self.rig.robot = self.send

    def on_command(self, message: Float64MultiArray) -> None:
        self.commands.append((time.monotonic(), message.data[0]))

    def send(self) -> None:
        self.state(numbers(0.5))
        if self.button is not None:
            self.joy(Joy(buttons=[0, 0, 0, 0, self.button]))

    def assert_safe_for_a_second_then_nothing(self) -> None:
        """The safe command now, for about a second, and nothing after it."""
        self.cell.wait("the safe command", lambda: self.commands and self.commands[-1][1] == 0.0, 3.0)
        self.cell.spin(1.6)
        count = len(self.commands)
        self.cell.spin(0.5)
        assert len(self.commands) == count
        first = next(at for at, value in reversed(self.commands) if value != 0.0)
        assert 0.7 < self.commands[-1][0] - first < 1.5

    def wait_diagnostic(self, level: bytes, words: str) -> None:
        self.cell.wait(words, lambda: any(d.level == level and words in d.message for d in self.diagnostics), 5.0)


def test_a_deadman_button_permits_and_a_new_policy_must_be_asked_for_after_it(cell):
    robot = Guarded(cell, DEADMAN)
    rig = robot.rig
    reason = "no permission: /joy: nothing received"
    rig.offer([[1.0]])
    cell.wait("the reason", lambda: reason in cell.controller.reason, 10.0)
    cell.wait("a log line", lambda: f"'rows' waits: {reason}" in rig.log(), 10.0)
    robot.button = 0
    refusal = "no permission: /joy: found buttons[4] = 0, expected 1"
    cell.wait("the reason", lambda: refusal in cell.controller.reason, 10.0)
    assert not robot.commands and cell.controller.outcome == WAITING
    robot.button = 1
    rig.wait_outcome(CONTINUE)
    cell.wait("commands", lambda: robot.commands and robot.commands[-1][1] == 0.5)
    robot.button = 0
    status = rig.wait_outcome(FORBIDDEN)
    assert status.reason == refusal
    robot.assert_safe_for_a_second_then_nothing()
    assert f"forbidden: {refusal}; a new policy must be asked for then" in rig.log()
    robot.wait_diagnostic(DiagnosticStatus.WARN, refusal)
    robot.button = 1
    rig.wait_outcome(STOPPED)
    assert "forbidden ended after" in rig.log()
    count = len(robot.commands)
    cell.spin(0.3)
    assert len(robot.commands) == count
    rig.run([[0.5]])
    cell.wait("commands", lambda: robot.commands[-1][1] == 0.25)
    robot.button = None  # and no word more
    status = rig.wait_outcome(FORBIDDEN)
    assert status.reason.startswith("no permission: /joy: silent for 0.")
    robot.wait_diagnostic(DiagnosticStatus.ERROR, "no permission: /joy: silent for ")
    cell.wait("the stream", lambda: "/joy" in cell.controller.missing_streams, 3.0)


def test_a_latched_permission_ends_with_its_publisher_and_resumes_with_it(cell):
    robot = Guarded(cell, RELEASED, after_loss="resume")
    rig = robot.rig
    rig.wait_reason("/released: no permission received (no publisher)")
    for _ in range(2):
        with driver(cell, "safety") as node:
            publisher = node.create_publisher(Bool, "/released", LATCHED)
            publisher.publish(Bool(data=True))
            if cell.controller.outcome == WAITING:
                rig.offer([[1.0]])
            rig.wait_outcome(CONTINUE)
            cell.spin(0.5)
            assert cell.controller.outcome == CONTINUE  # it does not age
        status = rig.wait_outcome(FORBIDDEN)
        assert status.reason == "no permission: /released: its publisher is gone"
        robot.assert_safe_for_a_second_then_nothing()
    assert "the policy goes on when it is back" in rig.log()
    assert rig.log().count("'rows' waits for an observation") == 1


def test_a_permission_that_cannot_arrive_is_named(cell):
    robot = Guarded(cell, RELEASED)
    with driver(cell, "safety") as node:
        node.create_publisher(Bool, "/released", 10)
        sentence = "/released: no permission received (a publisher's QoS is incompatible: durability)"
        robot.rig.wait_reason(sentence)
        cell.wait("the log line", lambda: sentence in robot.rig.log(), 3.0)


def test_a_policy_that_was_under_way_when_permission_was_lost_never_runs(cell):
    """It is generated slowly: asked for before the emergency stop, published after it."""
    robot = Guarded(cell, DEADMAN)
    rig, robot.button = robot.rig, 1
    rig.run([[1.0]])
    requested = cell.node.get_clock().now().to_msg()
    cell.spin(0.3)
    robot.button = 0
    rig.wait_outcome(FORBIDDEN)
    late = rig.offer([[0.5]], requested=requested)
    cell.wait("the refusal", lambda: cell.controller.rejected_policy_id == late, 5.0)
    assert "before the last stop" in cell.controller.rejected_reason
    robot.button = 1
    rig.wait_outcome(STOPPED)
    count = len(robot.commands)
    cell.spin(1.5)
    assert all(value == 0.0 for _, value in robot.commands[count:])


def test_a_permission_that_cannot_be_read_is_no(cell):
    """A gamepad that was plugged in anew may have fewer buttons."""
    robot = Guarded(cell, DEADMAN)
    rig, robot.button = robot.rig, 1
    rig.run([[1.0]])
    began = time.monotonic()
    robot.send = lambda: (robot.state(numbers(0.5)), robot.joy(Joy(buttons=[1])))
    rig.robot = robot.send
    rig.wait_outcome(FORBIDDEN)
    assert "found buttons[4] = nan" in cell.controller.reason, (cell.controller.reason, time.monotonic() - began)


def test_of_two_publishers_of_a_latched_permission_the_one_that_goes_takes_it_along(cell):
    robot = Guarded(cell, RELEASED)
    with driver(cell, "panel") as panel:
        panel.create_publisher(Bool, "/released", LATCHED)
        with driver(cell, "safety") as node:
            node.create_publisher(Bool, "/released", LATCHED).publish(Bool(data=True))
            cell.wait(
                "a line", lambda: "/released: published by" in robot.rig.log() and "/panel" in robot.rig.log(), 10.0
            )
            robot.rig.run([[1.0]])
        assert robot.rig.wait_outcome(FORBIDDEN).reason == "no permission: /released: its publisher is gone"

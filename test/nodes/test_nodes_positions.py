"""Pins in real processes what is sent to joints under position control: never 0, and the measured pose at rest."""

import signal

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nodes_support import Cell
from rig_support import JOINTS, PERIOD_S, Rig, contract_of, joints
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import ControllerStatus
from lwd_ros.nodes.conversions import to_nanoseconds

HOLD, STOPPED = ControllerStatus.OUTCOME_HOLD, ControllerStatus.OUTCOME_STOPPED
NAMES, SLEW = ("joint4", "joint6"), 0.5
STEP = SLEW * PERIOD_S + 1e-9
TRAJECTORY = {
    "topic": "/arm_controller/joint_trajectory",
    "type": "trajectory_msgs/msg/JointTrajectory",
    "frame_id": "",
    "stamp": "zero",
    "constants": {"joint_names": list(NAMES), "points[0].time_from_start": 0.1},
    "fields": {f"{name}_target": f"points[0].positions[{name}]" for name in NAMES},
}


class Arm:
    """Joints whose limits leave 0 out; they follow what is commanded unless something holds them."""

    def __init__(self, cell: Cell):
        limits = {"joint4": [-3.07, -0.07], "joint6": [0.5, 3.75]}  # as those of a Franka
        scalars = {name: {"limits": limits[name]} for name in NAMES}
        for name in NAMES:
            scalars[f"{name}_target"] = {
                "unit": "rad",
                "limits": limits[name],
                "slew_per_s": SLEW,
                "rest": name,
            }
        observed = {"topic": "/joint_states", "type": JOINTS, "fields": {name: f"position[{name}]" for name in NAMES}}
        self.cell, self.rig = cell, Rig(cell, contract_of([observed], [TRAJECTORY], scalars=scalars))
        self.measured, self.publish = [-2.0, 2.0], self.rig.publish(JointState, "/joint_states")
        self.messages: list[JointTrajectory] = []
        cell.subscribe(JointTrajectory, TRAJECTORY["topic"], self.on_command, 1000)
        self.rig.robot = self.send

    def on_command(self, message: JointTrajectory) -> None:
        self.messages.append(message)

    def send(self) -> None:
        self.publish(joints(NAMES, self.measured))

    @property
    def commands(self) -> list[list[float]]:
        return [list(message.points[0].positions) for message in self.messages]

    def wait_more(self, count: int = 5) -> None:
        before = len(self.messages)
        self.cell.wait("commands", lambda: len(self.messages) >= before + count, 10.0)

    def assert_begins_where_it_is(self, bias: list[float]) -> None:
        """The first command of a policy that wants to go to `bias` is within one slew of what is measured."""
        del self.messages[:]
        self.rig.run([[0, 0], [0, 0]], bias)
        self.cell.wait("a command", lambda: self.messages, 5.0)
        for command, measured in zip(self.commands[0], self.measured, strict=True):
            assert abs(command - measured) <= STEP, (command, measured)

    def assert_rests_at(self, pose: list[float]) -> None:
        assert self.commands[-1] == pytest.approx(pose, abs=1e-9)

    def assert_never_zero_and_never_a_jump(self) -> None:
        assert all(-3.07 <= first <= -0.07 and 0.5 <= second <= 3.75 for first, second in self.commands)
        for before, after in zip(self.commands, self.commands[1:], strict=False):
            # Messages may be lost on a busy machine, the receiver keeps 1000: none are here.
            assert all(abs(a - b) <= STEP for a, b in zip(before, after, strict=True)), (before, after)


@pytest.fixture
def arm(tmp_path):
    with Cell(tmp_path) as cell:
        yield Arm(cell)


def test_positions_begin_and_end_where_the_robot_is_measured(arm):
    arm.assert_begins_where_it_is([-0.1, 3.7])
    arm.wait_more(20)
    first = arm.messages[0]
    assert list(first.joint_names) == list(NAMES) and to_nanoseconds(first.header.stamp) == 0
    (point,) = first.points
    assert to_nanoseconds(point.time_from_start) == 100_000_000
    assert (len(point.positions), len(point.velocities), len(point.accelerations), len(point.effort)) == (2, 0, 0, 0)
    assert arm.commands[-1] != arm.commands[0]
    # The arm stands still all the while, and so it rests where it is, not where it was sent.
    arm.rig.robot = lambda: None
    arm.rig.wait_outcome(HOLD)
    arm.cell.wait("the measured pose", lambda: arm.commands[-1] == pytest.approx([-2.0, 2.0], abs=1e-9), 10.0)
    arm.rig.robot = arm.send
    arm.wait_more(10)
    assert arm.cell.call(Trigger, "policy_controller/stop").success
    arm.rig.wait_outcome(STOPPED)
    arm.cell.wait("the measured pose", lambda: arm.commands[-1] == pytest.approx([-2.0, 2.0], abs=1e-9), 10.0)
    arm.cell.spin(1.2)
    arm.assert_never_zero_and_never_a_jump()


def test_an_arm_that_was_moved_by_hand_is_commanded_from_where_it_is(arm):
    arm.cell.spin(0.3)
    arm.measured = [-1.0, 1.0]  # between activation and the request
    arm.cell.spin(0.2)
    arm.assert_begins_where_it_is([-0.1, 3.7])
    assert arm.cell.call(Trigger, "policy_controller/stop").success
    arm.cell.spin(1.5)
    arm.assert_never_zero_and_never_a_jump()
    arm.measured = [-2.5, 3.0]  # and after a stop
    arm.cell.spin(0.2)
    arm.assert_begins_where_it_is([-0.1, 3.7])
    arm.assert_never_zero_and_never_a_jump()


@pytest.mark.parametrize("end", ["deactivate", "interrupt"])
def test_an_end_leaves_the_arm_where_it_is(arm, end):
    arm.assert_begins_where_it_is([-0.1, 3.7])
    arm.wait_more(5)
    if end == "interrupt":
        arm.rig.process.send_signal(signal.SIGINT)
        arm.cell.wait("the end", lambda: arm.rig.process.poll() is not None, 20.0)
        assert arm.rig.process.returncode == 0
    else:
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        assert arm.cell.call(ChangeState, "policy_controller/change_state", request).success
    arm.cell.spin(0.3)
    count = len(arm.messages)
    arm.cell.spin(0.3)
    assert len(arm.messages) == count
    arm.assert_never_zero_and_never_a_jump()
    reached = max(abs(a - b) for command in arm.commands for a, b in zip(command, arm.measured, strict=True))
    left = max(abs(a - b) for a, b in zip(arm.commands[-1], arm.measured, strict=True))
    assert left < reached  # on its way back to where it is measured, under the slew limit

"""Each contract of config/robots with a driver that speaks as the robot's own: what arrives there, to the number.

The drivers are fakes (fake_robot.py), written without our code for contracts; no real robot was at hand.
"""

from itertools import pairwise

import pytest
from fake_robot_kinds import KINDS
from nodes_support import Cell
from robots_support import FakeRobot
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus

ROBOTS = [
    "ur5e_positions",
    "ur5e_trajectory",
    "ur5e_servo",
    "franka_fr3",
    "so101",
    "turtlebot4",
    "turtlebot3",
    "unitree_go2",
    "drone",
]
FLOAT32 = ("std_msgs/msg/Float32",)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_robots_driver_receives_what_the_policy_commands(name, tmp_path):
    """Commands are the policy's for what was observed, never jump, and rest in silence, unpermitted, and at a stop."""
    if name not in KINDS:
        pytest.skip("tf2_msgs is not installed")
    with Cell(tmp_path) as cell:
        robot = FakeRobot(cell, name, KINDS[name].start)
        robot.offer(1)
        cell.spin(2.0)
        check_values(robot)
        check_messages(robot)

        robot.tell("silent")
        cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD, 5.0)
        cell.spin(0.5)
        check_rest(robot)
        robot.tell("speak")
        cell.wait_for_policy(robot.policy.policy_id)

        if robot.description.permission:
            robot.tell("forbid")
            cell.wait("no permission", lambda: cell.controller.outcome != ControllerStatus.OUTCOME_CONTINUE, 5.0)
            cell.spin(0.5)
            check_rest(robot)
            robot.tell("permit")
            robot.offer(2)

        response = cell.call(Trigger, "policy_controller/stop")
        assert response.success, response.message
        cell.spin(1.25)
        check_rest(robot)
        after = [len(robot.received(stream["topic"])) for stream in robot.description.commanded]
        cell.spin(0.4)
        assert [len(robot.received(stream["topic"])) for stream in robot.description.commanded] == after
        check_steps(robot)


def check_values(robot: FakeRobot) -> None:
    """Most commands are exactly the policy's for one of the last observations; the others are slew-limited."""
    for stream in robot.description.commanded:
        commands = robot.received(stream["topic"])
        assert len(commands) >= 1.2 / robot.description.period_s, f"{stream['topic']}: {len(commands)} commands"
        settled = commands[len(commands) // 2 :][-40:]
        tolerance = 1e-6 if stream["type"] in FLOAT32 else 1e-9
        equal = 0
        for command in settled:
            assert set(command["values"]) == set(stream["fields"])
            expected = map(robot.expected, robot.seen_before(command["t"]))
            equal += any(
                all(abs(value - wanted[name]) < tolerance for name, value in command["values"].items())
                for wanted in expected
            )
        assert equal >= 0.8 * len(settled), f"{stream['topic']}: {equal} of {len(settled)} are the policy's"


def check_messages(robot: FakeRobot) -> None:
    """Sizes, names, stamps and frames are what the driver asks for, and nothing else is filled in."""
    streams = robot.description.commanded
    received = [list(robot.received(stream["topic"])) for stream in streams]  # before what was sent: the robot goes on
    sent = {entry["stamp"] for entry in robot.entries() if "sent" in entry}
    for stream, commands in zip(streams, received, strict=True):
        constants = stream.get("constants", {})
        for command in commands:
            assert command.get("others", 0) == 0
            if "size" in command:
                assert command["size"] == len(stream["fields"])
            if "names" in command:
                names = constants.get("joint_names") or constants["name"]
                assert command["names"] == [robot.description.prefix + joint for joint in names]
            if "duration" in command:
                assert command["duration"] == pytest.approx(constants["points[0].time_from_start"], abs=1e-9)
            if "frame" in command:
                assert command["frame"] == stream["frame_id"]
                kind = stream.get("stamp", "observation")
                if kind == "zero":
                    assert command["stamp"] == 0
                elif kind == "now":
                    assert abs(command["now"] - command["stamp"]) < 200_000_000
                else:
                    assert command["stamp"] in sent


def check_rest(robot: FakeRobot) -> None:
    """The last command says: velocity 0, the joint where it was measured, or what was commanded before."""
    for stream in robot.description.commanded:
        commands = robot.received(stream["topic"])
        last, begin = commands[-1]["values"], commands[-1]["t"] - 3_000_000_000
        measured = [entry["seen"] for entry in robot.entries() if entry.get("seen") and entry["t"] > begin]
        for name, value in last.items():
            rest = robot.description.command[name]["rest"]
            if rest == "zero":
                assert value == 0.0
            elif rest == "keep":
                assert value == pytest.approx(commands[-2]["values"][name], abs=1e-6)
                assert value > 0.1
            else:
                assert min(abs(value - seen[rest]) for seen in measured if rest in seen) < 1e-9


def check_steps(robot: FakeRobot) -> None:
    """No position's command is further from the one before than the slew of a period; the first starts at the joint."""
    for stream in robot.description.commanded:
        commands = robot.received(stream["topic"])
        for name in stream["fields"]:
            entry = robot.description.command[name]
            if entry["rest"] in ("zero", "keep"):
                continue
            largest = entry["slew_per_s"] * robot.description.period_s + 1e-9
            values = [command["values"][name] for command in commands]
            first = min(abs(values[0] - seen[entry["rest"]]) for seen in robot.seen_before(commands[0]["t"]))
            assert first <= largest, f"{name} begins {first:g} from where it is"
            step = max(abs(b - a) for a, b in pairwise(values))
            assert step <= largest, f"{name} jumps by {step:g}"

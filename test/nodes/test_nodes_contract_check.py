"""Pins `lwd contract check --live`, as a process of its own beside a robot: rates, ranges, what is missing or wrong."""

import copy
import math
import subprocess
import sys
import time

import pytest
import yaml
from nodes_support import Cell
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64MultiArray, String

CONTRACT = {
    "name": "arm",
    "period_s": 0.02,
    "history": 1,
    "observation": {
        "elbow": {"unit": "rad", "limits": [-3.14, 3.14]},
        "force": {"unit": "N", "limits": [-10.0, 10.0], "size": 3},
    },
    "command": {"elbow_target": {"unit": "rad", "limits": [-3.0, 3.0], "slew_per_s": 1.0, "rest": "elbow"}},
    "binding": {
        "observation": {
            "sync": "latest",
            "streams": [
                {
                    "topic": "joint_states",
                    "type": "sensor_msgs/msg/JointState",
                    "stale_after_s": 0.5,
                    "fields": {"elbow": "position[elbow]"},
                },
                {
                    "topic": "forces",
                    "type": "std_msgs/msg/Float64MultiArray",
                    "stamp": "arrival",
                    "stale_after_s": 0.5,
                    "fields": {"force": "data"},
                },
            ],
        },
        "command": {
            "on_fault": "hold",
            "streams": [
                {
                    "topic": "arm/commands",
                    "type": "std_msgs/msg/Float64MultiArray",
                    "fields": {"elbow_target": "data[0]"},
                }
            ],
        },
        "permission": {
            "streams": [
                {
                    "topic": "deadman",
                    "type": "sensor_msgs/msg/Joy",
                    "field": "buttons[0]",
                    "above": 0.5,
                    "stale_after_s": 1.0,
                }
            ]
        },
    },
}
JOINTS, FORCES = CONTRACT["binding"]["observation"]["streams"]


class Arm:
    """A robot that publishes, and runs the check beside it."""

    def __init__(self, cell: Cell, folder):
        self.cell, self.file = cell, folder / "arm.yaml"
        self.elbow, self.stamped, self.pressed, self.names = (0.25, 0.75), 0.0, 1, ["wrist", "elbow"]
        self._steps = 0

    def sends(self, *topics: str, period_s: float = 0.02) -> "Arm":
        """Publish on these topics from now on, every `period_s`."""
        node = self.cell.node
        makers = {
            "joint_states": (JointState, self._joints),
            "forces": (Float64MultiArray, lambda: Float64MultiArray(data=[1.0, -2.0, 3.5])),
            "deadman": (Joy, lambda: Joy(buttons=[self.pressed])),
        }
        made = [(node.create_publisher(makers[topic][0], topic, 10), makers[topic][1]) for topic in topics]
        node.create_timer(period_s, lambda: [publisher.publish(make()) for publisher, make in made])
        return self

    def _joints(self) -> JointState:
        self._steps += 1
        message = JointState(name=self.names, position=[9.0, self.elbow[self._steps % 2]])
        seconds = time.time() + self.stamped
        message.header.stamp.sec = int(seconds)
        message.header.stamp.nanosec = int(1e9 * math.modf(seconds)[0])
        return message

    def receives(self, kind=Float64MultiArray, qos=10) -> "Arm":
        """Listen to commands."""
        self.commands = []
        self.cell.subscribe(kind, "arm/commands", self.commands.append, qos)
        return self

    def check(self, content=CONTRACT, *options: str, seconds: float = 3.0) -> tuple[int, str]:
        """Exit status and output of the command, which looks for so long."""
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        command = [sys.executable, "-m", "lwd_ros.cli", "contract", "check", str(self.file), "--live", str(seconds)]
        command += ["--namespace", self.cell.namespace, *options]
        with open(self.file.with_suffix(".txt"), "w+", encoding="utf-8") as output:
            process = subprocess.Popen(command, env=self.cell.environment, stdout=output, stderr=subprocess.STDOUT)
            try:
                self.cell.wait("the check's end", lambda: process.poll() is not None, 60.0)
            finally:
                process.kill()
            output.seek(0)
            text = output.read()
        assert "Traceback" not in text
        return process.returncode, text


@pytest.fixture
def arm(tmp_path):
    with Cell(tmp_path) as cell:
        yield Arm(cell, tmp_path)


def line_of(text: str, start: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(start))


def test_a_robot_that_is_as_the_contract_says_is_fine(arm):
    status, text = arm.sends("joint_states", "forces", "deadman").receives().check()
    assert status == 0, text
    assert "problem" not in text and "warning" not in text
    *_, topic, _, _, rate, hz, low, to, high, age, ms, count, reliable = line_of(text, "elbow ")
    assert topic == f"{arm.cell.namespace}/joint_states"
    assert (low, to, high, hz, ms, count, reliable) == ("0.25", "to", "0.75", "Hz", "ms", "1", "reliable")
    assert float(rate) == pytest.approx(50.0, rel=0.1)
    assert -1.0 < float(age) < 200.0
    assert "-2 to 3.5" in " ".join(line_of(text, "force (3)"))
    assert line_of(text, "elbow_target ")[-2:] == ["1", "reliable"]
    assert line_of(text, f"{arm.cell.namespace}/deadman")[-1] == "yes"
    assert arm.commands == []  # a look commands nothing


def test_what_lies_outside_or_is_off_is_said(arm):
    arm.elbow, arm.stamped, arm.pressed = (3.4, 3.5), -7200.0, 0
    arm.sends("joint_states", "forces", "deadman", period_s=0.05).receives()
    status, text = arm.check()
    assert status == 1
    assert "problem: elbow: observed 3.4 to 3.5 rad, limits [-3.14, 3.14]\n" in text
    assert text.count("problem: ") == 1
    assert "warning: joint_states: " in text and "Hz, the contract's period asks for 50 Hz\n" in text
    assert "warning: joint_states: stamps are 7200.0 s behind this computer's clock; synchronise the clocks" in text
    assert "warning: no permission: deadman: found buttons[0] = 0, expected above 0.5\n" in text
    assert line_of(text, f"{arm.cell.namespace}/deadman")[-1] == "no"


def test_a_rate_that_is_off_is_a_warning_alone(arm):
    status, text = arm.sends("joint_states", "forces", "deadman", period_s=0.04).receives().check()
    assert status == 0, text
    assert "warning: joint_states: 2" in text and "asks for 50 Hz" in text


def test_a_limit_of_staleness_that_the_rate_cannot_keep_is_a_warning(arm):
    content = copy.deepcopy(CONTRACT)
    content["binding"]["observation"]["streams"][0]["stale_after_s"] = 0.03
    status, text = arm.sends("joint_states", "forces", "deadman").receives().check(content)
    assert "warning: joint_states: stale_after_s 0.03 is less than two of its periods" in text, (status, text)


def test_topics_without_another_end_are_problems(arm):
    status, text = arm.sends("joint_states").check()
    assert status == 1
    here = arm.cell.namespace
    assert f"problem: forces: nothing received (no publisher of {here}/forces)\n" in text
    assert f"problem: no permission: deadman: nothing received (no publisher of {here}/deadman)\n" in text
    resolved = f"{arm.cell.namespace}/arm/commands"
    assert f"problem: arm/commands: nobody subscribes to {resolved}: commands would move nothing\n" in text
    assert text.count("problem: ") == 3
    assert line_of(text, "force (3)")[-1] == line_of(text, "elbow_target ")[-1] == "none"


def test_other_types_and_qualities_of_service_are_problems(arm):
    node = arm.cell.node
    text_publisher = node.create_publisher(String, "forces", 10)
    node.create_timer(0.02, lambda: text_publisher.publish(String(data="3 N")))
    arm.sends("joint_states", "deadman").receives(String)
    content = copy.deepcopy(CONTRACT)
    content["binding"]["observation"]["streams"][0]["qos"] = {"durability": "transient_local"}
    status, text = arm.check(content)
    assert status == 1
    assert "joint_states: nothing received (a publisher's QoS is incompatible: durability)\n" in text
    assert (
        "forces: nothing received (published as std_msgs/msg/String, expected std_msgs/msg/Float64MultiArray)" in text
    )
    assert "arm/commands: published as std_msgs/msg/Float64MultiArray, expected as std_msgs/msg/String by" in text
    assert text.count("problem: ") == 3, text


def test_others_that_command_and_a_second_robot_are_warned_of(arm):
    arm.sends("joint_states", "forces", "deadman").receives(qos=QoSProfile(depth=1, reliability=ReliabilityPolicy(2)))
    others = [arm.cell.node.create_publisher(Float64MultiArray, "arm/commands", 10)]
    others.append(arm.cell.node.create_publisher(JointState, "joint_states", 10))
    status, text = arm.check()
    name = f"{arm.cell.namespace}/test_client"
    assert status == 0, text
    assert f"warning: arm/commands is published by {name} already: expected the controller alone\n" in text
    assert f"warning: joint_states has 2 publishers, {name} (2 times): is one of them meant?\n" in text
    assert line_of(text, "elbow_target ")[-3:] == ["1", "best", "effort"]


def test_a_prefix_that_fits_nothing_is_named_with_the_closest_joint(arm):
    status, text = arm.sends("joint_states", "forces", "deadman").receives().check(CONTRACT, "--joint-prefix", "left_")
    assert status == 1
    sentence = "'left_elbow' is not among ['wrist', 'elbow'] of 'name' (did you mean 'elbow'?); the joint_prefix is"
    assert f"problem: joint_states: nothing received ('position[left_elbow]': {sentence} 'left_')\n" in text


def test_topics_can_be_remapped_and_wrong_rules_are_one_sentence(arm):
    content = copy.deepcopy(CONTRACT)
    content["binding"]["observation"]["streams"][0]["topic"] = "joints"
    arm.sends("joint_states", "forces", "deadman").receives()
    status, text = arm.check(content, "--remap", "joints:=joint_states")
    assert status == 0, text
    assert f"{arm.cell.namespace}/joint_states" in line_of(text, "elbow ")
    status, text = arm.check(content, "--remap", "joints:=", seconds=0.5)
    assert status == 1 and "problem: --namespace, --remap: failed to initialize rcl: Couldn't parse remap rule" in text


def test_a_type_that_is_not_installed_is_a_problem_before_any_look(arm):
    content = copy.deepcopy(CONTRACT)
    content["binding"]["observation"]["streams"][1]["type"] = "arm_driver_msgs/msg/Forces"
    status, text = arm.check(content, seconds=600.0)
    assert status == 1
    assert "problem: found no package for arm_driver_msgs/msg/Forces, expected it installed\n" in text
    assert "the topics were not looked at" in text


def test_the_controller_logs_the_table_at_debug_level(arm):
    arm.file.write_text(yaml.safe_dump(CONTRACT, sort_keys=False))
    arguments = arm.cell.ros_arguments({"contract_file": str(arm.file), "joint_prefix": "left_"})
    arm.sends("joint_states")
    log = ["--log-level", f"{arm.cell.namespace.strip('/')}.policy_controller:=debug"]
    arm.cell.start("policy_controller", "lwd_ros.nodes.policy_controller", [*arguments, *log])
    text = lambda: arm.cell.tail("policy_controller", 10_000)  # noqa: E731
    arm.cell.wait("the table", lambda: "the contract's streams:" in text())
    assert f"{arm.cell.namespace}/joint_states" in line_of(text(), "elbow ")
    assert "period 0.02 s (50 Hz), sync latest" in text()
    sentence = (
        "joint_states: nothing received ('position[left_elbow]': 'left_elbow' is not among ['wrist', 'elbow'] of 'name'"
    )
    arm.cell.wait(
        "the status",
        lambda: (
            arm.cell.controller
            and any(
                sentence in reason and "did you mean 'elbow'?" in reason and "joint_prefix is 'left_'" in reason
                for reason in arm.cell.controller.missing_reasons
            )
        ),
    )

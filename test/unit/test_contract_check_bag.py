"""Contracts that are compared with a recording: what it lacks, where its limits, gaps and rates do not fit."""

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
from bags_support import PERIOD_NS, START_NS, arm, entry, joints, write_mcap
from guess_support import confirmed, guessed, invoke, positions, scan, stamped, steps


@pytest.fixture
def checked(tmp_path):
    """Checks a recording against the contract that was guessed from `arm`."""
    contract = tmp_path / "arm.yaml"
    confirmed(contract, guessed(write_mcap(tmp_path / "arm.mcap", arm())))

    def check(entries):
        return invoke("contract", "check", contract, "--bag", write_mcap(tmp_path / "other.mcap", entries))

    return check


def test_what_a_recording_lacks_is_said(checked):
    without = checked([each for each in arm() if each[0] != "/cmd_vel"])
    assert without.exit_code == 1 and "/cmd_vel: found no topic /cmd_vel" in without.output
    result = checked([entry("/cmd_vel", stamped(step, START_NS), START_NS + step) for step in range(5)])
    assert "/cmd_vel: recorded as geometry_msgs/msg/TwistStamped, expected geometry_msgs/msg/Twist" in result.output


def test_another_robot_is_said_with_what_it_has(checked):
    result = checked(steps({"/scan": scan, "/joint_state": positions}))
    assert result.exit_code == 1 and "a recording of another robot?" in result.output
    assert "'/joint_state'" in result.output
    renamed = steps({"/joint_states": lambda step, ns: joints(ns, [0.1, 0.2], ["left_elbow", "left_wrist"])})
    assert "left_elbow" in checked(renamed).output


def test_limits_gaps_and_rates_are_said(checked):
    beyond = checked([*arm(), entry("/joint_states", joints(START_NS, [9.0, 0.0]), START_NS + 100 * PERIOD_NS)])
    assert beyond.exit_code == 1 and "elbow: recorded -0.9999 to 9 rad, limits [-1.2, 1.2]" in beyond.output
    hole = checked([each for each in arm() if not START_NS + 10**9 <= each[2] < START_NS + 1.4 * 10**9])
    assert hole.exit_code == 0
    assert "/joint_states: 1 gap longer than stale_after_s 0.1, the longest 420 ms from 0.98 s" in hole.output
    assert "/joint_states: recorded at 50.0 Hz, the contract runs at 25.0 Hz" in hole.output

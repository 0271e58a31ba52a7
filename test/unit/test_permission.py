"""Pins that a robot moves only while every permission stream of its contract says so."""

import copy

import pytest
from control_support import SHIPPED, Feeder, constant, offer, tick

from lwd_ros.contract import Contract, ContractError
from lwd_ros.control import ControllerCore, Forbidden, Running, Stopped, WaitingForObservation

DEADMAN = {"topic": "/joy", "type": "sensor_msgs/msg/Joy", "field": "buttons[4]", "equals": 1, "stale_after_s": 0.2}
MODE = {"topic": "/robot_mode", "type": "std_msgs/msg/Int8", "field": "data", "above": 6.5, "latched": True}


def permission_contract(*streams, **more) -> Contract:
    content = copy.deepcopy(SHIPPED)
    content["binding"]["permission"] = {"streams": list(streams), **more}
    return Contract.from_dict(content)


def begun(make_policy, *streams, **more):
    """(core, feeder) of a controller that has a policy and was asked nothing yet."""
    core = ControllerCore(permission_contract(*streams, **more))
    offer(core, constant(make_policy, [0.5, 0.0, 0.0, -1.0]))
    return core, Feeder(core)


def running(make_policy, *streams, **more):
    core, feeder = begun(make_policy, *streams, **more)
    for place in range(len(streams)):
        core.permit(place, 7.0 if streams[place] is MODE else 1.0, 0.0)
    for stamp in (1, 2, 3):
        tick(core, feeder, stamp)
    assert isinstance(core.mode, Running)
    return core, feeder


def test_permission_is_outside_the_digest(contract):
    assert permission_contract(DEADMAN).digest == contract.digest


def test_what_was_never_received_is_no(make_policy):
    core, feeder = begun(make_policy, DEADMAN)
    assert tick(core, feeder, 1) is None
    assert isinstance(core.mode, WaitingForObservation)
    assert core.mode.reason == "no permission: /joy: nothing received"
    core.permit(0, 1.0, feeder.now)
    assert tick(core, feeder, 2) is not None


def test_a_button_that_is_let_go_stops_at_once_and_after_a_second_nothing_is_sent(make_policy):
    core, feeder = running(make_policy, DEADMAN)
    command = core.permit(0, 0.0, feeder.now)
    assert (command.stamp_ns, command.vector.tolist()) == (0, [0.0, 0.0, 0.0, -1.0])
    assert isinstance(core.mode, Forbidden)
    assert core.mode.reason == "no permission: /joy: found buttons[4] = 0, expected 1"
    assert core.watch(feeder.now + 0.9) is not None
    assert core.watch(feeder.now + 1.1) is None
    assert tick(core, feeder, 4) is None


def test_a_permission_that_falls_silent_ends(make_policy):
    core, feeder = running(make_policy, DEADMAN)
    assert core.watch(feeder.now + 0.05) is None
    feeder.now += 0.3
    observation = feeder.observation(30)  # observations go on
    assert core.tick(observation, feeder.now).stamp_ns == 0
    assert core.mode.reason.startswith("no permission: /joy: silent for 0.3")


def test_after_a_loss_a_new_policy_must_be_asked_for(make_policy):
    core, feeder = running(make_policy, DEADMAN)
    core.permit(0, 0.0, feeder.now)
    core.permit(0, 1.0, feeder.now + 0.1)
    assert isinstance(core.mode, Stopped)
    assert core.mode.reason == "the permission is back; a new policy must be asked for"
    feeder.now += 0.1
    assert tick(core, feeder, 12) is None
    offer(core, constant(make_policy, [0.1, 0.0, 0.0, -1.0]))
    assert tick(core, feeder, 13) is not None


def test_a_deadman_button_lets_the_policy_go_on(make_policy):
    core, feeder = running(make_policy, DEADMAN, after_loss="resume")
    core.permit(0, 0.0, feeder.now)
    assert isinstance(core.mode, Forbidden)
    core.permit(0, 1.0, feeder.now + 0.1)
    feeder.now += 0.1
    assert tick(core, feeder, 12).vector[0] == pytest.approx(0.5)
    assert isinstance(core.mode, Running)


def test_a_policy_that_is_asked_for_without_permission_waits_for_it(make_policy):
    core, feeder = running(make_policy, DEADMAN)
    core.permit(0, 0.0, feeder.now)
    offer(core, constant(make_policy, [0.1, 0.0, 0.0, -1.0]))
    assert tick(core, feeder, 4) is None
    assert core.mode.reason == "no permission: /joy: found buttons[4] = 0, expected 1"
    core.permit(0, 1.0, feeder.now)
    assert tick(core, feeder, 5) is not None


def test_such_a_policy_does_not_wait_for_ever(make_policy):
    """Who releases the emergency stop ten minutes later does not expect a policy from then to run."""
    core, feeder = running(make_policy, DEADMAN)
    core.permit(0, 0.0, feeder.now)
    offer(core, constant(make_policy, [0.1, 0.0, 0.0, -1.0]))
    core.watch(feeder.now)
    assert core.watch(feeder.now + 9.0) is None and isinstance(core.mode, WaitingForObservation)
    core.watch(feeder.now + 11.0)
    assert isinstance(core.mode, Stopped)
    assert core.mode.reason == "no permission for 10 s (no permission: /joy: silent for 11.00 s); ask again with it"


def test_what_cannot_be_read_permits_nothing(make_policy):
    core, feeder = running(make_policy, MODE)
    assert core.permit(0, float("nan"), feeder.now).stamp_ns == 0


def test_a_message_that_waited_unread_is_as_old_as_it_is(make_policy):
    core, feeder = begun(make_policy, DEADMAN)
    core.permit(0, 1.0, feeder.now, late_s=3.0)
    assert tick(core, feeder, 1) is None


def test_a_repeated_stamp_is_not_answered_without_permission(make_policy):
    core, feeder = running(make_policy, DEADMAN)
    feeder.now += 0.25
    assert core.tick(feeder.observation(3), feeder.now).stamp_ns == 0


def test_a_latched_permission_does_not_age_and_ends_with_its_publisher(make_policy):
    core, feeder = running(make_policy, MODE)
    for stamp in range(4, 200):
        assert tick(core, feeder, stamp).stamp_ns
    assert core.revoke(0, feeder.now).stamp_ns == 0
    assert core.mode.reason == "no permission: /robot_mode: its publisher is gone"
    core.permit(0, 7.0, feeder.now)
    assert isinstance(core.mode, Stopped)


def test_a_publisher_that_goes_leaves_a_permission_that_ages(make_policy):
    """Of one that says yes every few milliseconds, another publisher may still be there."""
    core, feeder = running(make_policy, DEADMAN)
    assert core.revoke(0, feeder.now) is None
    assert isinstance(core.mode, Running)


def test_all_streams_must_say_yes(make_policy):
    core, feeder = begun(make_policy, DEADMAN, MODE)
    core.permit(0, 1.0, 0.0)
    assert tick(core, feeder, 1) is None
    core.permit(1, 6.0, 0.0)
    assert tick(core, feeder, 2) is None
    assert core.denied(feeder.now) == "no permission: /robot_mode: found data = 6, expected above 6.5"
    core.permit(1, 7.0, 0.0)
    assert tick(core, feeder, 3) is not None


def test_no_permission_outlives_its_activation(make_policy):
    core, feeder = running(make_policy, MODE)
    core.stop("deactivated", feeder.now)
    core.activate()
    offer(core, constant(make_policy, [0.1, 0.0, 0.0, -1.0]))
    assert tick(core, feeder, 4) is None
    assert core.mode.reason == "no permission: /robot_mode: nothing received"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"above": 0}, "found 'equals and above', expected one of equals, above, below"),
        ({"latched": True}, "found 'latched: true and stale_after_s', expected"),
        ({"stale_after_s": None}, "found None, expected a finite number"),
        ({"field": ""}, r"permission\.streams\[0\]\.field'"),
        ({"equals": "yes"}, "found 'yes', expected a finite number"),
        ({"topic": "a topic"}, "expected a ROS topic name"),
        ({"colour": 1}, "found 'colour', expected one of topic"),
    ],
)
def test_bad_permissions_are_refused(change, sentence):
    with pytest.raises(ContractError, match=sentence):
        permission_contract(DEADMAN | change)


def test_a_truth_is_compared_as_a_number(make_policy):
    stream = {"topic": "/ok", "type": "std_msgs/msg/Bool", "field": "data", "equals": True, "stale_after_s": 0.5}
    core, feeder = running(make_policy, stream)
    assert core.permit(0, 0.0, feeder.now).stamp_ns == 0


def test_a_latched_permission_keeps_its_quality_of_service_beside_a_depth(make_policy):
    (stream,) = permission_contract(MODE | {"qos": {"depth": 1}}).binding.permission_streams
    assert (stream.qos.reliability, stream.qos.durability, stream.qos.depth) == ("reliable", "transient_local", 1)


def test_a_prefix_is_in_front_of_the_names_of_permissions():
    stream = {"topic": "/arms", "type": "sensor_msgs/msg/JointState", "field": "effort[estop]", "above": 0.5}
    content = copy.deepcopy(SHIPPED)
    content["binding"] |= {"joint_prefix": "left_", "permission": {"streams": [stream | {"stale_after_s": 1.0}]}}
    (found,) = Contract.from_dict(content).binding.permission_streams
    assert found.field.path == "effort[left_estop]"

"""Pins what commands are at rest: position commands never jump, never go to 0 by themselves, and never ratchet down."""

import copy

import numpy as np
import pytest
from control_support import offer
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_ros.contract import KEEP, ZERO, CommandLimiter, Contract, ContractError, outputs_of
from lwd_ros.control import ControllerCore, Holding, Running, Stopped
from lwd_ros.policy import Policy, PolicyLayout

PERIOD_S, SLEW = 0.02, 1.5  # rad/s
JOINTS = ("shoulder", "elbow", "wrist")
ARM = {
    "name": "arm",
    "period_s": PERIOD_S,
    "history": 1,
    "observation": {
        **{joint: {"unit": "rad", "limits": [-3.2, 3.2]} for joint in JOINTS},
        "opening": {"unit": "m", "limits": [0.0, 0.1]},
    },
    "command": {
        # As of a Franka's fourth joint, the limits leave 0 out.
        **{
            f"{joint}_target": {"unit": "rad", "limits": [-3.0, -0.1], "slew_per_s": SLEW, "rest": joint}
            for joint in JOINTS
        },
        "gripper": {"unit": "m", "limits": [0.0, 0.1], "slew_per_s": 0.5, "rest": "keep"},
        "base": {"unit": "rad/s", "limits": [-1.0, 1.0], "slew_per_s": 20.0, "rest": "zero"},
    },
    "binding": {
        "observation": {
            "sync": "same_stamp",
            "streams": [
                {
                    "topic": "/joint_states",
                    "type": "sensor_msgs/msg/JointState",
                    "stale_after_s": 0.1,
                    "fields": {**{joint: f"position[{joint}]" for joint in JOINTS}, "opening": "position[finger]"},
                }
            ],
        },
        "command": {
            "on_fault": "hold",
            "streams": [
                {
                    "topic": "/commands",
                    "type": "std_msgs/msg/Float64MultiArray",
                    "fields": {
                        name: f"data[{place}]"
                        for place, name in enumerate([*(f"{joint}_target" for joint in JOINTS), "gripper", "base"])
                    },
                }
            ],
        },
    },
}
STEP = SLEW * PERIOD_S


def arm(relative_to: str | None = None, **binding) -> Contract:
    content = copy.deepcopy(ARM)
    content["binding"]["command"] |= binding
    if relative_to:
        for joint in JOINTS:
            content["command"][f"{joint}_target"]["relative_to"] = joint if relative_to == "measured" else relative_to
    return Contract.from_dict(content)


def constant(contract: Contract, output) -> Policy:
    """A policy that always has the same output."""
    layout = PolicyLayout((1, len(contract.command)))
    values = {
        "observation_mean": [0.0],
        "observation_std": [1.0],
        "observation_minimum": [-9.0],
        "observation_maximum": [9.0],
    }
    return Policy(
        layout=layout,
        weights=np.zeros(layout.parameters),
        observation_indices=np.array([0]),
        action_offset=np.asarray(output, dtype=float),
        action_scale=np.ones(len(contract.command)),
        contract_digest=contract.digest,
        model_digest="a" * 64,
        latent_digest="b" * 64,
        **{name: np.array(value) for name, value in values.items()},
    )


class Arm:
    """A core, and joints that follow what it commands as a soft servo does: `sag` below the target, `lag` behind it."""

    def __init__(self, contract: Contract, measured, sag: float = 0.0, lag: float = 0.0, policy_timeout_s: float = 0.0):
        self.core = ControllerCore(contract, policy_timeout_s)
        self.measured, self.sag, self.lag = np.array(measured, dtype=float), sag, lag
        self.now, self.stamp_ns, self.sent = 100.0, 0, None
        self.sent_s = self.now
        self.steps: list[float] = []

    def tick(self):
        """A period passes, and an observation arrives."""
        self.pass_time(PERIOD_S)
        self.stamp_ns += round(PERIOD_S * 1e9)
        values = np.append(self.measured, 0.05)
        observation = self.core.receive(0, self.stamp_ns, None, values, self.now)
        return self.take(observation and self.core.tick(observation, self.now))

    def watch(self):
        return self.take(self.core.watch(self.now))

    def pass_time(self, seconds: float) -> None:
        """The joints go on to where they were told, or stay where they are."""
        self.now += seconds
        if self.sent is not None:
            self.measured += (1.0 - self.lag) * (self.sent - self.sag - self.measured)

    def take(self, command):
        if command is not None:
            targets = command.vector[:3].copy()
            step = np.abs(targets - (self.measured if self.sent is None else self.sent))
            if self.now - self.sent_s > 0.2:  # a policy starts then where the joints are
                step = np.minimum(step, np.abs(targets - self.measured))
            self.steps.append(float(step.max()))
            self.sent, self.sent_s = targets, self.now
        return command

    def carry(self, measured) -> None:
        """A hand puts the joints elsewhere; the robot's own controller holds them there."""
        self.measured, self.sent = np.array(measured, dtype=float), None


def test_a_joint_whose_limits_leave_0_out_is_a_valid_command():
    assert arm().rests == ("shoulder", "elbow", "wrist", KEEP, ZERO)


def test_the_first_command_is_within_one_slew_of_where_the_joints_are():
    robot = Arm(arm(), [-1.0, -2.0, -0.5])
    offer(robot.core, constant(robot.core.contract, [-3.0, -0.1, -0.1, 0.1, 1.0]))
    command = robot.tick()
    assert command.vector[:3] == pytest.approx([-1.0 - STEP, -2.0 + STEP, -0.5 + STEP])


def test_a_start_beyond_the_limits_returns_under_the_slew_limit():
    robot = Arm(arm(), [0.5, -3.1, -1.0])
    offer(robot.core, constant(robot.core.contract, [-1.0, -1.0, -1.0, 0.0, 0.0]))
    assert robot.tick().vector[:3] == pytest.approx([0.5 - STEP, -3.1 + STEP, -1.0])


@pytest.mark.parametrize("end", ["stop", "silence", "timeout"])
def test_at_every_end_positions_hold_where_they_are_measured_and_0_is_never_sent(end):
    robot = Arm(arm(), [-1.0, -2.0, -0.5], lag=0.8, policy_timeout_s=0.3 if end == "timeout" else 0.0)
    offer(robot.core, constant(robot.core.contract, [-3.0, -0.1, -0.1, 0.1, 1.0]))
    for _ in range(12):
        robot.tick()
    measured = robot.measured.copy()
    if end == "stop":
        command = robot.take(robot.core.stop("~/stop was called", robot.now))
    else:
        robot.now += 0.2
        command = robot.watch()
    assert isinstance(robot.core.mode, Holding if end == "silence" else Stopped)
    assert command.vector[4] == 0.0 and command.vector[3] == pytest.approx(0.1)
    for _ in range(30):
        robot.now += PERIOD_S
        robot.watch()
    assert robot.sent == pytest.approx(measured)
    assert max(robot.steps) <= STEP + 1e-9


def test_after_a_stop_joints_that_a_hand_moved_are_measured_anew():
    robot = Arm(arm(), [-1.0, -2.0, -0.5])
    offer(robot.core, constant(robot.core.contract, [-1.0, -2.0, -0.5, 0.0, 0.0]))
    for _ in range(3):
        robot.tick()
    robot.take(robot.core.stop("asked to", robot.now))
    robot.now += 2.0
    assert robot.watch() is None
    robot.carry([-2.5, -0.3, -2.9])
    offer(robot.core, constant(robot.core.contract, [-1.0, -2.0, -0.5, 0.0, 0.0]))
    assert robot.tick().vector[:3] == pytest.approx([-2.5 + STEP, -0.3 - STEP, -2.9 + STEP])


ACTS = ("tick", "tick", "tick", "tick", "watch", "silence", "stop", "offer", "offer", "carry", "reactivate")


@settings(max_examples=1000)
@given(
    st.sampled_from((None, "measured", "command")),
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**16)), min_size=5, max_size=40),
)
def test_no_position_command_ever_jumps(relative_to, acts):
    """Random starts, stops, swaps, faults and hand-moved joints: no step is larger than one slew."""
    robot = Arm(arm(relative_to), [-1.0, -2.0, -0.5], sag=0.02, lag=0.7)
    contract = robot.core.contract
    offer(robot.core, constant(contract, [-1.0, -1.0, -1.0, 0.0, 0.0]))
    for act, number in acts:
        draw = np.random.default_rng(number)
        if act == "silence":
            robot.now += draw.uniform(0.0, 0.5)
            robot.watch()
        elif act == "stop":
            robot.take(robot.core.stop("asked to", robot.now))
        elif act == "offer":
            offer(robot.core, constant(contract, draw.uniform(-4.0, 4.0, 5)))
        elif act == "carry":
            if robot.core.mode.outcome.name not in ("STOPPED", "WAITING"):
                continue
            robot.now += 6.0  # the repetition of the safe command is over
            robot.carry(draw.uniform(-3.1, 3.1, 3))
        elif act == "reactivate":
            if isinstance(robot.core.mode, Stopped):
                robot.core.activate()
        else:
            getattr(robot, act)()
    assert not robot.steps or max(robot.steps) <= STEP + 1e-9


@settings(max_examples=40)
@given(
    st.sampled_from(("measured", "command")),
    st.floats(0.001, 0.1),
    st.floats(0.0, 0.95),
    st.lists(st.integers(1, 200), min_size=1, max_size=30),
)
def test_a_soft_arm_does_not_sink_through_holds_and_offsets_of_0(relative_to, sag, lag, stretches):
    """60 s of holds and of a policy that wants no motion: no more than the servo's static sag."""
    contract = arm(relative_to)
    robot = Arm(contract, [-1.0, -2.0, -0.5], sag=sag, lag=lag)
    start = robot.measured.copy()
    offer(robot.core, constant(contract, [0.0, 0.0, 0.0, 0.05, 0.0]))
    robot.tick()
    end, turn = robot.now + 60.0, 0
    while robot.now < end:
        holds = turn % 2
        for _ in range(stretches[turn % len(stretches)]):
            if holds:
                robot.pass_time(PERIOD_S)
                robot.watch()
            else:
                robot.tick()
        turn += 1
    assert np.abs(robot.measured - start).max() <= sag + 1e-9


def test_offsets_are_to_the_measured_place_or_to_the_last_command():
    for relative_to, second in (("measured", [-0.99, -1.99, -0.49]), ("command", [-0.98, -1.98, -0.48])):
        limiter = CommandLimiter(arm(relative_to))
        observation = np.array([-1.0, -2.0, -0.5, 0.05])
        for expected in ([-0.99, -1.99, -0.49], second):
            command = limiter.apply(np.array([0.01, 0.01, 0.01, 0.0, 0.0]), observation=observation)
            assert command[:3] == pytest.approx(expected)


@pytest.mark.parametrize("relative_to", [None, "measured", "command"])
def test_training_sees_the_offsets_that_the_robot_adds(relative_to):
    """Executed closed loop, the outputs made of commands give these commands again."""
    contract, rng = arm(relative_to), np.random.default_rng(2)
    observations = np.cumsum(rng.uniform(-0.01, 0.01, (50, 4)), axis=0) - 1.5
    commands = np.column_stack([observations[:, :3] + rng.uniform(-0.005, 0.005, (50, 3)), np.zeros((50, 2))])
    outputs, limiter = outputs_of(contract, commands, observations), CommandLimiter(contract)
    for output, observation, command in zip(outputs, observations, commands, strict=True):
        assert limiter.apply(output.copy(), observation=observation) == pytest.approx(command)


def test_rest_and_relative_to_belong_to_the_digest_where_they_are_said():
    plain = {key: value for key, value in copy.deepcopy(ARM).items() if key != "binding"}
    digests = {arm().digest, arm("measured").digest, arm("command").digest}
    plain["command"]["base"].pop("rest")
    digests.add(Contract.from_dict(plain).digest)
    assert len(digests) == 4
    assert Contract.from_dict(arm("measured").meaning()).digest == arm("measured").digest


def test_a_contract_that_does_not_say_keeps_its_digest(contract):
    assert contract.digest == "580b105cd0b3ebc00369aa9c8e9219641a1de78ab444828517cf889ae3c0b7c7"
    assert contract.rests == (ZERO, ZERO, ZERO, KEEP)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("command", "base", "rest"), "shoulder", r"command\.base\.rest': found 'shoulder', expected zero, keep or"),
        (("command", "elbow_target", "rest"), "elbw", r"elbow_target\.rest': found 'elbw', expected .*elbow"),
        (("command", "elbow_target", "rest"), "keep", r"elbow_target\.limits': found .* limits around 0"),
        (("command", "elbow_target", "relative_to"), "opening", r"relative_to': found 'opening', expected command or"),
        (("binding", "command", "on_fault"), "zero", r"on_fault': found 'zero', expected hold, for 'shoulder_target'"),
        (
            ("binding", "command", "keep_on_hold"),
            ["gripper"],
            r"keep_on_hold': found 'gripper', expected 'gripper' with",
        ),
    ],
)
def test_bad_rests_are_refused(path, value, sentence):
    content = copy.deepcopy(ARM)
    section = content
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(ContractError, match=sentence):
        Contract.from_dict(content)


def test_a_policy_runs_again_after_a_hold_from_where_the_joints_were_held():
    robot = Arm(arm(), [-1.0, -2.0, -0.5], lag=0.5)
    offer(robot.core, constant(robot.core.contract, [-3.0, -0.1, -0.1, 0.1, 0.0]))
    for _ in range(10):
        robot.tick()
    robot.now += 0.3
    robot.watch()
    held = robot.sent.copy()
    assert isinstance(robot.core.mode, Holding)
    robot.tick()
    assert isinstance(robot.core.mode, Running)
    assert np.abs(robot.sent - held).max() <= STEP + 1e-9


@pytest.mark.parametrize("reference", ["elbow", "command"])
def test_what_is_relative_says_where_it_rests(reference):
    """Else a stop would send 0 to what is probably a position."""
    content = copy.deepcopy(ARM)
    content["command"]["elbow_target"] |= {"relative_to": reference, "limits": [-3.0, 3.0]}
    del content["command"]["elbow_target"]["rest"]
    with pytest.raises(ContractError, match=r"elbow_target\.rest': found 'nothing', expected zero, keep or"):
        Contract.from_dict(content)


@pytest.mark.parametrize("name", ["zero", "keep", "command"])
def test_no_observed_scalar_has_the_name_of_a_rest(name):
    content = copy.deepcopy(ARM)
    content["observation"][name] = {"unit": "rad", "limits": [-3.2, 3.2]}
    with pytest.raises(ContractError, match=f"observation.{name}': found '{name}', expected another name"):
        Contract.from_dict(content)


def test_a_stop_goes_on_until_positions_are_where_they_were_measured():
    """The robot did not follow: the target is 1.5 rad away, which takes longer than a second."""
    robot = Arm(arm(), [-1.0, -2.0, -0.5], lag=1.0)
    offer(robot.core, constant(robot.core.contract, [-2.9, -2.0, -0.5, 0.0, 0.0]))
    for _ in range(100):
        robot.tick()
    assert robot.sent[0] == pytest.approx(-2.9)
    robot.take(robot.core.stop("asked to", robot.now))
    for _ in range(100):
        robot.now += PERIOD_S
        robot.watch()
    assert robot.sent == pytest.approx([-1.0, -2.0, -0.5]) and robot.core.at_rest
    robot.now += PERIOD_S
    assert robot.watch() is None


def test_at_rest_a_joint_outside_the_limits_stays_there():
    """A button that is let go must not make the arm move, not even back inside."""
    robot = Arm(arm(), [0.9, -2.0, -0.5])
    offer(robot.core, constant(robot.core.contract, [-1.0, -2.0, -0.5, 0.0, 0.0]))
    for _ in range(5):
        robot.tick()
    measured = robot.measured.copy()
    robot.take(robot.core.stop("asked to", robot.now))
    for _ in range(30):
        robot.now += PERIOD_S
        robot.watch()
    assert measured[0] > 0.5 and robot.sent == pytest.approx(measured)


def test_where_a_gripper_is_nobody_knows_so_its_first_command_is_not_slew_limited():
    robot = Arm(arm(), [-1.0, -2.0, -0.5])
    offer(robot.core, constant(robot.core.contract, [-1.0, -2.0, -0.5, 0.08, 0.0]))
    assert robot.tick().vector[3] == pytest.approx(0.08)  # open stays open
    offer(robot.core, constant(robot.core.contract, [-1.0, -2.0, -0.5, 0.0, 0.0]))
    assert robot.tick().vector[3] == pytest.approx(0.07)


def test_a_joint_target_without_rest_is_refused():
    content = copy.deepcopy(ARM)
    content["command"]["elbow_target"] = {"unit": "rad", "limits": [-3.0, 3.0], "slew_per_s": SLEW}
    with pytest.raises(ContractError, match=r"elbow_target\.rest': found 'nothing', expected the observed scalar"):
        Contract.from_dict(content)


@pytest.mark.parametrize("unit", ["rad/s", "N*m"])
def test_what_moves_a_robot_rests_at_no_measured_scalar(unit):
    """Else the base would drive on through a stop as fast as it was measured to."""
    content = copy.deepcopy(ARM)
    content["observation"]["speed"] = {"unit": unit, "limits": [-1.0, 1.0]}
    content["command"]["base"] |= {"unit": unit, "rest": "speed"}
    with pytest.raises(ContractError, match=r"base\.rest': found 'speed', expected zero: at a stop a command in"):
        Contract.from_dict(content)


def test_tightened_limits_leave_0_out_of_positions_alone():
    assert arm(limits={"elbow_target": [-2.0, -1.0]}).command_limits[:, 1].tolist() == [-2.0, -1.0]
    content = copy.deepcopy(ARM)
    del content["command"]["elbow_target"]["rest"]
    content["binding"]["command"]["limits"] = {"elbow_target": [-2.0, -1.0]}
    with pytest.raises(ContractError, match=r"elbow_target\.rest': found 'nothing', expected the observed scalar"):
        Contract.from_dict(content)

"""Pins the legged robots: what their gaits look like on the floor, when one has succeeded, how they switch."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from lwd_ros.environments import gl  # noqa: F401, before MuJoCo

pytest.importorskip("mujoco", reason="the simulators are not installed")

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments import registry
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import CAPABILITIES, SimulationError
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.gaits.gait import LEGS, OFFSETS, Gait, Walker
from lwd_ros.environments.gaits.walking import FAR_ENOUGH, JUDGED_STEPS
from lwd_ros.environments.messages import message_of
from lwd_ros.evaluation.gaits import contact_distance, pattern_names, return_ratio

ROBOTS = ("cheetah", "quadruped")
SIMULATORS = {name: registry.simulator(name) for name in ROBOTS}
CONTRACTS = {name: simulator.spec.contract() for name, simulator in SIMULATORS.items()}
GAITS = [(name, task) for name in ROBOTS for task in SIMULATORS[name].spec.tasks]
_MADE: dict = {}


def made(name: str, task: str):
    """An environment that tests share; every test resets it."""
    if (name, task) not in _MADE:
        _MADE[name, task] = SIMULATORS[name].make(task, CONTRACTS[name])
    return _MADE[name, task]


def test_each_robot_is_an_environment_with_six_gaits_or_more_and_what_they_share_is_none():
    assert {"cheetah", "quadruped"} <= set(registry.names()) and "gaits" not in registry.names()
    for name, simulator in SIMULATORS.items():
        tasks = simulator.spec.tasks
        assert len(tasks) >= 6 and all(task.startswith(f"{name}_") for task in tasks)
        kinds = {teacher.gait.coordination for teacher in simulator.teachers.values()}
        assert {"trot", "bound", "pronk"} <= kinds
        assert {teacher.direction for teacher in simulator.teachers.values()} == {1, -1}


@pytest.mark.parametrize(("name", "task"), GAITS)
def test_a_gait_goes_its_way_under_noise_and_its_feet_go_together_as_its_name_says(name, task):
    environment, teacher = made(name, task), SIMULATORS[name].teachers[task]
    noise = action_noise(CONTRACTS[name], 0.03, np.random.default_rng(1))
    done = run_episode(environment, ExpertActor(environment.expert()), 11, noise=noise, steps=200)
    assert not done.ended and done.total_reward == pytest.approx(environment.distance_m)
    assert done.total_reward > 0.6 * teacher.distance_m * 200 / environment.spec.episode_steps
    assert environment.contact_counts.sum() == 200
    patterns = np.arange(16)[:, None] >> np.arange(4) & 1
    contacts = np.repeat(patterns, environment.contact_counts, axis=0)
    together = np.equal.outer(*2 * [OFFSETS[teacher.gait.coordination]])
    correlation = np.corrcoef(contacts.T)
    assert correlation[together & ~np.eye(4, dtype=bool)].min() > 0.15
    assert together.all() or correlation[~together].max() < -0.15
    assert ((contacts.mean(axis=0) > 0.15) & (contacts.mean(axis=0) < 0.65)).all()


def test_a_teacher_has_no_memory_and_follows_from_what_is_observed():
    environment = made("quadruped", "quadruped_trot_forward")
    environment.reset(5)
    expert = environment.expert()
    for _ in range(40):
        environment.step(expert.command())
    seen, contract = environment.observe(), CONTRACTS["quadruped"]
    by_name = dict(zip(contract.observation_names, seen, strict=True))
    joints = [[f"{leg}_{joint}" for joint in ("hip", "thigh", "calf")] for leg in LEGS]
    posture = SimpleNamespace(
        positions=np.array([[by_name[joint] for joint in leg] for leg in joints]),
        velocities=np.array([[by_name[f"{joint}_velocity"] for joint in leg] for leg in joints]),
        **{key: by_name[key] for axis in ("roll", "pitch", "yaw") for key in (axis, f"{axis}_rate")},
    )
    walker = Walker(SIMULATORS["quadruped"].teachers["quadruped_trot_forward"].gait, has_hips=True)
    expected = np.clip(walker.targets(posture).ravel(), *contract.command_limits)
    assert expert.command() == pytest.approx(expected, abs=1e-9)
    assert np.array_equal(expert.command(), expert.command())


def test_several_gaits_at_once_are_each_by_itself():
    gaits = [teacher.gait for teacher in SIMULATORS["quadruped"].teachers.values()]
    rng = np.random.default_rng(0)
    numbers = {"positions": (4, 3), "velocities": (4, 3)}
    rows = [
        SimpleNamespace(
            **{key: rng.normal(size=shape) for key, shape in numbers.items()},
            **{f"{axis}{rate}": rng.normal() for axis in ("roll", "pitch", "yaw") for rate in ("", "_rate")},
        )
        for _ in gaits
    ]
    stacked = {key: np.array([vars(row)[key] for row in rows]) for key in vars(rows[0])}
    both = SimpleNamespace(**{k: v if k in numbers else v[:, None] for k, v in stacked.items()})
    together = Walker(gaits, has_hips=True).targets(both)
    alone = [Walker(gait, has_hips=True).targets(row) for gait, row in zip(gaits, rows, strict=True)]
    assert together == pytest.approx(np.array(alone))
    assert all(Gait.from_dict(gait.to_dict()) == gait for gait in gaits)


class Standing:
    def __init__(self, environment):
        self._environment = environment

    def command(self):
        return self._environment.start_command


def test_success_is_far_enough_and_on_its_feet_at_the_end():
    environment = made("cheetah", "cheetah_trot_forward")
    whole = environment.spec.episode_steps
    done = run_episode(environment, ExpertActor(environment.expert()), 3, extra_steps=whole - JUDGED_STEPS)
    assert done.first_success_step == JUDGED_STEPS and done.steps == whole and not done.ended
    teacher = SIMULATORS["cheetah"].teachers["cheetah_trot_forward"]
    assert environment.distance_m > FAR_ENOUGH * teacher.distance_m
    environment.reset(3)
    still = environment.start_command
    assert not any(environment.step(still) for _ in range(whole)) and not environment.ended
    assert abs(environment.distance_m) < 0.2


def test_a_robot_that_falls_ends_the_episode():
    environment = made("quadruped", "quadruped_bound_forward")
    environment.reset(0)
    limp = np.tile([0.8, 2.6, -2.6], 4)
    steps = next(step for step in range(200) if environment.step(limp) or environment.ended)
    assert environment.ended and steps > 2


def test_starts_differ_by_the_layout_and_touch_the_floor():
    for name in ROBOTS:
        environment = made(name, SIMULATORS[name].spec.tasks[0])
        starts = np.array([environment.reset(layout) for layout in range(50)])
        assert (starts[:, [CONTRACTS[name].observation_names.index("FL_thigh")]].std(axis=0) > 0.1).all()
        assert np.array_equal(environment.reset(7), starts[7])
        assert environment.start_command == pytest.approx(
            [starts[7][CONTRACTS[name].observation_names.index(scalar.rest)] for scalar in CONTRACTS[name].command]
        )


@pytest.mark.parametrize("name", ROBOTS)
def test_a_gait_takes_over_where_another_one_is(name):
    tasks = SIMULATORS[name].spec.tasks
    trot, bound = (made(name, f"{name}_{gait}_forward") for gait in ("trot", "bound"))
    assert trot.sharing() == tasks
    trot.reset(4)
    expert = trot.expert()
    for _ in range(60):
        trot.step(expert.command())
    before = trot.observe()
    assert bound.take_over(trot) == pytest.approx(before, abs=1e-12)
    assert bound.distance_m == 0.0 and bound.contact_counts.sum() == 0 and bound.layout == 4
    expert = bound.expert()
    for _ in range(150):
        bound.step(expert.command())
    assert not bound.ended and bound.distance_m > 0.5
    other = made(*next(each for each in GAITS if each[0] != name))
    with pytest.raises(SimulationError, match="cannot go on from"):
        trot.take_over(other)


def test_messages_are_whole_and_the_trunks_velocity_is_along_its_own_axes():
    environment = made("quadruped", "quadruped_trot_forward")
    environment.reset(2)
    expert = environment.expert()
    for _ in range(100):
        environment.step(expert.command())
    messages = environment.messages()
    imu, joints, odometry = (message_of(messages[topic]) for topic in ("imu", "joint_states", "odom"))
    assert joints.name[:3] == ["FL_hip_joint", "FL_thigh_joint", "FL_calf_joint"] and len(joints.effort) == 12
    assert imu.linear_acceleration_covariance[0] == -1.0
    assert odometry.twist.twist.linear.x > 0.3 and odometry.pose.pose.position.x > 0.5
    assert set(messages) == set(SIMULATORS["quadruped"].topics)
    has = {key for key, kind in CAPABILITIES.items() if isinstance(environment, kind)}
    assert has == {"expert", "take over", "render", "messages"}


def test_a_contract_of_other_commands_and_an_unknown_gait_are_refused_in_one_sentence():
    contract = CONTRACTS["cheetah"]
    fewer = replace(contract, command=contract.command[:-1], binding=None)
    with pytest.raises(ContractError, match=r"key 'command': found FL_thigh_target, .*, expected FL_thigh_target"):
        SIMULATORS["cheetah"].require_contract(fewer)
    with pytest.raises(SimulationError, match="task 'cheetah_gallop' is unknown; environment 'cheetah' has"):
        SIMULATORS["cheetah"].make("cheetah_gallop", contract)
    with pytest.raises(ContractError, match="contract 'quadruped': key 'command': found FL_hip_target"):
        SIMULATORS["cheetah"].require_contract(Contract.load(SIMULATORS["quadruped"].spec.contract_file))


def test_patterns_are_named_by_their_feet():
    names = pattern_names(LEGS)
    assert len(names) == 16 and names[0] == "none" and names[0b1001] == "FL+RR" and names[15] == "FL+FR+RL+RR"


def test_contacts_are_apart_by_the_jensen_shannon_distance():
    rng = np.random.default_rng(0)
    teacher = rng.multinomial(1000, [0.5, 0.3, 0.2, 0.0], size=20)
    same = contact_distance(rng.multinomial(1000, [0.5, 0.3, 0.2, 0.0], size=20), teacher)
    assert same["js_distance"] < 0.02 and same["floor"] < 0.02
    assert same["interval"][0] <= same["js_distance"] <= same["interval"][1]
    other = contact_distance(rng.multinomial(1000, [0.1, 0.3, 0.2, 0.4], size=20), teacher)
    assert other["js_distance"] == pytest.approx(jensenshannon([0.1, 0.3, 0.2, 0.4], [0.5, 0.3, 0.2, 0], 2), abs=0.02)
    assert other["floor"] < 0.02 < other["interval"][0]
    assert contact_distance(np.array([[5, 0]]), np.array([[0, 7]]))["js_distance"] == pytest.approx(1.0)


def test_a_return_is_counted_against_the_teachers():
    assert return_ratio([9.0, 11.0], [10.0, 10.0])["ratio"] == pytest.approx(1.0)
    half = return_ratio([5.0, 5.0, 5.0], [9.0, 10.0, 11.0])
    low, high = half["interval"]
    assert half["ratio"] == pytest.approx(0.5) and low < 0.5 < high

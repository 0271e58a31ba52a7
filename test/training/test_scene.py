"""Pins Metaworld behind the contract: observations in order and units, quaternions, visible goal, taken-over state."""

import inspect

import mujoco
import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, MT10_V3, MT50_V3

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.metaworld.experts import Expert
from lwd_ros.environments.metaworld.scene import ACTION_SCALE_M, EPISODE_STEPS, Scene, sharing
from lwd_ros.environments.metaworld.tasks import MT10, MT50, REVERSES, SCALAR_FIRST_QUATERNIONS


@pytest.fixture(scope="module")
def scenes(contract):
    """A function that builds each scene once; every test resets what it uses."""
    built = {}

    def scene(task: str) -> Scene:
        if task not in built:
            built[task] = Scene(task, contract)
        return built[task]

    return scene


def _named(scene: Scene, *names: str) -> np.ndarray:
    return scene.observe()[[scene.contract.observation_names.index(name) for name in names]]


def _rotation(xyzw) -> np.ndarray:
    x, y, z, w = xyzw
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.array([w, x, y, z]))
    return matrix.reshape(3, 3)


@pytest.mark.parametrize("task", MT10)
def test_observations_in_the_contracts_order_and_units(scenes, task):
    scene = scenes(task)
    scene.reset(11)
    for _ in range(3):
        scene.step(np.array([0.2, -0.1, 0.1, 1.0]))
    raw = scene.raw_observation
    assert scene.observe().shape == (21,)
    # Metaworld: hand, gripper, object 1 (position, quaternion), object 2, the same of the frame before, goal.
    assert _named(scene, "hand_x", "hand_y", "hand_z").tolist() == raw[:3].tolist()
    assert _named(scene, "hand_x", "hand_y", "hand_z") == pytest.approx(scene._env.get_endeff_pos(), abs=1e-9)
    assert _named(scene, "gripper_opening").tolist() == raw[3:4].tolist()
    assert _named(scene, "object_1_x", "object_1_y", "object_1_z").tolist() == raw[4:7].tolist()
    assert _named(scene, "object_2_x", "object_2_y", "object_2_z").tolist() == raw[11:14].tolist()
    assert _named(scene, "goal_x", "goal_y", "goal_z").tolist() == raw[36:39].tolist()
    for name, value, scalar in zip(
        scene.contract.observation_names, scene.observe(), scene.contract.observation, strict=True
    ):
        assert scalar.minimum <= value <= scalar.maximum, name


def test_the_order_is_the_contracts_and_not_metaworlds(contract):
    meaning = contract.meaning()
    meaning["observation"] = dict(reversed(meaning["observation"].items()))
    meaning["command"] = dict(reversed(meaning["command"].items()))
    backwards, forwards = Scene("reach-v3", Contract.from_dict(meaning)), Scene("reach-v3", contract)
    for scene, step in ((backwards, -1), (forwards, 1)):
        scene.reset(3)
        for _ in range(5):
            scene.step(np.array([0.5, 0.1, -0.2, 1.0])[::step])
    assert backwards.observe()[::-1].tolist() == forwards.observe().tolist()


def test_what_is_simulated_is_of_age_0_and_nothing_else_changes(contract):
    aged, plain = Scene("push-v3", contract.with_age(0.1)), Scene("push-v3", contract)
    for scene in (aged, plain):
        scene.reset(700_003)
        scene.step(np.array([0.3, 0.2, -0.1, 1.0]))
    assert aged.observe().tolist() == [*plain.observe().tolist(), 0.0]


def test_positions_are_measured_of_what_a_task_has(contract):
    absent = Scene("push-v3", contract).measured_positions
    assert [s.name for s, yes in zip(contract.observation, absent, strict=True) if yes] == [
        *(f"{thing}_{axis}" for thing in ("hand", "object_1", "goal") for axis in "xyz")
    ]
    both = Scene("stick-pull-v3", contract).measured_positions
    assert both.sum() == 12 and both[contract.observation_names.index("object_2_x")]


@pytest.mark.parametrize("task", MT10)
def test_quaternions_are_unit_and_scalar_last(scenes, task):
    scene = scenes(task)
    scene.reset(5)
    for number in (1, 2):
        found = _named(scene, *(f"object_{number}_{part}" for part in ("qx", "qy", "qz", "qw")))
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)
        raw = scene.raw_observation[7 * number : 7 * number + 4]
        if not raw.any():
            assert found.tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("task", "matrix"),
    [
        ("button-press-topdown-v3", lambda env: env.data.body("button").xmat),
        ("drawer-open-v3", lambda env: env.data.body("drawer_link").xmat),
        ("peg-insert-side-v3", lambda env: env.data.site("pegGrasp").xmat),
        ("push-v3", lambda env: env.data.geom("objGeom").xmat),
        ("door-open-v3", lambda env: env.data.geom("handle").xmat),
    ],
)
def test_quaternions_turn_as_the_object_does(scenes, task, matrix):
    scene = scenes(task)
    scene.reset(5)
    found = _rotation(_named(scene, "object_1_qx", "object_1_qy", "object_1_qz", "object_1_qw"))
    np.testing.assert_allclose(found, np.asarray(matrix(scene._env)).reshape(3, 3), atol=1e-5)


@pytest.mark.parametrize("task", sorted(ALL_V3_ENVIRONMENTS))
def test_the_list_of_scalar_first_tasks_is_metaworlds(task):
    source = inspect.getsource(ALL_V3_ENVIRONMENTS[task]._get_quat_objects)
    scalar_first = ".xquat" in source or "[1.0, 0.0, 0.0, 0.0]" in source  # MuJoCo's order; its identity
    scalar_last = ".as_quat()" in source  # SciPy's order
    padded = "np.zeros(4)" in source
    assert [scalar_first, scalar_last, padded].count(True) == 1
    assert (task in SCALAR_FIRST_QUATERNIONS) == scalar_first


def test_the_task_lists_name_tasks_of_metaworld():
    assert tuple(MT50_V3) == MT50
    assert tuple(MT10_V3) == MT10
    assert set(SCALAR_FIRST_QUATERNIONS) | set(REVERSES) <= set(ALL_V3_ENVIRONMENTS) == set(MT50)
    assert all(REVERSES[REVERSES[task]] == task for task in REVERSES)


@pytest.mark.parametrize("task", MT10)
def test_the_goal_is_visible_from_reset_on_and_stays(scenes, task):
    scene = scenes(task)
    goals = []
    for layout in (1, 2):
        goal = scene.reset(layout)[-3:].copy()
        assert goal.any()
        for _ in range(5):
            scene.step(np.array([0.1, 0.1, 0.1, -1.0]))
            assert scene.observe()[-3:].tolist() == goal.tolist()
        goals.append(goal.tolist())
    assert goals[0] != goals[1]


def test_a_velocity_moves_the_hand_by_velocity_times_time(scenes):
    scene = scenes("reach-v3")
    scene.reset(0)
    scale = ACTION_SCALE_M / scene.contract.period_s
    assert scale == pytest.approx(0.8)  # m/s, the limits of the contract
    for axis in range(3):
        scene.reset(0)
        target = scene.data.mocap_pos[0].copy()
        command = np.zeros(4)
        command[axis] = 0.4 if axis < 2 else -0.4
        scene.step(command)
        moved = scene.data.mocap_pos[0] - target
        expected = np.zeros(3)
        expected[axis] = command[axis] * scene.contract.period_s
        np.testing.assert_allclose(moved, expected, atol=1e-9)


def test_commands_beyond_the_limits_do_no_more_than_the_limits(contract):
    first, second = Scene("reach-v3", contract), Scene("reach-v3", contract)
    for _ in range(10):
        first.step(np.array([0.8, -0.8, 0.8, 1.0]))
        second.step(np.array([80.0, -80.0, 80.0, 100.0]))
    assert first.qpos.tolist() == second.qpos.tolist()


@pytest.mark.parametrize("task", ["pick-place-v3", "drawer-open-v3", "peg-insert-side-v3"])
def test_one_layout_gives_one_rollout(scenes, contract, task):
    def run(scene):
        trace = [scene.reset(123)]
        commands = np.random.default_rng(0).uniform(-0.8, 0.8, size=(30, 4))
        for command in commands:
            scene.step(command)
            trace.append(scene.observe())
        return np.array(trace)

    used, fresh = scenes(task), Scene(task, contract)
    used.reset(7)
    used.step(np.ones(4))
    assert run(used).tobytes() == run(fresh).tobytes() == run(used).tobytes()
    assert used.reset(123).tolist() != used.reset(124).tolist()


def test_the_scripted_expert_solves_a_layout_through_the_contracts_units(scenes):
    scene = scenes("drawer-close-v3")
    scene.reset(2)
    expert = Expert(scene)
    assert any(scene.step(expert.command()) for _ in range(EPISODE_STEPS))


def test_more_than_metaworlds_500_steps(scenes):
    scene = scenes("reach-v3")
    scene.reset(0)
    for _ in range(EPISODE_STEPS + 20):
        scene.step(np.zeros(4))
    goal = scene.observe()[-3:]
    scene.step(np.zeros(4))
    assert scene.observe()[-3:].tolist() == goal.tolist()
    assert np.isfinite(scene.observe()).all()


# Taking a state over


def _state(scene: Scene) -> np.ndarray:
    """Positions, velocities, time, controls and the hand's target."""
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS | mujoco.mjtState.mjSTATE_USER
    state = np.empty(mujoco.mj_stateSize(scene.model, kind))
    mujoco.mj_getState(scene.model, scene.data, state, kind)
    return state


@pytest.mark.parametrize("task", sorted(REVERSES))
def test_take_over_moves_nothing_and_changes_the_goal(scenes, task):
    before, after = scenes(task), scenes(REVERSES[task])
    after.reset(77)  # another layout, which must leave no trace
    before.reset(4)
    expert = Expert(before)
    for _ in range(60):
        before.step(expert.command())
    observed, layout, state = before.observe(), before.layout, _state(before)
    taken = after.take_over(before)

    assert after.qpos.tobytes() == before.qpos.tobytes()
    assert _state(after).tobytes() == state.tobytes()
    assert after.data.xpos.tobytes() == before.data.xpos.tobytes()
    assert after.layout == layout
    assert before.observe().tolist() == observed.tolist()  # and the giver is left alone
    names = after.contract.observation_names
    changed = {name for name, a, b in zip(names, observed, taken, strict=True) if abs(a - b) > 1e-9}
    assert not any(name.startswith(("hand", "gripper")) for name in changed)
    assert any(name.startswith("goal") for name in changed)
    if task.startswith(("drawer", "window")):
        # All turns are what they were; the goal lies 20 cm away along the rail, and each of two reverse tasks observes
        # its own point of the handle, 5 cm beside the other's.
        goal, handle = ("goal_y", "object_1_z") if task.startswith("drawer") else ("goal_x", "object_1_x")
        assert changed == {goal, handle}
        change = dict(zip(names, np.abs(taken - observed), strict=True))
        assert (change[goal], change[handle]) == pytest.approx((0.2, 0.05))

    # The goal belongs to the layout that was taken over: Metaworld's expert reaches it, by Metaworld's own success.
    expert = Expert(after)
    assert any(after.step(expert.command()) for _ in range(EPISODE_STEPS))


@pytest.mark.parametrize(
    ("task", "other"),
    [
        ("door-open-v3", "door-close-v3"),
        ("door-lock-v3", "door-unlock-v3"),
        ("faucet-open-v3", "faucet-close-v3"),
        ("handle-press-v3", "handle-pull-v3"),
        ("plate-slide-v3", "plate-slide-back-v3"),
        ("coffee-push-v3", "coffee-pull-v3"),
    ],
)
def test_every_pair_of_one_scene_keeps_its_state(scenes, task, other):
    before, after = scenes(task), scenes(other)
    after.reset(77)
    before.reset(4)
    for _ in range(20):
        before.step(np.array([0.3, 0.3, -0.3, 1.0]))
    after.take_over(before)
    assert _state(after).tobytes() == _state(before).tobytes()
    # The goal's mark may move, the bodies may not.
    np.testing.assert_allclose(after.data.xpos, before.data.xpos, atol=1e-12)
    np.testing.assert_allclose(after.data.xquat, before.data.xquat, atol=1e-12)


def test_after_take_over_both_scenes_step_alike(scenes):
    before, after = scenes("drawer-open-v3"), scenes("drawer-close-v3")
    before.reset(4)
    for _ in range(20):
        before.step(np.array([0.3, 0.3, -0.3, 1.0]))
    after.take_over(before)
    for _ in range(20):
        command = np.array([-0.2, 0.4, 0.1, -1.0])
        before.step(command)
        after.step(command)
    np.testing.assert_allclose(after.qpos, before.qpos, atol=1e-6)


def test_the_way_back_is_exact_and_a_later_reset_starts_afresh(scenes):
    first, second = scenes("window-open-v3"), scenes("window-close-v3")
    start = first.reset(9)
    for _ in range(10):
        first.step(np.array([0.4, 0.4, 0.0, -1.0]))
    there = first.observe()
    second.take_over(first)
    np.testing.assert_allclose(first.take_over(second), there, atol=1e-9)
    assert first.reset(9).tolist() == start.tolist()


def test_take_over_from_another_scene_is_refused_and_harmless(scenes):
    drawer, window = scenes("drawer-open-v3"), scenes("window-open-v3")
    drawer.reset(1)
    before = drawer.qpos
    window.reset(1)
    with pytest.raises(SimulationError, match=r"'drawer-open-v3' has another scene than .*load it without keep_state"):
        drawer.take_over(window)
    assert drawer.qpos.tobytes() == before.tobytes()


@pytest.mark.parametrize("task", MT10)
def test_task_and_layout_are_enough_to_draw_states_again(scenes, contract, task):
    """A recording has positions of joints alone: the bodies of a scene that is reset to its layout stand as before."""
    recorded, fresh = scenes(task), Scene(task, contract)
    recorded.reset(8)
    recorded.reset(700_004)
    for _ in range(10):
        recorded.step(np.array([0.3, 0.3, -0.3, 1.0]))
    fresh.reset(700_004)
    assert fresh.model.body_pos.tobytes() == recorded.model.body_pos.tobytes()
    assert fresh.model.body_quat.tobytes() == recorded.model.body_quat.tobytes()
    fresh.data.qpos[:] = recorded.state()
    mujoco.mj_forward(fresh.model, fresh.data)
    seen = fresh.model.body_mocapid < 0  # not the hand's target
    np.testing.assert_allclose(fresh.data.xpos[seen], recorded.data.xpos[seen], atol=2e-3)  # as of the step's begin


# What a user can get wrong


def test_an_unknown_task_lists_the_known_ones(contract):
    with pytest.raises(SimulationError) as caught:
        Scene("drawer-open-v2", contract)
    assert all(name in str(caught.value) for name in ("'drawer-open-v2'", *ALL_V3_ENVIRONMENTS))


def _altered(contract, section=None, rename=(), add=None, **top):
    meaning = contract.meaning() | top
    if section:
        old, new = rename or (None, None)
        meaning[section] = {new if name == old else name: value for name, value in meaning[section].items()}
        meaning[section] |= add or {}
    return Contract.from_dict(meaning)


def test_contracts_that_metaworld_cannot_serve(contract):
    with pytest.raises(ContractError, match=r"'period_s': found 0.02, expected 0.0125"):
        Scene("reach-v3", _altered(contract, period_s=0.02))
    with pytest.raises(ContractError, match=r"key 'observation.elbow_x': found nothing like it, expected hand_x"):
        Scene("reach-v3", _altered(contract, "observation", ("hand_x", "elbow_x")))
    with pytest.raises(ContractError, match=r"key 'command.\w+'"):
        Scene("reach-v3", _altered(contract, "command", ("gripper_effort", "gripper")))
    extra = {"hand_yaw": {"unit": "rad/s", "limits": [-1, 1], "slew_per_s": 1}}
    with pytest.raises(ContractError, match=r"key 'command.hand_yaw': found nothing like it"):
        Scene("reach-v3", _altered(contract, "command", add=extra))


@pytest.mark.parametrize("task", MT10)
def test_the_first_observation_shows_the_layout(contract, task):
    """Metaworld's reset() shows drawers and windows where they stood before; ours shows what the first step shows."""
    scene = Scene(task, contract)
    first = scene.reset(123)
    scene.step(np.zeros(len(contract.command)))
    places = [contract.observation_names.index(f"object_1_{axis}") for axis in "xyz"]
    assert np.abs(scene.observe() - first)[places].max() < 0.01


def test_tasks_that_share_a_scene_are_found_without_building_them(contract):
    assert sharing("drawer-open-v3") == ("drawer-close-v3", "drawer-open-v3")
    assert sharing("reach-v3") == ("reach-v3",)
    for task, reverse in REVERSES.items():
        assert reverse in sharing(task)
    assert Scene("drawer-open-v3", contract)._env.model_name == Scene("drawer-close-v3", contract)._env.model_name

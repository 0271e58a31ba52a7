"""Demonstrations that start wherever a hand can be left, and experts that cope; the published data stay as they are."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lwd_ros.cli import cli
from lwd_ros.dataset import DatasetError, Demonstrations, TaskFile
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.metaworld import starts
from lwd_ros.environments.metaworld.anywhere import ANYWHERE_EXPERTS
from lwd_ros.environments.metaworld.experts import OWN_EXPERTS, Expert, revision
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, Scene
from lwd_ros.environments.metaworld.tasks import REVERSES

SETTINGS = CollectSettings(episodes=1, anywhere=6, drift_steps=100)


@pytest.fixture
def scene(contract):
    return Scene("drawer-close-v3", contract)


def test_settings_without_starts_anywhere_say_and_make_what_they_did_before_there_were_any(tmp_path, contract):
    """What the code before made of the same settings: metadata word by word, and where the random numbers led."""
    collect(tmp_path, ("drawer-close-v3",), contract, CollectSettings(episodes=2, seed=3, settle_steps=5), workers=1)
    settings = TaskFile.of(tmp_path, "drawer-close-v3").settings()
    assert settings == {
        "contract": contract.digest,
        "counts": {"episodes": 4, "failed": 0, "frames": 339},
        "episodes": 2,
        "first_layout": 0,
        "noise": [0.0, 0.3],
        "seed": 3,
        "settle_steps": 5,
        "steps_after_success": 15,
        "task": "drawer-close-v3",
        "task_index": 0,
    }
    episodes = Demonstrations(tmp_path).episodes["drawer-close-v3"]
    assert [(e.after, e.layout, len(e.action)) for e in episodes] == [
        ("", 0, 94),
        ("drawer-open-v3", 1, 76),
        ("", 2, 96),
        ("drawer-open-v3", 3, 73),
    ]
    assert episodes[1].observation[0, :3] == pytest.approx([0.0862747, 0.5285240, 0.0734231], abs=1e-5)
    assert episodes[3].action.sum(axis=0) == pytest.approx([-1.632375, 22.652846, 4.123746, 73.0], abs=1e-2)


def test_starts_anywhere_come_after_the_usual_ones_and_say_what_happened(tmp_path, contract):
    meta = collect(tmp_path / "a", ("reach-v3", "drawer-close-v3"), contract, SETTINGS, workers=1)
    assert meta["settings"]["anywhere"] == 6 and meta["settings"]["drift_steps"] == 100
    episodes = Demonstrations(tmp_path / "a").episodes
    assert [e.after for e in episodes["reach-v3"]] == [""]  # nothing undoes it
    after = [e.after.split("+") for e in episodes["drawer-close-v3"]]
    assert len(after) == 2 + 6 and after[0] == [""]
    happened = {"drift", "wander", "hold"}
    assert not any(happened & set(names) for names in after[:2])
    for names in after[2:]:
        kinds = [name for name in names if name in happened]
        assert kinds in (["drift"], ["wander"], ["hold"], ["drift", "wander"]) and names[-1] in kinds
        assert set(names) - happened <= {"drawer-open-v3", "drawer-close-v3"}
    again = collect(tmp_path / "b", ("reach-v3", "drawer-close-v3"), contract, SETTINGS, workers=1)
    assert again["digest"] == meta["digest"]
    with pytest.raises(DatasetError, match=r"'anywhere' of .*: found 6, asked for 0"):
        collect(tmp_path / "a", ("reach-v3", "drawer-close-v3"), contract, CollectSettings(episodes=1), workers=1)


def test_datasets_state_the_experts_of_starts_anywhere(tmp_path, contract):
    for task in ANYWHERE_EXPERTS:
        assert revision(task, anywhere=True) > revision(task) == getattr(OWN_EXPERTS.get(task), "revision", 0)
    assert set(ANYWHERE_EXPERTS) <= set(REVERSES)
    settings = CollectSettings(episodes=1, anywhere=1, drift_steps=10)
    collect(tmp_path, ("handle-press-v3",), contract, settings, workers=1)
    assert TaskFile.of(tmp_path, "handle-press-v3").settings()["expert_revision"] == 1


def _go(scene, place, gripper):
    """Move the hand towards [3] for up to 1.5 s."""
    for _ in range(120):
        way = np.asarray(place) - scene.raw_observation[:3]
        if np.linalg.norm(way) < 0.02:
            break
        scene.step(scene.command(np.clip(10.0 * way, -0.5, 0.5), gripper))


@pytest.mark.parametrize("angle", [-0.5, -1.2, -1.9])
@pytest.mark.parametrize("gripper", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("along", "off", "height"),
    [(0.3, 0.0, 0.3), (0.2, 0.12, 0.15), (0.4, 0.1, 0.2), (0.38, -0.07, 0.15), (0.5, 0.0, 0.1), (0.1, 0.1, 0.1)],
    ids=["on the door", "behind it", "behind its edge", "behind the handle", "beyond it", "behind its hinge"],
)
def test_doors_close_wherever_the_door_and_the_hand_are(contract, angle, gripper, along, off, height):
    scene = Scene("door-close-v3", contract)
    scene.reset(91_000)
    scene.data.qpos[scene.model.joint("doorjoint").qposadr] = angle
    scene.data.qvel[:] = 0.0
    hinge = scene.raw_observation[36:38] + np.array([-0.385, 0.1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    over = hinge + turn @ np.array([along, off])
    _go(scene, [*scene.raw_observation[:2], 0.4], gripper)
    _go(scene, [*over, 0.4], gripper)
    _go(scene, [*over, height], gripper)
    expert = Expert(scene, anywhere=True)
    assert any(scene.step(expert.command()) for _ in range(EPISODE_STEPS // 2))


def test_a_hand_that_is_held_stays_and_keeps_its_gripper(scene):
    before = scene.reset(3)[:3]
    assert not starts.hold(scene, 20, 1.0)
    assert scene.observe()[:3] == pytest.approx(before, abs=0.01)
    assert scene.observe()[3] < 0.5  # closed


def test_a_wandering_hand_stays_in_its_workspace_and_gets_about(scene):
    places = []
    for draw in range(6):
        scene.reset(3)
        starts.wander(scene, np.random.default_rng(draw))
        places.append(scene.observe()[:3])
    low, high = scene.workspace
    assert (np.array(places) > low - 0.02).all() and (np.array(places) < high + 0.02).all()
    assert (np.ptp(places, axis=0) > 0.1).all()


def test_drift_is_the_task_before_on_the_goal_of_the_new_one(contract, scene):
    before = Scene("drawer-open-v3", contract)
    before.reset(5)
    scene.take_over(before)
    goal, drawer = scene.raw_observation[36:39].copy(), scene.raw_observation[5]
    starts.drift(scene, "drawer-open-v3", 120, 0.0, np.random.default_rng(0))
    assert scene.raw_observation[36:39] == pytest.approx(goal)
    assert scene.raw_observation[5] < drawer - 0.1  # it was pulled


@pytest.mark.parametrize("task", sorted(ANYWHERE_EXPERTS))
def test_experts_cope_wherever_a_hand_was_left(contract, task):
    scene, before = Scene(task, contract), Scene(REVERSES[task], contract)
    for layout in range(91_000, 91_005):
        rng = np.random.default_rng([layout])
        before.reset(layout)
        expert = Expert(before, anywhere=True)
        assert any(before.step(expert.command()) for _ in range(EPISODE_STEPS))
        scene.take_over(before)
        starts.leave(scene, before.task, 1.0, 100, 0.1, rng)
        expert = Expert(scene, anywhere=True)
        assert any(scene.step(expert.command()) for _ in range(EPISODE_STEPS)), layout


def test_the_command_takes_starts_anywhere(tmp_path):
    arguments = ["collect", "--tasks", "drawer-close-v3", "--episodes", "1", "--anywhere", "2", "--drift-steps", "20"]
    done = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "d"), "--workers", "1"])
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "d/meta.json").read_text())["settings"]
    assert (settings["anywhere"], settings["drift_steps"]) == (2, 20)
    done = CliRunner().invoke(cli, [*arguments[:-4], "--anywhere", "-1", "--out", str(tmp_path / "e")])
    assert done.exit_code == 2 and "--anywhere" in done.output

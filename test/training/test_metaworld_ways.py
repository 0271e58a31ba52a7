"""Pins Metaworld's ways in physics: experts go theirs, under the noise of demonstrations, and the column says so."""

from collections import Counter

import numpy as np
import pytest

from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import CAPABILITIES, SimulationError
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.expert import expert_of
from lwd_ros.environments.metaworld.simulator import SIMULATOR
from lwd_ros.environments.metaworld.ways import BUTTON_WALL, SEVERAL, TABLE_WALL, metaworld_name

CONTRACT = SIMULATOR.spec.contract()
FIRST = 50_000  # layouts of demonstrations that nothing else here uses


@pytest.mark.parametrize("task", SEVERAL)
def test_each_ways_expert_does_the_task_and_goes_its_way(task):
    scene = SIMULATOR.make(task, CONTRACT)
    went, layout = Counter(), FIRST
    while set(went) != set(scene.ways):
        scene.reset(layout)
        for way in set(scene.open_ways()) - set(went):
            scene.reset(layout)
            assert scene.way() == ""
            noise = action_noise(CONTRACT, 0.2, np.random.default_rng(layout))
            outcome = run_episode(scene, ExpertActor(expert_of(scene, way=way)), None, noise=noise)
            assert outcome.success and outcome.way == way == scene.way()
            went[way] += 1
        layout += 1
        assert layout < FIRST + 60
    scene.close()


@pytest.mark.parametrize(("task", "wall"), [("reach-wall-ways", TABLE_WALL), ("button-press-wall-ways", BUTTON_WALL)])
def test_walls_are_where_ways_are_read_off(task, wall):
    scene = SIMULATOR.make(task, CONTRACT)
    model, body = scene.model, scene.model.body("wall")
    geoms = [g for g in range(model.ngeom) if model.body_rootid[model.geom_bodyid[g]] == body.id]
    (x, y, z), (half_x, _, half_z) = scene.data.geom_xpos[geoms[0]], model.geom_size[geoms[0]]
    assert (wall.left, wall.right, wall.y, wall.top) == pytest.approx((x - half_x, x + half_x, y, z + half_z))
    scene.close()


def test_a_way_that_a_layout_closes_and_a_task_of_one_way_are_one_sentence():
    scene, plain = SIMULATOR.make("push-ways", CONTRACT), SIMULATOR.make("push-v3", CONTRACT)
    assert plain.ways == plain.open_ways() == () and plain.way() == "" and isinstance(plain, CAPABILITIES["ways"])
    layout = next(n for n in range(FIRST, FIRST + 50) if (scene.reset(n), "push" not in scene.open_ways())[1])
    with pytest.raises(
        SimulationError, match=f"task 'push-ways': nobody demonstrates the way 'push' in layout {layout}, expected one"
    ):
        scene.way_expert("push")
    with pytest.raises(
        SimulationError, match=r"task 'push-v3': nobody demonstrates the way 'over' .*expected one of none"
    ):
        plain.way_expert("over")
    assert np.array_equal(scene.reset(3), plain.reset(3)) and metaworld_name(scene.task) == plain.task
    assert {"push-v3", "push-ways"} <= set(scene.sharing()) & set(plain.sharing())
    plain.close()
    scene.close()


def test_a_path_begins_anew_where_a_task_is_taken_over():
    before, scene = SIMULATOR.make("faucet-close-ways", CONTRACT), SIMULATOR.make("faucet-open-ways", CONTRACT)
    assert run_episode(before, ExpertActor(before.way_expert("around")), None).way == "around"
    scene.take_over(before)
    assert scene.way() == "" and before.way() == "around"
    scene.close()
    before.close()


def test_collected_demonstrations_have_the_column(tmp_path):
    settings = CollectSettings(episodes=4, experts=("all",), first_layout=FIRST)
    meta = collect(tmp_path, ("reach-wall-ways",), CONTRACT, settings, 1, SIMULATOR)
    counts = Counter(episode.way for episode in Demonstrations(tmp_path).episodes["reach-wall-ways"])
    assert meta["counts"]["reach-wall-ways"]["ways"] == counts and set(counts) <= {"over", "left", "right"}
    assert meta["settings"]["experts"] == ["all"]


@pytest.mark.parametrize("task", ["button-press-wall-ways", "window-open-ways", "faucet-close-ways"])
def test_metaworlds_own_experts_go_a_way_too(task):
    scene = SIMULATOR.make(task, CONTRACT)
    scene.reset(FIRST)
    outcome = run_episode(scene, ExpertActor(scene.expert()), None)
    assert outcome.success and outcome.way in scene.ways
    scene.close()

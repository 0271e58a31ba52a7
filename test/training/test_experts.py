"""Experts of our own: they solve what they are there for, disturbed as demonstrations are, and datasets state them."""

from dataclasses import replace

import numpy as np
import pytest

from lwd_ros.dataset import DatasetError
from lwd_ros.environments.collect import CollectSettings, collect, demonstrate
from lwd_ros.environments.metaworld.experts import OWN_EXPERTS, revision
from lwd_ros.environments.metaworld.grasping import GraspExpert, SoccerExpert
from lwd_ros.environments.metaworld.scene import Scene

MOST_NOISE = CollectSettings(noise=(0.3, 0.3))


@pytest.mark.parametrize("task", sorted(OWN_EXPERTS))
def test_own_experts_succeed_under_the_most_noise_that_demonstrations_have(contract, task):
    scene = Scene(task, contract)
    done = [demonstrate(scene, layout, 0, MOST_NOISE) is not None for layout in range(90_000, 90_006)]
    assert sum(done) >= 5  # no layout is sure: on some, soccer's ball lies where the fingers miss it


def _action(hand, opening):
    observation = np.zeros(39)
    observation[:3], observation[3], observation[4:7] = hand, opening, (0.1, 0.6, 0.02)

    class Lift(GraspExpert):
        def carry(self, observation):
            return np.array([0.0, 0.0, 5.0])

    return Lift().get_action(observation)


def test_a_grasp_comes_down_open_closes_at_the_bottom_and_lifts_what_it_holds():
    above, bottom = (0.1, 0.6, 0.15), (0.1, 0.6, 0.05)
    assert _action(above, 1.0)[2] < 0.0 and _action(above, 1.0)[3] == -1.0
    assert _action(bottom, 1.0)[3] == 1.0 and _action(bottom, 1.0)[2] < 0.0
    held = _action(bottom, 0.5)
    assert (held[2], held[3]) == (5.0, 1.0)
    assert -1.0 < _action(bottom, 0.75)[2] < 5.0  # half closed: between both


def test_fingers_that_closed_on_nothing_open_and_rise():
    action = _action((0.1, 0.6, 0.12), 0.3)
    assert action[2] > 1.0 and action[3] == -1.0


def test_a_hand_that_is_low_rises_before_it_goes_to_the_thing():
    action = _action((0.2, 0.6, 0.05), 1.0)
    assert action[:2].tolist() == [0.0, 0.0] and action[2] > 1.0
    assert _action((0.2, 0.6, 0.2), 1.0)[0] < -1.0


def test_demonstrations_of_another_expert_are_not_mixed(tmp_path, contract, monkeypatch):
    settings = replace(CollectSettings(), episodes=1)
    collect(tmp_path, ("soccer-v3",), contract, settings, workers=1)
    collect(tmp_path, ("soccer-v3",), contract, settings, workers=1)
    assert (revision("soccer-v3"), revision("reach-v3")) == (1, 0)
    monkeypatch.setattr(SoccerExpert, "revision", 0)  # back to one that states nothing
    with pytest.raises(DatasetError, match=r"'expert_revision' of soccer-v3: found 1, asked for 0"):
        collect(tmp_path, ("soccer-v3",), contract, settings, workers=1)
    monkeypatch.setattr(SoccerExpert, "revision", 2)
    with pytest.raises(DatasetError, match=r"other settings .'expert_revision' of soccer-v3: found 1, asked for 2"):
        collect(tmp_path, ("soccer-v3",), contract, settings, workers=1)

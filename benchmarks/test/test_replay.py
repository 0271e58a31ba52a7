"""Pins what playing a demonstration back is: the nearest one's labels, by time, without looking."""

import hashlib

import numpy as np
import pytest
from lwd_benchmarks.methods.replay import NearestDemonstrationActor
from lwd_benchmarks.studies.comparison import Case, Rules, compare
from lwd_benchmarks.studies.costs import flops
from lwd_benchmarks.studies.methods import Method

from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.generator import ModelError

TASKS = ("drawer-close-v3", "reach-v3")


@pytest.fixture(scope="module")
def meta(tmp_path_factory, contract):
    """The meta file of a small dataset."""
    folder = tmp_path_factory.mktemp("replay") / "data"
    collect(folder, TASKS, contract, CollectSettings(episodes=4), workers=1)
    return folder / "meta.json"


def _commands(actor, first, steps, period_s=0.0125):
    actor.begin("reach-v3", 1)
    found = []
    for step in range(steps):
        actor.see(first + 0.01 * step, step * period_s, step * period_s)
        if actor.due:
            actor.query()
            actor.adopt()
        found.append(actor.command())
    return np.array(found)


def test_the_nearest_demonstration_is_played_by_time_and_then_stands(meta):
    actor, episodes = NearestDemonstrationActor(meta), Demonstrations(meta.parent).episodes["reach-v3"]
    for episode in episodes:
        steps = len(episode.action) + 3
        played = _commands(actor, episode.observation[0] + 1e-6, steps)
        np.testing.assert_array_equal(played[:-3], episode.action)
        assert (played[-3:] == episode.action[-1]).all()
        assert actor.queries == 1
    slow = _commands(actor, episodes[0].observation[0], 5, period_s=0.005)
    np.testing.assert_array_equal(slow, episodes[0].action[[0, 0, 0, 1, 1]])


def test_chained_demonstrations_are_left_out(meta):
    episodes = Demonstrations(meta.parent).episodes["drawer-close-v3"]
    chained = [episode for episode in episodes if episode.after]
    actor = NearestDemonstrationActor(meta)
    assert chained and len(actor._index("drawer-close-v3")[1]) == len(episodes) - len(chained)


def test_it_is_a_method_like_the_others(meta, tmp_path):
    files = ((meta, hashlib.sha256(meta.read_bytes()).hexdigest()),)
    method = Method("nearest_demonstration", "nearest_demonstration", {500: files})
    row = compare([method], [Case()], Rules(("drawer-close-v3",), 2, 100_000, tmp_path, 1))[0].to_dict()
    assert row["queries_per_episode"] == 1 and row["successes"] == 2
    assert flops("nearest_demonstration", meta) == {"query": 0.0, "policy_step": 0.0}


def test_what_cannot_be_played_back_is_one_sentence(meta, tmp_path):
    with pytest.raises(ModelError, match="found horizon 8, expected 500: it is chosen at the start"):
        NearestDemonstrationActor(meta, 8)
    with pytest.raises(ModelError, match=r"meta\.json: missing; expected a dataset made by 'lwd collect'"):
        NearestDemonstrationActor(tmp_path / "meta.json")

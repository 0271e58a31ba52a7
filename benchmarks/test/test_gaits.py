"""Pins the study of gaits and the search for teachers: their files, what is refused, what is shown."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lwd_benchmarks.gaits.commands import teachers
from lwd_benchmarks.gaits.results import GaitsResult, Walked
from lwd_benchmarks.gaits.study import Gaits, GaitsError, GaitsStudy
from lwd_benchmarks.gaits.teaching import teach
from lwd_benchmarks.gaits.tuning import WANTED, Space, coordination, turned, walk
from lwd_benchmarks.gaits.walks import pooled, row_of
from lwd_benchmarks.report import gaits as page
from lwd_benchmarks.report.page import render
from lwd_benchmarks.results import ResultError, checked

from lwd_ros.environments import registry
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.gaits.body import Body
from lwd_ros.environments.gaits.gait import OFFSETS
from lwd_ros.environments.layouts import TRAINING_LAYOUTS
from lwd_ros.evaluation.gaits import pattern_names

ROOT = Path(__file__).resolve().parents[2]
CHEETAH = registry.simulator("cheetah")
TROT = CHEETAH.teachers["cheetah_trot_forward"].gait


def test_the_committed_file_reads_and_trains_what_is_there():
    study = Gaits.load(ROOT / "benchmarks/config/study/gaits.yaml")
    assert study.first_layout not in TRAINING_LAYOUTS and set(study.robots) == set(WANTED)
    for robot in study.robots:
        made = GaitsStudy(study, robot, Path("nowhere"), 1)
        assert made.tasks == registry.simulator(robot).spec.tasks and made.config.name.startswith(robot)
        assert set(made.tasks) == set(WANTED[robot]), "every gait of a robot is one that the search knows"


@pytest.mark.parametrize(
    ("change", "robot", "sentence"),
    [
        ({}, "cat", "found robot 'cat', expected one of cheetah"),
        ({"first_layout": 5}, "cheetah", "first layout 5: layouts below 100000 belong to demonstrations"),
        ({"robots": {"cheetah": {"train": "benchmarks/config/train/cheetah_gaits.yaml", "tasks": ["cheetah_gallop"]}}},
         "cheetah", "task 'cheetah_gallop' is unknown"),
        ({"robots": {"cheetah": {"train": "benchmarks/config/train/cheetah_gaits.yaml", "others": {"ppo": []}}}},
         "cheetah", "found method 'ppo', expected one of lwd"),
    ],
)  # fmt: skip
def test_what_cannot_be_studied_is_refused_in_one_sentence(change, robot, sentence, tmp_path):
    content = {
        "demonstrations": 1, "noise": [0.0, 0.1], "seeds": [0], "first_layout": 100_000, "episodes": 2,
        "robots": {"cheetah": {"train": "benchmarks/config/train/cheetah_gaits.yaml"}},
    }  # fmt: skip
    with pytest.raises(Exception, match=sentence):
        GaitsStudy(Gaits.model_validate(content | change), robot, tmp_path, 1)
    (tmp_path / "g.yaml").write_text("demonstrations: 0\n")
    with pytest.raises(GaitsError, match=r"g\.yaml: key 'demonstrations'"):
        Gaits.load(tmp_path / "g.yaml")


def test_the_search_walks_as_the_environment_does():
    (done,) = walk([Body(CHEETAH.robot)], [TROT], [7], 60, 0.0)
    environment = CHEETAH.make("cheetah_trot_forward", CHEETAH.spec.contract())
    run_episode(environment, ExpertActor(environment.expert()), 7, steps=60)
    assert done.place[0] == pytest.approx(environment.distance_m, abs=1e-6)
    numbers = done.contacts @ 2 ** np.arange(4)
    assert np.array_equal(np.bincount(numbers, minlength=16), environment.contact_counts)


def test_a_gait_is_a_vector_and_back_and_a_search_writes_what_the_environment_reads(tmp_path):
    pytest.importorskip("cma", reason="only the search needs it")
    path = tmp_path / "cheetah.json"
    with pytest.raises(GaitsError, match="starts from 'cheetah_trot_forward': found none"):
        teach("cheetah", ["cheetah_bound_forward"], 12, 1, 20, path)
    teach("cheetah", ["cheetah_trot_forward"], 12, 1, 20, path)
    assert set(json.loads(path.read_text())["cheetah_trot_forward"]) == {"direction", "distance_m", "gait"}


def test_a_gait_as_a_vector_of_the_search():
    space = Space(WANTED["cheetah"]["cheetah_trot_forward"], has_hips=False)
    again = space.gait(space.vector(TROT))
    assert again.to_dict()["fore"] == pytest.approx(TROT.to_dict()["fore"], abs=1e-4)
    assert turned(turned(TROT)).fore.calf_phase == pytest.approx(TROT.fore.calf_phase + 2 * np.pi)
    with pytest.raises(GaitsError, match="found gait 'hop', expected one of cheetah_trot_forward"):
        teach("cheetah", ["hop"], 12, 1, 20, Path("nowhere.json"))
    assert CliRunner().invoke(teachers, ["cat"]).exit_code == 2


def test_coordination_is_one_where_feet_go_as_they_shall():
    pattern = np.tile([[1, 0, 0, 1], [0, 1, 1, 0]], (10, 1)).astype(bool)
    assert coordination(pattern, OFFSETS["trot"]) == pytest.approx(1.0)
    assert coordination(pattern, OFFSETS["bound"]) < 0.0
    assert coordination(np.ones((10, 4), dtype=bool), OFFSETS["trot"]) == -1.0


def walked(returns, patterns) -> dict:
    contacts = [np.bincount(rows, minlength=16).tolist() for rows in patterns]
    up = sum(len(rows) == 100 for rows in patterns)
    return {"returns": returns, "steps": [len(rows) for rows in patterns], "successes": up, "survived": up,
            "contacts": contacts}  # fmt: skip


def result() -> dict:
    teacher = walked([10.0, 10.0], [[9, 6] * 50, [9, 6] * 50])
    seeds = [walked([10.0, 9.0], [[9, 6] * 50, [9, 6] * 50]), walked([9.0, 4.0], [[9, 6] * 50, [9, 6] * 20])]
    rows = [row_of("cheetah_trot_forward", seeds, teacher, 0.02)]
    entry = {
        "method": "lwd", "seeds": [0, 1], "policy_parameters": 9, "queries": "once an episode",
        "training_s": [60.0, 60.0],
        "model_digests": ["a", "b"], "tasks": rows, "pooled": pooled(rows, 2),
    }  # fmt: skip
    return {
        "study": "gaits", "robot": "cheetah", "lwd_ros": "0", "data_digest": "0" * 64, "demonstrations": 1,
        "noise": (0.0, 0.1), "period_s": 0.02, "episode_steps": 100, "first_layout": 200_000, "episodes": 2,
        "train": {}, "patterns": list(pattern_names(("FL", "FR", "RL", "RR"))), "entries": [entry],
    }  # fmt: skip


def test_rows_count_every_episode_and_headlines_name_them():
    found = checked(GaitsResult, result(), "made")
    row = found.entries[0].tasks[0]
    assert row.return_ratio == pytest.approx(0.8) and (row.survived, row.episodes) == (3, 4)
    assert row.js == pytest.approx(0.0) and row.speed_mps == pytest.approx(32 / (340 * 0.02))
    figures = dict(page.figures([found]))
    assert figures["gaits.return_ratio"] == pytest.approx(0.8) and figures["gaits.survival"] == 0.75
    assert figures["gaits.js"] == pytest.approx(0.0) and figures["gaits.cheetah.survival"] == 0.75
    assert page.name(row, "cheetah") == "trot forward"
    text = render("gaits.md", page.context([found]))
    assert "| trot forward | 0.800 |" in text and "3 of 4" in text and "reporting layouts from 200,000 on" in text
    assert page.contacts([found]).axes[0].get_title() == "cheetah\ntrot forward"
    first = checked(GaitsResult, result() | {"first_layout": 100_000}, "made")
    assert not dict(page.figures([first])) and "validation layouts" in render("gaits.md", page.context([first]))
    with pytest.raises(ResultError, match="several lengths"):
        checked(Walked, walked([1.0], [[9]]) | {"steps": []}, "made")

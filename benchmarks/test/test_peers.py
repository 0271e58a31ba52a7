"""Pins the study beside lerobot: what its file may say, which demonstrations it takes, what is made of curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from lwd_benchmarks.paths import in_checkout
from lwd_benchmarks.peers.results import PeersResult
from lwd_benchmarks.peers.roundtrip import LeRobotCheckError
from lwd_benchmarks.peers.study import PeersError, Study, prepare, run
from lwd_benchmarks.peers.training import LeRobotRun
from lwd_benchmarks.report import peers
from lwd_benchmarks.results import ResultError, checked

from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Demonstrations, Episode, write_dataset
from lwd_ros.dataset.lerobot import read
from lwd_ros.learning.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = Contract.load(ROOT / "config/metaworld.yaml")


def _point(minutes, successes, episodes=100):
    return {
        "minutes": minutes,
        "successes": successes,
        "episodes": episodes,
        "success": successes / episodes,
        "tasks": {},
    }


def _result(**curves):
    entries = {
        name: {
            "kind": "lwd" if name.startswith("lwd") else "lerobot",
            "title": name,
            "curve": [_point(*p) for p in curve],
        }
        for name, curve in curves.items()
    }
    return {
        "study": "peers", "lwd_ros": "0", "set": "mt10", "data_digest": "0" * 64, "demonstrations": 20, "frames": 9,
        "protocol": {}, "entries": entries,
    }  # fmt: skip


def test_less_training_is_counted_at_the_peers_best_point():
    curves = {"lwd": [(1, 50), (2, 80), (4, 90)], "act": [(3, 10), (10, 70), (30, 70)], "diffusion_policy": [(9, 95)]}
    study = checked(PeersResult, _result(**curves), "made up")
    theirs, ours, times = peers.times_less(study, "act")
    assert (theirs.minutes, ours.minutes, times) == (10, 2, 5)
    assert peers.times_less(study, "diffusion_policy") is None  # no training of LWD is as good
    assert peers.peers_of(study) == ["act", "diffusion_policy"]


@pytest.mark.parametrize(("change", "sentence"), [
    ({"successes": 7}, "success 0.5, which its counts contradict"),
    ({"minutes": -1}, "minutes"),
])  # fmt: skip
def test_a_result_that_contradicts_itself_is_refused(change, sentence):
    content = _result(act=[(1, 50)])
    content["entries"]["act"]["curve"][0] |= change
    with pytest.raises(ResultError, match=sentence):
        checked(PeersResult, content, "made up")


def _data(folder, fresh=3):
    random, episodes = np.random.default_rng(0), {}
    for task in ("reach-v3", "push-v3"):
        episodes[task] = [
            Episode(
                random.uniform(0.31, 0.5, (6, len(CONTRACT.observation))), random.uniform(-0.5, 0.5, (6, 4)), n, after
            )
            for n, after in enumerate(["", "hold"] * fresh)
        ]
    write_dataset(folder, CONTRACT, episodes, {})
    return Demonstrations(folder)


def _study(**changes):
    content = {
        "set": "mt10", "environment": "metaworld", "demonstrations": 2, "marks_minutes": [1], "validation_episodes": 1,
        "reporting_episodes": 1, "entries": [],
    }  # fmt: skip
    return Study.model_validate(content | changes)


def test_a_schedule_that_has_ended_trains_no_more(tmp_path):
    """Processor time may be left when all steps are done; a run with steps left goes on, and here its command fails."""
    row = {"step": 1000, "cpu_s": 60.0, "wall_s": 60.0, "checkpoint": "001000"}
    (tmp_path / "ledger.jsonl").write_text(json.dumps(row) + "\n")
    fails = Path("false")
    LeRobotRun(fails, tmp_path, tmp_path / "data", {"steps": 1000}, 500).train_until(90)
    LeRobotRun(fails, tmp_path, tmp_path / "data", {"steps": 2000}, 500).train_until(1)
    with pytest.raises(LeRobotCheckError, match="ended with status 1"):
        LeRobotRun(fails, tmp_path, tmp_path / "data", {"steps": 2000}, 500).train_until(90)


def test_the_page_tells_a_budget_that_is_left_from_a_plateau_that_was_not_seen():
    content = _result(lwd=[(1.0, 90)], act=[(4.0, 50), (8.0, 60)], flat=[(4.0, 50), (8.0, 50)])
    for name, steps in {"act": 1000, "flat": 2000}.items():
        entry = content["entries"][name]
        entry |= {"budget_minutes": 60, "options": {"steps": steps}}
        entry["curve"][-1]["step"] = 1000
    study = checked(PeersResult, content, "result")
    found = peers.context(peers.Peers({"mt10": study}, None))["studies"]["mt10"][2]
    assert [entry.title for entry in found["rising"]] == ["act"]
    assert [(entry.title, minutes) for entry, minutes in found["unfinished"]] == [("flat", 8.0)]


def test_the_first_fresh_starts_are_taken_and_exported_alike(tmp_path):
    whole = _data(tmp_path / "data")
    chosen = prepare(_study(), whole.folder, tmp_path / "state")
    assert {task: [each.layout for each in rows] for task, rows in chosen.episodes.items()} == {
        "reach-v3": [0, 2], "push-v3": [0, 2],
    }  # fmt: skip
    exported = read(tmp_path / "state/mt10_2_lerobot", CONTRACT)
    for task, rows in chosen.episodes.items():
        for mine, theirs in zip(rows, exported.episodes[task], strict=True):
            assert np.array_equal(mine.action.astype(np.float32), theirs.action)
    assert prepare(_study(), whole.folder, tmp_path / "state").digest == chosen.digest
    with pytest.raises(DatasetError, match="task 'reach-v3' has 3 fresh starts, expected 4 at least"):
        prepare(_study(demonstrations=4), whole.folder, tmp_path / "other")


def test_a_result_of_other_demonstrations_is_not_gone_on_with(tmp_path):
    whole, path = _data(tmp_path / "data"), tmp_path / "result.json"
    arguments = (whole.folder, tmp_path / "state", Path("python"), path, [], 1.0)
    assert run(_study(), *arguments)["entries"] == {}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_digest": "0" * 64}))
    with pytest.raises(PeersError, match="other demonstrations"):
        run(_study(), *arguments)
    with pytest.raises(PeersError, match="--only: found 'nothing'"):
        run(_study(), whole.folder, tmp_path / "state", Path("python"), tmp_path / "new.json", ["nothing"], 1.0)


@pytest.mark.parametrize("name", ["peers", "peers_arm"])
def test_the_committed_studies_read(name):
    study = Study.load(ROOT / f"benchmarks/config/study/{name}.yaml")
    assert study.entries[0].name == "lwd" and study.demonstrations == 20
    assert TrainConfig.load(in_checkout(study.entries[0].config)).hidden_layers == (16, 16)


def test_a_wrong_key_of_a_study_is_named(tmp_path):
    (tmp_path / "s.yaml").write_text("set: mt10\nentrys: []\n")
    with pytest.raises(PeersError, match=r"s\.yaml: key 'environment'"):
        Study.load(tmp_path / "s.yaml")

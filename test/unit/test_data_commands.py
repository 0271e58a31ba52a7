"""Pins `lwd data` and the LeRobot commands: new datasets of others, whole or not at all, and one sentence else."""

import json

import numpy as np
import pytest
from lerobot_support import CONTRACT, write

from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations, Episode, write_dataset


@pytest.fixture
def lwd(monkeypatch, capsys):
    """A function that runs `lwd` in this process; its exit status, what it printed, what it printed as an error."""
    import sys

    from lwd_ros.cli import main

    def run(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lwd", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def _dataset(folder, tasks, contract=CONTRACT, seed=0, settings=None):
    random, episodes = np.random.default_rng(seed), {}
    for task, count in tasks.items():
        episodes[task] = [
            Episode(random.uniform(-1, 1, (4 + n, 3)), random.uniform(-1, 1, (4 + n, 2)), n, source=f"bag {task} {n}")
            for n in range(count)
        ]
    write_dataset(folder, contract, episodes, settings or {})
    return Demonstrations(folder)


def _layouts(folder):
    return {task: [each.layout for each in rows] for task, rows in Demonstrations(folder).episodes.items()}


def test_a_split_is_whole_drawn_by_its_seed_and_merges_again(tmp_path, lwd):
    whole = _dataset(tmp_path / "whole", {"a": 10, "b": 5})
    for name, seed in (("1", 3), ("2", 3), ("3", 4)):
        out = (tmp_path / f"x{name}", tmp_path / f"y{name}")
        status, printed, _ = lwd("data", "split", whole.folder, "--out", *out, "--share", 0.8, "--seed", seed)
        assert status == 0 and "2 tasks, 12 demonstrations" in printed and "2 tasks, 3 demonstrations" in printed
    first, second = _layouts(tmp_path / "x1"), _layouts(tmp_path / "y1")
    assert {task: sorted(first[task] + second[task]) for task in first} == {"a": [*range(10)], "b": [*range(5)]}
    digests = [Demonstrations(tmp_path / f"x{name}").digest for name in "123"]
    assert digests[0] == digests[1] != digests[2]
    status, _, _ = lwd("data", "merge", tmp_path / "x1", tmp_path / "y1", "--out", tmp_path / "again")
    again = Demonstrations(tmp_path / "again")
    assert status == 0 and {len(rows) for rows in again.episodes.values()} == {10, 5}
    for task, rows in again.episodes.items():
        for each in rows:
            same = whole.episodes[task][each.layout]
            assert np.array_equal(each.observation, same.observation) and np.array_equal(each.action, same.action)
            assert each.source == same.source


def test_a_split_by_count(tmp_path, lwd):
    whole = _dataset(tmp_path / "whole", {"a": 10, "b": 5})
    out = (tmp_path / "x", tmp_path / "y")
    assert lwd("data", "split", whole.folder, "--out", *out, "--count", 4)[0] == 0
    assert [len(rows) for rows in _layouts(out[0]).values()] == [4, 4]
    again = (tmp_path / "p", tmp_path / "q")
    status, _, said = lwd("data", "split", whole.folder, "--out", *again, "--count", 5)
    assert status == 1 and "task 'b' has 5 episodes, expected more than 5" in said
    status, _, said = lwd("data", "split", whole.folder, "--out", tmp_path / "p", out[1], "--count", 4)
    assert status == 1 and "found a dataset there" in said and not (tmp_path / "p").exists()
    status, _, said = lwd("data", "split", whole.folder, "--out", tmp_path / "p", tmp_path / "p", "--count", 4)
    assert status == 1 and "found one folder for both parts" in said
    status, _, said = lwd("data", "split", whole.folder, "--out", *again)
    assert status == 2 and "expected either --share or --count" in said


def test_episodes_are_dropped_by_their_numbers(tmp_path, lwd):
    whole = _dataset(tmp_path / "whole", {"a": 6, "b": 2}, settings={"task_texts": {"a": "Do a."}})
    status, _, _ = lwd("data", "drop", whole.folder, "--task", "a", "--episodes", "0:2,5", "--out", tmp_path / "out")
    assert status == 0 and _layouts(tmp_path / "out") == {"a": [2, 3, 4], "b": [0, 1]}
    assert Demonstrations(tmp_path / "out").meta["settings"]["task_texts"] == {"a": "Do a."}
    for words, sentence in (
        (("--task", "a", "--episodes", "6"), "found episode 6, expected one of those that are there (0 to 5)"),
        (("--task", "a", "--episodes", "x"), "found 'x', expected numbers such as 3 or 0:5"),
        (("--task", "a", "--episodes", "3:1"), "found '3:1', expected an end above 3"),
        (("--task", "a", "--episodes", " "), "--episodes: found nothing"),
        (("--task", "c", "--episodes", "1"), "found no task 'c', expected one of: a, b"),
        (("--episodes", "1"), "found several tasks, expected --task"),
    ):
        status, _, said = lwd("data", "drop", whole.folder, *words, "--out", tmp_path / "more")
        assert status == 1 and sentence in said and len(said.splitlines()) == 1
    assert lwd("data", "drop", whole.folder, "--task", "b", "--episodes", "0:2", "--out", tmp_path / "c")[0] == 0
    assert list(_layouts(tmp_path / "c")) == ["a"]


def test_datasets_of_other_contracts_and_the_same_twice_are_not_merged(tmp_path, lwd):
    first = _dataset(tmp_path / "a", {"a": 2})
    meaning = CONTRACT.meaning() | {"period_s": 0.1}
    _dataset(tmp_path / "b", {"a": 2}, Contract.from_dict(meaning))
    status, _, said = lwd("data", "merge", first.folder, tmp_path / "b", "--out", tmp_path / "c")
    assert status == 1 and "another contract" in said and "in period_s; expected datasets of one contract" in said
    status, _, said = lwd("data", "merge", first.folder, first.folder, "--out", tmp_path / "c")
    assert status == 1 and "the same demonstrations twice" in said
    status, _, said = lwd("data", "merge", first.folder, "--out", tmp_path / "c")
    assert status == 1 and "found 1 dataset to merge, expected two at least" in said
    assert not (tmp_path / "c").exists()


def test_show_says_what_a_dataset_holds(tmp_path, lwd):
    data = _dataset(tmp_path / "whole", {"a": 3, "b": 2}, settings={"made_by": "hand"})
    status, printed, _ = lwd("data", "show", data.folder, "--task", "a")
    assert status == 0 and data.digest in printed and "made by: hand" in printed and "bag a 2" in printed
    status, printed, _ = lwd("data", "show", data.folder, "--json")
    found = json.loads(printed)
    assert found["tasks"]["a"] == {
        "episodes": 3, "frames": 15, "seconds": 0.75, "shortest_s": 0.2, "longest_s": 0.3
    }  # fmt: skip
    stacked = np.concatenate([each.observation for rows in data.episodes.values() for each in rows])
    assert [row["range"] for row in found["ranges"][:3]] == np.array([stacked.min(0), stacked.max(0)]).T.tolist()
    status, _, said = lwd("data", "show", data.folder, "--task", "z")
    assert status == 1 and said == f"lwd: {data.folder}: found no task 'z', expected one of: a, b\n"
    assert lwd("data", "show", tmp_path)[0] == 1


def test_lerobot_in_and_out_by_the_commands(tmp_path, lwd):
    contract = tmp_path / "contract.yaml"
    contract.write_text(json.dumps(CONTRACT.meaning()))
    folder, out, report = write(tmp_path / "set"), tmp_path / "data", tmp_path / "report.json"
    words = ("import-lerobot", folder, "--contract", contract)
    status, printed, _ = lwd(*words, "--out", out, "--task", "put it back=back", "--json", report)
    assert status == 0 and "back <- 'put it back', 2 episodes" in printed and "4 demonstrations, 26 frames" in printed
    assert json.loads(report.read_text())["digest"] == Demonstrations(out).digest
    status, _, said = lwd(*words, "--out", out)
    assert status == 1 and "found a dataset there" in said
    status, _, said = lwd(*words, "--out", tmp_path / "x", "--task", "a", "--task", "b")
    assert status == 2 and "--task: found several" in said
    status, printed, _ = lwd("export-lerobot", "--data", out, "--out", tmp_path / "back", "--task-feature")
    assert status == 0 and "4 episodes, 26 frames, 20 Hz, float64 (exact)" in printed
    status, printed, _ = lwd("import-lerobot", tmp_path / "back", "--contract", contract, "--out", tmp_path / "again")
    assert status == 0
    again, first = Demonstrations(tmp_path / "again"), Demonstrations(out)
    for task, name in (("pick-up-the-cube", "pick-up-the-cube"), ("back", "put-it-back")):
        pairs = zip(first.episodes[task], again.episodes[name], strict=True)
        assert all(np.array_equal(a.observation, b.observation) for a, b in pairs)

"""Pins that the way of a demonstration is never lost: in datasets made of others, to LeRobot and back."""

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot_support import CONTRACT

from lwd_ros.dataset import DatasetError, Demonstrations, Episode, write_dataset
from lwd_ros.dataset.editing import drop, merge, split
from lwd_ros.dataset.importing.quality import limited
from lwd_ros.dataset.lerobot.exporting import export
from lwd_ros.dataset.lerobot.importing import read


def episodes(ways, seed=0):
    random = np.random.default_rng(seed)
    return [
        Episode(random.uniform(-1, 1, (4, 3)), random.uniform(-1, 1, (4, 2)), number, way=each)
        for number, each in enumerate(ways)
    ]


def dataset(folder, ways, seed=0, task="a"):
    write_dataset(folder, CONTRACT, {task: episodes(ways, seed)}, {})
    return Demonstrations(folder)


def ways(data, task="a"):
    return [each.way for each in data.episodes[task]]


def test_ways_are_split_dropped_and_merged_with_their_episodes(tmp_path):
    whole = dataset(tmp_path / "whole", ["left", "right", "left", "over", "right", "left"])
    split(whole, (tmp_path / "1", tmp_path / "2"), share=0.5)
    parts = [Demonstrations(tmp_path / name) for name in "12"]
    for part in parts:
        assert all(each.way == whole.episodes["a"][each.layout].way for each in part.episodes["a"])
    merge(parts, tmp_path / "again")
    assert Counter(ways(Demonstrations(tmp_path / "again"))) == {"left": 3, "right": 2, "over": 1}
    drop(whole, tmp_path / "fewer", "", "0:2")
    assert ways(Demonstrations(tmp_path / "fewer")) == ["left", "over", "right", "left"]


def test_datasets_with_and_without_ways_of_a_task_are_not_mixed(tmp_path):
    told, untold = dataset(tmp_path / "told", ["left", "right"]), dataset(tmp_path / "untold", ["", ""], 1)
    for parts in ((told, untold), (untold, told)):
        with pytest.raises(
            DatasetError, match=r"untold: task 'a': found no ways, which .*told has, expected them in both"
        ):
            merge(parts, tmp_path / "out")
    merge((told, dataset(tmp_path / "other", ["", ""], 1, task="b")), tmp_path / "apart")
    apart = Demonstrations(tmp_path / "apart")
    assert ways(apart) == ["left", "right"] and ways(apart, "b") == ["", ""]
    with pytest.raises(
        DatasetError, match="task 'a': found a way for 1 of 2 episodes, expected one for all or for none"
    ):
        write_dataset(tmp_path / "half", CONTRACT, {"a": episodes(["left", ""])}, {})
    assert not (tmp_path / "half").exists() and not (tmp_path / "out").exists()


def test_a_dataset_without_ways_has_no_column_and_older_ones_load(tmp_path):
    data = dataset(tmp_path / "data", ["", ""])
    assert "way" not in pq.read_schema(tmp_path / "data" / "a.parquet").names and ways(data) == ["", ""]
    column = pq.read_table(dataset(tmp_path / "told", ["left", "right"]).folder / "a.parquet")["way"].to_pylist()
    assert column == ["left"] * 4 + ["right"] * 4


def test_the_way_is_part_of_the_digest_also_of_recordings(tmp_path):
    for name, source in (("collected", ""), ("recorded", "bag 1")):
        found = set()
        for number, told in enumerate((["left", "right"], ["right", "left"], ["", ""])):
            folder = tmp_path / f"{name}{number}"
            rows = [Episode(e.observation, e.action, e.layout, "", source, e.way) for e in episodes(told)]
            write_dataset(folder, CONTRACT, {"a": rows}, {})
            found.add(Demonstrations(folder).digest)
        assert len(found) == 3


def test_what_an_import_clips_keeps_its_way():
    (rows,) = limited(CONTRACT, {"a": episodes(["left", "right"])}, clip=True)[0].values()
    assert [each.way for each in rows] == ["left", "right"]


def test_ways_go_to_lerobot_and_come_back(tmp_path):
    data = dataset(tmp_path / "data", ["left", "right", "left"])
    export(data, tmp_path / "lerobot")
    assert [each.way for each in read(tmp_path / "lerobot", CONTRACT).episodes["a"]] == ["left", "right", "left"]
    export(dataset(tmp_path / "plain", ["", ""]), tmp_path / "without")
    assert [each.way for each in read(tmp_path / "without", CONTRACT).episodes["a"]] == ["", ""]
    names = pq.read_schema(tmp_path / "without/meta/episodes/chunk-000/file-000.parquet").names
    assert "lwd_ros/after" in names and "lwd_ros/way" not in names


def test_show_says_how_many_went_each_way(tmp_path):
    from click.testing import CliRunner

    from lwd_ros.cli.data import data

    dataset(tmp_path / "data", ["left", "right", "left"])
    printed = CliRunner().invoke(data, ["show", str(tmp_path / "data"), "--task", "a"]).output
    assert "ways of a: left 2, right 1" in printed and "layout 1, way right" in printed
    dataset(tmp_path / "plain", ["", ""])
    assert "way" not in CliRunner().invoke(data, ["show", str(tmp_path / "plain"), "--task", "a"]).output

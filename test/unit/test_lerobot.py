"""Pins what is made of LeRobot datasets: every number by name, or a sentence; and that exports come back exactly."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_support import ACTION, CONTRACT, FPS, STATE, numbers, write

from lwd_ros.dataset import DatasetError, Demonstrations, write_dataset
from lwd_ros.dataset.lerobot import ExportSettings, LeRobotError, Mapping, Source, export, read

SAFE = ("pick-up-the-cube", "put-it-back")


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_every_version_gives_every_number_in_the_contracts_order(tmp_path, version):
    found = read(write(tmp_path / "set", version), CONTRACT)
    assert list(found.episodes) == list(SAFE) and found.version == version
    for episode in numbers():
        mine = found.episodes[SAFE[episode["task"]]][episode["number"] // 2]
        assert mine.observation.dtype == mine.action.dtype == np.float64
        assert np.array_equal(mine.observation, episode["state"][:, [1, 2, 0]])
        assert np.array_equal(mine.action, episode["action"][:, [1, 0]])
        assert mine.layout == episode["number"] and f"episode {episode['number']}" in mine.source
    assert any("observation.images.top" in note for note in found.notes)


@pytest.mark.parametrize("names", [
    [STATE], {"motors": STATE}, {"motors": STATE[:2], "hand": STATE[2:]}, {n: i for i, n in enumerate(STATE)},
])  # fmt: skip
def test_names_are_found_in_lists_in_lists_and_in_mappings(tmp_path, names):
    found = read(write(tmp_path / "set", names=(names, ACTION)), CONTRACT)
    assert np.array_equal(found.episodes[SAFE[0]][0].observation, numbers()[0]["state"][:, [1, 2, 0]])


def test_scalars_without_names_are_reached_by_their_places(tmp_path):
    folder = write(tmp_path / "set", names=(None, None))
    with pytest.raises(LeRobotError, match=r"found no 'pan' in observation\.state, .* observation\.state\[0\]"):
        read(folder, CONTRACT)
    places = [f"observation.state[{STATE.index(n)}]={n}" for n in CONTRACT.observation_names]
    places += [f"action[{ACTION.index(n)}]={n}" for n in CONTRACT.command_names]
    found = read(folder, CONTRACT, Mapping().renamed(CONTRACT, places))
    assert np.array_equal(found.episodes[SAFE[0]][0].action, numbers()[0]["action"][:, [1, 0]])


def test_a_wrong_name_is_refused_with_the_closest_and_may_be_renamed(tmp_path):
    folder = write(tmp_path / "set", names=(["wrist", "pan.pos", "lift"], ACTION))
    with pytest.raises(
        LeRobotError, match=r"expected the observed scalar 'pan' of the contract \(did you mean 'pan.pos'"
    ):
        read(folder, CONTRACT)
    found = read(folder, CONTRACT, Mapping().renamed(CONTRACT, ["pan.pos=pan"]))
    assert np.array_equal(found.episodes[SAFE[0]][0].observation[:, 0], numbers()[0]["state"][:, 1])
    with pytest.raises(LeRobotError, match=r"--rename pan\.pos=pann: found 'pann', .*did you mean 'pan'"):
        Mapping().renamed(CONTRACT, ["pan.pos=pann"])
    with pytest.raises(LeRobotError, match="found 'lift' for 'pan' and for 'lift'"):
        read(folder, CONTRACT, Mapping().renamed(CONTRACT, ["lift=pan"]))


def test_degrees_are_recognised_refused_and_mapped_exactly(tmp_path):
    episodes = numbers()
    for each in episodes:
        each["state"] = (each["state"] * 57).astype(np.float32)
    folder = write(tmp_path / "set", episodes=episodes)
    with pytest.raises(LeRobotError, match=r"observation 'pan' is -1.* expected -2 to 2 rad, .*probably degrees"):
        read(folder, CONTRACT)
    file = tmp_path / "mapping.yaml"
    file.write_text("observation:\n" + "".join(f"  {name}: {{scale: degrees}}\n" for name in STATE))
    mapping = Mapping.load(file)
    found = read(folder, CONTRACT, mapping)
    expected = episodes[0]["state"][:, 1].astype(np.float64) * (np.pi / 180)
    assert np.array_equal(found.episodes[SAFE[0]][0].observation[:, 0], expected)
    write_dataset(tmp_path / "data", CONTRACT, found.episodes, found.settings())
    export(Demonstrations(tmp_path / "data"), tmp_path / "back", ExportSettings("float32", mapping=mapping))
    table = pq.read_table(tmp_path / "back/data/chunk-000/file-000.parquet")
    theirs = np.array(table["observation.state"].to_pylist(), np.float32)
    order = [0, 2, 1, 3]  # the exported episodes go task by task
    assert np.array_equal(theirs, np.concatenate([episodes[n]["state"][:, [1, 2, 0]] for n in order]))


def test_actions_outside_the_limits_are_refused_kept_or_clipped_never_in_silence(tmp_path):
    episodes = numbers()
    episodes[2]["action"][3] = [24.0, -24.0]
    folder = write(tmp_path / "set", episodes=episodes)
    with pytest.raises(
        LeRobotError, match=r"command 'go' is -24 to .* expected -1 to 1 rad/s, .*command 'turn' is .*24"
    ):
        read(folder, CONTRACT)
    kept, clipped = read(folder, CONTRACT, outside="keep"), read(folder, CONTRACT, outside="clip")
    assert kept.episodes[SAFE[0]][1].action[3].tolist() == [-24.0, 24.0]
    assert clipped.episodes[SAFE[0]][1].action[3].tolist() == [-1.0, 1.0]
    assert any("-24" in note and "kept" in note for note in kept.notes)
    assert any("-24" in note and "clipped" in note for note in clipped.notes)


def test_percent_of_a_gripper_is_recognised(tmp_path):
    episodes = numbers()
    for each in episodes:
        each["state"] = ((each["state"] + 2) * 25).astype(np.float32)
    with pytest.raises(LeRobotError, match=r"probably degrees .*, or 0 to 100 as lerobot normalises \(scale: 0\.02\)"):
        read(write(tmp_path / "set", episodes=episodes), CONTRACT)


def _stamps(length: int, place: int, by: float) -> pa.Array:
    times = np.arange(length) / FPS
    times[place:] += by
    return pa.array(times.astype(np.float32))


def test_timestamps_beyond_the_tolerance_name_episode_and_frame(tmp_path):
    folder = write(tmp_path / "set", frames={2: {"timestamp": _stamps(7, 4, 0.003)}})
    with pytest.raises(
        LeRobotError, match=r"episode 2, frame 4: found the timestamp 0\.203 s, 53 ms .* expected 50 ms"
    ):
        read(folder, CONTRACT)
    assert len(read(folder, CONTRACT, tolerance_s=0.004).episodes) == 2
    assert len(read(folder, CONTRACT, episodes="0:2,3").episodes[SAFE[0]]) == 1


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_first_frame_inside_the_episode_before_is_named(tmp_path, version):
    folder = write(tmp_path / "set", version, frames={1: {"frame_index": pa.array([0, 1, 2, 3, 4, 0])}})
    with pytest.raises(
        LeRobotError, match=r"episode 1, frame 5: found frame_index 0, expected 5: a new episode begins"
    ):
        read(folder, CONTRACT)


def _episodes(folder, change) -> None:
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda rows: rows[1].update(length=9), r"episode 1: found 6 frames, expected 9"),
    (lambda rows: rows[2].update(dataset_from_index=12), r"rows 12 to 18, which are 6, expected 7"),
    (lambda rows: rows[2].update(dataset_from_index=10, dataset_to_index=17), r"index 11 to 18, expected 10 to 17"),
    (lambda rows: rows[1].update({"data/file_index": 1}), r"file-000\.parquet: row 5 has episode_index 1, .*: 0"),
    (lambda rows: rows[3].update({"data/file_index": 7}), r"file-007\.parquet: missing"),
    (lambda rows: rows.pop(), r"total_episodes 4, expected 3"),
])  # fmt: skip
def test_boundaries_that_disagree_are_refused_with_both_numbers(tmp_path, change, sentence):
    folder = write(tmp_path / "set")
    _episodes(folder, change)
    with pytest.raises(LeRobotError, match=sentence):
        read(folder, CONTRACT)


@pytest.mark.parametrize(("info", "sentence"), [
    ({"codebase_version": "v1.6"}, r"found the version 'v1\.6', expected one of v2\.0, v2\.1, v3\.0"),
    ({"codebase_version": None}, r"found the version None"),
    ({"fps": 30}, r"found 30 frames a second, .*expected the contract's period_s 0\.05"),
    ({"fps": "20"}, r"key 'fps': found '20', expected a finite number"),
    ({"fps": 0}, r"key 'fps': found 0"),
    ({"features": []}, r"key 'features'"),
    ({"features": {"action": {"dtype": "float32", "shape": [2], "names": ["go"]}}}, r"found 1 names, expected 2"),
    ({"features": {"action": {"dtype": "float32", "shape": [2], "names": ["go", "go"]}}}, r"found 'go' twice"),
    ({"features": {"action": {"dtype": "float32", "shape": [2], "names": ["go", "turn"]}}}, r"no feature 'observation"),
    ({"data_path": "../{chunk_index}/{file_index}"}, r"expected a path in the folder"),
    ({"data_path": "data/{chunk_index.__class__}"}, r"key 'data_path'"),
])  # fmt: skip
def test_descriptions_that_do_not_fit_are_one_sentence(tmp_path, info, sentence):
    with pytest.raises(LeRobotError, match=sentence):
        read(write(tmp_path / "set", info=info), CONTRACT)


VECTORS = pa.list_(pa.float32())


@pytest.mark.parametrize(("column", "value", "sentence"), [
    ("action", pa.array([[0.0, 1.0]] * 5 + [[0.0, float("nan")]], VECTORS), r"frame 5: 'action': found nan"),
    ("action", pa.array([[0.0, 1.0]] * 5 + [[0.0]], VECTORS), r"vectors of \[1, 2\] numbers, expected 2"),
    ("action", pa.array([[0.0, 1.0]] * 5 + [None], VECTORS), r"with 1 nulls, expected 2 numbers"),
    ("action", pa.array(["x"] * 6), r"expected 2 numbers in every row"),
    ("episode_index", pa.array([1.5] * 6), r"column 'episode_index', row 0: found 1.5, expected a whole number"),
    ("frame_index", pa.array([float("nan")] * 6), r"found nan, expected a whole number"),
    ("action", None, r"found no column 'action'"),
    ("task_index", pa.array([0] * 5 + [1]), r"episode 1: found 2 tasks .*--task NAME gives all one name"),
    ("task_index", pa.array([7] * 6), r"found task_index 7, expected one of meta/tasks: 0, 1"),
])  # fmt: skip
def test_broken_rows_are_named(tmp_path, column, value, sentence):
    with pytest.raises(LeRobotError, match=sentence):
        read(write(tmp_path / "set", "v2.1", frames={1: {column: value}}), CONTRACT)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(LeRobotError, match=r"no such folder, .*hf download lerobot/pusht --repo-type dataset"):
        read("lerobot/pusht", CONTRACT)
    folder = write(tmp_path / "deep/set", "v2.1")
    with pytest.raises(LeRobotError, match=r"meta/info\.json: missing; .*did you mean .*deep/set"):
        read(tmp_path, CONTRACT)
    (folder / "data/chunk-000/episode_000002.parquet").unlink()
    with pytest.raises(LeRobotError, match=r"4 episodes, and files of 3 are here; --episodes 0:2,3 takes those"):
        read(folder, CONTRACT)
    assert sum(map(len, read(folder, CONTRACT, episodes="0:2,3").episodes.values())) == 3
    (folder / "data/chunk-000/episode_000001.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(LeRobotError, match="a pointer of Git LFS, expected the file itself"):
        read(folder, CONTRACT, episodes="1")
    (folder / "data/chunk-000/episode_000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(LeRobotError, match="cannot be read as Parquet"):
        read(folder, CONTRACT, episodes="1")
    with pytest.raises(DatasetError, match=r"found episode 9, expected one of those that are there \(0 to 3\)"):
        read(folder, CONTRACT, episodes="9")


def test_files_that_lie_elsewhere_are_taken_and_named(tmp_path):
    folder = write(tmp_path / "set", "v2.0", info={"data_path": "data/chunk-{episode_index:03d}/episode_{episode_index:06d}.parquet"})  # fmt: skip # noqa: E501
    found = read(folder, CONTRACT)
    assert sum(map(len, found.episodes.values())) == 4
    assert sum("was taken" in note for note in found.notes) == 3


def test_statistics_that_declare_less_than_the_frames_have_are_said(tmp_path):
    folder = write(tmp_path / "set")
    (folder / "meta/stats.json").write_text(json.dumps({"action": {"min": [-0.1, -1], "max": [0.1, 1]}}))
    assert any("declare -0.1 to 0.1 for 'action', place 0" in note for note in read(folder, CONTRACT).notes)


def test_tasks_get_safe_names_or_those_that_are_given(tmp_path):
    folder = write(tmp_path / "set")
    given = read(folder, CONTRACT, tasks={"put it back": "back"})
    assert list(given.episodes) == [SAFE[0], "back"] and given.tasks["put it back"] == "back"
    assert {name: len(rows) for name, rows in read(folder, CONTRACT, task="all").episodes.items()} == {"all": 4}
    with pytest.raises(LeRobotError, match=r"found the task text 'put it bakc', .*did you mean 'put it back'"):
        read(folder, CONTRACT, tasks={"put it bakc": "back"})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_export_comes_back_exactly_with_layouts_sources_and_texts(tmp_path, dtype):
    found = read(write(tmp_path / "set"), CONTRACT)
    write_dataset(tmp_path / "data", CONTRACT, found.episodes, found.settings())
    data = Demonstrations(tmp_path / "data")
    written = export(data, tmp_path / "out", ExportSettings(dtype, task_feature=True))
    assert (written.rounding, written.fps) == (0.0, FPS)
    back = read(tmp_path / "out", CONTRACT)
    assert back.tasks == found.tasks == {"Pick up the cube.": SAFE[0], "put it back": SAFE[1]}
    for task, rows in data.episodes.items():
        for mine, again in zip(rows, back.episodes[task], strict=True):
            assert np.array_equal(mine.observation, again.observation) and np.array_equal(mine.action, again.action)
            assert (mine.layout, mine.after, mine.source) == (again.layout, again.after, again.source)
    table = pq.read_table(tmp_path / "out/data/chunk-000/file-000.parquet")
    hot = np.array(table["observation.environment_state"].to_pylist())
    assert np.array_equal(hot.argmax(1), table["task_index"].to_numpy()) and np.array_equal(
        hot.sum(1), np.ones(len(hot))
    )
    assert pq.ParquetFile(tmp_path / "out/data/chunk-000/file-000.parquet").num_row_groups == 4


def test_float32_says_by_how_much_it_rounds(tmp_path):
    episodes = read(write(tmp_path / "set"), CONTRACT).episodes
    third = {
        task: [type(e)(e.observation / 3, e.action / 3, e.layout) for e in rows] for task, rows in episodes.items()
    }
    write_dataset(tmp_path / "data", CONTRACT, third, {})
    data = Demonstrations(tmp_path / "data")
    assert 0 < export(data, tmp_path / "a", ExportSettings("float32")).rounding < 1e-7
    assert export(data, tmp_path / "b").rounding == 0
    with pytest.raises(DatasetError, match="found files there"):
        export(data, tmp_path / "b")
    twice = Mapping(observation={"pan": Source("lift")})
    with pytest.raises(LeRobotError, match="mapping: observation: found 'lift' for pan, lift"):
        export(data, tmp_path / "c", ExportSettings(mapping=twice))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "data", "set"]


@pytest.mark.parametrize(("text", "sentence"), [
    ("observation: {pan: {scale: 0}}", r"key 'observation\.pan\.scale': found 0"),
    ("observation: {pan: {skale: 2}}", r"found 'skale', expected one of from, scale, offset"),
    ("actions: {go: x}", r"found 'actions', expected one of observation, action, tasks"),
    ("[1]", r"expected a mapping"),
])  # fmt: skip
def test_a_mapping_with_a_wrong_key_is_refused(tmp_path, text, sentence):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(LeRobotError, match=sentence):
        Mapping.load(tmp_path / "m.yaml")
    with pytest.raises(LeRobotError, match=r"m: key 'action\.gone': .*did you mean 'go'"):
        Mapping(action={"gone": Source("x")}).require(CONTRACT, "m")

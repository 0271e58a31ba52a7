"""Pins demonstrations on disk: what is written is read back, byte for byte alike, and every damage is named."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Demonstrations, Episode, TaskFile, write_meta
from lwd_ros.environments.collect import CollectSettings, collect

TASKS = ("reach-v3", "push-v3")


def _episodes(draw: int = 0, count: int = 3) -> list[Episode]:
    rng = np.random.default_rng(draw)
    return [
        Episode(rng.normal(size=(n, 21)), rng.normal(size=(n, 4)), layout=10 * draw + i, after=["", "push-v3"][i % 2])
        for i, n in enumerate(rng.integers(1, 30, size=count))
    ]


def _write(folder, contract, draw: int = 0):
    folder.mkdir(parents=True, exist_ok=True)
    for index, task in enumerate(TASKS):
        TaskFile.of(folder, task).write(task, index, contract.period_s, _episodes(draw + index), {"seed": draw})
    return write_meta(folder, contract, TASKS, {"seed": draw}, {task: {"episodes": 3} for task in TASKS})


def _equal(found: Episode, expected: Episode) -> bool:
    same = (found.layout, found.after) == (expected.layout, expected.after)
    return same and all(
        getattr(found, name).tobytes() == getattr(expected, name).tobytes() for name in ("observation", "action")
    )


@pytest.fixture
def folder(tmp_path, contract):
    _write(tmp_path / "data", contract)
    return tmp_path / "data"


def test_what_is_written_is_read_back(folder, contract):
    dataset = Demonstrations(folder, contract)
    assert dataset.tasks == TASKS
    assert dataset.contract.digest == contract.digest
    for index, task in enumerate(TASKS):
        expected = _episodes(index)
        assert len(dataset.episodes[task]) == len(expected)
        assert all(_equal(a, b) for a, b in zip(dataset.episodes[task], expected, strict=True))
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "push-v3.parquet", "reach-v3.parquet"]


_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(
        arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(3)), elements=_FINITE), min_size=1, max_size=4
    )
)
def test_every_float64_survives(tmp_path_factory, observations):
    file = TaskFile(tmp_path_factory.mktemp("any") / "x.parquet")
    episodes = [Episode(o, o[:, :1], layout=i) for i, o in enumerate(observations)]
    file.write("x", 0, 0.1, episodes, {})
    assert all(_equal(a, b) for a, b in zip(file.read(), episodes, strict=True))


def test_the_columns_are_those_of_lerobot(folder):
    table = pq.read_table(folder / "reach-v3.parquet")
    lengths = [len(episode.action) for episode in _episodes(0)]
    frames = np.concatenate([np.arange(n) for n in lengths])
    assert table["frame_index"].to_pylist() == frames.tolist()
    assert table["episode_index"].to_pylist() == np.repeat(range(3), lengths).tolist()
    assert table["timestamp"].to_numpy() == pytest.approx(frames * 0.0125)
    assert table.schema.field("observation.state").type == pa.list_(pa.float64(), 21)
    assert table.schema.field("action").type == pa.list_(pa.float64(), 4)
    assert set(table["task"].to_pylist()) == {"reach-v3"} and set(table["task_index"].to_pylist()) == {0}


def test_statistics_are_those_of_the_frames(folder):
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    for index, task in enumerate(TASKS):
        whole = np.concatenate([episode.observation for episode in _episodes(index)])
        found = meta["statistics"][task]["observation"]
        assert found["mean"] == pytest.approx(whole.mean(0), abs=1e-6)
        assert found["std"] == pytest.approx(whole.std(0), abs=1e-6)
        assert found["min"] == pytest.approx(whole.min(0), abs=1e-6)
        assert found["max"] == pytest.approx(whole.max(0), abs=1e-6)


def test_identical_input_gives_identical_bytes(tmp_path, contract):
    first, second, other = (_write(tmp_path / name, contract, draw) for name, draw in (("a", 0), ("b", 0), ("c", 1)))
    for name in ("meta.json", *(f"{task}.parquet" for task in TASKS)):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first["digest"] == second["digest"] != other["digest"]


def test_settings_are_kept_beside_the_episodes(folder):
    assert TaskFile.of(folder, "reach-v3").settings() == {"seed": 0}
    assert TaskFile.of(folder, "never-v3").settings() is None
    pq.write_table(pa.table({"x": [1]}), folder / "never-v3.parquet")
    assert TaskFile.of(folder, "never-v3").settings() is None


# Damage


def _refused(folder, expected: str, contract=None):
    with pytest.raises(DatasetError, match=expected) as caught:
        Demonstrations(folder, contract)
    assert str(folder) in str(caught.value)


def _redigest(folder):
    """Make meta.json state the digest of the files as they are, so that a reader gets as far as their content."""
    from lwd_ros.dataset.demonstrations import digest

    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    meta["digest"] = digest(folder, TASKS)
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file(folder, share):
    path = folder / "reach-v3.parquet"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    _refused(folder, "files have digest .* expected .* from meta.json")
    _redigest(folder)
    _refused(folder, "reach-v3.parquet: cannot be read as demonstrations")
    with pytest.raises(DatasetError, match=r"is not a whole Parquet file .* delete it"):
        TaskFile(path).settings()


def test_a_changed_file(folder):
    table = pq.read_table(folder / "reach-v3.parquet")
    pq.write_table(table.slice(1), folder / "reach-v3.parquet")
    _refused(folder, "files have digest .* expected .* from meta.json")


def test_a_missing_file(folder):
    (folder / "push-v3.parquet").unlink()
    _refused(folder, r"push-v3.parquet: missing; expected the demonstrations of 'push-v3'")


def test_a_folder_that_is_not_a_dataset(tmp_path):
    _refused(tmp_path, "meta.json: missing; expected a dataset made by 'lwd collect'")
    _refused(tmp_path / "nowhere", "meta.json: missing")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"contract": {', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[]", "found no 'contract'"),
        (b"{}", "found no 'contract'"),
        (b'{"contract": {"name": "x"}, "contract_digest": "0"}', "found no 'tasks'"),
        (b'{"contract": {"name": "x"}, "contract_digest": "0", "tasks": [], "digest": "0"}', "found no 'tasks'"),
    ],
)
def test_a_meta_file_that_is_broken_or_of_something_else(folder, content, expected):
    (folder / "meta.json").write_bytes(content)
    _refused(folder, f"meta.json: {expected}")


@pytest.mark.parametrize("column", ["observation.state", "action"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite(folder, contract, column, value):
    episodes = _episodes(0)
    values = episodes[1].observation if column == "observation.state" else episodes[1].action
    values[0, 2] = value
    TaskFile.of(folder, "reach-v3").write("reach-v3", 0, contract.period_s, episodes, {})
    _redigest(folder)
    row = len(episodes[0].action)
    _refused(folder, rf"reach-v3.parquet: '{column}' is not finite in row {row} \(episode 1\)")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"x": pa.array([1])}, "cannot be read as demonstrations"),
        ({"observation.state": pa.array([[1.0]])}, "expected fixed-size lists"),
        ({"observation.state": pa.array([1.0])}, "expected fixed-size lists"),
        ({"observation.state": pa.array([[1.0], None], pa.list_(pa.float64(), 1))}, "with 1 nulls"),
    ],
)
def test_a_parquet_file_of_something_else(folder, columns, expected):
    pq.write_table(pa.table(columns), folder / "reach-v3.parquet")
    _redigest(folder)
    _refused(folder, f"reach-v3.parquet: .*{expected}")


def test_a_file_without_frames(folder):
    pq.write_table(pq.read_table(folder / "reach-v3.parquet").slice(0, 0), folder / "reach-v3.parquet")
    _redigest(folder)
    _refused(folder, "reach-v3.parquet: found no frames")


def test_columns_that_do_not_fit_the_contract(folder, contract):
    short = [Episode(e.observation[:, :20], e.action, e.layout) for e in _episodes(0)]
    TaskFile.of(folder, "reach-v3").write("reach-v3", 0, contract.period_s, short, {})
    _redigest(folder)
    _refused(folder, r"task 'reach-v3' has columns of sizes \(20, 4\), expected \(21, 4\)")


def test_another_contract(folder, contract):
    meaning = contract.meaning() | {"period_s": 0.02}
    _refused(folder, f"follows contract {contract.digest[:12]}, expected", Contract.from_dict(meaning))
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    (folder / "meta.json").write_text(json.dumps(meta | {"contract": meaning}), encoding="utf-8")
    _refused(folder, "it was changed since the demonstrations were collected")


def test_a_disk_that_cannot_be_written_leaves_no_partial_file(tmp_path, contract):
    (tmp_path / "reach-v3.parquet").mkdir()
    with pytest.raises(OSError, match=r"cannot be written .*reach-v3\.parquet"):
        TaskFile.of(tmp_path, "reach-v3").write("reach-v3", 0, contract.period_s, _episodes(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["reach-v3.parquet"]


# Collecting


SETTINGS = CollectSettings(episodes=1, seed=3, settle_steps=5)


def test_collecting_is_deterministic_resumes_and_chains_reverses(tmp_path, contract):
    tasks = ("reach-v3", "drawer-close-v3")
    meta = collect(tmp_path / "a", tasks, contract, SETTINGS, workers=1)
    again = collect(tmp_path / "b", tasks, contract, SETTINGS, workers=1)
    assert meta["digest"] == again["digest"]
    assert (tmp_path / "a/meta.json").read_bytes() == (tmp_path / "b/meta.json").read_bytes()
    dataset = Demonstrations(tmp_path / "a", contract)
    assert [e.after for e in dataset.episodes["reach-v3"]] == [""]
    chains = [e.after for e in dataset.episodes["drawer-close-v3"]]
    assert chains[0] == ""
    assert chains[1] in ("drawer-open-v3", "drawer-close-v3+drawer-open-v3")
    limits = contract.command_limits
    for episodes in dataset.episodes.values():
        for episode in episodes:
            assert (episode.action >= limits[0]).all() and (episode.action <= limits[1]).all()
            assert SETTINGS.steps_after_success < len(episode.action) == len(episode.observation)
    # Stopped after the first task: its file stays, and what is missing is made as it was.
    (tmp_path / "b/meta.json").unlink()
    (tmp_path / "b/drawer-close-v3.parquet").unlink()
    kept = (tmp_path / "b/reach-v3.parquet").stat().st_mtime_ns
    assert collect(tmp_path / "b", tasks, contract, SETTINGS, workers=1) == meta
    assert (tmp_path / "b/reach-v3.parquet").stat().st_mtime_ns == kept
    # Other settings, other tasks: refused, nothing lost.
    other = CollectSettings(**asdict(SETTINGS) | {"seed": 4})
    for chosen, settings, sentence in (
        (tasks, other, "'seed' of drawer-close-v3: found 3, asked for 4"),
        (("reach-v3",), SETTINGS, "of another task, drawer-close-v3"),
    ):
        with pytest.raises(DatasetError, match=sentence):
            collect(tmp_path / "b", chosen, contract, settings, workers=1)
    assert Demonstrations(tmp_path / "b", contract).digest == meta["digest"]
    assert collect(tmp_path / "c", ("reach-v3",), contract, other, workers=1)["digest"] != meta["digest"]


@pytest.mark.parametrize("first", [-1, 99_999, 100_000, 200_000])
def test_layouts_kept_for_evaluation_are_refused(tmp_path, contract, first):
    with pytest.raises(DatasetError, match=r"demonstrations use layouts below 100000"):
        collect(tmp_path / "a", ("reach-v3",), contract, CollectSettings(episodes=1, first_layout=first), workers=1)
    assert not (tmp_path / "a").exists()

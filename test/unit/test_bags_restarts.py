"""One file over a restart of a simulator: its times begin anew, and two simulations are never mixed."""

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
pytest.importorskip("pyarrow")

from bags_support import PERIOD_NS, STORE, WITHOUT_INDEX, Entry, entry, write_mcap, write_ros1, write_rosbag2
from mcap.writer import CompressionType
from recordings_support import MARKER, commands, contract, imported, joints, mark, recording, refused, transform
from recordings_support import STORE as MARKS
from rosbags.rosbag2 import StoragePlugin

from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.bags.checking import look
from lwd_ros.dataset.bags.looking import sightings
from lwd_ros.dataset.importing import Settings

SECOND = 1_000_000_000
if MARKER not in STORE.fielddefs:
    STORE.register({MARKER: MARKS.fielddefs[MARKER]})


def run(base: float, steps: int, start_s: float = 0.0) -> list[Entry]:
    """Joints that say `base` and more, each answered by a command; stamps and log times are the simulation's."""
    result = []
    for step in range(steps):
        ns, place = round(start_s * SECOND) + (step + 1) * PERIOD_NS, base + 0.01 * step
        result.append(entry("/joint_states", joints(ns, [place, 0.0]), ns + 1_000_000))
        result.append(entry("/commands", commands([place, 0.0]), ns + 5_000_000))
    return result


RESTARTED = run(0.0, 120) + run(-1.0, 100)
FILES = {
    "small_chunks": lambda at, entries: write_mcap(at / "a.mcap", entries),
    "one_chunk": lambda at, entries: write_mcap(at / "a.mcap", entries, chunk_size=10**7),
    "zstd": lambda at, entries: write_mcap(at / "a.mcap", entries, compression=CompressionType.ZSTD),
    "no_index": lambda at, entries: write_mcap(at / "a.mcap", entries, **WITHOUT_INDEX),
    "unchunked": lambda at, entries: write_mcap(at / "a.mcap", entries, use_chunking=False),
    "sqlite": lambda at, entries: write_rosbag2(at / "bag", entries, StoragePlugin.SQLITE3),
}


def places(bag, topic: str = "/joint_states") -> list[float]:
    return [message.message.position[0] for message in bag.messages([topic])]


def parts(path) -> list[list[int]]:
    """Log times of all messages, part by part."""
    with open_bags(path) as bag:
        return [[message.log_ns for message in part.messages(decode=False)] for part in bag.parts]


@pytest.mark.parametrize("kind", FILES)
def test_two_simulations_of_one_file_are_two_episodes(tmp_path, kind):
    path = FILES[kind](tmp_path, RESTARTED)
    report, episodes = imported(tmp_path, path)
    first, second = episodes["reach"]
    for made, base, length in ((first, 0.0, 120), (second, -1.0, 100)):  # sorted by time they would alternate
        assert np.allclose(made.observation[:, 0], base + 0.01 * np.arange(length), atol=1e-12)
        assert (made.action == made.observation).all()
    sources = [each.source for each in report.episodes]
    assert [each.partition(",")[0] for each in sources] == [f"{path.name} part {number}" for number in (1, 2)]
    ((_, problems),) = report.recordings
    assert len(problems) == 1
    assert "its times go back by 2.38 s after 2.38 s" in problems[0]


def test_a_bag_of_ros_1_too(tmp_path):
    joints_alone = [each for each in RESTARTED if each[0] == "/joint_states"]
    with open_bags(write_ros1(tmp_path / "a.bag", joints_alone)) as bag:
        assert [part.name for part in bag.parts] == ["a.bag part 1", "a.bag part 2"]
        assert [places(part)[:2] for part in bag.parts] == [[0.0, 0.01], [-1.0, -0.99]]
        assert [len(places(part)) for part in bag.parts] == [120, 100]
        assert places(bag) == places(bag.parts[0]) + places(bag.parts[1])


@pytest.mark.parametrize("steps", [(120, 30, 200), (30, 120, 40)])
def test_a_restart_may_come_again_and_a_simulation_may_last_longer_than_the_one_before(tmp_path, steps):
    made = [each for number, length in enumerate(steps) for each in run(-1.0 * number, length)]
    with open_bags(write_mcap(tmp_path / "a.mcap", made)) as bag:
        assert [len(places(part)) for part in bag.parts] == list(steps)
        assert [places(part)[0] for part in bag.parts] == [0.0, -1.0, -2.0]
        assert len(bag.problems) == 2


def test_a_recording_that_began_late_may_go_back_before_its_beginning(tmp_path):
    with open_bags(write_mcap(tmp_path / "a.mcap", run(0.0, 120, 100.0) + run(-1.0, 100))) as bag:
        assert [places(part)[0] for part in bag.parts] == [0.0, -1.0]
        assert [part.origin_ns for part in bag.parts] == [100 * SECOND + PERIOD_NS + 1_000_000, PERIOD_NS + 1_000_000]


def test_what_was_stored_out_of_order_at_the_restart_finds_its_simulation(tmp_path):
    first, second = run(0.0, 120), run(-1.0, 100)
    late = first.pop(-2)  # joints of the first simulation, stored among those of the second
    begins = entry("/recorder/episode", mark(0, "place"), PERIOD_NS)
    ends = entry("/recorder/episode", mark(1, "place"), 101 * PERIOD_NS + 7)
    begun = entry("/recorder/episode", mark(0, "pick"), PERIOD_NS)
    ended = entry("/recorder/episode", mark(1, "pick"), 120 * PERIOD_NS + 6_000_000)
    made = [begun, *first[:-1], ended, begins, first[-1], *second[:5], late, *second[5:], ends]
    report, episodes = imported(tmp_path, write_mcap(tmp_path / "a.mcap", made), Settings())
    assert [(each.task, each.rows) for each in report.episodes] == [("pick", 120), ("place", 100)]
    assert (episodes["pick"][0].action == episodes["pick"][0].observation).all()
    assert episodes["place"][0].observation[0, 0] == -1.0


def _by_topic(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: each[0])


def _by_threads(entries: list[Entry]) -> list[Entry]:
    """Every other second is written late, by 1 to 2 s."""
    return sorted(entries, key=lambda each: (each[2] // SECOND // 2, -(each[2] // SECOND % 2)))


def _from_zero(entries: list[Entry]) -> list[Entry]:
    """A recorder that hears /clock late: what came before has the time 0, and some of it is stored later."""
    return [(topic, kind, 0, data) if place % 7 < 3 and place < 40 else (topic, kind, 10**12 + ns, data)
            for place, (topic, kind, ns, data) in enumerate(entries)]  # fmt: skip


def _one_late(entries: list[Entry]) -> list[Entry]:
    return [*entries[2:200], *entries[:2], *entries[200:]]


@pytest.mark.parametrize("change", [_by_topic, _by_threads, _from_zero, _one_late])
@pytest.mark.parametrize("kind", ["small_chunks", "one_chunk", "sqlite"])
def test_a_file_in_another_order_is_no_restart(tmp_path, kind, change):
    made = change(run(0.0, 400))
    path = FILES[kind](tmp_path, made)
    assert parts(path) == [sorted(each[2] for each in made)]
    with open_bags(path) as bag:
        list(bag.messages(decode=False))
        assert bag.problems == []


def test_files_that_follow_go_on_from_the_last_simulation(tmp_path):
    folder = tmp_path / "bag"
    folder.mkdir()
    second = run(-1.0, 300)
    write_mcap(folder / "bag_0.mcap", run(0.0, 60))
    write_mcap(folder / "bag_1.mcap", run(0.6, 60, 1.2) + second[:200])
    write_mcap(folder / "bag_2.mcap", second[200:])
    _, episodes = imported(tmp_path, folder)
    first, second = episodes["reach"]
    assert np.allclose(first.observation[:, 0], 0.01 * np.arange(120), atol=1e-12)
    assert np.allclose(second.observation[:, 0], -1.0 + 0.01 * np.arange(300), atol=1e-12)


def test_what_was_latched_before_a_restart_holds_after_it(tmp_path):
    static = entry("/tf_static", transform(0, "world", "base"), 5)
    path = write_mcap(tmp_path / "a.mcap", [static, *RESTARTED])
    with open_bags(path) as bag:
        first, second = bag.parts
        assert [part.name for part in second.earlier] == [first.name]
        assert first.earlier == ()
        assert [message.log_ns for part in second.earlier for message in part.messages(["/tf_static"])] == [5]


def test_static_transforms_of_before_a_restart_place_what_moves_after_it(tmp_path):
    pytest.importorskip("pytransform3d")
    streams = [{"type": "tf", "frame": "hand", "in": "base", "stale_after_s": 0.2,
                "fields": {"elbow": "translation.x", "wrist": "translation.y"}}]  # fmt: skip
    made = [entry("/tf_static", transform(0, "base", "camera", 2.0), 5)]
    for topic, kind, ns, data in RESTARTED:
        if topic == "/joint_states":
            place = STORE.deserialize_cdr(data, kind).position[0]
            made.append(entry("/tf", transform(ns - 1_000_000, "camera", "hand", place), ns))
        else:
            made.append((topic, kind, ns, data))
    of = contract(binding__observation__streams=streams)
    _, episodes = imported(tmp_path, write_mcap(tmp_path / "a.mcap", made), of=of)
    first, second = episodes["reach"]
    assert np.allclose(first.observation[:, 0], 2.0 + 0.01 * np.arange(120), atol=1e-9)
    assert np.allclose(second.observation[:, 0], 1.0 + 0.01 * np.arange(100), atol=1e-9)


def test_a_first_contract_and_a_check_count_intervals_in_each_part(tmp_path):
    """Sorted together, two simulations of one time look as one of twice the rate."""
    with open_bags(write_mcap(tmp_path / "a.mcap", run(0.0, 120) + run(-1.0, 100, 0.009))) as bag:
        seen = {each.topic: each for each in sightings(bag)}
        assert seen["/joint_states"].interval_s == pytest.approx(0.02)
        assert seen["/joint_states"].longest_gap_s == pytest.approx(0.02)
        rates = {row.name: row.seen.rate_hz for row in look(contract(), bag).rows}
        assert rates["elbow"] == pytest.approx(50.0)


def test_a_table_names_the_parts(tmp_path):
    path, table = write_mcap(tmp_path / "a.mcap", RESTARTED), tmp_path / "episodes.csv"
    table.write_text("task,start_s,end_s,bag\npick,0,1.5,a.mcap part 1\nplace,0.5,1.5,a.mcap part 2\n")
    _, episodes = imported(tmp_path, path, Settings(episodes=table))
    assert {task: each[0].observation[0, 0] for task, each in episodes.items()} == {"pick": 0.0, "place": -0.75}
    table.write_text("task,start_s,end_s\npick,0,1.5\n")
    assert "expected 'bag', for there are several recordings" in refused(
        tmp_path / "other", path, Settings(episodes=table)
    )


def test_a_recording_without_a_restart_has_one_part(tmp_path):
    with open_bags(recording(200).mcap(tmp_path / "a.mcap")) as bag:
        assert bag.parts == [bag]

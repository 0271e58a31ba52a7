"""Bags to datasets: rows 20 to 28 of the public reports, each named after what must happen."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
pytest.importorskip("pyarrow")

from mcap.writer import CompressionType
from recordings_support import (
    PERIOD_NS,
    REACH,
    START_NS,
    Recording,
    commands,
    contract,
    expected,
    imported,
    joints,
    mark,
    position,
    recording,
    refused,
    tick,
    transform,
)
from rosbags.rosbag2 import StoragePlugin

from lwd_ros.dataset.importing import Settings, import_bags


def test_rows_are_what_was_measured_and_actions_the_answers_to_it(tmp_path):
    _, episodes = imported(tmp_path, recording().mcap(tmp_path / "a.mcap"))
    (episode,) = episodes["reach"]
    observation, action = expected()
    assert (episode.observation == observation).all()
    assert (episode.action == action).all()
    assert episode.source == "a.mcap, 0.00 to 1.98 s"


def answered(late_ns: int, stops: int = 0) -> tuple[Recording, object]:
    """Joints that a controller answers with their stamp, `late_ns` later; at the end it stops with stamp 0."""
    made = Recording()
    for step in range(100):
        after_ns, places = step * PERIOD_NS, position(step)
        made.add(after_ns, "/joint_states", joints(START_NS + after_ns, places))
        made.add(after_ns + late_ns, "/sent", joints(START_NS + after_ns, [each + 0.1 for each in places]))
    for step in range(stops):
        made.add(1_000_000_000 + step, "/sent", joints(0, [0.0, 0.0]))
    stream = {"topic": "sent", "type": "sensor_msgs/msg/JointState", "frame_id": "", "stamp": "observation",
              "constants": {"name": ["elbow", "wrist"]},
              "fields": {"elbow_to": "position[elbow]", "wrist_to": "position[wrist]"}}  # fmt: skip
    return made, contract(binding__command__streams=[stream])


@pytest.mark.parametrize("late_ns", [1_000_000, 19_999_999, 65_000_000])
def test_a_command_that_carries_an_observations_stamp_answers_that_one_however_late(tmp_path, late_ns):
    made, of = answered(late_ns, stops=3)
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)
    assert (episodes["reach"][0].observation == expected()[0]).all()
    assert (episodes["reach"][0].action == expected()[1]).all()
    assert any("3 of 103 commands have stamp 0" in each for each in report.all_warnings())


def test_row_20_a_truncated_file_gives_what_it_holds_and_says_what_is_lost(tmp_path):
    whole = recording(300).mcap(tmp_path / "whole.mcap", CompressionType.NONE)
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(whole.read_bytes()[: int(0.5 * whole.stat().st_size)])
    report, episodes = imported(tmp_path, torn)
    (episode,) = episodes["reach"]
    rows = len(episode.action)
    assert 100 < rows < 280
    assert (episode.observation == expected(300)[0][:rows]).all()
    assert any("torn" in sentence and "lost" in sentence for sentence in report.all_warnings())


def test_row_21_all_encodings_of_one_recording_give_one_digest(tmp_path):
    made = recording()
    bags = [made.mcap(tmp_path / f"{kind.name}.mcap", kind) for kind in CompressionType]
    for storage in StoragePlugin:
        bags.append(made.folder(tmp_path / f"plain_{storage.name}", storage))
        bags += [made.folder(tmp_path / f"{mode}_{storage.name}", storage, mode) for mode in ("FILE", "MESSAGE")
                 if storage == StoragePlugin.SQLITE3]  # fmt: skip
    digests = {}
    for number, bag in enumerate(bags):
        digests[bag.name] = imported(tmp_path, bag, name=f"data_{number}")[0].meta["digest"]
    assert len(digests) == 7
    assert len(set(digests.values())) == 1, digests


def test_the_digest_covers_every_number(tmp_path):
    first = imported(tmp_path, recording().mcap(tmp_path / "a.mcap"))[0].meta["digest"]
    changed = recording()
    changed.entries[50] = (changed.entries[50][0], "/joint_states", joints(START_NS + 25 * PERIOD_NS, [0.0, 1e-9]))
    assert imported(tmp_path, changed.mcap(tmp_path / "b.mcap"), name="other")[0].meta["digest"] != first


def test_row_22_a_split_bag_is_one_recording_without_seam(tmp_path):
    whole, folder = recording(), tmp_path / "split"
    folder.mkdir()
    for part in range(3):
        entries = sorted(whole.entries, key=lambda each: each[0])[part * 67 : (part + 1) * 67]
        Recording(entries).mcap(folder / f"split_{part}.mcap")
    digest = imported(tmp_path, folder)[0].meta["digest"]
    assert imported(tmp_path, whole.mcap(tmp_path / "w.mcap"), name="whole")[0].meta["digest"] == digest
    parts = sorted(folder.iterdir())
    report = import_bags(parts, contract(), tmp_path / "joined", replace(REACH, joined=True))
    assert report.meta["digest"] == digest


def test_row_23_a_bag_without_metadata_is_read(tmp_path):
    bag = recording().folder(tmp_path / "bag")
    (bag / "metadata.yaml").unlink()
    assert len(imported(tmp_path, bag)[1]["reach"]) == 1


@pytest.mark.parametrize(("topic", "label"), [("/joint_states", "joint_states"), ("/commands", "the command commands")])
def test_row_24_a_hole_is_cut_with_its_length_and_never_bridged(tmp_path, topic, label):
    bag = recording(300).without(topic, 2.0, 3.0).mcap(tmp_path / "a.mcap")
    report, episodes = imported(tmp_path, bag, replace(REACH, held_s=0.2))
    first, second = episodes["reach"]
    assert 100 <= len(first.action) <= 111  # what is not stale yet holds for 0.2 s
    assert len(second.action) == 150
    assert (second.observation == expected(300)[0][150:]).all()
    sentence = "; ".join(report.episodes[0].said)
    assert label in sentence
    ms = float(sentence.split(" ms without")[0].rpartition(" ")[2].replace(",", ""))
    assert 790 <= ms <= 1020
    assert "found" in refused(tmp_path / "x", bag, replace(REACH, holes="refuse", held_s=0.2))
    assert "left out for its holes" in refused(tmp_path / "x", bag, replace(REACH, holes="drop", held_s=0.2))


def test_row_24_a_hole_that_the_contract_allows_is_not_bridged_either(tmp_path):
    """Rows further apart than ten periods are two episodes; what is missing inside one is counted."""
    patient = contract(binding__observation__streams__0__stale_after_s=5.0)
    made = recording(300).without("/joint_states", 2.0, 3.0)
    made = made.without("/joint_states", 0.5, 0.6)
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=patient)
    assert [len(each.action) for each in episodes["reach"]] == [95, 150]
    assert "1,020 ms without joint_states" in report.episodes[0].said[1]
    assert report.episodes[0].said[-1] == "5 periods without a message of joint_states (/joint_states)"
    by_hand = replace(REACH, actions="observed")
    report, episodes = imported(tmp_path, tmp_path / "a.mcap", by_hand, patient, "by_hand")
    assert [len(each.action) for each in episodes["reach"]] == [69, 149]  # 24 rows before 0.5 s are fewer than 50


def test_row_24_a_topic_that_begins_late_costs_its_rows_and_is_said(tmp_path):
    bag = recording().without("/commands", 0.0, 0.5).mcap(tmp_path / "a.mcap")
    report, episodes = imported(tmp_path, bag)
    assert len(episodes["reach"][0].action) == 75
    assert report.episodes[0].said == ["500 ms without the command commands (/commands) at its beginning"]


def test_row_25_unknown_types_are_ignored_elsewhere_and_named_where_they_are_bound(tmp_path):
    made = recording()
    made.add(0, "/strange", commands([1.0]))
    bag = made.mcap(tmp_path / "a.mcap", kinds={"/strange": "odd_msgs/msg/Odd"})
    assert len(imported(tmp_path, bag)[1]["reach"]) == 1
    bound = made.mcap(tmp_path / "b.mcap", kinds={"/commands": "odd_msgs/msg/Odd"})
    odd = contract(binding__command__streams__0__type="odd_msgs/msg/Odd")
    sentence = refused(tmp_path / "x", bound, of=odd)
    assert "odd_msgs/msg/Odd" in sentence
    assert "commands" in sentence


def moving(step: int) -> float:
    return 0.01 * step


def with_tf(static: bool) -> tuple[Recording, object]:
    """A recording whose elbow comes from transforms: camera in base (static), hand in camera (moving)."""
    made = recording()
    for step in range(100):
        after_ns = step * PERIOD_NS
        made.add(after_ns + 500_000, "/tf", transform(START_NS + after_ns, "camera", "hand", moving(step)))
    if static:  # recorded long after it was latched
        made.add(1_500_000_000, "/tf_static", transform(START_NS, "base", "camera", 2.0))
    streams = [
        {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "stale_after_s": 0.2,
         "fields": {"wrist": "position[wrist]"}},
        {"type": "tf", "frame": "hand", "in": "base", "stale_after_s": 0.2, "fields": {"elbow": "translation.x"}},
    ]  # fmt: skip
    return made, contract(binding__observation__streams=streams)


def test_row_26_transforms_without_their_static_part_name_the_frame_without_a_parent(tmp_path):
    pytest.importorskip("pytransform3d")
    made, of = with_tf(static=False)
    sentence = refused(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)
    assert "'base'" in sentence
    assert "tf_static" in sentence
    made, of = with_tf(static=True)
    (episode,) = imported(tmp_path, made.mcap(tmp_path / "b.mcap"), of=of)[1]["reach"]
    assert np.allclose(episode.observation[:, 0], [2.0 + moving(step) for step in range(100)], atol=1e-12)


def episode_of(first: int, number: int, success: bool | None, task: str = "pick") -> Recording:
    """A second of recording from step `first` on, with the recorder's marks; without an end for None."""
    made = Recording([each for each in recording(first + 50).entries if each[0] >= first * PERIOD_NS])
    made.add(first * PERIOD_NS, "/recorder/episode", mark(0, task, number))
    if success is not None:
        made.add((first + 50) * PERIOD_NS - 1, "/recorder/episode", mark(1, task, number, success))
    return made


def test_row_27_a_recorder_that_was_killed_leaves_its_whole_episodes_and_the_torn_one_is_reported(tmp_path):
    made = Recording()
    for number in range(4):
        made.entries += episode_of(100 * number, number, None if number == 3 else number != 1).entries
    bag = made.mcap(tmp_path / "a.mcap")
    report, episodes = imported(tmp_path, bag, Settings())
    assert [len(each.action) for each in episodes["pick"]] == [50, 50]
    assert [each.why.partition(";")[0] for each in report.episodes] == [
        "", "failed", "", "torn: it begins and never ends",
    ]  # fmt: skip
    kept = imported(tmp_path, bag, Settings(keep_failed=True), name="all")[1]
    assert len(kept["pick"]) == 3


def test_row_28_what_the_robot_was_sent_is_imported_not_what_the_policy_said(tmp_path):
    made = Recording()
    for step in range(100):
        places, after_ns = position(step), step * PERIOD_NS
        said, sent = [places[0] + 9.0, places[1]], [places[0] + 0.1, places[1] + 0.1]
        made.add(after_ns, "/policy_controller/tick", tick(START_NS + after_ns, step + 1, places, said, sent))
    _, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), replace(REACH, actions="tick"))
    (episode,) = episodes["reach"]
    assert (episode.observation == expected()[0]).all()
    assert (episode.action == expected()[1]).all()
    other = contract(observation__other={"unit": "1", "limits": [0.0, 1.0]}, binding__observation__streams__0__fields={
        "elbow": "position[elbow]", "wrist": "position[wrist]", "other": "velocity[elbow]"})  # fmt: skip
    sentence = refused(tmp_path / "x", tmp_path / "a.mcap", replace(REACH, actions="tick"), other)
    assert "2 observed and 2 commanded scalars, expected 3 and 2" in sentence

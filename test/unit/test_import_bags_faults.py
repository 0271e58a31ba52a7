"""Bags to datasets: clocks, rates, names, limits, ways to find episodes, and what is refused in one sentence."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
pytest.importorskip("pyarrow")

from recordings_support import (
    JOINTS,
    PERIOD_NS,
    REACH,
    START_NS,
    Recording,
    commands,
    contract,
    expected,
    imported,
    joints,
    position,
    recording,
    refused,
    service_event,
    text,
    with_rest,
)

import lwd_ros
from lwd_ros.dataset.importing import Names, Settings, import_bags
from lwd_ros.dataset.importing.report_plot import plot


def test_row_33_actions_outside_the_limits_are_named_with_their_range_and_never_clipped_in_silence(tmp_path):
    bag = recording().mcap(tmp_path / "a.mcap")
    tight = contract(command__elbow_to__limits=[-0.5, 0.5])
    sentence = refused(tmp_path, bag, of=tight)
    assert "elbow_to -0.89" in sentence
    assert "to 1.1 rad, expected -0.5 to 0.5" in sentence
    assert "wrist_to" not in sentence
    assert "--clip" in sentence
    report, episodes = imported(tmp_path, bag, replace(REACH, clip=True), tight)
    action = episodes["reach"][0].action
    assert (action == np.clip(expected()[1], [-0.5, -2.0], [0.5, 2.0])).all()
    share = (np.abs(expected()[1][:, 0]) > 0.5).mean()
    assert [each.clipped for each in report.scalars if each.kind == "command"] == [share, 0.0]


def test_row_34_degrees_and_percent_are_said_and_a_scale_in_the_binding_mends_them(tmp_path):
    made = Recording()
    for step in range(100):
        after_ns, (elbow, wrist) = step * PERIOD_NS, position(step)
        values = [np.degrees(elbow), 50.0 + 50.0 * wrist]
        made.add(after_ns, "/joint_states", joints(START_NS + after_ns, values))
        made.add(after_ns + 1, "/commands", commands([elbow, wrist]))
    bag = made.mcap(tmp_path / "a.mcap")
    gripper = {"unit": "1", "limits": [0.0, 1.0]}
    wrist_to = {"unit": "1", "limits": [-1.0, 1.0], "slew_per_s": 9.0, "rest": "zero"}
    doubtful = contract(observation__wrist=gripper, command__wrist_to=wrist_to)
    report, _ = imported(tmp_path, bag, of=doubtful)
    assert "100 % outside" not in "\n".join(report.text())
    assert re.search(r"elbow .* outside, degrees\?", "\n".join(report.text()))
    said = " ".join(report.all_warnings())
    assert "elbow: found -57.29 to 57.28 under limits [-3.2, 3.2] rad: degrees?" in said
    assert "wrist: found 0" in said
    assert "percent?" in said
    fields = {
        "elbow": {"field": "position[elbow]", "scale": np.pi / 180},
        "wrist": {"field": "position[wrist]", "scale": 0.01},
    }
    mended = contract(observation__wrist=gripper, command__wrist_to=wrist_to,
                      binding__observation__streams__0__fields=fields)  # fmt: skip
    report, episodes = imported(tmp_path, bag, of=mended, name="mended")
    assert not report.all_warnings()
    values = np.array(
        [[np.degrees(position(s)[0]) * (np.pi / 180), (50 + 50 * position(s)[1]) * 0.01] for s in range(100)]
    )
    assert (episodes["reach"][0].observation == values).all()


def test_rows_1_and_3_joints_in_any_order_and_in_parts_are_one_observation(tmp_path):
    made = Recording()
    for step in range(100):
        after_ns, (elbow, wrist) = step * PERIOD_NS, position(step)
        pair = [("elbow", elbow), ("hip", 9.0)][:: 1 if step % 2 else -1]
        made.add(after_ns, "/joint_states", joints(START_NS + after_ns, [v for _, v in pair], [n for n, _ in pair]))
        made.add(after_ns, "/joint_states", joints(START_NS + after_ns, [wrist], ["wrist"]))
        made.add(after_ns + 1, "/commands", commands([elbow + 0.1, wrist + 0.1]))
    streams = [{"topic": "joint_states", "type": JOINTS, "stale_after_s": 0.2, "fields": {name: f"position[{name}]"}}
               for name in ("elbow", "wrist")]  # fmt: skip
    of = contract(binding__observation__streams=streams, binding__observation__sync="same_stamp")
    (episode,) = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)[1]["reach"]
    assert (episode.observation == expected()[0]).all()


def test_rows_2_and_6_prefixes_namespaces_and_remappings_work_and_wrong_names_are_named(tmp_path):
    bag = recording(names=("left_elbow", "left_wrist")).mcap(tmp_path / "a.mcap")
    sentence = refused(tmp_path, bag)
    assert "'elbow' is not among ['left_elbow', 'left_wrist']" in sentence
    prefixed = contract(binding__joint_prefix="left_")
    digest = imported(tmp_path, bag, of=prefixed)[0].meta["digest"]
    made = recording()
    made.entries = [(at, f"/robot1{topic}", message) for at, topic, message in made.entries]
    bag = made.mcap(tmp_path / "b.mcap")
    assert "--remap /joint_states:=/robot1/joint_states" in refused(tmp_path / "x", bag)
    spaced = imported(tmp_path, bag, replace(REACH, names=Names.parse("robot1", [])), name="spaced")
    names = Names.parse("", ["joint_states:=/robot1/joint_states", "/commands:=robot1/commands"])
    remapped = imported(tmp_path, bag, replace(REACH, names=names), name="remapped")
    assert spaced[0].meta["digest"] == remapped[0].meta["digest"] == digest


def test_row_8_a_topic_of_another_type_is_named_with_both(tmp_path):
    of = contract(binding__command__streams__0__type="std_msgs/msg/Float32MultiArray")
    sentence = refused(tmp_path, recording().mcap(tmp_path / "a.mcap"), of=of)
    assert "recorded as std_msgs/msg/Float64MultiArray, expected std_msgs/msg/Float32MultiArray" in sentence


def test_row_14_stamps_of_0_are_refused_with_the_way_out_which_works(tmp_path):
    made = recording()
    for number, (at, topic, _) in enumerate(made.entries):
        if topic == "/joint_states":
            made.entries[number] = (at, topic, joints(0, position(number // 2)))
    bag = made.mcap(tmp_path / "a.mcap")
    sentence = refused(tmp_path, bag)
    assert "stamp 0" in sentence
    assert "`stamp: arrival`" in sentence
    arrival = contract(binding__observation__streams__0__stamp="arrival")
    assert (imported(tmp_path, bag, of=arrival)[1]["reach"][0].observation == expected()[0]).all()


def two_clocks(ahead_s: float) -> tuple[Recording, object]:
    """The elbow on one topic, the wrist on another, whose headers are ahead."""
    made = Recording()
    for step in range(100):
        after_ns, (elbow, wrist) = step * PERIOD_NS, position(step)
        made.add(after_ns, "/a", joints(START_NS + after_ns, [elbow], ["elbow"]))
        made.add(after_ns, "/b", joints(START_NS + after_ns + round(1e9 * ahead_s), [wrist], ["wrist"]))
        made.add(after_ns + 1, "/commands", commands([elbow + 0.1, wrist + 0.1]))
    streams = [{"topic": topic, "type": JOINTS, "stale_after_s": 0.2, "fields": {name: f"position[{name}]"}}
               for topic, name in (("a", "elbow"), ("b", "wrist"))]  # fmt: skip
    return made, contract(binding__observation__streams=streams)


@pytest.mark.parametrize("ahead_s", [30.0, -30.0])
def test_row_12_headers_of_two_clocks_are_refused_with_the_measured_difference(tmp_path, ahead_s):
    made, of = two_clocks(ahead_s)
    sentence = refused(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)
    assert f"30.000 s {'ahead of' if ahead_s > 0 else 'behind'} those of a" in sentence
    assert "`stamp: arrival`" in sentence


def test_row_13_same_stamp_without_a_common_stamp_says_so(tmp_path):
    made, of = two_clocks(0.003)
    of = replace(of, binding=replace(of.binding, sync="same_stamp"))
    assert "`sync: latest`" in refused(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)


@pytest.mark.parametrize(("period_s", "said"), [(0.0205, False), (0.05, True)])
def test_row_15_another_rate_is_resampled_and_said(tmp_path, period_s, said):
    report, episodes = imported(tmp_path, recording().mcap(tmp_path / "a.mcap"), of=contract(period_s=period_s))
    assert any("50 Hz, the contract runs at" in each for each in report.all_warnings()) == said
    rows = len(episodes["reach"][0].action)
    assert rows == (40 if said else 100)
    if said:  # row k is what was measured last at 50 ms times k
        places = np.array([position(step) for step in (np.arange(40) * 50) // 20])
        assert (episodes["reach"][0].observation == places).all()


@pytest.mark.parametrize("period_s", [0.001, 2.0])
def test_rates_that_are_far_apart_are_refused_with_both(tmp_path, period_s):
    slow = contract(period_s=period_s)
    sentence = refused(tmp_path, recording(200).mcap(tmp_path / "a.mcap"), of=slow)
    assert f"recorded at 50 Hz, the contract runs at {1 / period_s:.3g} Hz" in sentence
    assert "--any-rate" in sentence


def test_numbers_that_are_not_finite_are_left_out_and_counted(tmp_path):
    made = recording()
    made.entries[40] = (made.entries[40][0], "/joint_states", joints(START_NS + 20 * PERIOD_NS, [np.nan, 0.0]))
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"))
    assert len(episodes["reach"][0].action) == 99
    assert any("1 of 100 messages left out: found a non-finite elbow" in each for each in report.all_warnings())


def test_a_wrong_frame_is_refused(tmp_path):
    of = contract(binding__observation__streams__0__frame_id="base")
    assert "expected frame_id 'base'" in refused(tmp_path, recording().mcap(tmp_path / "a.mcap"), of=of)


def test_moved_by_hand_the_action_is_what_was_measured_one_period_later(tmp_path):
    made = recording()
    made.entries = [each for each in made.entries if each[1] != "/commands"]
    bag = made.mcap(tmp_path / "a.mcap")
    assert "found no topic /commands" in refused(tmp_path, bag)
    (episode,) = imported(tmp_path, bag, replace(REACH, actions="observed"))[1]["reach"]
    assert (episode.observation == expected()[0][:-1]).all()
    assert (episode.action == expected()[0][1:]).all()
    grip = {"unit": "rad", "limits": [-2.0, 2.0], "slew_per_s": 9.0, "rest": "keep"}
    keeping = contract(command__wrist_to=grip)
    sentence = refused(tmp_path / "x", bag, replace(REACH, actions="observed"), keeping)
    assert "command 'wrist_to', which rests at keep" in sentence
    assert "--observed wrist_to=SCALAR" in sentence
    named = replace(REACH, actions="observed", observed={"wrist_to": "wrist"})
    (again,) = imported(tmp_path, bag, named, keeping, "named")[1]["reach"]
    assert (again.action == episode.action).all()


def test_a_hole_of_measured_positions_names_its_stream_on_a_grid_too(tmp_path):
    made = recording(300).without("/joint_states", 2.0, 3.0)
    of = contract(period_s=0.05)
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), replace(REACH, actions="observed"), of)
    assert len(episodes["reach"]) == 2
    hole = next(each for each in report.episodes[0].said if "ms without" in each)
    assert "ms without joint_states" in hole


def test_a_leader_arms_joints_are_read_as_the_followers(tmp_path):
    made = recording()
    for step in range(100):
        places = [each + 0.2 for each in position(step)]
        made.add(step * PERIOD_NS + 3_000_000, "/leader", joints(START_NS + step * PERIOD_NS + 2_000_000, places))
    bag = made.mcap(tmp_path / "a.mcap")
    (episode,) = imported(tmp_path, bag, replace(REACH, command_topics={"commands": "/leader"}))[1]["reach"]
    assert (episode.action == expected()[0] + 0.2).all()
    sentence = refused(tmp_path / "x", bag, replace(REACH, command_topics={"joints": "/leader"}))
    assert "found 'joints', expected a command topic: commands" in sentence


def test_rests_of_the_command_divide_episodes(tmp_path):
    report, episodes = imported(tmp_path, with_rest().mcap(tmp_path / "a.mcap"), replace(REACH, episodes="gaps"))
    assert len(episodes["reach"]) == 2
    assert [each.seconds for each in report.episodes] == pytest.approx([2.0, 2.0], abs=0.2)


def test_a_table_divides_episodes_and_names_tasks(tmp_path):
    table, bag = tmp_path / "episodes.csv", with_rest().mcap(tmp_path / "a.mcap")
    table.write_text("task,start_s,end_s,success\npick,1,3,true\nplace,5,7,\nplace,3,5,false\n")
    _, episodes = imported(tmp_path, bag, Settings(episodes=str(table)))
    assert {task: [len(each.action) for each in rows] for task, rows in episodes.items()} == {
        "pick": [101], "place": [101],
    }  # fmt: skip
    table.write_text("task,start_s,end_s\npick,3,1\n")
    assert re.search(
        r"episodes.csv, line 2: found 'pick' from 3 to 1 s", refused(tmp_path / "x", bag, Settings(episodes=str(table)))
    )
    table.write_text("task,begin,end\n")
    assert "expected 'start_s'" in refused(tmp_path / "x", bag, Settings(episodes=str(table)))


def test_a_table_says_which_way_an_episode_went(tmp_path):
    table, bag = tmp_path / "episodes.csv", with_rest().mcap(tmp_path / "a.mcap")
    table.write_text("task,start_s,end_s,way\nreach,1,3,left\nreach,5,7,right\n")
    _, episodes = imported(tmp_path, bag, Settings(episodes=str(table)))
    assert [each.way for each in episodes["reach"]] == ["left", "right"]
    table.write_text("task,start_s,end_s,way\nreach,1,3,left\nreach,5,7,\n")
    said = refused(tmp_path / "x", bag, Settings(episodes=str(table)))
    assert "line 3: found the way '' of task 'reach' and 'left' in line 2, expected one in both or none" in said


def test_a_topic_of_names_divides_episodes(tmp_path):
    made = with_rest()
    for at_s, name in ((1.0, "pick"), (3.0, ""), (5.0, "place"), (7.0, "")):
        made.add(round(1e9 * at_s) - 1, "/task", text(name))
    _, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), Settings(marker="task"))
    assert {task: len(rows[0].action) for task, rows in episodes.items()} == {"pick": 100, "place": 100}


def test_without_marks_or_a_task_the_ways_are_named(tmp_path):
    sentence = refused(tmp_path, recording().mcap(tmp_path / "a.mcap"), Settings())
    assert "--task NAME" in sentence
    assert "--episodes gaps" in sentence


def test_the_bag_of_another_robot_and_an_empty_one_are_one_sentence(tmp_path):
    other = Recording().add(0, "/odom", text("x")).mcap(tmp_path / "a.mcap")
    assert "found no topic /joint_states, expected it for contract 'arm'" in refused(tmp_path, other)
    refused(tmp_path, Recording().mcap(tmp_path / "b.mcap"))
    assert "are fewer than 50" in refused(tmp_path, recording(20).mcap(tmp_path / "c.mcap"))


def test_what_stops_half_way_leaves_nothing(tmp_path):
    def interrupt(name, total):
        raise KeyboardInterrupt

    bag = recording().mcap(tmp_path / "a.mcap")
    with pytest.raises(KeyboardInterrupt):
        import_bags([bag], contract(), tmp_path / "data", REACH, interrupt)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mcap"]


def test_the_report_is_plain_data_text_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    report, _ = imported(tmp_path, recording().mcap(tmp_path / "a.mcap"))
    plain = report.as_dict()
    assert plain["counts"] == {"reach": {"episodes": 1, "frames": 100}}
    assert [each["rate_hz"] for each in plain["streams"]] == [50.0, 50.0]
    lines = "\n".join(report.text())
    assert "elbow_to" in lines
    assert "reach: 1 episodes, 100 rows" in lines
    plot(report, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


def test_events_of_the_recorders_services_divide_episodes(tmp_path):
    definitions = {
        each: (Path(lwd_ros.__file__).parents[1] / "lwd_msgs" / "srv" / f"{each}.srv").read_text()
        for each in ("StartEpisode", "StopEpisode")
    }
    made = with_rest()
    path = tmp_path / "a.mcap"
    task = struct.pack("<I", 5) + b"pick\x00"
    accepted = struct.pack("<B3xI4xI", 1, 1, 0)
    kept = accepted + struct.pack("<dQ", 2.0, 200)

    def add(writer):
        channels = {}
        for name, definition in definitions.items():
            schema = writer.register_schema(f"lwd_msgs/srv/{name}_Event", "ros2msg", definition.encode())
            channels[name] = writer.register_channel(f"/recorder/{name}/_service_event", "cdr", schema)
        for at_s, name, data in (
            (1.0, "StartEpisode", service_event(1, 1, task, None)),
            (1.0, "StartEpisode", service_event(2, 1, None, accepted)),
            (3.0, "StopEpisode", service_event(1, 2, b"\x01", None)),
            (3.0, "StopEpisode", service_event(2, 2, None, kept)),
        ):
            at_ns = START_NS + round(1e9 * at_s) - 1
            writer.add_message(channels[name], at_ns, data, at_ns)

    made.mcap(path, also=add)
    _, episodes = imported(tmp_path, path, Settings())
    assert {task: [len(each.action) for each in rows] for task, rows in episodes.items()} == {"pick": [100]}

"""Bags to datasets: axes of time, clocks that step or differ, what had been recorded by each row, whose marks count."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
pytest.importorskip("pyarrow")

from mcap.writer import Writer
from recordings_support import (
    JOINTS,
    PERIOD_NS,
    REACH,
    START_NS,
    STORE,
    Recording,
    arm,
    commands,
    contract,
    header,
    imported,
    joints,
    mark,
    position,
    recording,
    refused,
    service_event,
    text,
    with_rest,
)

import lwd_ros
from lwd_ros.contract import Contract
from lwd_ros.control import ObservationAssembler
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.bags.checking import look
from lwd_ros.dataset.importing import Names, Settings

TWIST, POINT = "geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/PointStamped"


def episode(base: float, log_s: float = 0.0, stamp_s: float = 0.0, steps: int = 100, ends: bool = True) -> Recording:
    """What `lwd record` puts into one file: START, joints that say `base` and more, commands, STOP."""
    made, log_ns, stamp_ns = Recording(), round(1e9 * log_s), START_NS + round(1e9 * stamp_s)
    made.add(log_ns - 1000, "/recorder/episode", mark(0, "pick"))
    for step in range(steps):
        at_ns, place = step * PERIOD_NS, base + 0.01 * step
        made.add(log_ns + at_ns + 1_000_000, "/joint_states", joints(stamp_ns + at_ns, [place, 0.0]))
        made.add(log_ns + at_ns + 5_000_000, "/commands", commands([place, 0.0]))
    if ends:
        made.add(log_ns + steps * PERIOD_NS, "/recorder/episode", mark(1, "pick"))
    return made


# Axes of time


@pytest.mark.parametrize("later_s", [0.0, 0.5, -0.7, 1.99])
def test_episodes_of_a_simulator_that_was_restarted_stay_apart_though_their_times_overlap(tmp_path, later_s):
    folder = tmp_path / "sim"
    folder.mkdir()
    episode(0.0).mcap(folder / "sim_0.mcap")
    episode(-1.0, later_s, later_s).mcap(folder / "sim_1.mcap")
    report, episodes = imported(tmp_path, folder, Settings())
    assert [each.source.partition(",")[0] for each in report.episodes] == ["sim_0.mcap", "sim_1.mcap"]
    for made, base in zip(episodes["pick"], (0.0, -1.0), strict=True):
        assert np.allclose(made.observation[:, 0], base + 0.01 * np.arange(100), atol=1e-12)
        assert (made.action == made.observation).all()
    with open_bags(folder) as bag:
        logs = [message.log_ns for message in bag.messages(["/joint_states"])]
        assert (np.diff(logs) < 0).sum() == (later_s < 1.98)
        assert look(contract(), bag).problems == []


def test_other_files_that_share_topics_and_a_time_are_refused_but_for_less_than_a_second(tmp_path):
    for name, part_s, sentence in (("two", 1.2, "sim_0.mcap and"), ("split", 0.5, "")):
        folder = tmp_path / name
        folder.mkdir()
        whole = sorted(recording(200).entries, key=lambda each: each[0])
        Recording([each for each in whole if each[0] < 2.2e9]).mcap(folder / "sim_0.mcap")
        Recording([each for each in whole if each[0] >= (2.2 - part_s) * 1e9]).mcap(folder / "sim_1.mcap")
        if sentence:
            said = refused(tmp_path, folder)
            assert "found /commands, /joint_states in both" in said
            assert "sim_0.mcap and" in said
        else:
            assert len(imported(tmp_path, folder)[1]["reach"][0].action) == 200


def test_a_torn_episode_ends_at_its_last_message_and_one_without_data_is_reported(tmp_path):
    folder = tmp_path / "rec"
    folder.mkdir()
    episode(0.0).mcap(folder / "rec_0.mcap")
    episode(0.0, 10.0, 10.0, 60, ends=False).mcap(folder / "rec_1.mcap")
    Recording().add(15_000_000_000, "/recorder/episode", mark(0, "pick")).mcap(folder / "rec_2.mcap")
    episode(0.0, 20.0, 20.0).mcap(folder / "rec_3.mcap")
    report, episodes = imported(tmp_path, folder, Settings())
    assert len(episodes["pick"]) == 2
    torn = next(each for each in report.episodes if each.why.startswith("torn"))
    assert torn.source == "rec, 10.00 to 11.19 s"
    assert any("found no message on" in each.why and "rec_2.mcap" in each.source for each in report.episodes)


def test_a_recorder_that_was_interrupted_before_its_first_episode_left_none(tmp_path):
    folder = tmp_path / "rec"
    folder.mkdir()
    (folder / "metadata.yaml").write_text(
        "rosbag2_bagfile_information: {version: 9, storage_identifier: mcap, message_count: 0, relative_file_paths: []}"
    )
    assert "found a recording without an episode" in refused(tmp_path, folder)


# Clocks


def stepped(back_s: float, late_s: float = 0.0) -> Recording:
    """Stamps that step in the middle, or one message that is recorded late."""
    made = Recording()
    for step in range(200):
        at_ns, place = step * PERIOD_NS, 0.01 * step - 1.0
        stamp_ns = START_NS + at_ns - (round(1e9 * back_s) if step >= 100 else 0)
        log_ns = at_ns + 1_000_000 + (round(1e9 * late_s) if step == 100 else 0)
        made.add(log_ns, "/joint_states", joints(stamp_ns, [place, 0.0]))
        made.add(at_ns + 5_000_000, "/commands", commands([place, 0.0]))
    return made


@pytest.mark.parametrize("back_s", [0.013, 0.03, 0.3, 0.79, 5.0, -0.013, -0.05, -0.5])
def test_a_clock_that_steps_however_little_cuts_the_episode_there(tmp_path, back_s):
    report, episodes = imported(tmp_path, stepped(back_s).mcap(tmp_path / "a.mcap"))
    assert [len(each.action) for each in episodes["reach"]] == [100, 100]
    for each in episodes["reach"]:
        assert np.allclose(np.diff(each.observation[:, 0]), 0.01, atol=1e-12)
        assert (each.action == each.observation).all()
    side = "back" if back_s > 0 else "ahead"
    assert any(f"step {side} by {abs(back_s):.3f} s after 1.98 s" in each for each in report.all_warnings())


@pytest.mark.parametrize("late_s", [0.03, 0.3, 0.9, 1.5])
def test_a_late_message_is_left_out_and_counted_and_moves_no_other(tmp_path, late_s):
    report, episodes = imported(tmp_path, stepped(0.0, late_s).mcap(tmp_path / "a.mcap"))
    (made,) = episodes["reach"]
    assert len(made.action) == 199
    assert (made.action == made.observation).all()
    said = " ".join(report.all_warnings())
    assert "1 of 200 messages left out: it came after a newer one" in said
    assert "step" not in said


def test_a_recorder_that_was_busy_is_no_step_of_a_clock(tmp_path):
    made = Recording()
    for step in range(200):
        at_ns = step * PERIOD_NS
        log_ns = max(at_ns + 1_000_000, 2_400_000_000 + step * 100_000 if 100 <= step < 130 else 0)
        made.add(log_ns, "/joint_states", joints(START_NS + at_ns, [0.01 * step - 1.0, 0.0]))
        made.add(log_ns + 1000, "/commands", commands([0.01 * step - 1.0, 0.0]))
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"))
    assert [len(each.action) for each in episodes["reach"]] == [200]
    assert not any("step" in each for each in report.all_warnings())


def velocity(stamp: str = "now") -> Contract:
    """A contract whose command is a TwistStamped."""
    content = arm()
    content["command"] = {"v": {"unit": "m/s", "limits": [-10.0, 10.0], "slew_per_s": 100.0, "rest": "zero"}}
    stream = {"topic": "cmd", "type": TWIST, "stamp": stamp, "fields": {"v": "twist.linear.x"}}
    content["binding"]["command"] = {"on_fault": "hold", "streams": [stream]}
    return Contract.from_dict(content)


def driven(delay_s: float, skew_s: float | None) -> Recording:
    """Joints, each answered after a delay by a command with its stamp (None), or with a time of a clock askew."""
    vector, made = STORE.types["geometry_msgs/msg/Vector3"], Recording()
    for step in range(200):
        at_ns = step * PERIOD_NS
        sent_ns = at_ns + round(1e9 * delay_s)
        stamp_ns = START_NS + (at_ns if skew_s is None else sent_ns + round(1e9 * skew_s))
        twist = STORE.types["geometry_msgs/msg/Twist"](vector(0.01 * step, 0.0, 0.0), vector(0.0, 0.0, 0.0))
        made.add(at_ns + 1_000_000, "/joint_states", joints(START_NS + at_ns, [0.01 * step, 0.0]))
        made.add(sent_ns + 1_000_000, "/cmd", STORE.types[TWIST](header(stamp_ns), twist))
    return made


@pytest.mark.parametrize("skew_s", [0.0, 0.05, 0.2, 0.45, 0.6, -0.2, -0.45])
def test_commands_of_another_clock_shift_no_action_and_the_difference_is_told(tmp_path, skew_s):
    report, episodes = imported(tmp_path, driven(0.005, skew_s).mcap(tmp_path / "a.mcap"), of=velocity())
    (made,) = episodes["reach"]
    assert (made.action[:, 0] == made.observation[:, 0]).all()
    assert report.streams[1].ahead_ms == pytest.approx(1e3 * skew_s, abs=1e-3)
    side = "ahead of" if skew_s > 0 else "behind"
    told = any(f"{1e3 * abs(skew_s):.1f} ms {side} those of joint_states" in each for each in report.all_warnings())
    assert told == (skew_s != 0.0)


@pytest.mark.parametrize("delay_s", [0.005, 0.065])
def test_the_delay_of_answers_is_told_and_worth_a_warning_beyond_a_period(tmp_path, delay_s):
    made = driven(delay_s, None)
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=velocity("observation"))
    assert (episodes["reach"][0].action[:, 0] == episodes["reach"][0].observation[:, 0]).all()
    assert report.streams[1].delay_ms == pytest.approx(1e3 * delay_s, abs=1e-3)
    assert any("later than a period of 20 ms" in each for each in report.all_warnings()) == (delay_s > 0.02)


HELD = -0.5


def held(rows: range, late_s: float, skew_s: float | None) -> Recording:
    """As `driven`; rows among `rows` are answered 1 ms later by what a controller sends at a stop: HELD, of stamp 0."""
    made = driven(late_s, skew_s)
    commands_of = [each for each in made.entries if each[1] == "/cmd"]
    made.entries = [each for each in made.entries if each[1] != "/cmd"]
    vector = STORE.types["geometry_msgs/msg/Vector3"]
    twist = STORE.types["geometry_msgs/msg/Twist"](vector(HELD, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    for step, each in enumerate(commands_of):
        if step in rows:
            made.add(step * PERIOD_NS + 2_000_000, "/cmd", STORE.types[TWIST](header(0), twist))
        else:
            made.entries.append(each)
    return made


@pytest.mark.parametrize("rows", [range(100, 110), range(60, 200), range(90), range(50, 51)])
@pytest.mark.parametrize(("late_s", "skew_s"), [(0.005, None), (0.03, None), (0.005, 0.3)])
def test_commands_of_stamp_0_count_by_when_they_were_recorded_and_leave_the_others_their_stamps(
    tmp_path, rows, late_s, skew_s
):
    """Left out, rows had the command before the stop; the whole stream by arrival, rows had those of the row before."""
    of = velocity("now" if skew_s else "observation")
    report, episodes = imported(tmp_path, held(rows, late_s, skew_s).mcap(tmp_path / "a.mcap"), of=of)
    (made,) = episodes["reach"]
    expected = np.array([HELD if step in rows else 0.01 * step for step in range(200)])
    assert (made.action[:, 0] == expected[: len(made.action)]).all()
    assert len(made.action) == 200
    said = " ".join(report.all_warnings())
    assert (
        f"{len(rows)} of 200 commands have stamp 0, as those that a controller sends at a stop: they count by" in said
    )
    assert report.streams[1].rate_hz == pytest.approx(50.0, rel=0.02)
    assert report.streams[1].ahead_ms == pytest.approx(1e3 * skew_s if skew_s else -1e3 * late_s, abs=1e-3)


def test_a_hold_is_held_until_the_next_command(tmp_path):
    made = held(range(100, 120), 0.005, None)
    zeros = [each for each in made.entries if each[1] == "/cmd" and each[2].header.stamp.sec == 0]
    made.entries = [each for each in made.entries if all(each is not zero for zero in zeros[1:])]
    _, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=velocity("observation"))
    expected = np.array([HELD if 100 <= step < 120 else 0.01 * step for step in range(200)])
    assert (episodes["reach"][0].action[:, 0] == expected).all()


def test_a_row_has_of_other_streams_what_the_controller_could_have_had(tmp_path):
    """Value for value what the controller's own assembler gives, fed with the same messages."""
    content, made, fed = arm(), Recording(), []
    content["observation"]["obj"] = {"unit": "m", "limits": [-10.0, 10.0]}
    content["binding"]["observation"]["streams"].append(
        {"topic": "obj", "type": POINT, "stale_after_s": 0.5, "fields": {"obj": "point.x"}}
    )
    of, point = Contract.from_dict(content), STORE.types["geometry_msgs/msg/Point"]
    random = np.random.default_rng(0)
    for step in range(200):
        at_ns, place = step * PERIOD_NS, 0.001 * step
        for topic, stream, log_ns, values, message in (
            ("/joint_states", 0, at_ns + 1_000_000, [place, 0.0], joints(START_NS + at_ns, [place, 0.0])),
            ("/obj", 1, at_ns + int(random.uniform(90e6, 125e6)), [place],
             STORE.types[POINT](header(START_NS + at_ns), point(place, 0.0, 0.0))),
        ):  # fmt: skip
            made.add(log_ns, topic, message)
            fed.append((log_ns, stream, START_NS + at_ns, np.array(values)))
        made.add(at_ns + 5_000_000, "/commands", commands([place, 0.0]))
    assembler, live = ObservationAssembler(of), []
    for log_ns, stream, stamp_ns, values in sorted(fed, key=lambda each: each[0]):
        observation = assembler.add(stream, stamp_ns, "", values, 1e-9 * log_ns)
        if observation is not None:
            live.append(observation.vector)
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)
    assert (episodes["reach"][0].observation == np.array(live)).all()
    assert 90.0 <= report.streams[1].age_ms <= 140.0
    assert any("ms old (median), more than a period" in each for each in report.all_warnings())


def test_rows_whose_steps_vary_take_a_regular_grid(tmp_path):
    made, at_ns = Recording(), 0
    for step in range(300):
        at_ns += PERIOD_NS if step % 10 else 3 * PERIOD_NS  # the median step is right, every tenth is not
        made.add(at_ns, "/joint_states", joints(START_NS + at_ns, position(step)))
        made.add(at_ns + 1, "/commands", commands(position(step)))
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"))
    assert any("9.7 % of its steps are outside 10 to 30 ms; it is resampled" in each for each in report.all_warnings())
    (each,) = report.episodes
    assert each.rows == len(episodes["reach"][0].action) == round((at_ns - 3 * PERIOD_NS) / PERIOD_NS) + 1
    assert each.seconds == pytest.approx(each.rows * 0.02)


def test_seconds_are_those_of_the_stamps(tmp_path):
    of = contract(binding__observation__streams__0__stale_after_s=5.0)
    made = recording(200).without("/joint_states", 1.0, 1.1)
    report, _ = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), of=of)
    assert (report.episodes[0].rows, report.episodes[0].seconds) == (195, pytest.approx(4.0))


# Whose marks, what they say


def with_events(tmp_path, success: bytes, whole: bool = True) -> Path:
    """A recording with the services' events as rosbag2 has them: the request in one, the answer in another."""
    task = struct.pack("<I", 5) + b"pick\x00"
    accepted = struct.pack("<B3xI4xI", 1, 1, 0)
    kept = accepted + struct.pack("<dQ", 2.0, 200)

    def add(writer: Writer) -> None:
        channels = {}
        for name in ("StartEpisode", "StopEpisode"):
            definition = (Path(lwd_ros.__file__).parents[1] / "lwd_msgs" / "srv" / f"{name}.srv").read_text()
            schema = writer.register_schema(f"lwd_msgs/srv/{name}_Event", "ros2msg", definition.encode())
            channels[name] = writer.register_channel(f"/recorder/{name}/_service_event", "cdr", schema)
        for at_s, name, kind, number, request, answer in (
            (1.0, "StartEpisode", 1, 1, task, None),
            (1.0, "StartEpisode", 2, 1, None, accepted),
            (3.0, "StopEpisode", 1, 2, success, None),
            (3.0, "StopEpisode", 2, 2, None, kept),
        ):
            data = service_event(kind, number, request if whole else None, answer if whole else None)
            at_ns = START_NS + round(1e9 * at_s) - 1
            writer.add_message(channels[name], at_ns, data, at_ns)

    return with_rest().mcap(tmp_path / "events.mcap", also=add)


def test_a_demonstration_that_a_service_ended_as_failed_is_left_out(tmp_path):
    bag = with_events(tmp_path, b"\x00")
    assert "failed; --keep-failed imports it" in refused(tmp_path, bag, Settings())
    report, _ = imported(tmp_path, bag, Settings(keep_failed=True))
    assert [each.success for each in report.episodes] == [False]
    report, _ = imported(tmp_path, with_events(tmp_path, b"\x01"), Settings(), name="good")
    assert [each.success for each in report.episodes] == [True]


def test_events_without_content_do_not_say_whether_it_succeeded_which_is_said(tmp_path):
    report, _ = imported(tmp_path, with_events(tmp_path, b"\x00", whole=False), Settings(task="pick"))
    (each,) = report.episodes
    assert each.success is None
    assert "whether it succeeded is not known" in each.said
    assert any("introspection with metadata only" in sentence for sentence in report.all_warnings())


def test_marks_of_two_recorders_are_never_mixed(tmp_path):
    made = recording(300)
    for space, task, begin_s, end_s in (("", "pick", 0.3, 5.0), ("/robot2", "place", 0.5, 4.0)):
        made.add(round(1e9 * begin_s), f"{space}/recorder/episode", mark(0, task))
        made.add(round(1e9 * end_s), f"{space}/recorder/episode", mark(1, task))
    bag = made.mcap(tmp_path / "a.mcap")
    assert "/recorder/episode and /robot2/recorder/episode" in refused(tmp_path, bag, Settings())
    for number, (topic, task) in enumerate((("/recorder/episode", "pick"), ("/robot2/recorder/episode", "place"))):
        _, episodes = imported(tmp_path, bag, Settings(marker=topic), name=f"data_{number}")
        assert list(episodes) == [task]
    names = Names.parse("robot2", ["joint_states:=/joint_states", "commands:=/commands"])
    assert list(imported(tmp_path, bag, Settings(names=names), name="spaced")[1]) == ["place"]


def test_an_episode_of_a_marker_that_is_open_at_the_end_is_kept_and_said(tmp_path):
    made = recording().add(500_000_000 - 1, "/task", text("pick"))
    report, episodes = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), Settings(marker="/task"))
    assert len(episodes["pick"][0].action) == 75
    assert report.episodes[0].said == ["the recording ends before it does"]


def test_the_longest_gap_is_that_within_imported_episodes(tmp_path):
    made = Recording([*episode(0.0).entries, *episode(0.0, 20.0, 20.0).entries])
    report, _ = imported(tmp_path, made.mcap(tmp_path / "a.mcap"), Settings())
    assert [each.longest_gap_ms for each in report.streams] == [20.0, 20.0]


# Angles, names, publishers


def test_an_angle_that_wraps_is_refused_as_a_measured_action_and_said_elsewhere(tmp_path):
    made = Recording()
    for step in range(200):
        angle = (0.05 * step + np.pi) % (2 * np.pi) - np.pi
        made.add(step * PERIOD_NS, "/joint_states", joints(START_NS + step * PERIOD_NS, [angle, 0.0]))
        made.add(step * PERIOD_NS + 1, "/commands", commands([angle, 0.0]))
    bag, of = made.mcap(tmp_path / "a.mcap"), contract(command__elbow_to__limits=[-3.2, 3.2])
    sentence = refused(tmp_path, bag, replace(REACH, actions="observed"), of)
    assert "elbow_to: found 2 steps of about a turn" in sentence
    assert "sine and cosine" in sentence
    report, _ = imported(tmp_path, bag, of=of)
    assert any("elbow_to: 2 steps of about a turn" in each for each in report.all_warnings())
    jumps = {each.name: each.jumps for each in report.scalars}
    assert jumps == {"elbow": 0.0, "wrist": 0.0, "elbow_to": pytest.approx(2 / 199), "wrist_to": 0.0}


def test_a_check_finds_topics_as_an_import_does_and_passes_nothing_that_it_refuses(tmp_path):
    made = recording()
    made.entries = [(at, f"/robot1{topic}", message) for at, topic, message in made.entries]
    bag = made.mcap(tmp_path / "a.mcap")
    with open_bags(bag) as opened:
        assert any("--remap /joint_states:=/robot1/joint_states" in each for each in look(contract(), opened).problems)
        assert look(contract(), opened, Names.parse("robot1", [])).problems == []
        remapped = Names.parse("", ["joint_states:=/robot1/joint_states", "commands:=/robot1/commands"])
        assert look(contract(), opened, remapped).problems == []
    streams = [{"topic": topic, "type": JOINTS, "stale_after_s": 0.2, "fields": {name: f"position[{name}]"}}
               for topic, name in (("a", "elbow"), ("b", "wrist"))]  # fmt: skip
    apart, of = Recording(), contract(binding__observation__streams=streams)
    for step in range(100):
        at_ns, (elbow, wrist) = step * PERIOD_NS, position(step)
        apart.add(at_ns, "/a", joints(START_NS + at_ns, [elbow], ["elbow"]))
        apart.add(at_ns, "/b", joints(START_NS + at_ns + 30_000_000_000, [wrist], ["wrist"]))
        apart.add(at_ns + 1, "/commands", commands([elbow, wrist]))
    bag = apart.mcap(tmp_path / "b.mcap")
    sentence = refused(tmp_path, bag, of=of)
    with open_bags(bag) as opened:
        assert look(of, opened).problems == [f"lwd import-bag refuses it: {sentence}"]


def test_two_publishers_of_a_command_are_a_warning(tmp_path):
    path, made = tmp_path / "a.mcap", recording()
    made.mcap(tmp_path / "plain.mcap")
    profile = "- {history: 1, depth: 10, reliability: 1, durability: 2}\n"
    register = Writer.register_channel

    def registered(self, topic, encoding, schema, metadata=None):
        return register(self, topic, encoding, schema, {"offered_qos_profiles": profile * (1 + (topic == "/commands"))})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "register_channel", registered)
        made.mcap(path)
    report, _ = imported(tmp_path, path)
    assert any("/commands: 2 publishers offered it" in each for each in report.all_warnings())
    assert not any("joint_states: 2" in each for each in report.all_warnings())
    with open_bags(path) as bag:
        assert any("/commands had 2 publishers" in each for each in look(contract(), bag).warnings)
    assert not any("publishers" in each for each in imported(tmp_path, tmp_path / "plain.mcap", name="b")[0].warnings)

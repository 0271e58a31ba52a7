"""Messages that are read by their layout give the numbers that decoding them whole gives; the command around it."""

import json

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")
pytest.importorskip("pyarrow")

import click
import yaml
from recordings_support import START_NS, STORE, Recording, arm, header, joints, recording

from lwd_ros.cli.commands import cli
from lwd_ros.contract import Field, reader
from lwd_ros.dataset.bags import open_bags
from lwd_ros.dataset.importing.layout import QuickMessages

T = STORE.types


def scan(seed: int, frame: str = "laser", beams: int = 40):
    """A LaserScan of `beams`, some of them without an echo."""
    ranges = np.random.default_rng(seed).uniform(0.1, 9.0, beams).astype(np.float32)
    ranges[::7] = np.inf
    return T["sensor_msgs/msg/LaserScan"](
        header(START_NS + seed, frame), 0.0, 6.0, 0.1, 0.0, 0.1, 0.1, 9.0, ranges, np.zeros(0, np.float32)
    )


def odometry(seed: int, frame: str = "odom"):
    """An Odometry whose rotation has w below 0 every other time."""
    q = np.random.default_rng(seed).normal(size=4)
    q /= np.linalg.norm(q)
    point, vector = T["geometry_msgs/msg/Point"], T["geometry_msgs/msg/Vector3"]
    pose = T["geometry_msgs/msg/Pose"](point(float(seed), 2.0, 3.0), T["geometry_msgs/msg/Quaternion"](*q.tolist()))
    twist = T["geometry_msgs/msg/Twist"](vector(0.1 * seed, 0.0, 0.0), vector(0.0, 0.0, 0.2 * seed))
    return T["nav_msgs/msg/Odometry"](
        header(START_NS + seed, frame), "base", T["geometry_msgs/msg/PoseWithCovariance"](pose, np.arange(36.0)),
        T["geometry_msgs/msg/TwistWithCovariance"](twist, np.arange(36.0) * seed),
    )  # fmt: skip


NAMES = (["elbow", "wrist"], ["wrist", "elbow"], ["a", "wrist", "elbow"])
CASES = {
    "joints whose order and number change": (
        [
            joints(START_NS + i, [i + 0.5 * k for k in range(len(NAMES[i // 5 % 3]))], NAMES[i // 5 % 3])
            for i in range(40)
        ],
        [Field("position[elbow]"), Field("position[wrist]", scale=0.5)],
    ),
    "beams whose number changes": (
        [scan(i, beams=40 + i // 8) for i in range(30)],
        [Field("ranges[0:36:9]", size=4, replace=((np.inf, 9.0),)), Field("ranges[3:9]", functions=("min",))],
    ),
    "rotations, covariances and other frames": (
        [odometry(i, "odom" if i // 4 % 2 else "map") for i in range(30)],
        [
            *(Field(f"pose.pose.orientation.{axis}", minimum=-1.0, maximum=1.0) for axis in "xyzw"),
            Field("pose.pose.orientation", functions=("yaw", "sin")),
            Field("twist.covariance[7]"),
            Field("twist.twist.linear.x", offset=1.0),
            Field("twist.twist.angular", functions=("norm",)),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reading_by_layout_gives_what_decoding_whole_gives(tmp_path, name):
    messages, fields = CASES[name]
    made = Recording()
    for number, message in enumerate(messages):
        made.add(number, "/t", message)
    bag = open_bags(made.mcap(tmp_path / "a.mcap"))
    kind = messages[0].__msgtype__
    quick, read, plain = QuickMessages(kind, fields, bag.definitions), reader(fields), reader(fields)
    served = 0
    for message in bag.messages(["/t"]):
        content = quick.of(message)
        served += content is quick._object and quick._fill is not None
        whole = STORE.deserialize_cdr(message.raw, kind)
        assert read(content).tobytes() == plain(whole).tobytes()
        assert content.header.stamp == whole.header.stamp
        assert content.header.frame_id == whole.header.frame_id
    assert served > len(messages) / 2


def test_the_command_writes_dataset_report_and_picture(tmp_path, capsys):
    bag, file = recording().mcap(tmp_path / "a.mcap"), tmp_path / "arm.yaml"
    file.write_text(yaml.safe_dump(arm(), sort_keys=False))
    arguments = ["import-bag", str(bag), "--contract", str(file), "--task", "reach", "--out", str(tmp_path / "data")]
    cli.main([*arguments, "--report", str(tmp_path / "r.json")], standalone_mode=False)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"]["reach"]["frames"] == 100
    assert (tmp_path / "data.png").exists()
    assert report["digest"][:12] in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected a new or an empty folder"):
        cli.main(arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--observed", "a=b"], "without --actions observed"),
        (["--actions", "observed", "--observed", "ab"], "expected COMMAND=SCALAR"),
        (["--actions", "tick", "--command-topic", "a:=b"], "expected with bound"),
        (["--task-from", "folder", "--task", "x"], "expected one of them"),
        (["--episodes", "no_such.csv"], "expected marks, services, gaps, whole, or a CSV file"),
    ],
)
def test_options_that_exclude_each_other_are_wrong_usage(tmp_path, options, said):
    with pytest.raises(click.UsageError, match=said):
        cli.main(["import-bag", "b", "--contract", "c", "--out", str(tmp_path / "d"), *options], standalone_mode=False)

"""Reading a message's fields by their paths, against code written for its type: `lwd bench fields --json F`."""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState, LaserScan

from lwd_benchmarks.controller import fields_by_hand as by_hand
from lwd_benchmarks.controller.results import machine, write_result
from lwd_ros.contract import Contract, Field, reader, writer
from lwd_ros.contract.definitions import class_of
from lwd_ros.resources import share_path

_BATCH = 200  # calls between two looks at the clock
JOINTS = tuple(f"arm_joint_{i}" for i in range(1, 8))


def _fields(*paths: str, **others) -> list[Field]:
    return [Field(path, **others) for path in paths]


def _turned(rotation) -> None:
    """A rotation about an axis, w below 0, so that its sign is turned."""
    rotation.x, rotation.y, rotation.z, rotation.w = -0.1, -0.3, -0.5, -0.806225774829855


def cases() -> dict[str, tuple[Callable, Callable, list]]:
    """By name: our reader, the code by hand, and the messages that both read one after the other."""
    rng = np.random.default_rng(0)
    pose, odometry = PoseStamped(), Odometry()
    pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = rng.normal(size=3).tolist()
    _turned(pose.pose.orientation)
    _turned(odometry.pose.pose.orientation)
    state = JointState(name=list(JOINTS), position=rng.normal(size=7).tolist(), velocity=rng.normal(size=7).tolist())
    scan = LaserScan(ranges=rng.uniform(0.1, 3.5, size=360).tolist())
    transforms = [TransformStamped() for _ in range(4)]
    for i, each in enumerate(transforms):
        each.child_frame_id = "tool0" if i == 2 else f"link_{i}"
        _turned(each.transform.rotation)
    chosen = "transforms[child_frame_id=tool0].transform"
    rotation = [f".rotation.{axis}" for axis in "xyzw"]
    tool = [chosen + part for part in (".translation.x", ".translation.y", ".translation.z", *rotation)]
    joints = [f"{array}[{name}]" for name in JOINTS for array in ("position", "velocity")]
    return {
        "attributes": (
            reader(_fields("pose.position.x", "pose.position.y", "pose.position.z")),
            by_hand.attributes,
            [pose],
        ),
        "joints by name": (reader(_fields(*joints)), lambda message: by_hand.joints(message, JOINTS), [state]),
        "one joint by name": (
            reader(_fields(*joints[4:6])),
            lambda message: by_hand.joints(message, JOINTS[2:3]),
            [state],
        ),
        "quaternion": (
            reader(_fields(*[f"pose.orientation.{axis}" for axis in "xyzw"], minimum=-1.0, maximum=1.0)),
            by_hand.quaternion,
            [pose],
        ),
        "slice": (reader(_fields("ranges[0:360:10]", size=36)), by_hand.ranges, [scan]),
        "yaw": (reader(_fields("pose.pose.orientation", functions=("yaw",))), by_hand.yaw, [odometry]),
        "element by key": (reader(_fields(*tool)), by_hand.transform, [SimpleNamespace(transforms=transforms)]),
    }


def metaworld() -> tuple[Callable, Callable, list]:
    """The streams of the shipped contract, all of them read by our readers and by those of before."""
    ours, before, messages = [], [], []
    for stream in Contract.load(share_path("config", "metaworld.yaml")).require_binding().observation_streams:
        message, write = writer(class_of(stream.type), stream.fields)
        write([0.5 for _ in stream.fields])  # a rotation too: its norm is 1
        ours.append(reader(stream.fields))
        before.append(by_hand.former_reader(stream.type, [field.path for field in stream.fields]))
        messages.append(message)

    def all_of(readers) -> Callable:
        pairs = list(zip(readers, messages, strict=True))

        def read(_) -> list[np.ndarray]:
            return [read_one(message) for read_one, message in pairs]

        return read

    return all_of(ours), all_of(before), [None]


def microseconds(read: Callable, messages: list) -> float:
    """Mean time of one call in a batch of them."""
    began = time.perf_counter()
    for _ in range(_BATCH):
        for message in messages:
            read(message)
    return (time.perf_counter() - began) / _BATCH / len(messages) * 1e6


def compare(ours: Callable, other: Callable, messages: list, rounds: int) -> tuple[float, float]:
    """The least time of each, microseconds: both are timed in every round, so that a busy machine disturbs both."""
    for message in messages:
        same = np.hstack(ours(message)).tolist() == np.hstack(other(message)).tolist()
        assert same, "both read the same values"
    for read in (ours, other):
        microseconds(read, messages)
    times = [(microseconds(ours, messages), microseconds(other, messages)) for _ in range(rounds)]
    return tuple(np.min(times, axis=0).tolist())


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rounds", default=300, show_default=True, help="rounds; each times both in turn, the least counts")
def main(path: Path | None, rounds: int) -> None:
    """For each kind of path: one message read by its fields, over the same by code written for the type."""
    gc.disable()
    runs = []
    everything = {name: (*case, "by hand") for name, case in cases().items()}
    everything["the shipped contract's five streams"] = (*metaworld(), "the reader of commit 3986d15")
    for name, (ours, other, messages, reference) in everything.items():
        mine, others = compare(ours, other, messages, rounds)
        run = {"fields": name, "values": len(np.hstack(ours(messages[0]))), "reference": reference}
        run |= {"ours_us": round(mine, 3), "reference_us": round(others, 3), "ratio": round(mine / others, 3)}
        runs.append(run)
        click.echo(f"{name}: {mine:.2f} us, {reference} {others:.2f} us, ratio {mine / others:.2f}")
    write_result(path, {"benchmark": "fields", **machine(), "statistic": "least of the rounds", "runs": runs})


if __name__ == "__main__":
    main()

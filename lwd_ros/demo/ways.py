"""`lwd demo ways`: one request many times, and what each policy made of it."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_ros import __version__
from lwd_ros.demo.stage import claimed, film, played, require_packages
from lwd_ros.demo.supervisor import ended_by_signals
from lwd_ros.environments.avoiding.geometry import published
from lwd_ros.environments.avoiding.simulator import EPISODE_STEPS
from lwd_ros.environments.avoiding.ways import WAYS, way
from lwd_ros.environments.recording import Recording, read_recording
from lwd_ros.resources import share_path

_TIMEOUT_S = 600.0
MODEL, CONTRACT = "avoiding_fixed.onnx", "avoiding.yaml"


@dataclass(frozen=True)
class Gone:
    """The way of one request's policy: `path` float64 [steps + 1, 2], x and y of the rod in m, from its start on."""

    way: str
    path: np.ndarray


@ended_by_signals()
def run_ways(folder: Path, requests: int, seed: int, video: bool, **files: str) -> int:
    """Play the story in `folder`; 0 if every request was answered and ran, and the repeated seed went the same path.

    Args:
        folder: gets `summary.json`, `ways.png`, where the machine can draw `ways.mp4`, and the processes' logs. Those
            of an earlier run are removed first; nothing else is touched.
        requests: how many, before the one whose seed is repeated.
        seed: of the first request, the others' are the next ones; 0 draws all of them.
        video: whether to draw the film.
        files: the nodes' `model_file` and `contract_file`; the shipped ones where they are empty.

    Raises:
        ModuleNotFoundError: a package that the demo's processes need is not installed.
        OSError: `folder` cannot be written.
    """
    require_packages(video)
    with claimed(folder):
        shipped = {
            "model_file": str(share_path("models", MODEL)),
            "contract_file": str(share_path("config", CONTRACT)),
        }
        return _play(
            folder.resolve(), requests, seed, video, shipped | {name: path for name, path in files.items() if path}
        )


def _play(folder: Path, count: int, seed: int, video: bool, files: dict[str, str]) -> int:
    start, notes = time.monotonic(), folder / "client.json"
    # In lock step nothing depends on the computer's speed: so the same seed gives the same path to the last digit.
    bridge = (
        "simulator_bridge",
        {
            "environment": "avoiding",
            "mode": "lockstep",
            "hold_until_asked": True,
            "record_file": folder / "states.npz",
        },
    )
    arguments = ["--out", str(notes), "--requests", str(count), "--seed", str(seed)]
    arguments += ["--most-steps", str(EPISODE_STEPS)]
    statuses, died = played(folder, bridge, files, "lwd_ros.demo.ways_client", arguments, _TIMEOUT_S)
    requests = json.loads(notes.read_text(encoding="utf-8"))["requests"] if notes.exists() else []
    went = gone(read_recording(folder / "states.npz"), requests) if (folder / "states.npz").exists() else []
    whole = not died and not any(statuses.values()) and len(went) == len(requests) == count + 1
    repeated = _repeated(requests, went) if whole else None
    asked = list(zip(requests, went, strict=True))[:count] if whole else []
    ways = {each.way for request, each in asked if request["success"]}
    summary = {
        "success": bool(repeated and repeated["same_path"]),
        "lwd_ros": __version__,
        "requests": [{**request, "way": each.way} for request, each in asked],
        "reached": sum(request["success"] for request, _ in asked),
        "different_ways": len(ways),
        "of_ways": len(WAYS),
        "repeated": repeated,
        "exit_statuses": statuses,
        "wall_s": round(time.monotonic() - start, 1),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    written = ["summary.json"]
    if asked:
        from lwd_ros.demo.ways_picture import draw_ways

        draw_ways(summary, [each for _, each in asked], folder / "ways.png")
        written.append("ways.png")
    if video and asked:
        print("drawing the film", flush=True)
        if film(folder, "lwd_ros.demo.ways_picture"):
            written.append("ways.mp4")
    if repeated is None:
        outcome = "the demo failed"
    else:
        outcome = f"{len(asked)} requests, {summary['reached']} reached the goal by {len(ways)} ways; seed "
        outcome += f"{repeated['seed']} again: {'the same path' if repeated['same_path'] else 'another path'}"
    where = os.path.relpath(folder)
    print(f"{outcome}; {time.monotonic() - start:.0f} s; {', '.join(written)} in {where}", flush=True)
    return 0 if summary["success"] else 1


def gone(parts: Sequence[Recording], requests: Sequence[dict]) -> list[Gone]:
    """What the bridge recorded of each request, from the last moment at the start to the end of its steps."""
    found, centres = [], published().centres
    for part, request in zip(parts, requests, strict=False):
        places = part.state[:, :2]
        first = max(0, int(np.argmax((places != places[0]).any(axis=1))) - 1)
        path = places[first : first + request["steps"] + 1]
        found.append(Gone(way(path, centres), path))
    return found


def _repeated(requests: Sequence[dict], went: Sequence[Gone]) -> dict:
    """Whether the last request, whose seed was used before, gave the path that it gave then, digit by digit."""
    seed = requests[-1]["seed"]
    before = next(number for number, request in enumerate(requests) if request["seed"] == seed)
    same = np.array_equal(went[before].path, went[-1].path)
    return {"seed": seed, "request": before + 1, "way": went[-1].way, "same_path": same}

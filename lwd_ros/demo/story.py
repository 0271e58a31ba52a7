"""`lwd demo`: start the processes, let the client play, write summary and pictures."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lwd_ros import __version__
from lwd_ros.demo.supervisor import (
    NODES,
    ProcessDied,
    Supervisor,
    ended_by_signals,
    isolated_environment,
    tied_to_this_process,
)
from lwd_ros.resources import share_path

DEFAULT_MODEL = "metaworld_mt10_anywhere.onnx"
"""The model among `models` that generates policies where no other is named."""

_CLIENT_TIMEOUT_S = 120.0
_PACKAGES = ("rclpy", "lwd_msgs", "metaworld", "matplotlib")
_FILM_PACKAGES = ("imageio", "PIL")
_OUTPUTS = ("client.json", "states.npz", "summary.json", "timeline.png", "demo.mp4", "demo.png")
_SUMMARY_KEYS = (
    "task",
    "seed",
    "policy_id",
    "parameters",
    "request_to_response_ms",
    "response_to_first_command_ms",
    "generation_ms",
    "ticks_missed",
    "steps_to_success",
    "success",
)


@ended_by_signals()
def run_demo(folder: Path, layout: int, video: bool, **files: str) -> int:
    """Play the story in `folder`; returns 0 only if all three requests succeeded.

    `files` are the nodes' `model_file` and `contract_file`; the shipped ones where they are empty.

    Writes `summary.json`, `timeline.png`, where the machine can draw `demo.mp4` and `demo.png`, and the processes'
    logs. Those of an earlier run are removed first, so that what lies there is of this run; nothing else is touched.

    Raises:
        ModuleNotFoundError: a package that the demo's processes need is not installed.
        OSError: `folder` cannot be written.
    """
    for package in (*_PACKAGES, *(_FILM_PACKAGES if video else ())):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    with _claimed(folder):
        shipped = {
            "model_file": str(share_path("models", DEFAULT_MODEL)),
            "contract_file": str(share_path("config", "metaworld.yaml")),
        }
        return _play(folder.resolve(), layout, video, shipped | {name: path for name, path in files.items() if path})


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep other demos out of `folder` and remove the results of earlier ones; raises OSError where it cannot."""
    with contextlib.ExitStack() as stack:
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(folder / "logs" / "lock", "w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in _OUTPUTS:
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            if isinstance(error, BlockingIOError):
                reason = "another demo is writing here; give --out another folder"
            raise OSError(error.errno, reason, str(folder)) from error
        yield


def _play(folder: Path, layout: int, video: bool, files: dict[str, str]) -> int:
    start = time.monotonic()
    contract = {"contract_file": files["contract_file"]}
    notes = folder / "client.json"
    died = ""
    with Supervisor(folder / "logs", isolated_environment()) as supervisor:
        print(f"starting {', '.join(NODES)} on ROS domain {supervisor.environment['ROS_DOMAIN_ID']}", flush=True)
        supervisor.start_node("metaworld_bridge", {"record_file": folder / "states.npz", **contract})
        supervisor.start_node("policy_generator", files)
        supervisor.start_node("policy_controller", {"use_sim_time": True, **contract})
        arguments = ["--out", str(notes), "--layout", str(layout), *supervisor.ros_arguments()]
        client = supervisor.start("client", "lwd_ros.demo.client", arguments, output=sys.stdout)
        try:
            while client.poll() is None:
                time.sleep(0.05)
                if time.monotonic() - start > _CLIENT_TIMEOUT_S:
                    raise ProcessDied(f"the client did not end within {_CLIENT_TIMEOUT_S:g} s")
                if client.poll() is None:
                    supervisor.check()
        except ProcessDied as error:
            died = str(error)
            print(died, flush=True)
        statuses = supervisor.stop()
    content: dict[str, Any] = {"requests": [], "layout": layout}
    if notes.exists():
        content = json.loads(notes.read_text(encoding="utf-8"))
    requests = content["requests"]
    bad = {name: status for name, status in statuses.items() if status}
    success = not died and not bad and len(requests) == 3 and all(request["success"] for request in requests)
    summary = {
        "success": success,
        "lwd_ros": __version__,
        "layout": content["layout"],
        "requests": [{key: request[key] for key in _SUMMARY_KEYS} for request in requests],
        "exit_statuses": statuses,
        "wall_s": round(time.monotonic() - start, 1),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    written = ["summary.json"]
    if bad:
        print(f"ended with another status than 0: {bad}; logs in {folder / 'logs'}", flush=True)
    if requests and content["series"]["handle_time_s"]:
        from lwd_ros.demo.timeline import draw_timeline

        draw_timeline(content, folder / "timeline.png")
        written.append("timeline.png")
    if video and success:
        print("drawing the film", flush=True)
        if _film(folder):
            written += ["demo.mp4", "demo.png"]
    outcome = f"all {len(requests)} requests succeeded" if success else "the demo failed"
    where = os.path.relpath(folder)
    print(f"{outcome} in {time.monotonic() - start:.0f} s; {', '.join(written)} in {where}", flush=True)
    return 0 if success else 1


def _film(folder: Path) -> bool:
    """Draw the film in a process of its own: a broken GL driver can end a process, not only raise."""
    done = subprocess.run(
        [sys.executable, "-m", "lwd_ros.demo.video", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=tied_to_this_process(),
    )
    if done.returncode:
        reason = (done.stdout.strip() or done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        print(f"no film: {reason}", flush=True)
    return done.returncode == 0

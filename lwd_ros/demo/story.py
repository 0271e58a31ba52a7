"""`lwd demo`: start the processes, let the client play, write summary and pictures."""

import json
import os
import time
from pathlib import Path
from typing import Any

from lwd_ros import __version__
from lwd_ros.demo.stage import claimed, film, played, require_packages
from lwd_ros.demo.supervisor import ended_by_signals
from lwd_ros.resources import share_path

DEFAULT_MODEL = "metaworld_mt10_anywhere.onnx"
"""The model among `models` that generates policies where no other is named."""

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
    require_packages(video, "metaworld")
    with claimed(folder):
        shipped = {
            "model_file": str(share_path("models", DEFAULT_MODEL)),
            "contract_file": str(share_path("config", "metaworld.yaml")),
        }
        return _play(folder.resolve(), layout, video, shipped | {name: path for name, path in files.items() if path})


def _play(folder: Path, layout: int, video: bool, files: dict[str, str]) -> int:
    start, notes = time.monotonic(), folder / "client.json"
    bridge = "metaworld_bridge", {"record_file": folder / "states.npz"}
    arguments = ["--out", str(notes), "--layout", str(layout)]
    statuses, died = played(folder, bridge, files, "lwd_ros.demo.client", arguments)
    content: dict[str, Any] = {"requests": [], "layout": layout}
    if notes.exists():
        content = json.loads(notes.read_text(encoding="utf-8"))
    requests = content["requests"]
    success = (
        not died
        and not any(statuses.values())
        and len(requests) == 3
        and all(request["success"] for request in requests)
    )
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
    if requests and content["series"]["handle_time_s"]:
        from lwd_ros.demo.timeline import draw_timeline

        draw_timeline(content, folder / "timeline.png")
        written.append("timeline.png")
    if video and success:
        print("drawing the film", flush=True)
        if film(folder, "lwd_ros.demo.video"):
            written += ["demo.mp4", "demo.png"]
    outcome = f"all {len(requests)} requests succeeded" if success else "the demo failed"
    where = os.path.relpath(folder)
    print(f"{outcome} in {time.monotonic() - start:.0f} s; {', '.join(written)} in {where}", flush=True)
    return 0 if success else 1

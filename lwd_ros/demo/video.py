"""The film of a run, drawn afterwards from the bridge's recorded states."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lwd_ros.contract import Contract
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.environments.recording import read_recording
from lwd_ros.environments.rendering import RenderError
from lwd_ros.resources import share_path

FRAMES_PER_SECOND = 40  # every second control period


def draw_video(recording_path: Path, content: dict, path: Path, still: Path | None = None) -> None:
    """Draw the states between the first command and the last success as an MP4, the present task written on it.

    Args:
        recording_path: what the bridge's `record_file` left.
        content: the client's notes.
        path: the MP4.
        still: a PNG of the moments of success, side by side.

    Raises:
        RenderError: this machine cannot draw.
    """
    requests = content["requests"]
    begin = requests[0]["swap_time_s"] - 0.2
    end = max(request["success_time_s"] for request in requests) + 0.5
    part = max(read_recording(recording_path), key=lambda p: np.sum((p.time_s >= begin) & (p.time_s <= end)))
    scene = Scene(part.task, Contract.load(share_path("config", "metaworld.yaml")))
    scene.reset(part.layout)
    renderer = scene.renderer()
    font = ImageFont.load_default(size=16)

    def frame(index: int, columns: slice, text: str) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(renderer.draw(part.state[index])[:, columns]))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 0, picture.width, 26), fill=(20, 20, 20))
        draw.text((8, 3), text, fill=(255, 255, 255), font=font)
        return np.asarray(picture)

    def describe(time: float) -> str:
        present = [request for request in requests if request["swap_time_s"] <= time]
        if not present:
            return "no policy yet"
        time -= requests[0]["swap_time_s"]
        return f"{present[-1]['task']}   policy {present[-1]['policy_id'][:8]}   t = {time:.2f} s"

    try:
        shown = np.flatnonzero((part.time_s >= begin) & (part.time_s <= end))[::2]
        writer: Any = imageio.get_writer(path, fps=FRAMES_PER_SECOND, macro_block_size=16)
        with writer:
            for index in shown:
                writer.append_data(frame(index, slice(None), describe(part.time_s[index])))
        if still is not None:
            moments = [(requests[0]["swap_time_s"], "start")]
            moments += [(r["success_time_s"], f"{r['task']}: success") for r in requests]
            pictures = []
            for time, text in moments:
                index = int(np.argmin(np.abs(part.time_s - time)))
                pictures.append(frame(index, slice(140, 540), f"{text}, t = {time - moments[0][0]:.2f} s"))
            imageio.imwrite(still, np.concatenate(pictures, axis=1))
    finally:
        renderer.close()


def main(arguments: list[str] | None = None) -> int:
    """Draw the film of a run that `lwd demo` left in a folder; status 3 where this machine cannot draw."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    content = json.loads((folder / "client.json").read_text(encoding="utf-8"))
    try:
        draw_video(folder / "states.npz", content, folder / "demo.mp4", folder / "demo.png")
    except RenderError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

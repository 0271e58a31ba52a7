"""The ways of `lwd demo ways` in one picture, and in a film in which all of them are gone at the same time."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v2 as imageio
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Circle

from lwd_ros.contract import Contract
from lwd_ros.environments.avoiding.geometry import GOAL_Y, ROD_RADIUS, published
from lwd_ros.environments.avoiding.simulator import PERIOD_S, SIMULATOR
from lwd_ros.environments.recording import read_recording
from lwd_ros.environments.rendering import RenderError
from lwd_ros.resources import share_path

if TYPE_CHECKING:
    from lwd_ros.demo.ways import Gone

_SIZE = (640, 480)
_STANDS_S = 1.5  # of the film's end


def _colours(count: int) -> np.ndarray:
    """uint8 [count, 3], evenly spaced on the colour circle."""
    return (255 * plt.get_cmap("hsv")(np.arange(count) / count)[:, :3] * 0.85).astype(np.uint8)


def draw_ways(summary: dict, went: Sequence["Gone"], path: Path) -> None:
    """Draw the paths over the scene as a PNG, the goal on the right; those that failed are dashed."""
    scene, figure = published(), plt.figure(figsize=(8.4, 5.8), layout="constrained")
    axes = figure.add_subplot()
    for (x, y), radius in zip(scene.centres, scene.radii, strict=True):
        axes.add_patch(Circle((y, -x), radius, color="#c8503c"))
    axes.axvline(GOAL_Y, color="#3a7d44", lw=2)
    for request, each, colour in zip(summary["requests"], went, _colours(len(went)) / 255, strict=True):
        style = "-" if request["success"] else ":"
        axes.plot(each.path[:, 1], -each.path[:, 0], style, color=colour, lw=1.4)
    axes.plot(scene.start[1], -scene.start[0], "o", color="#26599c", ms=8)
    axes.set(xlabel="y (m)", ylabel="-x (m)")
    axes.set_aspect("equal")
    figure.suptitle(
        f"The same request {len(went)} times: {summary['reached']} reached the goal, by {summary['different_ways']} of "
        f"{summary['of_ways']} ways",
        fontsize=11,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_film(summary: dict, went: Sequence["Gone"], path: Path) -> None:
    """Draw an MP4 in real time: one look from above at the simulator's scene, and all rods on their ways.

    Raises:
        RenderError: this machine cannot draw.
    """
    environment = SIMULATOR.make("fixed", Contract.load(share_path("config", "avoiding.yaml")))
    environment.reset(1)
    renderer = environment.renderer(_SIZE[1], _SIZE[0])
    try:
        scene = Image.fromarray(renderer.draw(environment.state()))
    finally:
        renderer.close()
    font, colours = ImageFont.load_default(size=16), [tuple(row.tolist()) for row in _colours(len(went))]
    longest = max(len(each.path) for each in went)
    places = [[_pixel(*place) for place in each.path] for each in went]
    rod = ROD_RADIUS * _pixels_per_metre()

    def frame(step: int) -> np.ndarray:
        picture = scene.copy()
        draw = ImageDraw.Draw(picture)
        for points, colour in zip(places, colours, strict=True):
            line = points[: step + 1]
            if len(line) > 1:
                draw.line(line, fill=colour, width=2)
            x, y = line[-1]
            draw.ellipse((x - rod, y - rod, x + rod, y + rod), fill=colour)
        draw.rectangle((0, 0, _SIZE[0], 26), fill=(20, 20, 20))
        text = f"one request, {len(went)} policies   t = {step * PERIOD_S:.2f} s"
        if step >= longest - 1:
            text += f"   {summary['different_ways']} of {summary['of_ways']} ways"
        draw.text((8, 3), text, fill=(255, 255, 255), font=font)
        return np.asarray(picture)

    writer: Any = imageio.get_writer(path, fps=round(1 / PERIOD_S), macro_block_size=16)
    with writer:
        for step in range(longest):
            writer.append_data(frame(step))
        last = frame(longest - 1)
        for _ in range(round(_STANDS_S / PERIOD_S)):
            writer.append_data(last)


# What the camera `above` of avoiding.xml sees: y to the right, -x upwards.
_CAMERA, _HEIGHT_M, _FOVY = (0.5, 0.1), 6.0, 8.2


def _pixels_per_metre() -> float:
    return 0.5 * _SIZE[1] / (np.tan(np.radians(_FOVY) / 2) * _HEIGHT_M)


def _pixel(x: float, y: float) -> tuple[float, float]:
    """Where a place on the table is in the film's picture."""
    scale = _pixels_per_metre()
    return 0.5 * _SIZE[0] + scale * (y - _CAMERA[1]), 0.5 * _SIZE[1] + scale * (x - _CAMERA[0])


def main(arguments: list[str] | None = None) -> int:
    """Draw the film of a run that `lwd demo ways` left in a folder; status 3 where this machine cannot draw."""
    from lwd_ros.demo.ways import gone

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    try:
        draw_film(summary, gone(read_recording(folder / "states.npz"), summary["requests"]), folder / "ways.mp4")
    except RenderError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

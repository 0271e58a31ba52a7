"""The command `lwd demo`."""

import sys
from pathlib import Path

import click


@click.command(context_settings={"show_default": True})
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    help="Folder; results of an earlier run there are replaced.",
)
@click.option("--layout", type=click.IntRange(min=0), default=0, help="Seed of the start layout; 0 draws one.")
@click.option("--model", default="", help="Model file; default: the shipped metaworld_mt10_anywhere.")
@click.option("--contract", default="", help="Contract that the model was trained for; default: the shipped one.")
@click.option("--video/--no-video", default=True, help="Draw demo.mp4 where the machine can.")
def demo(out, layout, model, contract, video) -> None:
    """Open a drawer, close it and open it again: three policies generated and swapped in a running simulation."""
    from lwd_ros.demo.story import run_demo

    sys.exit(run_demo(out, layout, video, model_file=model, contract_file=contract))

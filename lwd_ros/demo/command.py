"""The command `lwd demo`."""

import sys
from pathlib import Path

import click


@click.command(context_settings={"show_default": True})
@click.argument("story", type=click.Choice(["drawer", "ways"]), default="drawer")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    help="Folder; results of an earlier run there are replaced.",
)
@click.option("--layout", type=click.IntRange(min=0), default=0, help="drawer: seed of the start layout; 0 draws one.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**62),
    default=0,
    help="ways: of the first request, the others have the next ones; 0 draws all.",
)
@click.option("--requests", type=click.IntRange(1, 100), default=20, help="ways: how often it is asked.")
@click.option(
    "--model", default="", help="Model file; default: the shipped metaworld_mt10_anywhere, or avoiding_fixed for ways."
)
@click.option("--contract", default="", help="Contract that the model was trained for; default: the shipped one.")
@click.option("--video/--no-video", default=True, help="Draw the film where the machine can.")
def demo(story, out, layout, seed, requests, model, contract, video) -> None:
    """Play a story with real nodes, as three processes.

    drawer: open a drawer, close it and open it again, by three policies generated and swapped in a running simulation.

    ways: one request twenty times, from the same start; policies that do the same task in different ways. One seed is
    used twice, and gives the same path.
    """
    files = {"model_file": model, "contract_file": contract}
    for name, value, meant in (("--layout", layout, "drawer"), ("--seed", seed, "ways")):
        if value and story != meant:
            raise click.UsageError(f"{name}: found with the story '{story}', expected it with '{meant}' alone")
    if story == "ways":
        from lwd_ros.demo.ways import run_ways

        sys.exit(run_ways(out, requests, seed, video, **files))
    from lwd_ros.demo.story import run_demo

    sys.exit(run_demo(out, layout, video, **files))

"""The commands of `lwd data`: what a dataset holds, and new datasets made of others."""

import json
from pathlib import Path

import click

from lwd_ros.cli.support import COUNT, FROM_ZERO, needs

_DATA = click.argument("folder", type=click.Path(path_type=Path))
_OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the dataset that is made.")


@click.group()
def data() -> None:
    """Look at datasets of demonstrations, merge and split them, drop episodes: always into a new folder."""


@data.command()
@_DATA
@click.option("--task", default="", show_default=False, help="List this task's episodes one by one.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@needs("bags")
def show(folder, task, as_json) -> None:
    """Print what a dataset holds: tasks, episodes, seconds, ranges against the contract's limits, sources, digest."""
    from lwd_ros.dataset import DatasetError, Demonstrations
    from lwd_ros.dataset.summary import summary

    demonstrations = Demonstrations(folder)
    if task and task not in demonstrations.tasks:
        raise DatasetError(f"{folder}: found no task '{task}', expected one of: {', '.join(demonstrations.tasks)}")
    found = summary(demonstrations)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(f"contract '{found['contract']}', {1 / found['period_s']:.4g} Hz, digest {found['digest']}")
    click.echo(f"\n{'task':32} {'episodes':>8} {'frames':>8} {'seconds':>9} {'shortest':>9} {'longest':>9}")
    for name, row in found["tasks"].items():
        click.echo(f"{name:32} {row['episodes']:8} {row['frames']:8} {row['seconds']:9.1f} {row['shortest_s']:9.2f} "
                   f"{row['longest_s']:9.2f}")  # fmt: skip
    click.echo(f"\n{'':12}{'scalar':28} {'minimum':>10} {'maximum':>10} {'unit':6} limits")
    for row in found["ranges"]:
        low, high = row["limits"]
        outside = f"  {100 * row['outside']:.3g} % of the frames outside" if row["outside"] else ""
        still = "  never moves" if row["range"][0] == row["range"][1] else ""
        click.echo(f"{row['kind']:12}{row['name']:28} {row['range'][0]:10.4g} {row['range'][1]:10.4g} {row['unit']:6} "
                   f"{low:g} to {high:g}{outside}{still}")  # fmt: skip
    click.echo(f"\nmade by: {found['made_by']}")
    for source, count in found["sources"].items():
        click.echo(f"source: {source} ({count} episodes)")
    for name, counts in found["ways"].items():
        click.echo(f"ways of {name}: {', '.join(f'{way} {count}' for way, count in counts.items())}")
    if task:
        click.echo(f"\n{'episode':>7} {'frames':>7} {'seconds':>8}  source")
        for number, each in enumerate(demonstrations.episodes[task]):
            frames = len(each.action)
            where = each.source or f"layout {each.layout}" + (f", after {each.after}" if each.after else "")
            where += f", way {each.way}" if each.way else ""
            click.echo(f"{number:7} {frames:7} {frames * found['period_s']:8.2f}  {where}")


@data.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUT
@needs("bags")
def merge(folders, out) -> None:
    """Put the episodes of several datasets of one contract into one."""
    from lwd_ros.dataset import Demonstrations, require_room
    from lwd_ros.dataset.editing import merge

    require_room(out)
    _say(merge([Demonstrations(folder) for folder in folders], out), out)


@data.command()
@_DATA
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    nargs=2,
    required=True,
    metavar="FIRST SECOND",
    help="Folders of the two datasets that are made.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of each task's episodes in the first; at least one in each.",
)
@click.option("--count", type=COUNT, help="Instead: how many of each task's episodes in the first.")
@click.option("--seed", type=FROM_ZERO, default=0, help="Of the draw.")
@needs("bags")
def split(folder, out, share, count, seed) -> None:
    """Split each task's episodes at random into two datasets, as for training and validation."""
    from lwd_ros.dataset import Demonstrations
    from lwd_ros.dataset.editing import split

    if (share is None) == (count is None):
        raise click.UsageError("expected either --share or --count")
    metas = split(Demonstrations(folder), out, seed, share=share or 0.0, count=count or 0)
    for meta, place in zip(metas, out, strict=True):
        _say(meta, place)


@data.command()
@_DATA
@click.option("--task", default="", show_default=False, help="Whose episodes; may be left out where there is one task.")
@click.option("--episodes", required=True, help="Numbers and ranges as 'lwd data show --task' lists them: 3,7 or 0:5.")
@_OUT
@needs("bags")
def drop(folder, task, episodes, out) -> None:
    """Leave episodes out of a dataset, into a new one."""
    from lwd_ros.dataset import DatasetError, Demonstrations, require_room
    from lwd_ros.dataset.editing import drop

    if not episodes.strip():
        raise DatasetError("--episodes: found nothing, expected numbers such as 3,7 or 0:5")
    require_room(out)
    _say(drop(Demonstrations(folder), out, task, episodes), out)


def _say(meta: dict, out: Path) -> None:
    episodes = sum(count["episodes"] for count in meta["counts"].values())
    frames = sum(count["frames"] for count in meta["counts"].values())
    tasks = len(meta["tasks"])
    click.echo(f"{tasks} task{'s' if tasks > 1 else ''}, {episodes} demonstrations, {frames} frames, digest "
               f"{meta['digest']} in {out}")  # fmt: skip

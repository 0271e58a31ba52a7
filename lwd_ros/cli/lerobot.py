"""The commands of `lwd` for LeRobot datasets: in and out."""

import json
from pathlib import Path

import click

from lwd_ros.cli.support import needs
from lwd_ros.contract import Contract

_RENAME = click.option(
    "--rename", multiple=True, metavar="THEIRS=OURS", help="A scalar's name there and in the contract; may be repeated."
)
_MAPPING = click.option(
    "--mapping", type=click.Path(), help="YAML: names there, scale and offset of the contract's scalars, tasks' texts."
)


@click.command("import-lerobot")
@click.argument("dataset", type=click.Path())
@click.option("--contract", "contract_file", type=click.Path(), required=True, help="Contract to follow.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the dataset that is made.")
@_RENAME
@_MAPPING
@click.option(
    "--task",
    multiple=True,
    metavar="NAME | TEXT=NAME",
    help="One name for all episodes; or a name for a task's text, which may be repeated.  [default: from the texts]",
)
@click.option("--episodes", default="", help="Which ones: numbers and ranges, as 0:5,7.  [default: all]")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-4,
    help="Seconds by which the time between two frames may differ from what fps says.",
)
@click.option(
    "--outside",
    type=click.Choice(("refuse", "keep", "clip")),
    default="refuse",
    help="What becomes of numbers outside the contract's limits.",
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the report here.")
@needs("bags")
def import_lerobot(dataset, contract_file, out, rename, mapping, task, episodes, tolerance, outside, path) -> None:
    """Make a dataset of a LeRobot dataset v2.0, v2.1 or v3.0: a folder on this machine.

    Scalars are found by name and put into the contract's order; cameras are left out. What does not fit is refused:
    a name that is missing, another rate, a timestamp or an index that is off, a number outside the contract's limits.
    """
    from tqdm import tqdm

    from lwd_ros.dataset import require_room, write_dataset
    from lwd_ros.dataset.lerobot import read
    from lwd_ros.files import written_whole

    contract = Contract.load(contract_file)
    names = _mapping(contract, mapping, rename)
    one, texts = _tasks(task)
    require_room(out)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
    with tqdm(unit=" frames", unit_scale=True, disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = read(
            dataset,
            contract,
            names,
            task=one,
            tasks=texts,
            episodes=episodes,
            tolerance_s=tolerance,
            outside=outside,
            progress=progress,
        )
    meta = write_dataset(out, contract, found.episodes, found.settings())
    _show(found)
    if path:
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps({**found.report(), "digest": meta["digest"]}, indent=1) + "\n", "utf-8")
    total = sum(len(rows) for rows in found.episodes.values())
    frames = sum(len(each.action) for rows in found.episodes.values() for each in rows)
    click.echo(f"{total} demonstrations, {frames} frames, digest {meta['digest']} in {out}")


@click.command("export-lerobot")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset of demonstrations.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the LeRobot dataset.")
@_MAPPING
@_RENAME
@click.option("--task-feature", is_flag=True, help="Add observation.environment_state: 1 at the task, 0 elsewhere.")
@click.option(
    "--dtype",
    type=click.Choice(("float64", "float32")),
    default="float64",
    help="Of the numbers: float64 keeps every digit, float32 is what lerobot's own recorder writes.",
)
@click.option("--robot-type", default="", help="What the dataset says the robot is.")
@needs("bags")
def export_lerobot(data, out, mapping, rename, task_feature, dtype, robot_type) -> None:
    """Write demonstrations as a LeRobot dataset v3.0, as lerobot 0.6.1 writes its own.

    Observation and action stand in observation.state and action with the contract's names; the tasks' names are their
    texts. --mapping and --rename give other names and units, as for lwd import-lerobot.
    """
    from tqdm import tqdm

    from lwd_ros.dataset import Demonstrations
    from lwd_ros.dataset.lerobot import ExportSettings, export

    demonstrations = Demonstrations(data)
    names = _mapping(demonstrations.contract, mapping, rename)
    with tqdm(unit=" episodes", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        settings = ExportSettings(dtype, task_feature, names, robot_type)
        written = export(demonstrations, out, settings, progress)
    for task, text in written.texts.items():
        if task != text:
            click.echo(f"task     {task} <- {text!r}")
    exact = "exact" if not written.rounding else f"rounded by {written.rounding:.1g} of a number at most"
    click.echo(f"{written.episodes} episodes, {written.frames} frames, {written.fps:g} Hz, {dtype} ({exact}) in {out}")


def _mapping(contract: Contract, file: str | None, rename: tuple[str, ...]):
    from lwd_ros.dataset.lerobot import Mapping

    mapping = Mapping.load(file) if file else Mapping()
    mapping.require(contract, file or "mapping")
    return mapping.renamed(contract, rename)


def _tasks(given: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """One name for all, and names by texts."""
    names = [each for each in given if "=" not in each]
    if len(names) > 1 or (names and len(given) > 1):
        raise click.UsageError("--task: found several, expected one NAME, or TEXT=NAME each time")
    pairs = [each.rpartition("=") for each in given if "=" in each]
    return (names[0] if names else ""), {text: name for text, _, name in pairs}


def _show(found) -> None:
    """What a person should see: names and units that changed, tasks, ranges, notes."""
    click.echo(f"LeRobot {found.version}, {found.fps:g} frames a second")
    for side, columns in zip(("observation", "command"), found.columns, strict=True):
        for column in columns:
            theirs, source = column.source.name, column.source
            units = f" · {source.scale:.9g} + {source.offset:g}" if (source.scale, source.offset) != (1.0, 0.0) else ""
            if theirs != column.ours or units:
                click.echo(f"{side:12} {column.ours} <- {theirs}{units}")
    for text, name in found.tasks.items():
        count = len(found.episodes[name])
        click.echo(f"task         {name} <- {text!r}, {count} episode{'s' if count > 1 else ''}")
    for row in found.ranges:
        click.echo(f"{row.kind:12} {row.name:24} {row.minimum:10.4g} to {row.maximum:<10.4g} {row.unit:6} "
                   f"of {row.limits[0]:g} to {row.limits[1]:g}")  # fmt: skip
    for note in found.notes:
        click.echo(f"note: {note}")

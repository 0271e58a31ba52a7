"""`lwd import-bag`: recordings of robots to a dataset."""

import json
from pathlib import Path

import click

from lwd_ros.cli.support import needs

_PATH = click.Path(path_type=Path)
_BAR = "{desc}: {percentage:3.0f} % of {total} messages, {rate_fmt}, {remaining} left{postfix}"
_COUNT = "{desc}: {n_fmt} messages, {rate_fmt}"


@click.command("import-bag")
@click.argument("bags", nargs=-1, required=True, type=_PATH, metavar="BAG...")
@click.option("--contract", "file", type=click.Path(), required=True, help="Contract file, with its binding.")
@click.option("--out", type=_PATH, required=True, help="Folder of the dataset: new or empty.")
@click.option("--task", default="", help="What is shown, where no mark says it; without marks the whole recording.")
@click.option("--task-from", type=click.Choice(["folder"]), help="The task is the folder that a recording lies in.")
@click.option(
    "--episodes",
    default="",
    metavar="HOW",
    help="marks (of 'lwd record'), services (events of its services), gaps (rests of the command), whole, or a CSV "
    "file: task,start_s,end_s[,success][,bag].  [default: marks, else services, else whole with --task]",
)
@click.option("--marker", default="", metavar="TOPIC", help="A String that names the task, '' between; a Bool or Int.")
@click.option("--keep-failed", is_flag=True, help="Import episodes too that were marked as failed.")
@click.option(
    "--actions",
    type=click.Choice(["bound", "observed", "tick"]),
    default="bound",
    help="bound: the contract's command topics; observed: what was measured one period later, for robots that were "
    "moved by hand; tick: the controller's ~/tick, value for value.",
)
@click.option(
    "--observed",
    multiple=True,
    metavar="COMMAND=SCALAR",
    help="With --actions observed: the observed scalar that a command is taken from; may be repeated.",
)
@click.option(
    "--command-topic",
    multiple=True,
    metavar="TOPIC:=RECORDED",
    help="Another topic for a command topic of the contract, such as a leader arm's joint states; may be repeated.",
)
@click.option("--joint-prefix", help="In front of the joints' names; replaces that of the contract.")
@click.option("--namespace", default="", help="Before relative topics.")
@click.option("--remap", multiple=True, metavar="FROM:=TO", help="A topic's name in the recording; may be repeated.")
@click.option(
    "--holes",
    type=click.Choice(["cut", "drop", "refuse"]),
    default="cut",
    help="Where a stream is silent for longer than it may: cut the episode there, drop it, or refuse the import.",
)
@click.option("--least-s", type=click.FloatRange(min=0), default=1.0, help="Shorter episodes and parts are left out.")
@click.option("--rest-s", type=click.FloatRange(min=0.05), default=1.0, help="With gaps: rests this long divide.")
@click.option(
    "--rest-threshold",
    type=click.FloatRange(min=0, max=1),
    default=0.02,
    help="With gaps: what counts as rest, as a share of a velocity's limit or of a position's slew.",
)
@click.option("--held-s", type=click.FloatRange(min=0), default=0.5, help="How long a command holds after its message.")
@click.option("--any-rate", is_flag=True, help="Resample even where the rates are far apart.")
@click.option("--clip", is_flag=True, help="Clip actions to the contract's limits; the report has the share.")
@click.option("--joined", is_flag=True, help="All BAGs are parts of one recording.")
@click.option("--report", "report_file", type=_PATH, help="Write the report as JSON.")
@click.option("--plot", "picture", type=_PATH, help="Where the page of trajectories goes.  [default: OUT.png]")
@click.option("--no-plot", is_flag=True, help="Write no picture.")
@needs("bags")
def import_bag(bags, file, out, task, task_from, observed, command_topic, joint_prefix, namespace, remap, **options):
    """Import recordings (rosbag2: MCAP, SQLite3; ROS 1) as demonstrations, without ROS.

    Messages are read by the contract's binding, with the code that runs live. Rows are one control period apart and
    have what was known then; nothing is interpolated and no hole is bridged. Without --joined each BAG, a folder or a
    file, is a recording of its own.

    At the end a report says what was imported, what was left out and why; the picture shows every scalar.
    """
    from lwd_ros.contract import Contract
    from lwd_ros.dataset.importing import Names, Settings, import_bags
    from lwd_ros.dataset.importing.names import pair
    from lwd_ros.dataset.importing.report_plot import plot
    from lwd_ros.files import written_whole

    report_file, picture, no_plot = (options.pop(key) for key in ("report_file", "picture", "no_plot"))
    settings = Settings(
        task=task,
        task_from_folder=task_from is not None,
        observed=dict(_equation(text) for text in observed),
        command_topics=dict(pair(text, "--command-topic") for text in command_topic),
        names=Names.parse(namespace, remap),
        **options,
    )
    _require_sense(settings, task_from)
    contract = Contract.load(file, joint_prefix)
    picture = picture or out.with_name(f"{out.name}.png")
    for path in [report_file, *([] if no_plot else [picture])]:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    report = import_bags(bags, contract, out, settings, _bar)
    for line in report.text():
        click.echo(line)
    for sentence in report.all_warnings():
        click.echo(f"warning: {sentence}", err=True)
    click.echo(f"written to {out}, digest {report.meta['digest'][:12]}")
    if report_file is not None:
        with written_whole(report_file) as temporary:
            temporary.write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
        click.echo(f"written to {report_file}")
    if not no_plot:
        plot(report, picture)
        click.echo(f"written to {picture}")


def _require_sense(settings, task_from) -> None:
    """Refuse options that exclude each other; click.UsageError."""
    if settings.observed and settings.actions != "observed":
        raise click.UsageError("--observed: found without --actions observed, expected with it")
    if settings.command_topics and settings.actions != "bound":
        raise click.UsageError(f"--command-topic: found with --actions {settings.actions}, expected with bound")
    if task_from and settings.task:
        raise click.UsageError("--task-from: found --task beside it, expected one of them")
    if settings.marker and settings.episodes:
        raise click.UsageError("--marker: found --episodes beside it, expected one of them")
    named = ("", "marks", "services", "gaps", "whole")
    if settings.episodes not in named and not Path(settings.episodes).is_file():
        expected = ", ".join(named[1:])
        raise click.UsageError(f"--episodes: found '{settings.episodes}', expected {expected}, or a CSV file")


def _equation(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise click.UsageError(f"--observed: found '{text}', expected COMMAND=SCALAR")
    return name.strip(), value.strip()


def _bar(name: str, total: int | None):
    """A progress bar on a terminal: what is told how many more messages were read."""
    from tqdm import tqdm

    bar = tqdm(total=total, desc=name, unit="", disable=None, bar_format=_BAR if total else _COUNT, leave=False)
    return bar.update

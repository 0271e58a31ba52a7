"""The commands of `lwd contract`: what a contract says, and whether a robot's topics are as it says."""

import re
import sys
from pathlib import Path
from typing import NoReturn

import click

from lwd_ros.cli.support import needs
from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.checking import check as check_types
from lwd_ros.contract.checking import doubts
from lwd_ros.contract.definitions import live as live_definitions
from lwd_ros.contract.table import rows, summary, table
from lwd_ros.files import written_whole
from lwd_ros.reading import GUESS

_LIVE_S = 3.0


class _Seconds(click.ParamType):
    """How long to look; says what to do where the contract's file was taken for it."""

    name = "seconds"

    def convert(self, value, param, ctx):
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"found '{value}', expected seconds; to leave them out, write the file before --live", param, ctx)
        if not 0.0 < seconds <= 3600.0:
            self.fail(f"found {value}, expected seconds above 0, up to 3600", param, ctx)
        return seconds


@click.group()
def contract() -> None:
    """Look at contracts: what a policy observes and commands, and on which topics."""


@contract.command()
@click.option("--from", "bags", multiple=True, type=click.Path(), metavar="BAG", help="A recording; its parts in turn.")
@click.option(
    "--live",
    is_flag=False,
    flag_value=_LIVE_S,
    type=_Seconds(),
    metavar="[SECONDS]",
    help=f"Look at the topics that there are, for so long, without a number {_LIVE_S:g} s. Move the robot meanwhile. "
    "Needs ROS; publishes nothing.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write, a new one.  [default: the terminal]")
@click.option("--name", default="", show_default=False, help="The contract's name.  [default: that of the recording]")
@click.option(
    "--observe", multiple=True, metavar="TOPIC", help="Observe this one; may be repeated.  [default: a guess]"
)
@click.option(
    "--command", multiple=True, metavar="TOPIC", help="Command this one; may be repeated.  [default: a guess]"
)
@click.option("--leave-out", multiple=True, metavar="TOPIC", help="Do neither with this one; may be repeated.")
@needs("bags")
def new(bags, live, out, name, observe, command, leave_out) -> None:
    """Write a first contract from what is there: a recording, or the topics of a robot.

    Topics, types, joints, units, rates and ranges are those that were seen, ranges with a margin. Each guess is marked
    `!guess` and says in a comment what it rests on; whatever reads contracts refuses them until the marks are removed.
    """
    if bool(bags) == (live is not None):
        raise click.UsageError("found both or neither of --from and --live, expected one of them")
    from lwd_ros.contract.guess import guess

    if out is not None and out.exists():
        raise ContractError(f"{out}: found a file there, expected a new one: --out names another")
    if bags:
        from lwd_ros.dataset.bags import open_bags
        from lwd_ros.dataset.bags.looking import sightings

        with open_bags(bags) as bag:
            seen = sightings(bag, (*observe, *command))
            source, first = f"the recording {bag.name}", bag.name
            for sentence in bag.problems:
                click.echo(f"warning: {sentence}", err=True)
    else:
        from lwd_ros.nodes.contract_guess import survey  # needs rclpy

        seen = survey(live, (*observe, *command))
        source, first = f"{live:g} s of a robot's topics", "robot"
    written = guess(seen, name or _plain(first), source, observe, command, leave_out)
    for sentence in written.doubts:
        click.echo(f"doubtful: {sentence}", err=True)
    if out is None:
        click.echo(written.text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(out) as file:
        file.write_text(written.text, encoding="utf-8")
    count = written.text.count(f": {GUESS} ")
    click.echo(f"{out}: {count} guesses to look at, each marked {GUESS}; then: lwd contract check {out}")


def _plain(name: str) -> str:
    """A contract's name from that of a file."""
    return re.sub(r"\W+", "_", name.partition(".")[0]).strip("_") or "robot"


@contract.command()
@click.argument("file", type=click.Path())
@click.option(
    "--live",
    is_flag=False,
    flag_value=_LIVE_S,
    type=_Seconds(),
    metavar="[SECONDS]",
    help=f"Look at the robot's topics, for so long once all are heard, without a number {_LIVE_S:g} s. Needs ROS; "
    "publishes nothing.",
)
@click.option(
    "--bag", "bags", multiple=True, type=click.Path(), help="Look at a recording; several are its parts in turn."
)
@click.option("--joint-prefix", help="In front of the joints' names; replaces that of the file.")
@click.option(
    "--namespace",
    default="",
    show_default=False,
    help="With --live or --bag: namespace of the controller, before relative topics.",
)
@click.option("--remap", multiple=True, metavar="FROM:=TO", help="As the controller's; may be repeated.")
@click.option("--sim-time", is_flag=True, help="With --live: the time is that of /clock, as with use_sim_time.")
@needs("bags")
def check(file, live, bags, joint_prefix, namespace, remap, sim_time) -> None:
    """Check a contract and print it as a table.

    Every stream is compared with the definition of its message type: fields, vectors, headers, and what a command's
    message needs. ROS is not needed for that.

    With --live the streams are also received as the controller receives them. The table then has rates, observed
    ranges, ages and the other ends of each topic; what is missing, outside its limits or not as the controller needs it
    is said in sentences.

    With --bag they are read from a recording instead, all of it: rates, recorded ranges, ages by the stamps, gaps,
    other types, topics that are not there. ROS is not needed.

    Exit status: 0 without problems, warnings or not; 1 with problems.
    """
    if bags and live is not None:
        raise click.UsageError("--bag and --live: found both, expected one of them")
    if live is None and sim_time:
        raise click.UsageError("--sim-time: found without --live, expected with it")
    if live is None and not bags and (namespace or remap):
        raise click.UsageError("--namespace and --remap: found without --live or --bag, expected with one of them")
    try:
        loaded = Contract.load(file, joint_prefix)
        if loaded.binding is None:
            raise ContractError(f"{file}: key 'binding': found nothing, expected topics and fields")
    except ContractError as error:
        _end([str(error)])
    if bags:
        _check_recorded(loaded, file, bags, namespace, remap)
    if live is None:
        _print(loaded, rows(loaded))
        _end(_offline(loaded, file))
    from lwd_ros.nodes.contract_check import look  # needs rclpy

    problems = _installed(loaded, file)
    if problems:
        _print(loaded, rows(loaded))
        _end([*problems, "the topics were not looked at; mend this first"])
    try:
        seen = look(loaded, live, namespace, remap, sim_time)
    except ContractError as error:
        _end([str(error)])
    _print(loaded, seen.rows)
    for sentence in seen.warnings:
        click.echo(f"warning: {sentence}", err=True)
    _end(seen.problems)


def _check_recorded(contract: Contract, file: str, bags, namespace: str, remap) -> NoReturn:
    """Print the contract with what a recording has of it."""
    from lwd_ros.dataset.bags import open_bags
    from lwd_ros.dataset.bags.checking import look
    from lwd_ros.dataset.importing import Names

    names = Names.parse(namespace, remap)
    with open_bags(bags) as bag:
        findings = check_types(contract, file, bag.definitions)
        seen = look(contract, bag, names)
    _print(contract, seen.rows)
    for sentence in seen.warnings:
        click.echo(f"warning: {sentence}", err=True)
    _end([*findings.problems, *seen.problems])


def _offline(contract: Contract, file: str) -> list[str]:
    """Problems by the definitions that are at hand without ROS; says which are not."""
    try:
        from lwd_ros.dataset.definitions import at_hand

        definitions, hint = at_hand(), ""
    except ModuleNotFoundError as error:  # a robot has the messages themselves instead
        definitions, hint = live_definitions, f", or pip install {error.name}"
    findings = check_types(contract, file, definitions)
    for kind in findings.unchecked:
        click.echo(f"not checked: the definition of {kind} is not at hand; with ROS: --live{hint}", err=True)
    return findings.problems


def _installed(contract: Contract, file: str) -> list[str]:
    """Problems by the message types that are installed, which must be all."""
    findings = check_types(contract, file, live_definitions)
    return findings.problems + [f"found no package for {kind}, expected it installed" for kind in findings.unchecked]


def _print(contract: Contract, entries) -> None:
    click.echo(f"contract '{contract.name}'\n\n{table(entries)}\n\n{summary(contract)}")
    for sentence in doubts(contract):
        click.echo(f"warning: {sentence}", err=True)


def _end(problems: list[str]) -> NoReturn:
    """Say what is wrong; ends the program with the status that says whether anything is."""
    for sentence in dict.fromkeys(problems):
        click.echo(f"problem: {sentence}", err=True)
    sys.exit(1 if problems else 0)

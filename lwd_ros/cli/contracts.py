"""The commands of `lwd contract`: what a contract says, and whether a robot's topics are as it says."""

import sys
from typing import NoReturn

import click

from lwd_ros.cli.support import needs
from lwd_ros.contract import Contract, ContractError
from lwd_ros.contract.checking import check as check_types
from lwd_ros.contract.checking import doubts
from lwd_ros.contract.definitions import live as live_definitions
from lwd_ros.contract.table import rows, summary, table

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
@click.option("--joint-prefix", help="In front of the joints' names; replaces that of the file.")
@click.option("--namespace", default="", help="With --live: namespace of the controller, before relative topics.")
@click.option("--remap", multiple=True, metavar="FROM:=TO", help="With --live: as the controller's; may be repeated.")
@click.option("--sim-time", is_flag=True, help="With --live: the time is that of /clock, as with use_sim_time.")
@needs()
def check(file, live, joint_prefix, namespace, remap, sim_time) -> None:
    """Check a contract and print it as a table.

    Every stream is compared with the definition of its message type: fields, vectors, headers, and what a command's
    message needs. ROS is not needed for that.

    With --live the streams are also received as the controller receives them. The table then has rates, observed
    ranges, ages and the other ends of each topic; what is missing, outside its limits or not as the controller needs it
    is said in sentences.

    Exit status: 0 without problems, warnings or not; 1 with problems.
    """
    if live is None and (namespace or remap or sim_time):
        raise click.UsageError("--namespace, --remap and --sim-time: found without --live, expected with it")
    try:
        loaded = Contract.load(file, joint_prefix)
        if loaded.binding is None:
            raise ContractError(f"{file}: key 'binding': found nothing, expected topics and fields")
    except ContractError as error:
        _end([str(error)])
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

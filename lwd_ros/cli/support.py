"""What the commands of `lwd` share: options, and one sentence for a package that is not installed."""

import functools
import os
import sys

import click

_FROM_ROS = ("rclpy", "lwd_msgs")
_APART = {"distributed": "pip install 'lwd_ros[cluster]'", "ray": "pip install ray"}  # for one backend alone


def needing(command: click.Command, extra: str) -> click.Command:
    """A command of another package, as `needs`."""
    command.callback = needs(extra)(command.callback)
    return command


def needs(extra: str = ""):
    """Say in one sentence how to get a third-party package that the command lacks: all it needs is in `extra`."""

    def decorate(function):
        @functools.wraps(function)
        def command(**arguments):
            try:
                return function(**arguments)
            except ModuleNotFoundError as error:
                package = (error.name or "").partition(".")[0]
                if package in ("", "lwd_ros", *sys.stdlib_module_names):
                    raise
                hint = f"pip install 'lwd_ros[{extra}]'" if extra else "pip install lwd_ros"
                if extra == "train":
                    hint += ", or 'make setup-test' in the repository"
                hint = _APART.get(package, hint)
                if package in _FROM_ROS:
                    hint = "source a ROS 2 workspace that has it, or run 'make setup' in the repository"
                raise click.UsageError(f"'lwd {_command()}' needs the package '{package}': {hint}") from error

        return command

    return decorate


def _command() -> str:
    """What the user typed after `lwd`, without options."""
    names: list[str] = []
    context = click.get_current_context()
    while context.parent:
        names.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(names)


def chosen(names: str, environment: str = "", repeats: bool = False):
    """The simulator and the tasks that a user listed: at least one, none twice unless `repeats`.

    Raises:
        SimulationError: no environment has them, or several do.
    """
    from lwd_ros.environments.registry import find

    if not names.replace(",", " ").strip():
        raise click.UsageError("--tasks: found no task, expected names separated by commas")
    simulator, tasks = find(names, environment)
    twice = [task for place, task in enumerate(tasks) if task in tasks[:place]]
    if twice and not repeats:
        raise click.UsageError(f"--tasks: found '{twice[0]}' twice, expected every task once")
    return simulator, tasks


def tasks_of(names: str, environment: str = "") -> tuple[str, ...]:
    """As `chosen`, the tasks alone."""
    return chosen(names, environment)[1]


def workers_of(count: int) -> int:
    """Processes to use: as many as asked for, one per core for 0."""
    return count or os.cpu_count() or 1


COUNT, FROM_ZERO = click.IntRange(min=1), click.IntRange(min=0)
WORKERS = click.option("--workers", type=FROM_ZERO, default=0, help="Parallel processes; 0: one per core.")
CONTRACT = click.option("--contract", type=click.Path(), help="Contract file; default: the environment's.")
ENVIRONMENT = click.option(
    "--environment",
    default="",
    show_default=False,
    help="Name as 'lwd environments' lists it, or a YAML file; tasks need no prefix then.",
)

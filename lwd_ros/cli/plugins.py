"""Commands of other distributions: those of the entry-point group `lwd_ros.commands` join `lwd`."""

from importlib.metadata import entry_points

import click

GROUP = "lwd_ros.commands"
BENCHMARKS = ("baseline", "bench", "report", "study")
"""Commands of `lwd_benchmarks`, which is a distribution of its own."""


class WithPlugins(click.Group):
    """A group of commands whose plugins are loaded when they are called or listed."""

    def list_commands(self, context: click.Context) -> list[str]:
        """As `click.Group`, the plugins' names among them."""
        return sorted({*super().list_commands(context), *entry_points(group=GROUP).names})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """As `click.Group`; raises UsageError for a command of a distribution that is not installed."""
        command = super().get_command(context, name)
        if command is not None:
            return command
        for entry in entry_points(group=GROUP, name=name):
            try:
                return entry.load()
            except Exception as error:  # whatever another distribution raises; all other commands must go on
                problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
                return _unloadable(name, f"{entry.value} cannot be loaded ({problem})")
        if name in BENCHMARKS:
            raise click.UsageError(
                f"'lwd {name}' is a command of the benchmarks, which are not installed: run 'pip install ./benchmarks' "
                "in the repository"
            )
        return None


def _unloadable(name: str, reason: str) -> click.Command:
    """A command that says why there is none."""

    def refuse(**_arguments) -> None:
        raise click.UsageError(f"'lwd {name}': {reason}")

    rest = click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True}
    return click.Command(
        name, callback=refuse, params=[rest], help=reason, add_help_option=False, context_settings=settings
    )

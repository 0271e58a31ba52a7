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
            return entry.load()
        if name in BENCHMARKS:
            raise click.UsageError(
                f"'lwd {name}' is a command of the benchmarks, which are not installed: run 'pip install ./benchmarks' "
                "in the repository"
            )
        return None

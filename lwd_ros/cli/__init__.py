"""The `lwd` command. Heavy imports happen inside the commands, so that `lwd --help` is quick and needs no extras."""

from lwd_ros.cli.commands import cli, main

__all__ = ["cli", "main"]

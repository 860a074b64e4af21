"""The commands, put together."""

from __future__ import annotations

import sys

import typer

from headrace.cli.check import check
from headrace.cli.demo.command import demo
from headrace.cli.scheduler import scheduler
from headrace.cli.stats import stats
from headrace.cli.version import version
from headrace.cli.worker import worker

__all__ = ["app", "start"]

app: typer.Typer = typer.Typer(
    name="headrace",
    help="Background tasks for asyncio on Redis.",
    epilog="Set HEADRACE_REDIS_URL instead of repeating --redis. NO_COLOR turns colours off.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    # What gets this far is a fault of ours or of the user's code: the plain traceback says most.
    pretty_exceptions_enable=False,
)
for _command in (worker, scheduler, demo, stats, check, version):
    app.command()(_command)


def start() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app()

"""The commands, put together."""

from __future__ import annotations

import sys

import typer

from headrace._cli.check import check
from headrace._cli.connection import with_connection_options
from headrace._cli.dash.command import dash
from headrace._cli.demo.command import demo
from headrace._cli.fleet import cron, group, server
from headrace._cli.queue.app import queue
from headrace._cli.schedule import schedule
from headrace._cli.scheduler import scheduler
from headrace._cli.stats import stats
from headrace._cli.task.app import task
from headrace._cli.version import version
from headrace._cli.worker import worker

__all__ = ["app", "start"]

app: typer.Typer = typer.Typer(
    name="headrace",
    help="Background tasks for asyncio on Redis.",
    epilog="The options of the connection go before a command or after it. NO_COLOR turns "
    "colours off.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    # What gets this far is a fault of ours or of the user's code: the plain traceback says most.
    pretty_exceptions_enable=False,
)


@app.callback()
@with_connection_options
def _headrace() -> None:
    """Background tasks for asyncio on Redis."""


for _command in (worker, scheduler):
    app.command(rich_help_panel="Run")(_command)
for _command in (dash, stats, check):
    app.command(rich_help_panel="Look and change")(_command)
for _group, _name in (
    *((queue, "queue"), (task, "task"), (group, "group"), (server, "server")),
    *((cron, "cron"), (schedule, "schedule")),
):
    app.add_typer(_group, name=_name, rich_help_panel="Look and change")
for _command in (demo, version):
    app.command(rich_help_panel="Try and tell")(_command)


def start() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app()

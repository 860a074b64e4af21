"""The commands of ``task``, put together."""

from __future__ import annotations

import typer

from headrace._cli.task.bulk import archive_all, delete_all, run_all
from headrace._cli.task.change import archive, cancel, delete, run
from headrace._cli.task.enqueue import enqueue, update_payload
from headrace._cli.task.look import inspect, ls

__all__ = ["task"]

task: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@task.callback()
def _task() -> None:
    """Look at tasks, enqueue them, and change them, one, many or all."""


for _command in (ls, inspect, enqueue, update_payload):
    task.command()(_command)
for _command in (cancel, run, archive, delete):
    task.command(rich_help_panel="By ID")(_command)
task.command("runall", rich_help_panel="All of one state")(run_all)
task.command("archiveall", rich_help_panel="All of one state")(archive_all)
task.command("deleteall", rich_help_panel="All of one state")(delete_all)

"""The commands of ``queue``, put together."""

from __future__ import annotations

import typer

from headrace._cli.queue.change import pause, resume, rm
from headrace._cli.queue.limit import limit
from headrace._cli.queue.look import history, inspect, ls

__all__ = ["queue"]

queue: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@queue.callback()
def _queue() -> None:
    """Look at queues, pause them, limit them, delete them."""


for _command in (ls, inspect, history, pause, resume, rm):
    queue.command()(_command)
queue.add_typer(limit, name="limit")

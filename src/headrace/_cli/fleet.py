"""``group``, ``server`` and ``cron``: who works on the queues, and what waits in groups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace._cli.connection import Connection, connected
from headrace._cli.options import JsonOption, PageOption, SizeOption, TaskQueueOption  # noqa: TC001 - typer reads them
from headrace._cli.output import (
    Column,
    ago_text,
    bytes_text,
    in_text,
    print_json,
    print_table,
    time_text,
)
from headrace._cli.session import inspector_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import (
        GroupInfo,
        Inspector,
        SchedulerEnqueueEvent,
        SchedulerEntry,
        ServerStatus,
    )

__all__ = ["cron", "group", "server"]

group: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
server: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
cron: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@group.callback()
def _group() -> None:
    """Look at groups: tasks that wait to be aggregated."""


@group.command("ls")
@connected
def list_groups(
    connection: Connection, *, queue: TaskQueueOption = "default", as_json: JsonOption = False
) -> None:
    """List the groups of a queue that hold tasks."""

    async def fetch(inspector: Inspector) -> list[GroupInfo]:
        return await inspector.groups(queue)

    found = inspector_session(connection, fetch)
    if as_json:
        print_json(found)
        return
    rows = [(info.name, f"{info.size:,}") for info in found]
    columns: list[Column | str] = ["GROUP", Column("SIZE", is_number=True)]
    print_table(columns, rows, empty=f"Queue {queue!r} has no groups.")


@server.callback()
def _server() -> None:
    """Look at servers: the workers that are running."""


@server.command("ls")
@connected
def list_servers(
    connection: Connection,
    *,
    tasks: Annotated[bool, typer.Option("--tasks", help="List what they run, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the servers as they reported themselves at their last heartbeat.

    RUNS is how many tasks a server runs, of how many it can run at a time.
    """

    async def fetch(inspector: Inspector) -> list[ServerStatus]:
        return await inspector.servers()

    found = inspector_session(connection, fetch)
    if as_json:
        print_json(found)
        return
    now = time.time()
    rows = [
        (
            *(one.host, str(one.pid), _status_text(one), ago_text(one.started_at, now)),
            *(f"{one.active_worker_count}/{one.concurrency}", _queues_text(one)),
        )
        for one in found
    ]
    numbers = Column("PID", is_number=True), Column("RUNS", is_number=True)
    columns: list[Column | str] = ["HOST", numbers[0], "STATUS", "STARTED", numbers[1], "QUEUES"]
    print_table(columns, rows, empty="No server is running.")
    if tasks:
        _show_running(found, now)


def _status_text(one: ServerStatus) -> Text | str:
    return one.status if one.status == "active" else Text(one.status, style="yellow")


def _queues_text(one: ServerStatus) -> str:
    queues = " ".join(f"{name}={weight}" for name, weight in sorted(one.queues.items()))
    return f"{queues} (strict)" if one.strict_priority else queues


def _show_running(found: Sequence[ServerStatus], now: float) -> None:
    rows = [
        (
            *(f"{one.host}:{one.pid}", task.queue, task.task_id, task.task_type),
            *(ago_text(task.started_at, now), bytes_text(task.payload)),
        )
        for one in found
        for task in one.workers
    ]
    typer.echo()
    columns: list[Column | str] = [
        "SERVER",
        "QUEUE",
        Column("TASK", is_whole=True),
        "TYPE",
        "STARTED",
    ]
    print_table([*columns, Column("PAYLOAD", lines=False)], rows, empty="No task is running.")


@cron.callback()
def _cron() -> None:
    """Look at the entries of running schedulers, and what they enqueued."""


@cron.command("ls")
@connected
def list_entries(connection: Connection, *, as_json: JsonOption = False) -> None:
    """List the entries of all running schedulers, the next to be due first."""

    async def fetch(inspector: Inspector) -> list[SchedulerEntry]:
        return await inspector.scheduler_entries()

    found = inspector_session(connection, fetch)
    if as_json:
        print_json(found)
        return
    now = time.time()
    rows = [
        (
            *(entry.id, entry.spec, entry.task_type, bytes_text(entry.task_payload)),
            *(in_text(entry.next_enqueue_time, now), ago_text(entry.prev_enqueue_time, now)),
            ", ".join(entry.enqueue_options) or "-",
        )
        for entry in found
    ]
    columns: list[Column | str] = [
        Column("ENTRY ID", is_whole=True),
        "SPEC",
        "TYPE",
        Column("PAYLOAD", lines=False),
    ]
    print_table([*columns, "NEXT", "LAST", "OPTIONS"], rows, empty="No scheduler is running.")


@cron.command()
@connected
def history(
    connection: Connection,
    entry_id: Annotated[
        str,
        typer.Argument(metavar="ENTRY_ID", show_default=False, help="As `cron ls` shows it."),
    ],
    *,
    page: PageOption = 1,
    size: SizeOption = 30,
    as_json: JsonOption = False,
) -> None:
    """Show what an entry enqueued, the latest first. The last 1,000 are kept."""

    async def fetch(inspector: Inspector) -> list[SchedulerEnqueueEvent]:
        return await inspector.enqueue_events(entry_id, page=page, size=size)

    found = inspector_session(connection, fetch)
    if as_json:
        print_json(found)
        return
    rows = [(event.task_id, time_text(event.enqueue_time)) for event in found]
    columns: list[Column | str] = [Column("TASK ID", is_whole=True), "ENQUEUED"]
    print_table(columns, rows, empty=f"Nothing is known of entry {entry_id!r} on page {page}.")

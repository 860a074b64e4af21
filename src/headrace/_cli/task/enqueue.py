"""``task enqueue`` and ``task update-payload``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from headrace._cli.connection import Connection, connected
from headrace._cli.options import (
    DeadlineOption,
    HeaderOption,
    JsonOption,
    NewGroupOption,
    PayloadOption,
    RetentionOption,
    RetryOption,
    TaskIdArgument,
    TaskQueueOption,
    TimeoutOption,
    TypeArgument,
    UniqueOption,
    common_options,
    duration_option,
    instant_option,
)
from headrace._cli.output import print_json
from headrace._cli.session import client_session, inspector_session
from headrace._cli.text import plain
from headrace._cli.values import parse_payload

if TYPE_CHECKING:
    from headrace import Client, Inspector, TaskInfo, TaskOptions

__all__ = ["enqueue", "update_payload"]


NewIdOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", show_default="a random UUID", help="Its ID."),
]
ProcessAtOption: TypeAlias = Annotated[
    dt.datetime | None, instant_option("--process-at", "When it is to run; without it now.")
]
ProcessInOption: TypeAlias = Annotated[
    float | None, duration_option("--process-in", "How long from now it is to run.")
]


@connected
def enqueue(
    connection: Connection,
    task_type: TypeArgument,
    *,
    payload: PayloadOption = None,
    queue: TaskQueueOption = "default",
    task_id: NewIdOption = None,
    retry: RetryOption = None,
    timeout: TimeoutOption = None,
    deadline: DeadlineOption = None,
    unique: UniqueOption = None,
    process_at: ProcessAtOption = None,
    process_in: ProcessInOption = None,
    retention: RetentionOption = None,
    group: NewGroupOption = None,
    header: HeaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enqueue one task.

    What is not said: 25 retries, 30 minutes an attempt, deleted once it is done.

    DURATION is seconds, or numbers with units: 90, 1m30s, 2h, 7d. INSTANT is ISO 8601 with a
    time zone: 2030-01-31T18:00:00Z.
    """
    options: TaskOptions = {
        "queue": queue,
        "task_id": task_id,
        "deadline": deadline,
        "process_at": process_at,
        "process_in": process_in,
        **common_options(retry, timeout, unique, retention, group, header),
    }
    info = _enqueue(connection, task_type, payload, options)
    if as_json:
        print_json(info)
    else:
        typer.echo(plain(f"Task {info.id} is {info.state} in queue {info.queue!r}."))


def _enqueue(
    connection: Connection, task_type: str, payload: str | None, options: TaskOptions
) -> TaskInfo:
    from headrace import Task  # noqa: PLC0415 - keeps --help quick

    task = Task(task_type, None if payload is None else parse_payload(payload), **options)

    async def write(client: Client) -> TaskInfo:
        return await client.enqueue(task)

    return client_session(connection, write)


@connected
def update_payload(
    connection: Connection,
    task_id: TaskIdArgument,
    *,
    payload: PayloadOption,
    queue: TaskQueueOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Give a scheduled task another payload. All else stays as it is."""
    new = None if payload is None else parse_payload(payload)

    async def change(inspector: Inspector) -> TaskInfo:
        await inspector.update_payload(queue, task_id, new)
        return await inspector.get_task(queue, task_id)

    info = inspector_session(connection, change)
    if as_json:
        print_json(info)
    else:
        typer.echo(plain(f"Task {task_id} in queue {queue!r} has its new payload."))

"""``task ls`` and ``task inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError
from headrace._cli.options import (  # noqa: TC001 - typer reads them
    GroupOption,
    JsonOption,
    PageOption,
    SizeOption,
    State,
    TaskIdArgument,
    TaskQueueOption,
)
from headrace._cli.output import print_json
from headrace._cli.session import inspector_session
from headrace._cli.task.views import show_task, show_tasks

if TYPE_CHECKING:
    from headrace import Inspector, TaskInfo

__all__ = ["inspect", "ls"]


@connected
def ls(
    connection: Connection,
    *,
    queue: TaskQueueOption = "default",
    state: Annotated[State, typer.Option("--state", "-s", help="The state.")] = "pending",
    group: GroupOption = None,
    page: PageOption = 1,
    size: SizeOption = 30,
    as_json: JsonOption = False,
) -> None:
    """List the tasks of one state, a page at a time.

    Pending tasks: the next to run comes first; scheduled and retry: the next to be due; all
    others: the oldest. Aggregating tasks are listed by their --group.
    """
    if state == "aggregating" and group is None:
        raise CliError(
            "Aggregating tasks are listed by their group: --group is missing",
            hint=f"headrace group ls --queue {queue} lists the groups.",
        )

    async def fetch(inspector: Inspector) -> list[TaskInfo]:
        return await inspector.list_tasks(queue, state, group=group, page=page, size=size)

    tasks = inspector_session(connection, fetch)
    if as_json:
        print_json(tasks)
    elif page > 1:
        show_tasks(tasks, state, empty=f"Page {page} is empty.")
    else:
        show_tasks(tasks, state, empty=f"Queue {queue!r} has no {state} tasks.")


@connected
def inspect(
    connection: Connection,
    task_id: TaskIdArgument,
    *,
    queue: TaskQueueOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show all about one task: payload, state, tries, last error, result."""

    async def fetch(inspector: Inspector) -> TaskInfo:
        return await inspector.get_task(queue, task_id)

    info = inspector_session(connection, fetch)
    if as_json:
        print_json(info)
    else:
        show_task(info)

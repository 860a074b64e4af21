"""``task cancel``, ``archive``, ``delete`` and ``run``: tasks by their IDs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import typer

from headrace._cli.confirm import DryRunOption, YesOption, confirm
from headrace._cli.connection import Connection, connected
from headrace._cli.failure import ExitCode, print_error
from headrace._cli.options import JsonOption, TaskIdsArgument, TaskQueueOption  # noqa: TC001 - typer reads them
from headrace._cli.output import print_json
from headrace._cli.session import inspector_session
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from headrace import Inspector

__all__ = ["archive", "cancel", "delete", "run"]

Verb: TypeAlias = Literal["cancel", "archive", "delete", "run"]

_DONE: Final = {
    "cancel": "asked to stop",
    "archive": "archived",
    "delete": "deleted",
    "run": "made pending",
}
# The states of the tasks that each is for.
_STATES: Final = {
    "cancel": {"active"},
    "archive": {"pending", "scheduled", "retry", "aggregating"},
    "delete": {"pending", "scheduled", "retry", "archived", "completed", "aggregating"},
    "run": {"scheduled", "retry", "archived", "completed", "aggregating"},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What became of one task."""

    id: str
    ok: bool
    error: str | None = None


@connected
def cancel(
    connection: Connection,
    task_ids: TaskIdsArgument,
    *,
    queue: TaskQueueOption = "default",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have running tasks cancelled: the handler is stopped, and the task retried.

    The worker that runs a task gets the request; this does not wait for it to act.
    """
    _change_all(connection, "cancel", queue, task_ids, dry_run=dry_run, as_json=as_json)


@connected
def archive(
    connection: Connection,
    task_ids: TaskIdsArgument,
    *,
    queue: TaskQueueOption = "default",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Archive tasks: they are kept, but not run until someone says so.

    For tasks that are pending, scheduled, in retry, or in a group. Their uniqueness locks are
    freed.
    """
    _change_all(connection, "archive", queue, task_ids, dry_run=dry_run, as_json=as_json)


@connected
def run(
    connection: Connection,
    task_ids: TaskIdsArgument,
    *,
    queue: TaskQueueOption = "default",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make tasks pending now that are scheduled, in retry, archived, completed, or in a group."""
    _change_all(connection, "run", queue, task_ids, dry_run=dry_run, as_json=as_json)


@connected
def delete(
    connection: Connection,
    task_ids: TaskIdsArgument,
    *,
    queue: TaskQueueOption = "default",
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete tasks in any state but active, with their results and uniqueness locks."""
    if not dry_run:
        confirm(f"Delete {plural(len(task_ids), 'task')} of queue {queue!r}?", yes=yes)
    _change_all(connection, "delete", queue, task_ids, dry_run=dry_run, as_json=as_json)


def _change_all(
    connection: Connection,
    verb: Verb,
    queue: str,
    task_ids: Sequence[str],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    async def change(inspector: Inspector) -> list[Change]:
        act = _rehearsal(inspector, verb) if dry_run else _action(inspector, verb)
        # A task that is named twice is changed once.
        return [await _change(act, queue, task_id) for task_id in dict.fromkeys(task_ids)]

    changes = inspector_session(connection, change)
    if as_json:
        print_json(changes)
    else:
        _show(changes, f"would be {_DONE[verb]}" if dry_run else _DONE[verb])
    if not all(change.ok for change in changes):
        raise typer.Exit(ExitCode.FAILURE)


async def _change(
    act: Callable[[str, str], Awaitable[str | None]], queue: str, task_id: str
) -> Change:
    from headrace import TaskNotFoundError, TaskStateError  # noqa: PLC0415 - keeps --help quick

    try:
        error = await act(queue, task_id)
    except (TaskNotFoundError, TaskStateError) as refusal:
        error = str(refusal)
    return Change(task_id, ok=error is None, error=error)


def _action(inspector: Inspector, verb: Verb) -> Callable[[str, str], Awaitable[str | None]]:
    """Return what does *verb* to a task, and returns why it could not."""

    async def cancel(queue: str, task_id: str) -> str | None:
        await inspector.get_task(queue, task_id)  # Says so if it is not there.
        is_running = await inspector.cancel(queue, task_id)
        return None if is_running else f"Task {task_id!r} in queue {queue!r} is not running."

    async def change(queue: str, task_id: str) -> None:
        await methods[verb](queue, task_id)

    methods = {
        "archive": inspector.archive_task,
        "delete": inspector.delete_task,
        "run": inspector.run_task,
    }
    return cancel if verb == "cancel" else change


def _rehearsal(inspector: Inspector, verb: Verb) -> Callable[[str, str], Awaitable[str | None]]:
    """Return what tells why *verb* could not be done to a task."""

    async def look(queue: str, task_id: str) -> str | None:
        state = str((await inspector.get_task(queue, task_id)).state)
        if state in _STATES[verb]:
            return None
        return f"Cannot {verb} task {task_id!r} in queue {queue!r}: it is {state}."

    return look


def _show(changes: Sequence[Change], done: str) -> None:
    for change in changes:
        if change.error is None:
            typer.echo(plain(f"Task {change.id}: {done}."))
        else:
            print_error(change.error)

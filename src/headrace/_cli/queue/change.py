"""``queue pause``, ``resume`` and ``rm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace._cli.confirm import DryRunOption, YesOption, confirm
from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.options import JsonOption, QueuesArgument  # noqa: TC001 - typer reads them
from headrace._cli.output import print_json
from headrace._cli.session import inspector_session
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace import Inspector, QueueStats

__all__ = ["pause", "resume", "rm"]


@connected
def pause(connection: Connection, names: QueuesArgument, *, as_json: JsonOption = False) -> None:
    """Have no worker take tasks from queues. What runs goes on; enqueueing goes on, too."""
    _set_paused(connection, names, is_paused=True, as_json=as_json)


@connected
def resume(connection: Connection, names: QueuesArgument, *, as_json: JsonOption = False) -> None:
    """Have workers take tasks from paused queues again."""
    _set_paused(connection, names, is_paused=False, as_json=as_json)


def _set_paused(
    connection: Connection, names: list[str], *, is_paused: bool, as_json: bool
) -> None:
    async def change(inspector: Inspector) -> dict[str, bool]:
        for name in names:
            await inspector.queue_stats(name)  # All of them are there, or none is changed.
        method = inspector.pause if is_paused else inspector.unpause
        return {name: await method(name) for name in names}

    changed = inspector_session(connection, change)
    if as_json:
        print_json(
            [
                {"queue": name, "paused": is_paused, "changed": is_new}
                for name, is_new in changed.items()
            ]
        )
        return
    for name, is_new in changed.items():
        state = "paused" if is_paused else "running"
        typer.echo(plain(f"Queue {name!r} is {state}{'' if is_new else ' already'}."))


@connected
def rm(
    connection: Connection,
    names: QueuesArgument,
    *,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Delete their tasks, too, but for running ones.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete queues: empty ones, or with --force their tasks, too.

    A queue with running tasks is not deleted.
    """

    async def look(inspector: Inspector) -> dict[str, QueueStats]:
        return {name: await inspector.queue_stats(name) for name in names}

    found = inspector_session(connection, look)
    _refuse(found, force=force)
    deleted = {name: stats.size + stats.completed for name, stats in found.items()}
    if not dry_run:
        tasks = sum(deleted.values())
        with_tasks = f" with {plural(tasks, 'task')}" if tasks else ""
        confirm(f"Delete {', '.join(map(repr, found))}{with_tasks}?", yes=yes)

        async def delete(inspector: Inspector) -> dict[str, int]:
            return {name: await inspector.delete_queue(name, force=force) for name in found}

        deleted = inspector_session(connection, delete)
    if as_json:
        print_json(
            [{"queue": name, "tasks": count, "dry_run": dry_run} for name, count in deleted.items()]
        )
        return
    would = "would be" if dry_run else "is"
    for name, count in deleted.items():
        typer.echo(plain(f"Queue {name!r} {would} deleted, with {plural(count, 'task')}."))


def _refuse(found: Mapping[str, QueueStats], *, force: bool) -> None:
    """Refuse what Redis would refuse, before anything is deleted."""
    for name, stats in found.items():
        tasks = stats.size + stats.completed
        if stats.active:
            raise CliError(
                f"Queue {name!r} has {plural(stats.active, 'running task')}; nothing was deleted",
                hint="Pause it and wait until they are done.",
                code=ExitCode.FAILURE,
            )
        if tasks and not force:
            raise CliError(
                f"Queue {name!r} holds {plural(tasks, 'task')}; nothing was deleted",
                hint="--force deletes them, too.",
                code=ExitCode.FAILURE,
            )

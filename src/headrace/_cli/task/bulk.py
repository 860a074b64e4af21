"""``task archiveall``, ``deleteall`` and ``runall``: all tasks of one state."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from headrace._cli.confirm import DryRunOption, YesOption, confirm
from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError
from headrace._cli.options import GroupOption, JsonOption, QueueOption  # noqa: TC001 - typer reads them
from headrace._cli.output import print_json
from headrace._cli.progress import progress_bar
from headrace._cli.session import inspector_session
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from headrace import Inspector

__all__ = ["archive_all", "delete_all", "run_all"]


def _state_option() -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        "--state", "-s", show_default=False, help="Which of its tasks."
    )
    return option


_PAST: Final = {"archive": "archived", "delete": "deleted", "run": "made pending"}


@dataclasses.dataclass(frozen=True, slots=True)
class Bulk:
    """What was asked, and how many tasks it changed, or would change."""

    action: Literal["archive", "delete", "run"]
    queue: str
    state: str
    group: str | None
    count: int = 0
    dry_run: bool = False

    def __str__(self) -> str:
        where = f" of group {self.group!r}" if self.group is not None else ""
        return f"{plural(self.count, f'{self.state} task')} of queue {self.queue!r}{where}"


@connected
def archive_all(
    connection: Connection,
    *,
    queue: QueueOption,
    state: Annotated[Literal["pending", "scheduled", "retry", "aggregating"], _state_option()],
    group: GroupOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Archive all tasks of one state: they are kept, but not run until someone says so.

    The archive keeps the last 10,000 tasks of a queue. Uniqueness locks are freed.
    """
    wanted = Bulk("archive", queue, state, group, dry_run=dry_run)
    _change(connection, wanted, yes=yes, as_json=as_json)


@connected
def delete_all(
    connection: Connection,
    *,
    queue: QueueOption,
    state: Annotated[
        Literal["pending", "scheduled", "retry", "archived", "completed", "aggregating"],
        _state_option(),
    ],
    group: GroupOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete all tasks of one state, with their results and uniqueness locks."""
    wanted = Bulk("delete", queue, state, group, dry_run=dry_run)
    _change(connection, wanted, yes=yes, as_json=as_json)


@connected
def run_all(
    connection: Connection,
    *,
    queue: QueueOption,
    state: Annotated[Literal["scheduled", "retry", "archived", "aggregating"], _state_option()],
    group: GroupOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make all tasks of one state pending now."""
    wanted = Bulk("run", queue, state, group, dry_run=dry_run)
    _change(connection, wanted, yes=yes, as_json=as_json)


def _change(connection: Connection, wanted: Bulk, *, yes: bool, as_json: bool) -> None:
    if wanted.group is not None and wanted.state != "aggregating":
        raise CliError(f"--group is for aggregating tasks; {wanted.state} ones have no group")

    async def count(inspector: Inspector) -> int:
        return await _count(inspector, wanted)

    found = dataclasses.replace(wanted, count=inspector_session(connection, count))
    if wanted.dry_run:
        done = found
    else:
        if found.count:
            confirm(f"{found.action.capitalize()} {found}?", yes=yes)
        changed = _change_in_steps(connection, found)
        done = dataclasses.replace(found, count=changed)
    if as_json:
        print_json(done)
    else:
        would = " would be" if wanted.dry_run else ""
        typer.echo(plain(f"{done}{would} {_PAST[done.action]}."))


def _change_in_steps(connection: Connection, found: Bulk) -> int:
    async def change(inspector: Inspector) -> int:
        method = {
            "archive": inspector.archive_all,
            "delete": inspector.delete_all,
            "run": inspector.run_all,
        }[found.action]
        with progress_bar(f"{found.action.capitalize()} {found.state}", total=found.count) as show:
            return await method(
                found.queue,
                found.state,
                group=found.group,
                on_progress=lambda done: show(done, None),
            )

    return inspector_session(connection, change)


async def _count(inspector: Inspector, wanted: Bulk) -> int:
    if wanted.group is not None:
        groups = await inspector.groups(wanted.queue)
        return sum(group.size for group in groups if group.name == wanted.group)
    stats = await inspector.queue_stats(wanted.queue)
    counts = {
        "pending": stats.pending,
        "scheduled": stats.scheduled,
        "retry": stats.retry,
        "archived": stats.archived,
        "completed": stats.completed,
        "aggregating": stats.aggregating,
    }
    return counts[wanted.state]

"""``stats``: how many tasks are where, and how Redis is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from headrace._cli.complete import complete_queue
from headrace._cli.connection import Connection, connected
from headrace._cli.console import output_console
from headrace._cli.options import JsonOption  # noqa: TC001 - typer reads it
from headrace._cli.output import Column, make_table, print_json
from headrace._cli.queue.look import queue_members
from headrace._cli.session import inspector_session
from headrace._cli.text import duration_text, plain, plural, short_count, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from headrace import Inspector, QueueStats

__all__ = ["stats"]

_WIDE: Final = 120
"""Columns of a terminal from which on the headings are written out."""
# Member of QueueStats -> its heading, and that for narrow terminals.
_COUNTS: Final = {
    "size": ("SIZE", "SIZE"),
    "pending": ("PENDING", "PEND"),
    "active": ("ACTIVE", "ACTIVE"),
    "scheduled": ("SCHEDULED", "SCHED"),
    "retry": ("RETRY", "RETRY"),
    "archived": ("ARCHIVED", "ARCH"),
    "completed": ("COMPLETED", "COMPL"),
    "aggregating": ("AGGREGATING", "AGGR"),
    "processed": ("PROCESSED", "PROC"),
    "failed": ("FAILED", "FAILED"),
}


@connected
def stats(
    connection: Connection,
    *,
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME",
            show_default=False,
            autocompletion=complete_queue,
            help="Show this queue only.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how many tasks each queue holds, by state, and how Redis is.

    PROCESSED and FAILED count today's attempts (UTC). LATENCY is how long the oldest pending
    task has been waiting.
    """

    async def fetch(inspector: Inspector) -> tuple[list[QueueStats], dict[str, str]]:
        found = await inspector.stats() if queue is None else [await inspector.queue_stats(queue)]
        return found, await _redis_info(inspector)

    found, info = inspector_session(connection, fetch)
    if as_json:
        print_json({"queues": list(map(queue_members, found)), "redis": _redis_members(info)})
        return
    console = output_console()
    if found:
        console.print(_table(found, console.width))
    else:
        console.print("No queues yet: a queue comes into being with its first task.")
    if info:
        console.print(Text(f"\n{plain(_redis_text(info))}", style="dim"))


async def _redis_info(inspector: Inspector) -> dict[str, str]:
    """Return what Redis tells of itself; nothing if this user may not know."""
    from headrace import BrokerError  # noqa: PLC0415 - keeps --help quick

    try:
        return await inspector.redis_info()
    except BrokerError as error:
        if error.code != "NOPERM":
            raise
        return {}


# Member of the JSON -> the field of Redis's INFO.
_INFO: Final = {
    "version": "redis_version",
    "uptime": "uptime_in_seconds",
    "clients": "connected_clients",
    "memory": "used_memory",
    "memory_peak": "used_memory_peak",
}


def _redis_members(info: Mapping[str, str]) -> dict[str, object] | None:
    """Return what is shown of Redis; None if it tells nothing."""
    if not info:
        return None
    values = {name: info.get(field, "").strip() for name, field in _INFO.items()}
    return {name: int(value) if value.isdecimal() else value for name, value in values.items()}


def _redis_text(info: Mapping[str, str]) -> str:
    members = _redis_members(info) or {}
    numbers = {name: value for name, value in members.items() if isinstance(value, int)}
    memory = size_text(numbers.get("memory", 0))
    return (
        f"Redis {members['version']}, up for {duration_text(numbers.get('uptime', 0))}, "
        f"{plural(numbers.get('clients', 0), 'client')}, {memory} of memory (at most "
        f"{size_text(numbers.get('memory_peak', 0))})"
    )


def _table(found: Sequence[QueueStats], width: int) -> Table:
    is_narrow = width < _WIDE
    numbers = [headings[is_narrow] for headings in _COUNTS.values()]
    numbers += ["LATENCY"] if is_narrow else ["LATENCY", "MEMORY"]
    columns: list[Column | str] = [
        "QUEUE",
        *(Column(heading, is_number=True) for heading in numbers),
    ]
    rows: list[list[Text | str]] = []
    for entry in found:
        row: list[Text | str] = [
            Text.assemble(plain(entry.queue), (" (paused)" if entry.paused else "", "yellow")),
            *(_count_text(getattr(entry, name), short=is_narrow) for name in _COUNTS),
            Text(duration_text(entry.latency)),
        ]
        memory = entry.memory_usage
        rows.append(row if is_narrow else [*row, "-" if memory is None else size_text(memory)])
    if len(found) > 1:
        rows.append(_total(found, is_narrow=is_narrow))
    table = make_table(columns, rows)
    table.collapse_padding = is_narrow
    return table


def _total(found: Sequence[QueueStats], *, is_narrow: bool) -> list[Text | str]:
    sums = [sum(getattr(entry, name) for entry in found) for name in _COUNTS]
    counts = [_count_text(number, short=is_narrow) for number in sums]
    return [Text("in all", style="dim"), *counts, *([""] if is_narrow else ["", ""])]


def _count_text(count: int, *, short: bool) -> Text:
    if not count:
        return Text("0", style="dim")
    return Text(short_count(count) if short else f"{count:,}")

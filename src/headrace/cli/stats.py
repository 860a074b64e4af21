"""``stats``: how many tasks are where."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.console import output_console
from headrace.cli.failure import CliError, explained
from headrace.cli.options import JsonOption, RedisOption  # noqa: TC001 - typer reads them
from headrace.cli.text import duration_text, plain, short_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from headrace import QueueStats

__all__ = ["stats"]

DEFAULT_REDIS = "redis://localhost:6379"
_WIDE = 110
"""Columns of a terminal from which on the headings are written out."""
# Member of QueueStats -> its heading, and that for narrow terminals.
_COUNTS = {
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


@explained
def stats(
    *,
    redis: RedisOption = None,
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Show this queue only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how many tasks each queue holds, by state, and how old the oldest pending one is.

    PROCESSED and FAILED count today's attempts (UTC). LATENCY is how long the oldest pending
    task has been waiting.
    """
    found = asyncio.run(_fetch(redis or DEFAULT_REDIS))
    if queue is not None:
        known = ", ".join(entry.queue for entry in found) or "none"
        found = [entry for entry in found if entry.queue == queue]
        if not found:
            raise CliError(f"There is no queue {queue!r}", hint=f"The queues are: {known}.")
    if as_json:
        typer.echo(json.dumps([_members(entry) for entry in found]))
        return
    console = output_console()
    if found:
        console.print(_table(found, console.width))
    else:
        console.print("No queues yet: a queue comes into being with its first task.")


async def _fetch(redis: str) -> list[QueueStats]:
    from headrace import Inspector  # noqa: PLC0415 - keeps --help quick

    async with Inspector(redis) as inspector:
        return await inspector.stats()


def _members(entry: QueueStats) -> dict[str, object]:
    return {**dataclasses.asdict(entry), "size": entry.size}


def _table(found: Sequence[QueueStats], width: int) -> Table:
    from rich.table import Table  # noqa: PLC0415 - keeps --help quick

    narrow = width < _WIDE
    table = Table(header_style="bold", box=None, pad_edge=False, collapse_padding=narrow)
    table.add_column("QUEUE", overflow="fold")
    for headings in _COUNTS.values():
        table.add_column(headings[narrow], justify="right", no_wrap=True)
    table.add_column("LATENCY", justify="right", no_wrap=True)
    for entry in found:
        counts = [getattr(entry, name) for name in _COUNTS]
        table.add_row(
            Text.assemble(plain(entry.queue), (" (paused)" if entry.paused else "", "yellow")),
            *(_count_text(count, short=narrow) for count in counts),
            duration_text(entry.latency),
        )
    return table


def _count_text(count: int, *, short: bool) -> Text:
    if not count:
        return Text("0", style="dim")
    return Text(short_count(count) if short else f"{count:,}")

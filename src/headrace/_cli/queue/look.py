"""``queue ls``, ``queue inspect`` and ``queue history``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace._cli.connection import Connection, connected
from headrace._cli.options import JsonOption, QueuesArgument  # noqa: TC001 - typer reads them
from headrace._cli.output import Column, json_value, print_facts, print_json, print_table
from headrace._cli.queue.limit import limits_text
from headrace._cli.session import inspector_session
from headrace._cli.text import duration_text, plural, size_text

if TYPE_CHECKING:
    from headrace import DailyStats, Inspector, QueueLimits, QueueStats

__all__ = ["history", "inspect", "ls", "queue_members"]


def queue_members(stats: QueueStats) -> dict[str, object]:
    """Return *stats* as a program gets it: with its size."""
    members = json_value(stats)
    assert isinstance(members, dict)  # noqa: S101 - for the type checker
    return {**members, "size": stats.size}


def _state_text(stats: QueueStats) -> Text:
    return Text("paused", style="yellow") if stats.paused else Text("running")


def _memory_text(stats: QueueStats) -> str:
    return "-" if stats.memory_usage is None else size_text(stats.memory_usage)


@connected
def ls(connection: Connection, *, as_json: JsonOption = False) -> None:
    """List the queues: their tasks, memory, and whether they are paused.

    MEMORY is an estimate. LATENCY is how long the oldest pending task has been waiting.
    """

    async def fetch(inspector: Inspector) -> list[QueueStats]:
        return await inspector.stats()

    found = inspector_session(connection, fetch)
    if as_json:
        print_json([queue_members(stats) for stats in found])
        return
    numbers = [Column(name, is_number=True) for name in ("SIZE", "GROUPS", "MEMORY", "LATENCY")]
    rows = [
        (
            *(stats.queue, f"{stats.size:,}", f"{stats.groups:,}", _memory_text(stats)),
            *(duration_text(stats.latency), _state_text(stats)),
        )
        for stats in found
    ]
    empty = "No queues yet: a queue comes into being with its first task."
    print_table(["QUEUE", *numbers, "STATE"], rows, empty=empty)


@connected
def inspect(connection: Connection, names: QueuesArgument, *, as_json: JsonOption = False) -> None:
    """Show all about queues: their tasks by state, today's and all attempts, memory, limits."""

    async def fetch(inspector: Inspector) -> list[tuple[QueueStats, QueueLimits | None]]:
        stats = [await inspector.queue_stats(name) for name in names]
        limits = await asyncio.gather(*map(inspector.limits, names))
        return list(zip(stats, limits, strict=True))

    found = inspector_session(connection, fetch)
    if as_json:
        print_json([{**queue_members(stats), "limits": limits} for stats, limits in found])
        return
    for number, (stats, limits) in enumerate(found):
        if number:
            typer.echo()
        print_facts(_facts(stats, limits))


def _facts(stats: QueueStats, limits: QueueLimits | None) -> dict[str, Text | str]:
    counts = {
        "Size": stats.size,
        "Pending": stats.pending,
        "Active": stats.active,
        "Scheduled": stats.scheduled,
        "Retry": stats.retry,
        "Archived": stats.archived,
        "Completed": stats.completed,
    }
    groups = f"{stats.aggregating:,} in {plural(stats.groups, 'group')}" if stats.groups else "0"
    return {
        "Queue": stats.queue,
        "State": _state_text(stats),
        "Limits": limits_text(limits),
        **{name: f"{count:,}" for name, count in counts.items()},
        "Aggregating": groups,
        "Today (UTC)": f"{stats.processed:,} processed, {stats.failed:,} of them failed",
        "In all": f"{stats.processed_total:,} processed, {stats.failed_total:,} of them failed",
        "Latency": duration_text(stats.latency),
        "Memory": _memory_text(stats),
    }


@connected
def history(
    connection: Connection,
    names: QueuesArgument,
    *,
    days: Annotated[
        int, typer.Option("--days", "-d", min=1, max=366, help="How many, today included.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show how many attempts ended on each of the last days (UTC), and how many failed.

    Counts are kept for 90 days.
    """

    async def fetch(inspector: Inspector) -> list[DailyStats]:
        return [day for name in names for day in await inspector.history(name, days)]

    found = inspector_session(connection, fetch)
    if as_json:
        print_json(found)
        return
    numbers = [Column(name, is_number=True) for name in ("PROCESSED", "FAILED", "ERROR RATE")]
    rows = [
        (
            *(day.queue, day.date.isoformat(), f"{day.processed:,}", f"{day.failed:,}"),
            f"{day.failed / day.processed:.2%}" if day.processed else "-",
        )
        for day in found
    ]
    print_table(["QUEUE", Column("DATE", is_whole=True), *numbers], rows, empty="")

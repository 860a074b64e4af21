"""What the views show, read from Redis. Knows nothing of the screen."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import time
from typing import TYPE_CHECKING, Final

from headrace import QueueNotFoundError, TaskState
from headrace._cli.dash.throughput import Throughput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import (
        DailyStats,
        GroupInfo,
        Inspector,
        QueueLimits,
        QueueStats,
        RunningTask,
        SchedulerEnqueueEvent,
        SchedulerEntry,
        ServerStatus,
        TaskInfo,
    )

__all__ = [
    "SEARCHED",
    "EntryReading",
    "Listing",
    "Overview",
    "QueueReading",
    "Running",
    "Source",
    "entry_queue",
]

HISTORY_DAYS: Final = 10
SEARCHED: Final = 500
"""How many tasks of a state a filter looks through."""
EVENTS: Final = 100
_AT_ONCE: Final = 8
"""How many queues are counted at the same time."""
_QUEUE_OPTION: Final = re.compile(r'Queue\(("(?:[^"\\]|\\.)*")\)')


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """All queues."""

    queues: Sequence[QueueStats]
    throughput: Throughput


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """Which tasks of a queue are wanted: a page of one state.

    Attributes:
        state: Their state.
        group: Their group; None lists the groups where the state is aggregating.
        page: Which page; the first is 1.
        size: How many tasks a page has.
        filter: Text that their ID, type, error or payload holds; "" wants all.
    """

    state: TaskState
    group: str | None = None
    page: int = 1
    size: int = 20
    filter: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class QueueReading:
    """A queue, and what was asked of it."""

    stats: QueueStats
    listing: Listing | None
    """What *tasks* answers; None: the queue's own facts were asked for."""
    tasks: Sequence[TaskInfo] = ()
    found: int | None = None
    """How many tasks the filter let through; None: there was none."""
    groups: Sequence[GroupInfo] = ()
    history: Sequence[DailyStats] = ()
    """Today first."""
    limits: QueueLimits | None = None
    rates: Sequence[float] = ()
    """Tasks per second, the latest last."""


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A task that runs, and on which server."""

    task: RunningTask
    server: ServerStatus


@dataclasses.dataclass(frozen=True, slots=True)
class EntryReading:
    """An entry of a scheduler, and the last that it enqueued, the latest first."""

    entry: SchedulerEntry | None
    """None if no living scheduler has it any more."""
    events: Sequence[SchedulerEnqueueEvent]


class Source:
    """Reads for the views. Each of its methods may raise what the inspector raises."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector: Inspector = inspector
        self._throughput = Throughput()
        self._skew = 0.0

    def now(self) -> float:
        """Return Redis's Unix time, as far as it was told."""
        return time.time() + self._skew

    async def overview(self) -> Overview:
        """Count all queues."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def count(name: str) -> QueueStats | None:
            async with turns:
                # It may have been deleted since its name was read.
                with contextlib.suppress(QueueNotFoundError):
                    return await self._stats(name)
                return None

        names = await self.inspector.queues()
        # Not a task group: it would wrap the error, and there may be many of the same.
        results = await asyncio.gather(*map(count, names), return_exceptions=True)
        found: list[QueueStats] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            if result is not None:
                found.append(result)
        self._throughput.add(found)
        return Overview(found, self._throughput)

    async def queue(self, name: str, listing: Listing | None) -> QueueReading:
        """Count a queue, and read what *listing* wants of it; None: history, limits, groups."""
        stats = await self._stats(name)
        if listing is None:
            return QueueReading(
                stats,
                None,
                groups=await self.inspector.groups(name),
                history=await self.inspector.history(name, HISTORY_DAYS),
                limits=await self.inspector.limits(name),
                rates=self._throughput.of(name),
            )
        if listing.state is TaskState.AGGREGATING and listing.group is None:
            groups = await self.inspector.groups(name)
            wanted = [group for group in groups if listing.filter in group.name]
            return QueueReading(stats, listing, groups=wanted)
        groups = await self.inspector.groups(name) if listing.group is not None else []
        page, size = (1, SEARCHED) if listing.filter else (listing.page, listing.size)
        tasks = await self.inspector.list_tasks(
            name, listing.state, group=listing.group, page=page, size=size
        )
        if not listing.filter:
            return QueueReading(stats, listing, tasks=tasks, groups=groups)
        found = [info for info in tasks if _matches(info, listing.filter)]
        shown = found[(listing.page - 1) * listing.size : listing.page * listing.size]
        return QueueReading(stats, listing, tasks=shown, groups=groups, found=len(found))

    async def task(self, queue: str, task_id: str) -> TaskInfo:
        """Report on a task."""
        return await self.inspector.get_task(queue, task_id)

    async def servers(self) -> Sequence[ServerStatus]:
        """Return the servers that live."""
        return await self.inspector.servers()

    async def running(self) -> Sequence[Running]:
        """Return the tasks that run, on whichever server, the oldest first."""
        found = [
            Running(task, server)
            for server in await self.inspector.servers()
            for task in server.workers
        ]
        return sorted(found, key=lambda one: (one.task.started_at, one.task.task_id))

    async def entries(self) -> Sequence[SchedulerEntry]:
        """Return the entries of all schedulers."""
        return await self.inspector.scheduler_entries()

    async def entry(self, entry_id: str) -> EntryReading:
        """Return an entry, with what it enqueued."""
        entries = {entry.id: entry for entry in await self.inspector.scheduler_entries()}
        events = await self.inspector.enqueue_events(entry_id, size=EVENTS)
        return EntryReading(entries.get(entry_id), events)

    async def _stats(self, name: str) -> QueueStats:
        stats = await self.inspector.queue_stats(name)
        self._skew = stats.timestamp - time.time()
        return stats


def _matches(info: TaskInfo, wanted: str) -> bool:
    places = (info.id, info.type, info.last_error, info.payload.decode("utf-8", "replace"))
    return any(wanted.lower() in place.lower() for place in places)


def entry_queue(entry: SchedulerEntry | None) -> str:
    """Return the queue that an entry enqueues to."""
    for option in entry.enqueue_options if entry is not None else ():
        match = _QUEUE_OPTION.fullmatch(option)
        if match is not None:
            with contextlib.suppress(ValueError):  # Go's notation, which is nearly JSON's.
                return str(json.loads(match[1]))
    return "default"

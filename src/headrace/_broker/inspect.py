"""What queues look like, and what came of them. Writes nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Final

from headrace._broker.commands import Call, checked
from headrace._broker.keys import QUEUES
from headrace._broker.listing import text
from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.link import Link

__all__ = ["DailyStats", "GroupInfo", "Inspection", "QueueStats"]

# asynq looks at as many, and calls the result approximate.
_SAMPLED_TASKS: Final = 20
_SAMPLED_GROUPS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """What a queue holds, and what came of it today (UTC) and in all."""

    queue: str
    paused: bool
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    groups: int
    """How many groups hold the aggregating tasks."""
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    latency: float
    """Seconds that the oldest pending task has been waiting; 0 if none waits."""
    memory_usage: int | None = None
    """About how many bytes of Redis's memory it takes; None where Redis cannot tell."""
    timestamp: float = 0.0
    """When this was counted: Redis's Unix time."""

    @property
    def size(self) -> int:
        """How many tasks the queue holds, in all states but completed."""
        return (
            self.pending
            + self.active
            + self.scheduled
            + self.retry
            + self.archived
            + self.aggregating
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DailyStats:
    """What came of a queue on one day (UTC)."""

    queue: str
    date: dt.date
    processed: int
    """How many attempts ended, failures among them."""
    failed: int


@dataclasses.dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group of tasks that wait to be aggregated."""

    name: str
    size: int


class Inspection:
    """Reads queues."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def queue_names(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return sorted(map(text, await self._link.commands.one(("SMEMBERS", QUEUES))))

    async def has_queue(self, queue: str) -> bool:
        """Whether there is such a queue."""
        return bool(await self._link.commands.one(("SISMEMBER", QUEUES, queue)))

    async def group_sizes(self, queue: str) -> list[GroupInfo]:
        """Return the groups that hold tasks, sorted by name."""
        keys = self._link.keys(queue)
        names = sorted(map(text, await self._link.commands.one(("SMEMBERS", keys.groups))))
        if not names:
            return []
        sizes = await self._link.commands.run(*(("ZCARD", keys.group(name)) for name in names))
        return [
            GroupInfo(name, _number(checked(size))) for name, size in zip(names, sizes, strict=True)
        ]

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return what came of the queue on each of the last *days* days, today first."""
        keys = self._link.keys(queue)
        today = _day(float((await self._link.commands.one(("TIME",)))[0]))
        dates = [today - dt.timedelta(days=n) for n in range(days)]
        replies = await self._link.commands.run(
            *(("GET", keys.processed_on(date)) for date in dates),
            *(("GET", keys.failed_on(date)) for date in dates),
        )
        counts = [_number(checked(reply)) for reply in replies]
        return [
            DailyStats(queue=queue, date=date, processed=processed, failed=failed)
            for date, processed, failed in zip(dates, counts[:days], counts[days:], strict=True)
        ]

    async def queue_stats(self, queue: str) -> QueueStats:
        """Count what a queue holds."""
        keys, prefix = self._link.keys(queue), self._link.keys(queue).task_prefix
        first = await self._link.commands.run(
            ("TIME",), ("LINDEX", keys.pending, -1), ("SMEMBERS", keys.groups)
        )
        time, oldest, group_names = (checked(reply) for reply in first)
        now = float(time[0]) + float(time[1]) / 1e6
        groups = sorted(map(text, group_names))
        counters = (keys.processed_on(_day(now)), keys.failed_on(_day(now)))
        replies = await self._link.commands.run(
            ("HGET", prefix + text(oldest or b""), "pending_since"),
            ("EXISTS", keys.paused),
            ("LLEN", keys.pending),
            ("LLEN", keys.active),
            *(("ZCARD", key) for key in (keys.scheduled, keys.retry, keys.archived)),
            ("ZCARD", keys.completed),
            *(("GET", key) for key in (*counters, keys.processed, keys.failed)),
            *(("ZCARD", keys.group(group)) for group in groups),
        )
        since, paused, *counts = (_number(checked(reply)) for reply in replies)
        return QueueStats(
            queue=queue,
            paused=bool(paused),
            pending=counts[0],
            active=counts[1],
            scheduled=counts[2],
            retry=counts[3],
            archived=counts[4],
            completed=counts[5],
            processed=counts[6],
            failed=counts[7],
            processed_total=counts[8],
            failed_total=counts[9],
            aggregating=sum(counts[10:]),
            groups=len(groups),
            latency=max(0.0, now - since / 1e9) if since else 0.0,
            memory_usage=await self._memory_usage(queue, groups),
            timestamp=now,
        )

    async def _memory_usage(self, queue: str, groups: Sequence[str]) -> int | None:
        """Estimate the queue's memory in bytes from some of its tasks and groups."""
        keys, sampled = self._link.keys(queue), groups[:_SAMPLED_GROUPS]
        containers = (
            *(keys.pending, keys.active, keys.scheduled, keys.retry),
            *(keys.archived, keys.completed),
        )
        args = (keys.task_prefix, _SAMPLED_TASKS)
        replies = await self._link.commands.run(
            *(Call("memory_usage", (key,), args) for key in containers),
            *(Call("memory_usage", (keys.group(name),), args) for name in sampled),
        )
        if any(isinstance(reply, BrokerError) for reply in replies):
            return None  # The embedded Redis cannot tell; an ACL may forbid to.
        sizes = [int(reply) for reply in replies]
        total, in_groups = sum(sizes[: len(containers)]), sum(sizes[len(containers) :])
        return total + (in_groups * len(groups) // len(sampled) if sampled else 0)


def _day(unix: float) -> dt.date:
    return dt.datetime.fromtimestamp(unix, dt.UTC).date()


def _number(reply: Reply) -> int:
    """Return a count; 0 where another program wrote something that is none."""
    try:
        return int(reply or 0)
    except ValueError:
        return 0

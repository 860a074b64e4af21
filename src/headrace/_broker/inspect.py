"""The read side: what a queue and a task look like. Writes nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from headrace._broker.commands import checked
from headrace._broker.keys import QUEUES
from headrace._errors import MessageDecodeError
from headrace._message import decode_message, task_info
from headrace._task import TaskState

if TYPE_CHECKING:
    from headrace._broker.commands import Reply
    from headrace._broker.link import Link
    from headrace._task import TaskInfo

__all__ = ["Inspection", "QueueStats"]


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


class Inspection:
    """Reads queues and tasks."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get_task(self, queue: str, task_id: str) -> TaskInfo | None:
        """Report on a task; None if the queue does not hold it.

        Raises:
            MessageDecodeError: If what Redis holds of it cannot be read.
        """
        keys = self._link.keys(queue)
        fields, lease, *scores = (
            checked(reply)
            for reply in await self._link.commands.run(
                ("HMGET", keys.task(task_id), "msg", "state", "result", "group"),
                ("ZSCORE", keys.lease, task_id),
                ("ZSCORE", keys.scheduled, task_id),
                ("ZSCORE", keys.retry, task_id),
                ("TIME",),
            )
        )
        data, state, result, _ = fields
        if data is None:
            return None
        message = decode_message(data)
        now = float(scores.pop()[0])
        return task_info(
            message,
            _state(state),
            next_process_at=next((float(score) for score in scores if score is not None), None),
            is_orphaned=lease is None or float(lease) < now,
            result=result,
        )

    async def queue_names(self) -> list[str]:
        """Return the names of all queues, sorted."""
        names = await self._link.commands.one(("SMEMBERS", QUEUES))
        return sorted(bytes(name).decode("utf-8", "surrogateescape") for name in names)

    async def queue_stats(self, queue: str) -> QueueStats:
        """Count what a queue holds."""
        keys, prefix = self._link.keys(queue), self._link.keys(queue).task_prefix
        first = await self._link.commands.run(
            ("TIME",), ("LINDEX", keys.pending, -1), ("SMEMBERS", keys.groups)
        )
        time, oldest, group_names = (checked(reply) for reply in first)
        now = float(time[0]) + float(time[1]) / 1e6
        day = dt.datetime.fromtimestamp(now, dt.UTC).date()
        groups = [bytes(name).decode("utf-8", "surrogateescape") for name in group_names]
        replies = await self._link.commands.run(
            ("HGET", prefix + (oldest or b"").decode("utf-8", "surrogateescape"), "pending_since"),
            ("EXISTS", keys.paused),
            ("LLEN", keys.pending),
            ("LLEN", keys.active),
            *(("ZCARD", key) for key in (keys.scheduled, keys.retry, keys.archived)),
            ("ZCARD", keys.completed),
            *(
                ("GET", key)
                for key in (
                    keys.processed_on(day),
                    keys.failed_on(day),
                    keys.processed,
                    keys.failed,
                )
            ),
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
        )


def _state(name: bytes | None) -> TaskState:
    try:
        return TaskState.from_name((name or b"pending").decode())
    except ValueError as error:
        raise MessageDecodeError(f"the task has the unknown state {name!r}") from error


def _number(reply: Reply) -> int:
    """Return a count; 0 where another program wrote something that is none."""
    try:
        return int(reply or 0)
    except ValueError:
        return 0

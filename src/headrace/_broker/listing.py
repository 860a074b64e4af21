"""What single tasks look like, and those of one container. Writes nothing."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Final

from headrace._broker.commands import checked
from headrace._broker.link import batches
from headrace._errors import MessageDecodeError
from headrace._message import decode_message, task_info
from headrace._task import TaskProgress, TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.keys import QueueKeys
    from headrace._broker.link import Link
    from headrace._task import TaskInfo

__all__ = ["Listing", "container_of", "text"]

_FIELDS: Final = ("msg", "state", "result", "hr:progress")
_LISTS: Final = frozenset({TaskState.PENDING, TaskState.ACTIVE})
_TIMED: Final = frozenset({TaskState.SCHEDULED, TaskState.RETRY})


def text(name: Reply) -> str:
    """Return a name from Redis, where it may be any bytes."""
    return bytes(name).decode("utf-8", "surrogateescape")


def container_of(keys: QueueKeys, state: TaskState, group: str | None = None) -> str:
    """Return the key of what holds the tasks of a state; *group* is that of aggregating ones."""
    if state is TaskState.AGGREGATING:
        return keys.group(group or "")
    return f"{keys.prefix}{state}"


class Listing:
    """Reads tasks."""

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
                ("HMGET", keys.task(task_id), *_FIELDS),
                ("ZSCORE", keys.lease, task_id),
                ("ZSCORE", keys.scheduled, task_id),
                ("ZSCORE", keys.retry, task_id),
                ("TIME",),
            )
        )
        data, state, result, progress = fields
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
            progress=_progress(progress),
        )

    async def list_tasks(
        self, queue: str, state: TaskState, *, group: str | None, offset: int, count: int
    ) -> tuple[list[TaskInfo], list[str]]:
        """Report on the tasks of one container, in its order.

        Args:
            queue: Its queue.
            state: The state of the tasks.
            group: Their group, if they are aggregating.
            offset: How many to leave out at first.
            count: How many to look at.

        Returns:
            The reports, and the IDs that were looked at: there are more of these if some of the
            tasks cannot be read, or have left the container meanwhile.
        """
        entries = await self._entries(queue, state, group, offset, count)
        reports: list[TaskInfo] = []
        for some in batches(entries):
            reports += await self._reports(queue, state, some)
        return reports, [task_id for task_id, _ in entries]

    async def count_in_state(self, queue: str, ids: Sequence[str], state: TaskState) -> int:
        """Return how many of those tasks, a hundred at the most, are in *state*."""
        keys = self._link.keys(queue)
        if not ids:
            return 0
        replies = await self._link.commands.run(
            *(("HGET", keys.task(task_id), "state") for task_id in ids)
        )
        return sum(checked(reply) == str(state).encode() for reply in replies)

    async def _entries(
        self, queue: str, state: TaskState, group: str | None, offset: int, count: int
    ) -> list[tuple[str, float | None]]:
        """Return IDs, those of sorted sets with their scores."""
        key = container_of(self._link.keys(queue), state, group)
        if state in _LISTS:
            # Tasks are pushed on the left: the last one has been there for the longest.
            ids = await self._link.commands.one(("LRANGE", key, -offset - count, -offset - 1))
            return [(text(task_id), None) for task_id in reversed(ids)]
        command = ("ZRANGE", key, offset, offset + count - 1, "WITHSCORES")
        flat = await self._link.commands.one(command)
        return [(text(flat[n]), float(flat[n + 1])) for n in range(0, len(flat), 2)]

    async def _reports(
        self, queue: str, state: TaskState, entries: Sequence[tuple[str, float | None]]
    ) -> list[TaskInfo]:
        """Report on up to a hundred tasks."""
        keys = self._link.keys(queue)
        time, leases, *tasks = (
            checked(reply)
            for reply in await self._link.commands.run(
                ("TIME",),
                ("ZMSCORE", keys.lease, *(task_id for task_id, _ in entries)),
                *(("HMGET", keys.task(name), *_FIELDS) for name, _ in entries),
            )
        )
        reports = []
        for (task_id, score), lease, (data, found, result, progress) in zip(
            entries, leases, tasks, strict=True
        ):
            if data is None or found != str(state).encode():
                continue  # It went elsewhere after the container was read.
            try:
                report = task_info(
                    decode_message(data),
                    state,
                    next_process_at=score if state in _TIMED else None,
                    is_orphaned=lease is None or float(lease) < float(time[0]),
                    result=result,
                    progress=_progress(progress),
                )
            except MessageDecodeError as error:
                self._report_damage(queue, task_id, error)
                continue
            # What holds it says which task it is, whatever a foreign message says.
            reports.append(dataclasses.replace(report, id=task_id, queue=queue))
        return reports

    def _report_damage(self, queue: str, task_id: str, error: MessageDecodeError) -> None:
        self._link.log.fault(
            ("damaged", queue),
            "Task %r in queue %r is left out of a listing, for it cannot be read",
            task_id,
            queue,
            exc=None,
            extra={"queue": queue, "task_id": task_id, "error": str(error)},
        )


def _state(name: bytes | None) -> TaskState:
    try:
        return TaskState.from_name((name or b"pending").decode())
    except ValueError as error:
        raise MessageDecodeError(f"the task has the unknown state {name!r}") from error


def _progress(data: bytes | None) -> TaskProgress | None:
    """Return what a handler reported. What cannot be read is no report."""
    try:
        report = json.loads(data or b"")
        return TaskProgress(float(report["fraction"]), str(report["note"]))
    except (ValueError, TypeError, KeyError):
        return None

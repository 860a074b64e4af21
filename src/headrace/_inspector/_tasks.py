"""What the inspector does with single tasks, and how it lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.values import MAX_ITEMS
from headrace._errors import InvalidOptionError, TaskNotFoundError
from headrace._inspector._base import Part, name_of, state_of
from headrace._task import TaskState
from headrace._validation import whole_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from headrace._broker.admin import Action
    from headrace._task import JsonValue, TaskInfo

__all__ = ["Tasks"]

MAX_OFFSET = 2**53  # Lua's numbers, and Redis's, are exact so far.


class Tasks(Part):
    """Looks at tasks and changes them one by one."""

    async def get_task(self, queue: str, task_id: str) -> TaskInfo:
        """Report on a task.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue does not hold it.
            MessageDecodeError: If what Redis holds of it cannot be read.
        """
        name_of("queue", queue)
        info = await self._broker.get_task(queue, name_of("task_id", task_id))
        if info is None:
            raise TaskNotFoundError(await self._known(queue), task_id)
        return info

    async def list_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        page: int = 1,
        size: int = 30,
    ) -> list[TaskInfo]:
        """Report on one page of the tasks of one state.

        The order is asynq's. Pending: the next to run comes first; active: the one that runs for
        the longest; scheduled and retry: the next to be due; archived: the one that died first;
        completed: the one that is deleted first; aggregating: the one that waits for the longest.
        A task that cannot be read is left out, and logged.

        Args:
            queue: Its name.
            state: Their state, or its name.
            group: Their group; needed if they are aggregating.
            page: Which page; the first is 1.
            size: How many tasks a page has.

        Raises:
            QueueNotFoundError: If there is no such queue.
            InvalidOptionError: If the state, the group or the page cannot be used.
        """
        wanted = state_of(state, group)
        if wanted is TaskState.AGGREGATING and group is None:
            raise InvalidOptionError("group", group, "aggregating tasks are listed by their group")
        whole_number("size", size, at_least=1, at_most=MAX_OFFSET)
        whole_number("page", page, at_least=1, at_most=MAX_OFFSET // size)
        tasks, _ = await self._broker.list_tasks(
            await self._known(queue), wanted, group=group, offset=(page - 1) * size, count=size
        )
        return tasks

    async def iter_tasks(
        self, queue: str, state: TaskState | str, *, group: str | None = None
    ) -> AsyncIterator[TaskInfo]:
        """Report on all tasks of one state, in the order of `list_tasks`, a hundred at a time.

        The loop may change the tasks that it gets. While others change the container, it may
        miss tasks, or meet them twice.

        Args:
            queue: Its name.
            state: Their state, or its name.
            group: Their group; None: aggregating tasks of all groups.

        Raises:
            QueueNotFoundError: If there is no such queue.
            InvalidOptionError: If the state or the group cannot be used.
        """
        wanted = state_of(state, group)
        await self._known(queue)
        groups: list[str | None] = [group]
        if wanted is TaskState.AGGREGATING and group is None:
            groups = [found.name for found in await self._broker.group_sizes(queue)]
        for name in groups:
            async for info in self._iterate(queue, wanted, name):
                yield info

    async def _iterate(
        self, queue: str, state: TaskState, group: str | None
    ) -> AsyncIterator[TaskInfo]:
        offset, ids = 0, [""]
        while ids:
            tasks, ids = await self._broker.list_tasks(
                queue, state, group=group, offset=offset, count=MAX_ITEMS
            )
            for info in tasks:
                yield info
            # Those that the loop moved elsewhere make the others move up.
            readable = [info.id for info in tasks]
            still_there = await self._broker.count_in_state(queue, readable, state)
            offset += len(ids) - len(readable) + still_there

    async def delete_task(self, queue: str, task_id: str) -> None:
        """Delete a task, its result, and its uniqueness lock.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If it is active, or being aggregated.
        """
        await self._change("delete", queue, task_id)

    async def run_task(self, queue: str, task_id: str) -> None:
        """Make a task pending now that is scheduled, in retry, archived, completed, or in a group.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If it is pending or active, or being aggregated.
        """
        await self._change("run", queue, task_id)

    async def archive_task(self, queue: str, task_id: str) -> None:
        """Archive a task that is pending, scheduled, in retry, or in a group. Frees its lock.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If it is active, archived or completed, or being aggregated.
        """
        await self._change("archive", queue, task_id)

    async def _change(self, action: Action, queue: str, task_id: str) -> None:
        name_of("queue", queue)
        try:
            await self._broker.change_task(action, queue, name_of("task_id", task_id))
        except TaskNotFoundError:
            await self._known(queue)
            raise

    async def update_payload(
        self, queue: str, task_id: str, payload: bytes | JsonValue | Mapping[str, object]
    ) -> None:
        """Give a scheduled task another payload. All else stays as it is.

        The uniqueness lock of the task, which stands for its payload, goes over to the new one.

        Args:
            queue: Its queue.
            task_id: Its ID.
            payload: Bytes travel as they are, anything else as JSON; None is an absent payload.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If it is not scheduled.
            DuplicateTaskError: If the task is unique, and another one with that payload is, too.
                Nothing was written.
            InvalidOptionError: If JSON cannot carry the payload.
        """
        name_of("queue", queue)
        try:
            await self._broker.update_payload(queue, name_of("task_id", task_id), payload)
        except TaskNotFoundError:
            await self._known(queue)
            raise

    async def cancel(self, queue: str, task_id: str) -> bool:
        """Ask the worker that runs a task to cancel it: the handler is cancelled, and retried.

        Returns:
            Whether the task is running.
        """
        name_of("queue", queue)
        return await self._broker.request_cancel(queue, name_of("task_id", task_id))

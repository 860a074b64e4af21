"""What a person does to queues and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.base import MAX_ITEMS
from headrace._broker.commands import Call, checked
from headrace._broker.keys import QUEUES
from headrace._errors import QueueNotEmptyError, QueueNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.link import Link

__all__ = ["Admin"]


class Admin:
    """The inspector's writes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def delete_queue(self, queue: str, *, force: bool = False) -> int:
        """Delete a queue with all that belongs to it, uniqueness locks included.

        Args:
            queue: Its name.
            force: Delete its tasks, too. Running ones are never deleted.

        Returns:
            How many tasks were deleted with it.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueueNotEmptyError: If it holds tasks that must not be deleted. Without *force*,
                nothing was deleted.
            BrokerError: If Redis did not answer.
        """
        if not await self._link.commands.one(("SISMEMBER", QUEUES, queue)):
            raise QueueNotFoundError(queue)
        deleted = 0
        if force:
            for container, state in await self._containers(queue):
                deleted += await self._delete_all(queue, container, state)
        keys = self._link.keys(queue)
        containers = (
            *(keys.scheduled, keys.retry, keys.archived, keys.completed),
            *(keys.groups, keys.aggregation_sets),
        )
        rest = (keys.lease, keys.paused, keys.processed, keys.failed)
        size = await self._link.commands.one(
            Call(
                "delete_queue",
                (keys.pending, keys.active, *containers, *rest),
                (len(containers),),
            )
        )
        if size:
            raise QueueNotEmptyError(queue, size)
        await self._link.commands.one(("SREM", QUEUES, queue))
        return deleted

    async def _containers(self, queue: str) -> list[tuple[str, str]]:
        """Return the keys of all that holds tasks, but running ones, with their state."""
        keys = self._link.keys(queue)
        groups, sets = (
            _texts(checked(reply))
            for reply in await self._link.commands.run(
                ("SMEMBERS", keys.groups), ("ZRANGE", keys.aggregation_sets, 0, -1)
            )
        )
        return [
            (keys.pending, "pending"),
            (keys.scheduled, "scheduled"),
            (keys.retry, "retry"),
            (keys.archived, "archived"),
            (keys.completed, "completed"),
            *((keys.group(group), "aggregating") for group in groups),
            *((key, "aggregating") for key in sets),
        ]

    async def _delete_all(self, queue: str, container: str, state: str) -> int:
        """Delete the tasks of one container, in bounded steps."""
        keys, deleted, left = self._link.keys(queue), 0, 1
        while left:
            call = Call("delete_tasks", (container,), (MAX_ITEMS, keys.task_prefix, state))
            taken, left = await self._link.commands.one(call)
            deleted += taken
        if state == "aggregating":
            name = container.removeprefix(keys.group_prefix)
            await self._link.commands.run(
                ("SREM", keys.groups, name), ("ZREM", keys.aggregation_sets, container)
            )
        return deleted


def _texts(names: Reply) -> Sequence[str]:
    return [bytes(name).decode("utf-8", "surrogateescape") for name in names]

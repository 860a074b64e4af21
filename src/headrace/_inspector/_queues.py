"""What the inspector does with queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._inspector._base import Part, name_of
from headrace._limits import check_limits
from headrace._validation import check_queue, whole_number

if TYPE_CHECKING:
    from headrace._broker.inspect import DailyStats, GroupInfo, QueueStats
    from headrace._limits import QueueLimits

__all__ = ["Queues"]

MAX_DAYS = 366


class Queues(Part):
    """Looks at queues and changes them."""

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted. Bytes that are not UTF-8 become surrogates."""
        return await self._broker.queue_names()

    async def queue_stats(self, queue: str) -> QueueStats:
        """Count what *queue* holds.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        return await self._broker.queue_stats(await self._known(queue))

    async def stats(self) -> list[QueueStats]:
        """Count what each queue holds, sorted by name."""
        return [await self._broker.queue_stats(name) for name in await self.queues()]

    async def history(self, queue: str, days: int = 10) -> list[DailyStats]:
        """Return what came of *queue* on each of the last days (UTC), today first.

        Args:
            queue: Its name.
            days: How many days, today included. Counts are kept for 90 days.

        Raises:
            QueueNotFoundError: If there is no such queue.
            InvalidOptionError: If *days* is not between 1 and 366.
        """
        whole_number("days", days, at_least=1, at_most=MAX_DAYS)
        return await self._broker.history(await self._known(queue), days)

    async def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* that hold tasks, sorted by name.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        return await self._broker.group_sizes(await self._known(queue))

    async def pause(self, queue: str) -> bool:
        """Have no worker take tasks from *queue*. What runs goes on; enqueueing goes on, too.

        Returns:
            False if it was paused already.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        return await self._broker.pause(await self._known(queue))

    async def unpause(self, queue: str) -> bool:
        """Have workers take tasks from *queue* again.

        Returns:
            False if it was not paused.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        return await self._broker.unpause(await self._known(queue))

    async def delete_queue(self, queue: str, *, force: bool = False) -> int:
        """Delete a queue with all that belongs to it, uniqueness locks included.

        Args:
            queue: Its name.
            force: Delete its tasks, too. Running ones are never deleted.

        Returns:
            How many tasks were deleted with it.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueueNotEmptyError: If it holds tasks that must not be deleted: nothing was. With
                *force*, tasks that began meanwhile stay, and the others are gone.
        """
        return await self._broker.delete_queue(name_of("queue", queue), force=force)

    async def limits(self, queue: str) -> QueueLimits | None:
        """Return what workers may take from *queue* at the most; None: it is not limited."""
        return await self._broker.limits(check_queue("queue", queue))

    async def set_limits(self, queue: str, limits: QueueLimits | None) -> None:
        """Limit what Headrace's workers take from *queue*, in place of earlier limits.

        Workers notice within their *task_check_interval*. What runs already goes on.

        Args:
            queue: Its name. Nothing need have been enqueued there yet.
            limits: None, or limits that limit nothing, lift those that there are.
        """
        if limits is not None:
            check_limits("limits", limits)
        await self._broker.set_limits(check_queue("queue", queue), limits)

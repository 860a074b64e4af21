"""Looks at queues and tasks, and changes them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace._broker.redis import RedisBroker
from headrace._errors import QueueNotFoundError, TaskNotFoundError
from headrace._validation import check_queue, check_task_id

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from redis.asyncio import Redis, RedisCluster

    from headrace._broker.inspect import QueueStats
    from headrace._task import TaskInfo

__all__ = ["Inspector"]

DEFAULT_REDIS: Final = "redis://localhost:6379"


class Inspector:
    """What a person, or a program in a person's place, asks and does.

    It connects when it is first used, and belongs to the event loop that uses it. Each of its
    calls may raise a `BrokerError` if Redis did not answer.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.

    Raises:
        InvalidOptionError: If *redis* cannot be used.
    """

    def __init__(self, redis: str | Redis | RedisCluster = DEFAULT_REDIS) -> None:
        self._broker = RedisBroker(redis)

    def __repr__(self) -> str:
        return f"<Inspector {self._broker.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._broker.close()

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._broker.ping()

    # --- Queues ----------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return await self._broker.queue_names()

    async def queue_stats(self, queue: str) -> QueueStats:
        """Count what *queue* holds.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        if check_queue("queue", queue) not in await self.queues():
            raise QueueNotFoundError(queue)
        return await self._broker.queue_stats(queue)

    async def stats(self) -> list[QueueStats]:
        """Count what each queue holds, sorted by name."""
        return [await self._broker.queue_stats(name) for name in await self.queues()]

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
        """
        return await self._broker.delete_queue(check_queue("queue", queue), force=force)

    # --- Tasks -----------------------------------------------------------------------------

    async def get_task(self, queue: str, task_id: str) -> TaskInfo:
        """Report on a task.

        Raises:
            TaskNotFoundError: If the queue does not hold it.
        """
        check_queue("queue", queue)
        info = await self._broker.get_task(queue, check_task_id("task_id", task_id))
        if info is None:
            raise TaskNotFoundError(queue, task_id)
        return info

    async def cancel(self, queue: str, task_id: str) -> bool:
        """Ask the worker that runs a task to cancel it: the handler is cancelled, and retried.

        Returns:
            Whether the task is running.
        """
        check_queue("queue", queue)
        return await self._broker.request_cancel(queue, check_task_id("task_id", task_id))

"""Deletes what is kept no longer: completed tasks past their retention, old archived ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio
from anyio.lowlevel import checkpoint

from headrace._broker.values import MAX_ITEMS
from headrace._worker._queues import each_queue, repeat_passes

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import UpkeepBroker
    from headrace._log import RateLimitedLog

__all__ = ["Janitor"]


class Janitor:
    """Cleans queue after queue: there is no hurry, and others share the connections.

    Args:
        broker: Where the tasks are.
        queues: Names of the queues to serve.
        interval: Seconds between passes, give or take a quarter.
        batch_size: How many tasks one call deletes at the most; never more than 100.
        log: Where failures go.
        rng: Keeps the replicas of a server out of step.
    """

    def __init__(
        self,
        broker: UpkeepBroker,
        *,
        queues: Sequence[str],
        interval: float,
        batch_size: int,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._interval = interval
        self._batch_size = min(batch_size, MAX_ITEMS)
        self._log = log
        self._rng = rng

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Clean until cancelled."""
        task_status.started()
        await repeat_passes(self.clean, interval=self._interval, rng=self._rng)

    async def clean(self) -> int:
        """Delete what is kept no longer in every queue, and return how many tasks that were.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        deleted = await each_queue(
            self._queues, self._clean_queue, duty="delete old tasks", log=self._log, at_once=1
        )
        return sum(deleted)

    async def _clean_queue(self, queue: str) -> int:
        expired = await self._delete_all(queue, self._broker.expire_completed)
        return expired + await self._delete_all(queue, self._broker.trim_archive)

    async def _delete_all(self, queue: str, delete: Callable[[str, int], Awaitable[int]]) -> int:
        total = 0
        while True:
            deleted = await delete(queue, self._batch_size)
            total += deleted
            if deleted < self._batch_size:
                return total
            await checkpoint()  # A large backlog must not keep the loop to itself.

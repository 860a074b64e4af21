"""Takes tasks from attempts whose lease has ended: their worker died, or lost Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._broker.values import MAX_ITEMS
from headrace._worker._queues import each_queue, repeat_passes

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import UpkeepBroker
    from headrace._broker.values import Recovered
    from headrace._log import RateLimitedLog

__all__ = ["Recoverer"]

_MAX_ROUNDS = 100
_SHOWN_IDS = 10


class Recoverer:
    """Gives abandoned tasks back to their queue, or to the archive if they kill workers.

    Args:
        broker: Where the tasks are.
        queues: Names of the queues to serve.
        interval: Seconds between passes, give or take a quarter.
        max_crashes: How many workers may die while they run a task; 0: no limit.
        log: Where findings and failures go.
        rng: Keeps the replicas of a server out of step.
    """

    def __init__(
        self,
        broker: UpkeepBroker,
        *,
        queues: Sequence[str],
        interval: float,
        max_crashes: int,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._interval = interval
        self._max_crashes = max_crashes
        self._log = log
        self._rng = rng

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Recover abandoned tasks until cancelled."""
        task_status.started()
        await repeat_passes(self.recover, interval=self._interval, rng=self._rng)

    async def recover(self) -> int:
        """Recover the abandoned tasks of every queue, and return how many there were.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        found = await each_queue(
            self._queues, self._recover_queue, duty="recover abandoned tasks", log=self._log
        )
        return sum(found)

    async def _recover_queue(self, queue: str) -> int:
        total = 0
        for _ in range(_MAX_ROUNDS):
            recovered = await self._broker.recover(queue, max_crashes=self._max_crashes)
            self._report(queue, recovered)
            found = len(recovered.requeued) + len(recovered.poisoned)
            total += found
            if found < MAX_ITEMS:
                break
        return total

    def _report(self, queue: str, recovered: Recovered) -> None:
        if recovered.requeued:
            self._log.logger.warning(
                "Gave %d tasks back to queue %r whose worker died or lost Redis: %s",
                len(recovered.requeued),
                queue,
                _listed(recovered.requeued),
                extra={"queue": queue, "task_ids": list(recovered.requeued)},
            )
        if recovered.poisoned:
            self._log.logger.error(
                "Archived %d tasks of queue %r, since %d workers died while they ran each: %s",
                len(recovered.poisoned),
                queue,
                self._max_crashes,
                _listed(recovered.poisoned),
                extra={"queue": queue, "task_ids": list(recovered.poisoned)},
            )


def _listed(task_ids: Sequence[str]) -> str:
    # An ID that another program chose may hold anything; repr keeps it on its line.
    shown = ", ".join(repr(task_id) for task_id in task_ids[:_SHOWN_IDS])
    return f"{shown}, ..." if len(task_ids) > _SHOWN_IDS else shown

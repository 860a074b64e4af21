"""Makes scheduled tasks and retries pending when they are due."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._broker.values import MAX_ITEMS
from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff
from headrace._worker._queues import each_queue
from headrace._worker._redisclock import RedisClock

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import UpkeepBroker
    from headrace._log import RateLimitedLog

__all__ = ["Forwarder"]

_MAX_ROUNDS = 100
_AFTER_THE_SECOND = 0.002


class Forwarder:
    """Runs right after each whole second of Redis's clock.

    Due times on the wire are whole seconds, so that more passes would find nothing more, and
    passes at other instants would find tasks late.

    Args:
        broker: Where the tasks are.
        queues: Names of the queues to serve.
        interval: Seconds between passes, rounded to whole ones and at least 1.
        log: Where failures go.
        rng: Spreads the retries of failed passes.
    """

    def __init__(
        self,
        broker: UpkeepBroker,
        *,
        queues: Sequence[str],
        interval: float,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._interval = max(1, round(interval))
        self._log = log
        self._backoff = Backoff(rng)
        self._redis_clock = RedisClock(log)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Forward due tasks until cancelled."""
        task_status.started()
        while True:
            try:
                moved = await self.forward()
            except BrokerError:  # Logged. Due tasks stay in Redis; the next pass gets them.
                await anyio.sleep(self._backoff.next())
                continue
            self._backoff.reset()
            if moved < _MAX_ROUNDS * MAX_ITEMS:
                await anyio.sleep(self._until_next_pass())

    async def forward(self) -> int:
        """Forward what is due in every queue, and return how many tasks that were.

        One pass moves a bounded number of tasks per queue; the rest waits for the next.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        moved = await each_queue(
            self._queues, self._forward_queue, duty="forward due tasks", log=self._log
        )
        return sum(moved)

    async def _forward_queue(self, queue: str) -> int:
        total = 0
        for _ in range(_MAX_ROUNDS):
            asked = anyio.current_time()
            answer = await self._broker.forward(queue)
            self._redis_clock.observe(asked, anyio.current_time(), answer.now)
            total += answer.moved
            if answer.moved < MAX_ITEMS:
                break
        return total

    def _until_next_pass(self) -> float:
        now = self._redis_clock.time()
        due = (math.floor(now / self._interval) + 1) * self._interval
        # A little later, or rounding could send the pass just before the second.
        return due - now + _AFTER_THE_SECOND

"""Repeats the ends of attempts that could not be written, while their leases last."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._broker.values import MAX_ITEMS, Applied
from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff
from headrace._worker._queues import each_queue

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import FinisherBroker
    from headrace._broker.values import Finish, Lease
    from headrace._log import RateLimitedLog

__all__ = ["Syncer"]


class Syncer:
    """Keeps what the finisher could not write.

    After its lease has ended, a task belongs to whoever recovers it: then its end is dropped.

    Args:
        broker: Where to write.
        log: Where failures and losses go.
        rng: Spreads the tries.
        lease_duration: Seconds that a lease lasts. The tries are closer than that.
        settled: Gets each end that is written, or dropped, and what became of it.
    """

    def __init__(
        self,
        broker: FinisherBroker,
        *,
        log: RateLimitedLog,
        rng: random.Random,
        lease_duration: float,
        settled: Callable[[Finish, Applied], None] | None = None,
    ) -> None:
        self._broker = broker
        self._settled = settled
        self._log = log
        self._rng = rng
        self._longest_wait = min(5.0, lease_duration / 4)
        self._waiting: dict[Lease, tuple[Finish, float]] = {}
        self._added = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def pending(self) -> int:
        """How many ends are not written yet."""
        return len(self._waiting)

    def add(self, finishes: Sequence[Finish], until: float) -> None:
        """Take over ends that may or may not have been written.

        Args:
            finishes: What to write.
            until: When their leases end, in the event loop's time.
        """
        for finish in finishes:
            self._waiting[finish.lease] = (finish, until)
        if finishes:
            self._added.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Repeat failed writes until cancelled."""
        backoff = self._new_backoff()
        task_status.started()
        while True:
            if not self._waiting:
                backoff.reset()
                self._added.clear()
                await self._added.wait()
            # The first try failed a moment ago, so that even now a pause comes first.
            await anyio.sleep(backoff.next())
            with suppress(BrokerError):  # Logged. What was not written is still here.
                await self.sync()

    async def drain(self, timeout: float) -> int:
        """Write what is left before a shutdown, and return how much could not be written.

        Args:
            timeout: Seconds that it may take at the most.
        """
        backoff = self._new_backoff()
        with anyio.move_on_after(timeout):
            while self._waiting:
                with suppress(BrokerError):
                    await self.sync()
                if self._waiting:
                    await anyio.sleep(backoff.next())
        if self._waiting:
            self._report_dropped("there is no more time", list(self._waiting))
        return len(self._waiting)

    async def sync(self) -> None:
        """Try once to write everything, and drop what no longer can be.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        async with self._turn:
            self._drop_ended()
            queues = {lease.queue for lease in self._waiting}
            await each_queue(
                sorted(queues), self._sync_queue, duty="write the ends of tasks", log=self._log
            )

    async def _sync_queue(self, queue: str) -> None:
        finishes = [finish for finish, _ in self._waiting.values() if finish.lease.queue == queue]
        for start in range(0, len(finishes), MAX_ITEMS):
            batch = finishes[start : start + MAX_ITEMS]
            answers = await self._broker.finish(batch, repeat=True)
            for finish, applied in zip(batch, answers, strict=True):
                self._settle(finish, applied)
            lost = [
                finish.lease.task_id
                for finish, applied in zip(batch, answers, strict=True)
                if applied is Applied.LOST
            ]
            if lost:
                self._log.logger.warning(
                    "The end of %d tasks of queue %r came too late: others run them by now",
                    len(lost),
                    queue,
                    extra={"queue": queue, "task_ids": lost},
                )

    def _settle(self, finish: Finish, applied: Applied) -> None:
        self._waiting.pop(finish.lease, None)
        if self._settled is not None:
            self._settled(finish, applied)

    def _drop_ended(self) -> None:
        now = anyio.current_time()
        ended = [finish for finish, until in self._waiting.values() if until <= now]
        for finish in ended:
            self._settle(finish, Applied.LOST)
        if ended:
            self._report_dropped("their leases have ended", [finish.lease for finish in ended])

    def _report_dropped(self, reason: str, leases: Sequence[Lease]) -> None:
        self._log.logger.error(
            "Could not write the end of %d tasks, and %s: unless it was written after all, they "
            "will run again",
            len(leases),
            reason,
            extra={
                "queues": sorted({lease.queue for lease in leases}),
                "task_ids": [lease.task_id for lease in leases],
            },
        )

    def _new_backoff(self) -> Backoff:
        return Backoff(self._rng, cap=self._longest_wait)

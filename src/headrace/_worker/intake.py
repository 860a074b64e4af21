"""Gets tasks for free slots: which queues are asked, for how many, and what if Redis fails."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import anyio

from headrace._broker.values import Dequeued
from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff
from headrace._worker.holds import Holds
from headrace._worker.quotas import share_among_hungry, share_by_priority

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from headrace._broker.base import ProcessorBroker
    from headrace._broker.values import Attempt
    from headrace._events import Events
    from headrace._health import Vitals
    from headrace._log import RateLimitedLog

__all__ = ["Intake"]

IDLE_SECONDS = 10.0
"""How long an idle worker waits before it looks by itself."""


class Intake:
    """Dequeues in batches.

    Args:
        broker: Where the tasks are.
        weights: Queue name to weight.
        strict_priority: Whether a queue is served only while those of greater weight are empty.
        lease_duration: Seconds that the tasks are claimed for.
        poll_interval: Seconds between looks where Redis cannot be waited for, and at a queue
            that a limit holds back: for the limit may change.
        rng: Draws lots among the queues.
        log: Where failures go.
        vitals: Learns that tasks are asked for; None: nobody does.
        events: Tells how many were taken at once; None: nobody asks.
    """

    def __init__(
        self,
        broker: ProcessorBroker,
        *,
        weights: Mapping[str, int],
        strict_priority: bool,
        lease_duration: float,
        poll_interval: float,
        rng: random.Random,
        log: RateLimitedLog,
        vitals: Vitals | None = None,
        events: Events | None = None,
    ) -> None:
        self._broker = broker
        self._weights = dict(weights)
        self._strict_priority = strict_priority
        self._lease_duration = lease_duration
        self._poll_interval = poll_interval
        self._rng = rng
        self._log = log
        self._vitals = vitals
        self._events = events
        self._hungry = set(weights)
        self._paused: set[str] = set()
        self._holds = Holds(poll_interval)
        self._wait_scope: anyio.CancelScope | None = None
        # Unique over all workers and all time: nobody else ever finishes what it claims.
        self._token_prefix = f"{rng.getrandbits(96):024x}-"
        self._counter = itertools.count(1)

    async def fetch(self, slots: int) -> Dequeued:
        """Take up to *slots* tasks, leaving none of the slots free while any queue holds more.

        Raises:
            BrokerError: If Redis did not answer, and no task was taken.
        """
        attempts: list[Attempt] = []
        self._holds.let_go()
        asked = {
            queue: weight for queue, weight in self._weights.items() if queue not in self._holds
        }
        now = 0.0
        self._paused.clear()
        while slots > len(attempts) and asked:
            quotas = self._quotas(slots - len(attempts), asked)
            try:
                got = await self._take(quotas)
            except BrokerError:
                if not attempts:
                    raise
                break  # What was taken before must run.
            attempts += got.attempts
            now = got.now
            self._paused |= got.paused
            for queue in quotas:
                if queue in got.exhausted:
                    del asked[queue]
                if queue in got.limited:
                    self._holds.hold(queue, got.limited[queue])
                elif queue in got.exhausted:
                    self._hungry.discard(queue)
                else:
                    self._hungry.add(queue)
        self._report(len(attempts))
        return Dequeued(attempts, now)

    def _report(self, count: int) -> None:
        if self._vitals is not None:
            self._vitals.fetched()
        if count and self._events is not None and self._events.observers:
            self._events.tell(lambda observer: observer.tasks_dequeued(count))

    def _quotas(self, slots: int, asked: Mapping[str, int]) -> dict[str, int]:
        if self._strict_priority:
            return share_by_priority(slots, asked)
        return share_among_hungry(slots, asked, self._hungry, self._rng)

    async def _take(self, quotas: Mapping[str, int]) -> Dequeued:
        token = f"{self._token_prefix}{next(self._counter):x}"
        self._holds.asking()
        try:
            return await self._broker.dequeue(
                quotas, token=token, lease_duration=self._lease_duration
            )
        except BrokerError as error:
            if self._vitals is not None:
                self._vitals.fetch_failed()
            if not error.ambiguous:
                raise
            self._log.fault("dequeue", "The answer to a dequeue was lost", exc=error)
        return await self._find(list(quotas), token)

    async def _find(self, queues: Sequence[str], token: str) -> Dequeued:
        """Find what a dequeue took whose answer was lost: its slots stay taken meanwhile."""
        backoff = Backoff(self._rng)
        while True:
            await asyncio.sleep(backoff.next())
            try:
                found = await self._broker.taken_by(queues, token=token)
            except BrokerError as error:
                self._log.fault("dequeue", "The answer to a dequeue was lost", exc=error)
            else:
                self._log.recovered("dequeue")
                return found

    async def wait(self) -> None:
        """Return when a queue may hold a task.

        Raises:
            BrokerError: If Redis did not answer.
        """
        queues = [
            queue
            for queue in self._weights
            if queue not in self._paused and queue not in self._holds
        ]
        timeout = self._poll_interval if self._paused else IDLE_SECONDS
        try:
            with anyio.CancelScope() as self._wait_scope:
                await self._broker.wait_for_pending(
                    queues,
                    timeout=min(timeout, self._holds.remaining()),
                    poll_interval=self._poll_interval,
                )
        finally:
            self._wait_scope = None

    def task_ended(self, queue: str) -> None:
        """Look at *queue* at once if a limit held it back: one of its tasks has ended here."""
        if self._holds.task_ended(queue) and self._wait_scope is not None:
            self._wait_scope.cancel()

"""Heals the queues: finds tasks, locks and groups that are damaged, and puts them right."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NoReturn, cast

import anyio

from headrace._worker._queues import each_queue, repeat_passes

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Sequence

    from anyio.abc import TaskStatus

    from headrace._audit import Finding
    from headrace._broker.base import ReconcilerBroker
    from headrace._log import RateLimitedLog

__all__ = ["Reconciler"]

_STEPS: Final = 30
"""How many steps one pass over a queue takes; the next pass goes on from there."""
_PAUSE: Final = 1.0
"""Seconds between two steps: there is no hurry, and others need Redis."""


class Reconciler:
    """Audits its queues in the background, and repairs what it finds.

    Of all servers, one does so for a queue in each interval.

    Args:
        broker: Where the tasks are.
        queues: Names of the queues to serve.
        interval: Seconds between passes, give or take a quarter.
        lease_duration: Seconds of the lease that a task gets which is active without one.
        max_crashes: How many workers may die while they run a task; 0: no limit.
        log: Where repairs and failures go.
        rng: Keeps the replicas of a server out of step.
    """

    def __init__(
        self,
        broker: ReconcilerBroker,
        *,
        queues: Sequence[str],
        interval: float,
        lease_duration: float,
        max_crashes: int,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._interval = interval
        self._lease_duration = lease_duration
        self._max_crashes = max_crashes
        self._log = log
        self._rng = rng

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Reconcile until cancelled."""
        task_status.started()
        # Replicas that start together take turns from the first pass on.
        await anyio.sleep(self._rng.uniform(0.0, self._interval / 2))
        await repeat_passes(self.reconcile, interval=self._interval, rng=self._rng)

    async def reconcile(self) -> int:
        """Repair what is found in every queue, and return how many things that were.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        repaired = await each_queue(
            self._queues, self._reconcile_queue, duty="reconcile", log=self._log, at_once=1
        )
        return sum(repaired)

    async def _reconcile_queue(self, queue: str) -> int:
        # It ends before the next pass is due, so that somebody always does it.
        if not await self._broker.claim_reconcile(queue, self._interval / 2):
            return 0
        total = step = 0
        steps = self._broker.reconcile(
            queue, lease_duration=self._lease_duration, max_crashes=self._max_crashes
        )
        async with contextlib.aclosing(cast("AsyncGenerator[Sequence[Finding], None]", steps)):
            async for found in steps:
                total += self._report(found)
                step += 1
                if step >= _STEPS:
                    break
                await anyio.sleep(_PAUSE)
        return total

    def _report(self, found: Sequence[Finding]) -> int:
        """Log the repairs, and return their number."""
        repaired = [finding for finding in found if finding.repaired]
        for finding in repaired:
            self._log.logger.warning(
                "Repaired queue %r: %r %s; %s",
                finding.queue,
                finding.subject,
                finding.problem,
                finding.repair,
                extra={"queue": finding.queue, "invariant": finding.invariant},
            )
        return len(repaired)

"""Publishes a scheduler's entries, as asynq's tools show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff

if TYPE_CHECKING:
    import random

    from anyio.abc import TaskStatus

    from headrace._broker.schedules import Schedules
    from headrace._log import RateLimitedLog
    from headrace._scheduling.ticker import Entries
    from headrace._worker._redisclock import RedisClock

__all__ = ["Announcer"]


class Announcer:
    """The scheduler's heartbeat.

    Args:
        broker: Where the report goes.
        key: The Redis key that holds it.
        entries: What is reported.
        clock: Redis's; each answer keeps it right.
        interval: Seconds between reports; each is valid for twice as long.
        log: Where failures go.
        rng: Spreads the tries while Redis does not answer.
    """

    def __init__(
        self,
        broker: Schedules,
        *,
        key: str,
        entries: Entries,
        clock: RedisClock,
        interval: float,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._key = key
        self._entries = entries
        self._clock = clock
        self._interval = interval
        self._log = log
        self._backoff = Backoff(rng, cap=min(1.0, interval))
        self._now: float | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Report until cancelled; then take the report out of Redis."""
        task_status.started()
        try:
            while True:
                try:
                    await self.beat()
                except BrokerError as error:
                    self._log.fault("entries", "Could not publish the schedules", exc=error)
                    await anyio.sleep(self._backoff.next())
                else:
                    self._log.recovered("entries")
                    self._backoff.reset()
                    await anyio.sleep(self._interval)
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._clear()

    async def beat(self) -> None:
        """Publish the entries.

        Raises:
            BrokerError: If Redis did not answer.
        """
        if self._now is None:
            await self._write([])  # Tells the time, which the report needs.
        now = self._clock.time()
        await self._write([entry.encode(now) for entry in self._entries])

    async def _write(self, entries: list[bytes]) -> None:
        asked = anyio.current_time()
        self._now = await self._broker.write_scheduler(self._key, entries, 2 * self._interval)
        self._clock.observe(asked, anyio.current_time(), self._now)

    async def _clear(self) -> None:
        try:
            await self._broker.clear_scheduler(self._key)
        except BrokerError as error:
            # It expires by itself.
            self._log.logger.info("Could not take the schedules out of Redis: %s", error)

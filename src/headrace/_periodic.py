"""A scheduler whose entries somebody else decides on, and may change at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from headrace._errors import InvalidOptionError
from headrace._scheduler import SchedulerBase
from headrace._scheduling.sync import Sync
from headrace._validation import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from redis.asyncio import Redis, RedisCluster

    from headrace._schedule import ScheduleProvider
    from headrace._scheduler import Component, SchedulerOptions

__all__ = ["PeriodicTaskManager"]


class PeriodicTaskManager(SchedulerBase):
    """A `Scheduler` that asks a provider what to enqueue, now and then.

    While the provider fails, what it wanted last goes on. Schedules that stay the same are left
    alone, so their ticks are neither lost nor doubled.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.
        provider: ``f()`` returns all schedules that are wanted. `StoredSchedules` is one.
        sync_interval: Seconds between calls of the provider.
        options: See `SchedulerOptions`.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    def __init__(
        self,
        redis: str | Redis | RedisCluster,
        provider: ScheduleProvider,
        *,
        sync_interval: float | timedelta = 180.0,
        **options: Unpack[SchedulerOptions],
    ) -> None:
        if not callable(provider):
            raise InvalidOptionError("provider", provider, "it must be callable")
        interval = seconds("sync_interval", sync_interval, above=0)
        super().__init__(redis, options)
        self._sync = Sync(
            provider,
            entries=self._entries,
            location=self._location,
            interval=interval,
            log=self._log,
        )

    def _feeders(self) -> list[Component]:
        return [self._sync]

    async def sync(self) -> None:
        """Ask the provider now.

        Raises:
            Exception: What the provider raised. Its last answer stays in force.
            InvalidOptionError: If its answer cannot be used, likewise.
        """
        await self._sync.sync()

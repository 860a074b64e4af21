"""A scheduler whose entries somebody else decides on, and may change at any time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, TypeAlias, Unpack

import anyio

from headrace._errors import InvalidOptionError
from headrace._schedule import Schedule
from headrace._scheduler import SchedulerBase
from headrace._scheduling.entry import new_entry
from headrace._validation import seconds

if TYPE_CHECKING:
    from datetime import timedelta, tzinfo

    from anyio.abc import TaskStatus
    from redis.asyncio import Redis, RedisCluster

    from headrace._log import RateLimitedLog
    from headrace._scheduler import Component, SchedulerOptions
    from headrace._scheduling.ticker import Entries

__all__ = ["PeriodicTaskManager", "ScheduleProvider"]

ScheduleProvider: TypeAlias = Callable[[], Iterable[Schedule] | Awaitable[Iterable[Schedule]]]
"""Returns the schedules that are wanted. It may be a coroutine function."""


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


class Sync:
    """Keeps entries as a provider wants them.

    Args:
        provider: Returns the schedules that are wanted.
        entries: What is enqueued.
        location: Time zone of the specs that name none.
        interval: Seconds between calls.
        log: Where failures go.
    """

    def __init__(
        self,
        provider: ScheduleProvider,
        *,
        entries: Entries,
        location: tzinfo,
        interval: float,
        log: RateLimitedLog,
    ) -> None:
        self._provider = provider
        self._entries = entries
        self._location = location
        self._interval = interval
        self._log = log

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Synchronise until cancelled."""
        task_status.started()
        while True:
            try:
                await self.sync()
            except Exception as error:  # noqa: BLE001 - the user's code: the last answer goes on
                self._log.fault("provider", "The provider of schedules failed", exc=error)
            else:
                self._log.recovered("provider")
            await anyio.sleep(self._interval)

    async def sync(self) -> None:
        """Ask the provider; add what is new, and remove what is wanted no more."""
        answer = self._provider()
        wanted = await answer if inspect.isawaitable(answer) else answer
        new = {}
        for schedule in wanted:
            if not isinstance(schedule, Schedule):
                raise InvalidOptionError("provider", schedule, "it must return Schedule values")
            entry = new_entry(schedule, self._location)
            new[entry.id] = entry  # The same twice is once.
        present = {entry.id: entry for entry in self._entries}
        for entry_id in present.keys() - new.keys():
            self._entries.remove(entry_id)
        for entry_id, entry in new.items():
            known = present.get(entry_id)
            if known is None or known.schedule != entry.schedule:
                self._entries.add(entry)

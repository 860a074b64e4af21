"""Schedulers: enqueue tasks again and again, each tick once, however many of them run."""

from __future__ import annotations

import logging
import os
import socket
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import anyio

from headrace._broker.keys import scheduler_key
from headrace._broker.redis import RedisBroker
from headrace._clock import SYSTEM_CLOCK, SYSTEM_RANDOM, new_uuid
from headrace._cron import parse_zone
from headrace._errors import InvalidOptionError, ServerClosedError
from headrace._log import RateLimitedLog
from headrace._router import Router
from headrace._schedule import Schedule
from headrace._scheduling.announcer import Announcer
from headrace._scheduling.entry import new_entry
from headrace._scheduling.hooks import Hooks
from headrace._scheduling.service import Service
from headrace._scheduling.sync import Sync
from headrace._scheduling.ticker import Entries, Ticker
from headrace._validation import seconds
from headrace._worker._redisclock import RedisClock

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Protocol

    from anyio.abc import TaskStatus
    from redis.asyncio import Redis, RedisCluster

    from headrace._broker.schedules import Schedules
    from headrace._clock import Clock
    from headrace._config import ServerConfig
    from headrace._schedule import Misfire
    from headrace._scheduling.entry import Entry
    from headrace._scheduling.hooks import PostEnqueue, PreEnqueue, ScheduleErrorHandler
    from headrace._task import Task, TaskOptions

    class Component(Protocol):
        """Runs until it is cancelled."""

        async def run(self, *, task_status: TaskStatus[None]) -> None:
            """Call ``started()`` once ready, and loop."""
            ...


__all__ = ["Scheduler", "SchedulerOptions", "server_components"]

DEFAULT_REDIS: Final = "redis://localhost:6379"


class SchedulerOptions(TypedDict, total=False):
    """How a scheduler works. Durations are seconds or a timedelta."""

    location: str | tzinfo
    """Time zone of the specs that name none. Default: UTC."""
    heartbeat_interval: float | timedelta
    """Between reports of the entries. Default: 10."""
    pre_enqueue: PreEnqueue | None
    """``f(task)`` is called before each try. Every scheduler tries, and one succeeds."""
    post_enqueue: PostEnqueue | None
    """``f(info, error)`` is called after this scheduler has enqueued a task, with None for the
    error; or, with None for the info, if the task was refused."""
    error_handler: ScheduleErrorHandler | None
    """``f(task, error)`` is called if a task was refused."""
    log_level: int | str | None
    """Level of the logger "headrace". Default: None, as logging is configured."""
    allow_eviction: bool
    """Run on a Redis whose maxmemory-policy may delete tasks. Default: False."""
    clock: Clock
    """Source of the wall time, for tests."""
    rng: random.Random
    """Source of all randomness, for tests."""


_KNOWN: Final = frozenset(SchedulerOptions.__annotations__)


class SchedulerBase(Service):
    """What `Scheduler` and `PeriodicTaskManager` have in common."""

    def __init__(self, redis: str | Redis | RedisCluster, options: SchedulerOptions) -> None:
        super().__init__()
        for name, value in options.items():
            if name not in _KNOWN:
                raise InvalidOptionError(
                    name, value, f"the options are {', '.join(sorted(_KNOWN))}"
                )
        self._location = parse_zone("location", options.get("location", UTC))
        self._interval = seconds(
            "heartbeat_interval", options.get("heartbeat_interval", 10.0), above=0
        )
        self._rng = options.get("rng", SYSTEM_RANDOM)
        self._allow_eviction = options.get("allow_eviction", False)
        self._logger = logging.getLogger("headrace")
        level = options.get("log_level")
        if level is not None:
            try:
                self._logger.setLevel(level.upper() if isinstance(level, str) else level)
            except (ValueError, TypeError) as error:
                raise InvalidOptionError("log_level", level, str(error)) from None
        self._log = RateLimitedLog(self._logger)
        self._hooks = Hooks(
            self._log,
            options.get("pre_enqueue"),
            options.get("post_enqueue"),
            options.get("error_handler"),
        )
        self._broker = RedisBroker(redis, clock=options.get("clock", SYSTEM_CLOCK))
        self._entries = Entries()
        self._scope: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state} {self._broker.address}>"

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        return self._broker.address

    @property
    def schedules(self) -> dict[str, Schedule]:
        """What it enqueues at the moment, by the entries' IDs."""
        return {entry.id: entry.schedule for entry in self._entries}

    async def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            BrokerError: If Redis did not answer.
            ServerClosedError: If it was shut down.
        """
        if self._state == "closed":
            raise ServerClosedError
        await self._broker.ping()

    def stop(self) -> None:
        """Enqueue no more. Nothing happens unless it is active."""
        super().stop()
        if self._scope is not None:
            self._scope.cancel()

    def _feeders(self) -> list[Component]:
        return []

    async def _close(self) -> None:
        await self._broker.close()

    async def _serve(self) -> None:
        await self._broker.check_server(allow_eviction=self._allow_eviction)
        [announcer, ticker] = schedule_components(
            self._broker,
            self._entries,
            hooks=self._hooks,
            heartbeat_interval=self._interval,
            log=self._log,
            rng=self._rng,
        )
        async with anyio.create_task_group() as support:
            await support.start(announcer.run)
            async with anyio.create_task_group() as feeders:
                self._scope = feeders.cancel_scope
                for component in (*self._feeders(), ticker):
                    await feeders.start(component.run)
                self._is_active()
                self._logger.info("Headrace runs: %r", self)
            # It was stopped; a shutdown ends the rest.
            await anyio.sleep_forever()


def schedule_components(
    broker: Schedules,
    entries: Entries,
    *,
    hooks: Hooks,
    heartbeat_interval: float,
    log: RateLimitedLog,
    rng: random.Random,
) -> list[Component]:
    """Return the components that report *entries*, and enqueue what is due."""
    clock = RedisClock(log)
    host, pid, scheduler_id = socket.gethostname(), os.getpid(), new_uuid(rng)
    return [
        Announcer(
            broker,
            key=scheduler_key(host, pid, scheduler_id),
            entries=entries,
            clock=clock,
            interval=heartbeat_interval,
            log=log,
            rng=rng,
        ),
        Ticker(
            broker,
            entries=entries,
            clock=clock,
            hooks=hooks,
            name=f"{host}:{pid}:{scheduler_id}",
            log=log,
            rng=rng,
        ),
    ]


def add_schedules(entries: Entries, schedules: Iterable[Schedule], location: tzinfo) -> list[Entry]:
    """Add *schedules* to *entries*.

    Raises:
        InvalidOptionError: If one has the ID of another. None was added.
    """
    new: dict[str, Entry] = {}
    for schedule in schedules:
        if not isinstance(schedule, Schedule):
            raise InvalidOptionError("schedules", schedule, "a Schedule is needed")
        entry = new_entry(schedule, location)
        if entry.id in entries or entry.id in new:
            raise InvalidOptionError(
                "entry_id",
                entry.id,
                "the same is scheduled already; to have it twice, give it an entry_id",
            )
        new[entry.id] = entry
    for entry in new.values():
        entries.add(entry)
    return list(new.values())


class Scheduler(SchedulerBase):
    """Enqueues tasks when they are due, by themselves: ``async with``, or `headrace.run`.

    Any number of schedulers may have the same entries: each tick is enqueued once. Redis's
    clock says when. It may be started once; then it is used up.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.
        options: See `SchedulerOptions`.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    def __init__(
        self, redis: str | Redis | RedisCluster = DEFAULT_REDIS, **options: Unpack[SchedulerOptions]
    ) -> None:
        super().__init__(redis, options)

    def register(
        self,
        spec: str,
        task: Task,
        *,
        misfire: Misfire = "skip",
        jitter: float | timedelta = 0.0,
        entry_id: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> str:
        """Enqueue *task* whenever *spec* is due; see `Schedule` for the arguments.

        Returns:
            The entry's ID: the same in every scheduler that registers the same.

        Raises:
            InvalidOptionError: If an argument cannot be used, or the same is registered already.
        """
        return self.add(
            Schedule(spec, task, misfire=misfire, jitter=jitter, entry_id=entry_id, **options)
        )

    def add(self, schedule: Schedule) -> str:
        """Do what `register` does, with a schedule made before."""
        [entry] = add_schedules(self._entries, [schedule], self._location)
        return entry.id

    def unregister(self, entry_id: str) -> None:
        """Enqueue the task of that entry no more.

        Raises:
            InvalidOptionError: If there is no such entry.
        """
        if not self._entries.remove(entry_id):
            raise InvalidOptionError("entry_id", entry_id, "there is no such entry")


def server_components(
    broker: RedisBroker, config: ServerConfig, handler: object, *, log: RateLimitedLog
) -> list[Component]:
    """Return what enqueues a server's schedules: its own, its router's and its provider's.

    Raises:
        InvalidOptionError: If one of them cannot be used, or is there twice.
    """
    schedules = [*config.schedules, *(handler.schedules if isinstance(handler, Router) else ())]
    if not schedules and config.schedule_provider is None:
        return []
    entries = Entries()
    location = parse_zone("schedule_location", config.schedule_location)
    add_schedules(entries, schedules, location)
    components = schedule_components(
        broker,
        entries,
        hooks=Hooks(log),
        heartbeat_interval=2 * config.heartbeat_interval,
        log=log,
        rng=config.rng,
    )
    if config.schedule_provider is not None:
        sync = Sync(
            config.schedule_provider,
            entries=entries,
            location=location,
            interval=config.schedule_sync_interval,
            log=log,
        )
        components.append(sync)
    return components

"""Schedules that are kept in Redis, where programs and people change them at any time."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from headrace._broker.redis import RedisBroker
from headrace._clock import SYSTEM_CLOCK
from headrace._connected import Connected
from headrace._cron import parse_zone
from headrace._errors import InvalidOptionError
from headrace._schedule import All, Schedule
from headrace._scheduling.entry import new_entry
from headrace._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis, RedisCluster

__all__ = ["StoredSchedule", "StoredSchedules"]

DEFAULT_REDIS: Final = "redis://localhost:6379"
_log = logging.getLogger("headrace")


@dataclasses.dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as Redis keeps it."""

    id: str
    schedule: Schedule
    is_paused: bool


class StoredSchedules(Connected):
    """Adds, changes, pauses and removes schedules that are kept in Redis.

    As the provider of a `PeriodicTaskManager`, it has them enqueued:
    ``PeriodicTaskManager(redis, StoredSchedules(redis), sync_interval=5)``. Each of its calls
    may raise a `BrokerError` if Redis did not answer.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.

    Raises:
        InvalidOptionError: If *redis* cannot be used.
    """

    def __init__(self, redis: str | Redis | RedisCluster = DEFAULT_REDIS) -> None:
        self._broker = RedisBroker(redis, clock=SYSTEM_CLOCK)

    async def __call__(self) -> list[Schedule]:
        """Return what is to be enqueued: all that are not paused."""
        return [stored.schedule for stored in await self.entries() if not stored.is_paused]

    async def entries(self) -> list[StoredSchedule]:
        """Return what is stored, sorted by ID. What cannot be read is logged and left out."""
        found = []
        for entry_id, data in sorted((await self._broker.stored_schedules()).items()):
            try:
                found.append(_decode(entry_id, data))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                _log.error("Stored schedule %r cannot be read: %s", entry_id, error)
        return found

    async def add(self, schedule: Schedule) -> str:
        """Store a schedule; return its ID.

        Raises:
            InvalidOptionError: If one with its ID is stored already.
        """
        entry_id = new_entry(schedule, parse_zone("location", "UTC")).id
        data = _encode(schedule, is_paused=False)
        if not await self._broker.swap_stored_schedule(entry_id, b"", data):
            raise InvalidOptionError("entry_id", entry_id, "it is stored already; change it")
        return entry_id

    async def change(self, entry_id: str, schedule: Schedule) -> None:
        """Put *schedule* in the place of the one that is stored. It stays paused if it is.

        Raises:
            InvalidOptionError: If there is no such schedule.
        """

        def change(known: bytes) -> bytes:
            return _encode(schedule, is_paused=bool(json.loads(known)["paused"]))

        await self._update(entry_id, change)

    async def pause(self, entry_id: str) -> None:
        """Enqueue it no more, until it is resumed.

        Raises:
            InvalidOptionError: If there is no such schedule.
        """
        await self._update(entry_id, lambda known: _set_paused(entry_id, known, is_paused=True))

    async def resume(self, entry_id: str) -> None:
        """Enqueue it again. Its misfire policy says what becomes of the ticks of the pause.

        Raises:
            InvalidOptionError: If there is no such schedule.
        """
        await self._update(entry_id, lambda known: _set_paused(entry_id, known, is_paused=False))

    async def remove(self, entry_id: str) -> None:
        """Delete it.

        Raises:
            InvalidOptionError: If there is no such schedule.
        """
        await self._update(entry_id, lambda _known: b"")

    async def _update(self, entry_id: str, change: Callable[[bytes], bytes]) -> None:
        while True:  # Until nobody else has changed it meanwhile.
            known = (await self._broker.stored_schedules()).get(entry_id)
            if known is None:
                raise InvalidOptionError("entry_id", entry_id, "no such schedule is stored")
            if await self._broker.swap_stored_schedule(entry_id, known, change(known)):
                return


def _set_paused(entry_id: str, data: bytes, *, is_paused: bool) -> bytes:
    return _encode(_decode(entry_id, data).schedule, is_paused=is_paused)


def _encode(schedule: Schedule, *, is_paused: bool) -> bytes:
    task, misfire = schedule.task, schedule.misfire
    options = dataclasses.asdict(schedule.options)
    record = {
        "spec": schedule.spec,
        "type": task.type,
        "payload": base64.b64encode(task.payload).decode() if task.has_payload else None,
        "misfire": misfire.limit if isinstance(misfire, All) else misfire,
        "jitter": schedule.jitter,
        "options": {name: value for name, value in options.items() if value is not None},
        "paused": is_paused,
    }
    return json.dumps(record, sort_keys=True).encode()


def _decode(entry_id: str, data: bytes) -> StoredSchedule:
    """Return what *data* holds.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: If it is no stored schedule.
    """
    record: dict[str, Any] = json.loads(data)
    payload, misfire = record["payload"], record["misfire"]
    schedule = Schedule(
        record["spec"],
        Task(record["type"], None if payload is None else base64.b64decode(payload)),
        misfire=All(misfire) if isinstance(misfire, int) else misfire,
        jitter=record["jitter"],
        entry_id=entry_id,
        **record["options"],
    )
    return StoredSchedule(entry_id, schedule, bool(record["paused"]))

"""The inspector, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace._broker.redis import RedisBroker
from headrace._connected import Connected
from headrace._inspector._bulk import Bulk
from headrace._inspector._fleet import Fleet
from headrace._inspector._queues import Queues
from headrace._inspector._tasks import Tasks

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["Inspector"]

DEFAULT_REDIS: Final = "redis://localhost:6379"


class Inspector(Queues, Tasks, Bulk, Fleet, Connected):
    """What a person, or a program in a person's place, asks and does.

    It connects when it is first used, and belongs to the event loop that uses it. Each of its
    calls may raise a `BrokerError` if Redis did not answer.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.

    Raises:
        InvalidOptionError: If *redis* cannot be used.
    """

    def __init__(self, redis: str | Redis | RedisCluster = DEFAULT_REDIS) -> None:
        self._broker = RedisBroker(redis)

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._broker.ping()

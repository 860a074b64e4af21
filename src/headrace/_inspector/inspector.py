"""The inspector, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace._broker.redis import RedisBroker
from headrace._inspector._bulk import Bulk
from headrace._inspector._fleet import Fleet
from headrace._inspector._queues import Queues
from headrace._inspector._tasks import Tasks

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from redis.asyncio import Redis, RedisCluster

__all__ = ["Inspector"]

DEFAULT_REDIS: Final = "redis://localhost:6379"


class Inspector(Queues, Tasks, Bulk, Fleet):
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

    def __repr__(self) -> str:
        return f"<Inspector {self._broker.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._broker.close()

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._broker.ping()

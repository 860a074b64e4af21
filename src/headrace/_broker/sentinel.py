"""Connections to the master that Sentinel names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import redis.sentinel
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from headrace._broker.connections import Connections
from headrace._broker.single import (
    BLOCK_SECONDS,
    COMMAND_CONNECTIONS,
    OWN_SETTINGS,
    RESERVED_CONNECTIONS,
    TIMEOUTS,
    WAITING_CONNECTIONS,
    answer_seconds,
    parameters,
)
from headrace._broker.urls import Hosts, safe_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from redis.asyncio.client import PubSub
    from redis.asyncio.connection import AbstractConnection

    from headrace._broker.connections import Sender

__all__ = ["SentinelMaster", "from_url", "of_pool"]


class _Connections(Connections):
    """Connections to the master. Closing them closes those to the sentinels, too."""

    def __init__(
        self,
        manager: Sentinel,
        make: Callable[[], AbstractConnection],
        *,
        size: int,
        timeout: float,
    ) -> None:
        super().__init__(make, size=size, timeout=timeout)
        self._manager = manager

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await super().close()
        for sentinel in self._manager.sentinels:
            await sentinel.aclose()


@dataclasses.dataclass(slots=True)
class SentinelMaster:
    """The current master of a Sentinel group."""

    service: str
    manager: Sentinel
    kwargs: Mapping[str, Any]
    address: str
    bell: None = None

    def _pool(self, **more: object) -> SentinelConnectionPool:
        kwargs = {**TIMEOUTS, **self.kwargs, **OWN_SETTINGS, **more}
        return SentinelConnectionPool(  # type: ignore[no-untyped-call]  # redis-py's.
            self.service, self.manager, retry=Retry(NoBackoff(), 0), **kwargs
        )

    def _connections(self, size: int, extra_seconds: float = 0.0) -> Sender:
        # The pool finds the master; the connections are kept outside of it.
        pool = self._pool(socket_timeout=None)
        timeout = extra_seconds + answer_seconds(self.kwargs)
        return _Connections(self.manager, pool.make_connection, size=size, timeout=timeout)

    def commands(self) -> Sender:
        return self._connections(COMMAND_CONNECTIONS)

    def reserved(self) -> Sender:
        return self._connections(RESERVED_CONNECTIONS)

    def waiting(self) -> Sender:
        return self._connections(WAITING_CONNECTIONS, BLOCK_SECONDS)

    def pubsub(self) -> PubSub:
        return redis.asyncio.Redis.from_pool(self._pool()).pubsub()

    def sync(self) -> redis.Redis:
        each = [node.connection_pool.connection_kwargs for node in self.manager.sentinels]
        nodes = [(kwargs["host"], kwargs["port"]) for kwargs in each]
        known = parameters(redis.connection.Connection)
        own = {k: v for k, v in self.manager.sentinel_kwargs.items() if k in known}
        manager = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]  # redis-py's.
            nodes, sentinel_kwargs={**own, "retry": SyncRetry(NoBackoff(), 0)}
        )
        kwargs = {
            k: v for k, v in {**TIMEOUTS, **self.kwargs, **OWN_SETTINGS}.items() if k in known
        }
        retry = SyncRetry(NoBackoff(), 0)
        client: redis.Redis = manager.master_for(self.service, retry=retry, **kwargs)  # type: ignore[no-untyped-call]  # redis-py's.
        return client


def of_pool(pool: SentinelConnectionPool, kwargs: Mapping[str, Any]) -> SentinelMaster:
    """Find the master as *pool*, of a user's client, does: by connections of our own."""
    theirs = pool.sentinel_manager
    each = [node.connection_pool.connection_kwargs for node in theirs.sentinels]
    manager = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's.
        [(one["host"], one["port"]) for one in each],
        min_other_sentinels=theirs.min_other_sentinels,
        sentinel_kwargs={**theirs.sentinel_kwargs, "retry": Retry(NoBackoff(), 0)},
    )
    return SentinelMaster(pool.service_name, manager, kwargs, f"sentinel:{pool.service_name}")


def from_url(url: str) -> SentinelMaster:
    hosts = Hosts.parse(url, 26379)
    service = hosts.query.pop("master", "")
    if not service:
        raise ValueError("?master=<name of the master> is missing")
    sentinel_kwargs: dict[str, Any] = {**TIMEOUTS, "retry": Retry(NoBackoff(), 0)}
    for name in ("username", "password"):
        if value := hosts.query.pop(f"sentinel_{name}", ""):
            sentinel_kwargs[name] = value
    if hosts.query:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(hosts.query))}")
    kwargs: dict[str, Any] = {**hosts.auth, "db": hosts.db}
    if url.startswith("rediss"):
        kwargs["ssl"] = True
    manager = Sentinel(hosts.nodes, sentinel_kwargs=sentinel_kwargs)  # type: ignore[no-untyped-call]  # redis-py's.
    return SentinelMaster(service, manager, kwargs, safe_url(url))

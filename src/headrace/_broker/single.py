"""Connections to one Redis server."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from headrace._broker.connections import Connections
from headrace._broker.tls import SyncTlsConnection, TlsConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio.client import PubSub
    from redis.asyncio.connection import AbstractConnection

    from headrace._broker.connections import Sender
    from headrace._broker.memory import Bell

__all__ = ["Connector", "Single"]

COMMAND_CONNECTIONS: Final = 10
RESERVED_CONNECTIONS: Final = 2
WAITING_CONNECTIONS: Final = 8
BLOCK_SECONDS: Final = 10.0
"""How long one blocking command waits in Redis."""
COMMAND_SECONDS: Final = 3.0
"""How long a round trip may take, where the user did not say."""
TIMEOUTS: Final = {"socket_connect_timeout": 5.0, "socket_timeout": COMMAND_SECONDS}
OWN_SETTINGS: Final = {
    "decode_responses": False,
    "encoding_errors": "surrogateescape",  # IDs and names may be any bytes.
    "protocol": 2,
    "health_check_interval": 0,
}


class Connector(Protocol):
    """Opens connections to one Redis."""

    @property
    def address(self) -> str:
        """Where it is, without credentials."""
        ...

    @property
    def bell(self) -> Bell | None:
        """What rings when a task becomes pending; None where Redis itself is waited for."""
        ...

    def commands(self) -> Sender:
        """Return what everything that waits for nothing goes through."""
        ...

    def reserved(self) -> Sender:
        """Return the same, with a connection or two that nobody else uses."""
        ...

    def waiting(self) -> Sender:
        """Return the same, for commands that block for `BLOCK_SECONDS`."""
        ...

    def pubsub(self) -> PubSub:
        """Return a subscriber."""
        ...

    def sync(self) -> redis.Redis | redis.RedisCluster | None:
        """Return a client for another thread; None where there is nothing to guard."""
        ...


def answer_seconds(kwargs: Mapping[str, Any]) -> float:
    """Return how long to wait for an answer: as the user's settings say, but not for ever."""
    return float(kwargs.get("socket_timeout") or COMMAND_SECONDS)


@dataclasses.dataclass(slots=True)
class Single:
    """A Redis server by itself."""

    kwargs: Mapping[str, Any]
    connection_class: type
    address: str
    bell: Bell | None = None

    def _connection(self, **more: object) -> AbstractConnection:
        kwargs = {**TIMEOUTS, **self.kwargs, **OWN_SETTINGS, **more, "retry": Retry(NoBackoff(), 0)}
        connection: AbstractConnection = self.connection_class(**kwargs)
        return connection

    def _connections(self, size: int, extra_seconds: float = 0.0) -> Sender:
        make = functools.partial(self._connection, socket_timeout=None)
        return Connections(make, size=size, timeout=extra_seconds + answer_seconds(self.kwargs))

    def commands(self) -> Sender:
        return self._connections(COMMAND_CONNECTIONS)

    def reserved(self) -> Sender:
        return self._connections(RESERVED_CONNECTIONS)

    def waiting(self) -> Sender:
        return self._connections(WAITING_CONNECTIONS, BLOCK_SECONDS)

    def pubsub(self) -> PubSub:
        kwargs = {**TIMEOUTS, **self.kwargs, **OWN_SETTINGS, "retry": Retry(NoBackoff(), 0)}
        pool = redis.asyncio.ConnectionPool(connection_class=self.connection_class, **kwargs)
        return redis.asyncio.Redis.from_pool(pool).pubsub()

    def sync(self) -> redis.Redis | None:
        if self.bell is not None:
            return None
        name = self.connection_class.__name__
        connection_class = getattr(redis.connection, name, redis.connection.Connection)
        if self.connection_class is TlsConnection:
            connection_class = SyncTlsConnection
        known = parameters(connection_class)
        kwargs = {
            k: v for k, v in {**TIMEOUTS, **self.kwargs, **OWN_SETTINGS}.items() if k in known
        }
        pool = redis.ConnectionPool(
            connection_class=connection_class, retry=SyncRetry(NoBackoff(), 0), **kwargs
        )
        return redis.Redis(connection_pool=pool)


def parameters(cls: type) -> set[str]:
    """Return the keyword arguments that a connection class and its bases take."""
    return {
        name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for name in inspect.signature(vars(base)["__init__"]).parameters
    }

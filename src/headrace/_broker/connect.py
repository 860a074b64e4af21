"""From a URL, or a client of the user's, to connections, each purpose with its own.

redis-py's own retries are off: it repeats a command whose answer it did not get, and
a script that moves tasks must not be repeated blindly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import SentinelConnectionPool

from headrace._broker import cluster, memory, sentinel
from headrace._broker.single import Single, parameters
from headrace._broker.tls import TlsConnection
from headrace._broker.urls import safe_url, what_is_wrong
from headrace._errors import InvalidOptionError

if TYPE_CHECKING:
    from headrace._broker.single import Connector

__all__ = ["connector"]

# Settings of a user's client that belong to that client only.
_NOT_TAKEN_OVER: Final = frozenset(
    {
        "connection_pool",
        "decode_responses",
        "event_dispatcher",
        "health_check_interval",
        "himport_registry",
        "legacy_responses",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler",
        "protocol",
        "redis_connect_func",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
    }
)


def connector(target: object) -> Connector:
    """Return the connector for *target*, a URL or a client of redis.asyncio.

    Raises:
        InvalidOptionError: If it is neither, or a URL that cannot be used.
    """
    if isinstance(target, str):
        return _from_url(target)
    if isinstance(target, redis.asyncio.RedisCluster):
        return cluster.of_client(target)
    if isinstance(target, redis.asyncio.Redis):
        return _of_client(target)
    raise InvalidOptionError("redis", target, "a URL or a client of redis.asyncio is needed")


def _of_client(client: redis.asyncio.Redis) -> Connector:
    """Use the settings of a user's client; its own connections stay its own."""
    pool = client.connection_pool
    kwargs = {k: v for k, v in pool.connection_kwargs.items() if k not in _NOT_TAKEN_OVER}
    if isinstance(pool, SentinelConnectionPool):
        return sentinel.of_pool(pool, kwargs)
    if memory.is_fake(pool.connection_class):
        return Single(
            kwargs, pool.connection_class, "memory:", bell=memory.bell_of(kwargs["server"])
        )
    where = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    return Single(kwargs, pool.connection_class, f"{where}/{kwargs.get('db') or 0}")


_SCHEMES: Final = (
    "memory://, redis://, rediss://, unix://, redis+sentinel://host:port,…/db?master=name, "
    "redis+cluster://host:port,…"
)
# The forms that asynq's tools write.
_ALIASES: Final = {"redis-socket": "unix", "redis-sentinel": "redis+sentinel"}


def _from_url(url: str) -> Connector:
    scheme, separator, rest = url.partition("://")
    scheme = _ALIASES.get(scheme, scheme)
    url = f"{scheme}{separator}{rest}"
    try:
        if scheme == "memory":
            connection_class, kwargs = memory.connection_to(rest)
            bell = memory.bell_of(kwargs["server"])
            return Single(kwargs, connection_class, safe_url(url), bell=bell)
        if scheme in {"redis", "rediss", "unix"}:
            return _single_from_url(url)
        if scheme in {"redis+sentinel", "rediss+sentinel"}:
            return sentinel.from_url(url)
        if scheme in {"redis+cluster", "rediss+cluster"}:
            return cluster.from_url(url)
    except (ValueError, TypeError) as error:
        raise InvalidOptionError("redis", safe_url(url), what_is_wrong(url, error)) from None
    raise InvalidOptionError("redis", safe_url(url), f"the forms of a URL are {_SCHEMES}")


def _single_from_url(url: str) -> Connector:
    kwargs = dict(parse_url(url))
    connection_class = cast("type", kwargs.pop("connection_class", redis.asyncio.Connection))
    if connection_class is redis.asyncio.SSLConnection:
        connection_class = TlsConnection
    unknown = set(kwargs) - parameters(connection_class)
    if unknown:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(unknown))}")
    return Single(kwargs, connection_class, safe_url(url))

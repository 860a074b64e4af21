"""From a URL, or a client of the user's, to connections, each purpose with its own.

redis-py's own retries are off: it repeats a command whose answer it did not get, and
a script that moves tasks must not be repeated blindly.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import urllib.parse
from typing import TYPE_CHECKING, Final, Protocol, cast

import redis
import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from headrace._broker import memory
from headrace._broker.connections import ClusterSender, Connections
from headrace._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio.client import PubSub

    from redis.asyncio.connection import AbstractConnection

    from headrace._broker.connections import Sender

__all__ = ["Connector", "connector", "safe_url"]

COMMAND_CONNECTIONS: Final = 10
RESERVED_CONNECTIONS: Final = 2
WAITING_CONNECTIONS: Final = 8
BLOCK_SECONDS: Final = 10.0
"""How long one blocking command waits in Redis."""
COMMAND_SECONDS: Final = 3.0
"""How long a round trip may take."""
_TIMEOUTS: Final = {"socket_connect_timeout": 5.0, "socket_timeout": COMMAND_SECONDS}
_OWN: Final = {"decode_responses": False, "protocol": 2, "health_check_interval": 0}
# Settings of a user's client that belong to that client only.
_NOT_TAKEN_OVER: Final = frozenset(
    "retry retry_on_error retry_on_timeout decode_responses protocol connection_pool "
    "health_check_interval redis_connect_func event_dispatcher maint_notifications_config "
    "maint_notifications_pool_handler himport_registry oss_cluster_maint_notifications_handler "
    "orig_host_address orig_socket_timeout orig_socket_connect_timeout legacy_responses".split()
)


class Connector(Protocol):
    """Opens connections to one Redis."""

    address: str
    """Where it is, without credentials."""
    bell: memory.Bell | None
    """Rings when a task becomes pending; None where Redis itself is waited for."""

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


def connector(target: object) -> Connector:
    """Return the connector for *target*, a URL or a client of redis.asyncio.

    Raises:
        InvalidOptionError: If it is neither, or a URL that cannot be used.
    """
    if isinstance(target, str):
        return _from_url(target)
    if isinstance(target, redis.asyncio.RedisCluster):
        return _cluster_of(target)
    if isinstance(target, redis.asyncio.Redis):
        return _of_client(target)
    raise InvalidOptionError(
        "redis", target, "a URL or a client of redis.asyncio is needed"
    )


def safe_url(url: str) -> str:
    """Return *url* without user name, password and query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


# --- One server ----------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Single:
    """A Redis server by itself."""

    kwargs: Mapping[str, object]
    connection_class: type
    address: str
    bell: memory.Bell | None = None

    def _connection(self, **more: object) -> AbstractConnection:
        kwargs = {**_TIMEOUTS, **self.kwargs, **_OWN, **more, "retry": Retry(NoBackoff(), 0)}
        return cast("AbstractConnection", self.connection_class(**kwargs))

    def _connections(self, size: int, seconds: float) -> Sender:
        make = functools.partial(self._connection, socket_timeout=None)
        return Connections(make, size=size, timeout=seconds)

    def commands(self) -> Sender:
        return self._connections(COMMAND_CONNECTIONS, COMMAND_SECONDS)

    def reserved(self) -> Sender:
        return self._connections(RESERVED_CONNECTIONS, COMMAND_SECONDS)

    def waiting(self) -> Sender:
        return self._connections(WAITING_CONNECTIONS, BLOCK_SECONDS + COMMAND_SECONDS)

    def pubsub(self) -> PubSub:
        kwargs = {**_TIMEOUTS, **self.kwargs, **_OWN, "retry": Retry(NoBackoff(), 0)}
        pool = redis.asyncio.ConnectionPool(connection_class=self.connection_class, **kwargs)
        return redis.asyncio.Redis.from_pool(pool).pubsub()

    def sync(self) -> redis.Redis | None:
        if self.bell is not None:
            return None
        name = self.connection_class.__name__
        connection_class = getattr(redis.connection, name, redis.connection.Connection)
        known = {*_parameters(connection_class)}
        kwargs = {k: v for k, v in {**_TIMEOUTS, **self.kwargs, **_OWN}.items() if k in known}
        pool = redis.ConnectionPool(
            connection_class=connection_class, retry=SyncRetry(NoBackoff(), 0), **kwargs
        )
        return redis.Redis(connection_pool=pool)


def _parameters(cls: type) -> set[str]:
    """Return the keyword arguments that a connection class and its bases take."""
    return {
        name for base in cls.__mro__ if base is not object
        for name in inspect.signature(base.__init__).parameters
    }


def _of_client(client: redis.asyncio.Redis) -> Connector:
    """Use the settings of a user's client; its own connections stay its own."""
    pool = client.connection_pool
    kwargs = {k: v for k, v in pool.connection_kwargs.items() if k not in _NOT_TAKEN_OVER}
    if isinstance(pool, SentinelConnectionPool):
        kwargs.pop("connection_pool", None)
        return _SentinelMaster(
            pool.service_name, pool.sentinel_manager, kwargs, f"sentinel:{pool.service_name}"
        )
    if memory.is_fake(pool.connection_class):
        return _Single(
            kwargs, pool.connection_class, "memory:", bell=memory.bell_of(kwargs["server"])
        )
    where = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    return _Single(kwargs, pool.connection_class, f"{where}/{kwargs.get('db') or 0}")


# --- URLs ----------------------------------------------------------------------------------

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
            return _Single(kwargs, connection_class, safe_url(url), bell=bell)
        if scheme in {"redis", "rediss", "unix"}:
            return _single_from_url(url)
        if scheme in {"redis+sentinel", "rediss+sentinel"}:
            return _sentinel_from_url(url)
        if scheme in {"redis+cluster", "rediss+cluster"}:
            return _cluster_from_url(url)
    except (ValueError, TypeError) as error:
        raise InvalidOptionError("redis", safe_url(url), str(error)) from None
    raise InvalidOptionError("redis", safe_url(url), f"the forms of a URL are {_SCHEMES}")


def _single_from_url(url: str) -> Connector:
    kwargs = dict(parse_url(url))
    connection_class = cast("type", kwargs.pop("connection_class", redis.asyncio.Connection))
    unknown = set(kwargs) - _parameters(connection_class)
    if unknown:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(unknown))}")
    return _Single(kwargs, connection_class, safe_url(url))


@dataclasses.dataclass(slots=True)
class _Hosts:
    """The parts of a URL with several hosts, which urllib does not read."""

    nodes: list[tuple[str, int]]
    auth: dict[str, str]
    db: int
    query: dict[str, str]

    @classmethod
    def parse(cls, url: str, default_port: int) -> _Hosts:
        parts = urllib.parse.urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        auth = {"username": username, "password": password}
        nodes = []
        for host in hosts.split(","):
            name, _, port = host.rpartition(":") if ":" in host else (host, "", default_port)
            if not name:
                raise ValueError("a host is missing")
            nodes.append((name.strip("[]"), int(port)))
        path = parts.path.strip("/")
        return cls(
            nodes,
            {k: urllib.parse.unquote(v) for k, v in auth.items() if v},
            int(path) if path else 0,
            dict(urllib.parse.parse_qsl(parts.query)),
        )


# --- Sentinel ------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _SentinelMaster:
    """The current master of a Sentinel group."""

    service: str
    manager: Sentinel
    kwargs: Mapping[str, object]
    address: str
    bell: None = None

    def _pool(self, **more: object) -> SentinelConnectionPool:
        kwargs = {**_TIMEOUTS, **self.kwargs, **_OWN, **more}
        return SentinelConnectionPool(
            self.service, self.manager, retry=Retry(NoBackoff(), 0), **kwargs
        )

    def _connections(self, size: int, seconds: float) -> Sender:
        # The pool finds the master; the connections are kept outside of it.
        pool = self._pool(socket_timeout=None)
        return Connections(pool.make_connection, size=size, timeout=seconds)

    def commands(self) -> Sender:
        return self._connections(COMMAND_CONNECTIONS, COMMAND_SECONDS)

    def reserved(self) -> Sender:
        return self._connections(RESERVED_CONNECTIONS, COMMAND_SECONDS)

    def waiting(self) -> Sender:
        return self._connections(WAITING_CONNECTIONS, BLOCK_SECONDS + COMMAND_SECONDS)

    def pubsub(self) -> PubSub:
        return redis.asyncio.Redis.from_pool(self._pool()).pubsub()

    def sync(self) -> redis.Redis:
        from redis.sentinel import Sentinel as SyncSentinel  # noqa: PLC0415 - rarely used

        nodes = [
            (node.connection_pool.connection_kwargs["host"],
             node.connection_pool.connection_kwargs["port"])
            for node in self.manager.sentinels
        ]
        known = _parameters(redis.connection.Connection)
        own = {k: v for k, v in self.manager.sentinel_kwargs.items() if k in known}
        manager = SyncSentinel(nodes, sentinel_kwargs={**own, "retry": SyncRetry(NoBackoff(), 0)})
        kwargs = {k: v for k, v in {**_TIMEOUTS, **self.kwargs, **_OWN}.items() if k in known}
        return manager.master_for(self.service, retry=SyncRetry(NoBackoff(), 0), **kwargs)


def _sentinel_from_url(url: str) -> Connector:
    hosts = _Hosts.parse(url, 26379)
    service = hosts.query.pop("master", "")
    if not service:
        raise ValueError("?master=<name of the master> is missing")
    sentinel_kwargs: dict[str, object] = {**_TIMEOUTS, "retry": Retry(NoBackoff(), 0)}
    for name in ("username", "password"):
        if value := hosts.query.pop(f"sentinel_{name}", ""):
            sentinel_kwargs[name] = value
    if hosts.query:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(hosts.query))}")
    kwargs: dict[str, object] = {**hosts.auth, "db": hosts.db}
    if url.startswith("rediss"):
        kwargs["ssl"] = True
    manager = Sentinel(hosts.nodes, sentinel_kwargs=sentinel_kwargs)
    return _SentinelMaster(service, manager, kwargs, safe_url(url))


# --- Cluster -------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Cluster:
    """A Redis Cluster. A queue's keys share a slot, so its scripts run on one node."""

    nodes: list[tuple[str, int]]
    kwargs: Mapping[str, object]
    address: str
    bell: None = None

    def _client(self, **more: object) -> Sender:
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in self.nodes]
        client = redis.asyncio.RedisCluster(
            startup_nodes=nodes,
            retry=Retry(NoBackoff(), 0),
            **{**_TIMEOUTS, **self.kwargs, **_OWN, **more},
        )
        return ClusterSender(client)

    def commands(self) -> Sender:
        return self._client()

    def reserved(self) -> Sender:
        return self._client()

    def waiting(self) -> Sender:
        return self._client(socket_timeout=BLOCK_SECONDS + 5)

    def pubsub(self) -> PubSub:
        # A message that one node publishes reaches the subscribers of all.
        host, port = self.nodes[0]
        kwargs = {k: v for k, v in self.kwargs.items() if k in {"username", "password", "ssl"}}
        return redis.asyncio.Redis(
            host=host, port=port, retry=Retry(NoBackoff(), 0), **{**_TIMEOUTS, **kwargs}
        ).pubsub()

    def sync(self) -> redis.RedisCluster:
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in self.nodes]
        return redis.RedisCluster(
            startup_nodes=nodes, retry=SyncRetry(NoBackoff(), 0), **{**_TIMEOUTS, **self.kwargs}
        )


def _cluster_from_url(url: str) -> Connector:
    hosts = _Hosts.parse(url, 6379)
    if hosts.query:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(hosts.query))}")
    if hosts.db:
        raise ValueError("a cluster has no database but 0")
    kwargs: dict[str, object] = {**hosts.auth}
    if url.startswith("rediss"):
        kwargs["ssl"] = True
    return _Cluster(hosts.nodes, kwargs, safe_url(url))


def _cluster_of(client: redis.asyncio.RedisCluster) -> Connector:
    nodes = [(node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()]
    taken = {"username", "password", "ssl"}
    kwargs = {k: v for k, v in client.connection_kwargs.items() if k in taken}
    return _Cluster(nodes, kwargs, ",".join(f"{host}:{port}" for host, port in nodes))

"""Connections to a Redis Cluster."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from headrace._broker.connections import ClusterSender
from headrace._broker.single import BLOCK_SECONDS, OWN_SETTINGS, TIMEOUTS
from headrace._broker.urls import Hosts, safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from redis.asyncio.client import PubSub

    from headrace._broker.connections import Sender

__all__ = ["Cluster", "from_url", "of_client"]


@dataclasses.dataclass(slots=True)
class Cluster:
    """A Redis Cluster. A queue's keys share a slot, so its scripts run on one node."""

    nodes: list[tuple[str, int]]
    kwargs: Mapping[str, Any]
    address: str
    bell: None = None
    _turns: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def _client(self, **more: object) -> Sender:
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in self.nodes]
        client = redis.asyncio.RedisCluster(
            startup_nodes=nodes,
            retry=Retry(NoBackoff(), 0),
            **{**TIMEOUTS, **self.kwargs, **OWN_SETTINGS, **more},
        )
        return ClusterSender(client)

    def commands(self) -> Sender:
        return self._client()

    def reserved(self) -> Sender:
        return self._client()

    def waiting(self) -> Sender:
        return self._client(socket_timeout=BLOCK_SECONDS + 5)

    def pubsub(self) -> PubSub:
        # A message that one node publishes reaches the subscribers of all. Each call takes the
        # next node: the last one may be gone.
        host, port = self.nodes[next(self._turns) % len(self.nodes)]
        kwargs = {k: v for k, v in self.kwargs.items() if k in {"username", "password", "ssl"}}
        return redis.asyncio.Redis(
            host=host, port=port, retry=Retry(NoBackoff(), 0), **{**TIMEOUTS, **kwargs}
        ).pubsub()

    def sync(self) -> redis.RedisCluster:
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in self.nodes]  # type: ignore[no-untyped-call]  # redis-py's.
        return redis.RedisCluster(
            startup_nodes=nodes, retry=SyncRetry(NoBackoff(), 0), **{**TIMEOUTS, **self.kwargs}
        )


def from_url(url: str) -> Cluster:
    hosts = Hosts.parse(url, 6379)
    if hosts.query:
        raise ValueError(f"it has unknown parameters: {', '.join(sorted(hosts.query))}")
    if hosts.db:
        raise ValueError("a cluster has no database but 0")
    kwargs: dict[str, Any] = {**hosts.auth}
    if url.startswith("rediss"):
        kwargs["ssl"] = True
    return Cluster(hosts.nodes, kwargs, safe_url(url))


def of_client(client: redis.asyncio.RedisCluster) -> Cluster:
    nodes = [(node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()]
    taken = {"username", "password", "ssl"}
    kwargs = {k: v for k, v in client.connection_kwargs.items() if k in taken}
    return Cluster(nodes, kwargs, ",".join(f"{host}:{port}" for host, port in nodes))

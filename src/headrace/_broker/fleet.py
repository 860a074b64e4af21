"""Who works on the queues: servers, schedulers, and the nodes of a cluster. Writes nothing."""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING, TypeVar

import redis.asyncio
import redis.asyncio.cluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import PRIMARY
from redis.crc import key_slot

from headrace._broker.cluster import Cluster
from headrace._broker.commands import checked
from headrace._broker.faults import FOREIGN_ERRORS, broker_error
from headrace._broker.keys import SCHEDULERS, SERVERS, WORKERS, scheduler_history_key
from headrace._broker.listing import text
from headrace._broker.single import TIMEOUTS
from headrace._errors import ClusterRequiredError, MessageDecodeError
from headrace._fleet_message import (
    decode_scheduler_entry,
    decode_scheduler_event,
    decode_server_info,
    decode_worker_info,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.link import Link
    from headrace._fleet_message import SchedulerEnqueueEvent, SchedulerEntry, WorkerInfo

__all__ = ["ClusterNode", "Fleet", "RunningTask", "ServerStatus"]

_log = logging.getLogger("headrace.broker")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """A task that a server runs. Times are Unix seconds."""

    task_id: str
    task_type: str
    queue: str
    payload: bytes = dataclasses.field(default=b"", repr=False)
    started_at: float
    deadline: float | None = None
    """When the attempt must have ended; None: no limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """A server as it reported itself at its last heartbeat."""

    id: str
    host: str
    pid: int
    concurrency: int
    """How many tasks it runs at once at the most."""
    queues: Mapping[str, int]
    """Queue -> its weight."""
    strict_priority: bool
    status: str
    """``"active"`` or ``"stopped"``, as a rule."""
    started_at: float
    """Unix seconds."""
    active_worker_count: int
    """How many tasks it runs."""
    workers: Sequence[RunningTask] = ()
    """Those tasks, the oldest first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A node of a Redis Cluster."""

    host: str
    port: int
    is_primary: bool
    """False for a replica."""


class Fleet:
    """Reads what servers and schedulers report."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def servers(self) -> list[ServerStatus]:
        """Return the servers that live, sorted by host, process and ID."""
        server_keys = await self._living(SERVERS)
        if not server_keys:
            return []
        replies = await self._link.commands.run(
            *(("GET", key) for key in server_keys),
            *(("HVALS", key.replace(SERVERS, WORKERS, 1)) for key in server_keys),
        )
        half = len(server_keys)
        found: list[ServerStatus] = []
        for data, workers in zip(map(checked, replies[:half]), replies[half:], strict=True):
            if data is not None:
                running = _decoded(decode_worker_info, checked(workers))
                found += _decoded(functools.partial(_server, running), [data])
        return sorted(found, key=lambda server: (server.host, server.pid, server.id))

    async def scheduler_entries(self) -> list[SchedulerEntry]:
        """Return the entries of all schedulers that live, the next to be due first."""
        keys = await self._living(SCHEDULERS)
        if not keys:
            return []
        replies = await self._link.commands.run(*(("LRANGE", key, 0, -1) for key in keys))
        entries = [
            entry for reply in replies for entry in _decoded(decode_scheduler_entry, checked(reply))
        ]
        return sorted(entries, key=lambda entry: (entry.next_enqueue_time, entry.id))

    async def enqueue_events(
        self, entry_id: str, *, offset: int, count: int
    ) -> list[SchedulerEnqueueEvent]:
        """Return what an entry enqueued, the latest first."""
        key = scheduler_history_key(entry_id)
        command = ("ZREVRANGE", key, offset, offset + count - 1)
        return _decoded(decode_scheduler_event, await self._link.commands.one(command))

    async def _living(self, key: str) -> list[str]:
        """Return the keys of what reported itself a moment ago."""
        time = await self._link.commands.one(("TIME",))
        command = ("ZRANGEBYSCORE", key, int(time[0]), "+inf")
        return [text(member) for member in await self._link.commands.one(command)]

    # --- Cluster ---------------------------------------------------------------------------

    def cluster_key_slot(self, queue: str) -> int:
        """Return the number of the slot that holds the queue's keys.

        Raises:
            ClusterRequiredError: If Redis is no cluster.
        """
        self._cluster()
        return key_slot(self._link.keys(queue).pending.encode("utf-8", "surrogateescape"))

    async def cluster_nodes(self, queue: str) -> list[ClusterNode]:
        """Return the nodes that hold the queue, the primary first.

        Raises:
            ClusterRequiredError: If Redis is no cluster.
            BrokerError: If it did not answer.
        """
        cluster, slot = self._cluster(), self.cluster_key_slot(queue)
        client = redis.asyncio.RedisCluster(
            startup_nodes=[
                redis.asyncio.cluster.ClusterNode(host, port) for host, port in cluster.nodes
            ],
            retry=Retry(NoBackoff(), 0),
            **{**TIMEOUTS, **cluster.kwargs},
        )
        try:
            await client.initialize()
            nodes = client.nodes_manager.slots_cache.get(slot, [])
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error
        finally:
            await client.aclose()
        found = [
            ClusterNode(
                host=str(node.host), port=int(node.port), is_primary=node.server_type == PRIMARY
            )
            for node in nodes
        ]
        return sorted(found, key=lambda node: (not node.is_primary, node.host, node.port))

    def _cluster(self) -> Cluster:
        connector = self._link.connector
        if not isinstance(connector, Cluster):
            raise ClusterRequiredError(connector.address)
        return connector


def _decoded(decode: Callable[[bytes], T], items: Iterable[Reply]) -> list[T]:
    """Return what can be read of *items*, which other programs may have written."""
    found = []
    for item in items:
        try:
            found.append(decode(bytes(item)))
        except MessageDecodeError as error:
            _log.warning("A report is left out, for it cannot be read: %s", error)
    return found


def _server(workers: Sequence[WorkerInfo], data: bytes) -> ServerStatus:
    info = decode_server_info(data)
    running = [
        RunningTask(
            task_id=worker.task_id,
            task_type=worker.task_type,
            queue=worker.queue,
            payload=worker.task_payload,
            started_at=worker.start_time,
            deadline=worker.deadline or None,
        )
        for worker in workers
    ]
    return ServerStatus(
        id=info.server_id,
        host=info.host,
        pid=info.pid,
        concurrency=info.concurrency,
        queues=info.queues,
        strict_priority=info.strict_priority,
        status=info.status,
        started_at=info.start_time,
        active_worker_count=info.active_worker_count,
        workers=tuple(sorted(running, key=lambda task: (task.started_at, task.task_id))),
    )

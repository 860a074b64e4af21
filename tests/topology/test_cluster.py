"""Cluster: each queue on the node that has its slot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from headrace import Client, Server, Task, TaskState
from headrace._broker.base import Lease
from headrace._broker.keys import QueueKeys
from headrace._broker.redis import RedisBroker
from tests.server.helpers import Gate, job, queue_stats, serving
from tests.topology.scenario import everything

if TYPE_CHECKING:
    from tests.server.helpers import Watch
    from tests.topology.servers import ClusterOfThree

KEYS = QueueKeys("default")


async def test_everything_on_a_cluster(cluster_url: str) -> None:
    """redis+cluster:// does everything, with queues on several nodes."""
    await everything(cluster_url)


async def test_one_node_is_enough_to_find_the_others(
    cluster: ClusterOfThree, cluster_url: str
) -> None:
    """A URL may name a single node."""
    await everything(f"redis+cluster://127.0.0.1:{cluster.nodes[1].port}")


async def test_cluster_client_of_the_users(cluster: ClusterOfThree, cluster_url: str) -> None:
    """A RedisCluster client of the user's does everything, and is left open."""
    own = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port)
    await everything(own)
    assert await own.ping()
    await own.aclose()


async def test_queues_lie_on_their_nodes(
    cluster: ClusterOfThree, cluster_url: str, gate: Gate
) -> None:
    """All keys of a queue are on one node; queues of all nodes are served by one worker."""
    queues = {f"q{n}": 1 for n in range(6)}
    gate.open()
    async with Client(cluster_url) as client:
        for queue in queues:
            await client.enqueue(job(queue), queue=queue, retention=60)
        assert 3 == len({cluster.node_of(queue).port for queue in queues})
        async with serving(cluster_url, gate, queues=queues):
            await gate.until_entered(6)
        stats = await queue_stats(client)

    assert set(queues) == set(gate.entered)
    assert [(queue, 1) for queue in queues] == [(one.queue, one.processed) for one in stats]


async def test_guard_extends_leases_on_all_nodes(cluster_url: str) -> None:
    """The guard thread's client finds each queue's node."""
    queues = [f"q{n}" for n in range(6)]
    broker = RedisBroker(cluster_url)
    async with Client(cluster_url) as client:
        infos = [await client.enqueue(job("x"), queue=queue) for queue in queues]
    got = await broker.dequeue(dict.fromkeys(queues, 1), token="token", lease_duration=5)  # noqa: S106 - an attempt's
    leases = [attempt.lease for attempt in got.attempts]
    assert {(info.queue, info.id) for info in infos} == {(one.queue, one.task_id) for one in leases}
    guard = broker.lease_guard()
    assert guard is not None
    await asyncio.to_thread(guard.extend, leases, 500.0)
    await asyncio.to_thread(guard.close)
    ends = [
        await broker._link.commands.one(("ZSCORE", QueueKeys(one.queue).lease, one.task_id))
        for one in leases
    ]
    await broker.close()

    assert all(float(str(end, "ascii")) > time.time() + 400 for end in ends)  # type: ignore[arg-type]
    assert isinstance(leases[0], Lease)


async def test_server_shows_itself_on_a_cluster(cluster_url: str, gate: Gate) -> None:
    """A server's state is written although its keys lie on several nodes."""
    async with Client(cluster_url) as client:
        commands = client._broker._link.commands
        async with serving(cluster_url, gate, heartbeat_interval=0.1, lease_duration=1):
            async with asyncio.timeout(10):
                while not await commands.one(("ZCARD", "asynq:servers")):
                    await asyncio.sleep(0.02)
        assert 0 == await commands.one(("ZCARD", "asynq:servers"))


async def test_node_that_restarts(
    cluster: ClusterOfThree, cluster_url: str, gate: Gate, watch: Watch
) -> None:
    """While one node is away the queues of others go on; its own go on when it is back."""
    queues = {f"q{n}": 1 for n in range(6)}
    away = cluster.node_of("q0")
    here = next(queue for queue in queues if cluster.node_of(queue) is not away)
    gate.open()
    async with (
        Client(cluster_url, timeout=20) as client,
        serving(cluster_url, gate, queues=queues, state_prober=watch.prober),
    ):
        before = await client.enqueue(job("before"), queue="q0")
        await watch.until(before, TaskState.COMPLETED)
        await asyncio.to_thread(away.stop)
        meanwhile = await client.enqueue(job("meanwhile"), queue=here)
        await watch.until(meanwhile, TaskState.COMPLETED)
        await asyncio.to_thread(away.start)
        await asyncio.to_thread(cluster.until_whole)
        after = await client.enqueue(job("after"), queue="q0")
        await watch.until(after, TaskState.COMPLETED)


async def test_published_cancellation_reaches_every_node(
    cluster: ClusterOfThree, cluster_url: str, gate: Gate, watch: Watch
) -> None:
    """A request that is published on any node reaches the worker."""
    async with (
        Client(cluster_url) as client,
        serving(cluster_url, gate, state_prober=watch.prober, concurrency=3),
    ):
        for n, node in enumerate(cluster.nodes):
            info = await client.enqueue(Task("t", str(n).encode()), max_retry=0)
            await gate.until_entered(n + 1)
            with node.client() as direct:
                async with asyncio.timeout(10):
                    while gate.running:
                        direct.publish("asynq:cancel", info.id)
                        await asyncio.sleep(0.02)
            await watch.until(info, TaskState.ARCHIVED)


def test_database_number_is_refused(cluster_url: str) -> None:
    """A cluster has no databases but 0: another number is an error."""
    with pytest.raises(ValueError, match="no database but 0"):
        Server(f"{cluster_url}/1", Gate())

"""Cluster: each queue on the node that has its slot."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from headrace import Client, Server, Task, TaskState
from headrace._broker.keys import QueueKeys
from tests.server.helpers import Gate, eventually, job, queue_stats, serving
from tests.topology.scenario import everything, guard_extends

if TYPE_CHECKING:
    from tests.server.helpers import Watch
    from tests.topology.servers import ClusterOfThree


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
        nodes = {cluster.node_of(QueueKeys(queue).pending).port for queue in queues}
        assert 3 == len(nodes)
        async with serving(cluster_url, gate, queues=queues):
            await gate.until_entered(6)
        stats = await queue_stats(client)

    assert set(queues) == set(gate.entered)
    assert [(queue, 1) for queue in queues] == [(one.queue, one.processed) for one in stats]


async def test_guard_extends_leases_on_all_nodes(cluster_url: str) -> None:
    """The guard thread's client finds each queue's node."""
    await guard_extends(cluster_url)
    own = redis.asyncio.RedisCluster.from_url(cluster_url.partition(",")[0].replace("+cluster", ""))
    await guard_extends(own)
    await own.aclose()


async def test_server_shows_itself_on_a_cluster(cluster_url: str, gate: Gate) -> None:
    """A server's state is written although its keys lie on several nodes."""
    async with Client(cluster_url) as client:
        commands = client._broker._link.commands
        async with serving(cluster_url, gate, heartbeat_interval=0.1, lease_duration=1):
            await eventually(lambda: commands.one(("ZCARD", "asynq:servers")))
        assert 0 == await commands.one(("ZCARD", "asynq:servers"))


async def test_node_that_restarts(
    cluster: ClusterOfThree,
    cluster_url: str,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While one node is away the queues of others go on; its own go on when it is back."""
    queues = {f"q{n}": 1 for n in range(6)}
    node_of = {queue: cluster.node_of(QueueKeys(queue).pending) for queue in queues}
    # The names of the queues are on a node, too: without it no client gets an answer.
    gone, away = next(
        (queue, node)
        for queue, node in node_of.items()
        if node is not cluster.node_of("asynq:queues")
    )
    others = [queue for queue, node in node_of.items() if node is not away]
    gate = Gate(is_open=True)
    async with (
        Client(cluster_url, timeout=60) as client,
        serving(cluster_url, gate, queues=queues, state_prober=watch.prober),
    ):
        for queue in queues:
            await client.enqueue(job("before"), queue=queue)
        await watch.ended(6)
        await asyncio.to_thread(away.stop)
        try:
            for _ in range(5):
                meanwhile = [await client.enqueue(job("meanwhile"), queue=q) for q in others]
                for info in meanwhile:
                    await watch.until(info, TaskState.COMPLETED)
        finally:
            await asyncio.to_thread(away.start)
            await asyncio.to_thread(cluster.until_whole)
        after = await client.enqueue(job("after"), queue=gone)
        await watch.until(after, TaskState.COMPLETED)
        crashes = sum(one.state is TaskState.ACTIVE for one in watch.infos) - len(gate.left)

    assert 0 == crashes
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) < 12
    assert not [one for one in caplog.records if "never retrieved" in one.getMessage()]


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
                publish = functools.partial(direct.publish, "asynq:cancel", info.id)

                async def cancelled() -> bool:
                    publish()  # noqa: B023 - called within this round of the loop
                    return not gate.running

                await eventually(cancelled)
            await watch.until(info, TaskState.ARCHIVED)


def test_database_number_is_refused(cluster_url: str) -> None:
    """A cluster has no databases but 0: another number is an error."""
    with pytest.raises(ValueError, match="no database but 0"):
        Server(f"{cluster_url}/1", Gate())

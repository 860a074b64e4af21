"""The audit on a cluster: keys lie on all nodes, and those of a queue on one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio
import redis

from headrace import Auditor, Client, Server, Task
from headrace._broker.keys import QueueKeys
from tests.server.helpers import eventually

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer
    from tests.topology.servers import ClusterOfThree

QUEUES = ("a", "b", "q")


@pytest_asyncio.fixture
async def strays(cluster: ClusterOfThree, cluster_url: str) -> dict[str, str]:
    """Per queue, the ID of a task that is in no container any more."""
    found = {}
    async with Client(cluster_url) as client:
        for queue in QUEUES:
            found[queue] = (await client.enqueue(Task("t"), queue=queue)).id
            with cluster.node_of(queue).client() as node:
                node.delete(QueueKeys(queue).pending)
    return found


def plant_unknown_key(node: RedisServer) -> None:
    """Write a key that no rule knows to the node."""
    with node.client() as client:
        for n in range(1_000):
            try:
                client.set(f"headrace:what{n}", "1")
            except redis.exceptions.MovedError:
                continue  # The slot is another node's.
            else:
                return


async def test_damage_on_every_node_is_healed(
    cluster: ClusterOfThree, cluster_url: str, strays: dict[str, str]
) -> None:
    """What only a look at all keys finds is found on each node, of queues and of none."""
    assert len({cluster.node_of(queue).port for queue in QUEUES}) > 1
    for node in cluster.nodes:
        plant_unknown_key(node)

    async with Auditor(cluster_url, settle=0) as auditor:
        found = [finding async for finding in auditor.audit(repair=True)]
        left = [finding async for finding in auditor.audit()]

    assert {(1, queue, stray, True) for queue, stray in strays.items()} == {
        (one.invariant, one.queue, one.subject, one.repaired) for one in found if one.queue
    }
    assert [24] * 3 == [one.invariant for one in found if not one.queue]
    assert [24] * 3 == [one.invariant for one in left]


async def test_servers_heal_their_queues(cluster_url: str, strays: dict[str, str]) -> None:
    """Servers find the tasks of their queues that are in no container, and run them."""
    ran: set[str] = set()

    async def handler(task: Task) -> None:
        ran.add(task.type)

    async with Server(
        cluster_url, handler, queues=dict.fromkeys(QUEUES, 1), reconcile_interval=0.2
    ) as server:

        async def are_done() -> bool:
            found = [await server._broker.get_task(*item) for item in strays.items()]
            return not any(found)

        await eventually(are_done)
    assert {"t"} == ran

"""The inspector on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import Client, ClusterNode, Inspector, Server, Task
from headrace._broker.keys import QueueKeys

if TYPE_CHECKING:
    from tests.topology.servers import ClusterOfThree


async def test_where_a_queue_lies(cluster: ClusterOfThree, cluster_url: str) -> None:
    """The slot is Redis's own, and the node that which has the slot."""
    async with Inspector(cluster_url) as inspector:
        for queue in ("a", "b", "q", "ü"):
            node = cluster.node_of(queue)
            with node.client() as client:
                slot = client.execute_command("CLUSTER", "KEYSLOT", QueueKeys(queue).pending)
            assert slot == await inspector.cluster_key_slot(queue)
            assert [
                ClusterNode(host="127.0.0.1", port=node.port, is_primary=True)
            ] == await inspector.cluster_nodes(queue)


async def test_everything_on_a_cluster(cluster_url: str) -> None:
    """Queues on several nodes are looked at and changed like any other."""
    queues = ("a", "b", "q")

    async def handler(task: Task) -> None:
        """Do nothing."""

    async with Inspector(cluster_url) as inspector, Client(cluster_url) as client:
        for queue in queues:
            for n in range(3):
                await client.enqueue(Task("t", n), queue=queue, process_in=60, unique=60)
            await client.enqueue(Task("t"), queue=queue, group="g", task_id="grouped")
        stats = await inspector.stats()
        assert [(queue, 3, 1) for queue in queues] == [
            (one.queue, one.scheduled, one.aggregating) for one in stats
        ]
        assert all(one.memory_usage for one in stats)
        for queue in queues:
            [first, *_] = await inspector.list_tasks(queue, "scheduled")
            await inspector.update_payload(queue, first.id, "new")
            await inspector.delete_task(queue, first.id)
            assert 1 == await inspector.archive_all(queue, "aggregating")
            assert 2 == await inspector.run_all(queue, "scheduled")
            assert 2 == len([info async for info in inspector.iter_tasks(queue, "pending")])
            assert 2 == await inspector.delete_all(queue, "pending")
            assert await inspector.pause(queue)
            assert [0] == [day.processed for day in await inspector.history(queue, 1)]
        async with Server(cluster_url, handler, queues=dict.fromkeys(queues, 1)):
            while not (servers := await inspector.servers()):
                pass  # Its first heartbeat is on its way.
            assert set(queues) == set(servers[0].queues)
        assert [1, 1, 1] == [await inspector.delete_queue(queue, force=True) for queue in queues]
        assert [] == await inspector.queues()

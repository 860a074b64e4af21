"""What the inspector tells of servers, schedulers and the nodes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._inspector._base import Part, name_of
from headrace._validation import whole_number

if TYPE_CHECKING:
    from headrace._broker.fleet import ClusterNode, ServerStatus
    from headrace._fleet_message import SchedulerEnqueueEvent, SchedulerEntry

__all__ = ["Fleet"]

MAX_EVENTS = 1_000  # More are not kept.


class Fleet(Part):
    """Looks at who works on the queues."""

    async def servers(self) -> list[ServerStatus]:
        """Return the servers that live, with the tasks that each runs, as of its last heartbeat.

        Sorted by host, process ID and server ID.
        """
        return await self._broker.servers()

    async def scheduler_entries(self) -> list[SchedulerEntry]:
        """Return the periodic tasks of all schedulers that live, the next to be due first."""
        return await self._broker.scheduler_entries()

    async def enqueue_events(
        self, entry_id: str, *, page: int = 1, size: int = 30
    ) -> list[SchedulerEnqueueEvent]:
        """Return what a scheduler entry enqueued, the latest first; the last 1,000 are kept.

        Args:
            entry_id: As `scheduler_entries` tells it; an unknown one enqueued nothing.
            page: Which page; the first is 1.
            size: How many events a page has.

        Raises:
            InvalidOptionError: If the page cannot be used.
        """
        whole_number("size", size, at_least=1, at_most=MAX_EVENTS)
        whole_number("page", page, at_least=1, at_most=MAX_EVENTS)
        return await self._broker.enqueue_events(
            name_of("entry_id", entry_id), offset=(page - 1) * size, count=size
        )

    async def redis_info(self) -> dict[str, str]:
        """Return what Redis tells of itself: the fields of its INFO, such as ``"redis_version"``.

        On a cluster it is one of the nodes that answers. ``memory://`` tells nothing.
        """
        return await self._broker.redis_info()

    async def cluster_key_slot(self, queue: str) -> int:
        """Return the number of the slot in a Redis Cluster that holds the keys of *queue*.

        Raises:
            ClusterRequiredError: If the inspector was not given a cluster.
        """
        return self._broker.cluster_key_slot(name_of("queue", queue))

    async def cluster_nodes(self, queue: str) -> list[ClusterNode]:
        """Return the nodes of a Redis Cluster that hold *queue*, the primary first.

        Raises:
            ClusterRequiredError: If the inspector was not given a cluster.
        """
        return await self._broker.cluster_nodes(name_of("queue", queue))

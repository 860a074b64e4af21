"""What the rest of Headrace asks of a broker: protocols, no Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from headrace._audit import Finding
    from headrace._broker.values import (
        AggregationSet,
        Applied,
        Dequeued,
        Extended,
        Finish,
        Forwarded,
        GroupLimits,
        Lease,
        Placed,
        Placement,
        Recovered,
    )
    from headrace._errors import HeadraceError
    from headrace._limits import QueueLimits
    from headrace._task import TaskInfo


class LeaseGuard(Protocol):
    """Extends leases from a thread while the event loop is blocked."""

    def extend(self, leases: Sequence[Lease], duration: float) -> None:
        """Extend *leases* to *duration* seconds from now. Called from another thread."""
        ...

    def close(self) -> None:
        """Close its connection."""
        ...


# --- The broker, by who calls it -----------------------------------------------------------


class EnqueueBroker(Protocol):
    """The client's side."""

    async def enqueue(self, placements: Sequence[Placement]) -> list[Placed | HeadraceError]:
        """Write tasks; answer for each.

        Raises:
            BrokerError: If Redis did not answer. Any of the tasks may have been written.
        """
        ...

    async def get_task(self, queue: str, task_id: str) -> TaskInfo | None:
        """Report on a task; None if the queue does not hold it."""
        ...

    async def request_cancel(self, queue: str, task_id: str) -> bool:
        """Ask the worker that runs the task to cancel it; False if none runs it."""
        ...


class ProcessorBroker(Protocol):
    """The processor's side."""

    async def dequeue(
        self, quotas: Mapping[str, int], *, token: str, lease_duration: float
    ) -> Dequeued:
        """Take up to ``quotas[queue]`` tasks of each queue, in the order of *quotas*.

        The token identifies this call for good: when its answer is lost, the tasks that it
        took are found by it. What the limits of a queue do not allow stays in it.
        """
        ...

    async def taken_by(self, queues: Sequence[str], *, token: str) -> Dequeued:
        """Find what a dequeue with *token* took whose answer was lost."""
        ...

    async def wait_for_pending(
        self, queues: Sequence[str], *, timeout: float, poll_interval: float
    ) -> None:
        """Return when one of *queues* may hold a pending task.

        Args:
            queues: What to wait for.
            timeout: Seconds after which it returns in any case.
            poll_interval: The same, where Redis cannot be waited for.
        """
        ...


class FinisherBroker(Protocol):
    """The finisher's and the syncer's side."""

    async def finish(self, finishes: Sequence[Finish], *, repeat: bool = False) -> list[Applied]:
        """Apply the ends of attempts; answer for each.

        Raises:
            BrokerError: If Redis did not answer. Any of them may have been applied; the same
                call with *repeat* is safe.
        """
        ...

    async def annotate(self, lease: Lease, field: str, value: bytes) -> bool:
        """Write a field of a running task's hash; False if the lease is lost."""
        ...


class HeartbeatBroker(Protocol):
    """The heartbeater's side. It has a connection of its own."""

    async def extend(self, leases: Sequence[Lease], duration: float) -> Extended:
        """Extend leases to *duration* seconds from now."""
        ...

    async def write_server(
        self, server_key: str, info: bytes, workers: Mapping[str, bytes], ttl: float
    ) -> None:
        """Publish a server's state and its running tasks for *ttl* seconds."""
        ...

    async def clear_server(self, server_key: str) -> None:
        """Remove a server's state."""
        ...

    def lease_guard(self) -> LeaseGuard | None:
        """Return a guard; None where nothing outside this process could take a lease."""
        ...


class UpkeepBroker(Protocol):
    """The side of the forwarder, the recoverer, the janitor and the healthchecker."""

    async def forward(self, queue: str) -> Forwarded:
        """Make up to 100 due tasks of each container pending (or put them in their group)."""
        ...

    async def recover(self, queue: str, *, max_crashes: int) -> Recovered:
        """Take up to 100 tasks from attempts whose lease has ended. 0 crashes: no limit."""
        ...

    async def expire_completed(self, queue: str, limit: int) -> int:
        """Delete up to *limit* completed tasks whose retention has ended; return how many."""
        ...

    async def trim_archive(self, queue: str, limit: int) -> int:
        """Delete up to *limit* tasks beyond the archive's bounds; return how many."""
        ...

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Yield the IDs of tasks to be cancelled. Ends with a BrokerError."""
        ...


class ReconcilerBroker(Protocol):
    """The reconciler's side."""

    async def claim_reconcile(self, queue: str, seconds: float) -> bool:
        """Return whether the caller is to reconcile *queue*; for *seconds*, no other is.

        False, too, if there is nothing of the queue yet.
        """
        ...

    def reconcile(
        self, queue: str, *, lease_duration: float, max_crashes: int
    ) -> AsyncIterator[Sequence[Finding]]:
        """Put right what is wrong in *queue*; yield what that was after every small step.

        Where a pass is left unfinished, the next one goes on.
        """
        ...


class AggregatorBroker(Protocol):
    """The aggregator's side."""

    async def groups(self, queue: str) -> Sequence[str]:
        """Return the names of the groups that hold tasks."""
        ...

    async def check_group(
        self, queue: str, group: str, set_id: str, limits: GroupLimits
    ) -> AggregationSet | None:
        """Take a ripe group's tasks into a new set; None if the group is not ripe."""
        ...

    async def aggregate(
        self, taken: AggregationSet, placement: Placement, *, repeat: bool = False
    ) -> Placed | HeadraceError:
        """Write the aggregated task and delete the set with its tasks, in one step.

        Raises:
            BrokerError: If Redis did not answer. It may have been applied; the same call with
                *repeat* is safe.
        """
        ...

    async def reclaim(self, queue: str) -> int:
        """Put tasks of sets past their deadline back into their groups; return how many."""
        ...


class LimitsBroker(Protocol):
    """The side of a server that is given limits."""

    async def set_limits(self, queue: str, limits: QueueLimits | None) -> None:
        """Limit what workers take from *queue*, in place of earlier limits; None: no limits."""
        ...


class Broker(
    EnqueueBroker,
    ProcessorBroker,
    FinisherBroker,
    HeartbeatBroker,
    UpkeepBroker,
    AggregatorBroker,
    ReconcilerBroker,
    LimitsBroker,
    Protocol,
):
    """All of it."""

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        ...

    async def check_server(self, *, allow_eviction: bool) -> None:
        """Refuse a Redis that cannot keep the promises.

        Raises:
            BrokerUnsuitableError: If it is too old or evicts keys.
        """
        ...

    async def close(self) -> None:
        """Close every connection that this broker opened."""
        ...

"""Extends the leases of running tasks, and publishes the server's state."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import BrokerError
from headrace._fleet_message import ServerInfo, WorkerInfo
from headrace._worker._backoff import Backoff
from headrace._worker._queues import each_queue
from headrace._worker.outcome import Cause

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import HeartbeatBroker
    from headrace._broker.values import Lease
    from headrace._log import RateLimitedLog
    from headrace._worker.execution import Execution

__all__ = ["Heartbeater", "Identity"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a server tells of itself."""

    host: str
    pid: int
    server_id: str
    key: str
    """The Redis key of its state."""
    concurrency: int
    queues: Mapping[str, int]
    strict_priority: bool
    start_time: float


class Heartbeater:
    """First the leases, then the state: work matters more than what is shown of it.

    Args:
        broker: Where both are; on a connection of its own.
        identity: What does not change.
        status: Returns the server's state, such as ``"active"``.
        running: The executions under way, by their leases.
        lease_duration: Seconds that a lease is extended to.
        interval: Seconds between beats.
        log: Where failures go.
        rng: Spreads the tries while Redis does not answer.
        on_beat: Called after each beat that Redis took.
    """

    def __init__(
        self,
        broker: HeartbeatBroker,
        *,
        identity: Identity,
        status: Callable[[], str],
        running: Mapping[Lease, Execution],
        lease_duration: float,
        interval: float,
        log: RateLimitedLog,
        rng: random.Random,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self._broker = broker
        self._identity = identity
        self._status = status
        self._running = running
        self._lease_duration = lease_duration
        self._interval = interval
        self._log = log
        self._on_beat = on_beat
        self._backoff = Backoff(rng, cap=min(1.0, interval))
        self._reports: dict[Lease, bytes] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Beat until cancelled; then take the server's state out of Redis."""
        task_status.started()
        try:
            while True:
                try:
                    await self.beat()
                except BrokerError as error:
                    self._log.fault("heartbeat", "Could not send the heartbeat", exc=error)
                    await anyio.sleep(self._backoff.next())
                else:
                    self._log.recovered("heartbeat")
                    if self._on_beat is not None:
                        self._on_beat()
                    self._backoff.reset()
                    await anyio.sleep(self._interval)
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._clear()

    async def beat(self) -> None:
        """Extend the leases, interrupt who lost one, and publish the state.

        Raises:
            BrokerError: If Redis did not answer.
        """
        by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in self._running:
            by_queue[lease.queue].append(lease)
        try:
            # Queue by queue: in a cluster one may be out of reach, and the others well.
            await each_queue(
                list(by_queue),
                lambda queue: self._extend(by_queue[queue]),
                duty="extend the leases",
                log=self._log,
            )
        finally:
            self._end_overdue()
        await self._publish()

    async def _extend(self, leases: Sequence[Lease]) -> None:
        executions = {lease: self._running[lease] for lease in leases if lease in self._running}
        if not executions:
            return
        until = anyio.current_time() + self._lease_duration
        extended = await self._broker.extend(list(executions), self._lease_duration)
        for lease, execution in executions.items():
            if lease not in extended.lost:
                execution.lease_until = until
        # One that has ended meanwhile is in no danger.
        self._interrupt(extended.lost & self._running.keys(), Cause.LEASE_LOST)
        self._interrupt(extended.cancelled & self._running.keys(), Cause.CANCELLED)

    def _interrupt(self, leases: Collection[Lease], cause: Cause) -> None:
        for lease in leases:
            self._running[lease].interrupt(cause)

    def _end_overdue(self) -> None:
        """Interrupt executions whose leases ended because Redis could not be reached.

        Whoever can reach it may run their tasks by now.
        """
        now = anyio.current_time()
        overdue = [
            lease for lease, execution in self._running.items() if execution.lease_until <= now
        ]
        self._interrupt(overdue, Cause.LEASE_LOST)

    async def _publish(self) -> None:
        # Twice the interval, as the wire has it, so that one late beat does not hide the server.
        await self._broker.write_server(
            self._identity.key, self._server_info(), self._workers(), 2 * self._interval
        )

    def _server_info(self) -> bytes:
        identity = self._identity
        return ServerInfo(
            host=identity.host,
            pid=identity.pid,
            server_id=identity.server_id,
            concurrency=identity.concurrency,
            queues=identity.queues,
            strict_priority=identity.strict_priority,
            status=self._status(),
            start_time=identity.start_time,
            active_worker_count=len(self._running),
        ).encode()

    def _workers(self) -> dict[str, bytes]:
        # Once for each task that has begun: to encode thousands takes tenths of a second.
        reports = {
            lease: self._reports.get(lease) or self._report(execution)
            for lease, execution in self._running.items()
        }
        self._reports = {
            lease: report
            for lease, report in reports.items()
            if self._running[lease].deadline is not None
        }
        return {lease.task_id: report for lease, report in reports.items()}

    def _report(self, execution: Execution) -> bytes:
        identity, message = self._identity, execution.attempt.message
        return WorkerInfo(
            host=identity.host,
            pid=identity.pid,
            server_id=identity.server_id,
            task_id=execution.lease.task_id,
            task_type=message.type,
            task_payload=message.payload,
            queue=execution.lease.queue,
            start_time=execution.started_at,
            deadline=execution.deadline or 0.0,
        ).encode()

    async def _clear(self) -> None:
        try:
            await self._broker.clear_server(self._identity.key)
        except BrokerError as error:
            # It expires by itself.
            self._log.logger.info("Could not take the server's state out of Redis: %s", error)

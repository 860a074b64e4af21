"""Pulls tasks into free slots and runs them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import anyio

from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff
from headrace._worker.execution import Execution
from headrace._worker.outcome import Cause

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from anyio.abc import TaskStatus

    from headrace._broker.values import Dequeued, Lease
    from headrace._log import RateLimitedLog
    from headrace._worker.execution import Executor
    from headrace._worker.intake import Intake

__all__ = ["Processor"]

LAST_ANSWER = 1.0
"""Seconds for which the answer to a dequeue is waited for, be the grace period shorter."""


class Processor:
    """Fetches tasks whenever a slot is free, and runs each in an asyncio task of its own.

    Args:
        intake: Gets the tasks.
        executor: What the executions share.
        concurrency: How many tasks run at a time at the most.
        lease_duration: Seconds that a task is claimed for.
        base_context: Returns the context whose copies the handlers run in; None: a copy of
            the server's.
        log: Where failures go.
        rng: Spreads the tries while Redis does not answer.

    Attributes:
        running: The executions under way, by their leases. The heartbeater extends these.
    """

    def __init__(
        self,
        intake: Intake,
        executor: Executor,
        *,
        concurrency: int,
        lease_duration: float,
        base_context: Callable[[], Context] | None,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._intake = intake
        self._executor = executor
        self._concurrency = concurrency
        # At most half of them at a time: Redis gets the next half while the first one runs.
        self._most = max(1, (concurrency + 1) // 2)
        self._slots = asyncio.Semaphore(concurrency)
        self._slots_taken = 0  # For tasks that are still to come.
        self._lease_duration = lease_duration
        self._base_context = base_context
        self._log = log
        self._backoff = Backoff(rng)
        self._idle_scope: anyio.CancelScope | None = None
        self._fetch_scope = anyio.CancelScope()
        self._stopping = False
        self._draining = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace_ends = math.inf
        self.running: dict[Lease, Execution] = {}

    def stop(self) -> None:
        """Fetch no more tasks. Those that run go on."""
        self._stopping = True
        if self._idle_scope is not None:
            self._idle_scope.cancel()

    def drain(self, grace: float) -> None:
        """Fetch no more, and let `run` return once all tasks have ended.

        Args:
            grace: Seconds after which those that still run are interrupted and given back.
        """
        now = anyio.current_time()
        self._grace_ends = now + grace
        self.stop()
        # What a dequeue took whose answer does not come is left to recovery. While it is waited
        # for, nobody waits for the handlers.
        self._fetch_scope.deadline = now + max(grace, LAST_ANSWER)
        asyncio.get_running_loop().call_at(self._grace_ends, self._interrupt_all)
        self._draining.set()

    def interrupt(self, task_id: str, cause: Cause) -> None:
        """Cancel the handler of a task, if it runs here."""
        for execution in list(self.running.values()):
            if execution.lease.task_id == task_id:
                execution.interrupt(cause)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Fetch and run tasks until `drain` is called and the last of them has ended."""
        async with asyncio.TaskGroup() as handlers:
            task_status.started()
            while not self._stopping:
                await self._pull(handlers)
            await self._draining.wait()
            await self._end_handlers()

    async def _pull(self, handlers: asyncio.TaskGroup) -> None:
        """Fill the free slots; wait for a slot, or for a task, if there is none."""
        await self._take_slots()
        if self._stopping:
            return
        asked_at = asyncio.get_running_loop().time()
        got = await self._fetch(self._slots_taken)
        if got is None:
            return
        self._start(handlers, got, asked_at + self._lease_duration)
        if not got.attempts:
            await self._idle(self._intake.wait)
        elif self._slots_taken:  # There are no more tasks, so that these come first.
            await asyncio.sleep(0)

    async def _take_slots(self) -> None:
        """Take up to half of all slots for the next tasks; wait if not one is free."""
        if not self._slots_taken and not self._free_slots():
            if not await self._idle(self._slots.acquire):
                return
            self._slots_taken = 1
        for _ in range(min(self._free_slots(), self._most - self._slots_taken)):
            await self._slots.acquire()  # Returns at once: so many are free.
            self._slots_taken += 1

    def _free_slots(self) -> int:
        return self._concurrency - len(self.running) - self._slots_taken

    async def _fetch(self, slots: int) -> Dequeued | None:
        """Fetch tasks; None, after a pause, if Redis did not answer."""
        got: Dequeued | None = None
        try:
            with anyio.CancelScope() as self._fetch_scope:
                got = await self._intake.fetch(slots)
        except BrokerError as error:
            self._log.fault("dequeue", "Could not fetch tasks", exc=error)
            delay = self._backoff.next()
            await self._idle(lambda: anyio.sleep(delay))
            return None
        self._backoff.reset()
        self._log.recovered("dequeue")
        return got

    def _start(self, handlers: asyncio.TaskGroup, got: Dequeued, lease_until: float) -> None:
        for attempt in got.attempts:
            execution = Execution(attempt, self._executor, now=got.now, lease_until=lease_until)
            self.running[attempt.lease] = execution
            context = self._base_context().copy() if self._base_context is not None else None
            handlers.create_task(self._occupy_slot(execution), context=context)
        self._slots_taken -= len(got.attempts)

    async def _occupy_slot(self, execution: Execution) -> None:
        """Run an execution in a slot that was taken for it, and free the slot."""
        try:
            await execution.run()
        finally:
            del self.running[execution.lease]
            self._slots.release()
            self._intake.task_ended(execution.lease.queue)
            self._ended.set()

    async def _idle(self, wait: Callable[[], Awaitable[object]]) -> bool:
        """Wait for something that `stop` ends; return whether it came."""
        if self._stopping:
            return False
        with anyio.CancelScope() as self._idle_scope:
            try:
                await wait()
            except BrokerError as error:
                self._log.fault("wait", "Could not wait for tasks", exc=error)
                await anyio.sleep(self._backoff.next())
            else:
                self._log.recovered("wait")
            return True
        return False

    async def _end_handlers(self) -> None:
        """Wait for the handlers as long as the grace period lasts, then interrupt them."""
        with anyio.CancelScope(deadline=self._grace_ends):
            while self.running:
                self._ended.clear()
                await self._ended.wait()
        self._interrupt_all()

    def _interrupt_all(self) -> None:
        for execution in list(self.running.values()):
            execution.interrupt(Cause.SHUTDOWN)

"""Turns the tasks of a group into one task, when the group is ripe."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import math
from typing import TYPE_CHECKING, NoReturn

import anyio
import anyio.to_thread

from headrace._broker.values import MAX_ITEMS, SET_LIFETIME
from headrace._clock import new_uuid
from headrace._errors import BrokerError, HeadraceError
from headrace._placement import placement
from headrace._task import Task
from headrace._worker._backoff import Backoff
from headrace._worker._queues import each_queue

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from headrace._broker.base import AggregatorBroker
    from headrace._broker.values import AggregationSet, GroupLimits, Placement
    from headrace._config import GroupAggregator
    from headrace._log import RateLimitedLog

__all__ = ["Aggregator"]

_AT_ONCE = 8
_MAX_SETS = 100
_RECLAIM_INTERVAL = 10.0
# What the user's function leaves of a set's lifetime, so that the result can be written.
_TIME_TO_WRITE = 5.0


class Aggregator:
    """Checks every group about once a second, and calls the user's function for ripe ones.

    Args:
        broker: Where the groups are.
        queues: Names of the queues to serve.
        limits: When a group is ripe.
        aggregate: The user's function. It is called in a thread, or awaited in the event
            loop if it is a coroutine function.
        log: Where failures go.
        rng: Draws the IDs of sets and tasks, and spreads retries.
        interval: Seconds between passes; None: half the grace period, at most a second.
    """

    def __init__(
        self,
        broker: AggregatorBroker,
        *,
        queues: Sequence[str],
        limits: GroupLimits,
        aggregate: GroupAggregator,
        log: RateLimitedLog,
        rng: random.Random,
        interval: float | None = None,
    ) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._limits = limits
        self._aggregate = aggregate
        self._is_async = _is_async(aggregate)
        self._log = log
        self._rng = rng
        self._interval = min(1.0, limits.grace_period / 2) if interval is None else interval
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._threads = anyio.CapacityLimiter(_AT_ONCE)
        self._busy: set[tuple[str, str]] = set()
        self._reclaim_at = -math.inf

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Aggregate ripe groups until cancelled."""
        backoff = Backoff(self._rng)
        async with anyio.create_task_group() as tasks:
            task_status.started()
            while True:
                try:
                    await self._start_pass(tasks)
                except BrokerError:  # Logged. The groups stay as they are.
                    await anyio.sleep(backoff.next())
                else:
                    backoff.reset()
                    # A slow group goes on meanwhile, and does not hold up the others.
                    await anyio.sleep(self._interval)
        raise AssertionError  # The loop above does not end.

    async def aggregate(self) -> None:
        """Check every group of every queue once, and aggregate the ripe ones.

        Raises:
            BrokerError: If Redis answered for none of the queues.
        """
        async with anyio.create_task_group() as tasks:
            await self._start_pass(tasks)

    async def _start_pass(self, tasks: TaskGroup) -> None:
        reclaims = anyio.current_time() >= self._reclaim_at
        if reclaims:
            self._reclaim_at = anyio.current_time() + _RECLAIM_INTERVAL

        async def start(queue: str) -> None:
            if reclaims:
                await self._reclaim(queue)
            for group in await self._broker.groups(queue):
                if (queue, group) not in self._busy:
                    self._busy.add((queue, group))
                    tasks.start_soon(self._serve_group, queue, group)

        await each_queue(self._queues, start, duty="look at the groups", log=self._log)

    async def _reclaim(self, queue: str) -> None:
        count = 0
        for _ in range(_MAX_SETS):
            moved = await self._broker.reclaim(queue)
            count += moved
            if moved < MAX_ITEMS:
                break
        if count:
            self._log.logger.warning(
                "%d tasks of queue %r went back to their group: they were not aggregated in time",
                count,
                queue,
                extra={"queue": queue, "count": count},
            )

    async def _serve_group(self, queue: str, group: str) -> None:
        try:
            # The slot comes first: a set's time runs from the moment it is taken.
            async with self._slots:
                for _ in range(_MAX_SETS):
                    if not await self._aggregate_set(queue, group):
                        break
        finally:
            self._busy.discard((queue, group))

    async def _aggregate_set(self, queue: str, group: str) -> bool:
        """Take one set out of a group and aggregate it; False if there is no more to do."""
        deadline = anyio.current_time() + SET_LIFETIME - _TIME_TO_WRITE
        set_id = new_uuid(self._rng)
        try:
            taken = await self._broker.check_group(queue, group, set_id, self._limits)
        except BrokerError as error:
            message = "Could not check the groups of queue %r"
            self._log.fault(("check", queue), message, queue, exc=error, extra={"queue": queue})
            return False
        self._log.recovered(("check", queue))
        if taken is None or not taken.messages:
            return False
        made = await self._make(taken, deadline)
        return made is not None and await self._write(taken, made, deadline)

    async def _make(self, taken: AggregationSet, deadline: float) -> Placement | None:
        """Have the user's function make the task; None if it did not, which is logged."""
        try:
            task = await self._call(taken, deadline)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            self._refuse(taken, "the aggregator failed", exc=error)
            return None
        problem = _problem(task, taken)
        if problem or not isinstance(task, Task):
            self._refuse(taken, problem)
            return None
        options = dataclasses.replace(task.options, queue=taken.queue)
        return placement(task, options, rng=self._rng)

    async def _call(self, taken: AggregationSet, deadline: float) -> object:
        tasks = [
            Task._from_wire(message.type, message.payload, message.headers)  # noqa: SLF001
            for message in taken.messages
        ]
        call = functools.partial(self._aggregate, taken.group, tasks)
        result = call() if self._is_async else await self._call_in_thread(call, taken, deadline)
        with anyio.CancelScope(deadline=deadline):
            if inspect.isawaitable(result):
                result = await result
            if anyio.current_time() <= deadline:
                return result
        raise TimeoutError(f"it took more than {SET_LIFETIME - _TIME_TO_WRITE:g} s")

    async def _call_in_thread(
        self, call: Callable[[], object], taken: AggregationSet, deadline: float
    ) -> object:
        # Nothing can stop a thread. At shutdown it is left behind; otherwise its slot is
        # taken until it ends, or threads would pile up behind a function that hangs.
        overdue = asyncio.get_running_loop().call_at(
            deadline, self._refuse, taken, "the aggregator still runs, in a thread"
        )
        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=self._threads
            )
        finally:
            overdue.cancel()

    async def _write(self, taken: AggregationSet, made: Placement, deadline: float) -> bool:
        """Write the aggregated task; try as long as the set exists."""
        backoff = Backoff(self._rng)
        fault = ("write", taken.queue)
        repeat = False
        while True:
            try:
                answer = await self._broker.aggregate(taken, made, repeat=repeat)
            except BrokerError as error:
                message = "Could not write the aggregated task of group %r in queue %r"
                self._log.fault(
                    fault, message, taken.group, taken.queue, exc=error, extra=_fields(taken)
                )
                if not error.retryable or anyio.current_time() >= deadline + _TIME_TO_WRITE:
                    return False
                repeat = True
                await anyio.sleep(backoff.next())
                continue
            self._log.recovered(fault)
            if isinstance(answer, HeadraceError):
                self._refuse(taken, str(answer))
                return False
            return True

    def _refuse(self, taken: AggregationSet, reason: str, exc: BaseException | None = None) -> None:
        self._log.fault(
            ("aggregate", taken.queue),
            "Could not aggregate %d tasks of group %r in queue %r, which go back to the group "
            "after %.0f s: %s",
            len(taken.messages),
            taken.group,
            taken.queue,
            SET_LIFETIME,
            reason,
            exc=exc,
            extra=_fields(taken),
        )


def _fields(taken: AggregationSet) -> dict[str, object]:
    return {"queue": taken.queue, "group": taken.group, "set_id": taken.set_id}


def _problem(task: object, taken: AggregationSet) -> str:
    """Return what is wrong with what the user's function returned; "" if nothing is."""
    if not isinstance(task, Task):
        return f"the aggregator must return a Task, not {type(task).__name__}"
    if task.options.queue not in {None, taken.queue}:
        return (
            f"the aggregator returned a task for queue {task.options.queue!r}; leave out queue, "
            f"it goes to the queue of its group"
        )
    if task.options.group is not None:
        return (
            f"the aggregator returned a task for group {task.options.group!r}; leave out group, "
            f"or it would be aggregated again"
        )
    return ""


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )

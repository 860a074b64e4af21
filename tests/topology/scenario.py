"""What must work however Redis is reached."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

from headrace import Client, Router, Task, TaskContext, TaskState
from headrace._broker.keys import QueueKeys
from headrace._broker.redis import RedisBroker
from tests.server.helpers import Watch, request_cancel, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis, RedisCluster

    from headrace import TaskInfo

__all__ = ["everything", "guard_extends"]

QUEUES = {"critical": 6, "default": 3, "low": 1}


def _joined(group: str, tasks: Sequence[Task]) -> Task:
    return Task("add", {"a": len(tasks), "b": 0}, retention=60, task_id=group)


def _router(entered: asyncio.Event) -> Router:
    router = Router()

    @router.task("add", retention=60)
    async def add(context: TaskContext, a: int, b: int) -> int:
        await context.progress(0.5)
        return a + b

    @router.task("flaky", retention=60)
    async def flaky(context: TaskContext) -> int:
        if context.retry_count == 0:
            raise ValueError("the first time")
        return context.attempt

    @router.handler("endless")
    async def endless(task: Task) -> None:
        entered.set()
        await asyncio.Event().wait()

    return router


async def _enqueue_jobs(client: Client, group: str) -> list[tuple[TaskInfo, int]]:
    """Enqueue tasks in every way there is; return those with a result of their own, and it."""
    plain = [
        await client.enqueue(Task("add", {"a": n, "b": 1}), queue=queue, unique=60, retention=60)
        for n, queue in enumerate(QUEUES)
    ]
    many = await client.enqueue_many(
        [Task("add", {"a": n, "b": 2}) for n in range(10)], queue="low", retention=60
    )
    flaky = await client.enqueue(Task("flaky"), queue="critical", retention=60)
    later = await client.enqueue(Task("add", {"a": 20, "b": 1}), process_in=1, retention=60)
    assert TaskState.SCHEDULED == later.state
    await client.enqueue_many([Task("x") for _ in range(3)], group=group, queue="low")
    return [
        *zip(plain, (1, 2, 3), strict=True),
        *zip(many, range(2, 12), strict=True),
        (later, 21),
        (flaky, 2),
    ]


async def _ended_by_request(client: Client, watch: Watch, task: TaskInfo) -> None:
    """Wait until a task is archived, and check that it tells why."""
    await watch.until(task, TaskState.ARCHIVED)
    report = await client.get_task(task.id)
    assert "cancelled on request" in report.last_error


async def everything(
    redis: str | Redis | RedisCluster, *, producer: str = "", operator: str = ""
) -> None:
    """Enqueue, run, retry, schedule, aggregate, cancel; look at the result of each.

    Args:
        redis: Where the worker finds Redis.
        producer: Where the client finds it, if elsewhere, or as another user.
        operator: The same for whoever cancels tasks.
    """
    watch, entered = Watch(), asyncio.Event()
    group = str(uuid.uuid4())
    async with (
        Client(producer or redis) as client,
        Client(operator or redis) as other,
        serving(
            redis,
            _router(entered),
            queues=QUEUES,
            state_prober=watch.prober,
            retry_delay=lambda *_: 0,
            group_aggregator=_joined,
            group_max_size=3,
            lease_duration=2,
            heartbeat_interval=0.2,
        ) as server,
    ):
        await server.ping()
        await client.ping()
        jobs = await _enqueue_jobs(client, group)
        endless = await client.enqueue(Task("endless"), max_retry=0)

        for info, expected in jobs:
            assert expected == await client.result(info, timeout=60)
        await watch.until(group, TaskState.COMPLETED)
        assert 3 == await client.result(group, queue="low")

        await entered.wait()
        assert await request_cancel(other, endless)
        await _ended_by_request(client, watch, endless)


async def guard_extends(redis: str | Redis | RedisCluster) -> None:
    """Have the guard thread's client extend leases in several queues."""
    broker = RedisBroker(redis)
    async with Client(redis) as client:
        for queue in QUEUES:
            await client.enqueue(Task("t"), queue=queue)
    got = await broker.dequeue(dict.fromkeys(QUEUES, 1), token="token", lease_duration=5)
    leases = [attempt.lease for attempt in got.attempts]
    assert set(QUEUES) == {lease.queue for lease in leases}
    guard = broker.lease_guard()
    assert guard is not None
    await asyncio.to_thread(guard.extend, leases, 500.0)
    await asyncio.to_thread(guard.close)
    ends = [
        await broker._link.commands.one(("ZSCORE", QueueKeys(one.queue).lease, one.task_id))
        for one in leases
    ]
    await broker.close()

    assert all(float(end) > time.time() + 400 for end in ends)

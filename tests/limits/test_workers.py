"""Queue limits in servers: several of them on one broker, and limits that change meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from headrace import Client, Inspector, QueueLimits, TaskState
from tests.server.helpers import PATIENCE, Gate, Watch, job, serving

if TYPE_CHECKING:
    from headrace import Task


async def test_servers_keep_max_active_together(broker_url: str, client: Client) -> None:
    """Three servers with slots for thirty never run more than four tasks at a time."""
    running, most, finished, ended = 0, 0, 0, asyncio.Event()

    async def handler(_task: Task) -> None:
        nonlocal running, most, finished
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        finished += 1
        if finished == 60:
            ended.set()

    limits = {"default": QueueLimits(max_active=4)}
    await client.enqueue_many([job(str(n)) for n in range(60)])
    async with contextlib.AsyncExitStack() as servers:
        for _ in range(3):
            await servers.enter_async_context(
                serving(broker_url, handler, concurrency=10, limits=limits, task_check_interval=0.1)
            )
        async with asyncio.timeout(PATIENCE):
            await ended.wait()

    assert 4 == most


async def test_end_of_a_task_starts_the_next_at_once(broker_url: str, client: Client) -> None:
    """A server that fills its limit by itself goes on with each end, without an interval."""
    ended = asyncio.Event()

    async def handler(task: Task) -> None:
        if task.payload == b"29":
            ended.set()

    await client.enqueue_many([job(str(n)) for n in range(30)])
    limits = {"default": QueueLimits(max_active=1)}
    # With one task per interval, this would take five minutes.
    async with serving(broker_url, handler, limits=limits, task_check_interval=PATIENCE):
        async with asyncio.timeout(PATIENCE):
            await ended.wait()


async def test_rate_in_a_server(broker_url: str, client: Client, gate: Gate) -> None:
    """No more start than the rate allows, and the next ones when their time has come."""
    gate.open()
    loop = asyncio.get_running_loop()
    await client.enqueue_many([job(str(n)) for n in range(6)])
    async with serving(broker_url, gate, limits={"default": QueueLimits(rate=(2, 0.25))}):
        begin = loop.time()
        await gate.until_entered(6)

    assert loop.time() - begin > 0.4  # A bound from below: it may not be faster.


async def test_limited_queue_does_not_hold_up_others(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """While one queue is full, another one has all other slots."""
    await client.enqueue_many([job("limited")] * 20, queue="limited")
    await client.enqueue_many([job("free")] * 20, queue="free")
    async with serving(
        broker_url,
        gate,
        concurrency=10,
        queues={"limited": 9, "free": 1},
        limits={"limited": QueueLimits(max_active=1)},
    ):
        await gate.until_entered(10)
        assert ["free"] * 9 + ["limited"] == sorted(gate.running)
        gate.open()


async def test_limits_change_while_servers_run(
    broker_url: str, client: Client, inspector: Inspector, gate: Gate
) -> None:
    """A raised limit lets more start within the interval; a lifted one lets all."""
    await client.enqueue_many([job(str(n)) for n in range(20)])
    limits = {"default": QueueLimits(max_active=2, rate=(1000, 3600))}
    async with serving(broker_url, gate, limits=limits, task_check_interval=0.05):
        await gate.until_entered(2)
        assert limits["default"] == await inspector.limits("default")
        await inspector.set_limits("default", QueueLimits(max_active=5, rate=(1000, 3600)))
        await gate.until_entered(5)
        await inspector.set_limits("default", QueueLimits(rate=(7, 3600)))
        await gate.until_entered(7)
        assert 7 == len(gate.running)
        await inspector.set_limits("default", None)
        await gate.until_entered(20)
        gate.open()


async def test_last_writer_wins(broker_url: str, inspector: Inspector, gate: Gate) -> None:
    """A server writes its limits when it starts; one that names none leaves them alone."""
    mine = QueueLimits(max_active=2)
    await inspector.set_limits("other", QueueLimits(max_active=9))
    async with serving(broker_url, gate, queues={"a": 1, "other": 1}, limits={"a": mine}):
        assert mine == await inspector.limits("a")
        await inspector.set_limits("a", QueueLimits(max_active=3))
    async with serving(broker_url, gate, queues={"a": 1}):
        assert QueueLimits(max_active=3) == await inspector.limits("a")
    async with serving(broker_url, gate, queues={"a": 1}, limits={"a": QueueLimits()}):
        assert await inspector.limits("a") is None

    assert QueueLimits(max_active=9) == await inspector.limits("other")


async def test_limited_queue_is_known(inspector: Inspector) -> None:
    """A queue that is limited before its first task is listed, so that the limit is found."""
    await inspector.set_limits("soon", QueueLimits(max_active=1))

    assert ["soon"] == await inspector.queues()


async def test_retries_wait_for_the_limit(
    broker_url: str, client: Client, inspector: Inspector, watch: Watch
) -> None:
    """A limit costs no attempt: a task that waited for it runs as its first one."""
    await inspector.set_limits("default", QueueLimits(rate=(1, 3600)))
    release = asyncio.Event()

    async def handler(_task: Task) -> None:
        release.set()

    async with serving(broker_url, handler, state_prober=watch.prober, task_check_interval=0.02):
        first = await client.enqueue(job("first"))
        await watch.until(first, TaskState.COMPLETED)
        second = await client.enqueue(job("second"), max_retry=0)
        for _ in range(10):  # It has every chance to take it.
            await client.ping()
        assert TaskState.PENDING == (await client.get_task(second.id)).state
        await inspector.set_limits("default", None)
        info = await watch.until(second, TaskState.COMPLETED)

    assert 0 == info.retried


@pytest.mark.parametrize("limits", [QueueLimits(max_active=1), QueueLimits(rate=(1, 3600))])
async def test_limited_server_does_not_spin(
    redis_url: str, gate: Gate, limits: QueueLimits
) -> None:
    """A queue that is held back does not make a server ask Redis without pause."""
    probe = redis.asyncio.Redis.from_url(redis_url)
    async with (
        contextlib.aclosing(probe),
        Client(redis_url) as client,
        serving(redis_url, gate, limits={"default": limits}, task_check_interval=0.2),
    ):
        await client.enqueue_many([job(str(n)) for n in range(5)])
        await gate.until_entered(1)
        await probe.config_resetstat()
        await asyncio.sleep(1)  # Nothing happens in this time: that is the point.
        stats = await probe.info("commandstats")
        gate.open()

    assert 1 == len(gate.entered)
    assert stats["cmdstat_evalsha"]["calls"] <= 15
    assert stats.get("cmdstat_blmove", {}).get("calls", 0) <= 1

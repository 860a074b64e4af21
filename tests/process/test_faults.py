"""Faults of Redis under a worker that runs: no loop dies, no task is lost, the log stays calm."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import redis as redis_py

from headrace import Client, TaskState
from tests.process.conftest import enqueue
from tests.process.test_kill import until_empty
from tests.server.helpers import Gate, eventually, job, serving, settled
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.process.conftest import StartWorker
    from tests.support.processes import Journal


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_redis_restarts_under_a_worker(
    redis_executable: str, journal: Journal, start_worker: StartWorker, how: str
) -> None:
    """Redis, with AOF, goes and comes back: all tasks complete, with one line for the fault."""
    with RedisServer(redis_executable, appendonly="yes", appendfsync="always") as redis:
        ids = {info.id for info in enqueue(redis.url, 150, 0.2)}
        worker = start_worker(redis.url, concurrency=10).wait_until_ready()
        journal.until("end", 30)
        stop = redis.stop if how == "stop" else redis.kill
        stop()
        time.sleep(2)  # Redis is away: nothing else is to happen.
        redis.start()
        journal.until("end", 150, distinct=True)
        counted = until_empty(redis.url)
        errors = worker.log_lines("ERROR")
        lines = worker.log_lines()

    assert ids == journal.tasks("end")
    assert (0, 150, 0) == (counted.size, counted.processed, counted.failed)
    assert 1 == len(errors), errors
    assert any("Redis answers again" in line for line in lines)
    assert not any("never retrieved" in line or "Traceback" in line for line in lines)


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """A client of real Redis."""
    async with Client(redis_url) as client:
        yield client


async def kill_clients(url: str) -> None:
    """Cut all connections to Redis, those of subscribers too."""

    def kill() -> None:
        with redis_py.Redis.from_url(url) as probe:
            probe.client_kill_filter(_type="normal", skipme=True)
            probe.client_kill_filter(_type="pubsub", skipme=True)

    await asyncio.to_thread(kill)


async def test_all_connections_are_cut_again_and_again(
    redis_url: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut connections are made again: every task runs, and completes once."""
    gate = Gate(is_open=True)
    async with serving(redis_url, gate, concurrency=10, queues={"default": 1, "other": 1}):
        for n in range(100):
            if n % 20 == 10:
                await kill_clients(redis_url)
            await client.enqueue(job(str(n)), queue="default" if n % 2 else "other")
        await gate.until_entered(100)
        processed = sum(found.processed for found in await settled(client))

    assert {str(n) for n in range(100)} == set(gate.entered)
    assert 100 == processed
    assert not [one for one in caplog.records if "never retrieved" in one.getMessage()]


async def test_cancellations_arrive_after_a_cut(redis_url: str, client: Client) -> None:
    """A subscriber that was cut off listens again."""
    gate = Gate()
    async with serving(redis_url, gate):
        info = await client.enqueue(job("x"), max_retry=0)
        await gate.until_entered(1)
        await kill_clients(redis_url)
        commands = client._broker._link.commands
        await eventually(lambda: commands.one(("PUBLISH", "asynq:cancel", info.id)))
        await gate.until_empty()

    assert TaskState.ARCHIVED == (await client.get_task(info.id)).state


async def test_scripts_are_flushed(redis_url: str, client: Client) -> None:
    """SCRIPT FLUSH in the middle of the work goes unnoticed."""
    gate = Gate()
    commands = client._broker._link.commands
    async with serving(redis_url, gate, concurrency=4, heartbeat_interval=0.05, lease_duration=1):
        for n in range(30):
            await commands.one(("SCRIPT", "FLUSH"))
            await client.enqueue(job(str(n)))
            if n == 10:
                gate.open()
        await gate.until_entered(30)
        await commands.one(("SCRIPT", "FLUSH"))
        await settled(client)

    assert 30 == len(gate.entered) == len(set(gate.entered))


async def test_full_redis_can_be_drained(redis_executable: str) -> None:
    """A Redis that has reached maxmemory refuses producers at once; workers go on draining it."""
    with RedisServer(redis_executable) as redis:
        gate = Gate()
        async with Client(redis.url) as client:
            infos = await client.enqueue_many([job(str(n)) for n in range(50)])
            async with serving(
                redis.url, gate, concurrency=5, heartbeat_interval=0.1, lease_duration=1
            ):
                await gate.until_entered(5)
                with redis.client() as probe:
                    probe.config_set("maxmemory", "1mb")
                with pytest.raises(Exception, match="maxmemory"):
                    await client.enqueue(job("x" * 10_000))
                first = [info.id for info in infos[:5]]
                await asyncio.sleep(1.5)  # Longer than a lease: it has to be extended.
                states = {(await client.get_task(task_id)).state for task_id in first}
                assert {TaskState.ACTIVE} == states
                gate.open()
                await gate.until_entered(50)
                await settled(client)

    assert 50 == len(gate.entered) == len(set(gate.entered))

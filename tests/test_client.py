"""What a program that enqueues sees of a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from headrace import (
    BrokerError,
    Client,
    EnqueueManyError,
    ResultDecodeError,
    ResultTimeoutError,
    Server,
    SkipRetry,
    Task,
    TaskFailedError,
    TaskIdConflictError,
    TaskNotFoundError,
    TaskState,
)

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer


async def test_enqueue_returns_what_is_in_redis(client: Client) -> None:
    """The report of `enqueue` is that which anybody gets who asks for the task."""
    told = await client.enqueue(
        Task("t", b"payload", max_retry=1),
        queue="low",
        task_id="a",
        max_retry=7,
        timeout=9,
        deadline=4e9,
        retention=60,
        headers={"k": "v"},
        unique=30,
    )

    assert told == await client.get_task("a", "low")
    assert ("a", "low", "t", b"payload") == (told.id, told.queue, told.type, told.payload)
    assert (7, 9, 4_000_000_000, 60) == (
        told.max_retry,
        told.timeout,
        told.deadline,
        told.retention,
    )
    assert ({"k": "v"}, TaskState.PENDING) == (dict(told.headers), told.state)


async def test_process_at_and_in(client: Client) -> None:
    """What is due later waits as scheduled, until the second that is told."""
    at = await client.enqueue(Task("t"), process_at=4_000_000_000.2)
    later = await client.enqueue(Task("t"), process_in=1_000)

    assert [TaskState.SCHEDULED] * 2 == [at.state, later.state]
    assert 4_000_000_001 == at.next_process_at
    assert later == await client.get_task(later.id)


async def test_concurrent_enqueues_share_round_trips(
    redis_server: RedisServer, redis_url: str
) -> None:
    """A hundred coroutines that enqueue at the same time cost a few calls, not a hundred."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"))
        with redis_server.client() as plain:
            plain.config_resetstat()
            await asyncio.gather(*(client.enqueue(Task("t")) for _ in range(100)))
            calls = plain.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert calls <= 3


async def test_many_tell_of_each(client: Client) -> None:
    """A batch writes what it can; the refused ones are told at their places."""
    await client.enqueue(Task("t"), task_id="taken")
    tasks = [Task("t", task_id=name) for name in ("a", "taken", "b")]

    with pytest.raises(EnqueueManyError) as caught:
        await client.enqueue_many(tasks)
    again = await client.enqueue_many([Task("t"), *tasks], return_errors=True)

    assert [True, False, True] == [not isinstance(r, Exception) for r in caught.value.results]
    assert isinstance(caught.value.results[1], TaskIdConflictError)
    assert [False, True, True, True] == [isinstance(r, Exception) for r in again]


async def test_many_take_any_iterable(client: Client) -> None:
    """Options hold for all; nothing to write is nothing to do."""
    infos = await client.enqueue_many((Task("t", {"n": n}) for n in range(250)), queue="low")

    assert {"low"} == {info.queue for info in infos}
    assert 250 == len({info.id for info in infos})
    assert [] == await client.enqueue_many([])


async def test_result_waits_for_the_end(broker_url: str, client: Client) -> None:
    """It returns what the handler returned, and tells failures and other ends apart."""
    proceed = asyncio.Event()

    async def handler(task: Task) -> object:
        await proceed.wait()
        if task.type == "bad":
            raise SkipRetry("no use")
        return task.json()

    async with Server(broker_url, handler):
        good = await client.enqueue(Task("good", {"n": 1}), retention=60)
        bad = await client.enqueue(Task("bad"), retention=60)
        kept = await client.enqueue(Task("good", {"n": 2}), retention=60)
        with pytest.raises(ResultTimeoutError, match="still"):
            await client.result(good, timeout=0.05)
        waiting = asyncio.create_task(client.result(good))
        proceed.set()

        assert {"n": 1} == await waiting
        assert b'{"n":2}' == await client.result(kept.id, decode=bytes)
        with pytest.raises(TaskFailedError, match="no use"):
            await client.result(bad)
        with pytest.raises(TaskNotFoundError):
            await client.result("nobody")


@pytest.mark.parametrize("stored", [b"\xff\x00", b"{", b"[" * 100_000])
async def test_result_that_is_no_json(broker_url: str, client: Client, stored: bytes) -> None:
    """It is refused with what to do about it, and can still be had as bytes."""

    async def handler(_: Task) -> bytes:
        return stored

    async with Server(broker_url, handler):
        info = await client.enqueue(Task("binary"), retention=60)
        with pytest.raises(ResultDecodeError, match="decode=bytes"):
            await client.result(info)

        assert stored == await client.result(info, decode=bytes)


async def test_client_of_the_users_stays_open(redis_url: str) -> None:
    """Closing a client closes what it opened; the user's own goes on."""
    async with redis.asyncio.Redis.from_url(redis_url) as own:
        async with Client(own) as client:
            info = await client.enqueue(Task("t"))
        assert await own.exists(f"asynq:{{default}}:t:{info.id}")


async def test_ping(broker_url: str, redis_executable: str) -> None:
    """It returns if Redis answers, and raises if nobody does."""
    async with Client(broker_url) as client:
        await client.ping()
    async with Client("redis://127.0.0.1:1", timeout=0.1) as nobody:
        with pytest.raises(BrokerError):
            await nobody.ping()


async def test_closed_client_opens_again(client: Client) -> None:
    """`close` writes what is under way; a later call connects anew."""
    under_way = asyncio.create_task(client.enqueue(Task("t"), task_id="a"))
    await asyncio.sleep(0)
    await client.close()

    assert under_way.done()
    assert "a" == (await client.get_task("a")).id

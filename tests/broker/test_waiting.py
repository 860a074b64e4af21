"""wait_for_pending: how an idle worker learns of a task, whoever enqueued it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace._broker.keys import QueueKeys
from headrace._broker.redis import RedisBroker
from headrace._errors import BrokerError
from tests.broker.helpers import KEYS, LEASE, new, requeue, retry, take_one
from tests.support.wire import plant, raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.wire import RawClient

LONG = 50.0
"""Longer than a test may take: who waits so long was not woken."""


async def idle(broker: RedisBroker, *queues: str) -> asyncio.Task[None]:
    """Return a task that waits for these queues, and has begun to."""
    waiting = asyncio.create_task(
        broker.wait_for_pending(queues or ("q",), timeout=LONG, poll_interval=LONG)
    )
    # Long enough for Redis to see it: it answers what was sent after the wait began.
    for _ in range(20):
        await broker.ping()
    assert not waiting.done()
    return waiting


@pytest_asyncio.fixture
async def other(broker_url: str) -> AsyncIterator[RedisBroker]:
    """Another broker on the same Redis, such as a client's."""
    broker = RedisBroker(broker_url)
    yield broker
    await broker.close()


# --- Both kinds ----------------------------------------------------------------------------


async def test_woken_by_a_task(real_time: RedisBroker, other: RedisBroker) -> None:
    """A task of somebody else ends the wait."""
    waiting = await idle(real_time, "low", "q")
    await other.enqueue([new("a")])
    await waiting

    assert (await take_one(real_time)).message.id == "a"


async def test_woken_by_what_is_forwarded_recovered_or_given_back(
    real_time: RedisBroker, raw: RawClient
) -> None:
    """It does not matter how a task became pending."""
    await real_time.enqueue([new("r")])
    await real_time.finish([retry(await take_one(real_time), delay=0)])
    waiting = await idle(real_time)
    while not (await real_time.forward("q")).moved:  # noqa: ASYNC110 - Redis's second has to come
        await asyncio.sleep(0.05)
    await waiting
    attempt = await take_one(real_time)
    waiting = await idle(real_time)
    await real_time.finish([requeue(attempt)])
    await waiting
    await take_one(real_time)
    await plant(raw, "q", "c", "active", score=1)
    waiting = await idle(real_time)
    await real_time.recover("q", max_crashes=3)
    await waiting


async def test_returns_at_once_if_a_task_is_there(real_time: RedisBroker) -> None:
    """A task that came between the last look and the wait is not overlooked."""
    await real_time.enqueue([new("a")])
    await real_time.wait_for_pending(("low", "q"), timeout=LONG, poll_interval=LONG)


async def test_woken_every_time(real_time: RedisBroker, other: RedisBroker) -> None:
    """One wake-up does not wear out the next."""
    for n in range(5):
        waiting = await idle(real_time)
        await other.enqueue([new(str(n))])
        await waiting
        await take_one(real_time)


async def test_gives_up_after_the_timeout(real_time: RedisBroker) -> None:
    """Without a task it returns all the same."""
    await real_time.wait_for_pending(("q",), timeout=0.01, poll_interval=LONG)


async def test_no_queues(real_time: RedisBroker) -> None:
    """With every queue paused there is nothing to wait for but time."""
    await real_time.wait_for_pending((), timeout=LONG, poll_interval=0.01)


async def test_cancelled_and_closed(broker_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A wait may be cancelled at any time, and leaves nothing behind."""
    broker = RedisBroker(broker_url)
    waiting = await idle(broker)
    waiting.cancel()
    await asyncio.wait([waiting])
    waiting = await idle(broker)
    waiting.cancel()
    await asyncio.wait([waiting])
    await broker.close()

    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if "watcher" in name]
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_empty_queue_costs_nothing_but_the_wait(real_time: RedisBroker) -> None:
    """A worker that goes round finds nothing, and waits again."""
    for _ in range(3):
        await real_time.wait_for_pending(("q",), timeout=0.01, poll_interval=LONG)
        got = await real_time.dequeue({"q": 1}, token="t", lease_duration=LEASE)
        assert not got.attempts


# --- Real Redis ----------------------------------------------------------------------------


@pytest_asyncio.fixture
async def on_redis(redis_url: str) -> AsyncIterator[RedisBroker]:
    """A broker on real Redis."""
    broker = RedisBroker(redis_url)
    yield broker
    await broker.close()


@pytest_asyncio.fixture
async def go(redis_url: str) -> AsyncIterator[RawClient]:
    """Another program on the same Redis."""
    client = raw_client(redis_url)
    yield client
    await client.aclose()


async def test_woken_by_another_program(on_redis: RedisBroker, go: RawClient) -> None:
    """A Go client knows nothing of us: a push onto the list is enough."""
    waiting = await idle(on_redis)
    await go.execute_command("LPUSH", KEYS.pending, "a")
    await waiting


async def test_waiting_changes_nothing(on_redis: RedisBroker, go: RawClient) -> None:
    """The list that is waited for keeps its order."""
    for task_id in "abc":
        await go.execute_command("LPUSH", KEYS.pending, task_id)
    for _ in range(3):
        await on_redis.wait_for_pending(("q",), timeout=LONG, poll_interval=LONG)

    assert await go.execute_command("LRANGE", KEYS.pending, 0, -1) == [b"c", b"b", b"a"]


async def test_many_queues_are_looked_at_now_and_then(on_redis: RedisBroker, go: RawClient) -> None:
    """Each queue that is watched takes a connection; nine are too many."""
    await go.execute_command("LPUSH", KEYS.pending, "a")
    queues = [f"q{n}" for n in range(9)]
    await on_redis.wait_for_pending(queues, timeout=LONG, poll_interval=0.01)

    clients = await go.execute_command("CLIENT", "LIST")
    assert "blmove" not in str(clients)


async def test_eight_queues_are_watched(on_redis: RedisBroker, go: RawClient) -> None:
    """Each of eight queues wakes the worker."""
    queues = [f"q{n}" for n in range(8)]
    for queue in queues:
        waiting = await idle(on_redis, *queues)
        await go.execute_command("LPUSH", QueueKeys(queue).pending, "a")
        await waiting
        await go.execute_command("DEL", QueueKeys(queue).pending)


async def test_idle_worker_sends_nothing(on_redis: RedisBroker, go: RawClient) -> None:
    """A wait that times out goes on in Redis; the next one joins it."""
    await go.execute_command("CONFIG", "RESETSTAT")
    for _ in range(5):
        await on_redis.wait_for_pending(("q",), timeout=0.01, poll_interval=LONG)
    stats = await go.execute_command("INFO", "commandstats")

    assert isinstance(stats, dict)
    sent = {name: counts["calls"] for name, counts in stats.items()}
    assert sent.get("cmdstat_blmove", 0) <= 1
    assert not {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_llen"} & set(sent)


async def test_pending_of_another_type(on_redis: RedisBroker, go: RawClient) -> None:
    """A list that is none is an error, not a busy loop without a word."""
    await go.execute_command("SET", KEYS.pending, "x")

    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await on_redis.wait_for_pending(("q",), timeout=LONG, poll_interval=LONG)


async def test_connection_that_breaks(on_redis: RedisBroker, go: RawClient) -> None:
    """Whoever waits learns that Redis is gone, and may wait again."""
    waiting = await idle(on_redis)
    await go.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(BrokerError):
        await waiting
    await on_redis.enqueue([new("a")])
    await on_redis.wait_for_pending(("q",), timeout=LONG, poll_interval=LONG)

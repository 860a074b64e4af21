"""Where the Go code goes wrong at a limit: a full Redis (16), and odd durations (18)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Server, Task
from headrace._broker.redis import RedisBroker
from headrace._broker.values import Applied, GroupLimits, Placed
from headrace._errors import BrokerError, InvalidOptionError
from tests.broker.helpers import (
    KEYS,
    LEASE,
    Time,
    archive,
    complete,
    done,
    new,
    requeue,
    retry,
    take,
)
from tests.support.invariants import check_queue
from tests.support.redis_server import RedisServer
from tests.support.wire import encode, members, plant, raw_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import RawClient

ENDS = {
    "done": done,
    "complete": complete,
    "retry": retry,
    "archive": archive,
    "requeue": requeue,
}
"""The names of tasks, and how the attempt of each ends."""


# --- 16: out of memory ---------------------------------------------------------------------


@pytest.fixture
def full_redis(redis_executable: str) -> Iterator[RedisServer]:
    """A server of its own, to be filled up."""
    with RedisServer(redis_executable) as server:
        yield server


async def fill(broker: RedisBroker, raw: RawClient) -> None:
    """Have a task on every way out, and some that cannot be read; then leave no memory."""
    await broker.enqueue([new(name, unique=600, type=name) for name in ENDS])
    await broker.enqueue([new("held"), new("crashed"), new("late", after=1)])
    await broker.enqueue([new("grouped", group_key="g"), new("g2", group_key="g", after=1)])
    await plant(raw, "q", "old", "completed", score=1)
    await plant(raw, "q", "bad", data=b"\xff")
    await plant(raw, "q", "badg", "aggregating", group="g", data=b"\xff", score=1)
    await raw.execute_command("CONFIG", "SET", "maxmemory", 1)


async def check_enqueue_is_refused(url: str) -> None:
    """Check that the error says what Redis lacks, and that surely nothing was written."""
    async with Client(url) as client:
        with pytest.raises(BrokerError, match="maxmemory") as caught:
            await client.enqueue(Task("new"))
    assert ("OOM", False) == (caught.value.code, caught.value.ambiguous)


async def test_defect_16_a_full_redis_drains(full_redis: RedisServer) -> None:
    """Out of memory, Go cannot even extend a lease: healthy work is lost just then.

    Enqueueing is refused with a clear error; everything that makes room goes on.
    """
    time = Time()
    broker, raw = RedisBroker(full_redis.url, now=time), raw_client(full_redis.url)
    await fill(broker, raw)
    await check_enqueue_is_refused(full_redis.url)

    attempts = {attempt.message.id: attempt for attempt in await take(broker)}
    assert {*ENDS, "held", "crashed"} == set(attempts)
    assert ["bad"] == await members(raw, KEYS.archived)
    time.advance(10)
    alive = [attempt.lease for name, attempt in attempts.items() if name != "crashed"]
    assert not (await broker.extend(alive, LEASE)).lost
    assert await broker.annotate(attempts["complete"].lease, "result", b"r")
    assert await broker.request_cancel("q", "held")
    finishes = [end(attempts[name]) for name, end in ENDS.items()]
    assert [Applied.APPLIED] * 5 == await broker.finish(finishes)

    time.advance(7)
    assert ["crashed"] == (await broker.recover("q", max_crashes=3)).requeued
    assert (await broker.forward("q")).moved == 2
    assert await broker.expire_completed("q", 100) == 1
    limits = GroupLimits(grace_period=60, max_delay=0, max_size=3)
    taken = await broker.check_group("q", "g", "s", limits)
    assert taken is not None
    assert len(taken.messages) == 2
    assert isinstance(await broker.aggregate(taken, new("sum")), Placed)

    assert [] == await check_queue(raw, "q", now=time.now)
    await broker.close()
    await raw.aclose()


# --- 18: durations -------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.5, 1e-9, 0.0, -1.0, 1.5, 2.0**63, float("inf")])
async def test_defect_18_no_duration_is_bent(broker_url: str, timeout: float) -> None:
    """Go makes half a second 0, and of that half an hour; what is too long overflows."""
    async with Client(broker_url) as client:
        with pytest.raises(InvalidOptionError, match="timeout"):
            await client.enqueue(Task("t"), timeout=timeout)


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), -1])
async def test_defect_18_foreign_durations_are_clamped(
    broker_url: str, raw: RawClient, seconds: int
) -> None:
    """What another program wrote is run within limits that can be kept."""
    data = encode(
        "a",
        "default",
        timeout=seconds,
        deadline=max(0, seconds),
        retention=max(60, seconds),
        retry=2**31 - 1,
    )
    await plant(raw, "default", "a", data=data)

    async def until_shown(_task: Task) -> None:
        while b"workers:" not in b"".join(await _names(raw)):  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.01)

    server = Server(broker_url, until_shown, heartbeat_interval=0.05, lease_duration=5)
    async with Client(broker_url) as client, server:
        assert await client.result("a", timeout=60) is None
    kept = await raw.execute_command("ZRANGE", "asynq:{default}:completed", 0, -1, "WITHSCORES")
    assert "e+" not in str(kept), "Go's tools read whole numbers only"


async def _names(raw: RawClient) -> list[bytes]:
    """Return the names of all keys."""
    names = await raw.execute_command("KEYS", "*")
    assert isinstance(names, list)
    return names

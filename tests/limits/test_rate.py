"""The rate of a queue in the broker: what starts in a span of time, exact over all workers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import pytest

from headrace import QueueLimits
from headrace._broker.redis import RedisBroker
from tests.broker.helpers import KEYS, LEASE, Time, done, retry, take
from tests.limits.helpers import ask, count, fill
from tests.support.randomness import seeded
from tests.support.wire import members

if TYPE_CHECKING:
    from tests.broker.helpers import Rules
    from tests.support.wire import RawClient


async def test_rate_is_what_may_start(broker: RedisBroker, time: Time) -> None:
    """So many start at once; the next ones when the first have left the window, not before."""
    await broker.set_limits("q", QueueLimits(rate=(3, 60)))
    await fill(broker, 9)
    first = await ask(broker, {"q": 2})
    time.advance(10)
    second = await ask(broker, {"q": 5})
    time.advance(49.5)
    early = await ask(broker, {"q": 5})
    time.advance(0.5)
    third = await ask(broker, {"q": 5})

    assert [2, 1, 0, 2] == [count(got) for got in (first, second, early, third)]
    assert [{}, {"q": 50.0}, {"q": 0.5}, {"q": 10.0}] == [
        got.limited for got in (first, second, early, third)
    ]


async def test_finished_and_retried_tasks_count_for_the_rate(
    broker: RedisBroker, time: Time
) -> None:
    """What counts is the start of an attempt: neither its end nor a retry makes room."""
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await fill(broker, 3)
    first, second = await take(broker, 2)
    await broker.finish([done(first), retry(second, delay=1)])
    time.advance(5)
    await broker.forward("q")

    assert {"q": 55.0} == (await ask(broker, {"q": 5})).limited


@pytest.mark.parametrize("rate", [(1, 1.0), (5, 1.0), (40, 10.0), (1000, 60.0), (3, 0.02)])
async def test_no_window_holds_more_than_the_rate(
    bare: RedisBroker, raw: RawClient, time: Time, rate: tuple[int, float]
) -> None:
    """However workers ask, no span of that length has more starts; and few are wasted.

    The time between two questions is random, from none to half the window.
    """
    tasks, window = rate
    rng = seeded()
    await bare.set_limits("q", QueueLimits(rate=rate))
    await fill(bare, min(tasks * 8, 4000))
    begin, starts = time.now, deque[float]()
    recent: deque[float] = deque()
    while len(await members(raw, KEYS.pending)) and time.now < begin + 5 * window:
        got = await ask(bare, {"q": rng.randint(1, max(2, tasks // 3))})
        starts.extend([time.now] * count(got))
        recent.extend([time.now] * count(got))
        while recent and time.now - recent[0] >= window - 1e-6:
            recent.popleft()
        assert len(recent) <= tasks
        time.advance(rng.choice([0, window / 1000, window / 300, window / 50, window / 2]))
        entries = await raw.execute_command("LLEN", KEYS.starts)
        assert isinstance(entries, int)
        assert entries <= 102

    assert len(starts) >= 3 * tasks


async def test_rate_is_used_in_full(bare: RedisBroker, time: Time) -> None:
    """Who asks again when it was told to gets all that the rate allows."""
    await bare.set_limits("q", QueueLimits(rate=(10, 60)))
    await fill(bare, 100)
    started, begin = 0, time.now
    while time.now < begin + 299:
        got = await ask(bare, {"q": 4})
        started += count(got)
        time.advance(got.limited.get("q", 1.0))

    assert 50 == started


async def test_rate_is_exact_over_many_workers(broker_url: str) -> None:
    """Eight workers that ask at the same time start no more than allowed."""
    brokers = [RedisBroker(broker_url) for _ in range(8)]
    await brokers[0].set_limits("q", QueueLimits(rate=(37, 3600)))
    await fill(brokers[0], 100)
    got = await asyncio.gather(
        *(
            broker.dequeue({"q": 5}, token=f"{n}-{turn}", lease_duration=LEASE)
            for turn in range(3)
            for n, broker in enumerate(brokers)
        )
    )
    for broker in brokers:
        await broker.close()

    assert 37 == sum(count(one) for one in got)


async def test_ghosts_do_not_count(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """An ID without a task starts nothing, so it takes nothing of the rate."""
    rules.allow(1)
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await raw.execute_command("RPUSH", KEYS.pending, "ghost", "ghoul")
    await fill(broker, 3)
    first = await ask(broker, {"q": 5})
    second = await ask(broker, {"q": 5})

    assert (0, 2) == (count(first), count(second))
    assert {"q": 0.0} == first.limited


async def test_clock_put_back_does_not_hold_a_queue_back(broker: RedisBroker, time: Time) -> None:
    """Starts that seem to lie far in the future are forgotten."""
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await fill(broker, 4)
    await take(broker, 2)
    time.advance(-3600)

    assert 2 == count(await ask(broker, {"q": 2}))


async def test_starts_expire_with_their_window(broker: RedisBroker, raw: RawClient) -> None:
    """What is remembered of starts goes away by itself; the limits stay."""
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await fill(broker, 1)
    await take(broker)
    ttl = await raw.execute_command("PTTL", KEYS.starts)

    assert isinstance(ttl, int)
    assert 59_000 < ttl <= 61_000
    assert -1 == await raw.execute_command("PTTL", KEYS.limits)
